import Base
@testable import Simulation
import TestSupport
import Testing

@Suite struct OracleTests {
  /// Every sequence of rungs that obeys the dwell, tried out.
  private func bruteForce(_ oracle: Oracle, _ rows: [Oracle.Row], _ gaps: [Int]) -> Double {
    var best = Double.infinity
    func go(_ call: Int, _ rung: Int, _ wait: Int, _ sum: Double) {
      if sum >= best { return }
      if call == rows.count {
        best = sum
        return
      }
      for next in rows[call].warm.indices {
        let left = max(wait - gaps[call], 0)
        if next < rung && (left > 0 || next < rung - 1) { continue }
        let cost = next == rung ? rows[call].warm[next] : rows[call].cold[next]
        go(call + 1, next, oracle.waitAfter(from: rung, to: next, wait: wait, gap: gaps[call]), sum + cost)
      }
    }
    for rung in rows[0].warm.indices { go(1, rung, 0, rows[0].warm[rung]) }
    return best
  }

  private func cost(_ oracle: Oracle, _ rows: [Oracle.Row], _ gaps: [Int], _ plan: [UInt8]) -> Double? {
    var sum = rows[0].warm[Int(plan[0])]
    var wait = 0
    for call in plan.indices.dropFirst() {
      let from = Int(plan[call - 1])
      let to = Int(plan[call])
      if to < from && (max(wait - gaps[call], 0) > 0 || to < from - 1) { return nil }
      wait = oracle.waitAfter(from: from, to: to, wait: wait, gap: gaps[call])
      sum += to == from ? rows[call].warm[to] : rows[call].cold[to]
    }
    return sum
  }

  @Test func isOptimalOnTinyCases() {
    for seed in 0..<300 {
      var random = SeededRandom("OracleTests", seed)
      let oracle = Oracle(dwell: Int.random(in: 1...6, using: &random), percentile: 99)
      let rungs = Int.random(in: 1...4, using: &random)
      let calls = Int.random(in: 1...9, using: &random)
      let rows = (0..<calls).map { _ in
        let warm = (0..<rungs).map { rung in
          Double(rung) + (Int.random(in: 0..<3, using: &random) == 0 ? Double.random(in: 0..<20, using: &random) : 0)
        }
        return Oracle.Row(warm: warm, cold: warm.map { $0 + Double.random(in: 0..<2, using: &random) })
      }
      let gaps = (0..<calls).map { _ in Int.random(in: 1...3, using: &random) }
      let plan = oracle.cheapest(rows, gaps: gaps)
      let found = cost(oracle, rows, gaps, plan)
      #expect(found != nil, "seed \(seed): breaks the dwell")
      #expect(((found ?? 0) - bruteForce(oracle, rows, gaps)).magnitude < 1e-9, "seed \(seed)")
    }
  }

  /// The probabilities that it plans with are those that calls have.
  @Test(arguments: ["steady", "tails", "stalls", "slices", "quota"]) func probabilitiesAreThoseOfTheMachine(
    _ name: String
  ) throws {
    let ladder = try Ladder(named: "levels")
    let machine = SimulatedMachine(ladder: ladder)
    let trace = try LoadTrace.generated(name, calls: 6000, ladder: ladder, seed: 1)
    for call in [100, 3000] {
      let moment = trace.moments[call]
      for rung in ladder.rungs.indices {
        for limit in [0.9, 1.0, 1.1, 1.4] {
          let budget = machine.typical(rung, moment) * limit
          let samples = 20_000
          let above = (0..<samples).count {
            machine.latency(rung, moment, CallSample(seed: 7, call: $0), isCold: false) > budget
          }
          let share = Double(above) / Double(samples)
          let expected = machine.missProbability(rung, moment, limit: budget)
          // Four standard deviations, and what sixteen points of a distribution cannot say.
          let tolerance = 4 * (expected * (1 - expected) / Double(samples)).squareRoot() + 0.006
          #expect((share - expected).magnitude <= tolerance, "\(name) \(call) rung \(rung) limit \(limit)")
        }
      }
    }
  }

  @Test func holdsWherePossible() throws {
    for name in Ladder.names {
      let ladder = try Ladder(named: name)
      let trace = try LoadTrace.generated("step", calls: 5000, ladder: ladder, seed: 3)
      let simulation = Simulation(ladder, trace, seed: 3)
      let oracle = Oracle(dwell: 32, percentile: 99)
      var policy = PlannedPolicy(rungs: oracle.plan(simulation.machine, trace))
      let course = simulation.run(&policy)
      #expect(simulation.summary(course).avoidablyMissed <= 0.01)
      // After a dwell per rung it is where the moment alone would have it.
      let targets = oracle.targets(simulation.machine, trace)
      for call in [990, 1990, 2990, 3990, 4990] { #expect(abs(Int(course.rungs[call]) - Int(targets[call])) <= 1) }
    }
  }
}
