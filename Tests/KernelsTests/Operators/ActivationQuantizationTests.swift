import Kernels
import TestSupport
import Testing

@Suite struct ActivationQuantizationTests {
  struct Result {
    var codes: [Int8]
    var scales: [Float]
    var sums: [Int32]
  }

  /// One row, as the documentation says it, one element at a time.
  func twin(_ row: [Float]) -> Result {
    let groups = (row.count + 63) / 64
    var result = Result(
      codes: [Int8](repeating: 0, count: groups * 64), scales: [Float](repeating: .nan, count: groups),
      sums: [Int32](repeating: 0, count: groups))
    if !row.allSatisfy(\.isFinite) { return result }
    for group in 0..<groups {
      let members = (group * 64)..<min(group * 64 + 64, row.count)
      let largest = members.map { row[$0].magnitude }.max() ?? 0
      result.scales[group] = largest < 0x1p-118 ? 0 : largest / 127
      if largest < 0x1p-118 { continue }
      for index in members {
        let code = Int8((row[index] * (127 / largest)).rounded(.toNearestOrEven))
        result.codes[index] = code
        result.sums[group] += Int32(code)
      }
    }
    return result
  }

  func check(_ rows: [[Float]], stride: Int, atEnd: Bool, _ what: String) {
    let k = rows[0].count
    let groups = (k + 63) / 64
    var values = [Float](repeating: .nan, count: (rows.count - 1) * stride + k)
    for (index, row) in rows.enumerated() { values.replaceSubrange((index * stride)..<(index * stride + k), with: row) }
    let x = guarded(values, atEnd: atEnd)
    let codes = guarded(Int8.self, rows.count * groups * 64, atEnd: atEnd)
    let scales = guarded(Float.self, rows.count * groups, atEnd: atEnd)
    let sums = guarded(Int32.self, rows.count * groups, atEnd: atEnd)
    for index in 0..<codes.count { codes[index] = 85 }
    Operators.quantizeActivations(
      x.base, xStride: stride, m: rows.count, k: k, codes: codes.base, scales: scales.base, sums: sums.base)
    for (row, input) in rows.enumerated() {
      let expected = twin(input)
      for group in 0..<groups {
        #expect(same(scales[row * groups + group], expected.scales[group]), "\(what), row \(row), group \(group)")
        #expect(sums[row * groups + group] == expected.sums[group], "\(what), row \(row), group \(group)")
      }
      var wrong = 0
      for index in 0..<(groups * 64) where codes[row * groups * 64 + index] != expected.codes[index] { wrong += 1 }
      #expect(wrong == 0, "\(what), row \(row)")
      for index in 0..<k where !expected.scales[0].isNaN {
        let scale = Double(scales[row * groups + index / 64])
        let error = abs(Double(input[index]) - scale * Double(codes[row * groups * 64 + index]))
        if !(error <= scale * (0.5 + 2e-5) || (scale == 0 && error < 0x1p-118)) {
          Issue.record("\(what), row \(row), element \(index): off by \(error), scale \(scale)")
        }
      }
    }
  }

  @Test(arguments: bothEdges) func everyWidthMatchesTheTwin(_ atEnd: Bool) {
    var random = SeededRandom("everyWidthMatchesTheTwin")
    for k in Array(1...70) + [127, 128, 129, 191, 192, 384, 400] {
      check((0..<3).map { _ in normals(k, &random) }, stride: k + k % 3, atEnd: atEnd, "k \(k)")
    }
  }

  @Test func magnitudesAndTies() {
    var random = SeededRandom("magnitudesAndTies")
    for exponent in stride(from: -149, through: 127, by: 3) {
      let scale = Float(sign: .plus, exponent: exponent, significand: 1)
      let row = (0..<130).map { _ in Float.random(in: -1...1, using: &random) * scale }
      check([row], stride: 130, atEnd: true, "2^\(exponent)")
    }
    let ties = (0..<64).map { $0 == 0 ? Float(127) : Float($0) - 32 + 0.5 }
    check([ties, ties.map { -$0 }], stride: 64, atEnd: true, "ties")
    let largest = Float.greatestFiniteMagnitude
    check([[Float](repeating: largest, count: 64)], stride: 64, atEnd: true, "largest")
    check([(0..<64).map { $0 % 2 == 0 ? largest : -largest }], stride: 64, atEnd: true, "largest of both signs")
    check([[Float](repeating: 0, count: 100), [Float](repeating: -0.0, count: 100)], stride: 100, atEnd: true, "0")
  }

  @Test func whatIsNotFiniteMarksItsRowOnly() {
    var random = SeededRandom("whatIsNotFiniteMarksItsRowOnly")
    for k in [1, 40, 64, 65, 200] {
      for bad in [Float.nan, -.nan, .infinity, -.infinity] {
        for position in Set([0, 7, 8, 31, 63, 64, k - 1]) where position < k {
          var rows = (0..<3).map { _ in normals(k, &random) }
          rows[1][position] = bad
          check(rows, stride: k, atEnd: true, "k \(k), \(bad) at \(position)")
        }
      }
    }
  }
}
