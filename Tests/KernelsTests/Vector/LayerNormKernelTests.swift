import Kernels
import TestSupport
import Testing

@Suite struct LayerNormKernelTests {
  @Test(arguments: TestTable.all, bothEdges) func everyWidthMatchesTheTwin(_ table: TestTable, _ atEnd: Bool) {
    var random = SeededRandom("layerNormEveryWidth")
    var widths = Array(1...70) + [384]
    for _ in 0..<10 { widths.append(Int.random(in: 71...1500, using: &random)) }
    for width in widths {
      for kind in 0..<5 {
        let rows = kind + 1
        let (xStride, rStride, yStride) = (width + kind % 3, width + kind % 2, width + (kind + 1) % 3)
        let offset: Float = [0, 0, 1000, -3, 1e6][kind]
        let scale: Float = [1, 1e-4, 1, 100, 1][kind]
        let x = guarded(normals((rows - 1) * xStride + width, &random, scale: scale, offset: offset), atEnd: atEnd)
        let r = guarded(normals((rows - 1) * rStride + width, &random, scale: scale), atEnd: atEnd)
        let gamma = guarded(normals(width, &random, offset: 1), atEnd: atEnd)
        let beta = guarded(normals(width, &random), atEnd: atEnd)
        let y = guarded(Float.self, (rows - 1) * yStride + width, atEnd: atEnd)
        for index in 0..<y.count { y[index] = 77 }
        let eps: Float = 1e-5
        let residual = kind != 3
        layerNorm(
          table.kernels, x.base, xStride: xStride, residual: residual ? r.base : nil, residualStride: rStride,
          gamma: gamma.base, beta: beta.base, eps: eps, rows: rows, width: width, y.base, yStride: yStride)
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
          if row < rows - 1 { for column in width..<yStride { #expect(y[row * yStride + column] == 77) } }
        }
      }
    }
  }

  @Test(arguments: TestTable.all, [7, 8, 37, 64]) func inPlaceAndSpecial(_ table: TestTable, _ width: Int) {
    var random = SeededRandom("layerNormInPlace", width)
    let x = normals(width, &random)
    let r = normals(width, &random)
    let gamma = normals(width, &random)
    let beta = normals(width, &random)
    func run(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ r: UnsafePointer<Float>?, rows: Int = 1) {
      layerNorm(
        table.kernels, x, xStride: width, residual: r, residualStride: width, gamma: gamma, beta: beta, eps: 1e-12,
        rows: rows, width: width, y, yStride: width)
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
      for position in 0..<width {
        var values = x
        values[position] = bad
        run(a.base, values, r)
        #expect(a.array.allSatisfy { $0.isNaN }, "\(bad) at \(position)")
        run(a.base, values, nil)
        #expect(a.array.allSatisfy { $0.isNaN }, "\(bad) at \(position), no residual")
      }
    }
    // A constant row has no deviation: beta is left.
    run(a.base, [Float](repeating: 0.1, count: width), [Float](repeating: 0, count: width))
    for column in 0..<width { #expect(abs(a[column] - beta[column]) < 1e-2) }
    let before = a.array
    run(a.base, x, r, rows: 0)
    run(a.base, x, r, rows: -1)
    #expect(a.array == before)
  }
}
