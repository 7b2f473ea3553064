import Base

/// Chooses one rung of a ladder before each run, so that latencies stay within a budget at a percentile, at the best
/// quality. Pure: observations in, decisions out; trivially copyable, about 20 KiB, nothing is allocated after `init`.
///
/// A run on rung k takes
///
///     cost_k(work) · ratio_k · slowdown · factor + wait
///
/// - `cost_k` is measured when the session is prepared, `ratio_k` corrects it, `slowdown` is the load, the same for all rungs.
///   A Kalman filter follows both: what disagrees with the prediction belongs to whichever of the two is less known. A rung is
///   known after a few runs on it and less and less while others run; the load moves always, and faster where errors have
///   one sign. How wrong costs may be the configuration says; the less, the more of a disagreement is the load.
/// - `factor` and `wait` are noise: the last 256 runs, each with its factor and its wait, which adds to any rung. Whether a rung
///   would hold is counted: how many of these runs would have missed on it. A run that computes for half the time meets half the
///   waits, until rungs of different times show that it meets as many. Which runs lost their CPU the caller tells: what such a run
///   took longer than expected is waiting. Where nobody knows, what goes far beyond the noise may be the load or a wait.
///
/// A run that is far too slow although it kept its CPU (an alarm) may be the load or chance. The next run goes as low as that load would ask for,
/// where the percentile bears no further miss; if it is slow, too, the slow-down jumps, else everything is as before. Where
/// the rung it ran on is not known well enough to tell, a second look on the rung of the alarm does. Two runs that are far too
/// fast let the slow-down fall.
///
/// Down, by as many rungs as it takes, when the runs of the window would miss more often on the rung in use than may be planned
/// with: what the percentile tolerates but for two standard deviations, which chance and attempts take, and what was saved of it
/// before. Misses that the fastest rung would not avoid do not count once waiting makes even that one miss too often. One or two slow
/// runs have chosen where to go: four runs later that may be taken back, once, short of the rung that was left.
///
/// Up, by one rung, when they would not on the better one, a dwell after going down and a quarter of a dwell after going up, half as
/// long with plenty of room. A rung that is not known well is tried when it would hold at the speed that may be hoped for and enough misses are saved; an attempt that
/// teaches nothing, and fails, doubles the dwell, until the load goes away, and leaves less to hope for. An attempt that fails goes
/// back where it came from.
///
/// Noise does not scale with cost: a neighbour on the same core may slow one rung down by half and another by a tenth. Where
/// the runs of the rung in use do not promise that the better one holds, but half of them do, single runs there see for
/// themselves (probes), as long as their misses fit into what the percentile tolerates.
///
/// `held`, a pressure (time over idle time), is what the ladder is asked for: hysteresis lies on the load, not on the rung, so
/// runs of different work get different rungs without waiting; work is known and load is guessed. `multiplier` is for
/// predictions and first decisions: a latency above the prediction raises it by η(1 - α), any other lowers it by ηα, where
/// α = 1 - percentile / 100 and η follows the noise, so that in the long run a share α lies above. (Gibbs and Candès, "Adaptive
/// Conformal Inference Under Distribution Shift", NeurIPS 2021, in the form that tracks the quantile itself.)
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
  /// What the curves say for one amount of work, which is mostly the one asked for; -1 for none.
  var cachedWork = -1.0
  var cachedTimes = InlineArray<64, Double>(repeating: 0)
  var ratios: InlineArray<64, Double>
  var allowed: UInt64

  // Estimates, see +Estimate.

  /// How unsure each ratio and the slow-down are: variances of their logarithms.
  var ratioVariances: InlineArray<64, Float>
  var slowdownVariance = Self.initialSlowdownVariance
  /// Of a rung that never ran: what measured costs may be wrong by. Any load may be there already.
  let initialRatioVariance: Float
  static let mostRatioVariance: Float = 0.04
  static let initialSlowdownVariance = 0.09
  /// Added to the variance of rungs that are not in use, per run: a hundredth of a rung's time after some 60 runs.
  static let ratioDrift: Float = 0.000_001_8
  /// Runs on the rung in use, counted up to `runsOfEntry`, in which its ratio is learned.
  var runsSinceEntry = 0
  static let runsOfEntry = 16
  /// Mean and mean size of the last prediction errors: where they have one sign, the load is moving.
  var errorMean = 0.0
  var errorSize = 0.05
  /// By which factor the first run after a switch takes longer.
  var coldFactor = 1.02
  /// Residual of a first run after a switch, to be compared with the second one's; 0 for none.
  var firstResidual = 0.0
  var lastObservedRung = -1
  /// The rung that `runsSinceEntry` counts for; a probe enters none.
  var enteredRung = -1

  /// Residual of a run that was far too slow, until the next runs tell whether that was the load; 0 for none.
  var alarm = 0.0
  var alarmRung = 0
  /// The alarm came in the first runs on its rung, whose ratio may be to blame.
  var alarmedAtEntry = false
  /// The run after the alarm could not tell; the next one is on the rung of the alarm.
  var isSuspicious = false
  /// Share of the alarms that were the load, of the last few.
  var alarmTrust = 1.0
  /// Runs in a row that were far too slow.
  var slowRuns = 0
  /// Runs in a row that were far too fast, and the mean of their residuals.
  var fastRuns = 0
  var fastResidual = 1.0
  /// Runs since the slow-down last jumped up.
  var runsSinceRise = Int.max
  static let runsOfARise = 8

  // Noise, see +Noise.

  // Runs in eights, so that counting them takes vectors; what does not count any more has no factor and no wait.
  var factors: InlineArray<32, SIMD8<Float>>
  var waits: InlineArray<32, SIMD8<Float>>
  /// For how many runs a run that waited stands at a rung of a nanosecond, were the chance to wait in proportion to the time, and
  /// for how many a tail does: one, whatever the rung.
  var waitSlopes: InlineArray<32, SIMD8<Float>>
  var waitBases: InlineArray<32, SIMD8<Float>>
  var noiseNext = 0
  /// Runs that count, back from `noiseNext`.
  var noiseCount = 0
  static let noiseCapacity = 256
  /// How much of the chance to wait grows with the time that a run takes: 1, all of it, until runs of different length tell.
  var waitGrowth = 1.0
  /// Of the last runs: mean time, variance of it, share that waited, covariance of both.
  var meanTime = 0.0
  var timeVariance = 0.0
  var waitShare = 0.0
  var waitCovariance = 0.0
  /// How many of them, up to as many as are remembered.
  var runsCompared = 0
  /// Waits per nanosecond of computing, and how many the runs since the last one would have met at that rate.
  var waitRate = 0.0
  /// Share of the last runs that lost their CPU. Where nearly all do, waiting grows with the time as a slower speed does, and no
  /// run would be left to learn from.
  var interruptedShare = 0.0
  static let mostInterrupted = 0.95
  var waitsMissed = 0.0
  var runsSinceWait = Int.max
  /// Runs whose waiting is taken for slowness, since the last one that kept its CPU.
  var runsTakenForSlow = 0
  /// How likely the runs in a row that waited last were, at the rate before.
  var chanceOfWaits = 1.0
  /// Misses that the percentile tolerates and that did not happen, of late, see `plannedMisses`.
  var credit = LatencyController.priceOfAnAttempt
  /// Of what is tolerated, this much may be saved; the rest is for what no plan foresees.
  static let savedShare = 0.7
  /// Misses that an attempt with a rung not known well costs as a rule: its first run, and another one.
  static let priceOfAnAttempt = 2.0
  /// Mean distance of the residuals from 1, large ones clipped.
  var spread = 0.05

  // Outcomes of the last runs, see +Observe.

  var latencies: LatencyWindow
  /// Observed / expected of the last runs: what they would have taken on another rung follows from its cost.
  var observedRatios: InlineArray<256, Float>
  /// Runs since the load last moved the rung: 1 missed, 2 a probe that missed.
  var outcomes: InlineArray<256, UInt8>
  var windowNext = 0
  var recentMisses = 0
  var recentProbeMisses = 0

  // Probes.

  /// The decision pending observation is a probe.
  var isProbing = false
  var runsSinceProbe = 0
  /// Runs between two probes: doubled by one that misses, until the load goes away.
  var probeInterval = LatencyController.shortestProbeInterval
  static let shortestProbeInterval = 4
  static let longestProbeInterval = 1024
  /// Runs in a row with the same work.
  var runsOfSameWork = 0
  /// Probes in a row that stayed within the budget.
  var probesHeld = 0
  /// Probes in a row that must hold before the rung is taken.
  static let probesWanted = 12
  /// Runs since the load last moved the rung.
  var runsSinceMove = 0

  // Decisions, see +Decide.

  var held: Double
  /// The rung that the load asks for, whatever single runs did since; -1 before the first decision.
  var settledRung = -1
  var lastRung = -1
  var lastWork = 0.0
  var reason = DecisionReason.initial
  var settledReason = DecisionReason.initial
  var runsSinceDescent = Int.max
  var runsSinceAscent = Int.max / 2
  /// At the last ascent: the rung before, slow-down, ratio of the rung, and whether it was an attempt with a rung not known well.
  var rungBeforeAscent = -1
  var slowdownAtAscent = 1.0
  var ratioAtAscent = 1.0
  /// Of the rung that was hoped to be faster, without the hope.
  var ratioBeforeAscent = 1.0
  var varianceBeforeAscent: Float = 0
  /// Runs since the rung was entered that its ratio was learned from.
  var runsLearned = 0
  var ascendedByHope = false
  /// Runs after an ascent in which what misses is the attempt, unless the load has grown since.
  static let runsOfAttempt = 8
  var isAttempt: Bool { mutating get { runsSinceAscent < Self.runsOfEntry && runsSinceRise > runsSinceAscent } }
  /// The rung that the last descent left, and whether its first runs may still send it back up, short of there.
  var rungBeforeDescent = -1
  var correctionsLeft = 0
  var runsSinceCorrection = Int.max
  static let runsOfACorrection = 4
  /// At the last descent, or where the load has gone since.
  var slowdownAtDescent = 1.0
  var onProbation = false
  /// An ascent has happened since the last descent.
  var isClimbing = false
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
    initialRatioVariance = Float(configuration.costError * configuration.costError)
    ratioVariances = InlineArray(repeating: initialRatioVariance)
    factors = InlineArray(repeating: .zero)
    waits = InlineArray(repeating: .zero)
    waitSlopes = InlineArray(repeating: .zero)
    waitBases = InlineArray(repeating: .zero)
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
    cachedWork = -1
    ratios[rung] = 1
    ratioVariances[rung] = initialRatioVariance
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
  /// Mutating only so that a call through a pointer works in place and copies nothing.
  public mutating func movingPercentileNanoseconds() -> Int { latencies.value(atPercentile: configuration.percentile) }

  private mutating func chooseAfresh(_ why: DecisionReason) {
    if pending == nil { pending = why }
    forgetOutcomes()
  }

  /// Misses on another rung say nothing about this one.
  mutating func forgetOutcomes() {
    for index in 0..<configuration.windowLength { outcomes[index] = 0 }
    recentMisses = 0
    recentProbeMisses = 0
    probesHeld = 0
    runsSinceMove = 0
  }

  /// Expected time of a rung without slow-down; 0 where unknown.
  /// Mutating only so that no array is copied for the call, here and below.
  @inline(__always) mutating func baseCost(_ rung: Int, _ work: Double) -> Double {
    let own = measuredTime(rung, work)
    return own == 0 ? 0 : (own + hostNanoseconds) * ratios[rung]
  }

  /// As measured, without what runs have taught.
  @inline(__always) mutating func measuredTime(_ rung: Int, _ work: Double) -> Double {
    work == cachedWork ? cachedTimes[rung] : curves[rung].nanoseconds(work)
  }

  /// The same for those who only look.
  func baseCost(of rung: Int, _ work: Double) -> Double {
    let own = curves[rung].nanoseconds(work)
    return own == 0 ? 0 : (own + hostNanoseconds) * ratios[rung]
  }

  mutating func cacheTimes(_ work: Double) {
    if work == cachedWork { return }
    for rung in 0..<configuration.rungCount { cachedTimes[rung] = curves[rung].nanoseconds(work) }
    cachedWork = work
  }

  @inline(__always) func isAllowed(_ rung: Int) -> Bool {
    allowed >> UInt64(truncatingIfNeeded: rung) & 1 == 1
  }

  /// The mask of the first `count` rungs, 1 to 64.
  private static func all(_ count: Int) -> UInt64 { UInt64.max >> UInt64(max(64 - count, 0)) }
}
