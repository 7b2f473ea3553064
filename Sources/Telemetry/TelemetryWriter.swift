import CMachine
import Control

/// One section of a telemetry file, for the run path: no allocation, no lock, no system call. Trivial, because a session's state
/// holds it; whoever does keeps the ``TelemetrySection`` alive.
///
/// A record is guarded by its first word (a sequence lock after H.-J. Boehm, "Can Seqlocks Get Along With Programming Language
/// Memory Models?", MSPC 2012, with the number of the run as the sequence): 0 while the rest is being written, then the run's
/// number. A writer that is killed leaves 0, and nobody takes the rest for a record.
public struct TelemetryWriter: BitwiseCopyable, @unchecked Sendable {
  let section: UnsafeMutablePointer<UInt64>
  let records: UnsafeMutablePointer<UInt64>
  let capacity: UInt64
  let recordWords: Int
  let siteCount: Int
  /// A child of fork() shares the pages and must leave them alone.
  let forkGeneration: UInt64

  /// Keeps a record in place of the oldest. One thread at a time.
  ///
  /// - Parameter levels: bits of the level of each site of the model.
  public func append(_ facts: RunFacts, levels: UnsafePointer<UInt8>) {
    if cmachine_fork_generation() != forkGeneration || facts.sequence == 0 { return }
    typealias Record = TelemetryLayout.Record
    let slot = Int(truncatingIfNeeded: (facts.sequence &- 1) % capacity)
    let record = records + slot &* recordWords
    cmachine_atomic_store_relaxed(record + Record.mark, 0)
    cmachine_atomic_write_fence()
    store(record, Record.time, facts.timeNanoseconds)
    store(record, Record.latency, facts.latencyNanoseconds)
    store(record, Record.budget, facts.budgetNanoseconds)
    store(record, Record.deadline, facts.deadlineNanoseconds)
    store(record, Record.work, facts.work)
    cmachine_atomic_store_relaxed(record + Record.choice, choice(facts))
    cmachine_atomic_store_relaxed(
      record + Record.percentile, UInt64(facts.percentileHundredths) | UInt64(facts.droppedSites) << 32)
    cmachine_atomic_store_relaxed(record + Record.slowdown, facts.slowdown.bitPattern)
    cmachine_atomic_store_relaxed(record + Record.multiplier, facts.multiplier.bitPattern)
    store(record, Record.predicted, facts.predictedNanoseconds)
    store(record, Record.movingPercentile, facts.movingPercentileNanoseconds)
    cmachine_atomic_store_relaxed(record + Record.runs, facts.runs)
    cmachine_atomic_store_relaxed(record + Record.misses, facts.misses)
    cmachine_atomic_store_relaxed(record + Record.unavoidableMisses, facts.unavoidableMisses)
    cmachine_atomic_store_relaxed(record + Record.switches, facts.switches)
    cmachine_atomic_store_relaxed(record + Record.energy, facts.nanojoules.bitPattern)
    store(record, Record.recommendedInterval, facts.recommendedIntervalNanoseconds)
    store(record, Record.waited, facts.waitedNanoseconds)
    cmachine_atomic_store_relaxed(
      record + Record.energySource, UInt64(facts.energySource.rawValue) | UInt64(facts.threads) << 32)
    storeLevels(record + TelemetryLayout.recordHeaderByteCount / 8, levels)
    cmachine_atomic_store(record + Record.mark, facts.sequence)
    storeQuality(facts)
    cmachine_atomic_store(section + TelemetryLayout.Section.lastSequence / 8, facts.sequence)
  }

  @inline(__always)
  private func store(_ record: UnsafeMutablePointer<UInt64>, _ word: Int, _ value: Int64) {
    cmachine_atomic_store_relaxed(record + word, UInt64(bitPattern: value))
  }

  @inline(__always)
  private func storeQuality(_ facts: RunFacts) {
    typealias Section = TelemetryLayout.Section
    cmachine_atomic_store_relaxed(section + Section.meanCosine / 8, facts.meanCosine.bitPattern)
    cmachine_atomic_store_relaxed(section + Section.p5Cosine / 8, facts.p5Cosine.bitPattern)
    let sources = UInt64(facts.qualitySource.rawValue) | UInt64(facts.p5Source.rawValue) << 8
    cmachine_atomic_store_relaxed(section + Section.qualitySource / 8, sources | UInt64(facts.rung) << 16)
    cmachine_atomic_store_relaxed(section + Section.rungsBelowFloor / 8, facts.rungsBelowFloor)
  }

  /// Eight levels a word, the first in the lowest byte. The caller's bytes end with the last site.
  @inline(__always)
  private func storeLevels(_ target: UnsafeMutablePointer<UInt64>, _ levels: UnsafePointer<UInt8>) {
    var site = 0
    while site < siteCount {
      var word: UInt64 = 0
      for offset in 0..<min(siteCount &- site, 8) {
        word |= UInt64(levels[site &+ offset]) << UInt64(8 &* offset)
      }
      cmachine_atomic_store_relaxed(target + site / 8, word)
      site &+= 8
    }
  }

  @inline(__always)
  private func choice(_ facts: RunFacts) -> UInt64 {
    typealias Flag = TelemetryLayout.Flag
    var flags: UInt32 = 0
    if facts.budgetMissed { flags |= Flag.budgetMissed }
    if facts.levelChanged { flags |= Flag.levelChanged }
    if facts.budgetUnreachable { flags |= Flag.budgetUnreachable }
    if facts.deadlineMissed { flags |= Flag.deadlineMissed }
    if facts.isFixed { flags |= Flag.fixed }
    if facts.powerUnreachable { flags |= Flag.powerUnreachable }
    flags |= UInt32(facts.qualitySource.rawValue) << Flag.qualityShift
    // As ADAPTQ_REASON_*, which begin at 1.
    let reason = UInt64(facts.reason.rawValue) &+ 1
    return UInt64(facts.rung) | UInt64(facts.level) << 16 | reason << 24 | UInt64(flags) << 32
  }
}
