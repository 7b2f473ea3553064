import Base
import CAdaptQ
import NestedFormat
import Runtime

/// A group handle.
final class GroupObject: HandleObject, @unchecked Sendable {
  static let handleKind = HandleKind.group

  let group: MatrixGroup
  let run: GroupHandle

  init(_ group: MatrixGroup) {
    self.group = group
    run = group.handle
  }
}

private let largestGroup = 65_536

@c @implementation public func adaptq_group_create(
  _ runtime: OpaquePointer?, _ matrices: UnsafePointer<OpaquePointer?>?, _ count: Int,
  _ options: UnsafePointer<adaptq_group_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> adaptq_status {
  guardedNewHandle(out) { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (runtime) throws(AdaptQError) in
      var wanted = adaptq_group_options()
      try readOptions(options, "adaptq_group_options", into: &wanted)
      let allowed = try allowedLevels(wanted.allowed_levels, .groupLevels)
      if wanted.reserved != 0 { throw .invalidArgument("adaptq_group_options.reserved is \(wanted.reserved), not 0") }
      try requireOption(wanted.max_rows, .groupMaxRows)
      try requireOption(wanted.measure_ns, .groupMeasureTime)
      if count == 0 { throw .invalidArgument("count is 0: a group needs a matrix") }
      if count < 0 || count > largestGroup {
        throw AdaptQError(.outOfRange, "count is \(UInt(bitPattern: count)); expected 1 to \(largestGroup)")
      }
      let list = try required(matrices, "matrices")
      var objects: [Matrix] = []
      for index in 0..<count {
        let bits = UnsafeRawPointer(list).loadUnaligned(fromByteOffset: index * 8, as: UInt.self)
        try withHandle(OpaquePointer(bitPattern: bits), as: MatrixObject.self) { (object) throws(AdaptQError) in
          objects.append(object.matrix)
        }
      }
      let group = try MatrixGroup(
        objects, allowed: allowed ?? Level.allCases, rows: wanted.max_rows == 0 ? 1 : Int(wanted.max_rows),
        importance: try importance(wanted.importance, count),
        measureNanoseconds: wanted.measure_ns == 0 ? nil : Int(wanted.measure_ns), calls: runtime.calls)
      runtime.log.info(
        "group of \(count) matrices: \(group.plans.count) plans, \(group.plans.first?.nanoseconds ?? 0) to "
          + "\(group.plans.last?.nanoseconds ?? 0) ns")
      return GroupObject(group)
    }
  }
}

private func importance(_ values: UnsafePointer<Double>?, _ count: Int) throws(AdaptQError) -> [Double]? {
  guard let values else { return nil }
  var result: [Double] = []
  for index in 0..<count {
    let value = UnsafeRawPointer(values + index).loadUnaligned(as: Double.self)
    if !(value > 0 && value <= 1e100) {
      throw .invalidArgument("adaptq_group_options.importance[\(index)] is \(value); expected above 0, up to 1e100")
    }
    result.append(value)
  }
  return result
}

@c @implementation public func adaptq_group_destroy(_ group: OpaquePointer?) -> adaptq_status {
  destroyHandle(group, as: GroupObject.self)
}

// MARK: - Setters and questions, any thread

@c @implementation public func adaptq_group_set_latency_budget(
  _ group: OpaquePointer?, _ nanoseconds: Int64, _ percentile: Double
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(group, as: GroupObject.self) { (object) throws(AdaptQError) in
      try requireOption(nanoseconds, .latency)
      if nanoseconds != 0 { try requireOption(percentile, .percentile) }
      try object.group.setLatencyBudget(nanoseconds: nanoseconds == 0 ? nil : Int(nanoseconds), percentile: percentile)
    }
  }
}

@c @implementation public func adaptq_group_set_deadline(_ group: OpaquePointer?, _ nanoseconds: Int64) -> adaptq_status
{
  guarded { () throws(AdaptQError) in
    try withHandle(group, as: GroupObject.self) { (object) throws(AdaptQError) in
      try requireOption(nanoseconds, .groupDeadline)
      object.group.setDeadline(nanoseconds: nanoseconds == 0 ? nil : Int(nanoseconds))
    }
  }
}

@c @implementation public func adaptq_group_set_power_budget(
  _ group: OpaquePointer?, _ budget: UnsafePointer<adaptq_power_budget>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(group, as: GroupObject.self) { (object) throws(AdaptQError) in
      object.group.setPowerTerms(try powerTerms(budget, isOfGroup: true))
    }
  }
}

@c @implementation public func adaptq_group_set_level(_ group: OpaquePointer?, _ level: adaptq_level) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(group, as: GroupObject.self) { (object) throws(AdaptQError) in
      try requireOption(Int64(level), .setLevel)
      try object.group.setLevel(try levelArgument(level, "level"))
    }
  }
}

@c @implementation public func adaptq_group_plans(
  _ group: OpaquePointer?, _ plans: UnsafeMutablePointer<adaptq_group_plan>?, _ capacity: Int,
  _ count: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(group, as: GroupObject.self) { (object) throws(AdaptQError) in
      let count = try required(count, "count")
      let known = object.group.plans
      if UInt(bitPattern: capacity) < UInt(known.count) {
        count.pointee = known.count
        throw AdaptQError(.bufferTooSmall, "capacity is \(UInt(bitPattern: capacity)), needs \(known.count)")
      }
      let target = try StructArray(
        UnsafePointer(plans), count: known.count, "adaptq_group_plan", parameter: "plans", checkingAll: false)
      for (index, plan) in known.enumerated() {
        var value = adaptq_group_plan()
        value.cost_ns = Int64(plan.nanoseconds)
        value.noise_db = plan.decibels
        target.write(value, at: index)
      }
      count.pointee = known.count
    }
  }
}

@c @implementation public func adaptq_group_plan_levels(
  _ group: OpaquePointer?, _ plan: Int, _ levels: UnsafeMutablePointer<adaptq_level>?, _ count: Int
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(group, as: GroupObject.self) { (object) throws(AdaptQError) in
      let levels = try required(levels, "levels")
      let plans = object.group.plans
      if UInt(bitPattern: plan) >= UInt(plans.count) {
        throw AdaptQError(.outOfRange, "plan is \(UInt(bitPattern: plan)); the group has \(plans.count)")
      }
      try requireMatrixCount(count, object.run)
      for (index, level) in plans[plan].levels.enumerated() { levels[index] = Int32(level.rawValue) }
    }
  }
}

// MARK: - Frames: the run path

@c @implementation public func adaptq_group_begin(
  _ group: OpaquePointer?, _ rows: Int64, _ levels: UnsafeMutablePointer<adaptq_level>?, _ count: Int
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(group, as: GroupObject.self, \.run) { (run) throws(AdaptQError) in
      if rows < 0 || rows > Int64(run.maximumRows) { throw frameRowsError(rows, run.maximumRows) }
      if levels != nil || count != 0 {
        try requireMatrixCount(count, run)
        if levels == nil { throw .invalidArgument("levels is NULL") }
      }
      if run.isOpen { throw openFrameError() }
      run.begin(rows: rows == 0 ? run.maximumRows : Int(rows))
      if let levels {
        for index in 0..<run.count { levels[index] = Int32(run.level(index).rawValue) }
      }
    }
  }
}

@c @implementation public func adaptq_group_multiply(
  _ group: OpaquePointer?, _ index: Int, _ multiply: UnsafePointer<adaptq_multiply>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(group, as: GroupObject.self, \.run) { (run) throws(AdaptQError) in
      let multiply = try required(multiply, "multiply")
      var wanted = adaptq_multiply()
      try readStruct(multiply, "adaptq_multiply", into: &wanted)
      if UInt(bitPattern: index) >= UInt(run.count) { throw matrixIndexError(index, run.count) }
      if !run.isOpen { throw noFrameError() }
      if wanted.level != ADAPTQ_LEVEL_AUTO { throw groupLevelError(wanted.level) }
      if wanted.workspace != nil || wanted.workspace_size != 0 { throw groupWorkspaceError() }
      wanted.level = Int32(run.chooseLevel(index).rawValue)
      let call = try checkedCall(wanted, run.matrix(index))
      if call.rows > run.maximumRows { throw groupRowsError(call.rows, run.maximumRows) }
      run.multiply(index, call)
    }
  }
}

@c @implementation public func adaptq_group_end(
  _ group: OpaquePointer?, _ report: UnsafeMutablePointer<adaptq_frame_report>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(group, as: GroupObject.self, \.run) { (run) throws(AdaptQError) in
      guard let report else {
        if !run.isOpen { throw noFrameError() }
        _ = run.end()
        return
      }
      let target = try OutStruct(report, "adaptq_frame_report", firstSize: FirstSize.frameReport)
      if !run.isOpen { throw noFrameError() }
      let frame = run.end()
      var value = adaptq_frame_report()
      value.sequence = frame.sequence
      value.latency_ns = Int64(frame.latencyNanoseconds)
      value.multiply_ns = Int64(frame.multiplyNanoseconds)
      value.budget_ns = Int64(frame.budgetNanoseconds)
      value.plan = Int32(truncatingIfNeeded: frame.plan)
      value.reason = Int32(frame.reason.rawValue) &+ 1
      value.budget_missed = frame.budgetMissed ? 1 : 0
      value.plan_changed = frame.planChanged ? 1 : 0
      value.budget_unreachable = frame.budgetUnreachable ? 1 : 0
      value.power_unreachable = frame.power.isUnreachable ? 1 : 0
      value.energy_mj = frame.power.nanojoules * 1e-6
      value.recommended_interval_ns = Int64(frame.power.recommendedIntervalNanoseconds)
      value.deadline_ns = Int64(frame.deadlineNanoseconds)
      value.deadline_missed = frame.deadlineMissed ? 1 : 0
      value.dropped_products = Int32(clamping: frame.droppedProducts)
      target.write(value)
    }
  }
}

@c @implementation public func adaptq_group_abandon(_ group: OpaquePointer?) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(group, as: GroupObject.self, \.run) { (run) throws(AdaptQError) in run.abandon() }
  }
}

// MARK: - Errors

@inline(__always)
private func requireMatrixCount(_ count: Int, _ run: GroupHandle) throws(AdaptQError) {
  if count != run.count { throw matrixCountError(count, run.count) }
}

@inline(never)
private func matrixCountError(_ count: Int, _ known: Int) -> AdaptQError {
  .invalidArgument("count is \(UInt(bitPattern: count)); the group has \(known) matrices")
}

@inline(never)
private func matrixIndexError(_ index: Int, _ known: Int) -> AdaptQError {
  AdaptQError(.outOfRange, "index is \(UInt(bitPattern: index)); the group has \(known) matrices")
}

@inline(never)
private func frameRowsError(_ rows: Int64, _ maximum: Int) -> AdaptQError {
  AdaptQError(.outOfRange, "rows is \(rows); the group was made for up to \(maximum)")
}

@inline(never)
private func groupRowsError(_ rows: Int, _ maximum: Int) -> AdaptQError {
  AdaptQError(.outOfRange, "adaptq_multiply.rows is \(rows); the group was made for up to \(maximum)")
}

@inline(never)
private func openFrameError() -> AdaptQError { AdaptQError(.busy, "adaptq_group: a frame is open") }

@inline(never)
private func noFrameError() -> AdaptQError { .invalidArgument("adaptq_group: no frame is open") }

@inline(never)
private func groupLevelError(_ level: adaptq_level) -> AdaptQError {
  .invalidArgument("adaptq_multiply.level is \(level); the group chooses it, expected ADAPTQ_LEVEL_AUTO")
}

@inline(never)
private func groupWorkspaceError() -> AdaptQError {
  .invalidArgument("adaptq_multiply.workspace: a group has its own, expected NULL and workspace_size 0")
}
