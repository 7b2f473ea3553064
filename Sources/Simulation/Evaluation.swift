import Base
import Control

/// One ladder under one trace, over several seeds: the controller, the oracle, a PID and every fixed rung.
public struct Evaluation: Sendable {
  /// Where a trace comes from.
  public enum Source: Sendable {
    /// One of ``LoadTrace/names``.
    case generated(String)
    /// A name and the text of a recorded trace, see ``LoadTrace/init(name:csv:calls:period:)``.
    case recorded(name: String, csv: String)

    public var name: String {
      switch self {
      case .generated(let name): name
      case .recorded(let name, _): name
      }
    }
  }

  /// What one policy did. Shares are of 1.
  public struct Result: Sendable {
    public var policy: String
    /// Calls above the budget, without those that the fastest rung would have missed, too.
    public var missed: Interval
    /// Mean loss, in levels.
    public var loss: Interval
    /// (loss - oracle's) / (worst rung's - oracle's); nil where the oracle needs the worst rung all the time.
    public var excess: Interval?
    /// Switches per 100 calls.
    public var switches: Interval
    /// Energy beyond the oracle's, as a share of it: time that calls ran, without waiting.
    public var energy: Interval
  }

  /// How the controller takes the steps of a trace, over all seeds.
  public struct Steps: Hashable, Sendable {
    public var up = 0
    /// Steps up with more than one miss more than the oracle has in ten calls.
    public var upWithMoreMisses = 0
    /// Most misses more than the oracle has.
    public var mostExtraMisses = 0
    /// Steps up after which the rung is not within one of the right one after ten calls.
    public var upTooLate = 0
    public var down = 0
    /// Steps down after which it is not within one after (rungs between) times dwell.
    public var downTooLate = 0
    /// Calls per rung between, mean over the steps down.
    public var callsPerRungDown = 0.0
  }

  public var ladder: Ladder
  public var trace: String
  public var calls: Int
  public var seeds: Int
  public var oracle: Result
  public var controller: Result
  public var pid: Result
  public var fixed: [Result]
  public var steps: Steps?

  /// By how much measured costs were wrong, and what the controller took them to be wrong by.
  public var costError: Double
  public var believedError: Double
  /// The share of calls that may miss, in per cent of all, is 100 minus this.
  public var percentile: Double
  /// By how much the measured cost of every level is wrong, up or down, unless asked for otherwise.
  public static let costError = 0.2

  /// - Parameters:
  ///   - calls: 1000 to 1,000,000.
  ///   - seed: of the first run; the others follow.
  ///   - seeds: runs, 1 to 1000; the intervals come from their differences.
  ///   - percentile: of the budget, 50 to 99.9.
  ///   - knowsWaits: whether the controller is told which calls waited for the CPU.
  ///   - costError: by how much the measured cost of every level is wrong, up or down, as a share: 0 to 0.3.
  ///   - believedError: what the controller takes costs to be wrong by, 0.01 to 0.2; nil: what they are wrong by, at least 0.06.
  /// - Throws: `outOfRange`, or what the trace says.
  public init(
    _ ladder: Ladder, _ source: Source, calls: Int, seed: Int, seeds: Int, percentile: Double = 99,
    knowsWaits: Bool = true, costError: Double = Evaluation.costError, believedError: Double? = nil
  ) throws(AdaptQError) {
    if !(0...0.3).contains(costError) {
      throw AdaptQError(.outOfRange, "cost error: \(costError), allowed are 0 to 0.3")
    }
    try Simulation.checkSize(calls: calls, seeds: seeds)
    self.ladder = ladder
    self.calls = calls
    self.seeds = seeds
    self.percentile = percentile
    self.costError = costError
    self.believedError = believedError ?? min(max(costError, 0.06), 0.2)
    trace = source.name
    var sums = Array(repeating: [Simulation.Summary](), count: ladder.rungs.count + 3)
    var steps = Steps()
    var answers: [Simulation.StepAnswer] = []
    for run in 0..<seeds {
      let number = UInt64(truncatingIfNeeded: seed &+ run)
      let courses = try Self.courses(
        ladder, source, calls, number, percentile, knowsWaits, (costError, self.believedError))
      for (index, summary) in courses.summaries.enumerated() { sums[index].append(summary) }
      answers += courses.answers
    }
    let oracleLosses = sums[0].map(\.loss)
    let oracleRan = sums[0].map(\.ran)
    let worst = ladder.rungs.map(\.loss).max() ?? 0
    func result(_ name: String, _ summaries: [Simulation.Summary]) -> Result {
      let excess = zip(summaries, oracleLosses).compactMap { $1 < worst ? ($0.loss - $1) / (worst - $1) : nil }
      return Result(
        policy: name, missed: Interval(summaries.map(\.avoidablyMissed)), loss: Interval(summaries.map(\.loss)),
        excess: excess.isEmpty ? nil : Interval(excess), switches: Interval(summaries.map(\.switches)),
        energy: Interval(zip(summaries, oracleRan).map { $0.ran / $1 - 1 }))
    }
    oracle = result("oracle", sums[0])
    controller = result("controller", sums[1])
    pid = result("PID", sums[2])
    fixed = ladder.rungs.enumerated().map { result($1.name, sums[$0 + 3]) }
    for answer in answers { steps.add(answer) }
    self.steps = answers.isEmpty ? nil : steps
  }

  private static func courses(
    _ ladder: Ladder, _ source: Source, _ calls: Int, _ seed: UInt64, _ percentile: Double, _ knowsWaits: Bool,
    _ errors: (cost: Double, believed: Double)
  ) throws(AdaptQError) -> (summaries: [Simulation.Summary], answers: [Simulation.StepAnswer]) {
    let trace: LoadTrace
    switch source {
    case .generated(let name): trace = try .generated(name, calls: calls, ladder: ladder, seed: seed)
    case .recorded(let name, let csv):
      trace = try LoadTrace(name: name, csv: csv, calls: calls, period: ladder.budget)
    }
    let simulation = Simulation(ladder, trace, seed: seed)
    var controller = ControllerPolicy(
      controller: try Self.controller(
        ladder, seed: seed, percentile: percentile, costError: errors.cost, believedError: errors.believed),
      knowsWaits: knowsWaits)
    let oracle = Oracle(dwell: controller.controller.configuration.dwell, percentile: percentile)
    var planned = PlannedPolicy(rungs: oracle.plan(simulation.machine, trace))
    let best = simulation.run(&planned)
    let course = simulation.run(&controller)
    var pid = PIDPolicy(rungCount: ladder.rungs.count, budget: ladder.budget)
    var summaries = [best, course, simulation.run(&pid)].map(simulation.summary)
    for rung in ladder.rungs.indices {
      var policy = FixedPolicy(rung: rung)
      summaries.append(simulation.summary(simulation.run(&policy)))
    }
    let targets = trace.steps.isEmpty ? [] : oracle.targets(simulation.machine, trace)
    return (summaries, simulation.answers(course, best, targets: targets, dwell: oracle.dwell))
  }

  /// A controller with costs that are wrong.
  static func controller(
    _ ladder: Ladder, seed: UInt64, percentile: Double = 99, costError: Double = Evaluation.costError,
    believedError: Double = Evaluation.costError
  ) throws(AdaptQError) -> LatencyController {
    var random = SimulationRandom(seed: seed, stream: 2)
    let measured = ladder.measuredTimes(errorShare: costError, &random)
    return try ladder.controller(measured: measured, percentile: percentile, believedError: believedError)
  }

  /// The best rung that, used all the time, misses no more than tolerated; nil where none does.
  public var bestFixed: Result? {
    fixed.filter { $0.missed.mean <= 1 - percentile / 100 }.min { $0.loss.mean < $1.loss.mean }
  }
}

extension Evaluation.Steps {
  fileprivate mutating func add(_ answer: Simulation.StepAnswer) {
    if answer.isUp {
      up += 1
      mostExtraMisses = max(mostExtraMisses, answer.extraMisses)
      if answer.extraMisses > 1 { upWithMoreMisses += 1 }
      if answer.calls > 10 { upTooLate += 1 }
    } else {
      let perRung = Double(answer.calls) / Double(max(answer.rungsBetween, 1))
      callsPerRungDown = (callsPerRungDown * Double(down) + perRung) / Double(down + 1)
      down += 1
      if answer.calls > answer.rungsBetween * answer.dwell { downTooLate += 1 }
    }
  }
}
