import Glibc
import Kernels
import TestSupport
import Testing

@Suite struct SoftmaxTests {
  /// The scaled and masked score is rounded to Float as the operator does; the rest is exact.
  func twin(_ x: [Float], _ scale: Float, _ mask: [Float]?) -> (values: [Double], bounds: [Double]) {
    let scores = x.indices.map { index in
      let scaled = x[index] * scale
      return Double(mask.map { scaled + $0[index] } ?? scaled)
    }
    let highest = scores.max() ?? 0
    let powers = scores.map { Glibc.exp($0 - highest) }
    let sum = powers.reduce(0, +)
    let values = powers.map { $0 / sum }
    let bounds = x.indices.map { index in
      values[index] == 0 ? 2e-38 : values[index] * (5e-7 + 6e-8 * (highest - scores[index])) + 2e-38
    }
    return (values, bounds)
  }

  @Test(arguments: bothEdges) func everyWidthMatchesTheTwin(_ atEnd: Bool) {
    var random = SeededRandom("everyWidthMatchesTheTwin")
    for width in 1...70 {
      for kind in 0..<4 {
        let rows = 3
        let stride = width + kind
        let scale: Float = [1, 0.125, 4, 30][kind]
        let values = normals((rows - 1) * stride + width, &random, scale: 2, offset: kind == 2 ? 1000 : 0)
        let maskStride = kind == 1 ? 0 : width
        var mask = normals(kind == 1 ? width : rows * width, &random)
        for index in mask.indices where index % 5 == 1 && width > 1 { mask[index] = -.infinity }
        for index in mask.indices where index % 7 == 3 { mask[index] = -3.4e38 }
        mask[0] = 0
        if kind != 1 {
          mask[maskStride] = 0
          mask[2 * maskStride] = 0
        }
        let masked = kind != 3
        let x = guarded(values, atEnd: atEnd)
        let m = guarded(mask, atEnd: atEnd)
        Operators.softmaxRows(
          x.base, rows: rows, width: width, rowStride: stride, scale: scale, mask: masked ? m.base : nil,
          maskRowStride: maskStride)
        for row in 0..<rows {
          let input = Array(values[(row * stride)..<(row * stride + width)])
          let rowMask = masked ? Array(mask[(row * maskStride)..<(row * maskStride + width)]) : nil
          let expected = twin(input, scale, rowMask)
          for column in 0..<width {
            let found = Double(x[row * stride + column])
            #expect(
              abs(found - expected.values[column]) <= expected.bounds[column],
              "width \(width), kind \(kind), row \(row), column \(column): \(found), not \(expected.values[column])")
          }
          if row < rows - 1 {
            for column in width..<stride { #expect(x[row * stride + column] == values[row * stride + column]) }
          }
        }
      }
    }
  }

  @Test func rowsWithoutAnAnswerAreNaN() {
    for width in 1...20 {
      for (bad, everywhere) in [(-Float.infinity, true), (.nan, false), (-.nan, false), (.infinity, false)] {
        for position in 0..<width {
          var x = [Float](repeating: 1, count: 2 * width)
          if everywhere { for column in 0..<width { x[column] = bad } } else { x[position] = bad }
          Operators.softmaxRows(&x, rows: 2, width: width, rowStride: width, scale: 1, mask: nil, maskRowStride: 0)
          #expect(x[..<width].allSatisfy { $0.isNaN }, "\(bad) at \(position) of \(width): \(x)")
          #expect(x[width...].allSatisfy { abs($0 - 1 / Float(width)) < 1e-7 })
        }
      }
    }
  }
}
