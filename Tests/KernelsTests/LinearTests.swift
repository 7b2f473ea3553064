import NestedFormat
import TestSupport
import Testing

@testable import Kernels

/// The drivers with every table of this machine against sums in Double, straight from the definitions.
@Suite struct LinearTests {
  static let shapes: [(n: Int, k: Int, rows: Int)] = [
    (1, 1, 1), (16, 64, 1), (17, 65, 2), (31, 127, 3), (48, 128, 4), (33, 100, 5), (16, 130, 6), (19, 520, 7),
    (2, 1100, 13), (5, 64, 40), (18, 70, 26), (3, 300, 11), (64, 33, 17), (70, 1030, 14),
  ]

  @Test(arguments: TestTable.linear, Level.allCases)
  func matchesDefinition(table: TestTable, level: Level) throws { try check(table, level) }

  @Test(arguments: TestTable.forms, Level.nested)
  func matchesDefinitionInEveryForm(table: TestTable, level: Level) throws { try check(table, level) }

  private func check(_ table: TestTable, _ level: Level) throws {
    let form = table.kernels.form
    for (index, shape) in Self.shapes.enumerated() {
      var random = SeededRandom("LinearTests.matchesDefinition", index)
      let site = try Site(n: shape.n, k: shape.k, form: form, random: &random)
      let withBias = index % 3 != 0
      let weights = site.weights(level, withBias: withBias)
      let xStride = shape.k + index % 4
      let yStride = shape.n + index % 3
      let x = GuardedBuffer<Float>(
        (0..<((shape.rows - 1) * xStride + shape.k)).map { _ in random.normal() })
      let y = GuardedBuffer<Float>(
        Array(repeating: -77, count: (shape.rows - 1) * yStride + shape.n), edge: index % 2 == 0 ? .end : .start)
      let scratch = Scratch(byteCount: linearScratchByteCount(maxRows: shape.rows, k: shape.k))
      linear(
        weights, level, table.kernels, x: x.base, xRowStride: xStride, rows: shape.rows, y: y.base, yRowStride: yStride,
        scratch: scratch.base)
      let isHalf =
        table.kernels.usesBFloat16(level, rows: shape.rows)
        && table.kernels.usesHalf(rows: shape.rows)
      let isRounded = table.kernels.usesBFloat16(level, rows: shape.rows) && !isHalf
      let exact = (0..<(shape.n * shape.k)).map { site.value($0 / shape.k, $0 % shape.k, level) }
      let decoded = isRounded ? exact.map { Double(roundedToBFloat16(Float($0))) } : exact
      for row in 0..<shape.rows {
        let input = (0..<shape.k).map { x[row * xStride + $0] }
        let floats = input.map(Double.init)
        let read =
          isRounded
          ? input.map { Double(roundedToBFloat16($0)) }
          : level.isNested ? quantizedRow(input, form.activations) : floats
        for output in 0..<shape.n {
          var expected = withBias ? Double(site.bias[output]) : 0
          var (magnitude, size) = (expected.magnitude, 0.0)
          for k in 0..<shape.k {
            let weight = decoded[output * shape.k + k]
            size += weight.magnitude
            expected += read[k] * weight
            // A nested weight is `s·U + lo'`, whose parts may cancel: both are at most the group's range.
            let parts = form.scaleKind == .stepAndMinimum ? 0.6 : 1.2
            magnitude += read[k].magnitude * (level.isNested ? 2 * (weight.magnitude + parts) : weight.magnitude)
          }
          var bound =
            level.isNested
            ? ErrorBound.nested(groups: (shape.k + 63) / 64, magnitude: magnitude)
            : isRounded
              ? ErrorBound.bfloat16(k: shape.k, alpha: 1, magnitude: magnitude)
              : isHalf
                ? ErrorBound.half(
                  k: shape.k, magnitude: magnitude, weights: size,
                  largest: floats.map(\.magnitude).max() ?? 0)
                : ErrorBound.dense(k: shape.k, magnitude: magnitude)
          if table.kernels.readsWords(level, rows: shape.rows) {
            let weights = Array(decoded[(output * shape.k)..<((output + 1) * shape.k)])
            bound += ErrorBound.words(read, weights, stored: 2 * 0.6)
          }
          let got = Double(y[row * yStride + output])
          if isRounded {
            // The product of the numbers that were given.
            var (given, size) = (withBias ? Double(site.bias[output]) : 0, 0.0)
            for k in 0..<shape.k {
              let product = floats[k] * exact[output * shape.k + k]
              given += product
              size += product.magnitude
            }
            let rounding = ErrorBound.bfloat16Rounding(k: shape.k, magnitude: size)
            #expect((got - given).magnitude <= bound + rounding, "\(table) shape \(shape) row \(row) output \(output)")
          }
          #expect(
            (got - expected).magnitude <= bound,
            "\(table) \(level) shape \(shape) row \(row) output \(output): \(got), expected \(expected) ± \(bound)")
        }
        for gap in shape.n..<yStride where row + 1 < shape.rows {
          #expect(y[row * yStride + gap] == -77, "\(table) \(level) shape \(shape): wrote beyond row \(row)")
        }
      }
    }
  }

  /// All of one sign and just below the powers of two at which units change: where sums of words come closest to 2³¹.
  @Test(arguments: TestTable.linear, [Float(1), -1])
  func largestSumsFit(table: TestTable, sign: Float) throws {
    let (n, k, rows) = (16, 512, 9)
    for step in 0..<40 {
      var random = SeededRandom("LinearTests.largestSumsFit", step)
      let site = try Site(n: n, k: k, floats: Array(repeating: sign * 1.999, count: n * k), random: &random)
      // Σ|x| · 1.01 from below to above a power of two.
      let value = Float(1024) / (512 * 1.01) * (0.98 + 0.001 * Float(step))
      let x = GuardedBuffer<Float>(Array(repeating: value, count: rows * k))
      let y = GuardedBuffer<Float>(count: rows * n)
      let scratch = Scratch(byteCount: linearScratchByteCount(maxRows: rows, k: k))
      linear(
        site.weights(.int8, withBias: false), .int8, table.kernels, x: x.base, xRowStride: k, rows: rows, y: y.base,
        yRowStride: n, scratch: scratch.base)
      let expected = Double(sign) * 1.999 * Double(value) * Double(k)
      for index in 0..<(rows * n) {
        #expect(
          (Double(y[index]) / expected - 1).magnitude < 0.01, "\(table) value \(value): \(y[index]), not \(expected)")
      }
    }
  }

  @Test(arguments: TestTable.linear + TestTable.forms, Level.nested)
  func poisonedRowsBecomeNaN(table: TestTable, level: Level) throws {
    for rows in [1, 3, 9] {
      for poison in [Float.nan, .infinity, -.infinity] {
        var random = SeededRandom("LinearTests.poisonedRowsBecomeNaN", rows)
        let site = try Site(n: 20, k: 150, form: table.kernels.form, random: &random)
        let x = GuardedBuffer<Float>((0..<(rows * 150)).map { _ in random.normal() })
        let bad = rows / 2
        x[bad * 150 + 149 - 3 * rows] = poison
        let y = GuardedBuffer<Float>(count: rows * 20)
        let scratch = Scratch(byteCount: linearScratchByteCount(maxRows: rows, k: 150))
        linear(
          site.weights(level), level, table.kernels, x: x.base, xRowStride: 150, rows: rows, y: y.base,
          yRowStride: 20, scratch: scratch.base)
        for index in 0..<(rows * 20) {
          #expect(y[index].isNaN == (index / 20 == bad), "\(table) \(level) rows \(rows) \(poison) at \(index)")
        }
      }
    }
  }

  /// A NaN, an infinity and what rounds to one reach the outputs of their row as in Float; zero times infinity is NaN.
  @Test(arguments: TestTable.linear, [Level.fp32, .fp16])
  func floatsFollowIEEE(table: TestTable, level: Level) throws {
    for rows in [1, 3, 9, 14] {
      for poison in [Float.nan, .infinity, -.infinity, .greatestFiniteMagnitude] {
        var random = SeededRandom("LinearTests.floatsFollowIEEE", rows)
        var floats = (0..<(40 * 151)).map { _ in random.normal() * 0.1 }
        let (bad, column) = (rows / 2, 150 - rows)
        floats[7 * 151 + column] = 0
        let site = try Site(n: 40, k: 151, floats: floats, random: &random)
        let x = GuardedBuffer<Float>((0..<(rows * 151)).map { _ in random.normal() })
        x[bad * 151 + column] = poison
        let y = GuardedBuffer<Float>(count: rows * 40)
        let scratch = Scratch(byteCount: linearScratchByteCount(maxRows: rows, k: 151))
        linear(
          site.weights(level), level, table.kernels, x: x.base, xRowStride: 151, rows: rows, y: y.base, yRowStride: 40,
          scratch: scratch.base)
        let isRounded =
          table.kernels.usesBFloat16(level, rows: rows) && !table.kernels.usesHalf(rows: rows)
        let read = isRounded ? roundedToBFloat16(poison) : poison
        for index in 0..<(rows * 40) {
          let (row, output) = (index / 40, index % 40)
          let expected = row == bad ? read * floats[output * 151 + column] : 0
          let isRight =
            expected.isNaN ? y[index].isNaN : expected.isInfinite ? y[index] == expected : y[index].isFinite
          #expect(isRight, "\(table) \(level) rows \(rows) \(poison) at \(index): \(y[index])")
        }
      }
    }
  }

  @Test(arguments: TestTable.linear)
  func matmulMatchesDefinition(table: TestTable) {
    for (index, shape) in Self.shapes.enumerated() {
      var random = SeededRandom("LinearTests.matmulMatchesDefinition", index)
      let (n, k, rows) = shape
      let blocks = (n + 15) / 16
      let xStride = k + 3
      let x = GuardedBuffer<Float>((0..<((rows - 1) * xStride + k)).map { _ in random.normal() })
      let panel = GuardedBuffer<Float>((0..<(blocks * k * 16)).map { _ in random.normal() })
      let y = GuardedBuffer<Float>(count: rows * n)
      let scratch = Scratch(byteCount: productScratchByteCount(maxRows: rows))
      matmul(
        table.kernels, x: x.base, xRowStride: xStride, rows: rows, panel: panel.base, n: n, k: k, alpha: 0.3, y: y.base,
        yRowStride: n, scratch: scratch.base)
      for row in 0..<rows {
        for output in 0..<n {
          var expected = 0.0
          var magnitude = 0.0
          for input in 0..<k {
            let w = panel[((output / 16) * k + input) * 16 + output % 16]
            let product = Double(Float(0.3)) * Double(x[row * xStride + input]) * Double(w)
            expected += product
            magnitude += product.magnitude
          }
          let bound = ErrorBound.dense(k: k, magnitude: magnitude)
          #expect(
            (Double(y[row * n + output]) - expected).magnitude <= bound,
            "\(table) shape \(shape) row \(row) output \(output)")
        }
      }
    }
  }

  @Test(arguments: TestTable.linear)
  func matmulBFloat16MatchesDefinition(table: TestTable) {
    for (index, shape) in Self.shapes.enumerated() {
      var random = SeededRandom("LinearTests.matmulBFloat16MatchesDefinition", index)
      let (n, k, rows) = shape
      let (blocks, pairs) = ((n + 15) / 16, (k + 1) / 2)
      func number() -> UInt16 { bfloat16(random.normal()) }
      func float(_ bits: UInt16) -> Double { Double(Float(bitPattern: UInt32(bits) << 16)) }
      let floats = GuardedBuffer<Float>((0..<(rows * k)).map { _ in random.normal() })
      let x = GuardedBuffer<UInt16>(count: rows * 2 * pairs)
      roundToBFloat16(
        table.kernels, x: floats.base, xRowStride: k, rows: rows, k: k, into: UnsafeMutableRawPointer(x.base),
        outputRowStride: 4 * pairs)
      // Behind an odd K zeros.
      let panel = GuardedBuffer<UInt16>(
        (0..<(blocks * pairs * 32)).map { place in place / 32 % pairs * 2 + place % 2 < k ? number() : 0 })
      let y = GuardedBuffer<Float>(count: rows * n)
      let scratch = Scratch(byteCount: productScratchByteCount(maxRows: rows))
      matmulBFloat16(
        table.kernels, x: UnsafeRawPointer(x.base), xRowStride: 4 * pairs, rows: rows,
        panel: UnsafeRawPointer(panel.base), n: n, pairs: pairs, alpha: 0.3, y: y.base, yRowStride: n,
        scratch: scratch.base)
      for row in 0..<rows {
        for output in 0..<n {
          var expected = 0.0
          var magnitude = 0.0
          for input in 0..<k {
            let w = panel[((output / 16) * pairs + input / 2) * 32 + output % 16 * 2 + input % 2]
            let product = Double(Float(0.3)) * Double(roundedToBFloat16(floats[row * k + input])) * float(w)
            expected += product
            magnitude += product.magnitude
          }
          let bound = ErrorBound.bfloat16(k: k, alpha: 0.3, magnitude: magnitude)
          #expect(
            (Double(y[row * n + output]) - expected).magnitude <= bound,
            "\(table) shape \(shape) row \(row) output \(output)")
        }
      }
    }
  }

  /// Rows computed apart, as threads do, give the same bits where the table says that they may be cut.
  @Test(arguments: TestTable.linear, Level.allCases)
  func rowsAreIndependentWhereTheyAreCut(table: TestTable, level: Level) throws { try cutRows(table, level) }

  @Test(arguments: TestTable.forms, Level.nested)
  func rowsAreIndependentInEveryForm(table: TestTable, level: Level) throws { try cutRows(table, level) }

  private func cutRows(_ table: TestTable, _ level: Level) throws {
    var random = SeededRandom("LinearTests.rowsAreIndependentWhereTheyAreCut")
    let (n, k) = (40, 560)
    for parts in [2, 3, 9] {
      let unit = table.kernels.rowCut(level, rows: 100)
      // No fewer than the executor gives a thread.
      let cut = (32 / unit + 1) * unit
      let rows = parts * cut + 5
      let weights = try Site(n: n, k: k, form: table.kernels.form, random: &random)
      let x = GuardedBuffer<Float>((0..<(rows * k)).map { _ in random.normal() })
      let memory = Scratch(byteCount: QuantizedActivations.byteCount(rows: rows, k: k))
      let scratch = Scratch(byteCount: productScratchByteCount(maxRows: rows))
      let input = ProductInput(x: x.base, xRowStride: k, prepared: memory.base, rows: rows, k: k)
      if table.kernels.preparesInput(level, rows: rows) {
        input.prepare(level, table.kernels, firstRow: 0, rowCount: rows)
      }
      let (whole, cutUp) = (GuardedBuffer<Float>(count: rows * n), GuardedBuffer<Float>(count: rows * n))
      func multiply(_ first: Int, _ count: Int, _ y: GuardedBuffer<Float>) {
        input.multiply(
          weights.weights(level), level, table.kernels, firstRow: first, rowCount: count, y: y.base + first * n,
          yRowStride: n, firstBlock: 0, blocks: 3, scratch: scratch.base)
      }
      multiply(0, rows, whole)
      for part in 0..<parts { multiply(part * cut, part == parts - 1 ? rows - part * cut : cut, cutUp) }
      #expect(whole.array.map(\.bitPattern) == cutUp.array.map(\.bitPattern), "\(table) \(level) rows \(rows)")
    }
  }

  /// Blocks computed apart, as threads do, give the same bits.
  /// Kernels that take a few rows and those that take many give a row the same bits, where rows may be cut anywhere.
  @Test(arguments: TestTable.forms + TestTable.linear, Level.nested)
  func aRowHasItsBitsWhateverTheRows(table: TestTable, level: Level) throws {
    if table.kernels.rowCut(level, rows: 100) != 1 || table.kernels.nested(level).leading == nil { return }
    var random = SeededRandom("LinearTests.aRowHasItsBitsWhateverTheRows")
    let (n, k, rows) = (40, 1100, 21)
    let site = try Site(n: n, k: k, form: table.kernels.form, random: &random)
    let x = GuardedBuffer<Float>((0..<(rows * k)).map { _ in random.normal() })
    let scratch = Scratch(byteCount: linearScratchByteCount(maxRows: rows, k: k))
    func multiply(_ first: Int, _ count: Int, _ y: GuardedBuffer<Float>) {
      linear(
        site.weights(level), level, table.kernels, x: x.base + first * k, xRowStride: k, rows: count,
        y: y.base + first * n, yRowStride: n, scratch: scratch.base)
    }
    let whole = GuardedBuffer<Float>(count: rows * n)
    multiply(0, rows, whole)
    for size in [1, 2, 3, 5, 8, 10] {
      let parts = GuardedBuffer<Float>(count: rows * n)
      var first = 0
      while first < rows {
        multiply(first, min(size, rows - first), parts)
        first += size
      }
      #expect(whole.array.map(\.bitPattern) == parts.array.map(\.bitPattern), "\(table) \(level) by \(size)")
    }
  }

  @Test(arguments: TestTable.linear, Level.allCases)
  func blocksAreIndependent(table: TestTable, level: Level) throws { try cutBlocks(table, level) }

  @Test(arguments: TestTable.forms, Level.nested)
  func blocksAreIndependentInEveryForm(table: TestTable, level: Level) throws { try cutBlocks(table, level) }

  private func cutBlocks(_ table: TestTable, _ level: Level) throws {
    for rows in [1, 5, 8, 19] {
      var random = SeededRandom("LinearTests.blocksAreIndependent", rows)
      let (n, k) = (70, 560)
      let site = try Site(n: n, k: k, form: table.kernels.form, random: &random)
      let weights = site.weights(level)
      let x = GuardedBuffer<Float>((0..<(rows * k)).map { _ in random.normal() })
      let whole = GuardedBuffer<Float>(count: rows * n)
      let parts = GuardedBuffer<Float>(count: rows * n)
      let scratch = Scratch(byteCount: linearScratchByteCount(maxRows: rows, k: k))
      linear(
        weights, level, table.kernels, x: x.base, xRowStride: k, rows: rows, y: whole.base, yRowStride: n,
        scratch: scratch.base)
      let memory = Scratch(byteCount: QuantizedActivations.byteCount(rows: rows, k: k))
      let input = ProductInput(x: x.base, xRowStride: k, prepared: memory.base, rows: rows, k: k)
      if table.kernels.preparesInput(level, rows: rows) {
        input.prepare(level, table.kernels, firstRow: rows / 2, rowCount: rows - rows / 2)
        input.prepare(level, table.kernels, firstRow: 0, rowCount: rows / 2)
      }
      for (first, count) in [(3, 2), (0, 1), (1, 2)] {
        input.multiply(
          weights, level, table.kernels, firstRow: 0, rowCount: rows, y: parts.base, yRowStride: n, firstBlock: first,
          blocks: count, scratch: scratch.base)
      }
      #expect(whole.array.map(\.bitPattern) == parts.array.map(\.bitPattern), "\(table) \(level) rows \(rows)")
    }
  }
}
