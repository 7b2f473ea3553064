import Base

/// Round numbers from 0 to the first one that is not below the largest value.
struct ProfileAxis: Equatable {
  var unit: String
  /// Nanoseconds.
  var ticks: [Double]
  var labels: [String]
  var end: Double { ticks.last ?? 1 }

  init(maximum: Double) {
    let largest = max(maximum, 1)
    unit = largest >= 1e6 ? "ms" : "us"
    let size = largest >= 1e6 ? 1e6 : 1e3
    var step = size / 1000
    var turn = 0
    while largest / step > 8 && turn < 60 {
      step *= turn % 3 == 1 ? 2.5 : 2
      turn += 1
    }
    let count = clampedInt((largest / step).rounded(.up), in: 1...8)
    ticks = (0...count).map { Double($0) * step }
    let digits = [1, 0.1, 0.01].firstIndex { step / size > $0 * 0.99 } ?? 3
    labels = ticks.map { fixed($0 / size, digits) }
  }
}
