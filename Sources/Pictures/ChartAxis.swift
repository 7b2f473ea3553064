import Base
import Glibc

/// An axis from 0 up with a few round numbers on it.
public struct ChartAxis: Sendable {
  /// Above 0.
  public let end: Double
  /// From 0 to ``end``.
  public let ticks: [Double]

  /// - Parameter maximum: what must fit; anything that is no number above 0 counts as 1.
  public init(maximum: Double) {
    let wanted = maximum.isFinite && maximum > 1e-12 && maximum < 1e15 ? maximum : 1
    // The largest of 1, 2 and 5 times a power of ten that gives four steps at least.
    let power = pow(10, (log10(wanted / 4)).rounded(.down))
    let step = power * ([5.0, 2].first { power * $0 * 4 <= wanted * (1 + 1e-9) } ?? 1)
    let count = clampedInt((wanted / step * (1 - 1e-9)).rounded(.up), in: 1...20)
    end = step * Double(count)
    ticks = (0...count).map { Double($0) * step }
  }

  /// 0 at 0, 1 at ``end``; values outside count as the nearer end.
  public func position(_ value: Double) -> Double { value.isNaN ? 0 : min(max(value / end, 0), 1) }

  /// Numbers with as many decimals as the steps need.
  public func label(_ value: Double) -> String {
    let step = ticks.count > 1 ? ticks[1] : end
    var digits = 0
    var scaled = step
    while digits < 6 && abs(scaled - scaled.rounded()) > 1e-6 {
      scaled *= 10
      digits += 1
    }
    return fixed(value, digits)
  }
}
