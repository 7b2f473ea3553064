import Testing

@testable import Simulation

/// The number of threads as a choice of budgets of power: what docs/simulation.md shows.
@Suite struct ThreadBarTests {
  private static let traces = LoadTrace.namesForPower + ["interrupted", "quota"]

  private func evaluation(_ ladder: String, _ trace: String, seeds: Int = 3) throws -> ThreadEvaluation {
    let one = try ThreadEvaluation(try Ladder(named: ladder), trace: trace, calls: 20_000, seed: 1, seeds: seeds)
    for line in PowerReport.lines(one) { print("simulation: threads:", line) }
    return one
  }

  /// A choice more loses no quality, breaks neither budget, and where more threads wait for the same memory it wins much.
  @Test(arguments: Ladder.names, traces) func choiceIsNoLoss(_ ladder: String, _ trace: String) throws {
    let result = try evaluation(ladder, trace)
    let (all, choice) = (result.all, result.choice)
    #expect(all.threads.mean == 4 && choice.threads.mean <= 4)
    #expect(result.gain.mean > -0.03)
    #expect(choice.power.mean <= max(1.01, all.power.mean + 0.02))
    // Where the choice of a lower rung misses by itself, threads add little. A quota takes more from the longer runs of fewer
    // threads, which the last runs of `frames`, short ones, do not show in time.
    let least = ladder == "frames" && trace == "quota" ? 0.03 : 0.0125
    #expect(choice.missed.mean <= max(least, all.missed.mean + 0.005))
    if ladder == "memory" { #expect(result.gain.mean > 0.4 && choice.threads.mean < 3.2) }
    if trace == "thermal" { #expect(result.gain.mean > 0.05) }
  }

  @Test func sameSeedSameResult() throws {
    let (first, second) = (try evaluation("memory", "step"), try evaluation("memory", "step"))
    #expect(first.gain == second.gain && first.choice.power == second.choice.power)
    #expect(first.choice.missed == second.choice.missed && first.all.loss == second.all.loss)
  }

  @Test func refusesWrongSizes() throws {
    let ladder = try Ladder(named: "levels")
    for (trace, calls, seeds) in [("steady", 1, 1), ("steady", 1000, 0), ("nothing", 1000, 1)] {
      #expect(throws: (any Error).self) {
        try ThreadEvaluation(ladder, trace: trace, calls: calls, seed: 1, seeds: seeds)
      }
    }
  }
}
