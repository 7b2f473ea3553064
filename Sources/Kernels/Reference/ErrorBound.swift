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

  /// Products with nested weights after quantization of the activations, whose integers are exact. A group's term meets
  /// two roundings in `s'` or `lo'`, two in the products with scale and sum, one in the offset, and one per group.
  /// `magnitude` counts `|start|` and, per group, `|a · s' · A| + |offset · lo'|`.
  public static func nested(groups: Int, magnitude: Double) -> Double {
    sum(roundings: 2 * groups + 6, magnitude: magnitude)
  }
}
