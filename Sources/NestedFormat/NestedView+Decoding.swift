import Base

// The plain decoder: it defines what the bytes mean, slowly and obviously. Kernels are tested against it.

extension NestedView {
  /// The 8-bit code of one weight; bits of planes that are not loaded are 0.
  ///
  /// - Parameters: `row` in 0..<16·nBlocks and `column` in 0..<64·kBlocks, padding included; not checked.
  public func code(_ row: Int, _ column: Int) -> UInt8 {
    let block = (row / 16) * kBlocks + column / 64
    let vector = column % 64 / 4
    let byte = (row % 16) * 4 + column % 4
    let field = vector % 4
    let offset = block * 256 + (vector / 4) * 64 + byte
    var code: UInt8 = 0
    for index in 0..<4 {
      guard let plane = plane(index) else { continue }
      let stored = plane.load(fromByteOffset: offset, as: UInt8.self)
      let bits = (stored >> UInt8((6 - 2 * index + 2 * field) & 7)) & 3
      code |= bits << UInt8(6 - 2 * index)
    }
    return code
  }

  /// The stored step of one output row and group, the factor not applied.
  public func storedStep(_ row: Int, group: Int) -> Half { scale(row, group, 0) }

  /// The stored minimum of one output row and group, the factor not applied.
  public func storedMinimum(_ row: Int, group: Int) -> Half { scale(row, group, 32) }

  private func scale(_ row: Int, _ group: Int, _ part: Int) -> Half {
    let line = (row / 16) * kBlocks + group
    let bits = scales.loadUnaligned(fromByteOffset: line * 64 + part + (row % 16) * 2, as: UInt16.self)
    return Half(bits: UInt16(littleEndian: bits))
  }

  /// The weight that `level` stands for: the middle of its bin. NaN for a level that is not nested.
  ///
  /// Evaluated in this order: the product is exact in Float, the sum rounds once, and the factor is a power of two when
  /// this library's encoder chose it.
  public func value(_ row: Int, _ column: Int, _ level: Level) -> Float {
    if !level.isNested { return .nan }
    let group = column / 64
    return reconstruct(
      code: code(row, column), step: storedStep(row, group: group).float,
      minimum: storedMinimum(row, group: group).float, factor: factor, level: level)
  }

  /// Writes all `n` x `k` weights as `level` reads them.
  ///
  /// - Parameter rowStride: distance of two rows of `output` in elements, `k` when nil.
  public func decode(_ level: Level, into output: UnsafeMutablePointer<Float>, rowStride: Int? = nil) {
    let stride = rowStride ?? k
    for row in 0..<n {
      for column in 0..<k { output[row * stride + column] = value(row, column, level) }
    }
  }
}

/// `factor · (lo + s · 2^(8-b) · (U_b + 1/2))` with `U_b = code >> (8 - b)`, for a nested level of `b` bits.
@inlinable
func reconstruct(code: UInt8, step: Float, minimum: Float, factor: Float, level: Level) -> Float {
  let dropped = UInt8(8 &- level.bits)
  let kept = Float((code >> dropped) << dropped)
  let halfBin = Float(UInt32(1) << UInt32(dropped)) * 0.5
  return factor * (minimum + step * (kept + halfBin))
}
