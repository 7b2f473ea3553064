import Base

/// The last latencies, with their exact percentile. Trivial storage, no allocation.
struct LatencyWindow: BitwiseCopyable, Sendable {
  static let capacity = 256

  private let length: Int
  private var ring: InlineArray<256, Int>
  private var sorted: InlineArray<256, Int>
  private(set) var count = 0
  private var next = 0

  init(length: Int) {
    self.length = min(max(length, 1), Self.capacity)
    ring = InlineArray(repeating: 0)
    sorted = InlineArray(repeating: 0)
  }

  mutating func append(_ value: Int) {
    var end = count
    if count == length {
      // Close the gap that the oldest value leaves in the sorted copy.
      var index = lowerBound(ring[next])
      while index < count &- 1 {
        sorted[index] = sorted[index &+ 1]
        index &+= 1
      }
      end = count &- 1
    } else {
      count &+= 1
    }
    ring[next] = value
    next = next &+ 1 == length ? 0 : next &+ 1
    while end > 0 && sorted[end &- 1] > value {
      sorted[end] = sorted[end &- 1]
      end &-= 1
    }
    sorted[end] = value
  }

  private func lowerBound(_ value: Int) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low &+ high) / 2
      if sorted[middle] < value { low = middle &+ 1 } else { high = middle }
    }
    return low
  }

  /// Nearest rank: the smallest value such that at least `percentile` per cent of the window do not exceed it; 0 when
  /// the window is empty.
  func value(atPercentile percentile: Double) -> Int {
    count == 0 ? 0 : sorted[nearestRank(percentile, count) &- 1]
  }
}

/// `ceil(percentile / 100 · count)`, from 1 to `count`.
func nearestRank(_ percentile: Double, _ count: Int) -> Int {
  // The small term keeps 95 % of 100 at 95 although 0.95 · 100 is a little more in binary.
  let exact = (percentile * Double(count) / 100 - 1e-9).rounded(.up)
  return clampedInt(exact, in: 1...max(count, 1))
}
