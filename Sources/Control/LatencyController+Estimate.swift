import Base

// Slow-down, ratios, and what a surprising run was.

extension LatencyController {
  /// Bounds that no sane machine reaches; they keep a wrong clock from poisoning the state for long.
  static let slowdownRange = 0.01...1000.0
  private static let multiplierRange = 0.8...16.0
  static let ratioRange = 0.4...2.5
  private static let coldRange = 1.0...1.5

  mutating func learn(_ rung: Int, _ observed: Double, _ expected: Double, _ wasInterrupted: Bool) {
    let isFirst = rung != lastObservedRung
    lastObservedRung = rung
    // Back from a single run elsewhere the rung is as well known as before.
    let isEntry = rung != enteredRung
    enteredRung = rung
    if isEntry { runsLearned = 0 }
    runsSinceEntry = isEntry ? 0 : min(runsSinceEntry &+ 1, Self.runsOfEntry)
    // What is not used is known less and less.
    for other in 0..<configuration.rungCount where other != rung {
      ratioVariances[other] = min(ratioVariances[other] + Self.ratioDrift, initialRatioVariance)
    }
    let residual = observed / slowdown / (isFirst ? coldFactor : 1)
    learnMultiplier(observed / slowdown)
    let noise = noiseVariance
    let variance = noise + Double(ratioVariances[rung]) + slowdownVariance + (isFirst ? Self.coldVariance : 0)
    let width = max(Self.surprise * variance.squareRoot(), 0.08)

    if wasInterrupted && residual > 1 / (1 + width) {
      // How much of it was waiting nobody knows: it teaches nothing about speed, and is no alarm.
      recordWait(residual, expected)
      firstResidual = 0
      return
    }
    if residual > 1 + width {
      fastRuns = 0
      slowRuns &+= 1
      if slowRuns < (alarmTrust < 0.3 ? 3 : 2) {
        // Not learned from until the next run has told what it was.
        if slowRuns == 1 { alarm = residual }
        alarmRung = rung
        alarmedAtEntry = runsSinceEntry < Self.runsOfEntry
        isSuspicious = false
        recordNoise(residual, expected)
        firstResidual = 0
        return
      }
      rise((alarm * residual).squareRoot(), noise)
    } else if alarm > 0 && !isSuspicious && rung != alarmRung && cannotTell(residual, variance) {
      // This rung is not known well enough to say. The next run is one on the rung of the alarm again.
      isSuspicious = true
      recordNoise(1, expected)
      return
    } else if alarm > 0 && residual * residual > alarm {
      rise(alarm, noise)
    } else if residual < 1 / (1 + width) {
      endAlarm(wasLoad: false)
      fastRuns &+= 1
      fastResidual = fastRuns == 1 ? residual : (fastResidual * residual).squareRoot()
      if fastRuns < 2 { return }
      fall(fastResidual, noise)
    } else {
      fastRuns = 0
      endAlarm(wasLoad: false)
      learnCold(isFirst, residual)
    }
    track(rung, observed, expected, isFirst, noise)
  }

  /// Whether a run on a rung of which little is known lies too far from both, the slow-down of before and that of the alarm.
  private mutating func cannotTell(_ residual: Double, _ variance: Double) -> Bool {
    let whole = alarm - 1
    return variance.squareRoot() > whole / 8 && residual - 1 > 0.25 * whole && residual - 1 < 0.75 * whole
  }

  /// Of one run, as the spread of the last ones says.
  var noiseVariance: Double { max(1.5 * spread * spread, 0.000_025) }
  /// What a first run after a switch scatters besides.
  private static let coldVariance = 0.001

  /// About the logarithm of a residual, without its far ends.
  private static func error(_ residual: Double) -> Double {
    (2 * (residual - 1) / (residual + 1)).clamped(to: -0.5...0.5)
  }

  /// Not more than three standard deviations of it.
  private static func near(_ error: Double, _ variance: Double) -> Double {
    error.clamped(to: -3 * variance.squareRoot()...3 * variance.squareRoot())
  }

  /// Standard deviations beyond which a run is a surprise.
  private static let surprise = 4.0

  /// One step of a Kalman filter whose state are the logarithms of the slow-down and of this rung's ratio, without their
  /// covariance: what disagrees with the prediction belongs to whichever of the two is less known.
  private mutating func track(
    _ rung: Int, _ observed: Double, _ expected: Double, _ isFirst: Bool, _ noise: Double
  ) {
    let residual = observed / slowdown / (isFirst ? coldFactor : 1)
    runsLearned = min(runsLearned &+ 1, Self.runsOfEntry)
    recordNoise(residual, expected)
    spread += (min(abs(residual - 1), 0.5) - spread) / 32
    let error = Self.error(residual)
    errorMean += (error - errorMean) / 8
    errorSize += (abs(error) - errorSize) / 8
    let tracking = errorMean / max(errorSize, 0.001)
    // Later all that changes is the load: two unknowns cannot be told apart for long.
    let ratioVariance = runsSinceEntry < Self.runsOfEntry ? Double(ratioVariances[rung]) : 0
    let sum = slowdownVariance + ratioVariance + noise + (isFirst ? Self.coldVariance : 0)
    let near = Self.near(error, sum)
    let slowdownGain = slowdownVariance / sum
    let ratioGain = ratioVariance / sum
    slowdown = (slowdown * (1 + slowdownGain * near)).clamped(to: Self.slowdownRange)
    ratios[rung] = (ratios[rung] * (1 + ratioGain * near)).clamped(to: Self.ratioRange)
    if slowdown < slowdownAtDescent * (0.95 - spread) { loadHasGone() }
    slowdownVariance *= 1 - slowdownGain
    slowdownVariance += noise * (1.0 / 256 + 0.5 * max(tracking * tracking - 0.3, 0))
    if ratioVariance > 0 { ratioVariances[rung] = Float(max(ratioVariance * (1 - ratioGain), 0.000_001)) }
  }

  /// A cold run: what disagrees with the prediction belongs to the rung's ratio as far as slow-down and noise do not explain it.
  mutating func learnFromProbe(_ rung: Int, _ observed: Double) {
    let residual = observed / slowdown / coldFactor
    let variance = Double(ratioVariances[rung])
    let sum = variance + slowdownVariance + noiseVariance + Self.coldVariance
    let near = Self.near(Self.error(residual), sum)
    ratios[rung] = (ratios[rung] * (1 + variance / sum * near)).clamped(to: Self.ratioRange)
    ratioVariances[rung] = Float(max(variance * (1 - variance / sum), 0.000_4))
  }

  private mutating func learnCold(_ isFirst: Bool, _ residual: Double) {
    if isFirst {
      firstResidual = residual * coldFactor
    } else if firstResidual > 0 {
      coldFactor = (coldFactor + (firstResidual / residual - coldFactor) / 8).clamped(to: Self.coldRange)
      firstResidual = 0
    }
  }

  /// The load has jumped up.
  private mutating func rise(_ factor: Double, _ noise: Double) {
    // The run that gave the alarm was no noise.
    clearNewestNoise()
    jump(factor, noise)
    runsSinceRise = 0
    endAlarm(wasLoad: true)
  }

  /// The load has gone, and with it what failed ascents under it have taught.
  private mutating func fall(_ factor: Double, _ noise: Double) {
    jump(factor, noise)
    fastRuns = 0
    loadHasGone()
  }

  mutating func loadHasGone() {
    currentDwell = configuration.dwell
    probeInterval = Self.shortestProbeInterval
    // Its noise has gone, too.
    keepNoise(configuration.dwell)
    slowdownAtDescent = slowdown
  }

  mutating func jump(_ factor: Double, _ noise: Double) {
    slowdown = (slowdown * factor).clamped(to: Self.slowdownRange)
    // One or two runs have shown by how much.
    let size = (factor - 1) / (factor + 1)
    slowdownVariance = max(slowdownVariance, noise, 0.08 * size * size)
    errorMean = 0
    // Another load slows the rungs down in other proportions.
    for rung in 0..<configuration.rungCount where rung != lastObservedRung {
      ratioVariances[rung] = max(ratioVariances[rung], 0.000_4)
    }
  }

  /// What a cost measured elsewhere may be off by without being a surprise.
  private static let usualCostError = 0.2

  private mutating func endAlarm(wasLoad: Bool) {
    if alarm == 0 { return }
    if !wasLoad && alarmedAtEntry {
      // It was the rung: it takes longer than believed, or the run waited. So it counts for no more than costs are usually off.
      let variance = Double(ratioVariances[alarmRung])
      let gain = variance / (variance + 0.01)
      let excess = min(alarm - 1, Self.usualCostError)
      ratios[alarmRung] = (ratios[alarmRung] * (1 + gain * excess)).clamped(to: Self.ratioRange)
      ratioVariances[alarmRung] = Float(variance * (1 - gain))
    }
    clearAlarm()
    alarmTrust += ((wasLoad ? 1 : 0) - alarmTrust) / 4
  }

  mutating func clearAlarm() {
    alarm = 0
    slowRuns = 0
    isSuspicious = false
  }

  /// The noise of the last runs says that more is not needed.
  static func mostMultiplier(_ spread: Double) -> Double { 1.1 + 6 * spread }

  mutating func learnMultiplier(_ residual: Double) {
    let alpha = 1 - configuration.percentile / 100
    let rate = configuration.learningRate * max(spread, 0.005)
    var factor = residual > multiplier ? 1 + rate * (1 - alpha) : 1 - rate * alpha
    // At high percentiles hits lower the multiplier so slowly that one change of load would weigh for hundreds of runs.
    // Far above all noise it is certainly too high, whatever the percentile.
    if multiplier > Self.mostMultiplier(spread) { factor = min(factor, 1 - rate * 0.1) }
    multiplier = (multiplier * factor).clamped(to: Self.multiplierRange)
  }
}

extension Double {
  fileprivate func clamped(to range: ClosedRange<Double>) -> Double {
    Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
  }
}
