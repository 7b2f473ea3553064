import Base

/// Weights kept as FP32 or FP16, packed `[n/16][k][16 outputs]` so that a kernel loads 16 outputs of one input at once.
/// Memory that someone else owns; trivial.
///
/// `k` is not padded; outputs from `n` to the next multiple of 16 are zero. Integers and floats are little-endian.
public struct DenseView: BitwiseCopyable, @unchecked Sendable {
  public var base: UnsafeRawPointer
  public var n: Int
  public var k: Int
  public var nBlocks: Int
  /// Bytes per weight: 4 (FP32) or 2 (FP16).
  public var elementWidth: Int

  @inlinable public init(base: UnsafeRawPointer, shape: DenseShape) {
    self.base = base
    n = shape.n
    k = shape.k
    nBlocks = shape.nBlocks
    elementWidth = shape.elementWidth
  }

  /// The weight of output `row` and input `column`; padding rows may be asked for, nothing is checked.
  public func value(_ row: Int, _ column: Int) -> Float {
    let index = ((row / 16) * k + column) * 16 + row % 16
    if elementWidth == 4 { return base.loadUnaligned(fromByteOffset: index * 4, as: Float.self) }
    return Half(bits: UInt16(littleEndian: base.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))).float
  }
}

/// The sizes of a packed FP32 or FP16 matrix, checked once.
public struct DenseShape: Hashable, Sendable {
  public let n: Int
  public let k: Int
  public let nBlocks: Int
  public let elementWidth: Int
  public let byteCount: Int

  /// - Throws: `.outOfRange` for a size below 1 or a byte count that overflows, `.unsupported` for a nested level.
  public init(n: Int, k: Int, level: Level) throws(AdaptQError) {
    if n < 1 { throw AdaptQError(.outOfRange, "outputs n: \(n) is below 1") }
    if k < 1 { throw AdaptQError(.outOfRange, "inputs k: \(k) is below 1") }
    if level.isNested { throw .unsupported("level \(level.name): dense weights are FP32 or FP16") }
    self.n = n
    self.k = k
    nBlocks = try roundedUp(n, to: 16) / 16
    elementWidth = level.bits / 8
    let count = try checkedProduct(nBlocks, checkedProduct(k, 16, "packed weights"), "packed weights")
    byteCount = try checkedProduct(count, elementWidth, "bytes of packed weights")
  }

  /// Packs `n` rows of `k` weights into `output`, `byteCount` bytes that are written completely.
  ///
  /// FP32 keeps every bit. FP16 rounds to nearest even.
  /// - Throws: `.invalidArgument` when `rowStride` is below `k`; `.outOfRange` naming row and column when a finite weight
  ///   does not fit FP16.
  public func pack(
    weights: UnsafePointer<Float>, rowStride: Int, into output: UnsafeMutableRawPointer
  ) throws(AdaptQError) {
    if rowStride < k { throw .invalidArgument("row stride: \(rowStride) is below the \(k) inputs") }
    _ = try checkedProduct(n, checkedProduct(rowStride, 4, "bytes of a row"), "bytes of the weights")
    for block in 0..<nBlocks {
      for lane in 0..<16 {
        let row = block &* 16 &+ lane
        var index = block &* k &* 16 &+ lane
        for column in 0..<k {
          let weight = row < n ? weights[row &* rowStride &+ column] : 0
          if elementWidth == 4 {
            output.storeBytes(of: weight, toByteOffset: index &* 4, as: Float.self)
          } else {
            let half = Half(weight)
            if half.bits & 0x7FFF == 0x7C00 && weight.isFinite {
              throw AdaptQError(.outOfRange, "weights: row \(row), column \(column) is \(weight), too large for FP16")
            }
            output.storeBytes(of: half.bits.littleEndian, toByteOffset: index &* 2, as: UInt16.self)
          }
          index &+= 16
        }
      }
    }
  }
}
