/// One head of one batch, as ``attention(_:_:_:scratch:productScratch:)`` takes it. Strides count elements.
public struct AttentionHead: BitwiseCopyable {
  public var q: UnsafePointer<Float>
  public var qStride: Int
  public var k: UnsafePointer<Float>
  public var kStride: Int
  public var v: UnsafePointer<Float>
  public var vStride: Int
  /// `queries` rows of `valueWidth` floats; exactly these are written. Overlaps nothing.
  public var y: UnsafeMutablePointer<Float>
  public var yStride: Int
  public var queries: Int
  public var keys: Int
  /// Dimensions of queries and keys.
  public var width: Int
  public var valueWidth: Int
  public var scale: Float
  /// Added to the scaled scores of every query: `keys` elements, and memory for ``maskCount(keys:)``; nil adds nothing.
  public var mask: UnsafePointer<Float>?

  public init(
    q: UnsafePointer<Float>, qStride: Int, k: UnsafePointer<Float>, kStride: Int, v: UnsafePointer<Float>, vStride: Int,
    y: UnsafeMutablePointer<Float>, yStride: Int, queries: Int, keys: Int, width: Int, valueWidth: Int, scale: Float,
    mask: UnsafePointer<Float>?
  ) {
    self.q = q
    self.qStride = qStride
    self.k = k
    self.kStride = kStride
    self.v = v
    self.vStride = vStride
    self.y = y
    self.yStride = yStride
    self.queries = queries
    self.keys = keys
    self.width = width
    self.valueWidth = valueWidth
    self.scale = scale
    self.mask = mask
  }

  /// Kernels read a mask by whole vectors.
  public static func maskCount(keys: Int) -> Int { padded(keys, 32) }
}

/// What the products of an attention take.
public enum AttentionArithmetic: UInt8, BitwiseCopyable, Sendable {
  case float32
  /// Rounded to bfloat16: ``AttentionArguments``.
  case bfloat16
  /// Queries and keys as 8-bit codes where there are many keys, shares and values as bfloat16.
  case codes

  /// More inputs could overflow a sum of codes.
  fileprivate static let codedWidth = 1 << 15
  /// With fewer keys making codes takes as long as their products save, and they are rounded to bfloat16 instead.
  static let codedKeys = 96
}

/// Queries of one FP32 tile: whole tiles of the float kernels of AVX-512, nearly so of AVX2, whose scores stay in the level-1
/// cache, but at least a few.
@inline(__always)
private func floatTileRows(keys: Int) -> Int { 28 &* max(1, min(4, 8192 / (28 &* max(padded(keys, 32), 1)))) }

/// Where the parts of the scratch lie, and how large it is, in bytes; all at multiples of 64.
private struct AttentionLayout {
  var queryStride: Int
  /// Rows must not all have the same place in the cache.
  var scoreStride: Int
  var queriesByteCount: Int
  var scoresByteCount: Int
  var keyPanelByteCount: Int
  var valuePanelByteCount: Int
  var byteCount: Int

  init(keys: Int, width: Int, valueWidth: Int, _ arithmetic: AttentionArithmetic) {
    let isFloat = arithmetic == .float32
    let rows = isFloat ? floatTileRows(keys: keys) : AttentionArguments.rowCount
    queryStride = padded(width, 32) &* 2
    scoreStride = padded(keys, 32) &* 4
    if scoreStride & 2047 == 0 { scoreStride &+= 64 }
    queriesByteCount = isFloat ? 0 : rows &* queryStride
    scoresByteCount = rows &* scoreStride
    switch arithmetic {
    case .float32: keyPanelByteCount = padded(keys, 16) &* width &* 4
    case .bfloat16:
      keyPanelByteCount = padded(keys, 16) &* padded(width, 2) &* 2 &+ AttentionPackArguments.keyPanelSlack
    case .codes:
      keyPanelByteCount =
        padded(keys, 16) / 16 &* (padded(width, 4) &* 16 &+ AttentionArguments.codedBlockExtra)
        &+ AttentionPackArguments.keyPanelSlack
    }
    valuePanelByteCount =
      isFloat ? padded(valueWidth, 16) &* keys &* 4 : padded(valueWidth, 16) &* padded(keys, 2) &* 2
    byteCount = queriesByteCount &+ scoresByteCount &+ keyPanelByteCount &+ valuePanelByteCount
  }
}

/// `count` up to the next multiple of `step`, a power of two.
@inline(__always)
private func padded(_ count: Int, _ step: Int) -> Int { (count &+ (step &- 1)) & -step }

/// Scratch of ``attention(_:_:_:scratch:productScratch:)`` for up to as many keys. Saturates when it overflows, which no
/// allocation survives.
public func attentionScratchByteCount(keys: Int, width: Int, valueWidth: Int) -> Int {
  // Far below this nothing overflows: the largest term is the product of two padded sizes by 4.
  let limit = 1 << 40
  if keys > limit || width > limit || valueWidth > limit { return Int.max }
  let (product, overflow) = (keys &+ 64).multipliedReportingOverflow(by: max(width, valueWidth) &+ 64)
  if overflow || product > 1 << 56 { return Int.max }
  var byteCount = 0
  for arithmetic in [AttentionArithmetic.float32, .bfloat16, .codes] {
    let layout = AttentionLayout(keys: keys, width: width, valueWidth: valueWidth, arithmetic)
    // Fewer keys may have larger FP32 tiles, of at most 112 rows and 8192 scores.
    let scores = max(layout.scoresByteCount, 8192 &* 4 &+ 112 &* 64)
    byteCount = max(byteCount, layout.byteCount &- layout.scoresByteCount &+ scores)
  }
  return byteCount
}

/// Rows of the products that ``attention(_:_:_:scratch:productScratch:)`` makes at most.
public func attentionProductRows(queries: Int) -> Int { min(queries, 112) }

/// `y = softmax(q · kᵀ · scale + mask) · v` for one head, on the calling thread: keys and values are packed once, then tiles
/// of queries go from scores to results while these stay in the cache. Every row is computed the same way whoever does it.
///
/// - Parameters:
///   - arithmetic: where the table has no kernels for it, everything is FP32.
///   - scratch: the thread's own, ``attentionScratchByteCount(keys:width:valueWidth:)`` bytes, 64-byte aligned.
///   - productScratch: the thread's own, ``productScratchByteCount(maxRows:)`` bytes for
///     ``attentionProductRows(queries:)`` rows, 64-byte aligned.
public func attention(
  _ kernels: KernelTable, _ head: AttentionHead, _ arithmetic: AttentionArithmetic, scratch: UnsafeMutableRawPointer,
  productScratch: UnsafeMutableRawPointer
) {
  if arithmetic == .codes, head.keys >= AttentionArithmetic.codedKeys, head.width <= AttentionArithmetic.codedWidth,
    let pack = kernels.codedAttentionPack, let tile = kernels.codedAttention
  {
    reducedAttention(pack, tile, head, .codes, scratch)
  } else if arithmetic != .float32, head.keys > 0, let pack = kernels.attentionPack, let tile = kernels.attention {
    reducedAttention(pack, tile, head, .bfloat16, scratch)
  } else {
    floatAttention(kernels, head, scratch, productScratch)
  }
}

private func reducedAttention(
  _ pack: Kernel, _ tile: Kernel, _ head: AttentionHead, _ arithmetic: AttentionArithmetic,
  _ scratch: UnsafeMutableRawPointer
) {
  let layout = AttentionLayout(keys: head.keys, width: head.width, valueWidth: head.valueWidth, arithmetic)
  let scores = scratch + layout.queriesByteCount
  let valuePanel = scores + layout.scoresByteCount
  let keyPanel = valuePanel + layout.valuePanelByteCount
  var packing = AttentionPackArguments(
    k: head.k, kRowStride: head.kStride &* 4, v: head.v, vRowStride: head.vStride &* 4, keys: head.keys,
    width: head.width, valueWidth: head.valueWidth, keyPanel: keyPanel, valuePanel: valuePanel)
  pack(&packing)
  var arguments = AttentionArguments(
    q: head.q, qRowStride: head.qStride &* 4, keyPanel: keyPanel, valuePanel: valuePanel, mask: head.mask, y: head.y,
    yRowStride: head.yStride &* 4, queries: scratch, queryStride: layout.queryStride, scores: scores,
    scoreStride: layout.scoreStride, rows: 0, keys: head.keys, width: head.width, valueWidth: head.valueWidth,
    scale: head.scale * 1.442_695)
  var first = 0
  while first < head.queries {
    arguments.rows = tileRows(head.queries &- first, largest: AttentionArguments.rowCount, grain: 4)
    tile(&arguments)
    arguments.q += arguments.rows &* head.qStride
    arguments.y += arguments.rows &* head.yStride
    first &+= arguments.rows
  }
}

private func floatAttention(
  _ kernels: KernelTable, _ head: AttentionHead, _ scratch: UnsafeMutableRawPointer,
  _ productScratch: UnsafeMutableRawPointer
) {
  let layout = AttentionLayout(keys: head.keys, width: head.width, valueWidth: head.valueWidth, .float32)
  let scores = scratch.assumingMemoryBound(to: Float.self)
  let valuePanel = (scratch + layout.scoresByteCount).assumingMemoryBound(to: Float.self)
  let keyPanel = valuePanel + layout.valuePanelByteCount / 4
  let scoreStride = layout.scoreStride / 4
  Operators.packTransposed(head.k, xStride: head.kStride, rows: head.keys, width: head.width, into: keyPanel)
  var first = 0
  while first < head.queries {
    let rows = tileRows(head.queries &- first, largest: floatTileRows(keys: head.keys), grain: 1)
    matmul(
      kernels, x: head.q + first &* head.qStride, xRowStride: head.qStride, rows: rows, panel: keyPanel, n: head.keys,
      k: head.width, alpha: head.scale, y: scores, yRowStride: scoreStride, scratch: productScratch)
    softmaxRows(
      kernels, scores, rows: rows, width: head.keys, rowStride: scoreStride, scale: 1, mask: head.mask,
      maskRowStride: 0)
    if first == 0 {
      Operators.packRows(head.v, xStride: head.vStride, rows: head.keys, width: head.valueWidth, into: valuePanel)
    }
    matmul(
      kernels, x: scores, xRowStride: scoreStride, rows: rows, panel: valuePanel, n: head.valueWidth, k: head.keys,
      alpha: 1, y: head.y + first &* head.yStride, yRowStride: head.yStride, scratch: productScratch)
    first &+= rows
  }
}

/// The next tile of `left` rows: full tiles while they leave one, then two of nearly equal size, because a tile of few rows
/// is slow.
@inline(__always)
private func tileRows(_ left: Int, largest: Int, grain: Int) -> Int {
  if left <= largest { return left }
  if left >= 2 &* largest { return largest }
  return padded((left &+ 1) / 2, grain)
}
