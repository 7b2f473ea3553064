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

  /// The stored step of one output row and the group of an input, the factor not applied.
  public func storedStep(_ row: Int, column: Int) -> Float {
    if scaleKind == .perOutput { return single(row, column, 0) }
    return half(row, column, 0).float
  }

  /// What is added to the step's multiple, the factor not applied: the stored minimum, or what code 0 stands for.
  public func storedMinimum(_ row: Int, column: Int) -> Float {
    switch scaleKind {
    case .stepAndMinimum: half(row, column, 32).float
    case .symmetric: -128 * storedStep(row, column: column)
    case .perOutput: -zeroPoint(row) * storedStep(row, column: column)
    }
  }

  /// The code that stands for 0 with ``ScaleKind/perOutput``; else 0.
  public func zeroPoint(_ row: Int) -> Float { scaleKind == .perOutput ? single(row, 0, 64) : 0 }

  func half(_ row: Int, _ column: Int, _ part: Int) -> Half {
    let place = scaleOffset(row / 16, column / 64) + part + (row % 16) * 2
    return Half(bits: UInt16(littleEndian: scales.loadUnaligned(fromByteOffset: place, as: UInt16.self)))
  }

  private func single(_ row: Int, _ column: Int, _ part: Int) -> Float {
    let place = scaleOffset(row / 16, column / 64) + part + (row % 16) * 4
    return Float(bitPattern: UInt32(littleEndian: scales.loadUnaligned(fromByteOffset: place, as: UInt32.self)))
  }

  /// The weight that `level` stands for: the middle of its bin. NaN for a level that is not nested.
  ///
  /// Evaluated in this order: the product is exact in Float, the sum rounds once, and the factor is a power of two when
  /// this library's encoder chose it.
  public func value(_ row: Int, _ column: Int, _ level: Level) -> Float {
    if !level.isNested { return .nan }
    let (code, step) = (code(row, column), storedStep(row, column: column))
    switch scaleKind {
    case .stepAndMinimum:
      return reconstruct(
        code: code, step: step, minimum: storedMinimum(row, column: column), factor: factor, level: level)
    case .symmetric, .perOutput:
      let dropped = UInt8(8 &- level.bits)
      let zero = scaleKind == .symmetric ? 128 : zeroPoint(row)
      return factor * (step * (Float((code >> dropped) << dropped) + scaleKind.binCenter(level) - zero))
    }
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

extension ScaleKind {
  /// How far the middle of a level's bin lies above its first code, in steps. At 8 bits codes of the kinds without a minimum
  /// are the weights themselves.
  @inlinable public func binCenter(_ level: Level) -> Float {
    if self != .stepAndMinimum && level == .int8 { return 0 }
    return Float(UInt32(1) << UInt32(8 &- level.bits)) * 0.5
  }
}
