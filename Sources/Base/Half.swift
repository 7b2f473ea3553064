/// IEEE 754 binary16 as bits. Storage only: arithmetic happens in Float.
///
/// Written out because Swift's `Float16` conversions call run-time helpers that baseline x86-64 has no instruction for.
public struct Half: Hashable, Sendable, BitwiseCopyable {
  public var bits: UInt16

  @inlinable public init(bits: UInt16) { self.bits = bits }

  /// Rounds to nearest, ties to even; overflow becomes infinity, NaN stays NaN (quiet).
  @inlinable public init(_ value: Float) {
    let b = value.bitPattern
    let sign = UInt16(truncatingIfNeeded: b >> 16) & 0x8000
    let magnitude = b & 0x7FFF_FFFF
    if magnitude > 0x7F80_0000 {
      bits = sign | 0x7E00
    } else if magnitude >= 0x4780_0000 {
      bits = sign | 0x7C00
    } else if magnitude < 0x3880_0000 {
      // Subnormal or zero: adding 0.5 lets the FPU do the rounding to multiples of 2^-24.
      let rounded = (Float(bitPattern: magnitude) + 0.5).bitPattern &- Float(0.5).bitPattern
      bits = sign | UInt16(truncatingIfNeeded: rounded)
    } else {
      let odd = (magnitude >> 13) & 1
      bits = sign | UInt16(truncatingIfNeeded: (magnitude &- 0x3800_0000 &+ 0xFFF &+ odd) >> 13)
    }
  }

  /// Exact.
  @inlinable public var float: Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1F
    let fraction = UInt32(bits) & 0x3FF
    if exponent == 0 {
      let magnitude = Float(fraction) * 0x1p-24
      return Float(bitPattern: sign | magnitude.bitPattern)
    }
    if exponent == 31 { return Float(bitPattern: sign | 0x7F80_0000 | (fraction << 13)) }
    return Float(bitPattern: sign | ((exponent + 112) << 23) | (fraction << 13))
  }
}
