// Products in bfloat16 in plain Swift: the twins of generated kernels.

/// The bits of the bfloat16 nearest to `value`, as ``RoundArguments`` says.
@inline(__always)
func bfloat16(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  if value.isNaN { return UInt16(truncatingIfNeeded: bits &>> 16) | 0x40 }
  if value.magnitude < .leastNormalMagnitude { return UInt16(truncatingIfNeeded: bits &>> 16) & 0x8000 }
  // Half of the last place that stays, less one where that place is even: a carry goes up into the exponent as it should.
  return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits &>> 16 & 1)) &>> 16)
}

/// ``RoundArguments`` in plain Swift.
func roundReference(_ a: RoundArguments) {
  for row in 0..<a.rows {
    let x = UnsafeRawPointer(a.x) + row &* a.xRowStride
    let output = a.output + row &* a.outputRowStride
    for k in 0..<a.k {
      output.storeBytes(
        of: bfloat16(x.load(fromByteOffset: k &* 4, as: Float.self)), toByteOffset: k &* 2, as: UInt16.self)
    }
    if a.k & 1 == 1 { output.storeBytes(of: 0, toByteOffset: a.k &* 2, as: UInt16.self) }
  }
}

/// ``BFloat16Arguments`` in plain Swift. Per pair the odd input's product is added first, as `vdpbf16ps` does, with one
/// rounding each (a product is exact unless it leaves the range of normal floats). `vdpbf16ps` also flushes subnormal sums to
/// zero, which ``ErrorBound`` counts.
func bfloat16Reference(_ a: BFloat16Arguments) {
  for block in 0..<a.blocks {
    multiply(a, block) { pair in
      a.w.loadUnaligned(fromByteOffset: block &* a.blockStride &+ pair &* 64, as: SIMD16<UInt32>.self)
    }
  }
}

/// ``BFloat16HalfArguments`` in plain Swift.
func bfloat16HalfReference(_ a: BFloat16HalfArguments) {
  for block in 0..<a.product.blocks {
    multiply(a.product, block) { pair in roundedPair(a, block, pair) }
    guard let panel = a.panel else { continue }
    for pair in 0..<a.product.pairs {
      panel.storeBytes(
        of: roundedPair(a, block, pair), toByteOffset: block &* a.product.blockStride &+ pair &* 64,
        as: SIMD16<UInt32>.self)
    }
  }
}

@inline(__always)
private func roundedPair(_ a: BFloat16HalfArguments, _ block: Int, _ pair: Int) -> SIMD16<UInt32> {
  let halves = a.halves + (block &* a.halfBlockStride &+ pair &* 64)
  var weights = rounded(floats(halvesAt: halves))
  if 2 &* pair &+ 1 < a.k { weights |= rounded(floats(halvesAt: halves + 32)) &<< 16 }
  return weights
}

/// - Parameter weights: a pair of inputs of all outputs, odd ones in the upper halves.
@inline(__always)
private func multiply(_ a: BFloat16Arguments, _ block: Int, weights: (_ pair: Int) -> SIMD16<UInt32>) {
  for row in 0..<a.rows {
    let x = a.x + row &* a.xRowStride
    var sum = SIMD16<Float>(repeating: 0)
    for pair in 0..<a.pairs {
      let inputs = x.loadUnaligned(fromByteOffset: pair &* 4, as: UInt32.self)
      let weights = weights(pair)
      sum += floats(weights & 0xFFFF_0000) * Float(bitPattern: inputs & 0xFFFF_0000)
      sum += floats(weights &<< 16) * Float(bitPattern: inputs &<< 16)
    }
    let start = UnsafeRawPointer(a.start + block &* 16)
      .loadUnaligned(fromByteOffset: row &* a.startRowStride, as: SIMD16<Float>.self)
    UnsafeMutableRawPointer(a.y + block &* 16).storeBytes(
      of: start + sum * a.alpha, toByteOffset: row &* a.yRowStride, as: SIMD16<Float>.self)
  }
}

@inline(__always)
private func floats(_ bits: SIMD16<UInt32>) -> SIMD16<Float> { unsafeBitCast(bits, to: SIMD16<Float>.self) }

@inline(__always)
private func rounded(_ values: SIMD16<Float>) -> SIMD16<UInt32> {
  var result = SIMD16<UInt32>(repeating: 0)
  for lane in 0..<16 { result[lane] = UInt32(bfloat16(values[lane])) }
  return result
}
