import NestedFormat

/// The input of a product as floats and, where ``KernelTable/preparesInput(_:rows:)`` says that its kernels read another form,
/// in that form beside. Trivial.
public struct ProductInput: BitwiseCopyable, @unchecked Sendable {
  public var x: UnsafePointer<Float>
  /// Floats from one row to the next.
  public var xRowStride: Int
  /// 64-byte aligned, ``QuantizedActivations/byteCount(rows:k:)`` bytes.
  public var prepared: UnsafeMutableRawPointer
  public var rows: Int
  public var k: Int

  @inline(__always)
  public init(x: UnsafePointer<Float>, xRowStride: Int, prepared: UnsafeMutableRawPointer, rows: Int, k: Int) {
    self.x = x
    self.xRowStride = xRowStride
    self.prepared = prepared
    self.rows = rows
    self.k = k
  }

  /// Whether what was prepared for products at `other` serves those at `level`: of codes only those for INT8 may have words.
  @inlinable public static func serves(_ level: Level, madeFor other: Level) -> Bool {
    level.isNested == other.isNested && (level != .int8 || other == .int8)
  }

  /// Prepares `rowCount` rows from `firstRow` on for products at `level`; different rows may be prepared by different threads.
  @inline(__always)
  public func prepare(_ level: Level, _ kernels: KernelTable, firstRow: Int, rowCount: Int) {
    if level.isNested {
      quantize(
        x: x, xRowStride: xRowStride, into: QuantizedActivations(memory: prepared, rows: rows, k: k), level,
        firstRow: firstRow, rowCount: rowCount, kernels)
    } else {
      BFloat16Activations(memory: prepared, rows: rows, k: k, kernels).panel(firstRow, rowCount)
        .round(x + firstRow &* xRowStride, xRowStride: xRowStride, count: rowCount, kernels)
    }
  }

  /// The product of `rowCount` rows from `firstRow` on with `blocks` blocks of 16 outputs from `firstBlock` on, after
  /// ``prepare(_:_:firstRow:rowCount:)`` of all rows where that is needed.
  ///
  /// - Parameters:
  ///   - y: the output of row `firstRow`, rows `yRowStride` floats apart.
  ///   - scratch: the thread's own, ``productScratchByteCount(maxRows:)`` bytes, 64-byte aligned.
  @inline(__always)
  public func multiply(
    _ weights: LinearWeights, _ level: Level, _ kernels: KernelTable, firstRow: Int, rowCount: Int,
    y: UnsafeMutablePointer<Float>, yRowStride: Int, firstBlock: Int, blocks: Int, scratch: UnsafeMutableRawPointer
  ) {
    if level.isNested {
      linearQuantized(
        weights, level, kernels,
        x: QuantizedActivations(memory: prepared, rows: rows, k: k).panel(firstRow, rowCount), y: y,
        yRowStride: yRowStride, firstBlock: firstBlock, blocks: blocks, scratch: scratch)
    } else if kernels.usesBFloat16(level, rows: rows) {
      linearBFloat16(
        weights, kernels,
        x: BFloat16Activations(memory: prepared, rows: rows, k: k, kernels).panel(firstRow, rowCount), y: y,
        yRowStride: yRowStride, firstBlock: firstBlock, blocks: blocks, scratch: scratch)
    } else {
      linearDense(
        weights, level, kernels, x: x + firstRow &* xRowStride, xRowStride: xRowStride, rows: rowCount, y: y,
        yRowStride: yRowStride, firstBlock: firstBlock, blocks: blocks, scratch: scratch)
    }
  }
}
