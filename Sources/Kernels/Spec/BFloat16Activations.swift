/// Activations rounded to bfloat16, or to FP16 for kernels that multiply in it, in memory that someone else owns. Trivial.
///
/// As with ``QuantizedActivations``, one conversion serves every product with the same input.
public struct BFloat16Activations: BitwiseCopyable, @unchecked Sendable {
  /// `rows` rows of `k` numbers and, behind an odd `k`, a zero.
  public var base: UnsafeMutableRawPointer
  public var rows: Int
  public var k: Int
  /// Whether rows are those of ``HalfArguments``.
  public let isHalf: Bool

  /// Bytes from one row to the next: an odd number of cache lines, so that the rows of a tile lie in different sets.
  @inlinable public var rowStride: Int {
    let numbers = isHalf ? k &+ HalfArguments.headerByteCount / 2 : k
    return (((numbers &+ 31) / 32) | 1) &* 64
  }

  /// - Parameters:
  ///   - memory: 64-byte aligned; ``QuantizedActivations/byteCount(rows:k:)`` bytes, which are more, suffice.
  ///   - rows: of the whole product.
  public init(memory: UnsafeMutableRawPointer, rows: Int, k: Int, _ kernels: KernelTable) {
    isHalf = kernels.usesHalf(rows: rows)
    base = memory
    self.rows = rows
    self.k = k
  }

  /// `count` rows from `first` on.
  @inlinable public func panel(_ first: Int, _ count: Int) -> BFloat16Activations {
    var part = self
    part.base += first &* rowStride
    part.rows = count
    return part
  }

  /// Rounds the first `count` rows.
  @inline(__always)
  public func round(_ x: UnsafePointer<Float>, xRowStride: Int, count: Int, _ kernels: KernelTable) {
    var arguments = RoundArguments(
      x: x, xRowStride: xRowStride &* 4, output: base, outputRowStride: rowStride, k: k, rows: count)
    if isHalf, let half = kernels.half { half.round(&arguments) } else { kernels.round(&arguments) }
  }
}
