import Base

// The steps of the ladder, and what is believed about rungs that have not run for long.

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
  /// Mutating only so that 20 KiB are not copied for the call, here and below.
  mutating func select(_ work: Double, pressure: Double, budget: Double) -> Selection {
    var result = Selection()
    var found = false
    var fits = false
    var firstAllowed = -1
    var fastestMeasured = 0.0
    for rung in 0..<configuration.rungCount where isAllowed(rung) {
      if firstAllowed < 0 { firstAllowed = rung }
      let cost = baseCost(rung, work)
      if cost <= 0 { continue }
      let measured = measuredTime(rung, work)
      if found {
        // What was measured to be clearly faster may turn out to be a little faster only.
        let clear = 1 - configuration.minimumGain
        let most = isUnknown(rung) || measured > fastestMeasured * clear ? clear : 1 - configuration.minimumGain / 4
        if isUnknown(rung) && rung < settledRung {
          // Better than the rung in use, and never tried: a step if it is as fast as may be hoped.
          if cost * (1 - hope(rung)) > result.fastestCost * most { continue }
        } else if cost > result.fastestCost * most {
          continue
        } else if isUnknown(rung) && measured > fastestMeasured * most
          && (fits || cost > result.fastestCost * Self.muchFaster)
        {
          // One that never ran is also compared by what was measured: what others have learned says nothing about it. Where none of
          // them fits, and they take much longer than measured, trying tells.
          continue
        }
      }
      if !fits {
        result.betterRung = found ? result.rung : -1
        result.betterCost = result.cost
        result.rung = rung
        result.cost = cost
        fits = cost * pressure <= budget
      }
      result.fastestCost = found ? min(result.fastestCost, cost) : cost
      fastestMeasured = found ? min(fastestMeasured, measured) : measured
      found = true
    }
    if !found { result.rung = max(firstAllowed, 0) }
    return result
  }

  /// The next step down, or the same one where there is none.
  mutating func stepBelow(_ selection: Selection, _ work: Double, _ budget: Double) -> Selection {
    let next = select(work, pressure: budget / max(selection.cost, 1) * 1.000_001, budget: budget)
    // Where nothing holds, the selection is the fastest rung by what is known of it, which may cost more in theory: going there
    // and back would never end.
    return next.cost > 0 && next.cost < selection.cost ? next : selection
  }

  /// Moves `held` to where it selects this rung for this work, if the rung is a step.
  mutating func keep(_ rung: Int, _ work: Double, _ budget: Double) {
    let cost = baseCost(rung, work)
    if cost <= 0 { return }
    let most = budget / cost * 0.999_999
    held = min(held, most)
    let found = select(work, pressure: most, budget: budget)
    if found.betterRung < 0 { return }
    if found.rung == rung {
      held = max(held, min(budget / found.betterCost * 1.000_001, most))
    } else if found.rung > rung {
      // A better rung is as fast by now.
      held = min(held, budget / found.betterCost * 0.999_999)
    }
  }

  /// Lifts `held` off the limit of the better rung, so that small corrections of costs do not bring it back at once.
  mutating func keepClear(of chosen: Selection, _ budget: Double) {
    if chosen.betterRung < 0 || chosen.cost <= 0 { return }
    let limit = budget / chosen.betterCost
    let clear = min(limit * (1 + configuration.ascentMargin), (limit + budget / chosen.cost) / 2)
    held = max(held, clear)
  }

  /// Of a set of rungs those from `rung` on that are believed to take no longer than it, or, where one is not known, that were
  /// measured so: what another limit may choose from without breaking the budget of latency. All of them where there is none. They
  /// need not be allowed: one that wins no time is no step for latency, but may win something else.
  public mutating func rungs(of mask: UInt64, from rung: Int, work: Int) -> UInt64 {
    let below = mask & (UInt64.max << UInt64(truncatingIfNeeded: rung & 63))
    guard let budget = configuration.budgetNanoseconds else { return below }
    let amount = Double(max(work, 1))
    let (most, measured) = (baseCost(rung, amount), curves[rung & 63].nanoseconds(amount))
    var result: UInt64 = 1 << UInt64(truncatingIfNeeded: rung & 63)
    for lower in 0..<configuration.rungCount where below >> UInt64(truncatingIfNeeded: lower) & 1 == 1 {
      let cost = baseCost(lower, amount)
      let isQuick = cost <= most || cost * slowdown * multiplier <= Double(budget)
      if isQuick || isUnknown(lower) && curves[lower].nanoseconds(amount) <= measured {
        result |= 1 << UInt64(truncatingIfNeeded: lower)
      }
    }
    return result
  }

  // MARK: What is not known

  /// Share of the fastest known rung's time that makes a rung worth a try when that one does not fit.
  private static let muchFaster = 0.9

  @inline(__always) mutating func isUnknown(_ rung: Int) -> Bool {
    ratioVariances[rung] > 0.9 * initialRatioVariance
  }

  /// By how much a rung may be faster than believed, as a share: who never tries does not learn. Nothing where no miss is
  /// tolerated, or where the rung is known as well as one run can tell.
  mutating func hope(_ rung: Int) -> Double {
    if nearestRank(configuration.percentile, Self.noiseCapacity) == Self.noiseCapacity { return 0 }
    let known = max(spread * spread, 0.0004)
    return 1.25 * max(Double(ratioVariances[rung]) - known, 0).squareRoot()
  }

  /// By which factor a rung that the load forces us to may be slower than believed.
  mutating func doubt(_ rung: Int) -> Double { 1 + 0.7 * Double(ratioVariances[rung]).squareRoot() }

  /// Whether some rung below was measured to be faster.
  mutating func hasFasterBelow(_ rung: Int, _ work: Double) -> Bool {
    let limit = measuredTime(rung, work) * (1 - configuration.minimumGain)
    for lower in 0..<configuration.rungCount where lower > rung && isAllowed(lower) && curves[lower].isMeasured {
      if measuredTime(lower, work) < limit { return true }
    }
    return false
  }

  /// What was learned leaves no way out: back to what was measured.
  mutating func forgetRatios(_ rung: Int) {
    slowdown = min(max(slowdown * ratios[rung], Self.slowdownRange.lowerBound), Self.slowdownRange.upperBound)
    for index in 0..<configuration.rungCount {
      ratios[index] = 1
      ratioVariances[index] = initialRatioVariance
    }
  }
}
