import Testing
import TestSupport

@testable import Control

@Suite struct PlanFrontierTests {
  static func total(_ items: [[PlanChoice]], _ plan: [Int]) -> PlanChoice {
    var sum = PlanChoice(cost: 0, loss: 0)
    for (item, index) in plan.enumerated() {
      sum.cost += items[item][index].cost
      sum.loss += items[item][index].loss
    }
    return sum
  }

  /// Every plan there is.
  static func all(_ items: [[PlanChoice]]) -> [[Int]] {
    items.reduce([[]]) { plans, choices in plans.flatMap { plan in choices.indices.map { plan + [$0] } } }
  }

  /// Whole numbers, so that sums are exact and ties happen.
  @Test func nothingDominatesAPlan() {
    var random = SeededRandom(#function)
    var plansSeen = 0
    for _ in 0..<200 {
      let items = (0..<Int.random(in: 1...4, using: &random)).map { _ in
        (0..<Int.random(in: 1...4, using: &random)).map { _ in
          PlanChoice(
            cost: Double(Int.random(in: 1...12, using: &random)), loss: Double(Int.random(in: 0...12, using: &random)))
        }
      }
      let sums = Self.all(items).map { Self.total(items, $0) }
      let plans = PlanFrontier.plans(items)
      plansSeen += plans.count
      var previous: PlanChoice?
      for plan in plans {
        let own = Self.total(items, plan)
        let dominated = sums.contains {
          $0.cost <= own.cost && $0.loss <= own.loss && ($0.cost < own.cost || $0.loss < own.loss)
        }
        #expect(!dominated, "\(items) \(plan)")
        if let previous {
          #expect(own.cost < previous.cost && own.loss > previous.loss, "\(items) \(plan)")
        }
        previous = own
      }
      let ends = (plans.first.map { Self.total(items, $0).loss }, plans.last.map { Self.total(items, $0).cost })
      #expect(ends.0 == sums.map(\.loss).min())
      #expect(ends.1 == sums.map(\.cost).min())
    }
    #expect(plansSeen > 400)
  }

  @Test func oneItemIsItsHull() {
    // The third lies above the line from the second to the fourth.
    let choices = [(10.0, 0.0), (6, 1), (5, 3), (4, 4), (4.5, 9)].map { PlanChoice(cost: $0.0, loss: $0.1) }
    #expect(PlanFrontier.plans([choices]) == [[0], [1], [3]])
  }

  @Test func thinning() {
    var random = SeededRandom(#function)
    for _ in 0..<200 {
      let count = Int.random(in: 1...200, using: &random)
      var cost = 1e6
      let costs = (0..<count).map { _ in
        cost *= Double.random(in: 0.9...0.999, using: &random)
        return cost
      }
      let limit = Int.random(in: 2...64, using: &random)
      let picked = PlanFrontier.thinned(costs, limit: limit)
      #expect(picked.count <= max(limit, 2) && picked.first == 0 && picked.last == count - 1)
      #expect(zip(picked, picked.dropFirst()).allSatisfy { $0 < $1 })
      if count <= limit { #expect(picked.count == count) }
    }
    // Equal ratios, not equal distances.
    let powers = (0...100).map { 1000 * (1 - Double($0) * 0.0099) }
    let three = PlanFrontier.thinned(powers, limit: 3)
    #expect(three.count == 3 && abs(powers[three[1]] - 100) < 10)
  }
}
