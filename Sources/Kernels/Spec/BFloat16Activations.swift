/// Activations rounded to bfloat16, in memory that someone else owns. Trivial.
///
/// As with ``QuantizedActivations``, one conversion serves every product with the same input.
public struct BFloat16Activations: BitwiseCopyable, @unchecked Sendable {
  /// `rows` rows of `k` numbers and, behind an odd `k`, a zero.
  public var base: UnsafeMutableRawPointer
  public var rows: Int
  public var k: Int

  /// Bytes from one row to the next: an odd number of cache lines, so that the rows of a tile lie in different sets.
  @inlinable public var rowStride: Int { (((k &+ 31) / 32) | 1) &* 64 }

  /// - Parameter memory: 64-byte aligned; ``QuantizedActivations/byteCount(rows:k:)`` bytes, which are more, suffice.
  public init(memory: UnsafeMutableRawPointer, rows: Int, k: Int) {
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
    roundToBFloat16(
      kernels, x: x, xRowStride: xRowStride, rows: count, k: k, into: base, outputRowStride: rowStride)
  }
}
