import Base

/// Chooses one rung of a ladder before each run, so that latencies stay within a budget at a percentile, at the best
/// quality. Pure: observations in, decisions out; trivially copyable, about 16 KiB, nothing is allocated after `init`.
///
/// The latency of rung k at the percentile is predicted as
///
///     cost_k(work) · ratio_k · slowdown · multiplier
///
/// - `cost_k` is measured when the session is prepared, `ratio_k` corrects it: when a run on another rung disagrees with
///   the slow-down seen just before, part of the disagreement belongs to the rung entered.
/// - `slowdown` is a slow exponential average of observed / expected over all rungs, which jumps to the median of the
///   last five when that has moved away: a change of load shows after three runs, one or two stalls do not show.
/// - `multiplier` makes the prediction hold at the percentile whatever the distribution: a latency above the prediction
///   raises it by η(1 - α), any other lowers it by ηα, where α = 1 - percentile / 100 and η follows the spread of the
///   noise. In the long run a share α of the latencies lies above the prediction. (Gibbs and Candès, "Adaptive Conformal
///   Inference Under Distribution Shift", NeurIPS 2021, in the form that tracks the quantile itself.)
///
/// `pressure` = slowdown · multiplier is what the load asks for, `held` decides the rung. A pressure above `held` raises it at
/// once when the load has just jumped, and the noise of the window on top of it would miss, or when runs on this rung do
/// miss; a prediction alone moves nothing, since the multiplier errs by a few per cent either way. `held` is let down by one
/// rung when the runs of one dwell, scaled to that rung, would have stayed within the budget at its percentile; the dwell
/// doubles when that fails, and a load that goes away ends what such failures taught.
///
/// Noise does not scale with cost: a neighbour on the same core may slow one rung down by half and another by a tenth. Where
/// the runs of the rung in use do not promise that the better one holds, but half of them do, single runs there see for
/// themselves (probes), as long as their misses fit into what the percentile tolerates. Hysteresis thus lies on the load, not on the rung: runs of different work get different rungs
/// without waiting, because work is known and load is guessed.
public struct LatencyController: BitwiseCopyable, Sendable {
  /// As given, with later changes of the budget.
  public internal(set) var configuration: ControllerConfiguration
  public internal(set) var counters = ControlCounters()
  /// Observed time over time on the idle machine; 1 is no slow-down.
  public internal(set) var slowdown = 1.0
  /// From typical to percentile.
  public internal(set) var multiplier: Double
  /// Runs with room that the next ascent waits for.
  public internal(set) var currentDwell: Int
  /// What a run takes on the idle machine besides the rung's cost, whatever the rung: work that the caller does itself within
  /// what it times. 0 where costs are all there is.
  public var hostNanoseconds = 0.0

  var curves: InlineArray<64, CostCurve>
  var ratios: InlineArray<64, Double>
  var allowed: UInt64

  /// The last five observed / expected ratios.
  var recent: InlineArray<5, Double>
  var recentNext = 0
  /// Observed / (expected · slowdown) of the last runs.
  var residuals: InlineArray<256, Float>
  /// Observed / expected of the last runs: what they would have taken on another rung follows from its cost.
  var observedRatios: InlineArray<256, Float>
  /// Mean distance of the residuals from 1, large ones clipped.
  var spread = 0.05
  var latencies: LatencyWindow
  /// Runs since the load last moved the rung: 1 missed, 2 missed and unavoidable, 3 a probe that missed.
  var outcomes: InlineArray<256, UInt8>
  var windowNext = 0
  var recentMisses = 0
  var recentUnavoidable = 0
  var recentProbeMisses = 0
  /// Runs since the outcomes were last forgotten.
  var runsOnRung = 0
  /// Runs since the slow-down last jumped up.
  var runsSinceRise = Int.max
  static let runsOfARise = 8

  /// The decision pending observation is a probe.
  var isProbing = false
  /// So was the decision before this one: going back down is no descent.
  var lastWasProbe = false
  var runsSinceProbe = 0
  /// Runs between two probes: doubled by one that misses, until the load goes away.
  var probeInterval = LatencyController.shortestProbeInterval
  static let shortestProbeInterval = 4
  static let longestProbeInterval = 1024
  /// Runs in a row with the same work.
  var runsOfSameWork = 0
  /// Probes in a row that stayed within the budget.
  var probesHeld = 0
  /// Runs since the load last moved the rung.
  var runsSinceMove = 0
  /// Probes in a row that must hold before the rung is taken.
  static let probesWanted = 12

  var held: Double
  var runsWithRoom = 0
  var runsSinceAscent = 0
  var onProbation = false
  /// An ascent has happened since the last descent.
  var isClimbing = false
  var lastRung = -1
  var lastWork = 0.0
  var lastObservedRung = -1
  var reason = DecisionReason.initial
  /// What to choose afresh for at the next decision.
  var pending: DecisionReason?

  static let initialMultiplier = 1.15

  /// - Throws: `outOfRange`, naming the field.
  public init(_ configuration: ControllerConfiguration) throws(AdaptQError) {
    try configuration.validate()
    self.configuration = configuration
    multiplier = Self.initialMultiplier
    held = Self.initialMultiplier
    currentDwell = configuration.dwell
    curves = InlineArray(repeating: CostCurve())
    ratios = InlineArray(repeating: 1)
    allowed = Self.all(configuration.rungCount)
    recent = InlineArray(repeating: 1)
    residuals = InlineArray(repeating: 1)
    observedRatios = InlineArray(repeating: 1)
    latencies = LatencyWindow(length: configuration.windowLength)
    outcomes = InlineArray(repeating: 0)
    pending = .initial
  }

  /// Measured cost of one rung; see `CostCurve`. What runs taught about this rung is forgotten.
  ///
  /// - Throws: `outOfRange` for the rung, or what `CostCurve` says.
  public mutating func setCost(rung: Int, points: [CostPoint]) throws(AdaptQError) {
    if rung < 0 || rung >= configuration.rungCount {
      throw AdaptQError(.outOfRange, "rung: \(rung), allowed are 0 to \(configuration.rungCount - 1)")
    }
    curves[rung] = try CostCurve(points: points)
    ratios[rung] = 1
    chooseAfresh(.levelsChanged)
  }

  /// - Parameter mask: bit k allows rung k. At least one rung of the ladder, none beyond it.
  public mutating func setAllowed(mask: UInt64) throws(AdaptQError) {
    if mask == 0 || mask & ~Self.all(configuration.rungCount) != 0 {
      throw .invalidArgument("allowed rungs: mask \(mask), the ladder has \(configuration.rungCount) rungs")
    }
    if mask == allowed { return }
    allowed = mask
    chooseAfresh(.levelsChanged)
  }

  /// Holds from the next decision on, in both directions at once.
  ///
  /// - Parameters:
  ///   - nanoseconds: nil for no budget.
  ///   - percentile: 50 to 99.9.
  public mutating func setBudget(nanoseconds: Int?, percentile: Double) throws(AdaptQError) {
    try ControllerConfiguration.checkBudget(nanoseconds, percentile)
    if nanoseconds == configuration.budgetNanoseconds && percentile == configuration.percentile { return }
    configuration.budgetNanoseconds = nanoseconds
    configuration.percentile = percentile
    currentDwell = configuration.dwell
    chooseAfresh(.budgetChanged)
  }

  /// The exact nearest-rank percentile over the last `windowLength` runs; 0 before the first.
  public var movingPercentileNanoseconds: Int { latencies.value(atPercentile: configuration.percentile) }

  private mutating func chooseAfresh(_ why: DecisionReason) {
    if pending == nil { pending = why }
    forgetOutcomes()
  }

  /// Misses on another rung say nothing about this one.
  mutating func forgetOutcomes() {
    for index in 0..<configuration.windowLength { outcomes[index] = 0 }
    recentMisses = 0
    recentUnavoidable = 0
    recentProbeMisses = 0
    probesHeld = 0
    runsSinceMove = 0
    runsOnRung = 0
  }

  /// Expected time of a rung without slow-down; 0 where unknown.
  @inline(__always) func baseCost(_ rung: Int, _ work: Double) -> Double {
    let own = curves[rung].nanoseconds(work)
    return own == 0 ? 0 : (own + hostNanoseconds) * ratios[rung]
  }

  @inline(__always) func isAllowed(_ rung: Int) -> Bool { allowed >> UInt64(truncatingIfNeeded: rung) & 1 == 1 }

  /// The mask of the first `count` rungs, 1 to 64.
  private static func all(_ count: Int) -> UInt64 { UInt64.max >> UInt64(max(64 - count, 0)) }
}
