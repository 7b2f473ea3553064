import Base
import Control

/// A latency budget in one word, so that a setter can leave it with one store: nanoseconds in the low 50 bits, the percentile
/// times 100 in the high 14; 0 for no budget.
///
/// - Parameter nanoseconds: nil for no budget.
func packedBudget(nanoseconds: Int?, percentile: Double) throws(AdaptQError) -> UInt64 {
  guard let nanoseconds else { return 0 }
  if nanoseconds < 1 || nanoseconds >= 1 << 50 {
    throw AdaptQError(.outOfRange, "latency_ns: \(nanoseconds), allowed are 1 to \(1 << 50 - 1)")
  }
  if !(percentile >= 50 && percentile <= 99.9) {
    throw AdaptQError(.outOfRange, "percentile: \(percentile), allowed are 50 to 99.9")
  }
  return UInt64(clampedInt(percentile * 100, in: 5000...9990)) << 50 | UInt64(nanoseconds)
}

extension LatencyController {
  /// Takes over what ``packedBudget(nanoseconds:percentile:)`` packed.
  mutating func setBudget(word: UInt64) {
    let nanoseconds = word == 0 ? nil : Int(truncatingIfNeeded: word & (1 << 50 &- 1))
    // Whoever packed it has checked both.
    try? setBudget(
      nanoseconds: nanoseconds, percentile: word == 0 ? configuration.percentile : Double(word >> 50) / 100)
  }
}
