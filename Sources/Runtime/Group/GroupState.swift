import CMachine
import Control
import Kernels
import NestedFormat

/// One frame that has ended.
public struct FrameReport: BitwiseCopyable, Sendable {
  /// Counts the frames of the group from 1.
  public var sequence: UInt64 = 0
  public var latencyNanoseconds = 0
  /// Of these inside ``GroupHandle/multiply(_:_:)``.
  public var multiplyNanoseconds = 0
  /// 0 for none.
  public var budgetNanoseconds = 0
  /// Index of the plan; -1 where a fixed level is none.
  public var plan = -1
  public var reason = DecisionReason.initial
  public var budgetMissed = false
  public var planChanged = false
  public var budgetUnreachable = false
  public var power = PowerOutcome()
  /// 0 for none.
  public var deadlineNanoseconds = 0
  public var deadlineMissed = false
  /// Products at a lower level than ``plan`` gives their matrix.
  public var droppedProducts = 0

  public init() {}
}

/// What a group keeps between frames, in raw memory. Setters write the words of the mailbox at any time; everything else
/// belongs to the call in progress.
struct GroupState: BitwiseCopyable {
  /// The budget as ``SessionState`` packs it; bits of the fixed level, 0 for automatic; the words of power; nanoseconds of the
  /// deadline, 0 for none.
  static let deadlineWord = 2 + PowerMailbox.wordCount
  static let mailboxWords = deadlineWord + 1
  var mailbox: UnsafeMutablePointer<UInt64>
  var appliedBudget: UInt64 = 0
  var controller: LatencyController
  var matrices: UnsafeMutablePointer<MatrixHandle>
  var count: Int
  /// `[planCount][count]`, best first: what the controller's rungs are.
  var plans: UnsafeMutablePointer<UInt8>
  var planCount: Int
  /// Levels of the frame in progress.
  var levels: UnsafeMutablePointer<UInt8>
  var maximumRows: Int
  /// For the largest product of the group with that many rows.
  var workspace: UnsafeMutableRawPointer
  var power: PowerControl
  var deadline: FrameDeadline
  /// Rising numbers of rows that costs were measured with.
  var sizes: InlineArray<4, Int>
  var sizeCount: Int

  // MARK: The frame in progress
  var isOpen = false
  var start = 0
  var rows = 0
  var report = FrameReport()
  /// The frame has a deadline, and its levels are not fixed.
  var isWatched = false
  /// Where ``levels`` come from.
  var plan = -1
  var lastPlan = Int.min
  var sequence: UInt64 = 0
  /// Whether ``LatencyController/hostNanoseconds`` has been seen.
  var knowsHost = false
}

/// A group as the run path sees it: one pointer. Lives as long as the group.
public struct GroupHandle: BitwiseCopyable, @unchecked Sendable {
  let state: UnsafeMutablePointer<GroupState>

  @inline(__always) public var count: Int { state.pointee.count }
  @inline(__always) public var maximumRows: Int { state.pointee.maximumRows }
  @inline(__always) public var isOpen: Bool { state.pointee.isOpen }
  @inline(__always) public func matrix(_ index: Int) -> MatrixHandle { state.pointee.matrices[index] }
  /// The level of a matrix in the frame in progress, or in the last one.
  @inline(__always) public func level(_ index: Int) -> Level { Level(rawValue: state.pointee.levels[index]) ?? .int8 }

  // MARK: - Run path: no allocation, no lock, no system call (the clock is read through the vDSO)

  /// Begins a frame: chooses the level of every matrix. No frame is open.
  ///
  /// - Parameter rows: what the frame's products will have, 1 to ``maximumRows``.
  public func begin(rows: Int) {
    state.pointee.start = monotonicNanoseconds()
    cmachine_watch_interruption()
    state.pointee.rows = rows
    state.pointee.report = FrameReport()
    let deadline = Int(truncatingIfNeeded: cmachine_atomic_load(state.pointee.mailbox + GroupState.deadlineWord))
    state.pointee.report.deadlineNanoseconds = deadline
    state.pointee.isWatched = false
    applyMailbox()
    let fixed = UInt8(truncatingIfNeeded: cmachine_atomic_load(state.pointee.mailbox + 1))
    if fixed != 0 {
      state.pointee.report.reason = .fixed
      state.pointee.report.plan = plan(allAt: fixed)
      for index in 0..<count { state.pointee.levels[index] = fixed }
    } else {
      let decision = state.pointee.controller.decide(work: rows)
      var plan = min(max(decision.rung, 0), state.pointee.planCount &- 1)
      state.pointee.report.reason = decision.reason
      choosePower(&plan)
      if deadline > 0 { watch(deadline, &plan) }
      state.pointee.plan = plan
      state.pointee.report.budgetUnreachable = decision.budgetUnreachable
      state.pointee.report.plan = plan
      state.pointee.levels.update(from: state.pointee.plans + plan &* count, count: count)
    }
    state.pointee.isOpen = true
  }

  /// The level of the next product of the open frame, with matrix `index`: that of the plan, or what the deadline has left of it.
  @inline(__always)
  public func chooseLevel(_ index: Int) -> Level {
    if state.pointee.isWatched {
      let plan = state.pointee.deadline.before(index, time: monotonicNanoseconds())
      if plan != state.pointee.plan {
        state.pointee.plan = plan
        state.pointee.report.reason = .deadline
        state.pointee.levels.update(from: state.pointee.plans + plan &* count, count: count)
      }
    }
    return level(index)
  }

  /// One product of the open frame; `call.level` is what ``chooseLevel(_:)`` has just said, and its rows are at most
  /// ``maximumRows``.
  public func multiply(_ index: Int, _ call: MatrixCall) {
    let start = monotonicNanoseconds()
    state.pointee.matrices[index].multiply(call, workspace: state.pointee.workspace)
    let elapsed = monotonicNanoseconds() &- start
    state.pointee.report.multiplyNanoseconds &+= elapsed
    if state.pointee.isWatched { state.pointee.deadline.after(index, nanoseconds: elapsed) }
  }

  /// Ends the open frame and tells the controller how long it took.
  public func end() -> FrameReport {
    let latency = monotonicNanoseconds() &- state.pointee.start
    let interruption = cmachine_was_interrupted()
    state.pointee.isOpen = false
    let plan = state.pointee.report.plan
    let budget = state.pointee.controller.configuration.budgetNanoseconds
    state.pointee.report.latencyNanoseconds = latency
    state.pointee.report.budgetNanoseconds = budget ?? 0
    state.pointee.report.budgetMissed = budget.map { latency > $0 } ?? false
    state.pointee.report.planChanged = plan != state.pointee.lastPlan
    state.pointee.lastPlan = plan
    let deadline = state.pointee.report.deadlineNanoseconds
    state.pointee.report.deadlineMissed = deadline > 0 && latency > deadline
    var expectedShare = 1.0
    if state.pointee.isWatched {
      let host = state.pointee.controller.hostNanoseconds
      expectedShare = state.pointee.deadline.finish(time: state.pointee.start &+ latency, host: host)
      state.pointee.report.droppedProducts = state.pointee.deadline.droppedCount
    }
    state.pointee.sequence &+= 1
    state.pointee.report.sequence = state.pointee.sequence
    if plan >= 0 {
      learnHost(latency &- state.pointee.report.multiplyNanoseconds)
      state.pointee.controller.observe(
        rung: plan, work: state.pointee.rows, latencyNanoseconds: latency,
        wasInterrupted: interruption < 0 ? nil : interruption > 0, expectedShare: expectedShare)
      if state.pointee.power.governor.hasBudget {
        state.pointee.power.observe(rung: plan, work: state.pointee.rows, &state.pointee.report.power)
      }
    }
    return state.pointee.report
  }

  /// Ends the open frame as if it had not been.
  public func abandon() { state.pointee.isOpen = false }

  /// Of the plans that latency leaves, the best that power and energy allow.
  @inline(__always)
  private func choosePower(_ plan: inout Int) {
    state.pointee.power.applyMailbox()
    if !state.pointee.power.governor.hasBudget { return }
    let chosen = state.pointee.power.choose(
      plan, offer: RungOffer(UInt64.max << UInt64(plan)), time: state.pointee.start, work: state.pointee.rows,
      &state.pointee.report.power)
    if chosen > plan {
      plan = chosen
      state.pointee.report.reason = .power
    }
  }

  /// Begins to watch the deadline; the frame begins at a plan that is predicted to hold it.
  @inline(__always)
  private func watch(_ deadline: Int, _ plan: inout Int) {
    let rows = state.pointee.rows
    var size = 0
    // As a ratio: numbers of rows differ by factors.
    for other in 1..<max(state.pointee.sizeCount, 1) {
      let (low, high) = (state.pointee.sizes[size], state.pointee.sizes[other])
      if rows > low && Double(rows) * Double(rows) > Double(low) * Double(high) { size = other }
    }
    let measured = state.pointee.controller.measuredNanoseconds(rung: plan, work: state.pointee.sizes[size])
    let scale = state.pointee.controller.measuredNanoseconds(rung: plan, work: rows) / max(measured, 1)
    let slowdown = state.pointee.controller.slowdown
    state.pointee.deadline.begin(
      rung: plan, size: size, scale: scale, start: state.pointee.start, deadline: deadline, slowdown: slowdown,
      host: state.pointee.controller.hostNanoseconds * slowdown)
    state.pointee.isWatched = true
    if state.pointee.deadline.firstRung == plan { return }
    plan = state.pointee.deadline.firstRung
    state.pointee.report.reason = .deadline
  }

  /// What the host does between products costs the same whatever the levels: it is no part of what a plan saves. Unknown where
  /// the products are not made through the group.
  @inline(__always)
  private func learnHost(_ nanoseconds: Int) {
    if state.pointee.report.multiplyNanoseconds == 0 { return }
    let own = Double(max(nanoseconds, 0)) / state.pointee.controller.slowdown
    let known = state.pointee.controller.hostNanoseconds
    state.pointee.controller.hostNanoseconds = state.pointee.knowsHost ? known + (own - known) * 0.1 : own
    state.pointee.knowsHost = true
  }

  @inline(__always)
  private func plan(allAt level: UInt8) -> Int {
    for plan in 0..<state.pointee.planCount {
      var isUniform = true
      for index in 0..<count where state.pointee.plans[plan &* count &+ index] != level { isUniform = false }
      if isUniform { return plan }
    }
    return -1
  }

  @inline(__always)
  private func applyMailbox() {
    let budget = cmachine_atomic_load(state.pointee.mailbox)
    if budget == state.pointee.appliedBudget { return }
    state.pointee.appliedBudget = budget
    state.pointee.controller.setBudget(word: budget)
  }
}
