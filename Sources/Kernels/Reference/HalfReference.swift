import Base

// Products in FP16 in plain Swift: the twins of generated kernels.

/// ``RoundArguments`` for ``HalfArguments``: e = exponent of the largest magnitude + 5, so that numbers `x · 2^-e` are below 2⁻⁴, then
/// these, rounded to nearest even. A row with a NaN or an infinity keeps those; its other numbers may become zeros.
func roundHalfReference(_ a: RoundArguments) {
  for row in 0..<a.rows {
    let x = UnsafeRawPointer(a.x) + row &* a.xRowStride
    let output = a.output + row &* a.outputRowStride
    var largest: UInt32 = 0
    for k in 0..<a.k {
      largest = max(largest, x.load(fromByteOffset: k &* 4, as: UInt32.self) & 0x7FFF_FFFF)
    }
    let exponent = Int(largest &>> 23) &- 127 &+ 1 &- HalfArguments.largestExponent
    let factor = power(0 &- exponent)
    // Rows may be rounded in place: each number is read before the one in front of it is written, the exponent comes last.
    var next = x.load(as: Float.self)
    for k in 0..<a.k {
      let number = Double(next) * factor
      if k &+ 1 < a.k { next = x.load(fromByteOffset: k &* 4 &+ 4, as: Float.self) }
      output.storeBytes(
        of: Half(Float(number)).bits, toByteOffset: HalfArguments.headerByteCount &+ k &* 2,
        as: UInt16.self)
    }
    if a.k & 1 == 1 {
      output.storeBytes(
        of: 0, toByteOffset: HalfArguments.headerByteCount &+ a.k &* 2, as: UInt16.self)
    }
    output.storeBytes(of: Float(exponent), as: Float.self)
  }
}

/// ``HalfArguments`` in plain Swift. A fused multiply-add is one of Float, whose result is rounded to FP16: now and then another
/// neighbour than a single rounding gives, which ``ErrorBound/half(k:magnitude:weights:largest:)`` covers.
func halfReference(_ a: HalfArguments) {
  for row in 0..<a.rows {
    let x = a.x + row &* a.xRowStride
    let factor = power(Int(x.load(as: Float.self)))
    for lane in 0..<(16 &* a.blocks) {
      let w = a.w + (lane / 16 &* a.blockStride &+ lane % 16 &* 2)
      var total: Float = 0
      var first = 0
      while first < a.k {
        var sums: (Float, Float) = (0, 0)
        for k in first..<min(first &+ HalfArguments.chunkInputs, a.k) {
          let number = x.load(
            fromByteOffset: HalfArguments.headerByteCount &+ k &* 2, as: UInt16.self)
          let product =
            Half(bits: number).float
            * Half(bits: w.load(fromByteOffset: k &* 32, as: UInt16.self)).float
          if k & 1 == 0 {
            sums.0 = Half(sums.0 + product).float
          } else {
            sums.1 = Half(sums.1 + product).float
          }
        }
        total += Half(sums.0 + sums.1).float
        first &+= HalfArguments.chunkInputs
      }
      let start = UnsafeRawPointer(a.start + lane).loadUnaligned(
        fromByteOffset: row &* a.startRowStride, as: Float.self)
      UnsafeMutableRawPointer(a.y + lane).storeBytes(
        of: start + Float(Double(total) * factor), toByteOffset: row &* a.yRowStride, as: Float.self
      )
    }
  }
}

/// 2^exponent for magnitudes below 1000.
@inline(__always)
private func power(_ exponent: Int) -> Double {
  Double(bitPattern: UInt64(truncatingIfNeeded: exponent &+ 1023) &<< 52)
}
