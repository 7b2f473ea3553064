import Glibc
import Kernels
import TestSupport
import Testing

@Suite struct GeluKernelTests {
  func check(_ x: Float, _ y: Float) {
    let exact = UnaryTests.exact(.gelu, Double(x))
    if exact.isNaN || y.isNaN {
      #expect(exact.isNaN && y.isNaN, "gelu(\(x)) is \(y), not \(exact)")
    } else if x.isInfinite {
      #expect(Double(y) == exact, "gelu(\(x)) is \(y)")
    } else if !(abs(Double(y) - exact) <= UnaryTests.bound(.gelu, Double(x), exact)) {
      Issue.record("gelu(\(x)) is \(y), not \(exact)")
    }
  }

  @Test(arguments: TestTable.all) func staysWithinItsBound(_ table: TestTable) {
    var random = SeededRandom("geluStaysWithinItsBound")
    var x = extremeValues + [.infinity, -.infinity, .nan, -.nan, Float(bitPattern: 0xFFC0_0001)]
    for exponent in -30...7 {
      for _ in 0..<100 { x.append(random.normal() * Float(sign: .plus, exponent: exponent, significand: 1)) }
    }
    for _ in 0..<2000 { x.append(Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random))) }
    for index in -12_000..<12_000 { x.append(Float(index) * 0.001) }
    var y = [Float](repeating: 0, count: x.count)
    gelu(table.kernels, x, &y, count: x.count)
    for index in 0..<x.count { check(x[index], y[index]) }
  }

  /// Beyond the edge of the fit nothing of it is left.
  @Test(arguments: TestTable.all) func isExactFarOut(_ table: TestTable) {
    let x: [Float] = [5.8, 5.81, 7, 30, 1e20, .greatestFiniteMagnitude, .infinity, 12]
    var y = [Float](repeating: 1, count: 8)
    gelu(table.kernels, x, &y, count: 8)
    #expect(y == x)
    gelu(table.kernels, x.map { -$0 }, &y, count: 8)
    #expect(y.allSatisfy { $0 == 0 }, "\(y)")
  }

  @Test(arguments: TestTable.all, bothEdges)
  func everyCountStaysInsideAndIsTheSame(_ table: TestTable, _ atEnd: Bool) {
    var random = SeededRandom("geluEveryCount")
    var counts = Array(0...70)
    for _ in 0..<20 { counts.append(Int.random(in: 71...3000, using: &random)) }
    for count in counts {
      let values = normals(count, &random, scale: 3)
      let x = guarded(values, atEnd: atEnd)
      let y = guarded(Float.self, count, atEnd: atEnd)
      gelu(table.kernels, x.base, y.base, count: count)
      gelu(table.kernels, x.base, x.base, count: count)
      for index in 0..<count {
        var single: Float = 0
        gelu(table.kernels, [values[index]], &single, count: 1)
        #expect(same(y[index], single) && same(x[index], single), "count \(count), element \(index)")
      }
    }
    var untouched: Float = 5
    gelu(table.kernels, [1], &untouched, count: -3)
    #expect(untouched == 5)
  }
}
