import Glibc
@testable import Simulation
import Testing

/// Budgets of power beside those of latency, on machines whose energies are not those of the model: what docs/simulation.md shows.
@Suite struct PowerBarTests {
  private static let isLong = getenv("ADAPTQ_TEST_LONG") != nil
  private static let traces = LoadTrace.namesForPower

  private func evaluation(_ ladder: String, _ trace: String, _ meter: PowerEvaluation.Meter) throws -> PowerEvaluation {
    let one = try PowerEvaluation(
      try Ladder(named: ladder), trace: trace, meter: meter, calls: 20_000, seed: 1,
      seeds: Self.isLong ? 10 : 3)
    print("simulation: power:", PowerReport.line(one))
    return one
  }

  /// With a meter: never above the cap by more than 2 %, and within 2 % of it where power is what limits nearly all the time.
  @Test(arguments: Ladder.names, traces) func holdsTheCap(_ ladder: String, _ trace: String) throws {
    for meter in [PowerEvaluation.Meter.good, .wrapping] {
      let result = try evaluation(ladder, trace, meter)
      #expect(result.power.mean <= 1.02, "\(ladder) \(trace)")
      if result.limited.mean > 0.95 { #expect(result.power.mean >= 0.98, "\(ladder) \(trace)") }
      #expect(result.missed.mean <= 0.0125, "\(ladder) \(trace)")
      #expect(result.measured.mean > 0.9 && result.faults == 0)
    }
  }

  /// Whatever the meter says, the budget of latency holds, and what cannot be true is found.
  @Test(arguments: Ladder.names, PowerEvaluation.Meter.allCases) func survivesFaultyMeters(
    _ ladder: String, _ meter: PowerEvaluation.Meter
  ) throws {
    for trace in ["step", "thermal", "wander"] {
      let result = try evaluation(ladder, trace, meter)
      #expect(result.missed.mean <= 0.0125, "\(ladder) \(trace)")
      switch meter {
      case .frozen, .negative, .jumping, .vanishing: #expect(result.faults > 5, "\(ladder) \(trace)")
      case .good, .absent, .wrapping: #expect(result.faults == 0, "\(ladder) \(trace)")
      case .clockSteps: break
      }
      // A model alone is as good as its unit; a meter that fails leaves what it taught.
      #expect(result.power.mean <= (meter == .absent ? 1.08 : 1.04), "\(ladder) \(trace)")
      if meter == .absent { #expect(result.measured.mean == 0) }
      if meter == .frozen { #expect(result.measured.mean < 0.6) }
    }
  }

  @Test func refusesWrongSizes() throws {
    let ladder = try Ladder(named: "levels")
    #expect(throws: (any Error).self) {
      try PowerEvaluation(ladder, trace: "steady", meter: .good, calls: 1, seed: 1, seeds: 1)
    }
    #expect(throws: (any Error).self) {
      try PowerEvaluation(ladder, trace: "steady", meter: .good, calls: 1000, seed: 1, seeds: 0)
    }
    #expect(throws: (any Error).self) {
      try PowerEvaluation(ladder, trace: "nothing", meter: .good, calls: 1000, seed: 1, seeds: 1)
    }
  }
}
