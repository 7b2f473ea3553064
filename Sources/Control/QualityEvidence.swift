import Base

// What is known about the quality of a rung, from whom, and since how many samples. Cosines of outputs with those of the best rung.

/// Where a quality is known from, the weakest first. Raw values are fixed: they are those of the C ABI and of telemetry files.
public enum QualitySource: UInt8, Sendable, CaseIterable, BitwiseCopyable {
  case unknown = 0
  /// Measured offline on a calibration set; the file says so.
  case calibrated = 1
  /// Compared with the best rung on inputs of the host, by shadow runs.
  case shadowed = 2
  /// What the host says of its results.
  case reported = 3

  public var name: String {
    switch self {
    case .unknown: "unknown"
    case .calibrated: "calibrated"
    case .shadowed: "shadowed"
    case .reported: "host-reported"
    }
  }
}

/// Cosines as floors compare them: whole steps from 0 to 2^29 - 1, so that two fit into a word.
public enum CosineSteps {
  static let scale = Double(1 << 29 - 1)
  static let mask: UInt64 = 1 << 29 - 1

  /// Negative ones and NaN are 0.
  @inline(__always)
  public static func steps(_ cosine: Double) -> UInt64 {
    cosine > 0 ? UInt64(clampedInt(min(cosine, 1) * scale, in: 0...(1 << 29 - 1))) : 0
  }

  @inline(__always)
  public static func cosine(_ steps: UInt64) -> Double { Double(steps) / scale }
}

/// The scores that a host gave to results of one rung: their number and mean, in one word, so that any thread may add to it with
/// one exchange.
///
/// Up to 64 scores count alike; from then on each new one counts as one of 64, so that the mean follows what changes.
public struct ReportedScores: Equatable, Sendable, BitwiseCopyable {
  public static let window: UInt64 = 64
  /// From so many on they are believed.
  public static let enough: UInt64 = 16
  private static let countMask: UInt64 = 1 << 24 - 1
  private static let scale = Double(1 << 40 - 1)

  /// 24 bits of the count, which stops at the largest, and 40 of the mean; 0 before the first.
  public let word: UInt64

  @inline(__always)
  public init(word: UInt64) { self.word = word }

  @inline(__always)
  public var count: UInt64 { word & Self.countMask }
  @inline(__always)
  public var mean: Double { Double(word >> 24) / Self.scale }
  @inline(__always)
  public var isEnough: Bool { count >= Self.enough }

  /// - Parameter score: 0 to 1; what is outside counts as the nearer end.
  public func adding(_ score: Double) -> ReportedScores {
    let score = score > 0 ? min(score, 1) : 0
    let weight = Double(min(count &+ 1, Self.window))
    let next = UInt64(clampedInt(((mean + (score - mean) / weight) * Self.scale).rounded(), in: 0...(1 << 40 - 1)))
    return ReportedScores(word: next << 24 | min(count &+ 1, Self.countMask))
  }
}

/// What shadow runs found about one rung, as one word for readers on any thread: 0 until there is enough.
public struct ShadowedCosines: Equatable, Sendable, BitwiseCopyable {
  public let word: UInt64

  @inline(__always)
  public init(word: UInt64) { self.word = word }

  public init(mean: Double, p5: Double) {
    word = 1 << 63 | CosineSteps.steps(mean) << 29 | CosineSteps.steps(p5)
  }

  @inline(__always)
  public var isEnough: Bool { word != 0 }
  @inline(__always)
  var mean: UInt64 { word >> 29 & CosineSteps.mask }
  @inline(__always)
  var p5: UInt64 { word & CosineSteps.mask }
}

/// The quality of a rung that floors go by, in ``CosineSteps``.
public struct KnownQuality: Equatable, Sendable, BitwiseCopyable {
  public var mean: UInt64
  public var p5: UInt64
  public var meanSource: QualitySource
  /// A host reports no percentiles.
  public var p5Source: QualitySource

  public init(mean: UInt64, p5: UInt64, source: QualitySource) {
    (self.mean, self.p5, meanSource, p5Source) = (mean, p5, source, source)
  }

  /// The strongest evidence there is enough of.
  ///
  /// - Parameter calibrated: what the file says, or what is assumed without it.
  @inline(__always)
  public init(calibrated: KnownQuality, shadowed: ShadowedCosines, reported: ReportedScores) {
    self = calibrated
    if shadowed.isEnough {
      (mean, p5, meanSource, p5Source) = (shadowed.mean, shadowed.p5, .shadowed, .shadowed)
    }
    if reported.isEnough {
      mean = CosineSteps.steps(reported.mean)
      meanSource = .reported
    }
  }

  @inline(__always)
  public func holds(mean floor: UInt64, p5 p5Floor: UInt64) -> Bool { mean >= floor && p5 >= p5Floor }
}
