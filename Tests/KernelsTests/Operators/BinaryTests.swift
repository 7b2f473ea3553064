import Kernels
import TestSupport
import Testing

@Suite struct BinaryTests {
  func exact(_ operation: BinaryOperation, _ a: Float, _ b: Float) -> Float {
    switch operation {
    case .add: a + b
    case .subtract: a - b
    case .multiply: a * b
    case .divide: a / b
    case .minimum: a.isNaN || b.isNaN ? .nan : min(a, b)
    case .maximum: a.isNaN || b.isNaN ? .nan : max(a, b)
    }
  }

  @Test(arguments: BinaryOperation.allCases) func allPairsOfExtremes(_ operation: BinaryOperation) {
    let values = extremeValues + [.infinity, -.infinity, .nan, -.nan]
    let a = values.flatMap { [Float](repeating: $0, count: values.count) }
    let b = [[Float]](repeating: values, count: values.count).flatMap { $0 }
    var y = [Float](repeating: 0, count: a.count)
    Operators.apply(operation, a, b, &y, count: a.count)
    for index in 0..<a.count {
      let expected = exact(operation, a[index], b[index])
      // Which zero a minimum of zeros is does not matter.
      #expect(same(y[index], expected) || y[index] == expected, "\(operation)(\(a[index]), \(b[index])) is \(y[index])")
    }
  }

  @Test(arguments: BinaryOperation.allCases, bothEdges)
  func everyWidthAndBroadcast(_ operation: BinaryOperation, _ atEnd: Bool) {
    var random = SeededRandom("everyWidthAndBroadcast", Int(operation.rawValue))
    let rows = 3
    for width in 1...70 {
      // Row stride and element stride of each operand: full, one row for all, one element per row, one element.
      let kinds = [(width + width % 3, 1), (0, 1), (1, 0), (0, 0)]
      for (index, kind) in kinds.enumerated() {
        let other = kinds[(index + width) % 4]
        let operands = [kind, other].map { kind in
          let count = (rows - 1) * kind.0 + (width - 1) * kind.1 + 1
          return guarded(normals(count, &random), atEnd: atEnd)
        }
        let yStride = width + 2
        let y = guarded(Float.self, (rows - 1) * yStride + width, atEnd: atEnd)
        Operators.applyRows(
          operation, RowOperand(operands[0].base, rowStride: kind.0, elementStride: kind.1),
          RowOperand(operands[1].base, rowStride: other.0, elementStride: other.1), y.base, yRowStride: yStride,
          rows: rows, width: width)
        for row in 0..<rows {
          for column in 0..<width {
            let a = operands[0][row * kind.0 + column * kind.1]
            let b = operands[1][row * other.0 + column * other.1]
            let found = y[row * yStride + column]
            #expect(found == exact(operation, a, b), "\(operation), width \(width), kinds \(kind), \(other)")
          }
          if row < rows - 1 { #expect(y[row * yStride + width] == 0) }
        }
      }
    }
  }

  @Test(arguments: bothEdges) func scaleAndInPlace(_ atEnd: Bool) {
    var random = SeededRandom("scaleAndInPlace")
    for count in 0...70 {
      let values = normals(count, &random)
      let x = guarded(values, atEnd: atEnd)
      Operators.scale(x.base, by: 1.7, x.base, count: count)
      #expect(x.array == values.map { $0 * 1.7 })
      Operators.apply(.add, x.base, x.base, x.base, count: count)
      #expect(x.array == values.map { $0 * 1.7 + $0 * 1.7 })
    }
  }
}
