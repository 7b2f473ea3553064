import Base

// The float products in plain Swift: the twin of generated kernels and what runs where nothing may be generated.

/// ``DenseArguments`` with FP32 weights. Sums in order of `k`, one rounding per product and per sum.
func denseReference(_ arguments: DenseArguments) {
  for block in 0..<arguments.blocks { denseBlockReference(arguments.block(block)) }
}

private func denseBlockReference(_ a: DenseArguments) {
  for row in 0..<a.rows {
    let x = UnsafeRawPointer(a.x) + row &* a.xRowStride
    var sum = SIMD16<Float>(repeating: 0)
    for k in 0..<a.k {
      let w = a.w.loadUnaligned(fromByteOffset: k &* 64, as: SIMD16<Float>.self)
      sum += w * x.load(fromByteOffset: k &* 4, as: Float.self)
    }
    finishRow(a, row, sum)
  }
}

/// ``DenseArguments`` with FP16 weights, converted exactly, summed as in ``denseReference(_:)``.
func denseHalfReference(_ arguments: DenseArguments) {
  for block in 0..<arguments.blocks { denseHalfBlockReference(arguments.block(block)) }
}

private func denseHalfBlockReference(_ a: DenseArguments) {
  for row in 0..<a.rows {
    let x = UnsafeRawPointer(a.x) + row &* a.xRowStride
    var sum = SIMD16<Float>(repeating: 0)
    for k in 0..<a.k {
      sum += floats(halvesAt: a.w + k &* 32) * x.load(fromByteOffset: k &* 4, as: Float.self)
    }
    finishRow(a, row, sum)
  }
}

extension DenseArguments {
  /// The call for one block alone.
  fileprivate func block(_ index: Int) -> DenseArguments {
    var one = self
    one.blocks = 1
    one.w = w + index &* blockStride
    one.start = start + index &* 16
    one.y = y + index &* 16
    return one
  }
}

@inline(__always)
private func finishRow(_ a: DenseArguments, _ row: Int, _ sum: SIMD16<Float>) {
  let start = UnsafeRawPointer(a.start).loadUnaligned(fromByteOffset: row &* a.startRowStride, as: SIMD16<Float>.self)
  UnsafeMutableRawPointer(a.y).storeBytes(
    of: start + sum * a.alpha, toByteOffset: row &* a.yRowStride, as: SIMD16<Float>.self)
}

/// 16 f16 as floats, exact; ``Half/float`` on 16 lanes.
///
/// Shifting the fraction into place and multiplying by 2¹¹² moves the exponent and makes subnormals right in one step;
/// only infinities and NaN need their exponent restored.
@inline(__always)
func floats(halvesAt address: UnsafeRawPointer) -> SIMD16<Float> {
  let bits = SIMD16<UInt32>(truncatingIfNeeded: address.loadUnaligned(as: SIMD16<UInt16>.self))
  let magnitude = (bits & 0x7FFF) &<< 13
  let scaled = unsafeBitCast(magnitude, to: SIMD16<Float>.self) * 0x1p112
  var result = unsafeBitCast(scaled, to: SIMD16<UInt32>.self)
  result.replace(with: magnitude | 0x7F80_0000, where: (bits & 0x7C00) .== 0x7C00)
  return unsafeBitCast(result | ((bits & 0x8000) &<< 16), to: SIMD16<Float>.self)
}
