import Base
import CMachine

/// What a parallel region of a run costs besides its work, in nanoseconds: measured, one entry per region.
public struct RegionTimes: Sendable {
  /// From the call to the moment when every thread works on it.
  public var fork: [Double] = []
  /// From that moment to the return.
  public var join: [Double] = []
  /// From the call to the return. Fork and join together, but nobody waits for a thread that is late: the caller takes
  /// what others do not.
  public var empty: [Double] = []
  /// From the end of a run until all workers sleep, one entry per run.
  public var sleep: [Double] = []
  public var threads = 0

  public init() {}
}

extension Threads {
  /// Times empty regions of runs, with `gap` nanoseconds of the caller's own work between two of them, as between steps.
  ///
  /// - Returns: no times where there is no pool, or where something else uses it.
  public func regionTimes(runs: Int, regionsPerRun: Int, gap: Int) throws(AdaptQError) -> RegionTimes {
    let executor = try executor()
    var result = RegionTimes()
    guard let pool = executor.pool else { return result }
    result.threads = executor.width
    let meeting = try MemoryBlock.allocate(byteCount: 128, purpose: "times of parallel regions")
    let words = meeting.base.assumingMemoryBound(to: UInt64.self)
    for _ in 0..<runs {
      let own = executor.acquire(maximum: 0)
      if own.width != executor.width { return result }
      for region in 0..<regionsPerRun {
        let free = monotonicNanoseconds() &+ gap
        while monotonicNanoseconds() < free { cmachine_pause() }
        // The first region of a run wakes the workers: that is waking, not forking.
        let counts = region > 0
        if region & 1 == 0 {
          let (fork, join) = meet(own, words)
          if counts {
            result.fork.append(Double(fork))
            result.join.append(Double(join))
          }
        } else {
          let start = monotonicNanoseconds()
          own.parallelFor(own.context, own.width, { _, _ in }, nil)
          result.empty.append(Double(monotonicNanoseconds() &- start))
        }
      }
      own.release()
      let end = monotonicNanoseconds()
      // An interrupted worker may take long; nobody waits for ever.
      while pool.sleepingCount < own.width &- 1 && monotonicNanoseconds() &- end < 1_000_000_000 { cmachine_pause() }
      result.sleep.append(Double(monotonicNanoseconds() &- end))
    }
    withExtendedLifetime(meeting) {}
    return result
  }

  /// One region that no thread leaves before all have come.
  private func meet(
    _ executor: ParallelExecutor, _ words: UnsafeMutablePointer<UInt64>
  ) -> (fork: Int, join: Int) {
    // Who is missing, and on the next cache line when the last one came.
    cmachine_atomic_store(words, UInt64(executor.width))
    cmachine_atomic_store(words + 8, 0)
    let start = monotonicNanoseconds()
    executor.parallelFor(
      executor.context, executor.width,
      { context, _ in
        guard let words = context?.assumingMemoryBound(to: UInt64.self) else { return }
        let now = monotonicNanoseconds()
        if cmachine_atomic_subtract(words, 1) == 0 { cmachine_atomic_store(words + 8, UInt64(now)) }
        while cmachine_atomic_load(words) != 0 { cmachine_pause() }
      }, UnsafeMutableRawPointer(words))
    let end = monotonicNanoseconds()
    let met = Int(cmachine_atomic_load(words + 8))
    return (met &- start, end &- met)
  }
}
