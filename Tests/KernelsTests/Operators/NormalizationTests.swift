import Kernels
import TestSupport
import Testing

@Suite struct NormalizationTests {
  @Test(arguments: bothEdges) func layerNormMatchesTheTwin(_ atEnd: Bool) {
    var random = SeededRandom("layerNormMatchesTheTwin")
    for width in Array(1...70) + [384, 1000] {
      for kind in 0..<5 {
        let rows = 2
        let (xStride, rStride, yStride) = (width + kind % 3, width + kind % 2, width + (kind + 1) % 3)
        let offset: Float = [0, 0, 1000, -3, 1e6][kind]
        let scale: Float = [1, 1e-4, 1, 100, 1][kind]
        let x = guarded(normals((rows - 1) * xStride + width, &random, scale: scale, offset: offset), atEnd: atEnd)
        let r = guarded(normals((rows - 1) * rStride + width, &random, scale: scale), atEnd: atEnd)
        let gamma = guarded(normals(width, &random, offset: 1), atEnd: atEnd)
        let beta = guarded(normals(width, &random), atEnd: atEnd)
        let y = guarded(Float.self, (rows - 1) * yStride + width, atEnd: atEnd)
        let eps: Float = 1e-5
        let residual = kind != 3
        Operators.layerNorm(
          x.base, xStride: xStride, residual: residual ? r.base : nil, residualStride: rStride, gamma: gamma.base,
          beta: beta.base, eps: eps, rows: rows, width: width, y.base, yStride: yStride)
        for row in 0..<rows {
          let v = (0..<width).map { column in
            Double(residual ? x[row * xStride + column] + r[row * rStride + column] : x[row * xStride + column])
          }
          let mean = v.reduce(0, +) / Double(width)
          let variance = v.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(width)
          let deviation = (variance + Double(eps)).squareRoot()
          let largest = v.map(abs).max() ?? 0
          for column in 0..<width {
            let b = Double(beta[column])
            let exact = (v[column] - mean) / deviation * Double(gamma[column]) + b
            let bound =
              1e-6 * (abs(exact - b) + abs(b)) + (1e-7 + 3e-9 * largest / deviation) * abs(Double(gamma[column]))
            let found = Double(y[row * yStride + column])
            #expect(abs(found - exact) <= bound, "width \(width), kind \(kind): \(found), not \(exact)")
          }
        }
      }
    }
  }

  @Test func layerNormInPlaceAndSpecial() {
    var random = SeededRandom("layerNormInPlaceAndSpecial")
    let width = 37
    let x = normals(width, &random)
    let r = normals(width, &random)
    let gamma = normals(width, &random)
    let beta = normals(width, &random)
    func run(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ r: UnsafePointer<Float>) {
      Operators.layerNorm(
        x, xStride: width, residual: r, residualStride: width, gamma: gamma, beta: beta, eps: 1e-12, rows: 1,
        width: width, y, yStride: width)
    }
    let expected = guarded(Float.self, width, atEnd: true)
    run(expected.base, x, r)
    let a = guarded(x, atEnd: true)
    run(a.base, a.base, r)
    #expect(a.array == expected.array)
    let b = guarded(r, atEnd: true)
    run(b.base, x, b.base)
    #expect(b.array == expected.array)
    for bad in [Float.nan, .infinity, -.infinity] {
      var values = x
      values[36] = bad
      run(a.base, values, r)
      #expect(a.array.allSatisfy { $0.isNaN })
    }
    // A constant row has no deviation: beta is left.
    run(a.base, [Float](repeating: 0.1, count: width), [Float](repeating: 0, count: width))
    for column in 0..<width { #expect(abs(a[column] - beta[column]) < 1e-2) }
  }

  @Test(arguments: bothEdges) func l2NormalizeMatchesTheTwin(_ atEnd: Bool) {
    var random = SeededRandom("l2NormalizeMatchesTheTwin")
    for width in 1...70 {
      for scale: Float in [1, 1e-10, 1e10, 0] {
        let (xStride, yStride) = (width + width % 2, width + width % 3)
        let x = guarded(normals(xStride + width, &random, scale: scale), atEnd: atEnd)
        let y = guarded(Float.self, yStride + width, atEnd: atEnd)
        Operators.l2NormalizeRows(
          x.base, xStride: xStride, rows: 2, width: width, eps: 1e-12, y.base, yStride: yStride)
        for row in 0..<2 {
          let v = (0..<width).map { Double(x[row * xStride + $0]) }
          let norm = max(v.map { $0 * $0 }.reduce(0, +).squareRoot(), 1e-12)
          for column in 0..<width {
            let exact = v[column] / norm
            let found = Double(y[row * yStride + column])
            #expect(abs(found - exact) <= 1e-6 * abs(exact), "width \(width), scale \(scale): \(found), not \(exact)")
          }
        }
      }
    }
    var y: [Float] = [0, 0]
    Operators.l2NormalizeRows([.nan, 1], xStride: 2, rows: 1, width: 2, eps: 1e-12, &y, yStride: 2)
    #expect(y[0].isNaN && y[1].isNaN)
  }
}

@Suite struct ReductionTests {
  @Test(arguments: bothEdges) func everyWidthMatchesTheTwin(_ atEnd: Bool) {
    var random = SeededRandom("everyWidthMatchesTheTwin")
    for width in 1...70 {
      for rows in [0, 1, 2, 5, 17] {
        let stride = width + rows % 3
        let x = guarded(normals(max((rows - 1) * stride + width, 0), &random), atEnd: atEnd)
        let mask = guarded((0..<rows).map { Float(($0 + width) % 3 == 0 ? 0 : 1) }, atEnd: atEnd)
        let y = guarded(Float.self, width, atEnd: atEnd)
        for weighted in [true, false] {
          let weights = (0..<rows).map { Double(weighted ? mask[$0] : 1) }
          for mean in [true, false] {
            for index in 0..<width { y[index] = 7 }
            if mean {
              Operators.meanRows(
                x.base, xStride: stride, weights: weighted ? mask.base : nil, rows: rows, width: width, y.base)
            } else {
              Operators.sumRows(
                x.base, xStride: stride, weights: weighted ? mask.base : nil, rows: rows, width: width, y.base)
            }
            let divisor = mean ? max(weights.reduce(0, +), 1e-9) : 1
            for column in 0..<width {
              let terms = (0..<rows).map { weights[$0] * Double(x[$0 * stride + column]) }
              let exact = terms.reduce(0, +) / divisor
              let bound = Double(rows + 1) * 1.2e-7 * terms.map(abs).reduce(0, +) / divisor
              #expect(abs(Double(y[column]) - exact) <= bound, "width \(width), rows \(rows), mean \(mean)")
            }
          }
        }
      }
    }
  }
}
