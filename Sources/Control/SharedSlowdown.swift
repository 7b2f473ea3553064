/// The load as a controller saw it at one moment: its slow-down, and when. One word, so that threads can share it without a lock.
public struct SharedSlowdown: BitwiseCopyable, Sendable {
  /// Bits of a `Float` above, below them the time in units of 2²⁰ ns; 0: nobody has said anything.
  public var word: UInt64

  /// Age at which what others saw counts half.
  static let memory = 10_000_000_000.0

  private static let unit = 20

  public init(word: UInt64) { self.word = word }

  public init(slowdown: Double, time: Int) {
    let range = LatencyController.slowdownRange
    let bits = Float(min(max(slowdown, range.lowerBound), range.upperBound)).bitPattern
    word = UInt64(bits) << 32 | UInt64(UInt32(truncatingIfNeeded: time >> Self.unit))
  }

  @inline(__always) public var isKnown: Bool { word != 0 }

  @inline(__always) public var slowdown: Double { Double(Float(bitPattern: UInt32(truncatingIfNeeded: word >> 32))) }

  /// Nanoseconds from when it was published until `time`, to within 2²⁰; of times that lie 26 days apart or more nobody knows.
  @inline(__always) public func age(at time: Int) -> Int {
    let now = UInt32(truncatingIfNeeded: time >> Self.unit)
    return Int(Int32(bitPattern: now &- UInt32(truncatingIfNeeded: word))) << Self.unit
  }

  /// What to publish after a run that ended at `time`: where several run at once, the word follows all of them.
  @inline(__always)
  public func merged(slowdown: Double, time: Int) -> SharedSlowdown {
    if !isKnown || !(slowdown > 0) { return SharedSlowdown(slowdown: slowdown > 0 ? slowdown : 1, time: time) }
    let age = Double(max(age(at: time), 0))
    let share = max(age / (age + Double(LoadHistory.slotNanoseconds)), 0.25)
    return SharedSlowdown(slowdown: self.slowdown + (slowdown - self.slowdown) * share, time: time)
  }
}

/// How the load that controllers of one machine share went lately: words of ``SharedSlowdown``, the newest one at 0 and one for each
/// slot of time behind it, in memory that the caller keeps.
///
/// Slow-downs of different controllers do not compare: one was measured under load, another is bound by memory, and each is a
/// load to the others but not to itself. What compares is how the slow-down of the others has changed between the time when this
/// controller stopped running and now.
public enum LoadHistory {
  static let slotBits = 28
  /// 0.27 seconds.
  static let slotNanoseconds = 1 << slotBits
  static let slotCount = 127
  public static let wordCount = slotCount + 1

  @inline(__always)
  public static func word(at time: Int) -> Int { 1 &+ ((time >> slotBits) & Int.max) % slotCount }

  /// The factor by which the load has changed for a controller that last ran at `ownTime`; 1 where nobody knows. Pauses of less
  /// than a second tell nothing.
  ///
  /// - Parameters:
  ///   - ownTime: 0 for a controller that has not run yet: then the factor is the slow-down.
  ///   - read: a word.
  @inline(__always)
  public static func change(since ownTime: Int, at time: Int, read: (Int) -> UInt64) -> Double {
    // Two slots: the others have noticed by then that this one stopped.
    let begin = ownTime &+ 2 &* slotNanoseconds
    if time &- begin < 2 &* slotNanoseconds { return 1 }
    let newest = SharedSlowdown(word: read(0))
    if !newest.isKnown || newest.age(at: time) < 0 || newest.age(at: time) >= time &- begin { return 1 }
    return slowChange(ownTime, begin, time, newest, read)
  }

  @inline(never)
  private static func slowChange(
    _ ownTime: Int, _ begin: Int, _ time: Int, _ newest: SharedSlowdown, _ read: (Int) -> UInt64
  ) -> Double {
    let age = Double(newest.age(at: time))
    let trust = SharedSlowdown.memory / (SharedSlowdown.memory + age)
    if ownTime == 0 { return 1 + (newest.slowdown - 1) * trust }
    // The first that was seen after the pause began, of those that are left.
    var slot = max(begin, time &- (slotCount &- 1) &* slotNanoseconds)
    while slot < time {
      let then = SharedSlowdown(word: read(word(at: slot)))
      let thenAge = then.age(at: time)
      if then.isKnown && thenAge >= 0 && thenAge <= time &- begin &+ (1 << 20) {
        return 1 + (newest.slowdown / max(then.slowdown, LatencyController.slowdownRange.lowerBound) - 1) * trust
      }
      slot &+= slotNanoseconds
    }
    return 1
  }
}

extension LatencyController {
  /// After a pause in which the load has changed by a factor, see ``LoadHistory``. Call before ``decide(work:)``; it then goes down at
  /// once where the load has grown, and up rung by rung, without a dwell, where it has gone.
  ///
  /// - Returns: whether anything changed.
  @discardableResult
  public mutating func resume(change factor: Double) -> Bool {
    // Within the noise there is nothing to take over.
    let width = max(2 * spread, 0.05)
    if !(factor > 0) || factor < 1 + width && factor > 1 / (1 + width) { return false }
    clearAlarm()
    fastRuns = 0
    jump(factor, noiseVariance)
    if factor > 1 {
      runsSinceRise = 0
      // The window may be too short to count misses in: then a prediction decides, as at the first run.
      if noiseCount < 8 && pending == nil { pending = .predictedMiss }
    } else {
      loadHasGone()
      runsSinceDescent = max(runsSinceDescent, currentDwell)
    }
    return true
  }
}
