import TestSupport
import Testing

@testable import Kernels

@Suite struct ActivationPiecesTests {
  static let operations: [UnaryOperation] = [.gelu, .geluTanh]
  static let onlyForCodes: [UnaryOperation] = [.silu, .relu]

  private func inputs(_ operation: UnaryOperation, _ random: inout SeededRandom) -> [Float] {
    var x = extremeValues
    for exponent in -100...4 {
      for _ in 0..<40 { x.append(random.normal() * Float(sign: .plus, exponent: exponent, significand: 1)) }
    }
    for index in -12_000..<12_000 { x.append(Float(index) * (operation == .silu ? 0.0019 : 0.0007)) }
    // Both sides of where pieces meet.
    for piece in 0...ActivationPieces.count {
      let border = (Float(piece) + 0.5) * ActivationPieces.width(operation)
      x += [border, border.nextUp, border.nextDown, -border, -border.nextUp, -border.nextDown]
    }
    return x
  }

  @Test(arguments: operations) func stayWithinTheirBounds(_ operation: UnaryOperation) {
    var random = SeededRandom("ActivationPieces \(operation)")
    let (exact, reduced) = (
      ActivationPieces(operation, degree: 4), ActivationPieces(operation, degree: 2)
    )
    for x in inputs(operation, &random) {
      let expected = UnaryTests.exact(operation, Double(x))
      let (y, code) = (exact.apply(x), reduced.apply(x))
      if !(abs(Double(y) - expected) <= UnaryTests.bound(.gelu, Double(x), expected)) {
        Issue.record("\(operation)(\(x)) is \(y), not \(expected)")
      }
      if !(abs(Double(code) - expected) <= ErrorBound.activationCodes(operation, Double(x))) {
        Issue.record("\(operation)(\(x)) is \(code) for codes, not \(expected)")
      }
    }
  }

  @Test(arguments: onlyForCodes) func stayWithinTheirBoundsForCodes(_ operation: UnaryOperation) {
    var random = SeededRandom("ActivationPieces \(operation)")
    let pieces = ActivationPieces(operation, degree: 2)
    for x in inputs(operation, &random) {
      let expected = UnaryTests.exact(operation, Double(x))
      let code = pieces.apply(x)
      if !(abs(Double(code) - expected) <= ErrorBound.activationCodes(operation, Double(x))) {
        Issue.record("\(operation)(\(x)) is \(code) for codes, not \(expected)")
      }
    }
  }

  /// What the quantizer takes for poison is what it would have taken behind the exact function.
  @Test(arguments: operations + onlyForCodes) func keepsWhatIsNoNumber(_ operation: UnaryOperation) {
    let pieces = ActivationPieces(operation, degree: 2)
    #expect(pieces.apply(.nan).isNaN && pieces.apply(-.nan).isNaN)
    #expect(pieces.apply(.infinity) == .infinity && pieces.apply(-.infinity) == 0)
    #expect(pieces.apply(0) == 0 && pieces.apply(-0.0) == 0)
    let far = pieces.edge + 0.1
    #expect(pieces.apply(far) == far && pieces.apply(-far) == 0)
  }
}
