import Glibc

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the same numbers for the same seed, and streams that any index begins.
struct SimulationRandom {
  private var state: UInt64

  init(seed: UInt64, stream: UInt64) {
    state = seed &* 0xD1B5_4A32_D192_ED03 ^ stream &* 0x9E37_79B9_7F4A_7C15
    // Neighbouring seeds and streams begin far from each other.
    state = next() ^ seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// 0 to 1, without 1.
  mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  mutating func uniform(_ range: ClosedRange<Double>) -> Double {
    range.lowerBound + (range.upperBound - range.lowerBound) * uniform()
  }

  /// Standard normal (Box and Muller 1958).
  mutating func normal() -> Double {
    let radius = sqrt(-2 * log(1 - uniform()))
    return radius * cos(2 * Double.pi * uniform())
  }
}
