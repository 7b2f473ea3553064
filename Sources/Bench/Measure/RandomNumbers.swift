/// Numbers for inputs and weights: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators,
/// scrambled", ACM TOMS 42(4), 2016). Seeded, so that a checksum repeats.
struct RandomNumbers {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 2 &+ 1 }

  mutating func next() -> UInt64 {
    state ^= state >> 12
    state ^= state << 25
    state ^= state >> 27
    return state &* 0x2545_F491_4F6C_DD1D
  }

  /// Below `bound`, which is at least 1.
  mutating func below(_ bound: Int) -> Int {
    Int(truncatingIfNeeded: next() >> 33) % max(bound, 1)
  }

  /// Sum of four uniforms with mean 0 and variance 1: bell-shaped and bounded, which is what weights look like.
  mutating func normal() -> Float {
    let bits = next()
    var sum: Int32 = -2 * 0xFFFF
    for part in 0..<4 { sum &+= Int32(truncatingIfNeeded: (bits >> UInt64(part * 16)) & 0xFFFF) }
    return Float(sum) * (1.7320508 / 65536)
  }

  mutating func fill(_ target: UnsafeMutablePointer<Float>, count: Int, scale: Float = 1) {
    for index in 0..<count { target[index] = normal() * scale }
  }
}
