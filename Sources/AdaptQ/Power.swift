import Base
import CAdaptQ
import Runtime
import Telemetry

@c @implementation public func adaptq_runtime_poll(
  _ runtime: OpaquePointer?, _ info: UnsafeMutablePointer<adaptq_power_info>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (object) throws(AdaptQError) in
      guard let info else {
        _ = object.poll()
        return
      }
      let target = try OutStruct(info, "adaptq_power_info")
      target.write(powerInfo(object.poll()))
    }
  }
}

@c @implementation public func adaptq_runtime_power(
  _ runtime: OpaquePointer?, _ info: UnsafeMutablePointer<adaptq_power_info>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (object) throws(AdaptQError) in
      let target = try OutStruct(required(info, "info"), "adaptq_power_info")
      guard let state = object.sampler.latest else {
        throw AdaptQError(.notFound, "nothing has read the sensors of this runtime yet")
      }
      target.write(powerInfo(state))
    }
  }
}

private func powerInfo(_ state: PowerState) -> adaptq_power_info {
  let sample = state.sample
  var value = adaptq_power_info()
  value.source = state.source.rawValue
  value.fault = state.fault.rawValue
  value.power_mw = state.milliwatts ?? 0
  value.energy_uj = state.microjoules
  value.faults = state.faultCount
  value.on_battery = sample.isOnBattery.map { $0 ? 1 : 0 } ?? -1
  value.battery_percent = sample.batteryPercent.map { Int32(clamping: $0) } ?? -1
  value.temperature_mc = sample.millidegrees.map { Int32(clamping: $0) } ?? Int32.min
  value.is_capped = sample.isCapped ? 1 : 0
  value.frequency_khz = UInt64(clamping: sample.kilohertz ?? 0)
  value.max_frequency_khz = UInt64(clamping: sample.maximumKilohertz ?? 0)
  value.throttle_events = UInt64(clamping: state.throttleEvents)
  return value
}

extension PowerState {
  /// For the telemetry file.
  var sensorFacts: SensorFacts {
    var facts = SensorFacts()
    facts.timeNanoseconds = Int64(timeNanoseconds)
    facts.source = UInt8(truncatingIfNeeded: source.rawValue)
    facts.fault = UInt8(truncatingIfNeeded: fault.rawValue)
    facts.milliwatts = milliwatts ?? 0
    facts.microjoules = microjoules
    facts.faults = faultCount
    facts.millidegrees = sample.millidegrees.map { Int32(clamping: $0) } ?? Int32.min
    facts.batteryPercent = sample.batteryPercent.map { Int8(clamping: $0) } ?? -1
    facts.isOnBattery = sample.isOnBattery ?? false
    facts.isCapped = sample.isCapped
    return facts
  }
}

@c @implementation public func adaptq_session_set_power_budget(
  _ session: OpaquePointer?, _ budget: UnsafePointer<adaptq_power_budget>?,
  _ report: UnsafeMutablePointer<adaptq_limit_report>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let terms = try powerTerms(budget, isOfGroup: false)
      var target: OutStruct<adaptq_limit_report>?
      if let report { target = try OutStruct(report, "adaptq_limit_report") }
      try finish(object.session.setPowerTerms(terms), target)
    }
  }
}

@c @implementation public func adaptq_session_power_budget(
  _ session: OpaquePointer?, _ budget: UnsafeMutablePointer<adaptq_power_budget>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let target = try OutStruct(
        required(budget, "budget"), "adaptq_power_budget", firstSize: FirstSize.powerBudget)
      let terms = object.session.powerTerms
      if terms.isEmpty { throw AdaptQError(.notFound, "the session has no budget of power or energy") }
      var value = adaptq_power_budget()
      value.power_mw = terms.capMilliwatts
      value.window_ns = Int64(terms.windowNanoseconds)
      value.energy_mj = terms.maximumMillijoules
      value.static_mw = terms.staticMilliwatts
      value.active_mw = terms.activeMilliwatts
      value.pj_per_mac = terms.picojoulesPerMAC
      value.pj_per_byte = terms.picojoulesPerByte
      value.mode = Int32(terms.prefersLeastEnergy ? ADAPTQ_POWER_LEAST_ENERGY : ADAPTQ_POWER_BEST_QUALITY)
      value.attribution = Int32(terms.attribution.rawValue)
      value.max_wait_ns = Int64(terms.maximumWaitNanoseconds)
      value.thread_mw = terms.threadMilliwatts
      target.write(value)
    }
  }
}

/// NULL gives terms without a budget.
func powerTerms(
  _ budget: UnsafePointer<adaptq_power_budget>?, isOfGroup: Bool
) throws(AdaptQError) -> PowerTerms {
  var terms = PowerTerms()
  guard let budget else { return terms }
  var wanted = adaptq_power_budget()
  try readStruct(budget, "adaptq_power_budget", firstSize: FirstSize.powerBudget, into: &wanted)
  func number(_ value: Double, _ field: StaticString) throws(AdaptQError) -> Double {
    if !(value >= 0 && value <= 1e12) {
      throw AdaptQError(.outOfRange, "adaptq_power_budget.\(field) is \(value); expected 0 to 1e12")
    }
    return value
  }
  terms.capMilliwatts = try number(wanted.power_mw, "power_mw")
  terms.maximumMillijoules = try number(wanted.energy_mj, "energy_mj")
  terms.staticMilliwatts = try number(wanted.static_mw, "static_mw")
  terms.activeMilliwatts = try number(wanted.active_mw, "active_mw")
  terms.picojoulesPerMAC = try number(wanted.pj_per_mac, "pj_per_mac")
  terms.picojoulesPerByte = try number(wanted.pj_per_byte, "pj_per_byte")
  terms.threadMilliwatts = try number(wanted.thread_mw, "thread_mw")
  func time(_ value: Int64, _ field: StaticString) throws(AdaptQError) {
    if value < 0 || value >= 1 << 50 {
      throw AdaptQError(
        .outOfRange, "adaptq_power_budget.\(field) is \(value); expected 0 to \((Int64(1) << 50) - 1)")
    }
  }
  func choice(_ value: Int32, _ field: StaticString, upTo most: Int) throws(AdaptQError) {
    if value < 0 || value > (isOfGroup ? 0 : most) {
      let expected = isOfGroup ? "0 for a group" : "0 to \(most)"
      throw .invalidArgument("adaptq_power_budget.\(field) is \(value); expected \(expected)")
    }
  }
  try time(wanted.window_ns, "window_ns")
  try time(wanted.max_wait_ns, "max_wait_ns")
  try choice(wanted.mode, "mode", upTo: ADAPTQ_POWER_LEAST_ENERGY)
  try choice(wanted.attribution, "attribution", upTo: ADAPTQ_ATTRIBUTE_MODEL)
  if isOfGroup && wanted.max_wait_ns != 0 {
    throw .invalidArgument("adaptq_power_budget.max_wait_ns is \(wanted.max_wait_ns); expected 0 for a group")
  }
  if isOfGroup && wanted.thread_mw != 0 {
    throw .invalidArgument("adaptq_power_budget.thread_mw is \(wanted.thread_mw); expected 0 for a group")
  }
  terms.prefersLeastEnergy = wanted.mode == ADAPTQ_POWER_LEAST_ENERGY
  terms.attribution = PowerAttribution(rawValue: UInt8(truncatingIfNeeded: wanted.attribution)) ?? .packages
  terms.maximumWaitNanoseconds = Int(wanted.max_wait_ns)
  if wanted.window_ns != 0 { terms.windowNanoseconds = Double(wanted.window_ns) }
  if terms.isEmpty {
    throw .invalidArgument("adaptq_power_budget.power_mw and energy_mj are 0; NULL removes a budget")
  }
  if terms.activeMilliwatts == 0 && terms.threadMilliwatts == 0 && terms.picojoulesPerMAC == 0
    && terms.picojoulesPerByte == 0
  {
    throw .invalidArgument(
      "adaptq_power_budget: active_mw, thread_mw, pj_per_mac and pj_per_byte are 0, so nothing takes energy")
  }
  return terms
}
