import NestedFormat

/// The FP32 or FP16 product for `blocks` blocks of 16 outputs from `firstBlock` on. Threads may share a product by blocks:
/// every output is computed in the same order whoever does it.
///
/// - Parameter scratch: the thread's own, ``productScratchByteCount(maxRows:)`` bytes, 64-byte aligned.
public func linearDense(
  _ weights: LinearWeights, _ level: Level, _ kernels: KernelTable, x: UnsafePointer<Float>, xRowStride: Int, rows: Int,
  y: UnsafeMutablePointer<Float>, yRowStride: Int, firstBlock: Int, blocks: Int, scratch: UnsafeMutableRawPointer
) {
  let half = level == .fp16
  guard let w = half ? weights.fp16 : weights.fp32 else { return }
  denseProduct(
    kernels, x: x, xRowStride: xRowStride, rows: rows, w: w.base, half: half, n: weights.n, k: weights.k,
    bias: weights.bias, alpha: 1, y: y, yRowStride: yRowStride, firstBlock: firstBlock, blocks: blocks,
    scratch: ProductScratch(scratch))
}

/// `y = alpha · x · panel` for two activations, as in attention: `panel` holds `[n/16][k][16]` floats, outputs from `n` to
/// the next multiple of 16 being any finite values.
///
/// - Parameters:
///   - x: `rows` rows of `k` floats, `xRowStride` floats apart.
///   - y: `rows` rows of `n` floats, `yRowStride` apart; exactly these are written. Must not overlap `x` or `panel`.
///   - scratch: the thread's own, ``productScratchByteCount(maxRows:)`` bytes, 64-byte aligned.
public func matmul(
  _ kernels: KernelTable, x: UnsafePointer<Float>, xRowStride: Int, rows: Int, panel: UnsafePointer<Float>, n: Int,
  k: Int, alpha: Float, y: UnsafeMutablePointer<Float>, yRowStride: Int, scratch: UnsafeMutableRawPointer
) {
  denseProduct(
    kernels, x: x, xRowStride: xRowStride, rows: rows, w: UnsafeRawPointer(panel), half: false, n: n, k: k, bias: nil,
    alpha: alpha, y: y, yRowStride: yRowStride, firstBlock: 0, blocks: (n &+ 15) / 16, scratch: ProductScratch(scratch))
}

/// Cut as ``Blocking`` says.
private func denseProduct(
  _ kernels: KernelTable, x: UnsafePointer<Float>, xRowStride: Int, rows: Int, w: UnsafeRawPointer, half: Bool, n: Int,
  k: Int, bias: UnsafePointer<Float>?, alpha: Float, y: UnsafeMutablePointer<Float>, yRowStride: Int, firstBlock: Int,
  blocks: Int, scratch: ProductScratch
) {
  var first = 0
  while first < rows {
    let end = Blocking.denseRowsEnd(rows, from: first, cut: kernels.rowTile)
    var own = scratch
    own.tile += first &* 16
    denseRows(
      kernels, x: x + first &* xRowStride, xRowStride: xRowStride, rows: end &- first, w: w, half: half, n: n, k: k,
      bias: bias, alpha: alpha, y: y + first &* yRowStride, yRowStride: yRowStride, firstBlock: firstBlock,
      blocks: blocks, scratch: own)
    first = end
  }
  let last = (firstBlock &+ blocks &- 1) &* 16
  if blocks > 0, last &+ 16 > n {
    storeTail(scratch.tile, rows: rows, firstOutput: last, n: n, y: y, yRowStride: yRowStride)
  }
}

/// The rows of one part; what is left of a last block stays in the scratch tile.
private func denseRows(
  _ kernels: KernelTable, x: UnsafePointer<Float>, xRowStride: Int, rows: Int, w: UnsafeRawPointer, half: Bool, n: Int,
  k: Int, bias: UnsafePointer<Float>?, alpha: Float, y: UnsafeMutablePointer<Float>, yRowStride: Int, firstBlock: Int,
  blocks: Int, scratch: ProductScratch
) {
  let rowByteCount = half ? 32 : 64
  let kernel = half ? kernels.dense16 : kernels.dense32
  // Pieces of nearly equal size; one tile of rows reads its weights once, however long they are.
  let wanted =
    rows <= max(Blocking.streamingRows, kernels.densePairRows)
    ? 1 : (k &+ (Blocking.denseInputs &- 1)) / Blocking.denseInputs
  let size = ((k &+ wanted &- 1) / max(wanted, 1) &+ 7) & ~7
  let pieces = k > size ? (k &+ size &- 1) / size : 1
  var index = 0
  while index < pieces &* blocks {
    let block = firstBlock &+ index % blocks
    let firstInput = index / blocks &* size
    // A single row takes several whole blocks at once where there are as many, more rows take two.
    let several = rows == 1 ? DenseArguments.wideBlocks : kernels.densePairRows > 0 ? 2 : 1
    let count = block &+ several <= min(firstBlock &+ blocks, n / 16) ? several : 1
    let cursor = OutputCursor(
      block: block, blocks: count, n: n, firstInput: firstInput, bias: bias, y: y, yRowStride: yRowStride,
      scratch: scratch)
    var arguments = DenseArguments(
      x: x + firstInput, xRowStride: xRowStride &* 4, w: w + (block &* k &+ firstInput) &* rowByteCount,
      start: cursor.start, startRowStride: cursor.startRowStride, y: cursor.y, yRowStride: cursor.yRowStride,
      k: min(size, k &- firstInput), rows: rows, blocks: count, blockStride: k &* rowByteCount, alpha: alpha)
    kernel(&arguments)
    index &+= count
  }
}
