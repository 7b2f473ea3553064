import Base

// How the last runs scattered, and what that means for a rung: each run took expected time · factor + wait.

extension LatencyController {
  /// A run that kept its CPU, as far as is known. What goes far beyond noise is a tail, or waiting that nobody has noticed: it
  /// adds, and is as likely on every rung.
  mutating func recordNoise(_ residual: Double, _ expected: Double) {
    let most = 1 + max(5 * spread, 0.05)
    record(min(residual, most), max(residual - most, 0) * expected * slowdown, slope: 0, base: 1)
  }

  /// A run that lost its CPU: what it took longer than expected is waiting. The longer a run computes, the more likely it meets
  /// a wait.
  mutating func recordWait(_ residual: Double, _ expected: Double) {
    let computing = expected * slowdown
    record(min(residual, 1), max(residual - 1, 0) * computing, slope: 1 / max(computing, 1), base: 0)
  }

  private mutating func record(_ factor: Double, _ wait: Double, slope: Double, base: Float) {
    set(noiseNext, Float(factor), Float(wait), Float(slope), base)
    noiseNext = noiseNext &+ 1 == Self.noiseCapacity ? 0 : noiseNext &+ 1
    noiseCount = min(noiseCount &+ 1, Self.noiseCapacity)
  }

  private mutating func set(_ slot: Int, _ factor: Float, _ wait: Float, _ slope: Float, _ base: Float) {
    let (block, lane) = (slot / 8, slot % 8)
    factors[block][lane] = factor
    waits[block][lane] = wait
    waitSlopes[block][lane] = slope
    waitBases[block][lane] = base
  }

  /// The newest run was no noise.
  mutating func clearNewestNoise() {
    set(noiseNext == 0 ? Self.noiseCapacity &- 1 : noiseNext &- 1, 1, 0, 0, 1)
  }

  /// Only the last runs still say how runs scatter.
  mutating func keepNoise(_ count: Int) {
    var slot = noiseNext &- noiseCount
    while noiseCount > count {
      set(slot < 0 ? slot &+ Self.noiseCapacity : slot, 0, 0, 0, 0)
      slot &+= 1
      noiseCount &-= 1
    }
  }

  /// Runs of the window that, at a rung of this cost, would be expected to exceed the budget.
  mutating func missCount(_ cost: Double, _ budget: Double) -> Double {
    let expected = Float(cost * slowdown)
    let limit = SIMD8<Float>(repeating: Float(budget))
    let growing = Float(waitGrowth) * expected
    let constant = SIMD8<Float>(repeating: Float(1 - waitGrowth))
    var counts = SIMD8<Float>.zero
    for block in 0..<32 {
      let computing = factors[block] * expected
      // Tails have a base of one, waits have a slope.
      let weights = waitSlopes[block] * growing + pointwiseMax(waitBases[block], constant)
      var missed = SIMD8<Float>.zero
      missed.replace(with: weights, where: computing + waits[block] .> limit)
      missed.replace(with: 1, where: computing .> limit)
      counts += missed
    }
    return Double(min(counts.sum(), Float(noiseCount)))
  }

  /// Follows how often runs wait. Where they have not for so long that chance hardly explains it, what took the CPU has gone, and
  /// the runs that met it tell nothing any more. Where one after the other does that hardly ever did, and misses for it, something
  /// takes the CPU all the time: that is a slower machine, on which shorter runs wait less, until a run keeps its CPU.
  /// Interruptions that cost next to nothing are none.
  mutating func noteWait(_ expected: Double, _ observed: Double, _ wasInterrupted: Bool) {
    let wasTakenForSlow = interruptedShare >= Self.mostInterrupted
    interruptedShare += ((wasInterrupted ? 1 : 0) - interruptedShare) / 16
    if !wasTakenForSlow && interruptedShare >= Self.mostInterrupted {
      // As long as some rung bears the waits they need no other name.
      if recentMisses > max(toleratedInWindow, 1) && nothingBearsTheWaits() {
        forgetWaits()
      } else {
        // Asked again a few interrupted runs later.
        interruptedShare = Self.mostInterrupted - 0.01
      }
    }
    if wasTakenForSlow && wasInterrupted {
      runsTakenForSlow = min(runsTakenForSlow &+ 1, Self.noiseCapacity)
      return
    }
    if wasTakenForSlow { waitingWasNoSlowness(expected, observed) }
    let computing = max(expected * slowdown, 1)
    let hasWaited = wasInterrupted && observed > slowdown * 1.1
    if hasWaited {
      let chance = waitRate * computing
      chanceOfWaits *= min(max(chance, Self.leastChanceOfAWait), 1)
      let areOthers = chance < Self.leastChanceOfAWait && chanceOfWaits < Self.leastChance
      if waitRate == 0 || areOthers { meetOtherWaits() }
    }
    if hasWaited || waitRate > 0 { learnWaitGrowth(computing, hasWaited ? 1 : 0) }
    if hasWaited {
      waitsMissed = 0
      runsSinceWait = 0
      if chanceOfWaits < Self.leastChance && recentMisses > 1 {
        chanceOfWaits = .infinity
        interruptedShare = 1
        forgetWaits()
      }
    } else {
      chanceOfWaits = 1
      waitsMissed += waitRate * computing
      if runsSinceWait < Int.max { runsSinceWait &+= 1 }
    }
    waitRate += ((hasWaited ? 1 : 0) / computing - waitRate) / 64
    if waitsMissed > Self.mostWaitsMissed {
      waitsMissed = 0
      waitRate = 0
      keepNoise(runsSinceWait)
      currentDwell = configuration.dwell
    }
  }

  private mutating func nothingBearsTheWaits() -> Bool {
    guard let budget = configuration.budgetNanoseconds else { return true }
    return missCount(fastestCost(lastWork), Double(budget)) > plannedMisses(noiseCount)
  }

  /// What takes the CPU is part of the slow-down now, and must not count twice.
  private mutating func forgetWaits() {
    for block in 0..<32 {
      let isWait = waitSlopes[block] .> 0
      waits[block].replace(with: 0, where: isWait)
      waitSlopes[block].replace(with: 0, where: isWait)
      waitBases[block].replace(with: 1, where: isWait)
    }
  }

  /// A run has kept its CPU, and shows how fast the machine is. What the runs before took longer was waiting, as if all of them had
  /// been on this rung.
  private mutating func waitingWasNoSlowness(_ expected: Double, _ observed: Double) {
    let factor = observed / slowdown
    let count = min(runsTakenForSlow, noiseCount)
    runsTakenForSlow = 0
    if factor > 0.9 { return }
    let slow = Float(expected * slowdown)
    let computing = max(expected * observed, 1)
    var slot = noiseNext
    for _ in 0..<count {
      slot = slot == 0 ? Self.noiseCapacity &- 1 : slot &- 1
      let (block, lane) = (slot / 8, slot % 8)
      let wait = factors[block][lane] * slow + waits[block][lane] - Float(computing)
      set(slot, 1, max(wait, 0), Float(1 / computing), 0)
    }
    jump(factor, 0.01)
    waitRate = 1 / computing
    waitsMissed = 0
    runsSinceWait = 0
    lastObservedRung = -1
  }

  /// Waits after a time without any, or more than chance explains, have another cause. Runs of that time must not be compared with
  /// these: they were long, on the rung of an idle machine, and did not wait, as if waits had nothing to do with time.
  private mutating func meetOtherWaits() {
    meanTime = 0
    waitShare = 0
    timeVariance = 0
    waitCovariance = 0
    runsCompared = 0
  }

  /// Fewer say nothing about how waits depend on time.
  private static let leastRunsCompared = 64

  /// Least squares over the last runs, forgotten over some 500; where all take the same time, what was learned stays.
  private mutating func learnWaitGrowth(_ computing: Double, _ waited: Double) {
    runsCompared = min(runsCompared &+ 1, 512)
    let gain = 1 / Double(runsCompared)
    let distance = min(computing, 1e15) - meanTime
    meanTime += gain * distance
    waitShare += gain * (waited - waitShare)
    timeVariance += gain * (distance * distance - timeVariance)
    waitCovariance += gain * (distance * (waited - waitShare) - waitCovariance)
    let spread = timeVariance / (meanTime * meanTime)
    if spread < 0.01 || waitShare < 0.002 || runsCompared < Self.leastRunsCompared { return }
    let found = waitCovariance / timeVariance * meanTime / waitShare
    waitGrowth += min(8 * spread, 1) / 64 * (min(max(found, 0), 1) - waitGrowth)
  }

  /// A wait of which nothing is known yet, and waits in a row that are no chance: three where waits are rare.
  private static let leastChanceOfAWait = 0.02
  private static let leastChance = 0.000_1
  /// With so many expected, none is met once in a thousand times.
  private static let mostWaitsMissed = 7.0

  /// Whether runs at a rung would miss more often than they may, by the noise of the last runs: more often than the
  /// percentile tolerates. Misses that the fastest step would not avoid either count as long as the fastest step holds; where
  /// waiting makes it miss more often than tolerated, only those count that it would avoid.
  ///
  /// - Parameters:
  ///   - margin: factor on the expected time.
  ///   - slack: misses in the window that count as chance.
  mutating func misses(_ selection: Selection, _ budget: Double, margin: Double, slack: Int) -> Bool {
    if noiseCount < 8 { return false }
    let tolerated = plannedMisses(noiseCount) + Double(slack)
    let here = missCount(selection.cost * margin, budget)
    if here <= tolerated { return false }
    // Nothing holds: the fastest misses by the least.
    if selection.fastestCost * margin * slowdown > budget { return true }
    let fastest = missCount(selection.fastestCost * margin, budget)
    return here > (fastest > tolerated ? fastest + tolerated : tolerated)
  }

  /// Misses out of so many runs that may be planned with: what the percentile tolerates but for two standard deviations,
  /// which chance, steps of the load and attempts to go up take, and what has been saved of them. Two or fewer are planned with
  /// as they are: nothing less would ever hold. Savings are for chance: where the last runs miss far more often than tolerated,
  /// they would only delay what has to be done.
  mutating func plannedMisses(_ count: Int) -> Double {
    let saved = recentMisses > 2 &* toleratedInWindow &+ 3 ? 0 : credit
    return plannedWithoutSavings(count) + saved * Double(count) / Double(Self.noiseCapacity)
  }

  /// The same of a session that has saved nothing.
  func plannedWithoutSavings(_ count: Int) -> Double {
    let tolerated = Double(count &- nearestRank(configuration.percentile, count))
    return tolerated <= 2 ? tolerated : max((tolerated - 2 * tolerated.squareRoot()).rounded(.down), 2)
  }

  /// Misses that may be saved: so many that a full window may be planned with what it tolerates and three standard deviations, so
  /// that chance alone hardly moves a rung that holds. None where a window tolerates no miss.
  mutating func mostCredit() -> Double {
    let tolerated = Double(Self.noiseCapacity) * (1 - configuration.percentile / 100)
    if tolerated < 1 { return 0 }
    let least = tolerated <= 2 ? tolerated : max(tolerated - 2 * tolerated.squareRoot(), 2)
    return tolerated - least + 3 * tolerated.squareRoot()
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
    // An attempt shall teach what the rung takes, which its cold first run does not, whether it misses or not.
    if isAttempt && runsSinceAscent < Self.runsOfAttempt && recentMisses < 2 { return false }
    return misses(selection, budget, margin: 0.995, slack: noiseCount < 64 ? 2 : 1)
  }

  /// Misses that the percentile tolerates in a window.
  var toleratedInWindow: Int {
    mutating get {
      configuration.windowLength &- nearestRank(configuration.percentile, configuration.windowLength)
    }
  }

  // MARK: Single runs that see for themselves

  /// Whether a single run at the better rung may see what it would take: the runs of one dwell, scaled to that rung, would have
  /// held in the middle, and its miss would still be tolerated. Work must be the same for long enough, since what one amount
  /// of work shows on a rung says little about another.
  ///
  /// - Parameter limit: the pressure that the better rung bears.
  mutating func mayProbe(_ limit: Double) -> Bool {
    // What the percentile tolerates is for the rung in use: a window that has missed half of it or less has one to spare.
    if recentProbeMisses > 0 || 2 &* recentMisses > toleratedInWindow || toleratedInWindow == 0 { return false }
    let settled = isClimbing ? configuration.dwell / 4 : roomLength
    if runsOfSameWork < roomLength || runsSinceMove < settled { return false }
    if runsSinceProbe < max(probeInterval, currentDwell / 8) { return false }
    return above(limit) <= roomLength / 2
  }

  var roomLength: Int { mutating get { min(configuration.dwell, configuration.windowLength) } }

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
