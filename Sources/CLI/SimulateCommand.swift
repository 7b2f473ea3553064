import ArgumentParser
import Base
import Simulation

struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Replays load traces against the controller in virtual time and compares it with an oracle.",
    discussion: """
      Traces: \(LoadTrace.names.joined(separator: ", ")), or a CSV file as Tests/Budget/record.py writes it. docs/simulation.md \
      says what the figures mean.
      """)

  @Option(parsing: .singleValue, help: "A trace's name or a CSV file; may be given several times. Default: all traces.")
  var trace: [String] = []

  @Option(
    parsing: .singleValue,
    help: "\(Ladder.names.joined(separator: ", ")); may be given several times. Default: all of them.")
  var ladder: [String] = []

  @Option(help: "Calls per run.")
  var calls = 20_000

  @Option(help: "Seed of the first run.")
  var seed = 1

  @Option(help: "Runs, with a seed each; the intervals come from their differences.")
  var seeds = 10

  @Flag(help: "Sessions with a budget of power besides, with good and faulty meters, instead.")
  var power = false

  @Flag(help: "Sessions whose budget of power chooses the number of threads, beside those with all threads, instead.")
  var threads = false

  @Option(help: "Of the budget, 50 to 99.9.")
  var percentile = 99.0

  @Option(help: "By how much the measured cost of every level is wrong, up or down, in per cent: 0 to 30.")
  var costError = Evaluation.costError * 100

  @Option(
    help: "What the controller takes costs to be wrong by, in per cent: 1 to 20. Default: what they are, at least 6.")
  var believedError: Double?

  @Flag(help: "The controller is not told which calls waited for the CPU.")
  var unknownWaits = false

  @Flag(help: "One JSON object instead of a table.")
  var json = false

  func run() throws {
    let names = trace.isEmpty ? LoadTrace.names : trace
    if power { return try showPower() }
    if threads { return try showThreads() }
    try reporting { () throws(AdaptQError) in
      var sources: [Evaluation.Source] = []
      for name in names { sources.append(try source(name)) }
      var evaluations: [Evaluation] = []
      var shared: [SharedMachine] = []
      show(EvaluationReport.header + ["", EvaluationReport.columns])
      for name in ladder.isEmpty ? Ladder.names : ladder {
        let ladder = try Ladder(named: name)
        for source in sources {
          let evaluation = try Evaluation(
            ladder, source, calls: calls, seed: seed, seeds: seeds, percentile: percentile, knowsWaits: !unknownWaits,
            costError: costError / 100, believedError: believedError.map { $0 / 100 })
          show([EvaluationReport.line(evaluation)] + EvaluationReport.stepLines(evaluation))
          if sources.count == 1 { show(EvaluationReport.policyLines(evaluation)) }
          evaluations.append(evaluation)
        }
        if trace.isEmpty {
          shared.append(try SharedMachine((ladder, ladder), calls: calls, seed: seed, seeds: seeds))
          show(["  two sessions on one machine:"] + EvaluationReport.lines(shared[shared.count - 1]))
          for isSharing in [false, true] {
            shared.append(
              try SharedMachine(
                (ladder, ladder), calls: calls, seed: seed, seeds: seeds,
                pauses: SharedMachine.Pauses(isSharing: isSharing)))
            let how = isSharing ? "slow-down shared" : "each by itself"
            show(["  the second one pauses, \(how):"] + EvaluationReport.lines(shared[shared.count - 1]))
          }
        }
      }
      if json { print(EvaluationReport.json(evaluations, shared).text) }
    }
  }

  private func showPower() throws {
    try reporting { () throws(AdaptQError) in
      show(PowerReport.header + ["", PowerReport.columns])
      try eachWithPower { (ladder, trace) throws(AdaptQError) in
        for meter in PowerEvaluation.Meter.allCases {
          let one = try PowerEvaluation(ladder, trace: trace, meter: meter, calls: calls, seed: seed, seeds: seeds)
          show([PowerReport.line(one)])
        }
      }
    }
  }

  private func showThreads() throws {
    try reporting { () throws(AdaptQError) in
      show(PowerReport.threadHeader + ["", PowerReport.threadColumns])
      try eachWithPower { (ladder, trace) throws(AdaptQError) in
        show(
          PowerReport.lines(try ThreadEvaluation(ladder, trace: trace, calls: calls, seed: seed, seeds: seeds)))
      }
    }
  }

  /// The ladders and traces that were asked for, or all ladders and the traces that say something about power.
  private func eachWithPower(_ body: (Ladder, String) throws(AdaptQError) -> Void) throws(AdaptQError) {
    for name in ladder.isEmpty ? Ladder.names : ladder {
      let ladder = try Ladder(named: name)
      for trace in trace.isEmpty ? LoadTrace.namesForPower : trace { try body(ladder, trace) }
    }
  }

  private func source(_ name: String) throws(AdaptQError) -> Evaluation.Source {
    if LoadTrace.names.contains(name) { return .generated(name) }
    return .recorded(name: name, csv: try readLines(name).joined(separator: "\n"))
  }

  private func show(_ lines: [String]) {
    if json { return }
    for line in lines { print(line) }
  }
}
