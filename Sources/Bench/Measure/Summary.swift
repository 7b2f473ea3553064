import Base

/// One sample.
struct Sample: Equatable {
  /// Per call.
  var nanoseconds: Double
  /// Whether the thread waited for its CPU meanwhile.
  var isDisturbed = false
}

/// What is kept of one contestant's samples. Times are nanoseconds per call.
public struct Summary: Equatable, Sendable {
  public var median: Double
  public var percentile95: Double
  public var minimum: Double
  /// Samples taken, one in each round.
  public var rounds: Int
  /// Samples during which the thread waited for its CPU. They are left out of the times above unless fewer than
  /// three others are there.
  public var disturbed: Int
  /// Calls that one sample lasted.
  public var callsPerSample: Int

  /// - Parameter samples: at least one.
  init(_ samples: [Sample], callsPerSample: Int) {
    let undisturbed = samples.filter { !$0.isDisturbed }
    let used = undisturbed.count >= InterleavedRounds.minimumRounds ? undisturbed : samples
    let sorted = used.map(\.nanoseconds).sorted()
    median = middle(sorted: sorted)
    percentile95 = percentile(95, sorted: sorted)
    minimum = sorted.first ?? 0
    rounds = samples.count
    disturbed = samples.count - undisturbed.count
    self.callsPerSample = callsPerSample
  }
}

/// The middle of ascending values, the mean of both for an even count; 0 for none.
func middle(sorted: [Double]) -> Double {
  if sorted.isEmpty { return 0 }
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// The smallest of ascending values that at least `percent` of them do not exceed (nearest rank); 0 for none.
func percentile(_ percent: Double, sorted: [Double]) -> Double {
  if sorted.isEmpty { return 0 }
  let rank = clampedInt((percent / 100 * Double(sorted.count)).rounded(.up), in: 1...sorted.count)
  return sorted[rank - 1]
}
