import Kernels
import NestedFormat
import TestSupport
import Testing

@Suite struct AttentionPackingTests {
  @Test(arguments: bothEdges) func everyTailMatchesTheDenseLayout(_ atEnd: Bool) throws {
    var random = SeededRandom("everyTailMatchesTheDenseLayout")
    for rows in 1...34 {
      for width in [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 32, 33] {
        let stride = width + (rows + width) % 5
        let x = guarded(normals((rows - 1) * stride + width, &random), atEnd: atEnd)

        let keys = try DenseShape(n: rows, k: width, level: .fp32)
        let k = guarded(Float.self, keys.byteCount / 4, atEnd: atEnd)
        for index in 0..<k.count { k[index] = 9 }
        Operators.packTransposed(x.base, xStride: stride, rows: rows, width: width, into: k.base)
        let keyView = DenseView(base: k.base, shape: keys)
        var wrong = 0
        for row in 0..<(keys.nBlocks * 16) {
          for column in 0..<width {
            let expected = row < rows ? x[row * stride + column] : 0
            if keyView.value(row, column) != expected { wrong += 1 }
          }
        }

        let values = try DenseShape(n: width, k: rows, level: .fp32)
        let v = guarded(Float.self, values.byteCount / 4, atEnd: atEnd)
        for index in 0..<v.count { v[index] = 9 }
        Operators.packRows(x.base, xStride: stride, rows: rows, width: width, into: v.base)
        let valueView = DenseView(base: v.base, shape: values)
        for row in 0..<rows {
          for column in 0..<(values.nBlocks * 16) {
            let expected = column < width ? x[row * stride + column] : 0
            if valueView.value(column, row) != expected { wrong += 1 }
          }
        }
        #expect(wrong == 0, "\(rows) x \(width)")
      }
    }
  }
}
