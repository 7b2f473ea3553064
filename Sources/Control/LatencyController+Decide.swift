import Base

extension LatencyController {
  /// Chooses the rung of the next run. Call once before each run.
  ///
  /// - Parameter work: as in the cost points; values below 1 count as 1.
  public mutating func decide(work: Int) -> Decision {
    let amount = Double(max(work, 1))
    let isSameWork = amount == lastWork
    if isSameWork {
      runsOfSameWork &+= 1
    } else {
      runsOfSameWork = 0
      probesHeld = 0
    }
    isProbing = false
    cacheTimes(amount)
    guard let limit = configuration.budgetNanoseconds else { return decideWithoutBudget(amount) }
    let budget = Double(limit)
    let pressure = slowdown * min(multiplier, Self.mostMultiplier(spread))
    if pending == nil && isSameWork && settledRung >= 0 {
      // Where costs were corrected, the rung stays until the load or its misses move it.
      let found = select(amount, pressure: held, budget: budget)
      if found.rung != settledRung { keep(settledRung, amount, budget) }
    }
    var selection = select(amount, pressure: held, budget: budget)
    if pending == nil && !isSameWork && selection.rung != lastRung && alarm == 0 {
      selection = withColdStart(selection, amount, budget)
    }
    lastWork = amount

    var cause: DecisionReason?
    if let why = pending {
      pending = nil
      held = pressure
      onProbation = false
      clearAlarm()
      cause = why
      selection = select(amount, pressure: held, budget: budget)
    } else if alarm > 0 && !isSuspicious {
      let lower = precaution(selection, amount, pressure, budget)
      if lower.rung != selection.rung { return finish(lower, .predictedMiss, unreachable: false) }
    } else if mustDescend(selection, budget) {
      cause = goDown(&selection, amount, budget)
    } else if selection.betterRung >= 0 {
      runsSinceProbe &+= 1
      let attempt = mayGoUp(selection, budget)
      let limit = budget / selection.betterCost * 0.999_999
      if attempt == .none && mayProbe(limit) {
        runsSinceProbe = 0
        counters.probes &+= 1
        isProbing = true
        return finish(select(amount, pressure: limit, budget: budget), .probe, unreachable: false)
      }
      if attempt != .none { cause = goUp(&selection, attempt, amount, budget) }
      if attempt == .corrected {
        correctionsLeft = 0
        runsSinceCorrection = 0
        while selection.betterRung >= 0 && mayCorrect(selection, budget) {
          cause = goUp(&selection, attempt, amount, budget)
        }
      }
    }
    settledRung = selection.rung
    // Back from a single run elsewhere: what the rung is in use for has not changed.
    if cause == nil && isSameWork && selection.rung != lastRung { cause = settledReason }
    defer { settledReason = reason }
    return finish(selection, cause, unreachable: selection.fastestCost * pressure > budget)
  }

  /// Quality alone counts, measured or not.
  private mutating func decideWithoutBudget(_ work: Double) -> Decision {
    var best = select(work, pressure: 0, budget: 1)
    for rung in 0..<configuration.rungCount where isAllowed(rung) {
      best.rung = rung
      best.cost = baseCost(rung, work)
      break
    }
    pending = nil
    return finish(best, .noBudget, unreachable: false)
  }

  /// Other work wants another rung, whose first run is a cold one.
  private mutating func withColdStart(_ selection: Selection, _ work: Double, _ budget: Double) -> Selection {
    var chosen = selection
    while chosen.cost > 0 && misses(chosen, budget, margin: coldFactor, slack: 0) {
      let lower = stepBelow(chosen, work, budget)
      if lower.rung == chosen.rung { break }
      chosen = lower
    }
    return chosen
  }

  // MARK: Down

  /// The last run was a surprise. If that was the load, this one would miss, too: one run lower, cold as it is, tells. Only
  /// where the window bears no further miss, and not where alarms have hardly ever been the load.
  private mutating func precaution(
    _ selection: Selection, _ work: Double, _ pressure: Double, _ budget: Double
  ) -> Selection {
    if recentMisses < toleratedInWindow || alarmTrust <= 0.15 { return selection }
    if selection.cost * slowdown * alarm <= budget * 0.97 { return selection }
    let expected = pressure * alarm * coldFactor
    var lower = select(work, pressure: max(held, expected), budget: budget)
    while lower.cost * doubt(lower.rung) * expected > budget {
      let next = stepBelow(lower, work, budget)
      if next.rung == lower.rung { break }
      lower = next
    }
    if lower.rung != selection.rung && runsSinceAscent <= 1 {
      // Most likely not the load but the rung just entered: no return.
      _ = descend(.predictedMiss)
      keep(lower.rung, work, budget)
      settledRung = lower.rung
    }
    return lower
  }

  /// To the best rung below that holds, else the fastest.
  private mutating func goDown(_ selection: inout Selection, _ work: Double, _ budget: Double) -> DecisionReason? {
    var lower = lowerRung(selection, work, budget)
    if lower.rung == selection.rung && missCount(selection.cost, budget) > Double(noiseCount / 2)
      && hasFasterBelow(lower.rung, work)
    {
      forgetRatios(lower.rung)
      lower = lowerRung(select(work, pressure: held, budget: budget), work, budget)
    }
    if lower.rung == selection.rung { return nil }
    if onProbation && isAttempt && selection.rung < rungBeforeAscent && lower.rung > rungBeforeAscent {
      // What held before the attempt most likely still does.
      keep(rungBeforeAscent, work, budget)
      lower = select(work, pressure: held, budget: budget)
    }
    let cause = descend(recentMisses > 0 ? .budgetMissed : .predictedMiss)
    keepClear(of: lower, budget)
    selection = select(work, pressure: held, budget: budget)
    return cause
  }

  private mutating func lowerRung(_ from: Selection, _ work: Double, _ budget: Double) -> Selection {
    var lower = from
    while true {
      held = max(held, budget / max(lower.cost, 1) * 1.000_001)
      let next = select(work, pressure: held, budget: budget)
      if next.rung == lower.rung || next.cost <= 0 { return lower }
      lower = next
      // The first run there is a cold one. Back from an attempt, that is its price.
      let first = lower.cost * slowdown * coldFactor * (1 + 1.5 * spread)
      let isBack = lower.rung == rungBeforeAscent && isAttempt
      if (first <= budget || isBack) && !misses(lower, budget, margin: doubt(lower.rung), slack: 0) { return lower }
    }
  }

  private mutating func descend(_ why: DecisionReason) -> DecisionReason {
    counters.descents &+= 1
    isClimbing = false
    correctionsLeft = runsSinceCorrection < currentDwell ? 0 : 1
    rungBeforeDescent = settledRung
    if onProbation && ascendedByHope && runsLearned < 2 && lastRung >= 0 {
      // It missed and taught nothing else: it is not as fast as hoped.
      ratios[lastRung] = max(ratios[lastRung], ratioBeforeAscent)
      ratioVariances[lastRung] = min(ratioVariances[lastRung], varianceBeforeAscent / 8)
    }
    runsSinceDescent = 0
    slowdownAtDescent = slowdown
    forgetOutcomes()
    if !onProbation { return why }
    onProbation = false
    // An attempt with a rung that was not known well has taught what it takes: no reason to wait.
    if ascendedByHope { return .ascentFailed }
    // Nor where the load has grown since, or the rung is known better now.
    if slowdown > slowdownAtAscent * (1 + 2 * spread) { return why }
    if ratios[max(settledRung, 0)] > ratioAtAscent * (1 + spread) { return why }
    counters.failedAscents &+= 1
    currentDwell = min(currentDwell &* 2, configuration.maximumDwell)
    return .ascentFailed
  }

  // MARK: Up

  /// Share of the budget that leaves plenty of room.
  private static let plenty = 0.75

  enum Attempt { case none, held, hoped, proved, corrected }

  private mutating func mayGoUp(_ selection: Selection, _ budget: Double) -> Attempt {
    if probesHeld >= Self.probesWanted { return .proved }
    if correctionsLeft > 0 && runsSinceDescent >= Self.runsOfACorrection && runsSinceDescent < currentDwell {
      return mayCorrect(selection, budget) ? .corrected : .none
    }
    if runsSinceDescent < currentDwell { return .none }
    var better = selection
    better.rung = selection.betterRung
    better.cost = selection.betterCost
    // Few runs say little about rare ones: only where there is plenty of room, and nothing takes the CPU.
    let typical = better.cost * doubt(better.rung) * slowdown * (1 + 4 * spread)
    let isPlenty = typical <= budget * Self.plenty && interruptedShare < 0.1
    // Faster where the load has gone, not where it is going: what it takes away in between would be taken for a cheaper rung.
    let isStill = abs(errorMean) < 0.5 * errorSize
    if runsSinceAscent < configuration.dwell / (isPlenty && isStill ? 8 : 4) { return .none }
    if noiseCount < roomLength { return noiseCount >= 8 && isPlenty ? .held : .none }
    if bears(better, budget) { return .held }
    let hope = hope(better.rung)
    if hope <= 0 || credit < Self.priceOfAnAttempt { return .none }
    better.cost *= 1 - hope
    return bears(better, budget) ? .hoped : .none
  }

  /// A descent chose by what one or two slow runs said. Whether it went too far its first runs show.
  private mutating func mayCorrect(_ selection: Selection, _ budget: Double) -> Bool {
    if selection.betterRung <= rungBeforeDescent || noiseCount < 8 { return false }
    var better = selection
    better.rung = selection.betterRung
    better.cost = selection.betterCost * doubt(better.rung)
    return bears(better, budget)
  }

  private mutating func goUp(
    _ selection: inout Selection, _ attempt: Attempt, _ work: Double, _ budget: Double
  ) -> DecisionReason {
    let better = selection.betterRung
    rungBeforeAscent = selection.rung
    // What single runs have proved, the noise of the rung in use does not refute.
    if attempt == .proved { keepNoise(0) }
    // What never ran is taken for as fast as hoped; its first run corrects that.
    ratioBeforeAscent = ratios[better]
    varianceBeforeAscent = ratioVariances[better]
    if attempt == .hoped && isUnknown(better) && ratios[better] >= 1 {
      ratios[better] = max(ratios[better] * (1 - hope(better)), Self.ratioRange.lowerBound)
    }
    let limit = budget / max(baseCost(better, work), 1) * 0.999_999
    held = limit / (1 + configuration.ascentMargin)
    keep(better, work, budget)
    // What the window shows outweighs what the multiplier remembers of another load.
    multiplier = min(multiplier, limit / slowdown)
    counters.ascents &+= 1
    isClimbing = true
    onProbation = true
    runsSinceAscent = 0
    slowdownAtAscent = slowdown
    ratioAtAscent = ratios[better]
    ascendedByHope = attempt == .hoped
    forgetOutcomes()
    selection = select(work, pressure: held, budget: budget)
    return .headroom
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
