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
  let rowByteCount = half ? 32 : 64
  let kernel = half ? kernels.dense16 : kernels.dense32
  // Pieces of nearly equal size.
  let wanted = rows <= Blocking.streamingRows ? 1 : (k &+ (Blocking.denseInputs &- 1)) / Blocking.denseInputs
  let size = ((k &+ wanted &- 1) / max(wanted, 1) &+ 7) & ~7
  let pieces = k > size ? (k &+ size &- 1) / size : 1
  var first = firstBlock
  if rows == 1 {
    first = denseWide(
      kernel, x: x, w: w, rowByteCount: rowByteCount, n: n, k: k, bias: bias, alpha: alpha, y: y,
      firstBlock: firstBlock,
      blocks: blocks, scratch: scratch)
  }
  let left = firstBlock &+ blocks &- first
  for index in 0..<max(pieces &* left, 0) {
    let block = first &+ index % left
    let firstInput = index / left &* size
    let cursor = OutputCursor(
      block: block, n: n, firstInput: firstInput, bias: bias, y: y, yRowStride: yRowStride, scratch: scratch)
    var arguments = DenseArguments(
      x: x + firstInput, xRowStride: xRowStride &* 4, w: w + (block &* k &+ firstInput) &* rowByteCount,
      start: cursor.start, startRowStride: cursor.startRowStride, y: cursor.y, yRowStride: cursor.yRowStride,
      k: min(size, k &- firstInput), rows: rows, alpha: alpha)
    kernel(&arguments)
  }
  let last = (firstBlock &+ blocks &- 1) &* 16
  if blocks > 0, last &+ 16 > n {
    storeTail(scratch.tile, rows: rows, firstOutput: last, n: n, y: y, yRowStride: yRowStride)
  }
}

/// One row over as many whole groups of ``DenseArguments/wideBlocks`` blocks as there are.
///
/// - Returns: the first block that is left.
@inline(__always)
private func denseWide(
  _ kernel: Kernel, x: UnsafePointer<Float>, w: UnsafeRawPointer, rowByteCount: Int, n: Int, k: Int,
  bias: UnsafePointer<Float>?, alpha: Float, y: UnsafeMutablePointer<Float>, firstBlock: Int, blocks: Int,
  scratch: ProductScratch
) -> Int {
  let end = min(firstBlock &+ blocks, n / 16)
  var block = firstBlock
  if bias == nil { for lane in 0..<(16 &* DenseArguments.wideBlocks) { scratch.start[lane] = 0 } }
  while block &+ DenseArguments.wideBlocks <= end {
    var arguments = DenseArguments(
      x: x, xRowStride: 0, w: w + block &* k &* rowByteCount,
      start: bias.map { $0 + block &* 16 } ?? UnsafePointer(scratch.start),
      startRowStride: 0, y: y + block &* 16, yRowStride: 0, k: k, rows: 1, blocks: DenseArguments.wideBlocks,
      blockStride: k &* rowByteCount, alpha: alpha)
    kernel(&arguments)
    block &+= DenseArguments.wideBlocks
  }
  return block
}
