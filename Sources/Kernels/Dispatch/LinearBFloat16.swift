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
