import Base

/// How large the inputs of a site are: of each row (all values along the input's last dimension) the largest magnitude, over the rows
/// of a calibration set, or over those that a session has seen since.
public struct SiteRange: Hashable, Sendable, BitwiseCopyable {
  public var rows: Int
  /// Mean of the rows' largest magnitudes.
  public var mean: Double
  /// Their standard deviation.
  public var deviation: Double
  /// The least and the greatest of them.
  public var least: Double
  public var greatest: Double

  public init(rows: Int, mean: Double, deviation: Double, least: Double, greatest: Double) {
    self.rows = rows
    self.mean = mean
    self.deviation = deviation
    self.least = least
    self.greatest = greatest
  }
}

/// Gathers a ``SiteRange`` row by row. Trivial, so that an executor can fill one.
public struct RangeSums: Sendable, BitwiseCopyable {
  public private(set) var rows = 0
  /// Rows below or above the bounds.
  public private(set) var outside = 0
  private var sum = 0.0
  private var squares = 0.0
  private var least = Float.infinity
  private var greatest: Float = 0
  private var lower: Float = 0
  private var upper = Float.infinity

  /// - Parameter bounds: what rows are compared with; nil: nothing.
  public init(bounds: SiteRange? = nil) {
    guard let bounds else { return }
    (lower, upper) = (Float(bounds.least), Float(bounds.greatest))
  }

  /// - Parameters:
  ///   - x: rows of `width` values, one behind the other.
  public mutating func add(_ x: UnsafePointer<Float>, rows count: Int, width: Int) {
    for row in 0..<count {
      let largest = RangeSums.largestMagnitude(x + row &* width, width)
      rows &+= 1
      sum += Double(largest)
      squares += Double(largest) * Double(largest)
      least = min(least, largest)
      greatest = max(greatest, largest)
      if largest < lower || largest > upper { outside &+= 1 }
    }
  }

  /// NaN counts as 0.
  @inline(__always)
  private static func largestMagnitude(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
    var lanes = SIMD16<Float>(repeating: 0)
    var index = 0
    while index &+ 16 <= count {
      let value = UnsafeRawPointer(x + index).loadUnaligned(as: SIMD16<Float>.self)
      let magnitude = value.replacing(with: -value, where: value .< 0)
      lanes.replace(with: magnitude, where: magnitude .> lanes)
      index &+= 16
    }
    var largest = lanes.max()
    while index < count {
      largest = max(largest, abs(x[index]))
      index &+= 1
    }
    return largest
  }

  public mutating func add(_ other: RangeSums) {
    rows &+= other.rows
    outside &+= other.outside
    sum += other.sum
    squares += other.squares
    least = min(least, other.least)
    greatest = max(greatest, other.greatest)
  }

  /// The same bounds, no rows.
  public mutating func clear() {
    (rows, outside, sum, squares, least, greatest) = (0, 0, 0, 0, .infinity, 0)
  }

  /// Nil where there were no rows, or a number was not finite.
  public var range: SiteRange? {
    if rows == 0 || !squares.isFinite { return nil }
    let mean = sum / Double(rows)
    return SiteRange(
      rows: rows, mean: mean, deviation: max(squares / Double(rows) - mean * mean, 0).squareRoot(),
      least: Double(least), greatest: Double(greatest))
  }
}

// MARK: - JSON

extension SiteRange {
  /// One entry per site: null, or rows, mean, deviation, least, greatest.
  static func decode(_ json: JSON, siteCount: Int) throws(AdaptQError) -> [SiteRange?] {
    let items = try json.member("sites", in: "ranges").asArray("ranges sites")
    if items.count != siteCount {
      throw .invalidFile("ranges sites: \(items.count) entries for \(siteCount) sites")
    }
    var ranges: [SiteRange?] = []
    for (index, item) in items.enumerated() {
      if case .null = item {
        ranges.append(nil)
        continue
      }
      let what = "ranges site \(index)"
      let numbers = try item.asArray(what)
      if numbers.count != 5 { throw .invalidFile("\(what): \(numbers.count) numbers, expected 5") }
      var values: [Double] = []
      for number in numbers.dropFirst() { values.append(try number.asDouble(what)) }
      let range = SiteRange(
        rows: try numbers[0].asInt(what), mean: values[0], deviation: values[1], least: values[2], greatest: values[3])
      try range.validate(what)
      ranges.append(range)
    }
    return ranges
  }

  /// What a session divides by and compares with must make sense.
  private func validate(_ what: String) throws(AdaptQError) {
    if rows < 1 { throw .invalidFile("\(what): \(rows) rows") }
    let limit = Double(Float.greatestFiniteMagnitude)
    for value in [mean, deviation, least, greatest] where !(value >= 0 && value <= limit) {
      throw .invalidFile("\(what): \(value) is no magnitude")
    }
    if least > greatest { throw .invalidFile("\(what): least \(least) is above greatest \(greatest)") }
  }

  static func encode(_ ranges: [SiteRange?]) -> JSON {
    .object([
      .init(
        "sites",
        .array(
          ranges.map { range in
            guard let range else { return .null }
            return .array([
              .integer(range.rows), .number(range.mean), .number(range.deviation), .number(range.least),
              .number(range.greatest),
            ])
          }))
    ])
  }
}
