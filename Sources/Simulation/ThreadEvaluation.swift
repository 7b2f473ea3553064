import Base
import Control
import Glibc

/// A session with a budget of latency and a cap on average power on a simulated machine with four cores, once with all of them in every
/// run and once with the number of threads as a choice of the governor, in virtual time.
///
/// Computing is divided among threads but for a twentieth; fetching takes two threads for all of the bandwidth, of which one alone gets
/// three fifths. The energy of a run is the power of its threads and of what they share, for as long as it computes or fetches.
public struct ThreadEvaluation: Sendable {
  public struct Result: Sendable {
    /// Average power over the cap, behind the first tenth of the calls.
    public var power: Interval
    /// Calls above the latency budget that the fastest rung with all threads would not have missed, as a share.
    public var missed: Interval
    /// Mean loss, in levels.
    public var loss: Interval
    /// Threads of a run, mean.
    public var threads: Interval
  }

  public var ladder: String
  public var trace: String
  public var all: Result
  public var choice: Result
  /// By how much the choice loses less, in levels; a difference per seed.
  public var gain: Interval

  /// Falling.
  static let counts = [4, 2, 1]

  /// - Parameters:
  ///   - trace: one of ``LoadTrace/names``.
  ///   - calls, seed, seeds: as in ``PowerEvaluation``.
  public init(_ ladder: Ladder, trace: String, calls: Int, seed: Int, seeds: Int) throws(AdaptQError) {
    try Simulation.checkSize(calls: calls, seeds: seeds)
    var runs: [(all: ThreadRun, choice: ThreadRun)] = []
    for run in 0..<seeds {
      let number = UInt64(truncatingIfNeeded: seed &+ run)
      let load = try LoadTrace.generated(trace, calls: calls, ladder: ladder, seed: number)
      var pair = (all: try ThreadRun(ladder, seed: number), choice: try ThreadRun(ladder, seed: number))
      try pair.all.run(load, choosesThreads: false)
      try pair.choice.run(load, choosesThreads: true)
      runs.append(pair)
    }
    let count = Double(calls)
    func result(_ pick: ((all: ThreadRun, choice: ThreadRun)) -> ThreadRun) -> Result {
      let own = runs.map(pick)
      return Result(
        power: Interval(own.map { $0.energy / max($0.time, 1) * 1e3 / $0.cap }),
        missed: Interval(own.map { Double($0.missed) / count }), loss: Interval(own.map { $0.loss / count }),
        threads: Interval(own.map { Double($0.threads) / count }))
    }
    self.ladder = ladder.name
    self.trace = trace
    all = result { $0.all }
    choice = result { $0.choice }
    gain = Interval(runs.map { ($0.all.loss - $0.choice.loss) / count })
  }
}

/// One seed, one policy. Energies in nanojoules, powers in milliwatts, times in nanoseconds.
private struct ThreadRun {
  /// For each number of threads.
  private let machines: [SimulatedMachine]
  private let seed: UInt64
  private var controller: LatencyController
  private var governor: PowerGovernor
  private let measured: [[Double]]
  let cap: Double

  private static let staticPower = 5000.0
  private static let sharedPower = 1000.0
  private static let threadPower = 3000.0
  /// What cannot be divided.
  private static let serial = 0.05
  /// A cost measured with fewer threads is wrong by so much more.
  private static let error = 0.05

  // Results.
  var energy = 0.0
  var time = 0.0
  var missed = 0
  var loss = 0.0
  var threads = 0

  init(_ ladder: Ladder, seed: UInt64) throws(AdaptQError) {
    self.seed = seed
    let most = ThreadEvaluation.counts[0]
    machines = ThreadEvaluation.counts.map { count in
      var own = ladder
      for rung in own.rungs.indices {
        own.rungs[rung].compute *= Self.computing(count) / Self.computing(most)
        own.rungs[rung].memory *= Self.fetching(count) / Self.fetching(most)
      }
      return SimulatedMachine(ladder: own)
    }
    controller = try Evaluation.controller(ladder, seed: seed)
    // As the controller's costs; with fewer threads each number is wrong once more.
    var random = SimulationRandom(seed: seed, stream: 2)
    let told = ladder.measuredTimes(errorShare: Evaluation.costError, &random)
    var other = SimulationRandom(seed: seed, stream: 5)
    let place = other.uniform(0.2...0.8)
    var measured = [told]
    for machine in machines.dropFirst() {
      let factor = other.uniform() < 0.5 ? 1 - Self.error : 1 + Self.error
      measured.append(
        ladder.rungs.indices.map { told[$0] * factor * machine.ladder.time($0) / ladder.time($0) })
    }
    self.measured = measured
    governor = PowerGovernor(rungCount: ladder.rungs.count)
    let last = ladder.rungs.count - 1
    let best = ladder.rungs.firstIndex { $0.loss >= 2 } ?? 0
    let (low, high) = (Self.energy(ladder.time(last), most), Self.energy(ladder.time(best), most))
    cap = Self.staticPower + (low + (high - low) * place) / ladder.budget * 1e3
    governor.setBudget(
      milliwatts: cap, window: 10_000_000_000, staticMilliwatts: Self.staticPower, maximumNanojoules: nil)
  }

  /// Time with so many threads over that with one.
  private static func computing(_ threads: Int) -> Double { serial + (1 - serial) / Double(threads) }
  private static func fetching(_ threads: Int) -> Double { threads == 1 ? 1 / 0.6 : 1 }

  private static func energy(_ nanoseconds: Double, _ threads: Int) -> Double {
    nanoseconds * (sharedPower + threadPower * Double(threads)) * 1e-3
  }

  private static func curve(_ value: Double) throws(AdaptQError) -> CostCurve {
    var points: [CostPoint] = []
    for work in Ladder.measuredWorks {
      points.append(CostPoint(work: work, nanoseconds: clampedInt(value * Ladder.scale(work), in: 1...Int.max)))
    }
    return try CostCurve(points: points)
  }

  private func fill(_ table: ThreadTable) throws(AdaptQError) {
    for (row, count) in ThreadEvaluation.counts.enumerated() {
      for rung in machines[row].ladder.rungs.indices {
        table.setTime(row: row, rung: rung, curve: try Self.curve(measured[row][rung]))
        table.setEnergy(
          row: row, rung: rung, curve: try Self.curve(Self.energy(machines[row].ladder.time(rung), count)))
      }
    }
  }

  mutating func run(_ trace: LoadTrace, choosesThreads: Bool) throws(AdaptQError) {
    let rungs = machines[0].ladder.rungs.count
    let memory = try MemoryBlock.allocate(
      byteCount: try ThreadTable.curveCount(rows: ThreadEvaluation.counts.count, rungs: rungs)
        * MemoryLayout<CostCurve>.stride, purpose: "simulated costs by threads")
    let table = try ThreadTable(
      counts: ThreadEvaluation.counts, rungCount: rungs, curves: memory.base.assumingMemoryBound(to: CostCurve.self))
    try fill(table)
    for rung in 0..<rungs {
      governor.setEnergy(
        rung: rung, curve: try Self.curve(Self.energy(machines[0].ladder.time(rung), ThreadEvaluation.counts[0])))
    }
    governor.threads = table
    replay(trace, table, choosesThreads)
    governor.threads = nil
    withExtendedLifetime(memory) {}
  }

  private mutating func replay(_ trace: LoadTrace, _ table: ThreadTable, _ choosesThreads: Bool) {
    let isThrottled = trace.name == "thermal" || trace.name == "battery"
    let every = UInt64.max >> UInt64(64 - machines[0].ladder.rungs.count)
    let budget = machines[0].ladder.budget
    let warm = trace.moments.count / 10
    var clock = 0.0
    var last = (rung: -1, row: 0)
    for (call, moment) in trace.moments.enumerated() {
      let decision = controller.decide(work: moment.work)
      let wanted = decision.rung
      var offer = RungOffer(controller.rungs(of: every, from: wanted, work: moment.work))
      if choosesThreads && decision.reason != .probe {
        offer = controller.offer(of: every, from: wanted, work: moment.work, table, row: 0)
      }
      let power = governor.decide(time: clampedInt(clock, in: 0...Int.max), work: moment.work, offer: offer)
      let (rung, row) = (max(power.rung, wanted), power.row)
      let sample = CallSample(seed: seed, call: call)
      let machine = machines[row]
      let taken = machine.time(rung, moment, sample, isCold: last.rung >= 0 && rung != last.rung)
      let fastest = machines[0].latency(machines[0].fastest(moment), moment, sample, isCold: false)
      if taken.nanoseconds > budget && fastest <= budget { missed += 1 }
      controller.observe(
        rung: rung, work: moment.work, latencyNanoseconds: clampedInt(taken.nanoseconds, in: 1...Int.max),
        wasInterrupted: taken.waited > 0, expectedShare: table.ratio(row: row, to: 0, rung: rung, work: moment.work))
      governor.observe(rung: rung, work: moment.work, row: row)
      loss += machine.ladder.rungs[rung].loss
      threads += ThreadEvaluation.counts[row]
      last = (rung, row)
      let interval = max(taken.nanoseconds, budget)
      clock += interval
      if call < warm { continue }
      // As in `PowerEvaluation`: a throttled clock takes less energy per call, a neighbour's load a little more.
      let factor = isThrottled ? 1 / moment.compute.squareRoot() : pow(moment.compute, 0.2)
      let idle = machine.ladder.time(rung) * Ladder.scale(moment.work)
      energy += Self.energy(idle, ThreadEvaluation.counts[row]) * factor + Self.staticPower * interval * 1e-3
      time += interval
    }
  }
}
