/// GELU, exact or by tanh, SiLU and ReLU as `max(x, 0) − r(|x|)`: `r` is smooth, small and 0 far out (for ReLU everywhere), and each of
/// ``count`` equal pieces of it a polynomial of |x|, so that an evaluation is a look-up in registers and a few multiply-adds.
///
/// Polynomials go through `r` at Chebyshev's nodes, which is within a few per cent of the best fit. The first piece is
/// `|x|` times a polynomial: there the relative error counts. All is computed in Double and rounded once.
struct ActivationPieces {
  static let count = 32
  /// Inputs are rounded to the next multiple of the width, which is the middle of their piece; the last piece is 0.
  let width: Float
  var edge: Float { Float(ActivationPieces.count - 1) * width }
  var perWidth: Float { 1 / width }
  /// Whether `r` is 0.
  let isPlain: Bool
  /// Adding it rounds to an integer, which stands in the low bits then.
  static let shift: Float = 0x1.8p23

  /// By power, then by piece.
  let terms: [[Float]]

  /// Degree 4 is as exact as Float, see ``Operators/apply(_:_:_:count:)``. Degree 2 is for results that are rounded to 8 bits, see
  /// ``ErrorBound/activationCodes(_:_:)``.
  init(_ operation: UnaryOperation, degree: Int) {
    let lower =
      switch operation {
      case .geluTanh: ActivationPieces.lowerTanh
      case .silu: ActivationPieces.lowerSigmoid
      case .relu: { (_: Double) in 0.0 }
      default: ActivationPieces.lower
      }
    self.width = ActivationPieces.width(operation)
    isPlain = operation == .relu
    let width = Double(width)
    var terms = [[Float]](repeating: [], count: degree + 1)
    for piece in 0..<(ActivationPieces.count - 1) {
      var polynomial: [Double]
      if piece == 0 {
        polynomial = [0] + ActivationPieces.polynomial(from: 0, to: width / 2, degree: degree - 1, lower)
      } else {
        let middle = Double(piece) * width
        polynomial = ActivationPieces.polynomial(from: middle - width / 2, to: middle + width / 2, degree: degree) {
          $0 * lower($0)
        }
      }
      for power in 0...degree { terms[power].append(Float(polynomial[power])) }
    }
    for power in 0...degree { terms[power].append(0) }
    self.terms = terms
  }

  /// Of a piece. SiLU goes far out more slowly.
  static func width(_ operation: UnaryOperation) -> Float { operation == .silu ? 0.5 : 0.1875 }

  /// One value, in the order of operations of the generated kernels.
  func apply(_ x: Float) -> Float {
    // As integers, so that a NaN counts as far out; it comes back by the maximum.
    let magnitude = Float(bitPattern: min(x.bitPattern & 0x7FFF_FFFF, edge.bitPattern))
    let index = Int(ActivationPieces.shift.addingProduct(magnitude, perWidth).bitPattern & 31)
    var sum = terms[terms.count - 1][index]
    for power in (0..<(terms.count - 1)).reversed() { sum = terms[power][index].addingProduct(sum, magnitude) }
    return (x <= 0 ? 0 : x) - sum
  }

  // MARK: - The functions

  /// `Φ(−t)`, by the series `Φ(t) = 1/2 + φ(t) Σ t^(2n+1) / (1 · 3 · ... · (2n+1))`.
  static func lower(_ t: Double) -> Double {
    var (term, sum) = (t, t)
    for n in 1...120 {
      term *= t * t / Double(2 * n + 1)
      sum += term
    }
    return 0.5 - exponential(-t * t / 2) * 0.398_942_280_401_432_68 * sum
  }

  /// The same for GELU by tanh: `(1 − tanh u)/2 = 1 / (1 + e^2u)`.
  static func lowerTanh(_ t: Double) -> Double {
    let power = exponential(-2 * 0.797_884_560_802_865_36 * (t + 0.044715 * t * t * t))
    return power / (1 + power)
  }

  /// The same for SiLU: `1 / (1 + e^t)`.
  static func lowerSigmoid(_ t: Double) -> Double {
    let power = exponential(-t)
    return power / (1 + power)
  }

  /// e^x for x ≤ 0.
  private static func exponential(_ x: Double) -> Double {
    var (term, sum) = (1.0, 1.0)
    for n in 1...12 {
      term *= x / 256 / Double(n)
      sum += term
    }
    // Far out the series means nothing, and the power is below all that counts.
    if x < -100 { return 0 }
    for _ in 0..<8 { sum *= sum }
    return sum
  }

  /// The polynomial through `function` at Chebyshev's nodes, by Newton's differences, as coefficients of powers of t.
  private static func polynomial(
    from low: Double, to high: Double, degree: Int, _ function: (Double) -> Double
  ) -> [Double] {
    // cos(π (2i + 1) / (2n + 2)) for degrees 1 to 4.
    let cosines: [[Double]] = [
      [0.707_106_781_186_547_5], [0.866_025_403_784_438_6, 0],
      [0.923_879_532_511_286_8, 0.382_683_432_365_089_8], [0.951_056_516_295_153_6, 0.587_785_252_292_473_1, 0],
    ]
    var nodes: [Double] = []
    for cosine in cosines[degree - 1] {
      nodes.append((low + high) / 2 - (high - low) / 2 * cosine)
      if cosine != 0 { nodes.append((low + high) / 2 + (high - low) / 2 * cosine) }
    }
    var differences = nodes.map(function)
    for order in 1...degree {
      for index in (order...degree).reversed() {
        differences[index] = (differences[index] - differences[index - 1]) / (nodes[index] - nodes[index - order])
      }
    }
    var powers = [Double](repeating: 0, count: degree + 1)
    for index in (0...degree).reversed() {
      // Times (t − node), plus the difference.
      for power in (0...degree).reversed() {
        powers[power] = (power > 0 ? powers[power - 1] : 0) - nodes[index] * powers[power]
      }
      powers[0] += differences[index]
    }
    return powers
  }
}
