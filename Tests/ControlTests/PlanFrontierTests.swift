import Control
import TestSupport
import Testing

/// The search against every plan there is.
@Suite struct PlanFrontierTests {
  static func random(_ random: inout SeededRandom) -> [[PlanChoice]] {
    (0..<Int.random(in: 1...5, using: &random)).map { _ in
      // Few distinct numbers, so that costs, losses and slopes often agree; no order among the options.
      (0..<Int.random(in: 1...4, using: &random)).map { _ in
        PlanChoice(
          cost: Double(Int.random(in: 0...12, using: &random)), loss: Double(Int.random(in: 0...12, using: &random)))
      }
    }
  }

  static func all(_ items: [[PlanChoice]]) -> [(cost: Double, loss: Double)] {
    items.reduce([(cost: 0, loss: 0)]) { plans, choices in
      plans.flatMap { plan in choices.map { (plan.cost + $0.cost, plan.loss + $0.loss) } }
    }
  }

  static func total(_ items: [[PlanChoice]], _ plan: [Int]) -> (cost: Double, loss: Double) {
    zip(items, plan).reduce((0, 0)) { ($0.0 + $1.0[$1.1].cost, $0.1 + $1.0[$1.1].loss) }
  }

  /// The path from the best to the cheapest plan is the lower convex hull: no plan lies below it anywhere.
  @Test func isTheLowerHullOfAllPlans() throws {
    for seed in 0..<400 {
      var random = SeededRandom("hull of all plans", seed)
      let items = Self.random(&random)
      let path = PlanFrontier.plans(items).map { Self.total(items, $0) }
      let plans = Self.all(items)
      let (first, last) = (try #require(path.first), try #require(path.last))
      #expect(first.loss == plans.map(\.loss).min(), "seed \(seed)")
      #expect(last.cost == plans.map(\.cost).min(), "seed \(seed)")
      #expect(first.cost == plans.filter { $0.loss == first.loss }.map(\.cost).min(), "seed \(seed)")
      #expect(last.loss == plans.filter { $0.cost == last.cost }.map(\.loss).min(), "seed \(seed)")
      for (a, b) in zip(path, path.dropFirst()) {
        #expect(b.cost < a.cost && b.loss > a.loss, "seed \(seed)")
        for plan in plans where plan.cost <= a.cost && plan.cost >= b.cost {
          let share = (a.cost - plan.cost) / (a.cost - b.cost)
          #expect(plan.loss >= a.loss + share * (b.loss - a.loss) - 1e-9, "seed \(seed): below the path")
        }
      }
    }
  }

  @Test func numbersThatAreNone() {
    let items = [
      [PlanChoice(cost: 3, loss: 0), PlanChoice(cost: .nan, loss: 1), PlanChoice(cost: 1, loss: 2)],
      [PlanChoice(cost: 3, loss: .infinity), PlanChoice(cost: 2, loss: 1)], [],
    ]
    #expect(PlanFrontier.plans(items) == [[0, 1, 0], [2, 1, 0]])
    #expect(PlanFrontier.plans([]) == [[]])
  }

  @Test func spreadKeepsEndsAndOrder() {
    for seed in 0..<200 {
      var random = SeededRandom("spread", seed)
      let costs = (0..<Int.random(in: 0...60, using: &random)).map { _ in Double.random(in: 0...9, using: &random) }
        .sorted(by: >)
      let count = Int.random(in: 0...20, using: &random)
      let chosen = PlanFrontier.spread(costs, count: count)
      #expect(chosen.count <= count && chosen == chosen.sorted() && Set(chosen).count == chosen.count, "seed \(seed)")
      #expect(chosen.allSatisfy(costs.indices.contains), "seed \(seed)")
      if count >= 2 && !costs.isEmpty { #expect(chosen.first == 0 && chosen.last == costs.count - 1, "seed \(seed)") }
    }
    #expect(PlanFrontier.spread((0...100).map { 100 - Double($0) }, count: 5) == [0, 25, 50, 75, 100])
  }
}
