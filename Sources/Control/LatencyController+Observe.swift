import Base

extension LatencyController {
  /// Learns from one finished run. Call once after each run, with the rung it really used.
  ///
  /// Any integers are safe: an unknown rung is ignored, work and latency below 1 count as 1.
  ///
  /// - Parameters:
  ///   - wasInterrupted: whether the run lost its CPU for some time, however short; nil where nobody knows.
  ///   - expectedShare: share of the rung's cost that the run was expected to take, above 0: below 1 where later steps went to a
  ///     lower rung, above 1 where it had fewer threads than the costs were measured with.
  public mutating func observe(
    rung: Int, work: Int, latencyNanoseconds: Int, wasInterrupted: Bool? = nil, expectedShare: Double = 1
  ) {
    if rung < 0 || rung >= configuration.rungCount { return }
    let nanoseconds = min(max(latencyNanoseconds, 1), CostCurve.maximumNanoseconds)
    let amount = Double(max(work, 1))
    counters.runs &+= 1
    latencies.append(nanoseconds)
    let slot = windowNext
    windowNext = slot &+ 1 >= configuration.windowLength ? 0 : slot &+ 1
    // A deadline may have taken the run elsewhere.
    let wasProbe = isProbing && rung == lastRung && expectedShare == 1
    isProbing = wasProbe
    noteOutcome(rung, amount, nanoseconds, slot, expectedShare > 1 ? expectedShare : 1)
    runsSinceMove &+= 1
    runsSinceAscent &+= 1
    if runsSinceDescent < Int.max { runsSinceDescent &+= 1 }
    if runsSinceCorrection < Int.max { runsSinceCorrection &+= 1 }
    if runsSinceRise < Int.max { runsSinceRise &+= 1 }
    if onProbation && runsSinceAscent >= configuration.probation {
      onProbation = false
      currentDwell = max(configuration.dwell, currentDwell / 2)
    }
    if currentDwell > configuration.dwell && runsSinceDescent > 4 &* currentDwell { currentDwell /= 2 }
    if !curves[rung].isMeasured {
      observedRatios[slot] = .infinity
      return
    }
    let expected = baseCost(rung, amount) * (expectedShare > 0 ? expectedShare : 1)
    let observed = Double(nanoseconds) / expected
    observedRatios[slot] = Float(min(observed, 1e6))
    if let wasInterrupted { noteWait(expected, observed, wasInterrupted) }
    if wasProbe {
      // The slow-down belongs to the rung in use, which a single run elsewhere must not move. What the other one takes it may say.
      if wasInterrupted != true { learnFromProbe(rung, observed) }
      lastObservedRung = -1
      return
    }
    learn(rung, observed, expected, wasInterrupted == true && interruptedShare < Self.mostInterrupted)
  }

  private mutating func noteOutcome(
    _ rung: Int, _ work: Double, _ nanoseconds: Int, _ slot: Int, _ share: Double
  ) {
    var outcome: UInt8 = 0
    credit = min(credit + (1 - configuration.percentile / 100) * Self.savedShare, mostCredit())
    if let budget = configuration.budgetNanoseconds, nanoseconds > budget {
      counters.misses &+= 1
      outcome = 1
      // Waiting adds to the time and is the same on every rung; only computing time would have been saved.
      let saved = (baseCost(rung, work) * share - fastestCost(work)) * slowdown
      if Double(nanoseconds) - max(saved, 0) > Double(budget) {
        counters.unavoidableMisses &+= 1
      } else {
        credit = max(credit - 1, 0)
      }
      if isProbing { outcome = 2 }
    }
    if isProbing {
      isProbing = false
      probesHeld = outcome == 0 ? probesHeld &+ 1 : 0
      if outcome != 0 { probeInterval = min(probeInterval &* 2, Self.longestProbeInterval) }
    }
    let old = outcomes[slot]
    countOutcome(old, -1)
    countOutcome(outcome, 1)
    outcomes[slot] = outcome
  }

  @inline(__always)
  private mutating func countOutcome(_ outcome: UInt8, _ amount: Int) {
    // A probe's miss says nothing on the rung in use.
    if outcome == 1 { recentMisses &+= amount }
    if outcome == 2 { recentProbeMisses &+= amount }
  }

  mutating func fastestCost(_ work: Double) -> Double {
    var fastest = 0.0
    for rung in 0..<configuration.rungCount where isAllowed(rung) {
      let cost = baseCost(rung, work)
      if cost > 0 && (fastest == 0 || cost < fastest) { fastest = cost }
    }
    return fastest
  }
}
