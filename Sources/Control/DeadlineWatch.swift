/// Whether an inference still ends in time, asked between its steps: the rung for what is left of it.
///
/// Predicted time left = cost of the rung for this work · share of it that lies behind the step · speed, where speed is
/// observed over expected time, an average over about the last quarter of an inference that begins at the session's
/// slow-down. A wait (a lost time slice, a page fault) shortens what is left but tells little about the speed of what
/// follows, so one observation counts as twice the speed at most. Within an inference the rung only goes down.
///
/// Trivial; reads the shares through a pointer that must outlive it.
public struct DeadlineWatch: BitwiseCopyable {
  public static let capacity = ControllerConfiguration.maximumRungs
  /// Share of the time left that a prediction leaves free.
  static let margin = 0.03
  private static let speedRange = 0.05...1000.0

  /// `[rung][step + 1]`: share of the rung's time from that step to the end.
  private var shares: UnsafePointer<Float>
  private var stepCount: Int
  private var rungCount: Int
  private var allowed: UInt64
  /// Nanoseconds of the whole inference without slow-down; 0 where unknown.
  private var totals: InlineArray<64, Double>
  private var start: Int
  private var deadline: Int
  private var lastStep = 0
  private var lastTime: Int
  /// What the inference begins with.
  public private(set) var firstRung: Int
  /// Time that the steps so far would have taken without slow-down, at the rungs they ran at.
  private var expected = 0.0
  /// Observed over expected time.
  public private(set) var speed: Double
  public private(set) var rung: Int

  /// - Parameters:
  ///   - controller: knows costs, slow-down and allowed rungs.
  ///   - rung: the best that may be used; ``firstRung`` is this one or, where it would not end in time, a lower one.
  ///   - start: when the inference began; any clock that counts nanoseconds.
  ///   - deadline: nanoseconds from `start` on.
  ///   - shares: `[rung][step + 1]`, falling from 1 to 0 with the step, for every rung of the controller.
  public init(
    _ controller: borrowing LatencyController, rung: Int, work: Int, start: Int, deadline: Int,
    shares: UnsafePointer<Float>, stepCount: Int
  ) {
    self.shares = shares
    self.stepCount = stepCount
    self.start = start
    self.deadline = deadline
    self.rung = rung
    lastTime = start
    firstRung = rung
    speed = controller.slowdown
    rungCount = min(controller.configuration.rungCount, DeadlineWatch.capacity)
    allowed = controller.allowed
    totals = InlineArray(repeating: 0)
    for index in 0..<rungCount { totals[index] = controller.baseCost(of: index, Double(max(work, 1))) }
    firstRung = self.rung(atStep: 0, time: start)
  }

  /// The rung for the steps from `step` on; steps must not go backwards.
  @inline(__always)
  public mutating func rung(atStep step: Int, time: Int) -> Int {
    advance(to: step, time: time)
    let left = Double(deadline &- (time &- start)) * (1 - DeadlineWatch.margin)
    var shortest = remaining(rung, step)
    if totals[rung] <= 0 || shortest <= left { return rung }
    var chosen = rung
    // The first that fits, else the fastest; one that saves nothing is no choice.
    for lower in (rung &+ 1)..<max(rungCount, rung &+ 1) where allowed >> UInt64(truncatingIfNeeded: lower) & 1 == 1 {
      let time = remaining(lower, step)
      if totals[lower] <= 0 || time >= shortest * 0.99 { continue }
      (chosen, shortest) = (lower, time)
      if time <= left { break }
    }
    rung = chosen
    return chosen
  }

  /// How the time expected at the rungs that ran compares with that of the first rung for the whole inference; 1 where
  /// nothing went down. For ``LatencyController/observe(rung:work:latencyNanoseconds:expectedShare:)``.
  public mutating func finish(time: Int) -> Double {
    advance(to: stepCount, time: time)
    let whole = totals[firstRung]
    return whole > 0 && expected > 0 ? min(expected / whole, 1) : 1
  }

  @inline(__always)
  private func share(_ rung: Int, _ step: Int) -> Double { Double(shares[rung &* (stepCount &+ 1) &+ step]) }

  @inline(__always)
  private func remaining(_ rung: Int, _ step: Int) -> Double { totals[rung] * share(rung, step) * speed }

  @inline(__always)
  private mutating func advance(to step: Int, time: Int) {
    let part = share(rung, lastStep) - share(rung, step)
    let segment = totals[rung] * part
    if segment > 0 {
      expected += segment
      let ratio = min(Double(time &- lastTime) / segment, 2 * speed)
      speed += (ratio - speed) * min(0.5, 4 * part)
      speed = min(max(speed, DeadlineWatch.speedRange.lowerBound), DeadlineWatch.speedRange.upperBound)
    }
    lastStep = step
    lastTime = time
  }
}
