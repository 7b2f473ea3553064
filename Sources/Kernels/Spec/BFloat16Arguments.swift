// What the kernels that multiply in bfloat16 are called with; strides are bytes, as in `KernelArguments`.
//
// A bfloat16 is the upper half of a Float: its sign, its exponent, and 7 bits of its fraction.

/// Products of bfloat16 rows with panels of pairs, over one or two blocks of 16 outputs:
/// `y[r][j] = start[r][j] + alpha · Σ_k x[r][k] · w[k][j]` for `r` below `rows`, summed in Float.
///
/// Products of two bfloat16 are exact. Every output has the same bits in calls of one and of two blocks, and, from
/// ``BFloat16Arguments/independentRows`` rows on, whatever the number of rows.
public struct BFloat16Arguments: BitwiseCopyable {
  /// Blocks that share each load of an activation.
  public static let mostBlocks = 2
  /// With so many rows one sum per output hides the latency of the products; with fewer there are several.
  public static let independentRows = 6

  /// Rows of bfloat16, as ``RoundArguments`` leaves them: an odd K has a zero behind it.
  public var x: UnsafeRawPointer
  public var xRowStride: Int
  /// `[pairs][16 outputs][2]` bfloat16: inputs 2p and 2p + 1 of each output side by side. An odd K has zeros behind it.
  public var w: UnsafeRawPointer
  /// From one block's panel to the next one's; unused with one block.
  public var blockStride: Int
  /// As in ``DenseArguments``; with two blocks `start` and `y` go on behind the first 16.
  public var start: UnsafePointer<Float>
  public var startRowStride: Int
  public var y: UnsafeMutablePointer<Float>
  public var yRowStride: Int
  /// Half of K, rounded up.
  public var pairs: Int
  public var rows: Int
  /// 1 or 2.
  public var blocks: Int
  public var alpha: Float

  public init(
    x: UnsafeRawPointer, xRowStride: Int, w: UnsafeRawPointer, blockStride: Int = 0, start: UnsafePointer<Float>,
    startRowStride: Int, y: UnsafeMutablePointer<Float>, yRowStride: Int, pairs: Int, rows: Int, blocks: Int,
    alpha: Float
  ) {
    self.x = x
    self.xRowStride = xRowStride
    self.w = w
    self.blockStride = blockStride
    self.start = start
    self.startRowStride = startRowStride
    self.y = y
    self.yRowStride = yRowStride
    self.pairs = pairs
    self.rows = rows
    self.blocks = blocks
    self.alpha = alpha
  }
}

/// Rounds rows of floats to bfloat16: to nearest, ties to even, as `vcvtneps2bf16` does. Subnormal floats become zeros of their
/// sign, a NaN stays one and becomes quiet, and what rounds beyond the largest bfloat16 becomes an infinity.
public struct RoundArguments: BitwiseCopyable {
  public var x: UnsafePointer<Float>
  public var xRowStride: Int
  /// `k` bfloat16 per row and, behind an odd `k`, a zero; nothing else is written.
  public var output: UnsafeMutableRawPointer
  public var outputRowStride: Int
  public var k: Int
  public var rows: Int

  public init(
    x: UnsafePointer<Float>, xRowStride: Int, output: UnsafeMutableRawPointer, outputRowStride: Int, k: Int, rows: Int
  ) {
    self.x = x
    self.xRowStride = xRowStride
    self.output = output
    self.outputRowStride = outputRowStride
    self.k = k
    self.rows = rows
  }
}
