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
  /// Share by which the waits of a call are shorter or longer than that, all of them alike: what a scheduler gives to another
  /// thread is no fixed time.
  public var quotaSpread = 0.0

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

/// What one call took.
struct CallTime {
  var nanoseconds: Double
  /// Of these, waiting for the CPU.
  var waited: Double
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
    time(rung, moment, sample, isCold: isCold).nanoseconds
  }

  func time(_ rung: Int, _ moment: Moment, _ sample: CallSample, isCold: Bool) -> CallTime {
    var time = typical(rung, moment) * exp(moment.sigma * sample.noise)
    if isCold { time *= 1 + ladder.coldShare }
    if sample.tail < moment.tailShare { time *= 1 + Self.tail(sample.tailSize, moment) }
    var waited = Self.quotaWait(time, moment, sample.phase, sample.stallSize)
    if sample.stall < moment.stallShare { waited += Self.stall(sample.stallSize) }
    return CallTime(nanoseconds: time + waited, waited: waited)
  }

  private static func tail(_ uniform: Double, _ moment: Moment) -> Double {
    moment.tailSize * min(1 / sqrt(max(1 - uniform, 1e-9)) - 1, 30)
  }

  private static func stall(_ uniform: Double) -> Double { 2e6 + 2e6 * uniform }

  /// The call begins anywhere in what a period lets run.
  private static func quotaWait(_ time: Double, _ moment: Moment, _ phase: Double, _ size: Double) -> Double {
    if moment.quotaRuns <= 0 { return 0 }
    return (phase + time / moment.quotaRuns).rounded(.down) * wait(moment, size)
  }

  /// One wait of a call, `uniform` from 0 to 1 of the way from the shortest to the longest.
  private static func wait(_ moment: Moment, _ uniform: Double) -> Double {
    moment.quotaWaits * (1 + moment.quotaSpread * (2 * uniform - 1))
  }

  /// Points at which the distributions of tails, stalls and lengths of waits are evaluated.
  private static let points = 16
  /// Points for phases: more, since rare slices hit a share of less than a hundredth of them.
  private static let phases = 256

  /// Probability that a warm call takes longer than `limit`.
  func missProbability(_ rung: Int, _ moment: Moment, limit: Double) -> Double {
    let median = typical(rung, moment)
    /// Probability that computing alone, times `factor`, exceeds what `left` leaves to it.
    func above(_ left: Double, _ factor: Double) -> Double {
      if moment.quotaRuns <= 0 { return Self.above(left, median * factor, moment.sigma) }
      var sum = 0.0
      let sizes = moment.quotaSpread > 0 ? Self.points : 1
      for point in 0..<Self.phases * sizes {
        let phase = (Double(point / sizes) + 0.5) / Double(Self.phases)
        let wait = Self.wait(moment, (Double(point % sizes) + 0.5) / Double(sizes))
        sum += Self.above(Self.computingWithin(left, moment, phase, wait), median * factor, moment.sigma)
      }
      return sum / Double(Self.phases * sizes)
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
  private static func computingWithin(_ limit: Double, _ moment: Moment, _ phase: Double, _ wait: Double) -> Double {
    if limit <= 0 { return 0 }
    // With n waits, computing lies in [n - phase, n + 1 - phase) times what a period runs.
    let period = moment.quotaRuns + wait
    let waits = max(((limit + phase * moment.quotaRuns) / period).rounded(.down), 0)
    let next = (waits + 1 - phase) * moment.quotaRuns
    return min(limit - waits * wait, next)
  }

  /// Probability that a lognormal with this median exceeds `limit`.
  private static func above(_ limit: Double, _ median: Double, _ sigma: Double) -> Double {
    if limit <= 0 { return 1 }
    if sigma <= 0 { return median > limit ? 1 : 0 }
    return 0.5 * erfc(log(limit / median) / (sigma * 2.0.squareRoot()))
  }
}
