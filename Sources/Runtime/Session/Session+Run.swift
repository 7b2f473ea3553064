import Base
import CMachine
import Control
import Glibc
import NestedFormat
import Telemetry

// The run path: no allocation, no lock, no system call but to wake workers (the clock is read through the vDSO).

/// Monotonic time in nanoseconds.
@inline(__always)
func monotonicNanoseconds() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return time.tv_sec &* 1_000_000_000 &+ time.tv_nsec
}

extension RunOutcome {
  @inline(__always)
  static func misfit(_ kind: Kind, _ tensor: Int, _ misfit: (position: Int, value: Int64)) -> RunOutcome {
    var outcome = RunOutcome()
    outcome.kind = kind
    outcome.site = tensor
    outcome.position = misfit.position
    outcome.index = misfit.value
    return outcome
  }
}

extension SessionState {
  /// One inference with the bound tensors and the symbols already set in the plan.
  ///
  /// - Parameters:
  ///   - callLevel: bits of a level for this call only; 0 for what the session says.
  ///   - maximumThreads: for this call only; 0 for all there are.
  ///   - deadline: nanoseconds within which to end; 0 for none.
  ///   - siteLevels: one level per site, for a run that the controller neither chooses nor learns from; nil otherwise.
  static func run(
    _ state: UnsafeMutablePointer<SessionState>, callLevel: UInt8, maximumThreads: Int, deadline: Int,
    siteLevels: UnsafePointer<UInt8>? = nil
  ) -> RunReport {
    state.pointee.control.begin()
    defer { state.pointee.control.end() }
    let waited =
      siteLevels == nil ? waitForPower(state, maximumThreads: maximumThreads, deadline: deadline) : 0
    let start = monotonicNanoseconds()
    cmachine_watch_interruption()
    // The host may have set another rounding mode or flush-to-zero: results must not depend on it.
    var outer = cmachine_floating()
    cmachine_enter_floating(&outer)
    var report = RunReport()
    report.power.waitedNanoseconds = waited
    var executor = ParallelExecutor.alone
    run(
      state, UnsafePointer(state.pointee.plan), callLevel, maximumThreads, start, deadline, siteLevels, &executor,
      &report)
    executor.release()
    cmachine_leave_floating(&outer)
    return report
  }

  @inline(__always)
  private static func run(
    _ state: UnsafeMutablePointer<SessionState>, _ plan: UnsafePointer<PlanContext>, _ callLevel: UInt8,
    _ maximumThreads: Int, _ start: Int, _ deadline: Int, _ siteLevels: UnsafePointer<UInt8>?,
    _ executor: inout ParallelExecutor, _ report: inout RunReport
  ) {
    applyMailbox(state)
    plan.pointee.resolveShapes()
    let full = plan.pointee.fullState
    if full >= 0 {
      report.outcome.kind = .stateFull
      report.outcome.site = full
      return
    }
    let work = plan.pointee.work
    var rung = -1
    var threads = ThreadUse(maximum: maximumThreads)
    if siteLevels == nil {
      let change = state.pointee.load.change(start)
      if change != 1 { state.pointee.controller.resume(change: change) }
      rung = chooseRung(state, callLevel, work, &report)
      threads = choosePower(
        state, &rung, work, start, maximumThreads: maximumThreads, deadline: deadline, &report)
    } else {
      report.isFixed = true
    }
    // A level that the host has fixed stays, whatever the time.
    var deadlineRun: UnsafeMutablePointer<DeadlineRun>?
    if deadline > 0 && !report.isFixed {
      deadlineRun = DeadlineRun.begin(state, rung: rung, work: work, start: start, deadline: deadline)
    }
    if let first = deadlineRun?.pointee.watch.firstRung, first != rung {
      rung = first
      report.reason = .deadline
    }
    let levels = siteLevels ?? UnsafePointer(state.pointee.ladder.levels(rung))
    plan.pointee.levels.update(from: levels, count: plan.pointee.siteCount)

    for index in 0..<plan.pointee.inputCount {
      let slot = plan.pointee.values + Int(plan.pointee.inputs[index])
      if let misfit = state.pointee.bindings[index].copyIn(slot) {
        report.outcome = .misfit(.inputValue, index, misfit)
        return
      }
    }
    state.pointee.shadow?.pointee.keep(plan)
    // Given back by the caller, whatever happens from here on.
    executor = state.pointee.executor.acquire(maximum: threads.maximum)
    report.threads = executor.width
    report.outcome = PlanContext.execute(plan, executor, deadline: deadlineRun)
    if report.outcome.kind != .done { return }
    let outputs = state.pointee.bindings + plan.pointee.inputCount
    for index in 0..<plan.pointee.outputCount {
      if let misfit = outputs[index].firstMisfit(plan.pointee.values + Int(plan.pointee.outputs[index])) {
        report.outcome = .misfit(.outputValue, index, misfit)
        return
      }
    }
    for index in 0..<plan.pointee.outputCount {
      outputs[index].copyOut(plan.pointee.values + Int(plan.pointee.outputs[index]))
    }
    // Nothing can fail any more: an unfinished run leaves every state as it was.
    plan.pointee.commitStates()
    if let shadow = state.pointee.shadow {
      shadow.pointee.isKept = true
      shadow.pointee.rung = rung
    }

    let latency = monotonicNanoseconds() &- start
    report.latencyNanoseconds = latency
    if rung < 0 { return }
    let budget = state.pointee.controller.configuration.budgetNanoseconds
    report.budgetNanoseconds = budget ?? 0
    report.budgetMissed = budget.map { latency > $0 } ?? false
    report.rung = rung
    report.level = Level(rawValue: state.pointee.ladder.rungs[rung].mainLevel) ?? .int8
    report.levelChanged = state.pointee.lastRung != rung
    report.quality = state.pointee.ladder.known(rung)
    state.pointee.lastRung = rung
    report.deadlineMissed = deadline > 0 && latency > deadline
    var expectedShare = threads.share
    if let deadlineRun {
      expectedShare = deadlineRun.pointee.watch.finish(time: start &+ latency)
      // Plans may mix: a lower one need not be lower everywhere.
      for site in 0..<plan.pointee.siteCount where plan.pointee.levels[site] < levels[site] {
        report.droppedSites &+= 1
      }
      if deadlineRun.pointee.watch.rung != rung { report.reason = .deadline }
    }
    state.pointee.controller.observe(
      rung: rung, work: work, latencyNanoseconds: latency,
      wasInterrupted: wasInterrupted(of: executor.width), expectedShare: expectedShare)
    if state.pointee.power.governor.hasBudget { state.pointee.power.observe(rung: rung, work: work, &report.power) }
    state.pointee.load.end(state.pointee.controller.slowdown, start &+ latency)
    record(state, plan, report, rung, work)
    report.sequence = state.pointee.ring.total
    if let telemetry = state.pointee.telemetry {
      let end = start &+ latency
      telemetry.append(facts(state, report, rung, work, end, deadline), levels: plan.pointee.levels)
    }
  }

  /// Whether the run lost its CPU: certain where this thread did, else known only if there is no other.
  @inline(__always)
  private static func wasInterrupted(of width: Int) -> Bool? {
    switch cmachine_was_interrupted() {
    case 1: true
    case 0: width == 1 ? false : nil
    default: nil
    }
  }

  @inline(__always)
  private static func applyMailbox(_ state: UnsafeMutablePointer<SessionState>) {
    let budget = cmachine_atomic_load(mailbox(state, 0))
    if budget != state.pointee.appliedBudget {
      state.pointee.appliedBudget = budget
      state.pointee.controller.setBudget(word: budget)
    }
    let limits = cmachine_atomic_load(mailbox(state, 2))
    let isNew = limits != state.pointee.appliedLimits || state.pointee.limitsAreNew
    let quality = state.pointee.ladder.quality.version
    if isNew || quality != state.pointee.appliedQuality {
      state.pointee.appliedLimits = limits
      state.pointee.appliedQuality = quality
      state.pointee.limitsAreNew = false
      let ladder = state.pointee.ladder
      let within = ladder.mask(RungLimits(word: limits), &state.pointee.gate, isNew: isNew)
      state.pointee.withinLimits = within
      let mask = ladder.steps(of: within, minimumGain: state.pointee.controller.configuration.minimumGain)
      try? state.pointee.controller.setAllowed(mask: mask)
    }
  }

  /// Word `index` of the mailbox: budget, level, limits.
  @inline(__always)
  static func mailbox(_ state: UnsafeMutablePointer<SessionState>, _ index: Int) -> UnsafeMutablePointer<UInt64> {
    state.pointee.mailbox + index
  }

  @inline(__always)
  private static func chooseRung(
    _ state: UnsafeMutablePointer<SessionState>, _ callLevel: UInt8, _ work: Int, _ report: inout RunReport
  ) -> Int {
    let fixed =
      callLevel != 0 ? callLevel : UInt8(truncatingIfNeeded: cmachine_atomic_load(mailbox(state, 1)))
    if fixed != 0 {
      let rung = state.pointee.ladder.uniform(fixed)
      if rung >= 0 {
        report.isFixed = true
        report.reason = .fixed
        return rung
      }
    }
    let decision = state.pointee.controller.decide(work: work)
    report.reason = decision.reason
    report.budgetUnreachable = decision.budgetUnreachable
    report.predictedNanoseconds = decision.predictedNanoseconds
    return min(max(decision.rung, 0), state.pointee.ladder.count &- 1)
  }

  @inline(__always)
  private static func record(
    _ state: UnsafeMutablePointer<SessionState>, _ plan: UnsafePointer<PlanContext>, _ report: RunReport, _ rung: Int,
    _ work: Int
  ) {
    let row = Int(truncatingIfNeeded: state.pointee.ring.total % UInt64(Session.telemetryCapacity))
    let count = state.pointee.siteCount
    (state.pointee.siteLevels + row &* count).update(from: plan.pointee.levels, count: count)
    var record = InferenceRecord(
      latencyNanoseconds: report.latencyNanoseconds,
      budgetNanoseconds: report.budgetNanoseconds == 0 ? nil : report.budgetNanoseconds, work: work, rung: rung,
      reason: report.reason)
    record.powerUnreachable = report.power.isUnreachable
    record.energySource = report.power.source
    record.nanojoules = Float(report.power.nanojoules)
    record.threads = Int32(truncatingIfNeeded: report.threads)
    record.recommendedIntervalNanoseconds = Int64(report.power.recommendedIntervalNanoseconds)
    state.pointee.ring.append(record)
  }

  @inline(__always)
  private static func facts(
    _ state: UnsafeMutablePointer<SessionState>, _ report: RunReport, _ rung: Int, _ work: Int, _ end: Int,
    _ deadline: Int
  ) -> RunFacts {
    var facts = RunFacts()
    facts.sequence = report.sequence
    facts.timeNanoseconds = Int64(end)
    facts.latencyNanoseconds = Int64(report.latencyNanoseconds)
    facts.budgetNanoseconds = Int64(report.budgetNanoseconds)
    facts.deadlineNanoseconds = Int64(deadline)
    facts.work = Int64(work)
    facts.rung = UInt16(truncatingIfNeeded: rung)
    let mixes = rung >= 0 && state.pointee.ladder.rungs[rung].uniform == 0
    facts.level = mixes ? 0 : report.level.rawValue
    facts.reason = report.reason
    facts.budgetMissed = report.budgetMissed
    facts.levelChanged = report.levelChanged
    facts.budgetUnreachable = report.budgetUnreachable
    facts.deadlineMissed = report.deadlineMissed
    facts.isFixed = report.isFixed
    facts.droppedSites = UInt32(truncatingIfNeeded: report.droppedSites)
    facts.predictedNanoseconds = Int64(report.predictedNanoseconds)
    if report.budgetNanoseconds > 0 {
      let percentile = state.pointee.controller.configuration.percentile
      facts.percentileHundredths = UInt32(truncatingIfNeeded: clampedInt(percentile * 100, in: 0...10000))
      facts.movingPercentileNanoseconds = Int64(state.pointee.controller.movingPercentileNanoseconds())
    }
    facts.qualitySource = report.quality.meanSource
    facts.p5Source = report.quality.p5Source
    if report.quality.meanSource != .unknown { facts.meanCosine = CosineSteps.cosine(report.quality.mean) }
    if report.quality.p5Source != .unknown { facts.p5Cosine = CosineSteps.cosine(report.quality.p5) }
    facts.rungsBelowFloor = state.pointee.gate.below
    facts.slowdown = state.pointee.controller.slowdown
    facts.multiplier = state.pointee.controller.multiplier
    let counters = state.pointee.controller.counters
    facts.runs = counters.runs
    facts.misses = counters.misses
    facts.unavoidableMisses = counters.unavoidableMisses
    facts.switches = counters.switches
    facts.nanojoules = report.power.nanojoules
    facts.energySource = report.power.source
    facts.powerUnreachable = report.power.isUnreachable
    facts.recommendedIntervalNanoseconds = Int64(report.power.recommendedIntervalNanoseconds)
    facts.waitedNanoseconds = Int64(report.power.waitedNanoseconds)
    facts.threads = UInt32(truncatingIfNeeded: report.threads)
    return facts
  }
}
