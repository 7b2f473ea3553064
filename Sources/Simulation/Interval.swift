import Glibc

/// A mean over independent runs with its 95 % confidence interval.
///
/// Each run has its own seed: other noise, other cost errors, for traces with chance in them another trace. Student's t
/// distribution with one degree of freedom less than runs; calls inside of a run depend on each other, runs do not.
public struct Interval: Hashable, Sendable {
  public var mean: Double
  /// Half the width; infinite for a single run.
  public var halfWidth: Double

  public var lower: Double { mean - halfWidth }
  public var upper: Double { mean + halfWidth }

  init(mean: Double, halfWidth: Double) {
    self.mean = mean
    self.halfWidth = halfWidth
  }

  /// - Parameter values: one per run.
  public init(_ values: [Double]) {
    let count = Double(values.count)
    mean = values.isEmpty ? 0 : values.reduce(0, +) / count
    let center = mean
    let squares = values.reduce(0) { $0 + ($1 - center) * ($1 - center) }
    halfWidth =
      values.count < 2
      ? .infinity : Self.quantile(degrees: values.count - 1) * sqrt(squares / (count - 1) / count)
  }

  /// The 97.5 % quantile of Student's t: a table up to ten degrees of freedom, from there on three terms of the expansion
  /// by the normal quantile (Abramowitz and Stegun, 26.7.5), exact to four digits.
  static func quantile(degrees: Int) -> Double {
    let table = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281]
    if degrees < 1 { return .infinity }
    if degrees <= table.count { return table[degrees - 1] }
    let x = 1.959_964
    let n = Double(degrees)
    let x3 = x * x * x
    let x5 = x3 * x * x
    return x + (x3 + x) / (4 * n) + (5 * x5 + 16 * x3 + 3 * x) / (96 * n * n)
      + (3 * x5 * x * x + 19 * x5 + 17 * x3 - 15 * x) / (384 * n * n * n)
  }
}
