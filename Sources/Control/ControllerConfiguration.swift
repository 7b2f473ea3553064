import Base

/// The budget and how eagerly to hold it. Defaults suit inference calls from microseconds to seconds.
public struct ControllerConfiguration: Hashable, Sendable, BitwiseCopyable {
  public static let maximumRungs = 64

  /// Rungs on the ladder, ordered from the best quality to the worst: 1 to 64.
  public var rungCount: Int
  /// Nanoseconds that a run may take, or nil for no budget.
  public var budgetNanoseconds: Int?
  /// Share of runs, in per cent, that must stay within the budget: 50 to 99.9.
  public var percentile: Double
  /// Runs over which the moving percentile is taken: 8 to 256.
  public var windowLength: Int
  /// Runs after going down before one rung up is tried; each further one takes a quarter of it, an eighth with plenty of room. Not for
  /// taking back a descent that went too far.
  public var dwell: Int
  /// Failed ascents double the dwell up to this.
  public var maximumDwell: Int
  /// An ascent failed when the load makes the controller go down again within this many runs.
  public var probation: Int
  /// A rung that is not faster than the better one before it by this share is no step.
  public var minimumGain: Double
  /// Share of the budget that must stay free for an ascent, at most: less where noise is small.
  public var ascentMargin: Double
  /// Step of the percentile multiplier as a share of the noise's spread, see `LatencyController`.
  public var learningRate: Double
  /// What measured costs are wrong by, as a share (a standard deviation): 0.01 to 0.2. What runs on a rung disagree with belongs to
  /// its cost or to the load; the less costs may be wrong, the more of it is the load.
  public var costError: Double

  public init(
    rungCount: Int, budgetNanoseconds: Int? = nil, percentile: Double = 95, windowLength: Int = 64, dwell: Int = 32,
    maximumDwell: Int = 2048, probation: Int = 128, minimumGain: Double = 0.03, ascentMargin: Double = 0.03,
    learningRate: Double = 0.5, costError: Double = 0.2
  ) {
    self.rungCount = rungCount
    self.budgetNanoseconds = budgetNanoseconds
    self.percentile = percentile
    self.windowLength = windowLength
    self.dwell = dwell
    self.maximumDwell = maximumDwell
    self.probation = probation
    self.minimumGain = minimumGain
    self.ascentMargin = ascentMargin
    self.learningRate = learningRate
    self.costError = costError
  }

  /// Refuses rather than clamps; the error names the field, the value and the range.
  func validate() throws(AdaptQError) {
    try Self.check("rung count", rungCount, 1...Self.maximumRungs)
    try Self.check("window length", windowLength, 8...LatencyWindow.capacity)
    try Self.check("dwell", dwell, 1...1_000_000)
    try Self.check("maximum dwell", maximumDwell, dwell...1_000_000)
    try Self.check("probation", probation, 0...1_000_000)
    try Self.check("minimum gain", minimumGain, 0...0.5)
    try Self.check("ascent margin", ascentMargin, 0...0.5)
    try Self.check("learning rate", learningRate, 0.01...2)
    try Self.check("cost error", costError, 0.01...0.2)
    try Self.checkBudget(budgetNanoseconds, percentile)
  }

  static func checkBudget(_ nanoseconds: Int?, _ percentile: Double) throws(AdaptQError) {
    if let nanoseconds { try check("budget in nanoseconds", nanoseconds, 1...CostCurve.maximumNanoseconds) }
    try check("percentile", percentile, 50...99.9)
  }

  /// NaN lies in no range.
  private static func check<T: Comparable>(
    _ field: String, _ value: T, _ range: ClosedRange<T>
  ) throws(AdaptQError) {
    if !range.contains(value) {
      throw AdaptQError(.outOfRange, "\(field): \(value), allowed are \(range.lowerBound) to \(range.upperBound)")
    }
  }
}
