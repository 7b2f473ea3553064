import Base
import Control
import Glibc

/// A session with a budget of latency and one of average power, on a machine whose energies differ from its model's: the code that
/// ships (latency controller, governor, energy scale, energy counter) against a meter, whole or faulty, in virtual time.
public struct PowerEvaluation: Sendable {
  /// What is wrong with the meter, from the first third of the calls on.
  public enum Meter: String, Sendable, CaseIterable {
    case good
    /// There is none: the model alone counts.
    case absent
    /// Its counter starts anew every few seconds, as counters do.
    case wrapping
    case frozen, negative, jumping, vanishing
    /// The clock of everything goes back or forth by seconds now and then.
    case clockSteps = "clock steps"
  }

  public var ladder: String
  public var trace: String
  public var meter: Meter
  /// Average power over the cap, behind the first tenth of the calls.
  public var power: Interval
  /// Share of the calls in which power asked for less than latency.
  public var limited: Interval
  /// Calls above the latency budget that the fastest rung would not have missed, as a share.
  public var missed: Interval
  /// Share of the calls whose energy counted as measured.
  public var measured: Interval
  /// Readings that were found faulty, mean over the seeds.
  public var faults: Double
  /// Mean loss, in levels.
  public var loss: Interval

  /// - Parameters:
  ///   - trace: one of ``LoadTrace/names``.
  ///   - calls, seed, seeds: as in ``Evaluation``.
  public init(
    _ ladder: Ladder, trace: String, meter: Meter, calls: Int, seed: Int, seeds: Int
  ) throws(AdaptQError) {
    try Simulation.checkSize(calls: calls, seeds: seeds)
    var runs: [PowerRun] = []
    for run in 0..<seeds {
      let number = UInt64(truncatingIfNeeded: seed &+ run)
      var one = try PowerRun(ladder, meter, seed: number)
      try one.run(try .generated(trace, calls: calls, ladder: ladder, seed: number))
      runs.append(one)
    }
    func interval(_ value: (PowerRun) -> Double) -> Interval { Interval(runs.map(value)) }
    self.ladder = ladder.name
    self.trace = trace
    self.meter = meter
    power = interval { $0.energy / max($0.time, 1) * 1e3 / $0.cap }
    limited = interval { Double($0.limited) / Double(calls) }
    missed = interval { Double($0.missed) / Double(calls) }
    measured = interval { Double($0.measured) / Double(calls) }
    faults = runs.reduce(0) { $0 + Double($1.counter.faultCount) } / Double(max(runs.count, 1))
    loss = interval { $0.loss / Double(calls) }
  }
}

/// One seed. Energies in nanojoules, powers in milliwatts, times in nanoseconds.
private struct PowerRun {
  let machine: SimulatedMachine
  let meter: PowerEvaluation.Meter
  let seed: UInt64
  var controller: LatencyController
  var governor: PowerGovernor
  var scale = EnergyScale()
  var ledger = EnergyLedger()
  var counter: EnergyCounter
  let cap: Double

  // What the budget says, and what is true of this machine.
  static let toldStatic = 5000.0
  static let window = 10_000_000_000.0
  /// Milliwatts while computing and while fetching, as the model has them.
  static let powers = (compute: 10_000.0, memory: 6000.0)
  static let wrapMicrojoules = 60_000_000
  private let trueStatic: Double
  private let unit: Double

  // Results.
  var energy = 0.0
  var time = 0.0
  var limited = 0
  var missed = 0
  var measured = 0
  var loss = 0.0

  // The meter.
  private var joules = 0.0
  private var modelled = 0.0
  private var readNumber = 0
  private var clock = 0.0
  private var clockError = 0.0
  private var lastPoll = -1.0
  private var lastReading = 0

  init(_ ladder: Ladder, _ meter: PowerEvaluation.Meter, seed: UInt64) throws(AdaptQError) {
    machine = SimulatedMachine(ladder: ladder)
    self.meter = meter
    self.seed = seed
    controller = try Evaluation.controller(ladder, seed: seed)
    var random = SimulationRandom(seed: seed, stream: 3)
    // Without a meter nothing could tell a wrong unit.
    unit = meter == .absent ? 1 : random.uniform(0.7...1.5)
    trueStatic = Self.toldStatic * (meter == .absent ? 1 : random.uniform(0.95...1.05))
    let place = random.uniform(0.3...0.7)
    governor = PowerGovernor(rungCount: ladder.rungs.count)
    for (rung, item) in ladder.rungs.enumerated() {
      var points: [CostPoint] = []
      for work in Ladder.measuredWorks {
        points.append(
          CostPoint(work: work, nanoseconds: clampedInt(Self.model(item) * Ladder.scale(work), in: 1...Int.max)))
      }
      try governor.setEnergy(rung: rung, points: points)
    }
    let last = ladder.rungs[ladder.rungs.count - 1]
    // Between the last rung and INT8, which latency leaves most of the time.
    let best = ladder.rungs.first { $0.loss >= 2 } ?? ladder.rungs[0]
    let (low, high) = (Self.model(last) * unit, Self.model(best) * unit)
    cap = trueStatic + (low + (high - low) * place) / ladder.budget * 1e3
    counter = EnergyCounter(rangeMicrojoules: meter == .wrapping ? Self.wrapMicrojoules : 1 << 50)
    governor.setBudget(
      milliwatts: cap, window: clampedInt(Self.window, in: 1...Int.max), staticMilliwatts: Self.toldStatic,
      maximumNanojoules: nil)
  }

  private static func model(_ rung: Rung) -> Double {
    (rung.compute * powers.compute + rung.memory * powers.memory) * 1e-3
  }

  /// A throttled clock takes less energy per call, a neighbour's load a little more.
  private func trueEnergy(_ rung: Int, _ moment: Moment, isThrottled: Bool) -> Double {
    let item = machine.ladder.rungs[rung]
    let factor = isThrottled ? 1 / moment.compute.squareRoot() : pow(moment.compute, 0.2)
    return Self.model(item) * Ladder.scale(moment.work) * unit * factor
  }

  mutating func run(_ trace: LoadTrace) throws(AdaptQError) {
    let isThrottled = trace.name == "thermal" || trace.name == "battery"
    var random = SimulationRandom(seed: seed, stream: 4)
    var lastRung = -1
    let warm = trace.moments.count / 10
    for (call, moment) in trace.moments.enumerated() {
      if clock >= lastPoll + 1e9 { poll(isFaulty: call * 3 >= trace.moments.count, &random) }
      let now = clampedInt(clock + clockError, in: 0...Int.max)
      let wanted = controller.decide(work: moment.work).rung
      let allowed = controller.rungs(
        of: .max >> UInt64(64 - machine.ladder.rungs.count), from: wanted, work: moment.work)
      let decision = governor.decide(time: now, work: moment.work, allowed: allowed)
      let rung = max(decision.rung, wanted)
      if rung > wanted { limited += 1 }
      let sample = CallSample(seed: seed, call: call)
      let latency = machine.latency(rung, moment, sample, isCold: lastRung >= 0 && rung != lastRung)
      let fastest = machine.latency(machine.fastest(moment), moment, sample, isCold: false)
      if latency > machine.ladder.budget && fastest <= machine.ladder.budget { missed += 1 }
      controller.observe(rung: rung, work: moment.work, latencyNanoseconds: clampedInt(latency, in: 1...Int.max))
      let own = governor.modelledNanojoules(rung: rung, work: moment.work)
      governor.observe(rung: rung, work: moment.work)
      scale.charge(modelled: own, charged: own * governor.scale)
      modelled += own
      if scale.isMeasured(time: now, window: Self.window) { measured += 1 }
      loss += machine.ladder.rungs[rung].loss
      lastRung = rung
      // One call per budget, at once where one takes longer.
      let interval = max(latency, machine.ladder.budget)
      let used = trueEnergy(rung, moment, isThrottled: isThrottled) + trueStatic * interval * 1e-3
      joules += used * 1e-9
      clock += interval
      if call >= warm {
        energy += used
        time += interval
      }
    }
  }

  private mutating func poll(isFaulty: Bool, _ random: inout SimulationRandom) {
    if isFaulty && meter == .clockSteps && random.uniform() < 0.02 { clockError += random.uniform(-5e9...5e9) }
    let before = lastPoll + clockError
    let now = clampedInt(max(clock + clockError, 0), in: 0...Int.max)
    lastPoll = clock
    if meter == .absent { return }
    var reading: Int? = clampedInt(joules * 1e6, in: 0...Int.max)
    if meter == .wrapping { reading = (reading ?? 0) % Self.wrapMicrojoules }
    if isFaulty {
      switch meter {
      case .frozen: reading = lastReading
      case .negative: reading = random.uniform() < 0.5 ? reading.map { -$0 } : reading
      case .jumping:
        reading =
          random.uniform() < 0.3 ? reading.map { $0 &+ clampedInt(random.uniform() * 1e12, in: 0...Int.max) } : reading
      case .vanishing: reading = random.uniform() < 0.5 ? nil : reading
      case .good, .absent, .wrapping, .clockSteps: break
      }
    }
    if !isFaulty || meter != .frozen { lastReading = reading ?? lastReading }
    let used = counter.observe(microjoules: reading, time: now)
    ledger.add(
      time: now, microjoules: used, nanoseconds: clampedInt(Double(now) - before, in: 0...Int.max), share: nil,
      modelledNanojoules: UInt64(modelled))
    let correction = scale.update(
      ledger.readings, static: Self.toldStatic, window: Self.window, isShared: false)
    governor.scale = scale.value
    governor.correct(nanojoules: correction)
  }
}
