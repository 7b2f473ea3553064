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
  /// flushes subnormal sums, so each addition may lose 2⁻¹²⁶ more. `tdpbf16ps` does the same and sums even and odd inputs of a step
  /// of 32 apart: at most 16 roundings there, one where they meet and one per step, and two more additions per step (Intel SDM
  /// volume 2, TDPBF16PS). `magnitude` counts `|start|` and `|alpha · x · w|`.
  public static func bfloat16(k: Int, alpha: Double, magnitude: Double) -> Double {
    sum(roundings: k + 4, magnitude: magnitude) + Double(k + k / 16 + 6) * alpha.magnitude * 0x1p-126
  }

  /// What rounding both factors to bfloat16 adds to a product of floats with FP16 weights. The significand has 8 bits, so each
  /// factor is off by at most 2⁻⁸ of itself, and a product by 2⁻⁷ + 2⁻¹⁶. Inputs below 2⁻¹²⁶ count as zeros, and no weight is
  /// larger than 2¹⁶. Not counted: inputs above 2¹²⁸ − 2¹¹⁹, which become infinities. `magnitude` counts `|x · w|`.
  public static func bfloat16Rounding(k: Int, magnitude: Double) -> Double {
    magnitude * (0x1p-7 + 0x1p-16) + Double(k) * 0x1p-110
  }

  /// Products in FP16 (``HalfArguments``). In a chunk a term meets ten roundings to 11 bits: of x, eight fused multiply-adds and the
  /// sum of even and odd inputs; then the additions of the chunks in Float. FP16 numbers below 2⁻¹⁴ have steps of 2⁻²⁴, which
  /// cost half of that at each rounding; in units of the row that is at most 2⁻²⁰ of its largest magnitude, since that stands at
  /// 2⁻⁵ or above. Same sources as above.
  ///
  /// - Parameters:
  ///   - magnitude: counts `|start|` and `|x · w|`.
  ///   - weights: the sum of `|w|`.
  ///   - largest: the largest `|x|` of the row.
  public static func half(k: Int, magnitude: Double, weights: Double, largest: Double) -> Double {
    let chunks = (k + HalfArguments.chunkInputs - 1) / HalfArguments.chunkInputs
    let half = 10 * 0x1p-11 / (1 - 10 * 0x1p-11) * magnitude
    let steps = (weights + Double(k) + Double(chunks)) * 0x1p-20 * largest
    return half + steps * 1.01 + sum(roundings: chunks + 3, magnitude: magnitude * 1.01 + steps)
  }

  /// Products with nested weights after quantization of the activations, whose integers are exact. A group's term meets
  /// two roundings in `s'` or `lo'`, two in the products with scale and sum, one in the offset, and one per group.
  /// `magnitude` counts `|start|` and, per group, `|a · s' · A| + |offset · lo'|`.
  public static func nested(groups: Int, magnitude: Double) -> Double {
    sum(roundings: 2 * groups + 6, magnitude: magnitude)
  }

  /// GELU, exact or by tanh, SiLU and ReLU before they become 8-bit codes (``ActivationPieces`` of degree 2), for an input `x`. Half a
  /// code of a group whose largest magnitude is 1 stands for 0.004. In the first piece, where results may be as small as inputs are,
  /// the error is relative. Beyond the edge a result is `x` or 0; the exact one is within 3e-8 of that, of SiLU 3e-6.
  public static func activationCodes(_ operation: UnaryOperation, _ x: Double) -> Double {
    if operation == .relu { return 0 }
    let first = Double(ActivationPieces.width(operation)) / 2
    let (near, far) = operation == .silu ? (5e-4, 2e-4) : (5e-5, 3e-5)
    return (x.magnitude < first ? near * x.magnitude : far) + 0x1p-22 * x.magnitude + 0x1p-149
  }

  /// Attention with bfloat16 shares and values (``AttentionArguments``), for one output of one query.
  ///
  /// With scores that are off by `score` a share `p / Σp` is off by the factor `e^(2 · score)`, by 2⁻⁸ from rounding `p`, by
  /// 2⁻¹³ twice from the polynomial, and by a rounding per key in each of both sums; a value by 2⁻⁸. Shares below 2⁻¹²⁶ may
  /// vanish, and so may inputs and products that small.
  ///
  /// - Parameters:
  ///   - score: as ``attentionScore(width:magnitude:isRounded:)`` or ``attentionScore(codes:_:_:)`` says.
  ///   - values: the sum of `share · |v|`.
  ///   - largestValue: the largest `|v|`.
  ///   - isRounded: against attention of values that were rounded before.
  public static func attention(
    keys: Int, score: Double, values: Double, largestValue: Double, isRounded: Bool = false
  ) -> Double {
    let sums = Double(2 * keys + 6) * 1.01 * unit
    let factor = exponential(2 * score) * (1 + 0x1p-8) * (1 + 0x1p-12) * (1 + (isRounded ? 0 : 0x1p-8)) * (1 + sums)
    return (factor - 1) * values + Double(keys) * 0x1p-125 * max(largestValue, 1)
  }

  /// A score of bfloat16 inputs: 2⁻⁸ each from rounding them, one rounding of Float per input, five from scaling.
  ///
  /// - Parameters:
  ///   - magnitude: the largest `|scale| · Σ |q| · |k|` of the keys of the query that are not masked.
  ///   - isRounded: against scores of scaled queries and keys that were rounded before.
  public static func attentionScore(width: Int, magnitude: Double, isRounded: Bool = false) -> Double {
    ((isRounded ? 0 : 2.01 * 0x1p-8) + Double(width + 5) * 1.01 * unit) * magnitude
  }

  /// A score of 8-bit codes: each input is off by half a unit and a few roundings, the sum is exact, and eight roundings follow.
  ///
  /// - Parameters:
  ///   - q: the scaled query, `k` the key.
  ///   - isRounded: against scores of what the codes stand for.
  public static func attentionScore(codes q: [Double], _ k: [Double], isRounded: Bool = false) -> Double {
    let largest = [q, k].map { max($0.reduce(0) { max($0, $1.magnitude) }, 0x1p-100) }
    let sums = [q, k].map { $0.reduce(0) { $0 + $1.magnitude } }
    let halves = largest.map { $0 / 254 * 1.001 }
    let rounding = isRounded ? 0 : halves[0] * sums[1] + halves[1] * sums[0] + Double(q.count) * halves[0] * halves[1]
    return rounding + 10 * unit * (sums[0] * largest[1] + Double(q.count) * halves[1] * largest[0])
  }

  /// e^x for x ≥ 0, from above.
  private static func exponential(_ x: Double) -> Double {
    if !(x < 700) { return .infinity }
    var halvings = 0
    var small = x
    while small > 0x1p-10 {
      small /= 2
      halvings += 1
    }
    var power = 1 + small + small * small * 0.501
    for _ in 0..<halvings { power *= power }
    return power
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
