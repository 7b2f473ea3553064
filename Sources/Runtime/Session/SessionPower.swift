import Base
import CMachine
import Control
import Glibc

// Budgets of power and energy of a session.

/// Where a session keeps what budgets of power need: terms on their way to the run path, what its rungs do at each size, and, for
/// setters on other threads, what they do at the largest one.
final class SessionPower {
  private let rungCount: Int
  private let mailboxAt: Int
  private let effortsAt: Int
  private let factsAt: Int
  private let lock = ForkSafeLock()
  /// What sensors show, if anybody reads them.
  private let signal: PowerSignal?
  /// Words of a rung: nanoseconds, then bits of multiply-adds and bytes. Touched with atomics only; 0 before the first preparation.
  private static let factWords = 3
  private static let mostSizes = 4

  init(rungCount: Int, _ layout: inout BlockLayout, signal: PowerSignal?) throws(AdaptQError) {
    self.signal = signal
    self.rungCount = rungCount
    mailboxAt = try layout.reserve(UInt64.self, PowerMailbox.wordCount)
    effortsAt = try layout.reserve(RungEffort.self, rungCount * SessionPower.mostSizes)
    factsAt = try layout.reserve(UInt64.self, rungCount * SessionPower.factWords)
  }

  /// - Parameter base: of the session's memory.
  func control(_ base: UnsafeMutableRawPointer, sizeCount: Int = 0) -> PowerControl {
    PowerControl(
      rungCount: rungCount, sizeCount: sizeCount,
      efforts: (base + effortsAt).assumingMemoryBound(to: RungEffort.self), mailbox: mailbox(base).memory,
      signal: signal?.handle)
  }

  private func mailbox(_ base: UnsafeMutableRawPointer) -> PowerMailbox {
    PowerMailbox(memory: (base + mailboxAt).assumingMemoryBound(to: UInt64.self))
  }

  private func fact(_ base: UnsafeMutableRawPointer, _ rung: Int) -> UnsafeMutablePointer<UInt64> {
    (base + factsAt).assumingMemoryBound(to: UInt64.self) + rung * SessionPower.factWords
  }

  /// What a preparation has measured. It alone, or a run, may call this.
  func publish(_ ladder: [Rung], _ costs: PlanCosts, _ base: UnsafeMutableRawPointer) -> PowerControl {
    let efforts = (base + effortsAt).assumingMemoryBound(to: RungEffort.self)
    let sizes = costs.works.indices.prefix(SessionPower.mostSizes).sorted { costs.works[$0] < costs.works[$1] }
    for (rung, item) in ladder.enumerated() {
      for (column, size) in sizes.enumerated() {
        efforts[rung * sizes.count + column] = costs.effort(item.levels, size: size)
      }
      let largest = costs.effort(item.levels, size: 0)
      cmachine_atomic_store(fact(base, rung), UInt64(largest.nanoseconds))
      cmachine_atomic_store(fact(base, rung) + 1, largest.multiplyAdds.bitPattern)
      cmachine_atomic_store(fact(base, rung) + 2, largest.bytes.bitPattern)
    }
    return control(base, sizeCount: sizes.count)
  }

  /// What a rung does at the largest prepared size; 0 ns before the first preparation. Any thread.
  func largest(_ base: UnsafeMutableRawPointer, _ rung: Int) -> RungEffort {
    let words = fact(base, rung)
    return RungEffort(
      work: 0, nanoseconds: Int(cmachine_atomic_load(words)),
      multiplyAdds: Double(bitPattern: cmachine_atomic_load(words + 1)),
      bytes: Double(bitPattern: cmachine_atomic_load(words + 2)))
  }

  func terms(_ base: UnsafeMutableRawPointer) -> PowerTerms {
    lock.withLock {
      var terms = PowerTerms()
      var seen: UInt64 = 0
      _ = mailbox(base).load(&terms, &seen)
      return terms
    }
  }

  func store(_ terms: PowerTerms, _ base: UnsafeMutableRawPointer) { lock.withLock { mailbox(base).store(terms) } }
}

extension Session {
  /// The budget of power or energy in force; empty for none. Any thread.
  public var powerTerms: PowerTerms { power.terms(memory.base) }

  /// - Parameter terms: finite numbers, none below 0, the window above 0; empty for no budget. Any thread.
  public func setPowerTerms(_ terms: PowerTerms) -> LimitOutcome {
    if !terms.isEmpty {
      let outcome = refusal(terms, RungLimits(word: cmachine_atomic_load(mailbox + 2)))
      if outcome != .set { return outcome }
    }
    power.store(terms, memory.base)
    return .set
  }

  /// Millijoules of a rung at the largest prepared size; 0 before the first preparation.
  public func millijoules(rung: Int, _ terms: PowerTerms) -> Double {
    let effort = power.largest(memory.base, rung)
    return effort.nanoseconds == 0 ? 0 : terms.nanojoules(effort) * 1e-6
  }

  /// Rungs that take no longer than the budget of latency on the idle machine; all where none does.
  private var quickEnough: UInt64 {
    let budget = cmachine_atomic_load(mailbox) & (1 << 50 - 1)
    if budget == 0 { return .max }
    var mask: UInt64 = 0
    for rung in ladder.indices where UInt64(power.largest(memory.base, rung).nanoseconds) <= budget {
      mask |= 1 << UInt64(rung)
    }
    return mask == 0 ? .max : mask
  }

  private func cheapEnough(_ terms: PowerTerms) -> UInt64 {
    if terms.maximumMillijoules == 0 { return .max }
    var mask: UInt64 = 0
    for rung in ladder.indices where millijoules(rung: rung, terms) <= terms.maximumMillijoules {
      mask |= 1 << UInt64(rung)
    }
    return mask
  }

  /// Whether a budget can hold beside these limits, at the largest prepared size on the idle machine.
  private func refusal(_ terms: PowerTerms, _ limits: RungLimits) -> LimitOutcome {
    if terms.capMilliwatts > 0 && terms.capMilliwatts <= terms.staticMilliwatts {
      return .powerUnreachable(nearest: terms.staticMilliwatts)
    }
    let good = slots.mask(limits)
    let quick = quickEnough
    // Latency leaves plans, but none of them is good enough.
    if good & quick == 0 && slots.mask(RungLimits(levels: limits.levels, mean: 0, p5: 0)) & quick != 0 {
      return refusal(limits, of: quick)
    }
    let left = good & quick == 0 ? good : good & quick
    if left & cheapEnough(terms) != 0 { return .set }
    let energies = ladder.indices.filter { left >> UInt64($0) & 1 == 1 }.map { millijoules(rung: $0, terms) }
    return .energyUnreachable(nearest: energies.min() ?? 0)
  }

  /// Whether limits of quality leave what a budget of power or energy, if there is one, and latency ask for.
  func powerRefusal(_ limits: RungLimits) -> LimitOutcome {
    let terms = powerTerms
    if terms.isEmpty { return .set }
    let fits = quickEnough & cheapEnough(terms)
    if slots.mask(limits) & fits != 0 { return .set }
    // With other levels alone it would be no better: then runs say so.
    if slots.mask(RungLimits(levels: limits.levels, mean: 0, p5: 0)) & fits == 0 { return .set }
    return refusal(limits, of: fits)
  }
}

extension SessionState {
  /// Sleeps as long as the budget of power asks for and allows, in pieces, so that the run can be stopped: that ends the wait, and
  /// the run finds it then.
  ///
  /// - Returns: nanoseconds that were slept.
  static func waitForPower(_ state: UnsafeMutablePointer<SessionState>) -> Int {
    state.pointee.power.applyMailbox()
    let most = state.pointee.power.maximumWaitNanoseconds
    if most == 0 { return 0 }
    let begin = monotonicNanoseconds()
    let wanted = state.pointee.power.governor.wait(
      time: begin, work: state.pointee.plan.pointee.work, allowed: state.pointee.withinLimits)
    let end = begin &+ min(wanted, most)
    var now = begin
    while now < end && !state.pointee.control.isStopped {
      var piece = timespec(tv_sec: 0, tv_nsec: min(end &- now, 5_000_000))
      nanosleep(&piece, nil)
      now = monotonicNanoseconds()
    }
    return now &- begin
  }

  /// Of the rungs that latency leaves, the one that power and energy allow.
  @inline(__always)
  static func choosePower(
    _ state: UnsafeMutablePointer<SessionState>, _ rung: inout Int, _ work: Int, _ start: Int, _ report: inout RunReport
  ) {
    state.pointee.power.applyMailbox()
    if !state.pointee.power.governor.hasBudget { return }
    // A level that the host has fixed stays, but counts.
    let allowed =
      report.isFixed
      ? 1 << UInt64(truncatingIfNeeded: rung)
      : state.pointee.controller.rungs(of: state.pointee.withinLimits, from: rung, work: work)
    let chosen = state.pointee.power.choose(rung, allowed: allowed, time: start, work: work, &report.power)
    if chosen > rung {
      rung = chosen
      report.reason = .power
    }
  }
}
