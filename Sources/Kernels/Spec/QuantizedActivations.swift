/// What belongs to the 64 codes of one row and group: 16 bytes, so that kernels reach all of it from one pointer.
public struct ActivationGroup: BitwiseCopyable, Sendable {
  public var scale: Float
  /// `scale` times the sum of the codes.
  public var offset: Float
  /// In the first group of each chunk of words: minus the sum of the products of the chunk's neighbouring words,
  /// `x0 · x1 + x2 · x3 + ...`, modulo 2³². Else unspecified.
  public var negativePairs: Int32
  /// ``wordScale``, ``expandedStart`` or ``groupSum``.
  public var shared: UInt32

  public init(scale: Float, offset: Float) {
    self.scale = scale
    self.offset = offset
    negativePairs = 0
    shared = 0
  }

  /// In the first group of each chunk of words: what one unit of the words stands for, a power of two; NaN where one of the
  /// chunk's scales is. Else unspecified.
  public var wordScale: Float {
    get { Float(bitPattern: shared) }
    set { shared = newValue.bitPattern }
  }

  /// Where kernels apply a scale of weights to several groups at once (``GEMMSpec/appliesScalesLate``), in the first of the groups
  /// that share it: the sum of their offsets or, with a scale per row of activations, of their codes. 0 in the others.
  public var groupSum: Float {
    get { Float(bitPattern: shared) }
    set { shared = newValue.bitPattern }
  }

  /// What ``prepareExpanded(_:)`` leaves in every group.
  public var expandedStart: Int32 {
    get { Int32(bitPattern: shared) }
    set { shared = UInt32(bitPattern: newValue) }
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
  /// What the codes stand for as 16-bit words, see ``WordsArguments``: per four inputs `x0, x2, x1, x3`. Written only where
  /// kernels read them, see ``writeWords(_:_:firstRow:rowCount:)``.
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
