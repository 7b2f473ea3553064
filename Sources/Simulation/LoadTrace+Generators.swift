import Base
import Glibc

extension LoadTrace {
  /// The traces that ``generated(_:calls:ladder:seed:)`` makes.
  public static let names = [
    "steady", "step", "ramp", "periodic", "bursts", "wander", "contention", "tails", "stalls", "slices",
    "crowded", "interrupted", "quota", "thermal", "battery", "sizes",
  ]

  /// Those that say something about a budget of power.
  public static let namesForPower = ["steady", "step", "thermal", "battery", "wander", "sizes"]

  /// A generated trace. Loads are measured by what the ladder bears: level 0 is the idle machine, at level 1 the fastest
  /// rung just holds.
  ///
  /// - Throws: `invalidArgument` for an unknown name.
  public static func generated(_ name: String, calls: Int, ladder: Ladder, seed: UInt64) throws(AdaptQError)
    -> LoadTrace
  {
    var maker = TraceMaker(
      trace: LoadTrace(name: name, moments: Array(repeating: Moment(), count: calls)), headroom: ladder.headroom,
      random: SimulationRandom(seed: seed, stream: 1))
    switch name {
    case "steady": maker.steady()
    case "step": maker.step()
    case "ramp": maker.ramp()
    case "periodic": maker.periodic()
    case "bursts": maker.bursts()
    case "wander": maker.wander()
    case "contention": maker.contention()
    case "tails": maker.tails()
    case "stalls": maker.stalls()
    case "slices": maker.slices()
    case "crowded": maker.crowded()
    case "interrupted": maker.interrupted()
    case "quota": maker.quota()
    case "thermal": maker.thermal()
    case "battery": maker.battery()
    case "sizes": maker.sizes()
    default: throw .invalidArgument("trace \"\(name)\": expected a file or one of \(names.joined(separator: ", "))")
    }
    return maker.trace
  }
}

/// One function per trace; each is a few lines that say what its load is.
private struct TraceMaker {
  var trace: LoadTrace
  let headroom: Double
  var random: SimulationRandom

  /// A neighbour that mostly computes: caches and memory suffer a little less.
  private mutating func load(_ call: Int, _ level: Double) {
    let factor = pow(headroom, level)
    trace.moments[call].compute = factor
    trace.moments[call].memory = pow(factor, 0.8)
  }

  private func segment(_ call: Int, _ length: Int) -> Int { call / length }

  /// The same load all the time, noise of 5 %.
  mutating func steady() {
    for call in trace.moments.indices {
      load(call, 0.4)
      trace.moments[call].sigma = 0.05
    }
  }

  /// Another load every 1000 calls: idle and loaded in turn, and some steps between loads.
  mutating func step() {
    let levels = [0, 0.5, 0, 0.9, 0, 0.25, 0.75, 0.4, 0.9, 0.6]
    for call in trace.moments.indices {
      let number = segment(call, 1000)
      load(call, levels[number % levels.count])
      if call % 1000 == 0 && call > 0 { trace.steps.append(call) }
    }
  }

  /// Up over 2000 calls, down over 2000.
  mutating func ramp() {
    for call in trace.moments.indices {
      let position = Double(call % 4000) / 2000
      load(call, 0.9 * (position < 1 ? position : 2 - position))
    }
  }

  /// A sine of 500 calls.
  mutating func periodic() {
    for call in trace.moments.indices { load(call, 0.45 - 0.45 * cos(2 * Double.pi * Double(call) / 500)) }
  }

  /// Loads of 20 to 120 calls, 400 idle calls apart on average.
  mutating func bursts() {
    var call = 0
    while call < trace.moments.count {
      call += clampedInt(-400 * log(1 - random.uniform()), in: 20...4000)
      let length = clampedInt(random.uniform(20...120), in: 20...120)
      let level = random.uniform(0.3...0.9)
      for inside in call..<max(min(call + length, trace.moments.count), call) { load(inside, level) }
      call += length
    }
  }

  /// A load that wanders by itself, correlated over some 300 calls.
  mutating func wander() {
    var level = 0.4
    for call in trace.moments.indices {
      level += (0.4 - level) / 300 + 0.016 * random.normal()
      level = min(max(level, 0), 0.95)
      load(call, level)
    }
  }

  /// A neighbour that reads memory: fetching suffers, computing less. On and off every 1500 calls.
  mutating func contention() {
    for call in trace.moments.indices {
      trace.moments[call].memory = pow(headroom, [0, 0.6, 0, 0.85][segment(call, 1500) % 4])
      trace.moments[call].compute = pow(trace.moments[call].memory, 0.3)
      if call % 1500 == 0 && call > 0 { trace.steps.append(call) }
    }
  }

  /// Rare, long calls: one in 200, then three in 100.
  mutating func tails() {
    for call in trace.moments.indices {
      load(call, 0.3)
      trace.moments[call].tailShare = segment(call, 2500) % 2 == 0 ? 0.005 : 0.03
    }
  }

  /// A neighbour of the same priority takes slices of 2 to 4 ms: from one call in 200, then from one in 20.
  mutating func stalls() {
    for call in trace.moments.indices {
      load(call, 0.2)
      trace.moments[call].stallShare = segment(call, 2500) % 2 == 0 ? 0.005 : 0.05
    }
  }

  /// Threads that compute all the time take the CPU for 3 to 4 ms at a time, as EEVDF with a tick of 4 ms does it: none, one that
  /// the other CPUs take most of the time, two on two CPUs (a third of ours is theirs), none, a rare one, one on our CPU.
  mutating func slices() {
    let runs = [0, 40e6, 8e6, 0, 1000e6, 4e6]
    for call in trace.moments.indices {
      trace.moments[call].quotaRuns = runs[segment(call, 2000) % runs.count]
      trace.moments[call].quotaWaits = 3.5e6
      trace.moments[call].quotaSpread = 1.0 / 7
    }
  }

  /// So many threads that compute all the time that ours runs for 4 ms and then waits for 6, on and off: whoever waits misses a short
  /// budget on every rung, and what runs for half the time waits half as often.
  mutating func crowded() {
    for call in trace.moments.indices where segment(call, 1000) % 2 == 1 {
      trace.moments[call].quotaRuns = 4e6
      trace.moments[call].quotaWaits = 6e6
      trace.moments[call].quotaSpread = 1.0 / 7
    }
  }

  /// An idle machine on which something else awakes every 400 calls or so and shares the CPU for two to four of them.
  mutating func interrupted() {
    var call = 0
    while call < trace.moments.count {
      call += clampedInt(-400 * log(1 - random.uniform()), in: 20...4000)
      let end = min(call + clampedInt(random.uniform(2...5), in: 2...4), trace.moments.count)
      for inside in call..<max(end, call) {
        trace.moments[inside].quotaRuns = 4e6
        trace.moments[inside].quotaWaits = 3.5e6
        trace.moments[inside].quotaSpread = 1.0 / 7
      }
      call = end
    }
  }

  /// A CPU quota of four fifths in periods of 10 ms, on and off.
  mutating func quota() {
    for call in trace.moments.indices where segment(call, 2000) % 2 == 1 {
      trace.moments[call].quotaRuns = 8e6
      trace.moments[call].quotaWaits = 2e6
    }
  }

  /// Heat: full speed, then slower over 1500 calls, then a governor that saws between two clocks.
  mutating func thermal() {
    for call in trace.moments.indices {
      let place = call % 6000
      var clock = 1.0
      if place >= 2000 { clock = 1 - 0.4 * min(Double(place - 2000) / 1500, 1) }
      if place >= 3500 { clock = 0.6 + 0.1 * Double(place / 150 % 2) }
      if place >= 5500 { clock = 0.6 + 0.4 * Double(place - 5500) / 500 }
      trace.moments[call].compute = 1 / clock
      trace.moments[call].memory = 1 + 0.3 * (1 / clock - 1)
    }
  }

  /// A battery saver halves the clock for thousands of calls.
  mutating func battery() {
    for call in trace.moments.indices {
      if segment(call, 2500) % 2 == 1 {
        trace.moments[call].compute = 2
        trace.moments[call].memory = 1.3
      }
      if call % 2500 == 0 && call > 0 { trace.steps.append(call) }
    }
  }

  /// Four sizes by chance, and a load on half of the calls.
  mutating func sizes() {
    for call in trace.moments.indices {
      load(call, segment(call, 2000) % 2 == 0 ? 0 : 0.3)
      let works = [16, 32, 64, 128]
      trace.moments[call].work = works[clampedInt(random.uniform() * 4 - 0.5, in: 0...3)]
    }
  }
}
