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

/// K in pieces outside, blocks inside: see ``Blocking``.
private func denseProduct(
  _ kernels: KernelTable, x: UnsafePointer<Float>, xRowStride: Int, rows: Int, w: UnsafeRawPointer, half: Bool, n: Int,
  k: Int, bias: UnsafePointer<Float>?, alpha: Float, y: UnsafeMutablePointer<Float>, yRowStride: Int, firstBlock: Int,
  blocks: Int, scratch: ProductScratch
) {
  let streaming = rows <= Blocking.streamingRows
  let widens = half && rows >= kernels.widenRows
  let rowByteCount = half ? 32 : 64
  let kernel = half && !widens ? kernels.dense16 : kernels.dense32
  // Pieces of nearly equal size.
  let pieces = streaming && !widens ? 1 : (k &+ (Blocking.denseInputs &- 1)) / Blocking.denseInputs
  let piece = ((k &+ pieces &- 1) / pieces &+ 7) & ~7
  var firstInput = 0
  repeat {
    let inputs = min(piece, k &- firstInput)
    for block in firstBlock..<(firstBlock &+ blocks) {
      let cursor = OutputCursor(
        block: block, n: n, firstInput: firstInput, bias: bias, y: y, yRowStride: yRowStride, scratch: scratch)
      var source = w + (block &* k &+ firstInput) &* rowByteCount
      if widens {
        var widening = WidenArguments(input: source, output: scratch.panel, count: inputs &* 16)
        kernels.widen(&widening)
        source = UnsafeRawPointer(scratch.panel)
      }
      var arguments = DenseArguments(
        x: x + firstInput, xRowStride: xRowStride &* 4, w: source, start: cursor.start,
        startRowStride: cursor.startRowStride, y: cursor.y, yRowStride: cursor.yRowStride, k: inputs, rows: rows,
        alpha: alpha)
      kernel(&arguments)
    }
    firstInput &+= inputs
  } while firstInput < k
  let last = (firstBlock &+ blocks &- 1) &* 16
  if blocks > 0, last &+ 16 > n {
    storeTail(scratch.tile, rows: rows, firstOutput: last, n: n, y: y, yRowStride: yRowStride)
  }
}
