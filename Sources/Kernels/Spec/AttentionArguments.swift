/// Keys and values of one head as ``AttentionArguments`` wants them: rounded to bfloat16 (nearest even) and laid out for
/// products of pairs.
public struct AttentionPackArguments: BitwiseCopyable {
  public var k: UnsafePointer<Float>
  public var kRowStride: Int
  public var v: UnsafePointer<Float>
  public var vRowStride: Int
  /// Rows of `k` and `v`, at least 1.
  public var keys: Int
  public var width: Int
  public var valueWidth: Int
  /// `[keys/16][width/2][16][2]`, all rounded up: 16 keys side by side, two inputs of each next to each other. What lies
  /// beyond `keys` and `width` is 0. Up to ``keyPanelSlack`` bytes behind it are written as well.
  ///
  /// As codes `[keys/16]` blocks of `[width/4][16][4]` signed bytes, then what a unit of each key's codes stands for, as
  /// Float, then -128 times the sum of each key's codes, as 32-bit integers.
  public var keyPanel: UnsafeMutableRawPointer
  /// `[valueWidth/16][keys/2][16][2]`, all rounded up: 16 outputs side by side, two keys of each next to each other.
  public var valuePanel: UnsafeMutableRawPointer

  public static let keyPanelSlack = 1024

  public init(
    k: UnsafePointer<Float>, kRowStride: Int, v: UnsafePointer<Float>, vRowStride: Int, keys: Int, width: Int,
    valueWidth: Int, keyPanel: UnsafeMutableRawPointer, valuePanel: UnsafeMutableRawPointer
  ) {
    self.k = k
    self.kRowStride = kRowStride
    self.v = v
    self.vRowStride = vRowStride
    self.keys = keys
    self.width = width
    self.valueWidth = valueWidth
    self.keyPanel = keyPanel
    self.valuePanel = valuePanel
  }
}

/// Attention of up to ``rowCount`` queries of one head: `y = Σ p · v / Σ p`, `p = 2^(s - max s)`,
/// `s = (scale · q) · k + mask`. Scaled queries, keys, values and `p` are rounded to bfloat16 (magnitudes from 3.39e38 on become
/// infinite, below 1.2e-38 zero), all sums are Float. The sum of `p` is taken before rounding.
///
/// A row whose scores hold a NaN or +infinity, or are -infinity everywhere, becomes NaN.
public struct AttentionArguments: BitwiseCopyable {
  /// The most queries of a call.
  public static let rowCount = 12
  /// Bytes of scales and corrections behind the codes of 16 keys.
  public static let codedBlockExtra = 128

  public var q: UnsafePointer<Float>
  public var qRowStride: Int
  public var keyPanel: UnsafeRawPointer
  public var valuePanel: UnsafeRawPointer
  /// Added to the scores of all rows, `keys` rounded up to 32 elements are read; nil adds nothing.
  public var mask: UnsafePointer<Float>?
  public var y: UnsafeMutablePointer<Float>
  public var yRowStride: Int
  /// ``rowCount`` rows of `queryStride` bytes: the queries as bfloat16. 64-byte aligned, as is the next.
  public var queries: UnsafeMutableRawPointer
  /// `width` rounded up to 32, in bytes of bfloat16.
  public var queryStride: Int
  /// ``rowCount`` rows of `scoreStride` bytes: scores, then `p` in their place.
  public var scores: UnsafeMutableRawPointer
  /// At least `keys` rounded up to 32, in bytes of Float; a multiple of 64.
  public var scoreStride: Int
  /// 1 to ``rowCount``.
  public var rows: Int
  public var keys: Int
  public var width: Int
  public var valueWidth: Int
  /// The scale of the scores times log2(e).
  public var scale: Float

  public init(
    q: UnsafePointer<Float>, qRowStride: Int, keyPanel: UnsafeRawPointer, valuePanel: UnsafeRawPointer,
    mask: UnsafePointer<Float>?, y: UnsafeMutablePointer<Float>, yRowStride: Int, queries: UnsafeMutableRawPointer,
    queryStride: Int, scores: UnsafeMutableRawPointer, scoreStride: Int, rows: Int, keys: Int, width: Int,
    valueWidth: Int, scale: Float
  ) {
    self.q = q
    self.qRowStride = qRowStride
    self.keyPanel = keyPanel
    self.valuePanel = valuePanel
    self.mask = mask
    self.y = y
    self.yRowStride = yRowStride
    self.queries = queries
    self.queryStride = queryStride
    self.scores = scores
    self.scoreStride = scoreStride
    self.rows = rows
    self.keys = keys
    self.width = width
    self.valueWidth = valueWidth
    self.scale = scale
  }
}
