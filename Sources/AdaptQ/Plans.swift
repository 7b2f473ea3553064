import Base
import CAdaptQ
import Graph
import NestedFormat
import Runtime

// What a session's budget chooses from, and how good it must be.

@c @implementation public func adaptq_session_plans(
  _ session: OpaquePointer?, _ plans: UnsafeMutablePointer<adaptq_plan_info>?, _ capacity: Int,
  _ count: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let session = object.session
      let count = try required(count, "count")
      if !session.isPrepared { throw notPrepared() }
      let needed = session.ladder.count
      if capacity < needed {
        count.pointee = needed
        throw AdaptQError(.bufferTooSmall, "capacity is \(UInt(bitPattern: capacity)), needs \(needed)")
      }
      let target = try StructArray(
        UnsafePointer(plans), count: needed, "adaptq_plan_info", parameter: "plans", firstSize: FirstSize.planInfo,
        checkingAll: false)
      let steps = session.rungSteps
      for (index, rung) in session.ladder.enumerated() {
        target.write(planInfo(session, index, rung, isStep: steps[index]), at: index)
      }
      count.pointee = needed
    }
  }
}

private func planInfo(_ session: Session, _ index: Int, _ rung: Rung, isStep: Bool) -> adaptq_plan_info {
  var value = adaptq_plan_info()
  value.mean_cosine = rung.quality?.meanCosine ?? 0
  value.p5_cosine = rung.quality?.p5Cosine ?? 0
  value.latency_ns = Int64(clampedInt(session.expectedNanoseconds(rung: index), in: 0...Int(Int64.max)))
  value.level = Int32(rung.mainLevel.rawValue)
  value.is_mixed = rung.uniformLevel == nil ? 1 : 0
  value.is_step = isStep ? 1 : 0
  for (site, level) in zip(session.model.graph.sites, rung.levels) where site.kind == .linear {
    switch level {
    case .int2: value.sites_int2 += 1
    case .int4: value.sites_int4 += 1
    case .int6: value.sites_int6 += 1
    case .int8: value.sites_int8 += 1
    case .fp16: value.sites_fp16 += 1
    case .fp32: value.sites_fp32 += 1
    }
  }
  addQuality(&value, session.fullQuality(rung: index))
  return value
}

private func addQuality(_ value: inout adaptq_plan_info, _ quality: RungQuality) {
  value.mean_source = Int32(quality.known.meanSource.rawValue)
  value.p5_source = Int32(quality.known.p5Source.rawValue)
  if value.mean_source != 0 { value.floor_mean_cosine = quality.meanCosine }
  if value.p5_source != 0 { value.floor_p5_cosine = quality.p5Cosine }
  value.is_below_floor = quality.isBelowFloor ? 1 : 0
  value.shadow_samples = Int64(quality.shadowSamples)
  value.shadow_rows = Int64(quality.shadowRows)
  if let shadowed = quality.shadowed {
    value.shadow_mean_cosine = shadowed.meanCosine
    value.shadow_p5_cosine = shadowed.p5Cosine
    value.shadow_snr_db = decibels(shadowed.noise)
  }
  value.reports = Int64(quality.reports)
  value.reported_mean = quality.reportedMean
}

@c @implementation public func adaptq_session_plan_sites(
  _ session: OpaquePointer?, _ index: Int, _ levels: UnsafeMutablePointer<adaptq_level>?, _ count: Int
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let levels = try required(levels, "levels")
      let known = object.session.ladder.count
      if index < 0 || index >= known {
        throw AdaptQError(.outOfRange, "index \(UInt(bitPattern: index)): the session has \(known) plans")
      }
      let sites = object.session.ladder[index].levels
      if count != sites.count {
        throw .invalidArgument("count is \(UInt(bitPattern: count)); the model has \(sites.count) sites")
      }
      for (site, level) in sites.enumerated() { levels[site] = Int32(level.rawValue) }
    }
  }
}

// MARK: - Floor

@c @implementation public func adaptq_session_set_quality_floor(
  _ session: OpaquePointer?, _ mean: Double, _ p5: Double, _ report: UnsafeMutablePointer<adaptq_limit_report>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      try requireOption(mean, .meanFloor)
      try requireOption(p5, .p5Floor)
      var target: OutStruct<adaptq_limit_report>?
      if let report { target = try OutStruct(report, "adaptq_limit_report") }
      let outcome = object.session.setQualityFloor(mean: mean, p5: p5)
      try finish(outcome, target)
    }
  }
}

/// Writes the report and throws unless the limits were set.
func finish(
  _ outcome: Session.LimitOutcome, _ target: OutStruct<adaptq_limit_report>?, _ prefix: String = ""
) throws(AdaptQError) {
  var answer = adaptq_limit_report()
  switch outcome {
  case .meanUnreachable(let nearest): (answer.limit, answer.nearest) = (Int32(ADAPTQ_LIMIT_MEAN_COSINE), nearest)
  case .p5Unreachable(let nearest): (answer.limit, answer.nearest) = (Int32(ADAPTQ_LIMIT_P5_COSINE), nearest)
  case .energyUnreachable(let nearest): (answer.limit, answer.nearest) = (Int32(ADAPTQ_LIMIT_ENERGY), nearest)
  case .powerUnreachable(let nearest): (answer.limit, answer.nearest) = (Int32(ADAPTQ_LIMIT_POWER), nearest)
  case .latencyUnreachable(let nearest): (answer.limit, answer.nearest) = (Int32(ADAPTQ_LIMIT_LATENCY), Double(nearest))
  case .unknownQuality, .notInSession: throw limitError(outcome, prefix)
  case .set: break
  }
  if let target { target.write(answer) }
  if outcome != .set { throw limitError(outcome, prefix) }
}

/// What a change of limits that was refused is called.
@inline(never)
func limitError(_ outcome: Session.LimitOutcome, _ prefix: String) -> AdaptQError {
  switch outcome {
  case .meanUnreachable(let nearest):
    .unsupported("\(prefix)mean_cosine cannot hold, the best allowed plan has \(nearest)")
  case .p5Unreachable(let nearest):
    .unsupported("\(prefix)p5_cosine cannot hold, of the allowed plans with this mean the best one has \(nearest)")
  case .energyUnreachable(let nearest):
    .unsupported(
      "\(prefix)energy_mj cannot hold, the cheapest plan that is left takes \(nearest) mJ at the largest prepared size")
  case .powerUnreachable(let nearest):
    .unsupported("\(prefix)power_mw cannot hold, static_mw alone is \(nearest)")
  case .latencyUnreachable(let nearest):
    .unsupported("\(prefix)latency_ns cannot hold, the fastest allowed plan takes \(nearest) here")
  case .unknownQuality:
    AdaptQError(.notFound, "\(prefix)the file stores no plans, so the quality of its levels is not known (adaptq tune)")
  case .set, .notInSession: .internalError("limits: \(outcome)")
  }
}
