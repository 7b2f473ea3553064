/// What belongs to the 64 codes of one row and group: 16 bytes, so that kernels reach all of it from one pointer.
public struct ActivationGroup: BitwiseCopyable, Sendable {
  public var scale: Float
  /// `scale` times the sum of the codes.
  public var offset: Float
  /// Minus the sum of the products of neighbouring codes, `q0 · q1 + q2 · q3 + ...`; kernels of words need it, others may
  /// leave it unwritten.
  public var negativePairs: Int32
  /// What ``prepareExpanded(_:)`` leaves here; else unspecified.
  public var expandedStart: Int32

  public init(scale: Float, offset: Float, negativePairs: Int32) {
    self.scale = scale
    self.offset = offset
    self.negativePairs = negativePairs
    expandedStart = 0
  }
}

/// Activations coded as signed 8-bit integers per row and group of 64 inputs, in memory that someone else owns. Trivial.
///
/// One quantization serves every product with the same input (the q, k and v projections of a transformer layer).
public struct QuantizedActivations: BitwiseCopyable, @unchecked Sendable {
  /// A group whose largest magnitude is below this counts as zeros, so that 127 / max|x| stays finite. The bound is far
  /// below what a Float sum of other terms can resolve.
  public static let smallestMagnitude: Float = 0x1p-118

  /// `[rows][rowStride]`, −127...127; a row is padded with zeros to a multiple of 64.
  public var codes: UnsafeMutablePointer<Int8>
  /// The same codes as words for kernels that multiply 16-bit pairs: per four inputs `q0, q2, q1, q3`. Not
  /// written where no kernel of the table reads them (``KernelTable/writesWords``).
  public var words: UnsafeMutablePointer<Int16>
  /// `[rows][groups]`.
  public var groupScales: UnsafeMutablePointer<ActivationGroup>
  public var rows: Int
  public var k: Int
  /// Inputs per row, padding included.
  public var rowStride: Int
  public var groups: Int

  /// Bytes that `rows` rows of `k` inputs need; 64-byte aligned memory is expected. Saturates when it overflows, which no
  /// allocation survives.
  public static func byteCount(rows: Int, k: Int) -> Int {
    let groups = k / 64 &+ (k % 64 == 0 ? 0 : 1)
    // 64 codes, 64 words and the rest per group.
    let (perRow, overflow1) = groups.multipliedReportingOverflow(by: 64 + 128 + 16)
    let (total, overflow2) = perRow.multipliedReportingOverflow(by: rows)
    return overflow1 || overflow2 ? Int.max : total
  }

  /// Lays the arrays out in `memory`, which holds at least ``byteCount(rows:k:)`` bytes; nothing is written.
  public init(memory: UnsafeMutableRawPointer, rows: Int, k: Int) {
    self.rows = rows
    self.k = k
    groups = (k &+ 63) / 64
    rowStride = groups &* 64
    let inputs = rows &* rowStride
    words = memory.assumingMemoryBound(to: Int16.self)
    codes = (memory + inputs &* 2).assumingMemoryBound(to: Int8.self)
    groupScales = (memory + inputs &* 3).assumingMemoryBound(to: ActivationGroup.self)
  }

  /// The codes of `count` rows from `first` on.
  @inlinable public func panel(_ first: Int, _ count: Int) -> QuantizedActivations {
    var part = self
    part.codes += first &* rowStride
    part.words += first &* rowStride
    part.groupScales += first &* groups
    part.rows = count
    return part
  }
}
