/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): small, seedable, the same numbers everywhere.
public struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  /// Derives the seed from the test's name, so that every test has its own numbers and a failure repeats.
  public init(_ testName: String, _ index: Int = 0) {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in testName.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    state = hash &+ UInt64(truncatingIfNeeded: index) &* 0x9E37_79B9_7F4A_7C15
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Sum of twelve uniforms minus six: close to a standard normal, and bounded.
  public mutating func normal() -> Float {
    var sum: Float = -6
    for _ in 0..<12 { sum += Float.random(in: 0..<1, using: &self) }
    return sum
  }
}
