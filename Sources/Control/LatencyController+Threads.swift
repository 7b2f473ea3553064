import Base

// Which rungs hold the budget of latency with fewer threads.

extension LatencyController {
  /// Longest cost of a run, on the idle machine, that is expected to hold the budget: at its percentile, and by the noise of the
  /// last runs no more often missed than may be planned with. Infinite without a budget.
  mutating func longestHeldCost() -> Double {
    guard let limit = configuration.budgetNanoseconds else { return .infinity }
    let budget = Double(limit)
    // A surprise may have been the load.
    var high = budget / (slowdown * multiplier * max(alarm, 1))
    if noiseCount < 8 { return high }
    // Savings are for chance, not for choosing what takes longer.
    let planned = plannedWithoutSavings(noiseCount)
    if missCount(high, budget) <= planned { return high }
    var low = 0.0
    for _ in 0..<6 {
      let middle = (low + high) / 2
      if missCount(middle, budget) <= planned { low = middle } else { high = middle }
    }
    return low
  }

  /// Which rungs hold the budget of latency with how many threads. With the threads of the first row those of ``rungs(of:from:work:)``;
  /// with fewer, those whose time with so many threads is expected to hold, or to be no longer than that of `rung` with the most.
  ///
  /// - Parameters:
  ///   - mask: rungs to choose from.
  ///   - rung: what latency asks for with the threads of the first row; nil before a decision: then all of `mask`.
  ///   - row: the first row. Observations of runs with these threads, or scaled to them (`expectedShare`), have made the slow-down.
  public mutating func offer(
    of mask: UInt64, from rung: Int?, work: Int, _ table: ThreadTable, row: Int
  ) -> RungOffer {
    var offer = RungOffer(mask, firstRow: row)
    var longest = longestHeldCost()
    var below = mask
    let amount = Double(max(work, 1))
    if let rung {
      offer[row] = rungs(of: mask, from: rung, work: work)
      longest = max(longest, baseCost(rung & 63, amount))
      below &= UInt64.max << UInt64(truncatingIfNeeded: rung & 63)
    }
    if row < 0 || row >= table.rowCount { return offer }
    for fewer in (row &+ 1)..<table.rowCount {
      var held: UInt64 = 0
      for lower in 0..<configuration.rungCount where below >> UInt64(truncatingIfNeeded: lower) & 1 == 1 {
        let own = table.nanoseconds(row: fewer, rung: lower, work: work)
        let other = table.nanoseconds(row: row, rung: lower, work: work)
        if own <= 0 || other <= 0 { continue }
        let cost = baseCost(lower, amount) * (own / other)
        if cost > 0 && cost <= longest { held |= 1 << UInt64(truncatingIfNeeded: lower) }
      }
      offer[fewer] = held
    }
    return offer
  }
}
