import Base

// How the last runs scattered, and what that means for a rung: each run took expected time · factor + wait.

extension LatencyController {
  /// What goes far beyond noise is waiting: it adds, whatever the rung.
  mutating func recordNoise(_ residual: Double, _ expected: Double) {
    let most = 1 + max(5 * spread, 0.05)
    factors[noiseNext] = Float(min(residual, most))
    waits[noiseNext] = Float(max(residual - most, 0) * expected * slowdown)
    noiseNext = noiseNext &+ 1 == Self.noiseCapacity ? 0 : noiseNext &+ 1
    noiseCount = min(noiseCount &+ 1, Self.noiseCapacity)
  }

  /// The newest run was no noise.
  mutating func clearNewestNoise() {
    let newest = noiseNext == 0 ? Self.noiseCapacity &- 1 : noiseNext &- 1
    factors[newest] = 1
    waits[newest] = 0
  }

  /// Runs of the window that, at a rung of this cost, would exceed the budget.
  mutating func missCount(_ cost: Double, _ budget: Double) -> Int {
    let expected = Float(cost * slowdown)
    let limit = Float(budget)
    var count = 0
    // The last `noiseCount` before `noiseNext`, in two parts where the ring's end lies between them.
    let first = max(noiseNext &- noiseCount, 0)
    for index in first..<noiseNext where factors[index] * expected + waits[index] > limit { count &+= 1 }
    let wrapped = noiseCount &- (noiseNext &- first)
    for index in (Self.noiseCapacity &- wrapped)..<Self.noiseCapacity
    where factors[index] * expected + waits[index] > limit { count &+= 1 }
    return count
  }

  /// Whether runs at a rung would miss more often than they may, by the noise of the last runs: more often than the
  /// percentile tolerates, and than on the fastest step, where waiting makes all of them miss.
  ///
  /// - Parameters:
  ///   - margin: factor on the expected time.
  ///   - slack: misses in the window that count as chance.
  mutating func misses(_ selection: Selection, _ budget: Double, margin: Double, slack: Int) -> Bool {
    if noiseCount < 8 { return false }
    let tolerated = plannedMisses(noiseCount)
    let here = missCount(selection.cost * margin, budget)
    if here <= tolerated &+ slack { return false }
    let fastest = missCount(selection.fastestCost * margin, budget)
    return here > max(tolerated, fastest) &+ slack || fastest > noiseCount / 2
  }

  /// Misses out of so many runs that may be planned with: what the percentile tolerates but for two standard deviations,
  /// which chance, steps of the load and attempts to go up take. Two or fewer are planned with as they are: nothing less would
  /// ever hold.
  func plannedMisses(_ count: Int) -> Int {
    let tolerated = count &- nearestRank(configuration.percentile, count)
    if tolerated <= 2 { return tolerated }
    return max(clampedInt(Double(tolerated) - 2 * Double(tolerated).squareRoot(), in: 0...count), 2)
  }

  /// Whether a rung would hold with a little room to spare, and typically also in its first run, which is cold. After a long
  /// time a single miss is worth the attempt.
  mutating func bears(_ selection: Selection, _ budget: Double) -> Bool {
    let room = min(configuration.ascentMargin, 0.3 * spread + 0.003)
    if misses(selection, budget, margin: 1 + room, slack: 0) { return false }
    if min(runsSinceDescent, runsSinceAscent) > 8 &* configuration.dwell { return true }
    return selection.cost * slowdown * coldFactor * (1 + spread) <= budget
  }

  /// Whether the rung in use has to be left. A prediction alone moves nothing where misses are tolerated: it errs by a few
  /// per cent either way. It counts when the load has just jumped, or when runs do miss, half as often as they may.
  mutating func mustDescend(_ selection: Selection, _ budget: Double) -> Bool {
    // The last run was far too fast: no time to believe in slowness.
    if selection.cost <= 0 || fastRuns > 0 { return false }
    if runsSinceRise >= Self.runsOfARise && recentMisses < (toleratedInWindow &+ 1) / 2 { return false }
    return misses(selection, budget, margin: 0.995, slack: noiseCount < 64 ? 2 : 1)
  }

  /// Misses that the percentile tolerates in a window.
  var toleratedInWindow: Int {
    configuration.windowLength &- nearestRank(configuration.percentile, configuration.windowLength)
  }

  // MARK: Single runs that see for themselves

  /// Whether a single run at the better rung may see what it would take: the runs of one dwell, scaled to that rung, would have
  /// held in the middle, and its miss would still be tolerated. Work must be the same for long enough, since what one amount
  /// of work shows on a rung says little about another.
  ///
  /// - Parameter limit: the pressure that the better rung bears.
  mutating func mayProbe(_ limit: Double) -> Bool {
    // What the percentile tolerates is for the rung in use: a window without misses has one to spare.
    if recentProbeMisses > 0 || recentMisses > 0 || toleratedInWindow == 0 { return false }
    let settled = isClimbing ? configuration.dwell / 4 : roomLength
    if runsOfSameWork < roomLength || runsSinceMove < settled { return false }
    if runsSinceProbe < max(probeInterval, currentDwell / 8) { return false }
    return above(limit) <= roomLength / 2
  }

  var roomLength: Int { min(configuration.dwell, configuration.windowLength) }

  /// Runs of the last dwell with observed / expected above `limit`.
  private mutating func above(_ limit: Double) -> Int {
    var above = 0
    var slot = windowNext
    for _ in 0..<roomLength {
      slot = slot == 0 ? configuration.windowLength &- 1 : slot &- 1
      if Double(observedRatios[slot]) > limit { above &+= 1 }
    }
    return above
  }
}
