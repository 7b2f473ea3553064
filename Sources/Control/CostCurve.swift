import Base

/// One measurement: how long a rung took for an amount of work, on an idle machine.
public struct CostPoint: Hashable, Sendable, BitwiseCopyable {
  /// Rows, tokens or any other positive count that grows with the time.
  public var work: Int
  public var nanoseconds: Int

  public init(work: Int, nanoseconds: Int) {
    self.work = work
    self.nanoseconds = nanoseconds
  }
}

/// Time over work for one rung: measured points with straight lines between them. Trivial storage, no allocation.
///
/// Below the first point its time holds (too much rather than too little); above the last one the last slope goes on, or,
/// with one point only, time grows in proportion.
public struct CostCurve: BitwiseCopyable, Sendable {
  public static let capacity = 8
  /// Eleven days: keeps every later product finite.
  public static let maximumNanoseconds = 1_000_000_000_000_000

  private var works: InlineArray<8, Double>
  private var times: InlineArray<8, Double>
  private var count: Int

  /// A rung that was not measured; it is never chosen while others are.
  public init() {
    works = InlineArray(repeating: 0)
    times = InlineArray(repeating: 0)
    count = 0
  }

  /// - Parameter points: 1 to 8, work positive and strictly increasing, times 1 ns to 11 days.
  /// - Throws: `invalidArgument` or `outOfRange`, naming the point.
  public init(points: [CostPoint]) throws(AdaptQError) {
    self.init()
    if points.isEmpty || points.count > Self.capacity {
      throw .invalidArgument("cost points: \(points.count), allowed are 1 to \(Self.capacity)")
    }
    var previous = 0
    for (index, point) in points.enumerated() {
      if point.work <= previous {
        throw .invalidArgument("cost point \(index): work \(point.work) does not exceed \(previous)")
      }
      if point.nanoseconds < 1 || point.nanoseconds > Self.maximumNanoseconds {
        throw AdaptQError(.outOfRange, "cost point \(index): \(point.nanoseconds) ns")
      }
      previous = point.work
      works[index] = Double(point.work)
      times[index] = Double(point.nanoseconds)
    }
    count = points.count
  }

  /// One point more, behind the others; a point that is not larger, or one too many, is left out. For callers that have checked
  /// their points and may not allocate.
  public mutating func append(_ point: CostPoint) {
    if count == Self.capacity || point.work < 1 || (count > 0 && Double(point.work) <= works[count &- 1]) { return }
    works[count] = Double(point.work)
    times[count] = Double(min(max(point.nanoseconds, 1), Self.maximumNanoseconds))
    count &+= 1
  }

  public var isMeasured: Bool { count > 0 }

  /// Nanoseconds for `work`; at least 1. Zero where nothing was measured.
  @inline(__always) func nanoseconds(_ work: Double) -> Double {
    if count == 0 { return 0 }
    if work <= works[0] { return times[0] }
    if count == 1 { return times[0] * (work / works[0]) }
    var upper = 1
    while upper < count - 1 && work > works[upper] { upper &+= 1 }
    let slope = (times[upper] - times[upper &- 1]) / (works[upper] - works[upper &- 1])
    if work > works[upper] { return times[upper] + max(slope, 0) * (work - works[upper]) }
    return times[upper &- 1] + slope * (work - works[upper &- 1])
  }
}
