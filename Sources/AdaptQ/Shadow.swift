import Base
import CAdaptQ
import Glibc
import Graph
import Runtime

// What a session learns about quality while its host runs.

@c @implementation public func adaptq_session_shadow(
  _ session: OpaquePointer?, _ inputs: UnsafePointer<adaptq_tensor>?, _ inputCount: Int,
  _ options: UnsafePointer<adaptq_shadow_options>?, _ report: UnsafeMutablePointer<adaptq_shadow_report>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self, \.run) { (run) throws(AdaptQError) in
      if !run.isPrepared { throw notPrepared() }
      if !run.allowsShadows {
        throw .unsupported("the session was created without adaptq_session_options.shadow")
      }
      var wanted = adaptq_shadow_options()
      try readOptions(options, "adaptq_shadow_options", into: &wanted)
      try requireOption(Int64(wanted.plan), .shadowPlan)
      try requireOption(Int64(wanted.max_threads), .shadowThreads)
      try requireOption(Int64(wanted.forget), .shadowForget)
      let plan = Int(wanted.plan)
      if plan >= run.rungCount { throw planError("adaptq_shadow_options.plan", plan, run.rungCount) }
      var target: OutStruct<adaptq_shadow_report>?
      if let report { target = try OutStruct(report, "adaptq_shadow_report") }
      let isGiven = inputs != nil || inputCount != 0
      if isGiven {
        if inputCount != run.inputCount { throw countError(inputCount, run.inputCount, "n_inputs") }
        let tensors = try StructArray(
          inputs, count: inputCount, "adaptq_tensor", parameter: "inputs", firstSize: FirstSize.tensor)
        try run.setInputSizes(tensors)
        try run.bindInputs(tensors, nil)
      } else if !run.hasKeptInputs {
        throw AdaptQError(.notFound, "inputs: none given, and none kept of a run that succeeded")
      }
      if wanted.forget != 0 { run.forgetShadows() }
      let result = run.shadow(rung: plan, isGiven: isGiven, maximumThreads: Int(wanted.max_threads))
      if result.outcome.kind != .done { throw outcomeError(result.outcome, run) }
      if let target { write(result, to: target) }
    }
  }
}

private func write(_ result: ShadowReport, to target: OutStruct<adaptq_shadow_report>) {
  var value = adaptq_shadow_report()
  value.plan = Int32(truncatingIfNeeded: result.rung)
  value.rows = Int64(result.rows)
  value.mean_cosine = result.meanCosine
  value.snr_db = decibels(result.noise)
  value.samples = Int64(truncatingIfNeeded: result.samples)
  value.latency_ns = Int64(result.nanoseconds)
  value.reference_ns = Int64(result.referenceNanoseconds)
  value.plan_ns = Int64(result.rungNanoseconds)
  target.write(value)
}

/// Of a ratio of noise to signal; at most 300.
func decibels(_ noise: Double) -> Double { noise > 1e-30 ? -10 * log10(noise) : 300 }

@inline(never)
private func planError(_ field: StaticString, _ plan: Int, _ count: Int) -> AdaptQError {
  AdaptQError(.outOfRange, "\(field) is \(plan): the session has \(count) plans")
}

@c @implementation public func adaptq_session_report_quality(
  _ session: OpaquePointer?, _ plan: Int32, _ score: Double
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let count = object.session.ladder.count
      if plan < 0 || Int(plan) >= count { throw planError("plan", Int(plan), count) }
      try requireOption(score, .score)
      object.session.reportQuality(rung: Int(plan), score: score)
    }
  }
}

@c @implementation public func adaptq_session_drift(
  _ session: OpaquePointer?, _ sites: UnsafeMutablePointer<adaptq_site_drift>?, _ capacity: Int,
  _ count: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let count = try required(count, "count")
      let needed = object.session.model.graph.sites.count
      if capacity < needed {
        count.pointee = needed
        throw AdaptQError(.bufferTooSmall, "capacity is \(UInt(bitPattern: capacity)), needs \(needed)")
      }
      let target = try StructArray(
        UnsafePointer(sites), count: needed, "adaptq_site_drift", parameter: "sites", checkingAll: false)
      for site in 0..<needed { target.write(siteDrift(object.session.drift(site: site)), at: site) }
      count.pointee = needed
    }
  }
}

private func siteDrift(_ drift: SiteDrift) -> adaptq_site_drift {
  var value = adaptq_site_drift()
  if let range = drift.calibrated {
    value.calibrated_rows = Int64(range.rows)
    value.calibrated_mean = range.mean
    value.calibrated_deviation = range.deviation
    value.calibrated_least = range.least
    value.calibrated_greatest = range.greatest
  }
  if let range = drift.observed {
    value.observed_rows = Int64(range.rows)
    value.observed_mean = range.mean
    value.observed_deviation = range.deviation
    value.observed_least = range.least
    value.observed_greatest = range.greatest
    value.ratio = drift.ratio
    value.rows_outside = Int64(drift.rowsOutside)
  }
  return value
}

@c @implementation public func adaptq_quality_source_name(_ source: Int32) -> UnsafePointer<CChar>? {
  switch Int(source) {
  case ADAPTQ_QUALITY_CALIBRATED: staticText("calibrated")
  case ADAPTQ_QUALITY_SHADOWED: staticText("shadowed")
  case ADAPTQ_QUALITY_REPORTED: staticText("host-reported")
  default: staticText("unknown")
  }
}
