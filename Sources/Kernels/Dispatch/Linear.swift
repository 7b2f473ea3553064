import NestedFormat

// The drivers: they cut a product into what one kernel call does. Everything here is on the run path: no allocation, no
// check. Rows and strides of the public functions count elements.

/// How the drivers cut K. A piece of a block of 16 outputs stays in the level-1 cache while all rows pass over it. While all
/// blocks pass over one piece's inputs, the rows' part of it stays in the level-1 or level-2 cache. Quantized rows that fit
/// there as a whole let the planes be read in storage order instead.
enum Blocking {
  /// Groups of 64 inputs unpacked at once.
  static let panelGroups = WordsArguments.groupCount
  /// Inputs of one piece of FP32 or FP16 weights.
  static let denseInputs = 256
  /// Inputs of one piece of FP16 weights that are rounded to bfloat16: two blocks fill the panel.
  static let bfloat16Inputs = panelByteCount / (32 * BFloat16Arguments.mostBlocks)
  /// At most this many rows are not cut at all.
  static let streamingRows = 4

  /// With kernels that take two blocks at once: bytes of quantized rows that stay in the level-2 cache beside the weights
  /// that pass by: half of 1 MiB, which server CPUs with AVX-512 have. Client ones of the first kind have half of that.
  static let cachedRowByteCount = 512 << 10
  /// Fewer rows do not hide that each part of the rows decodes the weights anew.
  static let fewestRows = 96

  /// Rows of float products that pass over a piece of the weights before the next one: with more, what they leave of each piece in
  /// the rows of `y` no longer stays in the level-2 cache until the next.
  static let mostDenseRows = 256

  /// Where the part of the rows that begins at `first` ends. Parts are of nearly equal size, about ``mostDenseRows`` at most, and
  /// cut behind multiples of `cut`, with at least as many left.
  @inline(__always)
  static func denseRowsEnd(_ rows: Int, from first: Int, cut: Int) -> Int {
    let parts = (rows &+ (mostDenseRows &- 1)) / mostDenseRows
    let size = max((rows / parts &+ cut / 2) / cut, 1) &* cut
    return rows &- first < size &+ max(cut, size / 2) ? rows : first &+ size
  }

  /// Whether all quantized rows stay in the level-2 cache.
  @inline(__always)
  static func isSmall(rows: Int, rowByteCount: Int) -> Bool { rows &* rowByteCount <= 128 &* 1024 }
  /// The largest panel of any table: `panelGroups` portable groups.
  static let panelByteCount = 8 * 4096
  static let panelScaleByteCount = PanelArguments.wideBlocks * PanelArguments.scaleBlockByteCount
  static let startByteCount = 64 * DenseArguments.wideBlocks
}

/// Bytes that `UnpackArguments.panelScales` has per group.
let panelScaleGroupByteCount = 192

/// Working memory of one thread for products with up to `maxRows` rows: see ``linear(_:_:_:x:xRowStride:rows:y:yRowStride:scratch:)``.
/// Saturates when it overflows, which no allocation survives.
public func productScratchByteCount(maxRows: Int) -> Int {
  let (tile, overflow) = maxRows.multipliedReportingOverflow(by: 64)
  let (total, overflow2) = tile.addingReportingOverflow(
    Blocking.panelByteCount + Blocking.panelScaleByteCount + Blocking.startByteCount)
  return overflow || overflow2 ? Int.max : total
}

/// Scratch of ``linear(_:_:_:x:xRowStride:rows:y:yRowStride:scratch:)``: the quantized activations and
/// ``productScratchByteCount(maxRows:)``.
public func linearScratchByteCount(maxRows: Int, k: Int) -> Int {
  let quantized = QuantizedActivations.byteCount(rows: maxRows, k: k)
  let (total, overflow) = quantized.addingReportingOverflow(productScratchByteCount(maxRows: maxRows))
  return overflow || total > Int.max - 64 ? Int.max : total + 64
}

/// Where the parts of a thread's scratch lie.
struct ProductScratch {
  /// The bias of a block, padded with zeros, or zeros for up to ``DenseArguments/wideBlocks`` blocks.
  var start: UnsafeMutablePointer<Float>
  var panelScales: UnsafeMutablePointer<Float>
  var panel: UnsafeMutableRawPointer
  /// `[rows][16]`: the last block's outputs when N is not a multiple of 16.
  var tile: UnsafeMutablePointer<Float>

  init(_ memory: UnsafeMutableRawPointer) {
    panel = memory
    panelScales = (memory + Blocking.panelByteCount).assumingMemoryBound(to: Float.self)
    let start = memory + (Blocking.panelByteCount + Blocking.panelScaleByteCount)
    self.start = start.assumingMemoryBound(to: Float.self)
    tile = (start + Blocking.startByteCount).assumingMemoryBound(to: Float.self)
  }
}

/// `y = x · Wᵀ + bias` at `level`, on the calling thread.
///
/// - Parameters:
///   - weights: must hold `level`.
///   - x: `rows` rows of `weights.k` floats, `xRowStride` floats apart; any alignment of floats.
///   - y: `rows` rows of `weights.n` floats, `yRowStride` apart. Exactly these are written. Must not overlap `x`.
///   - scratch: 64-byte aligned, ``linearScratchByteCount(maxRows:k:)`` bytes.
///
/// At nested levels a row of `x` that holds a NaN or an infinity makes its row of `y` NaN; float levels follow IEEE, in bfloat16
/// where ``KernelTable/usesBFloat16(_:rows:)`` says so.
public func linear(
  _ weights: LinearWeights, _ level: Level, _ kernels: KernelTable, x: UnsafePointer<Float>, xRowStride: Int, rows: Int,
  y: UnsafeMutablePointer<Float>, yRowStride: Int, scratch: UnsafeMutableRawPointer
) {
  let input = ProductInput(x: x, xRowStride: xRowStride, prepared: scratch, rows: rows, k: weights.k)
  var used = 0
  if kernels.preparesInput(level, rows: rows) {
    input.prepare(level, kernels, firstRow: 0, rowCount: rows)
    used = (QuantizedActivations.byteCount(rows: rows, k: weights.k) &+ 63) & ~63
  }
  input.multiply(
    weights, level, kernels, firstRow: 0, rowCount: rows, y: y, yRowStride: yRowStride, firstBlock: 0,
    blocks: weights.nBlocks, scratch: scratch + used)
}

/// Codes the rows of `x` for ``linearQuantized(_:_:_:x:y:yRowStride:firstBlock:blocks:scratch:)`` at `level`.
public func quantize(
  x: UnsafePointer<Float>, xRowStride: Int, into output: QuantizedActivations, _ level: Level, _ kernels: KernelTable
) {
  quantize(x: x, xRowStride: xRowStride, into: output, level, firstRow: 0, rowCount: output.rows, kernels)
}

/// Codes `rowCount` rows from `firstRow` on; different rows may be coded by different threads.
public func quantize(
  x: UnsafePointer<Float>, xRowStride: Int, into output: QuantizedActivations, _ level: Level, firstRow: Int,
  rowCount: Int, _ kernels: KernelTable
) {
  var arguments = QuantizeArguments(x, xRowStride, output, firstRow, rowCount, kernels.form)
  kernels.quantize(&arguments)
  sumGroups(output, kernels, firstRow: firstRow, rowCount: rowCount)
  if kernels.readsWords(level, rows: output.rows) {
    writeWords(output, kernels, firstRow: firstRow, rowCount: rowCount)
  }
}

/// The codes of an activation's result, for all nested levels; `kernel` is what ``KernelTable/activationCodes(_:)`` says.
public func activationCodes(
  _ kernel: Kernel, _ kernels: KernelTable, x: UnsafePointer<Float>, xRowStride: Int,
  into output: QuantizedActivations, firstRow: Int, rowCount: Int
) {
  var arguments = QuantizeArguments(x, xRowStride, output, firstRow, rowCount)
  kernel(&arguments)
  sumGroups(output, kernels, firstRow: firstRow, rowCount: rowCount)
}

/// What products read beside the codes and scales of `rowCount` rows from `firstRow` on, if they read sums of groups.
public func sumGroups(_ x: QuantizedActivations, _ kernels: KernelTable, firstRow: Int, rowCount: Int) {
  guard let sums = kernels.groupSums else { return }
  var arguments = QuantizeArguments(
    x: UnsafePointer(UnsafeRawPointer(x.codes).assumingMemoryBound(to: Float.self)), xRowStride: 0, codes: x.codes,
    codeRowStride: x.rowStride, groups: x.groupScales + firstRow &* x.groups,
    groupRowStride: x.groups &* MemoryLayout<ActivationGroup>.stride, k: x.k, rows: rowCount, form: kernels.form)
  sums(&arguments)
}

extension QuantizeArguments {
  /// Rows of whole groups one behind the other count as a single row: kernels code several groups at once.
  @inline(__always)
  init(
    _ x: UnsafePointer<Float>, _ xRowStride: Int, _ output: QuantizedActivations, _ firstRow: Int, _ rowCount: Int,
    _ form: NestedForm = .standard
  ) {
    let isOne = xRowStride == output.k && output.rowStride == output.k && form.activations == .perRowAndGroup
    self.init(
      x: x + firstRow &* xRowStride, xRowStride: xRowStride &* 4, codes: output.codes + firstRow &* output.rowStride,
      codeRowStride: output.rowStride, groups: output.groupScales + firstRow &* output.groups,
      groupRowStride: output.groups &* MemoryLayout<ActivationGroup>.stride,
      k: isOne ? rowCount &* output.k : output.k, rows: isOne ? min(rowCount, 1) : rowCount, form: form)
  }
}

/// Adds the words to `rowCount` rows of codes from `firstRow` on, for products that ``KernelTable/readsWords(_:rows:)`` names.
public func writeWords(_ x: QuantizedActivations, _ kernels: KernelTable, firstRow: Int, rowCount: Int) {
  var arguments = WordsArguments(
    codes: x.codes + firstRow &* x.rowStride, codeRowStride: x.rowStride,
    words: x.words + firstRow &* x.rowStride, wordRowStride: x.rowStride &* 2,
    groups: x.groupScales + firstRow &* x.groups,
    groupRowStride: x.groups &* MemoryLayout<ActivationGroup>.stride, count: x.groups, rows: rowCount)
  kernels.words(&arguments)
}

/// Calls a kernel once per piece of K for each block, with `start` moving from the bias to `y` itself, and keeps a last
/// block that is narrower than 16 outputs in the scratch tile until it is complete.
struct OutputCursor {
  var start: UnsafePointer<Float>
  var startRowStride: Int
  var y: UnsafeMutablePointer<Float>
  var yRowStride: Int

  /// The output of `block`, or of as many whole ones from there on, while the piece of K that begins at `firstInput` is added.
  @inline(__always)
  init(
    block: Int, blocks: Int = 1, n: Int, firstInput: Int, bias: UnsafePointer<Float>?, y: UnsafeMutablePointer<Float>,
    yRowStride: Int,
    scratch: ProductScratch
  ) {
    let first = block &* 16
    let whole = first &+ 16 <= n
    self.y = whole ? y + first : scratch.tile
    self.yRowStride = whole ? yRowStride &* 4 : 64
    if firstInput > 0 {
      start = UnsafePointer(self.y)
      startRowStride = self.yRowStride
    } else if whole, let bias {
      start = bias + first
      startRowStride = 0
    } else {
      for lane in 0..<(16 &* blocks) {
        scratch.start[lane] = 0
        if let bias, first &+ lane < n { scratch.start[lane] = bias[first &+ lane] }
      }
      start = UnsafePointer(scratch.start)
      startRowStride = 0
    }
  }
}

/// Copies the columns of the scratch tile that belong to the last block's outputs.
@inline(__always)
func storeTail(
  _ tile: UnsafeMutablePointer<Float>, rows: Int, firstOutput: Int, n: Int, y: UnsafeMutablePointer<Float>,
  yRowStride: Int
) {
  for row in 0..<rows {
    for lane in 0..<(n &- firstOutput) { y[row &* yRowStride &+ firstOutput &+ lane] = tile[row &* 16 &+ lane] }
  }
}
