/// What one item costs and loses at one of its levels.
public struct PlanChoice: Hashable, Sendable, BitwiseCopyable {
  /// Time, or anything else that adds up over items.
  public var cost: Double
  /// What the item's level takes from quality, in a unit that adds up over items.
  public var loss: Double

  public init(cost: Double, loss: Double) {
    self.cost = cost
    self.loss = loss
  }
}

/// Plans, one level per item, that no other plan beats in cost and loss at once.
///
/// Picking one choice per item so that the loss is least for a given cost is the multiple-choice knapsack problem. Its linear
/// relaxation is solved by the lower convex hull of every item's choices, with the hulls' edges taken in the order of loss per
/// cost saved (Sinha and Zoltners, "The Multiple-Choice Knapsack Problem", Operations Research 27(3), 1979). Each plan on the way
/// minimizes `loss + λ · cost` for some λ, so none of another cost or loss dominates it.
///
/// Losses are taken to add up, which is a model: good for an order, not a promise about a network's output.
public enum PlanFrontier {
  /// Every plan on the way from the least loss to the least cost, first to last; an entry of a plan is an index into the
  /// item's choices. Deterministic: of equal edges that of the earlier item comes first.
  ///
  /// - Parameter items: the choices of each item, at least one each, finite numbers.
  public static func plans(_ items: [[PlanChoice]]) -> [[Int]] {
    var edges: [Edge] = []
    var plan: [Int] = []
    for (item, choices) in items.enumerated() {
      var current = bestStart(choices)
      plan.append(current)
      while let next = nextOnHull(choices, from: current) {
        edges.append(
          Edge(item: item, to: next, rate: rate(choices[current], choices[next]), order: edges.count))
        current = next
      }
    }
    edges.sort { ($0.rate, $0.order) < ($1.rate, $1.order) }
    var result = [plan]
    for edge in edges {
      plan[edge.item] = edge.to
      result.append(plan)
    }
    return result
  }

  /// At most `limit` of the plans: the first and the last, and between them those whose costs come nearest to equal ratios.
  ///
  /// - Parameters:
  ///   - costs: one per plan, positive, falling.
  ///   - limit: at least 2.
  /// - Returns: indices, rising.
  public static func thinned(_ costs: [Double], limit: Int) -> [Int] {
    if costs.count <= max(limit, 2) { return Array(costs.indices) }
    let last = costs.count - 1
    var picked = [0]
    var position = 0
    for step in 1..<(limit - 1) {
      // Equal ratios are equal differences of logarithms; comparing products needs none.
      let share = Double(step) / Double(limit - 1)
      let target = geometric(costs[0], costs[last], share)
      while position < last - 1 && costs[position] > target { position += 1 }
      let before = max(position - 1, 0)
      let nearest = costs[before] / target < target / costs[position] ? before : position
      if let newest = picked.last, nearest > newest { picked.append(nearest) }
    }
    if let newest = picked.last, newest < last { picked.append(last) }
    return picked
  }

  private struct Edge {
    var item: Int
    var to: Int
    /// Loss added per cost saved.
    var rate: Double
    var order: Int
  }

  private static func rate(_ a: PlanChoice, _ b: PlanChoice) -> Double { (b.loss - a.loss) / (a.cost - b.cost) }

  /// Least loss; of those the least cost.
  private static func bestStart(_ choices: [PlanChoice]) -> Int {
    var best = 0
    for (index, choice) in choices.enumerated()
    where (choice.loss, choice.cost) < (choices[best].loss, choices[best].cost) { best = index }
    return best
  }

  /// The cheaper choice that loses least per cost saved; of equal ones the cheapest, since those between lie on one line.
  private static func nextOnHull(_ choices: [PlanChoice], from current: Int) -> Int? {
    var next: Int?
    for (index, choice) in choices.enumerated() where choice.cost < choices[current].cost {
      guard let best = next else {
        next = index
        continue
      }
      let (own, least) = (rate(choices[current], choice), rate(choices[current], choices[best]))
      if own < least || (own == least && choice.cost < choices[best].cost) { next = index }
    }
    return next
  }

  /// `a^(1 - share) · b^share` by bisection of the interval, so that Control needs no library of functions.
  private static func geometric(_ a: Double, _ b: Double, _ share: Double) -> Double {
    var (low, high) = (a, b)
    var (from, to) = (0.0, 1.0)
    for _ in 0..<40 {
      let middle = (low * high).squareRoot()
      let half = (from + to) / 2
      if share < half { (high, to) = (middle, half) } else { (low, from) = (middle, half) }
    }
    return low
  }
}
