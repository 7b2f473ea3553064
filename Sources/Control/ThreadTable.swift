import Base

/// What each rung takes with fewer threads than there are: rows of thread counts, all threads first. Curves lie in memory of the
/// caller's, which must outlive it; not synchronized.
public struct ThreadTable: BitwiseCopyable, @unchecked Sendable {
  /// Most rows.
  public static let capacity = 8

  public let rowCount: Int
  public let rungCount: Int
  private var counts: InlineArray<8, Int>
  /// `[row][rung]`.
  private let times: UnsafeMutablePointer<CostCurve>
  private let energies: UnsafeMutablePointer<CostCurve>

  /// The rows for so many threads: all of them, and powers of two (of four beyond 128 threads) down to one.
  public static func counts(upTo threads: Int) -> [Int] {
    var result = [max(threads, 1)]
    let base = threads > 128 ? 4 : 2
    var power = 1
    var fewer: [Int] = []
    while power < threads && fewer.count < capacity - 1 {
      fewer.append(power)
      power *= base
    }
    result += fewer.reversed()
    return result
  }

  /// How many curves a table needs.
  public static func curveCount(rows: Int, rungs: Int) throws(AdaptQError) -> Int {
    try checkedProduct(try checkedProduct(rows, rungs, "costs by threads"), 2, "costs by threads")
  }

  /// - Parameters:
  ///   - counts: of threads, falling; 1 to ``capacity``.
  ///   - rungCount: 1 to ``ControllerConfiguration/maximumRungs``.
  ///   - curves: ``curveCount(rows:rungs:)``; made empty here.
  /// - Throws: `invalidArgument` naming the parameter.
  public init(counts list: [Int], rungCount: Int, curves: UnsafeMutablePointer<CostCurve>) throws(AdaptQError) {
    if list.isEmpty || list.count > Self.capacity {
      throw .invalidArgument("counts of threads: \(list.count), allowed are 1 to \(Self.capacity)")
    }
    if !(1...ControllerConfiguration.maximumRungs).contains(rungCount) {
      throw .invalidArgument(
        "rung count: \(rungCount), allowed are 1 to \(ControllerConfiguration.maximumRungs)")
    }
    var previous = Int.max
    counts = InlineArray(repeating: 1)
    for (row, count) in list.enumerated() {
      if count < 1 || count >= previous {
        throw .invalidArgument("count of threads \(row): \(count) is not between 1 and \(previous - 1)")
      }
      counts[row] = count
      previous = count
    }
    rowCount = list.count
    self.rungCount = rungCount
    times = curves
    energies = curves + list.count * rungCount
    curves.initialize(repeating: CostCurve(), count: list.count * rungCount * 2)
  }

  @inline(__always)
  public func threads(_ row: Int) -> Int { row >= 0 && row < rowCount ? counts[row] : 1 }

  /// The row with the most threads of those that a limit leaves; the last one where none does.
  @inline(__always)
  public func row(atMost limit: Int) -> Int {
    var row = 0
    while row < rowCount &- 1 && counts[row] > limit { row &+= 1 }
    return row
  }

  /// Nothing happens for a row or a rung that there is none of, here and below.
  public func setTime(row: Int, rung: Int, curve: CostCurve) {
    if isValid(row, rung) { times[row &* rungCount &+ rung] = curve }
  }

  /// - Parameter curve: nanojoules in place of nanoseconds.
  public func setEnergy(row: Int, rung: Int, curve: CostCurve) {
    if isValid(row, rung) { energies[row &* rungCount &+ rung] = curve }
  }

  /// On the idle machine; 0 where unknown.
  @inline(__always)
  public func nanoseconds(row: Int, rung: Int, work: Int) -> Double {
    isValid(row, rung) ? times[row &* rungCount &+ rung].nanoseconds(Double(max(work, 1))) : 0
  }

  /// 0 where unknown.
  @inline(__always)
  public func nanojoules(row: Int, rung: Int, work: Int) -> Double {
    isValid(row, rung) ? energies[row &* rungCount &+ rung].nanoseconds(Double(max(work, 1))) : 0
  }

  /// What a run takes with the threads of a row over what it takes with those of another; 1 where either is unknown.
  @inline(__always)
  public func ratio(row: Int, to base: Int, rung: Int, work: Int) -> Double {
    if row == base { return 1 }
    let (own, other) = (nanoseconds(row: row, rung: rung, work: work), nanoseconds(row: base, rung: rung, work: work))
    return own > 0 && other > 0 ? own / other : 1
  }

  @inline(__always)
  private func isValid(_ row: Int, _ rung: Int) -> Bool {
    row >= 0 && row < rowCount && rung >= 0 && rung < rungCount
  }
}

/// What a run may choose from: for each row of a ``ThreadTable`` a set of rungs.
public struct RungOffer: Hashable, Sendable, BitwiseCopyable {
  /// The row of the most threads that this run may have.
  public let firstRow: Int
  private var masks: InlineArray<8, UInt64>

  /// - Parameter mask: rungs, by bit, with the threads of the first row. Other rows offer nothing.
  public init(_ mask: UInt64, firstRow: Int = 0) {
    self.firstRow = min(max(firstRow, 0), ThreadTable.capacity - 1)
    masks = InlineArray(repeating: 0)
    masks[self.firstRow] = mask
  }

  public subscript(row: Int) -> UInt64 {
    get { row >= 0 && row < ThreadTable.capacity ? masks[row] : 0 }
    set { if row >= 0 && row < ThreadTable.capacity { masks[row] = newValue } }
  }

  /// Behind the last row that offers something.
  @inline(__always)
  var endRow: Int {
    var end = ThreadTable.capacity
    while end > firstRow &+ 1 && masks[end &- 1] == 0 { end &-= 1 }
    return end
  }

  public static func == (a: RungOffer, b: RungOffer) -> Bool {
    a.firstRow == b.firstRow && (0..<ThreadTable.capacity).allSatisfy { a.masks[$0] == b.masks[$0] }
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(firstRow)
    for row in 0..<ThreadTable.capacity { hasher.combine(masks[row]) }
  }
}
