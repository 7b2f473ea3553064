import Base

/// How far the outputs of one rung were from those of the best one in the last shadow runs. The rows lie in the caller's memory.
///
/// Each comparison adds its output rows, at most 32 of them, evenly spread: the rows of one inference resemble each other, and one
/// of many rows must not fill the window alone.
public struct ShadowWindow: BitwiseCopyable {
  /// Of one output row.
  public struct Row: BitwiseCopyable {
    /// 1 - cosine: near 1 a float would keep nothing of a cosine.
    public var loss: Float
    /// Energy of the difference over energy of the reference.
    public var noise: Float

    public init(loss: Float, noise: Float) { (self.loss, self.noise) = (loss, noise) }
  }

  public static let capacity = 512
  public static let rowsPerSample = 32
  /// Comparisons from which on the figures are believed.
  public static let enough: UInt64 = 16
  /// Of ``capacity`` rows the 5th percentile is this one from below.
  private static let tailCapacity = 26

  private let rows: UnsafeMutablePointer<Row>
  private var next = 0
  public private(set) var count = 0
  /// Comparisons so far; more than the window holds.
  public private(set) var samples: UInt64 = 0

  /// - Parameter rows: ``capacity`` of them.
  public init(rows: UnsafeMutablePointer<Row>) { self.rows = rows }

  public mutating func append(_ row: Row) {
    rows[next] = row
    next = next &+ 1 == Self.capacity ? 0 : next &+ 1
    count = min(count &+ 1, Self.capacity)
  }

  /// As if nothing had been.
  public mutating func clear() { (next, count, samples) = (0, 0, 0) }

  /// All rows of a comparison are in.
  public mutating func endSample() { samples &+= 1 }

  /// Which of `count` rows of a comparison are kept: every so-manieth.
  public static func stride(rows count: Int) -> Int { max((count &+ rowsPerSample &- 1) / rowsPerSample, 1) }

  public var isEnough: Bool { samples >= Self.enough }

  /// 1 where there are no rows.
  public var meanCosine: Double {
    var sum = 0.0
    for index in 0..<count { sum += Double(rows[index].loss) }
    return 1 - sum / Double(max(count, 1))
  }

  /// The 5th percentile, nearest rank; 1 where there are no rows.
  public var p5Cosine: Double {
    if count == 0 { return 1 }
    // The largest losses, the least of them last.
    var tail = InlineArray<26, Float>(repeating: 0)
    let wanted = min(nearestRank(5, count), Self.tailCapacity)
    var kept = 0
    for index in 0..<count {
      let loss = rows[index].loss
      if kept == wanted && loss <= tail[kept &- 1] { continue }
      var place = kept == wanted ? kept &- 1 : kept
      while place > 0 && tail[place &- 1] < loss {
        tail[place] = tail[place &- 1]
        place &-= 1
      }
      tail[place] = loss
      kept = min(kept &+ 1, wanted)
    }
    return 1 - Double(tail[wanted &- 1])
  }

  /// Mean of the rows' noise as a ratio; 0 where there are no rows.
  public var meanNoise: Double {
    var sum = 0.0
    for index in 0..<count { sum += Double(rows[index].noise) }
    return sum / Double(max(count, 1))
  }
}
