/// What one item costs and loses at one of its levels: both add up over items.
public struct PlanChoice: Hashable, Sendable, BitwiseCopyable {
  /// Time, bytes, or anything else that adds up.
  public var cost: Double
  /// What the level takes from quality. That losses add up is a model: good for an order, not a promise about a network's output.
  public var loss: Double

  public init(cost: Double, loss: Double) {
    self.cost = cost
    self.loss = loss
  }
}

/// The plans with the least loss for their cost, from the best to the cheapest: greedy by marginal loss per saved cost.
///
/// For additive costs and losses this is the allocation of Shoham and Gersho, "Efficient bit allocation for an arbitrary set of
/// quantizers" (IEEE Transactions on Acoustics, Speech, and Signal Processing, 1988): every item (a site of a model, a matrix of a group) keeps only the choices on the
/// lower convex hull of its (cost, loss) points, and the moves along all hulls are made in order of their slopes. Each plan on
/// the way lies on the lower convex hull of all plans, so nothing is both cheaper and better; plans above the hull are not
/// found.
public enum PlanFrontier {
  /// - Returns: for each plan the index of the choice of every item. The first has the least loss, the last the least cost. Equal
  ///   slopes go in order of the items. Choices that are not finite are not looked at.
  public static func plans(_ items: [[PlanChoice]]) -> [[Int]] {
    struct Move {
      var slope: Double
      var item: Int
      var position: Int
      var choice: Int
    }
    var current: [Int] = []
    var moves: [Move] = []
    for (index, choices) in items.enumerated() {
      let hull = lowerHull(choices)
      current.append(hull.first ?? 0)
      for position in hull.indices.dropFirst() {
        let (from, to) = (choices[hull[position - 1]], choices[hull[position]])
        moves.append(
          Move(
            slope: (to.loss - from.loss) / (from.cost - to.cost), item: index, position: position,
            choice: hull[position]))
      }
    }
    // Slopes rise along a hull, so an item's moves stay in order; rounding may make two of them equal.
    moves.sort { ($0.slope, $0.item, $0.position) < ($1.slope, $1.item, $1.position) }
    var plans = [current]
    for move in moves {
      current[move.item] = move.choice
      plans.append(current)
    }
    return plans
  }

  /// Choices on the lower convex hull, from the least loss (of those the cheapest) to the least cost.
  static func lowerHull(_ choices: [PlanChoice]) -> [Int] {
    let finite = choices.indices.filter { choices[$0].cost.isFinite && choices[$0].loss.isFinite }
    // From expensive to cheap; of equal cost the worse one first, so that the better one can replace it.
    let ordered = finite.sorted {
      (-choices[$0].cost, -choices[$0].loss, $0) < (-choices[$1].cost, -choices[$1].loss, $1)
    }
    var hull: [Int] = []
    for index in ordered {
      let point = choices[index]
      // What costs at least as much and loses at least as much is of no use.
      while let last = hull.last, choices[last].loss >= point.loss { hull.removeLast() }
      while hull.count >= 2 {
        let (a, b) = (choices[hull[hull.count - 2]], choices[hull[hull.count - 1]])
        // b lies on or above the line from a to the point.
        if (b.loss - a.loss) * (a.cost - point.cost) < (point.loss - a.loss) * (a.cost - b.cost) { break }
        hull.removeLast()
      }
      hull.append(index)
    }
    return hull
  }

  /// At most `count` of a path's plans: the first, the last, and those between whose costs are as evenly spread as they come.
  ///
  /// - Parameter costs: of each plan, falling.
  public static func spread(_ costs: [Double], count: Int) -> [Int] {
    guard let first = costs.first, let last = costs.last, count >= 2 else {
      return Array(costs.indices.prefix(max(count, 0)))
    }
    if costs.count <= count { return Array(costs.indices) }
    let step = (first - last) / Double(count - 1)
    var chosen = [0]
    for index in costs.indices.dropFirst().dropLast() where chosen.count < count - 1 {
      if first - costs[index] >= step * Double(chosen.count) { chosen.append(index) }
    }
    return chosen + [costs.count - 1]
  }
}
