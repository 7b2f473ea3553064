import TestSupport
import Testing

@testable import Tuning

/// The search against every plan there is.
@Suite struct FrontierSearchTests {
  static func random(_ random: inout SeededRandom) -> [ChoiceSite] {
    (0..<Int.random(in: 1...5, using: &random)).map { _ in
      // Few distinct numbers, so that costs, losses and slopes often agree; no order among the options.
      ChoiceSite(
        (0..<Int.random(in: 1...4, using: &random)).map { _ in
          .init(
            cost: Double(Int.random(in: 0...12, using: &random)), loss: Double(Int.random(in: 0...12, using: &random)))
        })
    }
  }

  static func all(_ sites: [ChoiceSite]) -> [(cost: Double, loss: Double)] {
    sites.reduce([(cost: 0, loss: 0)]) { plans, site in
      plans.flatMap { plan in site.options.map { (plan.cost + $0.cost, plan.loss + $0.loss) } }
    }
  }

  static func total(_ sites: [ChoiceSite], _ plan: [Int]) -> (cost: Double, loss: Double) {
    zip(sites, plan).reduce((0, 0)) { ($0.0 + $1.0.options[$1.1].cost, $0.1 + $1.0.options[$1.1].loss) }
  }

  /// The path from the best to the cheapest plan is the lower convex hull: no plan lies below it anywhere.
  @Test func isTheLowerHullOfAllPlans() throws {
    for seed in 0..<400 {
      var random = SeededRandom("hull of all plans", seed)
      let sites = Self.random(&random)
      let path = FrontierSearch.plans(sites).map { Self.total(sites, $0) }
      let plans = Self.all(sites)
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
    let sites = [
      ChoiceSite([.init(cost: 3, loss: 0), .init(cost: .nan, loss: 1), .init(cost: 1, loss: 2)]),
      ChoiceSite([.init(cost: 3, loss: .infinity), .init(cost: 2, loss: 1)]), ChoiceSite([]),
    ]
    #expect(FrontierSearch.plans(sites) == [[0, 1, 0], [2, 1, 0]])
    #expect(FrontierSearch.plans([]) == [[]])
  }

  @Test func spreadKeepsEndsAndOrder() {
    for seed in 0..<200 {
      var random = SeededRandom("spread", seed)
      let costs = (0..<Int.random(in: 0...60, using: &random)).map { _ in Double.random(in: 0...9, using: &random) }
        .sorted(by: >)
      let count = Int.random(in: 0...20, using: &random)
      let chosen = FrontierSearch.spread(costs, count: count)
      #expect(chosen.count <= count && chosen == chosen.sorted() && Set(chosen).count == chosen.count, "seed \(seed)")
      #expect(chosen.allSatisfy(costs.indices.contains), "seed \(seed)")
      if count >= 2 && !costs.isEmpty { #expect(chosen.first == 0 && chosen.last == costs.count - 1, "seed \(seed)") }
    }
    #expect(FrontierSearch.spread((0...100).map { 100 - Double($0) }, count: 5) == [0, 25, 50, 75, 100])
  }
}
