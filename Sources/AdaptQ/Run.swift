import Base
import CAdaptQ
import Control
import NestedFormat
import Runtime

@c @implementation public func adaptq_session_run(
  _ session: OpaquePointer?, _ inputs: UnsafePointer<adaptq_tensor>?, _ inputCount: Int,
  _ outputs: UnsafePointer<adaptq_tensor>?, _ outputCount: Int, _ options: UnsafePointer<adaptq_run_options>?,
  _ report: UnsafeMutablePointer<adaptq_run_report>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self, \.run) { (run) throws(AdaptQError) in
      if !run.isPrepared { throw notPrepared() }
      if inputCount != run.inputCount { throw countError(inputCount, run.inputCount, "n_inputs") }
      if outputCount != run.outputCount { throw countError(outputCount, run.outputCount, "n_outputs") }
      let inputArray = try StructArray(
        inputs, count: inputCount, "adaptq_tensor", parameter: "inputs", firstSize: FirstSize.tensor)
      let outputArray = try StructArray(
        outputs, count: outputCount, "adaptq_tensor", parameter: "outputs", firstSize: FirstSize.tensor)
      let (callLevel, maximumThreads, deadline) = try readRunOptions(options, run)
      var target: OutStruct<adaptq_run_report>?
      if let report { target = try OutStruct(report, "adaptq_run_report", firstSize: FirstSize.runReport) }
      try run.setInputSizes(inputArray)
      try run.bindInputs(inputArray, target)
      try run.bindOutputs(outputArray, target)
      let result = run.run(callLevel: callLevel, maximumThreads: maximumThreads, deadline: deadline)
      if result.outcome.kind != .done { throw outcomeError(result.outcome, run) }
      if let target { write(result, to: target) }
    }
  }
}

@inline(__always)
private func write(_ result: RunReport, to target: OutStruct<adaptq_run_report>) {
  var value = adaptq_run_report()
  value.sequence = result.sequence
  value.latency_ns = Int64(result.latencyNanoseconds)
  value.budget_ns = Int64(result.budgetNanoseconds)
  value.level = Int32(result.level.rawValue)
  value.reason = Int32(result.reason.rawValue) &+ 1
  value.budget_missed = result.budgetMissed ? 1 : 0
  value.level_changed = result.levelChanged ? 1 : 0
  value.budget_unreachable = result.budgetUnreachable ? 1 : 0
  value.plan = Int32(truncatingIfNeeded: result.rung)
  value.deadline_missed = result.deadlineMissed ? 1 : 0
  value.dropped_sites = Int32(truncatingIfNeeded: result.droppedSites)
  value.power_unreachable = result.power.isUnreachable ? 1 : 0
  value.energy_source = Int32(result.power.source.rawValue)
  value.energy_mj = result.power.nanojoules * 1e-6
  value.recommended_interval_ns = Int64(result.power.recommendedIntervalNanoseconds)
  value.waited_ns = Int64(result.power.waitedNanoseconds)
  value.quality_source = Int32(result.quality.meanSource.rawValue)
  if value.quality_source != 0 { value.mean_cosine = CosineSteps.cosine(result.quality.mean) }
  value.threads = Int32(truncatingIfNeeded: result.threads)
  target.write(value)
}

/// Bits of the level for this call, 0 for automatic; most threads for this call, 0 for all; deadline in nanoseconds, 0 for none.
@inline(__always)
private func readRunOptions(
  _ options: UnsafePointer<adaptq_run_options>?, _ run: RunHandle
) throws(AdaptQError) -> (level: UInt8, maximumThreads: Int, deadline: Int) {
  guard let options else { return (0, 0, 0) }
  var wanted = adaptq_run_options()
  try readStruct(options, "adaptq_run_options", firstSize: FirstSize.runOptions, into: &wanted)
  try requireOption(wanted.deadline_ns, .deadline)
  try requireOption(Int64(wanted.level), .runLevel)
  try requireOption(Int64(wanted.max_threads), .maximumThreads)
  if wanted.level == ADAPTQ_LEVEL_AUTO { return (0, Int(wanted.max_threads), Int(wanted.deadline_ns)) }
  let level = UInt8(truncatingIfNeeded: wanted.level)
  if Int32(level) != wanted.level || !run.hasLevel(level) { throw callLevelError(wanted.level) }
  return (level, Int(wanted.max_threads), Int(wanted.deadline_ns))
}

@inline(never)
private func callLevelError(_ value: adaptq_level) -> AdaptQError {
  do throws(AdaptQError) {
    let level = try levelArgument(value, "adaptq_run_options.level")
    return .unsupported("adaptq_run_options.level \(level?.name ?? "AUTO") is not allowed in this session")
  } catch {
    return error
  }
}

/// Nil for ADAPTQ_LEVEL_AUTO.
func levelArgument(_ value: adaptq_level, _ field: StaticString) throws(AdaptQError) -> Level? {
  if value == ADAPTQ_LEVEL_AUTO { return nil }
  guard let raw = UInt8(exactly: value), let level = Level(rawValue: raw) else {
    throw .invalidArgument("\(field) is \(value); expected 0, 2, 4, 6, 8, 16 or 32")
  }
  return level
}
