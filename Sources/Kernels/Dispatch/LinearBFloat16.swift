import NestedFormat

/// Rounds `rows` rows of `k` floats to bfloat16 for products that read such: ``RoundArguments``.
///
/// - Parameters:
///   - x: rows `xRowStride` floats apart.
///   - output: rows `outputRowStride` bytes apart, of `k` numbers and, behind an odd `k`, a zero.
@inline(__always)
public func roundToBFloat16(
  _ kernels: KernelTable, x: UnsafePointer<Float>, xRowStride: Int, rows: Int, k: Int,
  into output: UnsafeMutableRawPointer, outputRowStride: Int
) {
  var arguments = RoundArguments(
    x: x, xRowStride: xRowStride &* 4, output: output, outputRowStride: outputRowStride, k: k, rows: rows)
  kernels.round(&arguments)
}

/// `y = alpha · x · panel` in bfloat16 for two activations, as in attention: `panel` holds `[n/16][pairs][16][2]` bfloat16, as
/// ``BFloat16Arguments`` has them, outputs from `n` to the next multiple of 16 being any finite values.
///
/// - Parameters:
///   - x: `rows` rows of bfloat16, `xRowStride` bytes apart, an odd K with a zero behind it.
///   - pairs: half of K, rounded up.
///   - y: `rows` rows of `n` floats, `yRowStride` floats apart; exactly these are written. Must not overlap `x` or `panel`.
///   - scratch: the thread's own, ``productScratchByteCount(maxRows:)`` bytes, 64-byte aligned.
public func matmulBFloat16(
  _ kernels: KernelTable, x: UnsafeRawPointer, xRowStride: Int, rows: Int, panel: UnsafeRawPointer, n: Int, pairs: Int,
  alpha: Float, y: UnsafeMutablePointer<Float>, yRowStride: Int, scratch: UnsafeMutableRawPointer
) {
  let scratch = ProductScratch(scratch)
  let whole = n / 16
  let blockStride = pairs &* 64
  for lane in 0..<(16 &* BFloat16Arguments.mostBlocks) { scratch.start[lane] = 0 }
  var block = 0
  while block &* 16 < n {
    let isTail = block == whole
    let blocks = min(BFloat16Arguments.mostBlocks, max(whole &- block, 1))
    var arguments = BFloat16Arguments(
      x: x, xRowStride: xRowStride, w: panel + block &* blockStride, blockStride: blockStride,
      start: UnsafePointer(scratch.start), startRowStride: 0, y: isTail ? scratch.tile : y + block &* 16,
      yRowStride: isTail ? 64 : yRowStride &* 4, pairs: pairs, rows: rows, blocks: blocks, alpha: alpha)
    kernels.bfloat16(&arguments)
    block &+= blocks
  }
  if whole &* 16 < n {
    storeTail(scratch.tile, rows: rows, firstOutput: whole &* 16, n: n, y: y, yRowStride: yRowStride)
  }
}

/// The FP16 product in bfloat16, or in FP16 where the rows are such, for `blocks` blocks of 16 outputs from `firstBlock` on. Threads may share a product by blocks:
/// every output is computed in the same order whoever does it.
///
/// - Parameters:
///   - x: the input, rounded.
///   - scratch: the thread's own, ``productScratchByteCount(maxRows:)`` bytes, 64-byte aligned.
public func linearBFloat16(
  _ weights: LinearWeights, _ kernels: KernelTable, x: BFloat16Activations, y: UnsafeMutablePointer<Float>,
  yRowStride: Int, firstBlock: Int, blocks: Int, scratch: UnsafeMutableRawPointer
) {
  guard let w = weights.fp16, blocks > 0, x.rows > 0 else { return }
  let scratch = ProductScratch(scratch)
  if x.isHalf, let half = kernels.half {
    return linearHalf(
      weights, w, half.multiply, x: x, y: y, yRowStride: yRowStride, firstBlock: firstBlock,
      blocks: blocks,
      scratch: scratch)
  }
  var first = 0
  while first < x.rows {
    let end = Blocking.denseRowsEnd(
      x.rows, from: first, cut: kernels.tileBFloat16 == nil ? BFloat16Arguments.tileRows : BFloat16Arguments.matrixRows)
    var own = scratch
    own.tile += first &* 16
    bfloat16Rows(
      weights, w, kernels, x: x.panel(first, end &- first), y: y + first &* yRowStride, yRowStride: yRowStride,
      firstBlock: firstBlock, blocks: blocks, scratch: own)
    first = end
  }
  let last = (firstBlock &+ blocks &- 1) &* 16
  if last &+ 16 > weights.n {
    storeTail(scratch.tile, rows: x.rows, firstOutput: last, n: weights.n, y: y, yRowStride: yRowStride)
  }
}

/// The rows of one part; what is left of a last block stays in the scratch tile.
private func bfloat16Rows(
  _ weights: LinearWeights, _ w: DenseView, _ kernels: KernelTable, x: BFloat16Activations,
  y: UnsafeMutablePointer<Float>, yRowStride: Int, firstBlock: Int, blocks: Int, scratch: ProductScratch
) {
  let (n, k) = (weights.n, weights.k)
  // A first tile rounds the weights of two blocks on the way; the panel that it leaves stays in the level-1 cache for the others.
  // With tiles of AMX rounding is all that comes first: their sums have another order, and a row's must not depend on its place.
  let tiles = x.rows >= BFloat16Arguments.matrixRows ? kernels.tileBFloat16 : nil
  let tile = tiles != nil ? 0 : min(x.rows, BFloat16Arguments.tileRows)
  // Pieces of nearly equal size; without a panel the weights are read in storage order.
  let wanted = x.rows == tile ? 1 : max((k &+ (Blocking.bfloat16Inputs &- 1)) / Blocking.bfloat16Inputs, 1)
  let unit = tiles != nil ? 32 : 8
  let size = ((k &+ wanted &- 1) / wanted &+ (unit &- 1)) & (0 &- unit)
  let end = firstBlock &+ blocks
  let wholeEnd = min(end, n / 16)
  var firstInput = 0
  while firstInput < k {
    let inputs = min(size, k &- firstInput)
    let pairs = (inputs &+ 1) / 2
    var block = firstBlock
    while block < end {
      let count = block &+ BFloat16Arguments.mostBlocks <= wholeEnd ? BFloat16Arguments.mostBlocks : 1
      let cursor = OutputCursor(
        block: block, blocks: count, n: n, firstInput: firstInput, bias: weights.bias, y: y, yRowStride: yRowStride,
        scratch: scratch)
      var first = BFloat16HalfArguments(
        product: BFloat16Arguments(
          x: UnsafeRawPointer(x.base + firstInput &* 2), xRowStride: x.rowStride, w: UnsafeRawPointer(scratch.panel),
          blockStride: pairs &* 64, start: cursor.start, startRowStride: cursor.startRowStride, y: cursor.y,
          yRowStride: cursor.yRowStride, pairs: pairs, rows: tile, blocks: count, alpha: 1),
        halves: w.base + (block &* k &+ firstInput) &* 32, halfBlockStride: k &* 32, k: inputs,
        panel: x.rows > tile ? scratch.panel : nil, ahead: w.base)
      // Next the same inputs of the following blocks or, behind the last of them, the next inputs of the first ones.
      let nextBlock = block &+ count < end ? block &+ count : firstBlock
      let nextInput = block &+ count < end ? firstInput : firstInput &+ size
      if nextInput < k { first.ahead = w.base + (nextBlock &* k &+ nextInput) &* 32 }
      kernels.bfloat16Half(&first)
      if x.rows > tile {
        var rest = first.product
        rest.x += tile &* x.rowStride
        rest.start = (UnsafeRawPointer(rest.start) + tile &* rest.startRowStride).assumingMemoryBound(to: Float.self)
        rest.y = (UnsafeMutableRawPointer(rest.y) + tile &* rest.yRowStride).assumingMemoryBound(to: Float.self)
        rest.rows = x.rows &- tile
        if let tiles { tiles(&rest) } else { kernels.bfloat16(&rest) }
      }
      block &+= count
    }
    firstInput &+= size
  }
}

/// Few rows: weights are read once, in storage order.
private func linearHalf(
  _ weights: LinearWeights, _ w: DenseView, _ kernel: Kernel, x: BFloat16Activations,
  y: UnsafeMutablePointer<Float>,
  yRowStride: Int, firstBlock: Int, blocks: Int, scratch: ProductScratch
) {
  let (n, k) = (weights.n, weights.k)
  let end = firstBlock &+ blocks
  let wholeEnd = min(end, n / 16)
  var block = firstBlock
  while block < end {
    let count = block &+ BFloat16Arguments.mostBlocks <= wholeEnd ? BFloat16Arguments.mostBlocks : 1
    let cursor = OutputCursor(
      block: block, blocks: count, n: n, firstInput: 0, bias: weights.bias, y: y,
      yRowStride: yRowStride,
      scratch: scratch)
    var arguments = HalfArguments(
      x: UnsafeRawPointer(x.base), xRowStride: x.rowStride, w: w.base + block &* k &* 32,
      blockStride: k &* 32,
      start: cursor.start, startRowStride: cursor.startRowStride, y: cursor.y,
      yRowStride: cursor.yRowStride, k: k,
      rows: x.rows, blocks: count)
    kernel(&arguments)
    block &+= count
  }
  let last = (end &- 1) &* 16
  if last &+ 16 > n {
    storeTail(scratch.tile, rows: x.rows, firstOutput: last, n: n, y: y, yRowStride: yRowStride)
  }
}
