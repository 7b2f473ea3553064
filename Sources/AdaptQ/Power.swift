import Base
import CAdaptQ
import Runtime

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
      let state = object.poll()
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
      target.write(value)
    }
  }
}

/// NULL gives terms without a budget.
func powerTerms(_ budget: UnsafePointer<adaptq_power_budget>?) throws(AdaptQError) -> PowerTerms {
  var terms = PowerTerms()
  guard let budget else { return terms }
  var wanted = adaptq_power_budget()
  try readStruct(budget, "adaptq_power_budget", into: &wanted)
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
  if wanted.window_ns < 0 || wanted.window_ns >= 1 << 50 {
    throw AdaptQError(
      .outOfRange, "adaptq_power_budget.window_ns is \(wanted.window_ns); expected 0 to \((Int64(1) << 50) - 1)")
  }
  if wanted.window_ns != 0 { terms.windowNanoseconds = Double(wanted.window_ns) }
  if terms.capMilliwatts == 0 && terms.maximumMillijoules == 0 {
    throw .invalidArgument("adaptq_power_budget.power_mw and energy_mj are 0; NULL removes a budget")
  }
  if terms.activeMilliwatts == 0 && terms.picojoulesPerMAC == 0 && terms.picojoulesPerByte == 0 {
    throw .invalidArgument("adaptq_power_budget: active_mw, pj_per_mac and pj_per_byte are 0, so nothing takes energy")
  }
  return terms
}
