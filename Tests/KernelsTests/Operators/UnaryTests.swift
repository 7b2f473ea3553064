import Glibc
import Kernels
import TestSupport
import Testing

@Suite struct UnaryTests {
  static func exact(_ operation: UnaryOperation, _ x: Double) -> Double {
    switch operation {
    case .gelu: x == -.infinity ? 0 : x * 0.5 * erfc(-x / 2.0.squareRoot())
    case .geluTanh:
      x == -.infinity ? 0 : x / (1 + Glibc.exp(-2 * (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case .relu: x.isNaN ? x : x > 0 ? x : 0
    case .silu: x == -.infinity ? 0 : x / (1 + Glibc.exp(-x))
    case .tanh: Glibc.tanh(x)
    case .sigmoid: 1 / (1 + Glibc.exp(-x))
    case .exp: Glibc.exp(x)
    case .negate: -x
    case .absolute: abs(x)
    case .squareRoot: x.squareRoot()
    case .reciprocal: 1 / x
    }
  }

  /// The documented bound.
  static func bound(_ operation: UnaryOperation, _ x: Double, _ exact: Double) -> Double {
    switch operation {
    case .gelu: 3e-7 * max(1, abs(x))
    case .geluTanh, .silu: 1.6e-7 * max(1, abs(x))
    case .sigmoid: 1e-7
    case .tanh: 3.5e-7 * abs(exact) + 0x1p-149
    case .exp: 1e-7 * abs(exact) + 0x1p-149
    case .relu, .negate, .absolute: 0
    case .squareRoot, .reciprocal: 0x1p-24 * abs(exact) + 0x1p-150
    }
  }

  func check(_ operation: UnaryOperation, _ x: Float, _ y: Float) {
    let exact = Self.exact(operation, Double(x))
    if exact.isNaN || y.isNaN {
      #expect(exact.isNaN && y.isNaN, "\(operation)(\(x)) is \(y), not \(exact)")
    } else if abs(exact) > Double(Float.greatestFiniteMagnitude) * (1 + 0x1p-25) {
      #expect(y == (exact < 0 ? -.infinity : .infinity), "\(operation)(\(x)) is \(y), not \(exact)")
    } else if !(abs(Double(y) - exact) <= Self.bound(operation, Double(x), exact)) {
      Issue.record("\(operation)(\(x)) is \(y), not \(exact)")
    }
  }

  @Test(arguments: UnaryOperation.allCases) func staysWithinItsBound(_ operation: UnaryOperation) {
    var random = SeededRandom("staysWithinItsBound", Int(operation.rawValue))
    var x = extremeValues + [.infinity, -.infinity, .nan, -.nan, Float(bitPattern: 0xFFC0_0001)]
    for exponent in -30...7 {
      for _ in 0..<100 { x.append(random.normal() * Float(sign: .plus, exponent: exponent, significand: 1)) }
    }
    for _ in 0..<2000 { x.append(Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random))) }
    var step: Float = -12
    while step < 12 {
      x.append(step)
      step += 0.01
    }
    var y = [Float](repeating: 0, count: x.count)
    Operators.apply(operation, x, &y, count: x.count)
    for index in 0..<x.count { check(operation, x[index], y[index]) }
  }

  @Test(arguments: UnaryOperation.allCases, bothEdges)
  func everyCountStaysInsideAndIsTheSame(_ operation: UnaryOperation, _ atEnd: Bool) {
    var random = SeededRandom("everyCountStaysInsideAndIsTheSame", Int(operation.rawValue))
    for count in 0...70 {
      let values = normals(count, &random, scale: 3)
      let x = guarded(values, atEnd: atEnd)
      let y = guarded(Float.self, count, atEnd: atEnd)
      Operators.apply(operation, x.base, y.base, count: count)
      Operators.apply(operation, x.base, x.base, count: count)
      for index in 0..<count {
        var single: Float = 0
        Operators.apply(operation, [values[index]], &single, count: 1)
        #expect(same(y[index], single) && same(x[index], single), "\(operation), count \(count), element \(index)")
      }
    }
  }
}
