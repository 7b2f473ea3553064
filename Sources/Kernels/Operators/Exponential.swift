// exp by Cody and Waite's reduction (Software Manual for the Elementary Functions, 1980): x = n ln 2 + r, e^x = 2^n e^r,
// with e^r = 1 + r + r² q(r) on |r| <= ln 2 / 2. The coefficients of q are a minimax fit of relative error 3.3e-9.

/// Adding it rounds to an integer (nearest, ties to even), which then sits in the low bits of the sum.
@inline(__always) var roundingMagic: Float { 0x1.8p23 }

private struct ReducedExponential {
  var exponent: SIMD8<Int32>
  var power: Vector
}

@inline(__always)
private func reduced(_ x: Vector) -> ReducedExponential {
  let shifted = x * 1.442_695 + roundingMagic
  let n = shifted - roundingMagic
  // ln 2 in two parts; the first has 9 bits, so its products are exact.
  let r = (x - n * 0.693_359_375) - n * -2.121_944_4e-4
  var q = r * 0.001_381_314_5 + 0.008_369_419
  q = q * r + 0.041_668_456
  q = q * r + 0.166_665_15
  q = q * r + 0.499_999_94
  let exponent = unsafeBitCast(shifted, to: SIMD8<Int32>.self) &- Int32(bitPattern: roundingMagic.bitPattern)
  return ReducedExponential(exponent: exponent, power: (r * r) * q + r + 1)
}

@inline(__always)
private func powerOfTwo(_ exponent: SIMD8<Int32>) -> Vector {
  unsafeBitCast((exponent &+ 127) &<< 23, to: Vector.self)
}

/// e^x for x <= 0, relative error below 1e-7; 0 below -87, NaN for NaN.
@inline(__always)
func expNonPositive(_ x: Vector) -> Vector {
  let parts = reduced(x)
  let value = parts.power * powerOfTwo(parts.exponent)
  // Beyond the bound the parts are meaningless.
  let magnitude = magnitudeBits(x)
  return vector((bits(value) & ~aboveMask(magnitude, 87)) | nanMask(magnitude))
}

/// e^x for every x, relative error below 1e-7 where the result is normal; subnormal results, overflow to infinity and
/// NaN as IEEE 754 has them.
@inline(__always)
func expVector(_ x: Vector) -> Vector {
  let parts = reduced(x)
  // In two steps, since 2^n alone leaves the normal range before the product does.
  let half = parts.exponent &>> 1
  let value = parts.power * powerOfTwo(half) * powerOfTwo(parts.exponent &- half)
  let magnitude = magnitudeBits(x)
  let limit = Bits(repeating: 0x7F80_0000) & ~signMask(x)
  return vector(select(aboveMask(magnitude, 104), limit, bits(value)) | nanMask(magnitude))
}
