import Glibc

/// Everything about one call that no choice of rung changes, but for chance.
public struct Moment: Hashable, Sendable {
  /// As in the controller's cost points.
  public var work = Ladder.referenceWork
  /// Factors on the two parts of a rung's time; 1 on the idle machine.
  public var compute = 1.0
  public var memory = 1.0
  /// Standard deviation of the logarithm of the time.
  public var sigma = 0.02
  /// Share of calls with a heavy tail, and its size: such a call takes longer by a Pareto-distributed share
  /// (`tailSize` · (u^(-1/2) - 1), at most 30 times `tailSize`).
  public var tailShare = 0.0
  public var tailSize = 0.3
  /// Share of calls that lose a scheduler slice of 2 to 4 ms, whatever the rung.
  public var stallShare = 0.0
  /// Nanoseconds of a period that a CPU quota lets run, and nanoseconds that it then takes away; 0 for no quota.
  public var quotaRuns = 0.0
  public var quotaWaits = 0.0

  public init() {}
}

/// The luck of one call, the same for every policy.
struct CallSample {
  var noise: Double
  var tail: Double
  var tailSize: Double
  var stall: Double
  var stallSize: Double
  var phase: Double

  init(seed: UInt64, call: Int) {
    var random = SimulationRandom(seed: seed, stream: UInt64(truncatingIfNeeded: call) &+ 1000)
    noise = random.normal()
    tail = random.uniform()
    tailSize = random.uniform()
    stall = random.uniform()
    stallSize = random.uniform()
    phase = random.uniform()
  }
}

/// The machine in virtual time. It differs from what the controller assumes: two slow-downs instead of one, waiting that adds
/// instead of multiplying, and first runs after a switch that are cold.
struct SimulatedMachine {
  let ladder: Ladder

  /// Time without noise.
  func typical(_ rung: Int, _ moment: Moment) -> Double {
    let rung = ladder.rungs[rung]
    return (rung.compute * moment.compute + rung.memory * moment.memory) * Ladder.scale(moment.work)
  }

  /// The rung that takes the least time.
  func fastest(_ moment: Moment) -> Int {
    ladder.rungs.indices.min { typical($0, moment) < typical($1, moment) } ?? 0
  }

  /// Nanoseconds of one call.
  func latency(_ rung: Int, _ moment: Moment, _ sample: CallSample, isCold: Bool) -> Double {
    var time = typical(rung, moment) * exp(moment.sigma * sample.noise)
    if isCold { time *= 1 + ladder.coldShare }
    if sample.tail < moment.tailShare { time *= 1 + Self.tail(sample.tailSize, moment) }
    time += Self.quotaWait(time, moment, sample.phase)
    if sample.stall < moment.stallShare { time += Self.stall(sample.stallSize) }
    return time
  }

  private static func tail(_ uniform: Double, _ moment: Moment) -> Double {
    moment.tailSize * min(1 / sqrt(max(1 - uniform, 1e-9)) - 1, 30)
  }

  private static func stall(_ uniform: Double) -> Double { 2e6 + 2e6 * uniform }

  /// The call begins anywhere in what a period lets run.
  private static func quotaWait(_ time: Double, _ moment: Moment, _ phase: Double) -> Double {
    if moment.quotaRuns <= 0 { return 0 }
    return (phase + time / moment.quotaRuns).rounded(.down) * moment.quotaWaits
  }

  /// Points at which the distributions of tails, stalls and phases are evaluated.
  private static let points = 16

  /// Probability that a warm call takes longer than `limit`.
  func missProbability(_ rung: Int, _ moment: Moment, limit: Double) -> Double {
    let median = typical(rung, moment)
    /// Probability that computing alone, times `factor`, exceeds what `left` leaves to it.
    func above(_ left: Double, _ factor: Double) -> Double {
      if moment.quotaRuns <= 0 { return Self.above(left, median * factor, moment.sigma) }
      var sum = 0.0
      for point in 0..<Self.points {
        let phase = (Double(point) + 0.5) / Double(Self.points)
        sum += Self.above(Self.computingWithin(left, moment, phase), median * factor, moment.sigma)
      }
      return sum / Double(Self.points)
    }
    func withTail(_ left: Double) -> Double {
      var result = (1 - moment.tailShare) * above(left, 1)
      if moment.tailShare > 0 {
        for point in 0..<Self.points {
          let uniform = (Double(point) + 0.5) / Double(Self.points)
          result += moment.tailShare / Double(Self.points) * above(left, 1 + Self.tail(uniform, moment))
        }
      }
      return result
    }
    var result = (1 - moment.stallShare) * withTail(limit)
    if moment.stallShare > 0 {
      for point in 0..<Self.points {
        let uniform = (Double(point) + 0.5) / Double(Self.points)
        result += moment.stallShare / Double(Self.points) * withTail(limit - Self.stall(uniform))
      }
    }
    return result
  }

  /// The longest computing time whose waits still end within `limit`.
  private static func computingWithin(_ limit: Double, _ moment: Moment, _ phase: Double) -> Double {
    if limit <= 0 { return 0 }
    // With n waits, computing lies in [n - phase, n + 1 - phase) times what a period runs.
    let period = moment.quotaRuns + moment.quotaWaits
    let waits = max(((limit + phase * moment.quotaRuns) / period).rounded(.down), 0)
    let next = (waits + 1 - phase) * moment.quotaRuns
    return min(limit - waits * moment.quotaWaits, next)
  }

  /// Probability that a lognormal with this median exceeds `limit`.
  private static func above(_ limit: Double, _ median: Double, _ sigma: Double) -> Double {
    if limit <= 0 { return 1 }
    if sigma <= 0 { return median > limit ? 1 : 0 }
    return 0.5 * erfc(log(limit / median) / (sigma * 2.0.squareRoot()))
  }
}
