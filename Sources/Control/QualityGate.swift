/// Which rungs are below the floor of quality, with hysteresis: a rung whose quality was measured while the host runs, and which fell
/// below, counts as above again when it is not more than nine tenths as far from 1 as the floor. Figures of few samples scatter
/// around what they estimate, and without that a rung near the floor would come and go.
///
/// What a file says does not scatter, and a floor that the host sets anew is judged as if nothing had been before.
public struct QualityGate: Equatable, Sendable, BitwiseCopyable {
  /// Bit k: rung k is below.
  public private(set) var below: UInt64 = 0

  public init() {}

  /// Whether the rung is below the floor now.
  ///
  /// - Parameters:
  ///   - mean: ``CosineSteps``, as `p5`; 0 is no floor.
  ///   - isNew: the floor has changed since the rung was judged last.
  public mutating func judge(rung: Int, _ quality: KnownQuality, mean: UInt64, p5: UInt64, isNew: Bool) -> Bool {
    let bit: UInt64 = 1 << UInt64(truncatingIfNeeded: rung)
    var holds = quality.holds(mean: mean, p5: p5)
    if holds && !isNew && below & bit != 0 {
      holds =
        quality.mean >= Self.entry(mean, quality.meanSource) && quality.p5 >= Self.entry(p5, quality.p5Source)
    }
    below = holds ? below & ~bit : below | bit
    return !holds
  }

  /// What a rung that is below must reach.
  private static func entry(_ floor: UInt64, _ source: QualitySource) -> UInt64 {
    source == .shadowed || source == .reported ? floor == 0 ? 0 : floor &+ (CosineSteps.mask &- floor) / 10 : floor
  }

  /// What is left of `rungs`: those that are not below. Where none is left, the best of them: something must run.
  ///
  /// - Parameter rungs: bit k for rung k; not 0.
  public static func allowed(_ rungs: UInt64, below: UInt64) -> UInt64 {
    let left = rungs & ~below
    return left != 0 ? left : rungs & (0 &- rungs)
  }
}
