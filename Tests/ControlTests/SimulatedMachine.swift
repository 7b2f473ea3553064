import Control
import TestSupport

/// A machine in virtual time: true costs, load, noise and stalls; the controller sees only latencies.
struct SimulatedMachine {
  /// Nanoseconds per rung for `work`.
  var cost: (_ rung: Int, _ work: Int) -> Double
  /// Factor on all computing at run `n`.
  var load: (_ run: Int) -> Double = { _ in 1 }
  /// Standard deviation of computing time, as a share.
  var noise = 0.05
  /// Share of runs that wait for a time slice, and how long.
  var stallShare = 0.0
  var stallNanoseconds = 4_000_000.0
  /// Share of runs that compute longer by up to `tail`, as a share.
  var tailShare = 0.0
  var tail = 0.0
  /// Standard deviation of a slow wander of the machine's speed (correlated over some 30 runs), as a share.
  var drift = 0.0
  private var wander = 0.0
  /// How much a neighbour on the same core slows each rung down when it is busy, as a share; empty: there is none.
  var sharing: [Double] = []
  private var neighbour = 0.5
  /// Nanoseconds that a competing process holds the CPU after every 6 ms of ours; 0: none competes.
  var slices: (_ run: Int) -> Double = { _ in 0 }
  var work: (_ run: Int) -> Int = { _ in 1 }
  var random: SeededRandom

  /// 8, 6, 4 and 2 bits: times in milliseconds for one unit of work.
  init(milliseconds: [Double], _ name: String) {
    cost = { rung, work in milliseconds[rung] * 1e6 * Double(work) }
    random = SeededRandom(name)
  }

  /// Six levels on a noisy virtual machine that changes its speed by itself (noise with a heavy tail, a drift of a few per
  /// cent), and from run 200 to 400 a competing process that takes a third of the CPU in slices of 3 ms.
  static func likeEmbed(_ name: String) -> SimulatedMachine {
    var machine = SimulatedMachine(milliseconds: [24, 23.1, 16, 13.3, 10.2, 9.3], name)
    machine.noise = 0.04
    machine.tailShare = 0.03
    machine.tail = 0.25
    machine.drift = 0.03
    machine.slices = { (200..<400).contains($0) ? 3e6 : 0 }
    return machine
  }

  mutating func latency(rung: Int, work: Int, run: Int) -> Int {
    var factor = max(0.5, 1 + noise * Double(random.normal()))
    let stalled = Double.random(in: 0..<1, using: &random) < stallShare
    wander = wander * 0.967 + drift * 0.255 * Double(random.normal())
    if rung < sharing.count {
      neighbour = min(max(neighbour + 0.15 * Double(random.normal()), 0), 1)
      factor *= 1 + sharing[rung] * neighbour
    }
    var time = cost(rung, work) * load(run) * factor * max(0.7, 1 + wander)
    if tailShare > 0, Double.random(in: 0..<1, using: &random) < tailShare {
      time *= 1 + Double.random(in: 0...tail, using: &random)
    }
    let slice = slices(run)
    if slice > 0 {
      // The run begins anywhere between two slices.
      let turns = ((time + Double.random(in: 0..<6e6, using: &random)) / 6e6).rounded(.down)
      time += turns * slice
    }
    return Int(time + (stalled ? stallNanoseconds : 0))
  }
}

struct Trace {
  var decisions: [Decision] = []
  var latencies: [Int] = []
  var missed: [Bool] = []
  var works: [Int] = []

  func missRate(_ range: Range<Int>) -> Double {
    Double(missed[range].count { $0 }) / Double(range.count)
  }

  /// Without single runs at another rung and the way back from them.
  func switches(_ range: Range<Int>) -> Int {
    range.count { run in
      let isProbe = decisions[run].reason == .probe || (run > 0 && decisions[run - 1].reason == .probe)
      return decisions[run].changed && !isProbe
    }
  }

  func meanRung(_ range: Range<Int>) -> Double {
    Double(decisions[range].reduce(0) { $0 + $1.rung }) / Double(range.count)
  }

  /// First run at or after `start` whose rung satisfies `condition`.
  func first(from start: Int, _ condition: (Int) -> Bool) -> Int? {
    decisions.indices.first { $0 >= start && condition(decisions[$0].rung) }
  }

  func summary(_ name: String, _ parts: [(String, Range<Int>)]) {
    for (label, range) in parts {
      let rate = (missRate(range) * 1000).rounded() / 10
      let mean = (meanRung(range) * 100).rounded() / 100
      print(
        "control: \(name), \(label): \(range.count) runs, \(rate) % missed, mean rung \(mean), \(switches(range)) switches"
      )
    }
  }
}

extension LatencyController {
  /// Measures the idle machine at `works` (with `error` per rung as a factor) and hands the costs over.
  mutating func learnCosts(
    of machine: SimulatedMachine, works: [Int] = [1], error: [Double] = []
  ) throws {
    for rung in 0..<configuration.rungCount {
      let factor = rung < error.count ? error[rung] : 1
      try setCost(
        rung: rung,
        points: works.map { CostPoint(work: $0, nanoseconds: Int(machine.cost(rung, $0) * factor)) })
    }
  }

  mutating func drive(
    _ machine: inout SimulatedMachine, runs: Int, before: (Int, inout LatencyController) throws -> Void = { _, _ in }
  ) throws -> Trace {
    var trace = Trace()
    for run in 0..<runs {
      try before(run, &self)
      let work = machine.work(run)
      let decision = decide(work: work)
      let latency = machine.latency(rung: decision.rung, work: work, run: run)
      observe(rung: decision.rung, work: work, latencyNanoseconds: latency)
      trace.decisions.append(decision)
      trace.latencies.append(latency)
      trace.missed.append(configuration.budgetNanoseconds.map { latency > $0 } ?? false)
      trace.works.append(work)
    }
    return trace
  }
}
