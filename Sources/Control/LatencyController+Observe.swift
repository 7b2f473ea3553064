import Base

extension LatencyController {
  /// Bounds that no sane machine reaches; they keep a wrong clock from poisoning the state for long.
  private static let slowdownRange = 0.01...1000.0
  private static let multiplierRange = 0.8...16.0
  private static let ratioRange = 0.25...4.0
  /// Share of a disagreement at a switch that is attributed to the rung entered, and how large it may be.
  private static let ratioShare = 0.3
  private static let ratioClip = 0.25

  /// Learns from one finished run. Call once after each run, with the rung it really used.
  ///
  /// Any integers are safe: an unknown rung is ignored, work and latency below 1 count as 1.
  ///
  /// - Parameter expectedShare: share of the rung's cost that the run was expected to take, above 0: below 1 where later steps
  ///   went to a lower rung.
  public mutating func observe(rung: Int, work: Int, latencyNanoseconds: Int, expectedShare: Double = 1) {
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
    noteOutcome(rung, amount, nanoseconds, slot)
    runsSinceMove &+= 1
    runsSinceAscent &+= 1
    runsOnRung &+= 1
    if runsSinceRise < Int.max { runsSinceRise &+= 1 }
    if onProbation && runsSinceAscent >= configuration.probation {
      onProbation = false
      currentDwell = max(configuration.dwell, currentDwell / 2)
    }
    if !curves[rung].isMeasured {
      observedRatios[slot] = .infinity
      return
    }

    var observed = Double(nanoseconds) / (baseCost(rung, amount) * (expectedShare > 0 ? expectedShare : 1))
    observedRatios[slot] = Float(min(observed, 1e6))
    let residual = observed / slowdown
    if wasProbe {
      // What it tells is whether it held. Costs and slow-down belong to the rung in use, which it must not move by itself.
      residuals[slot] = Float(min(residual, 1e6))
      return
    }
    learnMultiplier(residual, slot)
    spread += (min(abs(residual - 1), 0.5) - spread) / 32
    if lastObservedRung >= 0 && rung != lastObservedRung && residual > 0.5 && residual < 2 {
      let disagreement = min(max(residual - 1, -Self.ratioClip), Self.ratioClip)
      let before = ratios[rung]
      ratios[rung] = (before * (1 + Self.ratioShare * disagreement)).clamped(to: Self.ratioRange)
      observed *= before / ratios[rung]
    }
    lastObservedRung = rung
    recent[recentNext] = observed.clamped(to: Self.slowdownRange)
    recentNext = recentNext == 4 ? 0 : recentNext &+ 1
    learnSlowdown(observed)
  }

  private mutating func learnSlowdown(_ observed: Double) {
    // What a change must exceed to be one: noise moves a median of five by half a standard deviation.
    let threshold = max(0.1, 2 * spread)
    let median = medianOfRecent()
    if abs(median / slowdown - 1) > threshold {
      if median > slowdown {
        runsSinceRise = 0
      } else {
        // The load has gone, and with it what failed ascents under it have taught.
        currentDwell = configuration.dwell
        probeInterval = Self.shortestProbeInterval
      }
      slowdown = median
    } else {
      let near = observed.clamped(to: slowdown * (1 - 2 * threshold)...slowdown * (1 + 2 * threshold))
      slowdown += (near - slowdown) / 16
    }
    slowdown = slowdown.clamped(to: Self.slowdownRange)
  }

  private mutating func learnMultiplier(_ residual: Double, _ slot: Int) {
    let alpha = 1 - configuration.percentile / 100
    let rate = configuration.learningRate * max(spread, 0.005)
    var factor = residual > multiplier ? 1 + rate * (1 - alpha) : 1 - rate * alpha
    // At high percentiles hits lower the multiplier so slowly that one change of load would weigh for hundreds of runs.
    // Far above everything in the window it is certainly too high, whatever the percentile.
    var highest: Float = 0
    for index in 0..<configuration.windowLength { highest = max(highest, residuals[index]) }
    if multiplier > 1.1 * Double(highest) { factor = min(factor, 1 - rate * 0.1) }
    multiplier = (multiplier * factor).clamped(to: Self.multiplierRange)
    residuals[slot] = Float(min(residual, 1e6))
  }

  private mutating func noteOutcome(_ rung: Int, _ work: Double, _ nanoseconds: Int, _ slot: Int) {
    var outcome: UInt8 = 0
    if let budget = configuration.budgetNanoseconds, nanoseconds > budget {
      counters.misses &+= 1
      outcome = 1
      // Waiting adds to the time and is the same on every rung; only computing time would have been saved.
      let saved = (baseCost(rung, work) - fastestCost(work)) * slowdown
      if Double(nanoseconds) - max(saved, 0) > Double(budget) {
        counters.unavoidableMisses &+= 1
        outcome = 2
      }
      if isProbing { outcome = 3 }
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
    if outcome == 1 || outcome == 2 { recentMisses &+= amount }
    if outcome == 2 { recentUnavoidable &+= amount }
    if outcome == 3 { recentProbeMisses &+= amount }
  }

  private mutating func fastestCost(_ work: Double) -> Double {
    var fastest = 0.0
    for rung in 0..<configuration.rungCount where isAllowed(rung) {
      let cost = baseCost(rung, work)
      if cost > 0 && (fastest == 0 || cost < fastest) { fastest = cost }
    }
    return fastest
  }

  private mutating func medianOfRecent() -> Double {
    var low = recent
    // Selection sort of the first three: the third smallest of five.
    for index in 0..<3 {
      var smallest = index
      for other in index + 1..<5 where low[other] < low[smallest] { smallest = other }
      low.swapAt(index, smallest)
    }
    return low[2]
  }
}

extension Double {
  fileprivate func clamped(to range: ClosedRange<Double>) -> Double {
    Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
  }
}
