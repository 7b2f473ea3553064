/// What may be chosen at one site: options with a cost and a loss each, both additive over sites.
public struct ChoiceSite: Sendable {
  public struct Option: Hashable, Sendable {
    public var cost: Double
    public var loss: Double

    public init(cost: Double, loss: Double) {
      self.cost = cost
      self.loss = loss
    }
  }

  public var options: [Option]

  public init(_ options: [Option]) { self.options = options }
}

/// The plans with the least loss for their cost, from the best to the cheapest: greedy by marginal loss per saved cost.
///
/// For additive costs and losses this is the allocation of Shoham and Gersho, "Efficient bit allocation for an arbitrary set of
/// quantizers" (IEEE Transactions on Acoustics, Speech, and Signal Processing, 1988): every site keeps only the options on the
/// lower convex hull of its (cost, loss) points, and the moves along all hulls are made in order of their slopes. Each plan on
/// the way lies on the lower convex hull of all plans, so nothing is both cheaper and better; plans above the hull are not
/// found. Taking a site's loss from a measurement in which it alone is quantized, and the sum for a plan's, is how ZeroQ
/// (Cai et al., CVPR 2020) searches its Pareto frontier; here the sum only says where to look, plans are measured afterwards.
public enum FrontierSearch {
  /// - Returns: for each plan the index of the option at every site. The first has the least loss, the last the least cost. Equal
  ///   slopes go in order of the sites. Options that are not finite are not looked at.
  public static func plans(_ sites: [ChoiceSite]) -> [[Int]] {
    struct Move {
      var slope: Double
      var site: Int
      var position: Int
      var option: Int
    }
    var current: [Int] = []
    var moves: [Move] = []
    for (index, site) in sites.enumerated() {
      let hull = lowerHull(site.options)
      current.append(hull.first ?? 0)
      for position in hull.indices.dropFirst() {
        let (from, to) = (site.options[hull[position - 1]], site.options[hull[position]])
        moves.append(
          Move(
            slope: (to.loss - from.loss) / (from.cost - to.cost), site: index, position: position,
            option: hull[position]))
      }
    }
    // Slopes rise along a hull, so a site's moves stay in order; rounding may make two of them equal.
    moves.sort { ($0.slope, $0.site, $0.position) < ($1.slope, $1.site, $1.position) }
    var plans = [current]
    for move in moves {
      current[move.site] = move.option
      plans.append(current)
    }
    return plans
  }

  /// Options on the lower convex hull, from the least loss (of those the cheapest) to the least cost.
  static func lowerHull(_ options: [ChoiceSite.Option]) -> [Int] {
    let finite = options.indices.filter { options[$0].cost.isFinite && options[$0].loss.isFinite }
    // From expensive to cheap; of equal cost the worse one first, so that the better one can replace it.
    let ordered = finite.sorted {
      (-options[$0].cost, -options[$0].loss, $0) < (-options[$1].cost, -options[$1].loss, $1)
    }
    var hull: [Int] = []
    for index in ordered {
      let point = options[index]
      // What costs at least as much and loses at least as much is of no use.
      while let last = hull.last, options[last].loss >= point.loss { hull.removeLast() }
      while hull.count >= 2 {
        let (a, b) = (options[hull[hull.count - 2]], options[hull[hull.count - 1]])
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
