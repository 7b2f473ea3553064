/// How far a kernel may be from the exact result: the one place that says so. Tests and the check before first use cite it.
///
/// Standard forward analysis (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1): a sum of products in
/// which no term meets more than `n` roundings, in any order, is off by at most `n·u / (1 − n·u)` times the sum of the
/// terms' magnitudes, `u` = 2⁻²⁴. A fused multiply-add only removes roundings. Subnormal results may lose up to
/// 2⁻¹⁴⁹ per operation more.
public enum ErrorBound {
  static let unit = 0x1p-24

  /// - Parameters:
  ///   - roundings: the most roundings that one term meets.
  ///   - magnitude: the sum of the magnitudes of all terms.
  public static func sum(roundings: Int, magnitude: Double) -> Double {
    let product = Double(roundings) * unit
    return product / (1 - product) * magnitude + Double(roundings) * 0x1p-149
  }

  /// FP32 and FP16 products, which multiply in FP32: one rounding per product, one per partial sum, two for `alpha` and
  /// `start`. `magnitude` counts `|start|` and `|alpha · x · w|`.
  public static func dense(k: Int, magnitude: Double) -> Double {
    sum(roundings: k + 3, magnitude: magnitude)
  }

  /// Products of bfloat16 numbers, exact up to their sum, which meets roundings as in ``dense(k:magnitude:)``. `vdpbf16ps`
  /// flushes subnormal sums, so each addition may lose 2⁻¹²⁶ more. `magnitude` counts `|start|` and `|alpha · x · w|`.
  public static func bfloat16(k: Int, alpha: Double, magnitude: Double) -> Double {
    sum(roundings: k + 4, magnitude: magnitude) + Double(k + 4) * alpha.magnitude * 0x1p-126
  }

  /// What rounding both factors to bfloat16 adds to a product of floats with FP16 weights. The significand has 8 bits, so each
  /// factor is off by at most 2⁻⁸ of itself, and a product by 2⁻⁷ + 2⁻¹⁶. Inputs below 2⁻¹²⁶ count as zeros, and no weight is
  /// larger than 2¹⁶. Not counted: inputs above 2¹²⁸ − 2¹¹⁹, which become infinities. `magnitude` counts `|x · w|`.
  public static func bfloat16Rounding(k: Int, magnitude: Double) -> Double {
    magnitude * (0x1p-7 + 0x1p-16) + Double(k) * 0x1p-110
  }

  /// Products with nested weights after quantization of the activations, whose integers are exact. A group's term meets
  /// two roundings in `s'` or `lo'`, two in the products with scale and sum, one in the offset, and one per group.
  /// `magnitude` counts `|start|` and, per group, `|a · s' · A| + |offset · lo'|`.
  public static func nested(groups: Int, magnitude: Double) -> Double {
    sum(roundings: 2 * groups + 6, magnitude: magnitude)
  }

  /// What products of words add to ``nested(groups:magnitude:)``: the roundings of ``WordsArguments`` and
  /// ``unpackWordsReference(_:)``, at most one unit of an activation and 1.5 units of a weight, and the one of the integer sum.
  ///
  /// - Parameters:
  ///   - x: what the codes of a row stand for.
  ///   - weights: the weights of one output.
  ///   - stored: at least the largest magnitude that a code of the output could stand for.
  public static func words(_ x: [Double], _ weights: [Double], stored: Double) -> Double {
    let chunk = WordsArguments.groupCount * 64
    var total = 0.0
    for first in stride(from: 0, to: x.count, by: chunk) {
      let end = min(first + chunk, x.count)
      let values = x[first..<end].map(\.magnitude)
      let sum = values.reduce(0, +)
      let unit = max(sum * 1.02 * 0x1p-19, (values.max() ?? 0) * 1.02 * 0x1p-13, 0x1p-120)
      let weightUnit = max(stored * 0x1p-10, 0x1p-119)
      // Inputs beyond K are zeros, whose products are exact.
      let magnitude = weights[first..<end].reduce(0) { $0 + $1.magnitude }
      total += sum * 1.5 * weightUnit + magnitude * unit + Double(end - first) * 1.5 * weightUnit * unit
      total += unit * weightUnit * 0x1p7
    }
    return total
  }
}
