/// Why a rung is in use: the cause of the last change. Raw values are fixed, they appear in the C ABI.
public enum DecisionReason: UInt8, Sendable, CaseIterable, BitwiseCopyable {
  /// First run: best rung that the costs measured at preparation allow.
  case initial = 0
  /// Only one rung is allowed.
  case fixed = 1
  /// Went down: too many of the last runs on this rung missed the budget.
  case budgetMissed = 2
  /// Went down: the predicted percentile exceeds the budget; or, for one run, the last one was a surprise and this one shows
  /// whether that was the load.
  case predictedMiss = 3
  /// Went up one rung: a dwell after going down, there is room. Or up again at once: the descent went too far.
  case headroom = 4
  /// Went down soon after going up; the next attempt waits twice as long, unless this one taught what the rung takes.
  case ascentFailed = 5
  /// The allowed rungs or their costs were changed.
  case levelsChanged = 6
  /// The budget was changed.
  case budgetChanged = 7
  /// No budget: the best allowed rung.
  case noBudget = 8
  /// Same load, other work: another rung fits.
  case workChanged = 9
  /// The deadline of this call asked for less than the budget does, at its begin or between its steps.
  case deadline = 10
  /// One run at the next better rung, to see whether it would hold; the rung in use stays.
  case probe = 11
  /// A budget of power or energy asked for less than latency does.
  case power = 12

  public var name: String {
    switch self {
    case .initial: "initial"
    case .fixed: "fixed"
    case .budgetMissed: "budget missed"
    case .predictedMiss: "predicted miss"
    case .headroom: "headroom"
    case .ascentFailed: "ascent failed"
    case .levelsChanged: "levels changed"
    case .budgetChanged: "budget changed"
    case .noBudget: "no budget"
    case .workChanged: "work changed"
    case .deadline: "deadline"
    case .probe: "probe"
    case .power: "power"
    }
  }
}

/// What to run next.
public struct Decision: Hashable, Sendable, BitwiseCopyable {
  /// Index of the rung, 0 is the best quality.
  public var rung: Int
  public var reason: DecisionReason
  /// The rung differs from the previous decision's.
  public var changed: Bool
  /// Even the fastest allowed rung is predicted to miss the budget at its percentile; it was chosen all the same.
  public var budgetUnreachable: Bool
  /// Predicted typical latency; 0 where the rung was never measured.
  public var expectedNanoseconds: Int
  /// Predicted latency at the budget's percentile; 0 where the rung was never measured.
  public var predictedNanoseconds: Int
}

/// What happened since the controller was made.
public struct ControlCounters: Hashable, Sendable, BitwiseCopyable {
  /// Observed runs.
  public var runs: UInt64 = 0
  /// Runs above the budget of their time.
  public var misses: UInt64 = 0
  /// Of these, the ones the fastest rung would have missed too: waiting, not computing.
  public var unavoidableMisses: UInt64 = 0
  /// Decisions whose rung differs from the one before, for any reason.
  public var switches: UInt64 = 0
  /// Times the load (not the work) made it go down.
  public var descents: UInt64 = 0
  /// Times it tried one rung up.
  public var ascents: UInt64 = 0
  public var failedAscents: UInt64 = 0
  /// Runs at a better rung to see whether it would hold.
  public var probes: UInt64 = 0

  public init() {}
}
