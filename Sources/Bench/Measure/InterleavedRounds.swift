import Base
import Glibc

/// Monotonic time in nanoseconds.
func monotonicNanoseconds() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return time.tv_sec &* 1_000_000_000 &+ time.tv_nsec
}

/// Time that the calling thread has been running, in nanoseconds.
func threadNanoseconds() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return time.tv_sec &* 1_000_000_000 &+ time.tv_nsec
}

/// Times contestants in turn, one sample of each per round, so that a moment of load or a change of clock rate does not fall
/// on one of them alone. Each round begins with another contestant, so that none always follows the same one.
///
/// A sample during which the thread waited for its CPU measures the scheduler, too: it is left out where enough others are there,
/// and else counts without the waiting.
struct InterleavedRounds {
  /// Rounds wanted.
  var rounds: Int
  /// A sample is as many calls as fill about this time, at least one.
  var sampleNanoseconds: Int
  /// Whether untimed calls of the same contestant come before each sample, so that caches hold what they hold when one
  /// contestant runs for long.
  var warms = false
  /// How many. A last cache that keeps what it evicts from others takes several passes until it holds a whole matrix.
  var warmCalls = 1
  /// After this time no further round begins, once there are ``minimumRounds``.
  var budgetNanoseconds = 60_000_000_000

  static let minimumRounds = 3
  /// A sample that waited for longer than this share of its time is left out.
  static let toleratedWait = 0.02

  /// - Parameters:
  ///   - sampled: told of each sample right after it was taken.
  ///   - run: makes `calls` calls of `contestant`; all of its time counts.
  /// - Returns: one summary per contestant.
  func measure(
    contestants: Int, sampled: (_ contestant: Int, _ sample: Sample) throws(AdaptQError) -> Void = { _, _ in },
    _ run: (_ contestant: Int, _ calls: Int) throws(AdaptQError) -> Void
  ) throws(AdaptQError) -> [Summary] {
    var calls = [Int](repeating: 1, count: contestants)
    var samples = [[Sample]](repeating: [], count: contestants)
    // Twice: the first call touches pages and caches, the second says how long one takes.
    for contestant in 0..<contestants {
      try run(contestant, 1)
      let start = monotonicNanoseconds()
      try run(contestant, 1)
      calls[contestant] = min(max(sampleNanoseconds / max(monotonicNanoseconds() - start, 1), 1), 100_000)
    }
    let begin = monotonicNanoseconds()
    for round in 0..<max(rounds, 1) {
      for position in 0..<contestants {
        let contestant = (position + round) % contestants
        if warms { try run(contestant, warmCalls) }
        let startOfThread = threadNanoseconds()
        let start = monotonicNanoseconds()
        try run(contestant, calls[contestant])
        let elapsed = monotonicNanoseconds() - start
        let waited = elapsed - (threadNanoseconds() - startOfThread)
        let isDisturbed = Double(waited) > Double(elapsed) * InterleavedRounds.toleratedWait
        // Where no others are there, the time on the CPU says more than the time that passed.
        let sample = Sample(
          nanoseconds: Double(isDisturbed ? elapsed - waited : elapsed) / Double(calls[contestant]),
          isDisturbed: isDisturbed)
        samples[contestant].append(sample)
        try sampled(contestant, sample)
      }
      if round + 1 >= InterleavedRounds.minimumRounds && monotonicNanoseconds() - begin > budgetNanoseconds { break }
    }
    return zip(samples, calls).map { Summary($0, callsPerSample: $1) }
  }
}
