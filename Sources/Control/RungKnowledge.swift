/// What runs have taught about one rung: observed time over measured cost without the load, and how sure that is.
public struct RungKnowledge: Equatable, Sendable, BitwiseCopyable {
  public let ratio: Double
  /// Of the ratio's logarithm.
  public let variance: Double

  /// - Returns: nil for numbers that no controller has; NaN is one.
  public init?(ratio: Double, variance: Double) {
    if !LatencyController.ratioRange.contains(ratio) { return nil }
    if !(variance >= 0 && variance <= Double(LatencyController.mostRatioVariance)) { return nil }
    self.ratio = ratio
    self.variance = variance
  }
}

extension LatencyController {
  /// A rung's correction from another time is good to 5 %: load and cost cannot be told apart for certain.
  private static let leastVarianceOfOthers: Float = 0.002_5

  /// Nil for a rung that is none.
  public func knowledge(rung: Int) -> RungKnowledge? {
    if rung < 0 || rung >= configuration.rungCount { return nil }
    return RungKnowledge(ratio: ratios[rung], variance: Double(ratioVariances[rung]))
  }

  /// Takes over what a controller of the same costs knew; after ``setCost(rung:points:)``.
  public mutating func setKnowledge(_ known: RungKnowledge, rung: Int) {
    if rung < 0 || rung >= configuration.rungCount { return }
    ratios[rung] = known.ratio
    ratioVariances[rung] = min(max(Float(known.variance), Self.leastVarianceOfOthers), initialRatioVariance)
  }
}
