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
  /// Rows of the largest tile.
  public static let tileRows = 12
  /// Rows of a tile of AMX, and how many at least are worth its products.
  public static let matrixRows = 16
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

/// ``BFloat16Arguments`` straight from FP16 weights, which are rounded as ``RoundArguments`` rounds floats: a first tile of rows,
/// and the panels for others.
public struct BFloat16HalfArguments: BitwiseCopyable {
  /// At most as many rows as the kernel's tile. First, so that its fields are where they are in ``BFloat16Arguments``. `w` is not
  /// read.
  public var product: BFloat16Arguments
  /// `[k][16]` FP16.
  public var halves: UnsafeRawPointer
  /// From one block's weights to the next one's; unused with one block.
  public var halfBlockStride: Int
  public var k: Int
  /// Where the panels go, `product.blockStride` apart; nil where no further rows want them. Needs
  /// ``BFloat16Arguments/tileRows`` rows or none: then panels are all that is made, and of `product` only `pairs`, `blocks` and
  /// `blockStride` say something.
  public var panel: UnsafeMutableRawPointer?
  /// The weights of the next call, as far from each other as these, which may be fetched meanwhile. Any address.
  public var ahead: UnsafeRawPointer

  public init(
    product: BFloat16Arguments, halves: UnsafeRawPointer, halfBlockStride: Int, k: Int, panel: UnsafeMutableRawPointer?,
    ahead: UnsafeRawPointer
  ) {
    self.product = product
    self.ahead = ahead
    self.halves = halves
    self.halfBlockStride = halfBlockStride
    self.k = k
    self.panel = panel
  }
}

/// Rounds rows of floats to bfloat16: to nearest, ties to even, as `vcvtneps2bf16` does. Subnormal floats become zeros of their
/// sign, a NaN stays one and becomes quiet, and what rounds beyond the largest bfloat16 becomes an infinity.
///
/// The rounding kernel of FP16 products takes the same and leaves rows of ``HalfArguments``, see ``roundHalfReference(_:)``.
public struct RoundArguments: BitwiseCopyable {
  public var x: UnsafePointer<Float>
  public var xRowStride: Int
  /// `k` bfloat16 per row and, behind an odd `k`, a zero; nothing else is written. May be `x` itself with rows as far apart or
  /// closer.
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
