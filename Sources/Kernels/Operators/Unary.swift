/// The functions of one argument; raw values are fixed, so that a plan may store them.
public enum UnaryOperation: UInt8, CaseIterable, Sendable {
  /// `x Φ(x)`, the exact GELU that PyTorch uses by default.
  case gelu = 0
  /// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`, GELU's approximation.
  case geluTanh = 1
  case relu = 2
  /// `x / (1 + e^-x)`.
  case silu = 3
  case tanh = 4
  /// `1 / (1 + e^-x)`.
  case sigmoid = 5
  case exp = 6
  case negate = 7
  case absolute = 8
  case squareRoot = 9
  case reciprocal = 10
}

/// Maximum errors, against the exact function of the float argument; NaN gives NaN, infinities give the limit (also
/// where PyTorch's formulas give NaN: gelu, geluTanh and silu of -infinity are 0).
///
/// | operation | error |
/// |---|---|
/// | gelu | 3e-7 max(1, \|x\|) absolute |
/// | geluTanh, silu | 1.6e-7 max(1, \|x\|) absolute |
/// | sigmoid | 1e-7 absolute |
/// | tanh | 3.5e-7 relative |
/// | exp | 1e-7 relative where the result is normal |
/// | others | correctly rounded |
extension Operators {
  /// `y[i] = operation(x[i])` for `count` elements; `y` may be `x`.
  public static func apply(
    _ operation: UnaryOperation, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, count: Int
  ) {
    switch operation {
    case .gelu: map(Gelu.self, x, y, count)
    case .geluTanh: map(GeluTanh.self, x, y, count)
    case .relu: map(Relu.self, x, y, count)
    case .silu: map(Silu.self, x, y, count)
    case .tanh: map(Tanh.self, x, y, count)
    case .sigmoid: map(Sigmoid.self, x, y, count)
    case .exp: map(Exp.self, x, y, count)
    case .negate: map(Negate.self, x, y, count)
    case .absolute: map(Absolute.self, x, y, count)
    case .squareRoot: map(SquareRoot.self, x, y, count)
    case .reciprocal: map(Reciprocal.self, x, y, count)
    }
  }

  @inline(__always)
  private static func map<Function: VectorFunction>(
    _: Function.Type, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ count: Int
  ) {
    var index = 0
    while index &+ 8 <= count {
      store(Function.apply(load(x, index)), y, index)
      index &+= 8
    }
    if index < count {
      let tail = count &- index
      storeTail(Function.apply(loadTail(x, index, count: tail)), y, index, count: tail)
    }
  }
}

/// A function on eight lanes at once, named by a type so that loops over it are specialised and inlined.
protocol VectorFunction {
  static func apply(_ x: Vector) -> Vector
}

enum Gelu: VectorFunction {
  /// Φ(x) = 1/2 + x/2 P(x²)/Q(x²): a rational minimax fit of erf(x/√2)/x on |x| <= 5.5 that lets GELU be off by 6.7e-9.
  /// Beyond, GELU is x or 0 to within 1.1e-7.
  @inline(__always)
  static func apply(_ x: Vector) -> Vector {
    let t = x * x
    var p = t * 4.535_200_7e-8 + 1.276_977_7e-5
    p = p * t + 3.423_734_5e-4
    p = p * t + 0.009_382_702
    p = p * t + 0.068_134_19
    p = p * t + 0.797_884_345
    var q = t * 1.197_848_5e-6 + 7.449_91e-5
    q = q * t + 0.001_897_476_4
    q = q * t + 0.028_771_296
    q = q * t + 0.252_058_95
    q = q * t + 1
    let half = x * 0.5
    let value = half * ((x * p) / q) + half
    let magnitude = magnitudeBits(x)
    let limit = bits(x) & ~signMask(x)
    return vector(select(aboveMask(magnitude, 5.5), limit, bits(value)) | nanMask(magnitude))
  }
}

enum Sigmoid: VectorFunction {
  @inline(__always)
  static func apply(_ x: Vector) -> Vector {
    let e = expNonPositive(vector(bits(x) | Int32.min))
    // e / (1 + e) on the negative side keeps its relative accuracy.
    return vector(select(signMask(x), bits(e), bits(Vector(repeating: 1)))) / (e + 1)
  }
}

enum Silu: VectorFunction {
  @inline(__always)
  static func apply(_ x: Vector) -> Vector {
    zeroBelow(x, 100, x * Sigmoid.apply(x))
  }
}

enum GeluTanh: VectorFunction {
  /// (1 + tanh u)/2 = sigmoid(2u).
  @inline(__always)
  static func apply(_ x: Vector) -> Vector {
    let u = x * (x * x * (2 * 0.797_884_56 * 0.044_715) + (2 * 0.797_884_56))
    return zeroBelow(x, 12, x * Sigmoid.apply(u))
  }
}

enum Tanh: VectorFunction {
  /// x P(x²)/Q(x²), a rational minimax fit of relative error 2.1e-8 on |x| <= 9; beyond, tanh rounds to 1.
  @inline(__always)
  static func apply(_ x: Vector) -> Vector {
    let t = x * x
    var p = t * 1.335_461_6e-8 + 2.060_904_6e-5
    p = p * t + 0.003_495_585_9
    p = p * t + 0.133_810_24
    p = p * t + 1
    var q = t * 7.776_539e-7 + 3.285_631_2e-4
    q = q * t + 0.025_876_973
    q = q * t + 0.467_143_39
    q = q * t + 1
    let value = bits((x * p) / q)
    // Rounding may have passed 1 as well.
    let magnitude = magnitudeBits(x)
    let tooLarge = aboveMask(value & 0x7FFF_FFFF, 1) | aboveMask(magnitude, 9)
    let limit = bits(Vector(repeating: 1)) | (bits(x) & Int32.min)
    return vector(select(tooLarge, limit, value) | nanMask(magnitude))
  }
}

/// `value`, but 0 where x is below -bound: the limit that the formula misses at -infinity.
@inline(__always)
private func zeroBelow(_ x: Vector, _ bound: Float, _ value: Vector) -> Vector {
  let magnitude = magnitudeBits(x)
  return vector((bits(value) & ~(signMask(x) & aboveMask(magnitude, bound))) | nanMask(magnitude))
}

enum Relu: VectorFunction {
  @inline(__always)
  static func apply(_ x: Vector) -> Vector {
    vector((bits(x) & ~signMask(x)) | nanMask(magnitudeBits(x)))
  }
}

enum Exp: VectorFunction {
  @inline(__always)
  static func apply(_ x: Vector) -> Vector { expVector(x) }
}

enum Negate: VectorFunction {
  @inline(__always)
  static func apply(_ x: Vector) -> Vector {
    vector(bits(x) ^ Int32.min)
  }
}

enum Absolute: VectorFunction {
  @inline(__always)
  static func apply(_ x: Vector) -> Vector { vector(magnitudeBits(x)) }
}

enum SquareRoot: VectorFunction {
  @inline(__always)
  static func apply(_ x: Vector) -> Vector { x.squareRoot() }
}

enum Reciprocal: VectorFunction {
  @inline(__always)
  static func apply(_ x: Vector) -> Vector { 1 / x }
}
