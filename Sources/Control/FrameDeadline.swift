/// Whether a frame of products still ends in time, asked before each product: the rung for those that are left.
///
/// What is left is a count per matrix, of the last frame (or one of each): the order of the products does not matter, and a
/// frame that makes others, more or fewer of them is predicted less well, and nothing worse. Predicted time left = cost of
/// what is left at the rung · speed + what the host itself usually takes and has not taken yet. Speed is observed over
/// expected time, as in ``DeadlineWatch``. Within a frame the rung only goes down.
///
/// Trivial; points to tables that must outlive it.
public struct FrameDeadline: BitwiseCopyable, @unchecked Sendable {
  public static let capacity = ControllerConfiguration.maximumRungs
  private static let speedRange = 0.05...1000.0

  /// What products cost and which levels rungs give them.
  public struct Tables: BitwiseCopyable, @unchecked Sendable {
    /// `[size][matrix][level]`: nanoseconds on the idle machine.
    public var costs: UnsafePointer<Float>
    /// `[matrix][rung]`: index of a level.
    public var columns: UnsafePointer<UInt8>
    /// `[matrix]`: how often it is expected in a frame, and how often it has been multiplied in this one.
    public var expected: UnsafeMutablePointer<UInt32>
    public var done: UnsafeMutablePointer<UInt32>
    public var matrixCount: Int
    public var levelCount: Int
    public var rungCount: Int

    public init(
      costs: UnsafePointer<Float>, columns: UnsafePointer<UInt8>, expected: UnsafeMutablePointer<UInt32>,
      done: UnsafeMutablePointer<UInt32>, matrixCount: Int, levelCount: Int, rungCount: Int
    ) {
      self.costs = costs
      self.columns = columns
      self.expected = expected
      self.done = done
      self.matrixCount = matrixCount
      self.levelCount = levelCount
      self.rungCount = min(rungCount, FrameDeadline.capacity)
    }
  }

  private var tables: Tables
  /// Of the frame in progress: where the costs of its size are, and the factor on them for its number of rows.
  private var costs: UnsafePointer<Float>
  private var scale = 1.0
  private var start = 0
  private var deadline = 0
  private var remaining: InlineArray<64, Double>
  /// What ``remaining`` begins with, for the expected counts and this size; -1: to be counted.
  private var totals: InlineArray<64, Double>
  private var totalsSize = -1
  public private(set) var firstRung = 0
  public private(set) var rung = 0
  public private(set) var speed = 1.0
  /// Expected time of the products so far, as they ran and at the first rung.
  private var ran = 0.0
  private var planned = 0.0
  private var multiplied = 0.0
  /// Products at a lower level than at the first rung.
  public private(set) var droppedCount = 0

  // Of frames before.
  private var usualSpeed = 0.0
  private var usualHost = 0.0

  public init(_ tables: Tables) {
    self.tables = tables
    costs = tables.costs
    remaining = InlineArray(repeating: 0)
    totals = InlineArray(repeating: 0)
    for matrix in 0..<tables.matrixCount { tables.expected[matrix] = 1 }
  }

  /// Begins a frame.
  ///
  /// - Parameters:
  ///   - rung: the best that may be used; ``firstRung`` is this one or, where it would not end in time, a lower one.
  ///   - size: whose costs count, and `scale` is the factor on them.
  ///   - start: when the frame began; any clock that counts nanoseconds.
  ///   - deadline: nanoseconds from `start` on.
  ///   - slowdown, host: what is known of the load and of the host's own time where no frame with a deadline has been yet.
  public mutating func begin(
    rung: Int, size: Int, scale: Double, start: Int, deadline: Int, slowdown: Double, host: Double
  ) {
    self.start = start
    self.deadline = deadline
    self.rung = rung
    self.scale = scale > 0 ? scale : 1
    costs = tables.costs + size &* tables.matrixCount &* tables.levelCount
    if size != totalsSize { count(size) }
    remaining = totals
    for matrix in 0..<tables.matrixCount { tables.done[matrix] = 0 }
    if usualSpeed == 0 { (usualSpeed, usualHost) = (slowdown, host) }
    speed = usualSpeed
    (ran, planned, multiplied, droppedCount) = (0, 0, 0, 0)
    choose(extra: -1, time: start)
    firstRung = self.rung
  }

  @inline(never)
  private mutating func count(_ size: Int) {
    for rung in 0..<tables.rungCount {
      var sum = 0.0
      for matrix in 0..<tables.matrixCount { sum += cost(matrix, rung) * Double(tables.expected[matrix]) }
      totals[rung] = sum
    }
    totalsSize = size
  }

  /// The rung for `matrix` and all that follow.
  @inline(__always)
  public mutating func before(_ matrix: Int, time: Int) -> Int {
    choose(extra: isExpected(matrix) ? -1 : matrix, time: time)
    return rung
  }

  /// `matrix` has been multiplied.
  @inline(__always)
  public mutating func after(_ matrix: Int, nanoseconds: Int) {
    let wasExpected = isExpected(matrix)
    for rung in rung..<max(tables.rungCount, rung) where wasExpected {
      remaining[rung] = max(remaining[rung] - cost(matrix, rung), 0)
    }
    if tables.done[matrix] < UInt32.max { tables.done[matrix] &+= 1 }
    let unit = cost(matrix, rung) * scale
    let first = cost(matrix, firstRung) * scale
    ran += unit
    planned += first
    multiplied += Double(nanoseconds)
    if column(matrix, rung) > column(matrix, firstRung) { droppedCount &+= 1 }
    if unit <= 0 { return }
    let ratio = min(Double(nanoseconds) / unit, 2 * speed)
    let total = totals[rung] * scale
    speed += (ratio - speed) * min(0.5, total > 0 ? 4 * unit / total : 0.5)
    speed = min(max(speed, Self.speedRange.lowerBound), Self.speedRange.upperBound)
  }

  /// Ends the frame and learns from it.
  ///
  /// - Parameter host: what the host's own work costs on the idle machine, as the controller counts it.
  /// - Returns: expected time as it ran over that of the first rung; 1 where nothing went down. For
  ///   ``LatencyController/observe(rung:work:latencyNanoseconds:expectedShare:)``.
  public mutating func finish(time: Int, host: Double) -> Double {
    if ran > 0 {
      usualSpeed += (min(multiplied / ran, 4 * usualSpeed) - usualSpeed) * 0.25
      usualSpeed = min(max(usualSpeed, Self.speedRange.lowerBound), Self.speedRange.upperBound)
      usualHost += (max(Double(time &- start) - multiplied, 0) - usualHost) * 0.25
    }
    for matrix in 0..<tables.matrixCount where tables.expected[matrix] != tables.done[matrix] {
      tables.expected[matrix] = tables.done[matrix]
      totalsSize = -1
    }
    return planned + host > 0 ? min((ran + host) / (planned + host), 1) : 1
  }

  @inline(__always)
  private func isExpected(_ matrix: Int) -> Bool { tables.done[matrix] < tables.expected[matrix] }

  /// Levels are ordered from the best to the fastest.
  @inline(__always)
  private func column(_ matrix: Int, _ rung: Int) -> UInt8 { tables.columns[matrix &* tables.rungCount &+ rung] }

  @inline(__always)
  private func cost(_ matrix: Int, _ rung: Int) -> Double {
    Double(costs[matrix &* tables.levelCount &+ Int(column(matrix, rung))])
  }

  /// - Parameter extra: a matrix that is not among what is left; -1 for none.
  @inline(__always)
  private mutating func choose(extra: Int, time: Int) {
    let gone = Double(time &- start)
    let hostLeft = max(usualHost - max(gone - multiplied, 0), 0)
    let available = (Double(deadline) - gone) * (1 - DeadlineWatch.margin) - hostLeft
    var shortest = left(rung, extra)
    if shortest <= available { return }
    // The first that fits, else the fastest; one that saves nothing is no choice.
    for lower in (rung &+ 1)..<max(tables.rungCount, rung &+ 1) {
      let time = left(lower, extra)
      if time >= shortest * 0.99 { continue }
      (rung, shortest) = (lower, time)
      if time <= available { return }
    }
  }

  @inline(__always)
  private func left(_ rung: Int, _ extra: Int) -> Double {
    (remaining[rung] + (extra < 0 ? 0 : cost(extra, rung))) * scale * speed
  }
}

extension LatencyController {
  /// What was measured for a rung, without what runs have taught. Mutating only so that 16 KiB are not copied for the call.
  public mutating func measuredNanoseconds(rung: Int, work: Int) -> Double {
    rung < 0 || rung >= configuration.rungCount ? 0 : curves[rung].nanoseconds(Double(max(work, 1)))
  }
}
