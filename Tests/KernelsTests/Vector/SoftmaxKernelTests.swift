import Glibc
import Kernels
import TestSupport
import Testing

@Suite struct SoftmaxKernelTests {
  /// Scores are rounded to Float as the kernel does (generated code rounds once with a mask, not at all without); the rest
  /// is exact.
  func twin(_ x: [Float], _ scale: Float, _ mask: [Float]?, fused: Bool) -> (values: [Double], bounds: [Double]) {
    let scores = x.indices.map { index in
      guard let mask else { return fused ? Double(x[index]) * Double(scale) : Double(x[index] * scale) }
      return Double(fused ? mask[index].addingProduct(x[index], scale) : x[index] * scale + mask[index])
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

  @Test(arguments: TestTable.all, bothEdges) func everyWidthMatchesTheTwin(_ table: TestTable, _ atEnd: Bool) {
    var random = SeededRandom("softmaxEveryWidth")
    var widths = Array(1...70)
    for _ in 0..<20 { widths.append(Int.random(in: 71...1000, using: &random)) }
    for width in widths {
      for kind in 0..<4 {
        let rows = 3
        let stride = width + kind
        let scale: Float = [1, 0.125, 4, 30][kind]
        let values = normals((rows - 1) * stride + width, &random, scale: 2, offset: kind == 2 ? 1000 : 0)
        let maskStride = kind == 1 ? 0 : width
        var mask = normals(kind == 1 ? width : rows * width, &random)
        for index in mask.indices where index % 5 == 1 && width > 1 { mask[index] = -.infinity }
        for index in mask.indices where index % 7 == 3 { mask[index] = -3.4e38 }
        for row in 0..<(kind == 1 ? 1 : rows) { mask[row * maskStride] = 0 }
        let masked = kind != 3
        let x = guarded(values, atEnd: atEnd)
        let m = guarded(mask, atEnd: atEnd)
        softmaxRows(
          table.kernels, x.base, rows: rows, width: width, rowStride: stride, scale: scale,
          mask: masked ? m.base : nil, maskRowStride: maskStride)
        for row in 0..<rows {
          let input = Array(values[(row * stride)..<(row * stride + width)])
          let rowMask = masked ? Array(mask[(row * maskStride)..<(row * maskStride + width)]) : nil
          let expected = twin(input, scale, rowMask, fused: table.name != "portable")
          for column in 0..<width {
            let found = Double(x[row * stride + column])
            #expect(
              abs(found - expected.values[column]) <= expected.bounds[column],
              "width \(width), kind \(kind), row \(row), column \(column): \(found), not \(expected.values[column])")
            if let rowMask, rowMask[column] < -1e38 { #expect(found == 0) }
          }
          if row < rows - 1 {
            for column in width..<stride { #expect(x[row * stride + column] == values[row * stride + column]) }
          }
        }
      }
    }
  }

  /// The exponential alone: a row of two, of which one is the maximum, over the whole range.
  @Test(arguments: TestTable.all) func tailsOfTheExponential(_ table: TestTable) {
    for step in 0...1100 {
      let score = -Float(step) * 0.1
      var x: [Float] = [score, 0]
      softmaxRows(table.kernels, &x, rows: 1, width: 2, rowStride: 2, scale: 1, mask: nil, maskRowStride: 0)
      let power = Glibc.exp(Double(score))
      let exact = power / (1 + power)
      #expect(abs(Double(x[0]) - exact) <= exact * 5e-7 + 2e-38, "e^\(score): \(x[0]), not \(exact)")
      if score < -88 { #expect(x[0] == 0) }
    }
  }

  @Test(arguments: TestTable.all) func rowsWithoutAnAnswerAreNaN(_ table: TestTable) {
    for width in 1...40 {
      for (bad, everywhere) in [(-Float.infinity, true), (.nan, false), (-.nan, false), (.infinity, false)] {
        for position in 0..<width {
          for masked in [false, true] {
            var x = [Float](repeating: 1, count: 2 * width)
            if everywhere { for column in 0..<width { x[column] = bad } } else { x[position] = bad }
            let mask = [Float](repeating: 0, count: width)
            mask.withUnsafeBufferPointer {
              softmaxRows(
                table.kernels, &x, rows: 2, width: width, rowStride: width, scale: 1,
                mask: masked ? $0.baseAddress : nil, maskRowStride: 0)
            }
            #expect(x[..<width].allSatisfy { $0.isNaN }, "\(bad) at \(position) of \(width): \(x)")
            #expect(x[width...].allSatisfy { abs($0 - 1 / Float(width)) < 1e-7 })
          }
        }
      }
    }
  }

  /// As attention masks: the most negative finite number everywhere leaves a finite row.
  @Test(arguments: TestTable.all) func aRowMaskedByFiniteNumbersIsUniform(_ table: TestTable) {
    var x = (0..<21).map { Float($0) }
    let mask = [Float](repeating: -.greatestFiniteMagnitude, count: 21)
    softmaxRows(table.kernels, &x, rows: 1, width: 21, rowStride: 21, scale: 1, mask: mask, maskRowStride: 0)
    #expect(x.allSatisfy { abs($0 - 1 / 21) < 1e-7 }, "\(x)")
  }

  @Test(arguments: TestTable.all) func emptyShapesTouchNothing(_ table: TestTable) {
    var x: [Float] = [3]
    softmaxRows(table.kernels, &x, rows: 0, width: 1, rowStride: 1, scale: 1, mask: nil, maskRowStride: 0)
    softmaxRows(table.kernels, &x, rows: 1, width: 0, rowStride: 1, scale: 1, mask: nil, maskRowStride: 0)
    softmaxRows(table.kernels, &x, rows: -1, width: -1, rowStride: 1, scale: 1, mask: nil, maskRowStride: 0)
    #expect(x == [3])
  }
}
