import Base
import Foundation
@testable import Simulation
import Testing

/// What docs/simulation.md shows, held: virtual time and seeds make every figure exact. `make test-long` runs 20,000 calls and
/// several seeds, `make test` one shorter run of each.
@Suite struct BarTests {
  private static let isLong = getenv("ADAPTQ_TEST_LONG") != nil

  private func evaluation(_ ladder: String, _ trace: String) throws -> Evaluation {
    try Evaluation(
      try Ladder(named: ladder), .generated(trace), calls: Self.isLong ? 20_000 : 8000, seed: 1,
      seeds: Self.isLong ? 10 : 1)
  }

  /// Bars that are nearly missed, with bounds that hold: shares of excess loss.
  private static let excessBounds = [
    "levels stalls": 0.06, "levels interrupted": 0.06, "mixed stalls": 0.06, "mixed wander": 0.06,
    "frames wander": 0.06, "memory crowded": 0.07, "mixed periodic": 0.07,
  ]

  /// Misses, likewise: where the rung that is fastest was measured slower than the one before, as happens to one seed of ten, it is
  /// never tried, and the one before misses.
  private static let missBounds = ["levels crowded": 0.013, "mixed crowded": 0.02]

  @Test(arguments: Ladder.names, LoadTrace.names) func holdsTheBudgetAtLittleLoss(_ ladder: String, _ trace: String)
    throws
  {
    let evaluation = try evaluation(ladder, trace)
    print("simulation:", EvaluationReport.line(evaluation))
    // A short run is mostly learning what costs are wrong.
    let bar = Self.missBounds["\(ladder) \(trace)"] ?? 0.01
    let most = Self.isLong ? bar : max(1.5 * bar, trace == "crowded" ? 0.03 : 0)
    #expect(evaluation.controller.missed.mean <= most, "\(ladder) \(trace)")
    let bound = Self.excessBounds["\(ladder) \(trace)"] ?? 0.05
    let excess = evaluation.controller.excess?.mean ?? 0
    #expect(excess <= (Self.isLong ? bound : 2 * bound), "\(ladder) \(trace)")
    if trace == "steady" { #expect(evaluation.controller.switches.mean <= 100 * most, "\(ladder)") }
    guard let steps = evaluation.steps else { return }
    #expect(steps.downTooLate * 5 <= steps.down, "\(ladder) \(trace)")
    // One surprise is due. What the rungs take is learned with the first steps.
    if Self.isLong && ladder != "mixed" && ladder != "frames" {
      #expect(steps.upWithMoreMisses * 8 <= steps.up, "\(ladder) \(trace)")
    }
  }

  /// A machine beside stress-ng's loads, as Tests/Budget/record.py saw it: two workers, or two that copy memory, take the CPU for
  /// 4 ms of 8, so that from one call to the next every call waits, and most rungs miss.
  @Test(arguments: Ladder.names, [true, false]) func holdsTheBudgetUnderARecordedLoad(
    _ ladder: String, _ knowsWaits: Bool
  )
    throws
  {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Recorded/stress.csv")
    let evaluation = try Evaluation(
      try Ladder(named: ladder), .recorded(name: "stress", csv: String(contentsOf: file, encoding: .utf8)),
      calls: Self.isLong ? 20_000 : 8000, seed: 1, seeds: Self.isLong ? 10 : 3, knowsWaits: knowsWaits)
    print("simulation:", knowsWaits ? "" : "unknown waits:", EvaluationReport.line(evaluation))
    // The bar is 0.01, and `frames` has a little more.
    #expect(evaluation.controller.missed.mean <= (ladder == "frames" && knowsWaits ? 0.011 : 0.01))
    // The bar is 0.05. Where nobody tells that calls waited, those on short rungs go further down than they need to.
    let isLow = !knowsWaits && (ladder == "memory" || ladder == "frames")
    let most = isLow ? 0.25 : ladder == "levels" ? 0.15 : 0.1
    #expect((evaluation.controller.excess?.mean ?? 1) <= most)
  }

  /// The PID holds the budget with much more loss, or does not hold it.
  @Test func beatsAPID() throws {
    for trace in ["step", "bursts", "sizes"] {
      let evaluation = try evaluation("levels", trace)
      let (ours, pid) = (evaluation.controller, evaluation.pid)
      #expect(pid.missed.mean > 0.01 || (pid.excess?.mean ?? 0) > 0.1 + (ours.excess?.mean ?? 0), "\(trace)")
    }
  }

  /// Each session is the other's load: both hold, and once the load from outside is steady neither moves.
  @Test(arguments: Ladder.names) func twoSessionsDoNotSwing(_ name: String) throws {
    let ladder = try Ladder(named: name)
    let shared = try SharedMachine(
      (ladder, ladder), calls: Self.isLong ? 20_000 : 8000, seed: 1, seeds: Self.isLong ? 10 : 1)
    for line in EvaluationReport.lines(shared) { print("simulation: two sessions:", line) }
    for session in shared.sessions {
      #expect(session.missed.mean <= 0.01)
      #expect(session.settledSwitches.mean <= 1)
    }
  }

  /// One of two sessions pauses, and the load outside has changed by the time it goes on: it begins where the other one is, and
  /// neither swings against the other.
  @Test(arguments: Ladder.names) func aPauseCostsNoMisses(_ name: String) throws {
    let ladder = try Ladder(named: name)
    func run(_ isSharing: Bool) throws -> SharedMachine {
      try SharedMachine(
        (ladder, ladder), calls: 20_000, seed: 1, seeds: Self.isLong ? 10 : 2,
        pauses: SharedMachine.Pauses(isSharing: isSharing))
    }
    let (shared, alone) = try (run(true), run(false))
    for line in EvaluationReport.lines(alone) { print("simulation: pauses, each by itself:", line) }
    for line in EvaluationReport.lines(shared) { print("simulation: pauses, shared:", line) }
    for session in shared.sessions { #expect(session.missed.mean <= 0.01) }
    let missed = (shared.sessions[1].missesAfterPause?.mean ?? 1, alone.sessions[1].missesAfterPause?.mean ?? 0)
    // Two seeds are few: single misses decide.
    #expect(missed.0 <= missed.1 + (Self.isLong ? 0.02 : 0.05))
    for (one, other) in zip(shared.sessions, alone.sessions) {
      #expect(one.switches.mean <= other.switches.mean + 0.75)
    }
  }
}
