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
  /// Words of a rung: bits of multiply-adds and bytes, then nanoseconds for each row of threads. Touched with atomics only; 0 before
  /// the first preparation.
  private static let factWords = 2 + ThreadTable.capacity
  /// A word for each row: how many threads, 0 for no row. Behind the rungs'.
  private static let countWords = ThreadTable.capacity
  private static let mostSizes = 4

  init(rungCount: Int, _ layout: inout BlockLayout, signal: PowerSignal?) throws(AdaptQError) {
    self.signal = signal
    self.rungCount = rungCount
    mailboxAt = try layout.reserve(UInt64.self, PowerMailbox.wordCount)
    effortsAt = try layout.reserve(RungEffort.self, rungCount * SessionPower.mostSizes)
    factsAt = try layout.reserve(UInt64.self, rungCount * SessionPower.factWords + SessionPower.countWords)
  }

  /// - Parameter base: of the session's memory.
  func control(_ base: UnsafeMutableRawPointer, sizeCount: Int = 0, threads: ThreadTable? = nil) -> PowerControl {
    PowerControl(
      rungCount: rungCount, sizeCount: sizeCount,
      efforts: (base + effortsAt).assumingMemoryBound(to: RungEffort.self), mailbox: mailbox(base).memory,
      signal: signal?.handle, threads: threads)
  }

  private func mailbox(_ base: UnsafeMutableRawPointer) -> PowerMailbox {
    PowerMailbox(memory: (base + mailboxAt).assumingMemoryBound(to: UInt64.self))
  }

  private func fact(_ base: UnsafeMutableRawPointer, _ rung: Int) -> UnsafeMutablePointer<UInt64> {
    (base + factsAt).assumingMemoryBound(to: UInt64.self) + rung * SessionPower.factWords
  }

  /// What a preparation has measured. It alone, or a run, may call this.
  ///
  /// - Parameters:
  ///   - costs: with all threads.
  ///   - count: of all threads.
  ///   - threads: what runs take with fewer; nil where they always have all.
  func publish(
    _ ladder: [Rung], _ costs: PlanCosts, threads count: Int, _ threads: ThreadTable?, _ base: UnsafeMutableRawPointer
  ) -> PowerControl {
    let efforts = (base + effortsAt).assumingMemoryBound(to: RungEffort.self)
    let sizes = costs.works.indices.prefix(SessionPower.mostSizes).sorted { costs.works[$0] < costs.works[$1] }
    for (rung, item) in ladder.enumerated() {
      for (column, size) in sizes.enumerated() {
        efforts[rung * sizes.count + column] = costs.effort(item.levels, size: size)
        efforts[rung * sizes.count + column].threads = count
      }
      let largest = costs.effort(item.levels, size: 0)
      let words = fact(base, rung)
      cmachine_atomic_store(words, largest.multiplyAdds.bitPattern)
      cmachine_atomic_store(words + 1, largest.bytes.bitPattern)
      cmachine_atomic_store(words + 2, UInt64(largest.nanoseconds))
      for row in 1..<ThreadTable.capacity {
        let time = threads?.nanoseconds(row: row, rung: rung, work: largest.work) ?? 0
        cmachine_atomic_store(words + 2 + row, UInt64(clampedInt(time, in: 0...CostCurve.maximumNanoseconds)))
      }
    }
    for row in 0..<ThreadTable.capacity {
      let own = row == 0 ? count : row < threads?.rowCount ?? 1 ? threads?.threads(row) ?? 0 : 0
      cmachine_atomic_store(fact(base, rungCount) + row, UInt64(own))
    }
    return control(base, sizeCount: sizes.count, threads: threads)
  }

  /// What a rung does at the largest prepared size with the threads of a row; 0 ns before the first preparation, and for a row that there
  /// is none of. Any thread.
  func largest(_ base: UnsafeMutableRawPointer, _ rung: Int, row: Int = 0) -> RungEffort {
    let words = fact(base, rung)
    return RungEffort(
      work: 0, nanoseconds: Int(cmachine_atomic_load(words + 2 + row)),
      multiplyAdds: Double(bitPattern: cmachine_atomic_load(words)),
      bytes: Double(bitPattern: cmachine_atomic_load(words + 1)),
      threads: Int(cmachine_atomic_load(fact(base, rungCount) + row)))
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

  /// Millijoules of a rung at the largest prepared size, with the number of threads that takes the least of those that hold the
  /// latency on the idle machine, all where none does; 0 before the first preparation.
  public func millijoules(rung: Int, _ terms: PowerTerms) -> Double {
    let all = power.largest(memory.base, rung)
    if all.nanoseconds == 0 { return 0 }
    var least = terms.nanojoules(all)
    for row in 1..<ThreadTable.capacity where isQuick(rung, row: row) {
      least = min(least, terms.nanojoules(power.largest(memory.base, rung, row: row)))
    }
    return least * 1e-6
  }

  /// Whether a rung holds the budget of latency, if there is one, on the idle machine with the threads of a row.
  private func isQuick(_ rung: Int, row: Int) -> Bool {
    let time = power.largest(memory.base, rung, row: row).nanoseconds
    let budget = cmachine_atomic_load(mailbox) & (1 << 50 - 1)
    return time > 0 && (budget == 0 || UInt64(time) <= budget)
  }

  /// Rungs that take no longer than the budget of latency on the idle machine; all where none does.
  private var quickEnough: UInt64 {
    let budget = cmachine_atomic_load(mailbox) & (1 << 50 - 1)
    if budget == 0 { return .max }
    var mask: UInt64 = 0
    for rung in ladder.indices {
      // 0 ns: nothing is known before the first preparation.
      let isUnknown = power.largest(memory.base, rung).nanoseconds == 0
      if isUnknown || (0..<ThreadTable.capacity).contains(where: { isQuick(rung, row: $0) }) {
        mask |= 1 << UInt64(rung)
      }
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
  static func waitForPower(
    _ state: UnsafeMutablePointer<SessionState>, maximumThreads: Int, deadline: Int
  ) -> Int {
    state.pointee.power.applyMailbox()
    let most = state.pointee.power.maximumWaitNanoseconds
    if most == 0 { return 0 }
    let begin = monotonicNanoseconds()
    let work = state.pointee.plan.pointee.work
    let offer = offer(
      state, of: state.pointee.withinLimits, from: nil, work: work, maximumThreads: maximumThreads,
      hasChoice: deadline == 0)
    let wanted = state.pointee.power.governor.wait(time: begin, work: work, offer: offer)
    let end = begin &+ min(wanted, most)
    var now = begin
    while now < end && !state.pointee.control.isStopped {
      var piece = timespec(tv_sec: 0, tv_nsec: min(end &- now, 5_000_000))
      nanosleep(&piece, nil)
      now = monotonicNanoseconds()
    }
    return now &- begin
  }

  /// Of the rungs and numbers of threads that latency leaves, those that power and energy allow.
  ///
  /// - Parameters:
  ///   - maximumThreads: of this call; 0: all there are.
  ///   - deadline: of this call; 0: none. With one all threads are used.
  @inline(__always)
  static func choosePower(
    _ state: UnsafeMutablePointer<SessionState>, _ rung: inout Int, _ work: Int, _ start: Int, maximumThreads: Int,
    deadline: Int, _ report: inout RunReport
  ) -> ThreadUse {
    var use = ThreadUse(maximum: maximumThreads)
    state.pointee.power.applyMailbox()
    if !state.pointee.power.governor.hasBudget { return use }
    // A level that the host has fixed stays, but counts.
    let allowed = report.isFixed ? 1 << UInt64(truncatingIfNeeded: rung) : state.pointee.withinLimits
    // A probe is to show what the rung takes.
    let offer = offer(
      state, of: allowed, from: rung, work: work, maximumThreads: maximumThreads,
      hasChoice: deadline == 0 && report.reason != .probe)
    let chosen = state.pointee.power.choose(rung, offer: offer, time: start, work: work, &report.power)
    let row = report.power.row
    if chosen > rung || row > offer.firstRow && !report.isFixed { report.reason = .power }
    rung = chosen
    if row > 0, let threads = state.pointee.power.governor.threads {
      use.maximum = threads.threads(row)
      use.share = threads.ratio(row: row, to: offer.firstRow, rung: rung, work: work)
    }
    return use
  }

  /// What a run may choose from.
  ///
  /// - Parameters:
  ///   - rung: what latency asks for; nil where that is not known yet.
  ///   - hasChoice: fewer threads than the call allows may be used.
  @inline(__always)
  private static func offer(
    _ state: UnsafeMutablePointer<SessionState>, of mask: UInt64, from rung: Int?, work: Int, maximumThreads: Int,
    hasChoice: Bool
  ) -> RungOffer {
    guard let threads = state.pointee.power.governor.threads else {
      guard let rung else { return RungOffer(mask) }
      return RungOffer(state.pointee.controller.rungs(of: mask, from: rung, work: work))
    }
    let row = threads.row(atMost: maximumThreads == 0 ? Int.max : maximumThreads)
    if hasChoice { return state.pointee.controller.offer(of: mask, from: rung, work: work, threads, row: row) }
    guard let rung else { return RungOffer(mask, firstRow: row) }
    return RungOffer(state.pointee.controller.rungs(of: mask, from: rung, work: work), firstRow: row)
  }
}

/// With how many threads a run is made.
struct ThreadUse: BitwiseCopyable {
  /// 0: all there are.
  var maximum: Int
  /// What the run takes over what it would with the threads that the call allows, on the idle machine.
  var share = 1.0
}
