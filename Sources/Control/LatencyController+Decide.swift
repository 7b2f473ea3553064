import Base

extension LatencyController {
  /// What the ladder offers for one amount of work under one pressure.
  struct Selection: BitwiseCopyable {
    var rung = 0
    var cost = 0.0
    /// The next better step, or -1.
    var betterRung = -1
    var betterCost = 0.0
    /// Cost of the fastest step.
    var fastestCost = 0.0
  }

  /// Walks down the steps, best quality first, to the first one that fits; the fastest one when none does.
  ///
  /// A rung that is not clearly faster than the step before it is skipped: it would cost quality and win nothing.
  /// Mutating only so that 16 KiB are not copied for the call.
  mutating func select(_ work: Double, pressure: Double, budget: Double) -> Selection {
    var result = Selection()
    var found = false
    var fits = false
    var firstAllowed = -1
    for rung in 0..<configuration.rungCount where isAllowed(rung) {
      if firstAllowed < 0 { firstAllowed = rung }
      let cost = baseCost(rung, work)
      if cost <= 0 { continue }
      if found && cost > result.fastestCost * (1 - configuration.minimumGain) { continue }
      if !fits {
        result.betterRung = found ? result.rung : -1
        result.betterCost = result.cost
        result.rung = rung
        result.cost = cost
        fits = cost * pressure <= budget
      }
      result.fastestCost = cost
      found = true
    }
    if !found { result.rung = max(firstAllowed, 0) }
    return result
  }

  /// Chooses the rung of the next run. Call once before each run.
  ///
  /// - Parameter work: as in the cost points; values below 1 count as 1.
  public mutating func decide(work: Int) -> Decision {
    let amount = Double(max(work, 1))
    if amount == lastWork {
      runsOfSameWork &+= 1
    } else {
      runsOfSameWork = 0
      probesHeld = 0
    }
    let wasProbe = lastWasProbe
    lastWasProbe = false
    isProbing = false
    guard let limit = configuration.budgetNanoseconds else {
      var best = select(amount, pressure: 0, budget: 1)
      // Without a budget quality alone counts, measured or not.
      for rung in 0..<configuration.rungCount where isAllowed(rung) {
        best.rung = rung
        best.cost = baseCost(rung, amount)
        break
      }
      pending = nil
      return finish(best, .noBudget, unreachable: false)
    }
    let budget = Double(limit)
    let pressure = slowdown * multiplier
    var selection = select(amount, pressure: held, budget: budget)
    var cause: DecisionReason?

    if let why = pending {
      pending = nil
      held = pressure
      onProbation = false
      runsWithRoom = 0
      cause = why
      selection = select(amount, pressure: held, budget: budget)
    } else if (pressure > held && predictionIsBacked(budget / max(selection.cost, 1))) || missesTooOften {
      let missed = missesTooOften
      held = max(held, pressure)
      // Where the prediction is content and the window is not, believe the window.
      if missed && selection.cost > 0 { held = max(held, budget / selection.cost * 1.000_001) }
      let lower = select(amount, pressure: held, budget: budget)
      if lower.rung != selection.rung {
        cause = descend(missed ? .budgetMissed : .predictedMiss)
        keepClear(of: lower, budget)
      }
      selection = lower
    } else if selection.betterRung >= 0 {
      // The better step's limit on the pressure. Costs of both steps may agree to the last digit: stay clear of it.
      let limit = budget / selection.betterCost * 0.999_999
      runsWithRoom = wouldHaveHeld(limit / (1 + configuration.ascentMargin)) ? runsWithRoom &+ 1 : 0
      runsSinceProbe &+= 1
      let hasProved = probesHeld >= Self.probesWanted
      if !hasProved && runsWithRoom < runsToWait && mayProbe(limit) {
        runsSinceProbe = 0
        counters.probes &+= 1
        isProbing = true
        lastWasProbe = true
        lastWork = amount
        let better = select(amount, pressure: limit, budget: budget)
        return finish(better, .probe, unreachable: false)
      }
      if runsWithRoom >= runsToWait || hasProved {
        // Off the limit, so that the first corrections of the costs do not take it back, but not as far as another rung up.
        let next = select(amount, pressure: limit, budget: budget)
        held = limit / (1 + configuration.ascentMargin)
        if next.betterRung >= 0 { held = max(held, budget / next.betterCost * 1.000_001) }
        // What the window shows outweighs what the multiplier remembers of another load.
        multiplier = min(multiplier, limit / slowdown)
        counters.ascents &+= 1
        isClimbing = true
        cause = .headroom
        onProbation = true
        runsSinceAscent = 0
        runsWithRoom = 0
        forgetOutcomes()
        selection = select(amount, pressure: held, budget: budget)
      }
    }
    if cause == nil && !wasProbe && amount == lastWork && selection.rung > lastRung && lastRung >= 0 {
      // Same work, same load: a run on the rung entered has shown that it costs more than was measured.
      cause = descend(.predictedMiss)
    }
    lastWork = amount
    return finish(selection, cause, unreachable: selection.fastestCost * pressure > budget)
  }

  /// A prediction alone moves nothing: its percentile part is an estimate that errs by a few per cent either way. It counts
  /// when the load has just changed, or when runs on this rung do miss, more often than the percentile allows.
  ///
  /// - Parameter limit: the pressure that the rung in use bears.
  private func predictionIsBacked(_ limit: Double) -> Bool {
    if runsSinceRise < Self.runsOfARise { return noiseWouldMiss(limit) }
    let share = 1 - configuration.percentile / 100
    return recentMisses &- recentUnavoidable >= 2 && Double(recentMisses) > share * Double(runsOnRung)
  }

  /// Whether the noise of the window, on top of the slow-down of now, goes beyond what the rung bears more often than the
  /// percentile allows. The multiplier learns too slowly to say so: a machine that is a tenth slower for a while is no load.
  private func noiseWouldMiss(_ bearable: Double) -> Bool {
    let length = configuration.windowLength
    if counters.runs < UInt64(length) { return true }
    let limit = bearable / (slowdown * (1 + configuration.ascentMargin / 2))
    var above = 0
    for index in 0..<length where Double(residuals[index]) > limit { above &+= 1 }
    return above > length &- nearestRank(configuration.percentile, length)
  }

  /// Whether a single run at the better rung may see what it would take: the runs of one dwell, scaled to that rung, would have
  /// held in the middle, and its miss would still be tolerated. Work must be the same for long enough, since what one amount
  /// of work shows on a rung says little about another.
  private func mayProbe(_ limit: Double) -> Bool {
    let length = configuration.windowLength
    let tolerated = length &- nearestRank(configuration.percentile, length)
    // What the percentile tolerates is for the rung in use: a window without misses has one to spare.
    if recentProbeMisses > 0 || recentMisses > 0 || tolerated == 0 { return false }
    let settled = isClimbing ? configuration.dwell / 4 : roomLength
    if runsOfSameWork < roomLength || runsSinceMove < settled { return false }
    if runsSinceProbe < max(probeInterval, currentDwell / 8) { return false }
    return above(limit) <= roomLength / 2
  }

  private var roomLength: Int { min(configuration.dwell, configuration.windowLength) }

  /// Whether the last `dwell` runs, each scaled to another rung by its measured cost, would have been within the budget as
  /// often as the percentile asks: at most that share of them has observed / expected above `limit`.
  private func wouldHaveHeld(_ limit: Double) -> Bool {
    if counters.runs < UInt64(roomLength) { return false }
    return above(limit) <= roomLength &- nearestRank(configuration.percentile, roomLength)
  }

  /// Runs of the last dwell with observed / expected above `limit`.
  private func above(_ limit: Double) -> Int {
    var above = 0
    var slot = windowNext
    for _ in 0..<roomLength {
      slot = slot == 0 ? configuration.windowLength &- 1 : slot &- 1
      if Double(observedRatios[slot]) > limit { above &+= 1 }
    }
    return above
  }

  /// Decisions with room that must follow each other. The window looks back over one dwell already, so a dwell that no failure
  /// has lengthened adds nothing; the further rungs of a climb each take a quarter of it.
  private var runsToWait: Int {
    if isClimbing && currentDwell == configuration.dwell && runsSinceAscent < configuration.dwell / 4 { return Int.max }
    return max(currentDwell &- roomLength, 1)
  }

  private mutating func descend(_ why: DecisionReason) -> DecisionReason {
    counters.descents &+= 1
    isClimbing = false
    runsWithRoom = 0
    forgetOutcomes()
    if !onProbation { return why }
    onProbation = false
    counters.failedAscents &+= 1
    currentDwell = min(currentDwell &* 2, configuration.maximumDwell)
    return .ascentFailed
  }

  /// Lifts `held` off the limit of the better rung, so that small corrections of costs do not bring it back at once.
  private mutating func keepClear(of chosen: Selection, _ budget: Double) {
    if chosen.betterRung < 0 || chosen.cost <= 0 { return }
    let limit = budget / chosen.betterCost
    let clear = min(limit * (1 + configuration.ascentMargin), (limit + budget / chosen.cost) / 2)
    held = max(held, clear)
  }

  /// More misses than the percentile allows in a window, and no more of them unavoidable than it allows: going down helps.
  @inline(__always) private var missesTooOften: Bool {
    let tolerated = configuration.windowLength &- nearestRank(configuration.percentile, configuration.windowLength)
    return recentMisses > tolerated && recentUnavoidable <= tolerated
  }

  private mutating func finish(_ selection: Selection, _ cause: DecisionReason?, unreachable: Bool) -> Decision {
    let changed = lastRung >= 0 && selection.rung != lastRung
    if changed { counters.switches &+= 1 }
    if let cause { reason = cause } else if changed { reason = .workChanged }
    if allowed & (allowed &- 1) == 0 { reason = .fixed }
    lastRung = selection.rung
    let range = 0...Int.max
    return Decision(
      rung: selection.rung, reason: reason, changed: changed, budgetUnreachable: unreachable,
      expectedNanoseconds: clampedInt(selection.cost * slowdown, in: range),
      predictedNanoseconds: clampedInt(selection.cost * slowdown * multiplier, in: range))
  }
}
