import Base
import Graph
import Hardware
import Kernels
import NestedFormat
import Runtime
import TestSupport
import Testing

/// Products of matrices against ``MatrixTrial``'s slow twin, and promises about bits.
@Suite struct MatrixTests {
  struct Table: Sendable, CustomStringConvertible {
    var description: String
    var kernels: KernelTable
  }

  static let generated = KernelSet(features: KernelFeatures(CPUFeatures.live()))
  static let tables = [
    Table(description: "portable", kernels: .portable), Table(description: "generated", kernels: generated.table),
    Table(description: "portable bfloat16", kernels: bfloat16),
  ]
  private static var bfloat16: KernelTable {
    var table = KernelTable.portable
    table.bfloat16Rows = 3
    return table
  }

  /// Random shapes, strides, weight types, epilogues and input kinds, at every level.
  @Test(arguments: tables, Level.allCases)
  func matchesTheDefinition(table: Table, level: Level) throws {
    for index in 0..<24 {
      var random = SeededRandom("MatrixTests.matchesTheDefinition", index &* 64 &+ Int(level.rawValue))
      let n = [1, 16, 17, 31, 48, 70][index % 6]
      let k = [1, 64, 63, 65, 130, 200, 448, 20][(index / 2) % 8]
      let rows = [1, 1, 2, 3, 4, 5, 9, 17][(index * 3 + index / 8) % 8]
      var options = MatrixOptions()
      options.expansion = [.byDefault, .on, .off][index % 3]
      options.maxRows = 17
      let elements: [MatrixSource.Element] = [.float32, .float16, .bfloat16]
      let trial = try MatrixTrial(
        n: n, k: k, element: elements[(index / 3) % 3], transposed: index % 2 == 1, gap: index % 4,
        withBias: index % 5 != 0, options: options, table: table.kernels, random: &random)
      try check(
        trial, level, rows: rows, fromCodes: index % 4 == 2, activation: MatrixActivation.allCases[(index / 2) % 4],
        usesBias: index % 7 != 3, withResidual: index % 3 == 1, "\(table) \(level) case \(index)", &random)
    }
  }

  private func check(
    _ trial: MatrixTrial, _ level: Level, rows: Int, fromCodes: Bool, activation: MatrixActivation, usesBias: Bool,
    withResidual: Bool, _ label: String, _ random: inout SeededRandom
  ) throws {
    let (n, k, groups) = (trial.n, trial.k, (trial.k + 63) / 64)
    let (xStride, yStride, rStride) = (k + rows % 3, n + rows % 4, n + 1)
    let x = GuardedBuffer<Float>((0..<((rows - 1) * xStride + k)).map { _ in random.normal() })
    let y = GuardedBuffer<Float>(Array(repeating: -77, count: (rows - 1) * yStride + n))
    let residual = GuardedBuffer<Float>((0..<((rows - 1) * rStride + n)).map { _ in random.normal() })
    let codes = GuardedBuffer<Int8>(count: rows * k)
    let scales = GuardedBuffer<Float>(count: rows * groups)
    let handle = trial.matrix.handle
    var call = MatrixCall(level: level, rows: rows, y: y.base, yStride: yStride)
    call.activation = activation
    call.usesBias = usesBias
    if withResidual {
      call.residual = UnsafePointer(residual.base)
      call.residualStride = rStride
    }
    if fromCodes {
      handle.quantizeRows(
        x.base, xStride: xStride, rows: rows, codes: codes.base, codeStride: k, scales: scales.base,
        scaleStride: groups)
      (call.codes, call.codeStride) = (UnsafePointer(codes.base), k)
      (call.scales, call.scaleStride) = (UnsafePointer(scales.base), groups)
    } else {
      (call.x, call.xStride) = (UnsafePointer(x.base), xStride)
    }
    let workspace = MatrixWorkspace(handle, rows: rows)
    handle.multiply(call, workspace: workspace.base)
    let decoded = trial.decoded(level, rows: rows)
    var wrong = 0
    for row in 0..<rows {
      let input = (0..<k).map { x[row * xStride + $0] }
      let read = trial.rounded(MatrixTrial.read(input, fromCodes ? .int8 : level), level, rows: rows)
      for output in 0..<n {
        let (value, bound) = trial.expected(
          read, output, level, decoded, rows: rows, bias: usesBias, activation,
          residual: withResidual ? residual[row * rStride + output] : nil)
        let got = Double(y[row * yStride + output])
        // Codes at a float level are multiplied by their scale first: one rounding more.
        let slack = fromCodes && !level.isNested ? 2.0 : 1.0
        if !((got - value).magnitude <= slack * bound + 1e-38) && wrong < 3 {
          wrong += 1
          Issue.record(
            "\(label) \(n)x\(k) rows \(rows) codes \(fromCodes) \(activation): row \(row) output \(output) is \(got), expected \(value) ± \(bound)"
          )
        }
      }
      for gap in n..<yStride where row + 1 < rows { #expect(y[row * yStride + gap] == -77, "\(label): row \(row)") }
    }
  }

  /// The expanded form, prepared codes, the matrix's own workspace and blocks computed apart give the same bits.
  @Test(arguments: tables, Level.allCases)
  func sameBitsHoweverComputed(table: Table, level: Level) throws {
    for rows in [1, 2, 6] {
      var random = SeededRandom("MatrixTests.sameBits", rows)
      var options = MatrixOptions()
      options.expansion = .on
      let trial = try MatrixTrial(n: 69, k: 330, options: options, table: table.kernels, random: &random)
      options.expansion = .off
      let plain = try Matrix(
        trial.matrix.stored, weightsOwner: try MemoryBlock.allocate(byteCount: 1, purpose: "test"), options: options,
        kernels: table.kernels, kernelOwner: nil)
      #expect(plain.expandedByteCount == 0)
      let x = GuardedBuffer<Float>((0..<(rows * 330)).map { _ in random.normal() * 7 })
      let codes = GuardedBuffer<Int8>(count: rows * 330)
      let scales = GuardedBuffer<Float>(count: rows * 6)
      let handle = trial.matrix.handle
      handle.quantizeRows(
        x.base, xStride: 330, rows: rows, codes: codes.base, codeStride: 330, scales: scales.base, scaleStride: 6)
      func product(_ handle: MatrixHandle, codes useCodes: Bool, blocks: [(Int, Int)]? = nil) -> [UInt32] {
        let y = GuardedBuffer<Float>(count: rows * 69)
        var call = MatrixCall(level: level, rows: rows, y: y.base, yStride: 69)
        call.activation = .silu
        call.residual = UnsafePointer(x.base)
        call.residualStride = 100
        if useCodes {
          (call.codes, call.codeStride) = (UnsafePointer(codes.base), 330)
          (call.scales, call.scaleStride) = (UnsafePointer(scales.base), 6)
        } else {
          (call.x, call.xStride) = (UnsafePointer(x.base), 330)
        }
        if let blocks {
          let workspace = MatrixWorkspace(handle, rows: rows)
          handle.prepareInput(call, workspace.base)
          for (first, count) in blocks {
            let scratch = MatrixWorkspace(handle, rows: rows)
            handle.multiply(call, workspace.base, scratch: scratch.base, firstBlock: first, blocks: count)
          }
        } else {
          handle.multiply(call, workspace: handle.workspace)
        }
        return y.array.map(\.bitPattern)
      }
      let whole = product(handle, codes: false)
      #expect(product(handle, codes: false) == whole, "\(table) \(level) rows \(rows): again")
      #expect(product(plain.handle, codes: false) == whole, "\(table) \(level) rows \(rows): not expanded")
      #expect(
        product(handle, codes: false, blocks: [(3, 2), (0, 1), (1, 2)]) == whole,
        "\(table) \(level) rows \(rows): blocks")
      if level.isNested {
        #expect(product(handle, codes: true) == whole, "\(table) \(level) rows \(rows): prepared codes")
      }
      withExtendedLifetime((trial, plain)) {}
    }
  }

  @Test(arguments: tables, Level.allCases)
  func poisonedRowsBecomeNaN(table: Table, level: Level) throws {
    for (index, poison) in [Float.nan, .infinity, -.infinity].enumerated() {
      for rows in [1, 3, 9] {
        var random = SeededRandom("MatrixTests.poison", index * 16 + rows)
        let trial = try MatrixTrial(n: 20, k: 150, table: table.kernels, random: &random)
        let x = GuardedBuffer<Float>((0..<(rows * 150)).map { _ in random.normal() })
        x[rows / 2 * 150 + 149 - 3 * rows] = poison
        for fromCodes in [false, true] {
          let y = GuardedBuffer<Float>(count: rows * 20)
          let codes = GuardedBuffer<Int8>(count: rows * 150)
          let scales = GuardedBuffer<Float>(count: rows * 3)
          var call = MatrixCall(level: level, rows: rows, y: y.base, yStride: 20)
          if fromCodes {
            trial.matrix.handle.quantizeRows(
              x.base, xStride: 150, rows: rows, codes: codes.base, codeStride: 150, scales: scales.base, scaleStride: 3)
            // A scale that is infinite counts as poison too.
            if poison == .infinity { scales[rows / 2 * 3 + 1] = .infinity }
            (call.codes, call.codeStride) = (UnsafePointer(codes.base), 150)
            (call.scales, call.scaleStride) = (UnsafePointer(scales.base), 3)
          } else {
            (call.x, call.xStride) = (UnsafePointer(x.base), 150)
          }
          trial.matrix.handle.multiply(call, workspace: trial.matrix.handle.workspace)
          for place in 0..<(rows * 20) {
            let isBad = place / 20 == rows / 2
            if level.isNested || fromCodes {
              #expect(
                y[place].isNaN == isBad, "\(table) \(level) rows \(rows) \(poison) codes \(fromCodes) at \(place)")
            } else {
              #expect(y[place].isFinite == !isBad, "\(table) \(level) rows \(rows) \(poison) at \(place)")
            }
          }
        }
      }
    }
  }

  /// Very large and very small weights and inputs, and codes of -128.
  @Test(arguments: tables, Level.nested)
  func extremeValues(table: Table, level: Level) throws {
    for (index, scales) in [(Float(1e18), Float(1e15)), (1e-30, 1e-5), (1e-5, 1e-30), (0, 1), (1, 0)].enumerated() {
      var random = SeededRandom("MatrixTests.extremeValues", index)
      let trial = try MatrixTrial(
        n: 19, k: 140, keep: [], table: table.kernels, scale: scales.0, random: &random)
      let decoded = trial.decoded(level, rows: 1)
      for rows in [1, 5] {
        let x = GuardedBuffer<Float>((0..<(rows * 140)).map { _ in random.normal() * scales.1 })
        let y = GuardedBuffer<Float>(count: rows * 19)
        var call = MatrixCall(level: level, rows: rows, y: y.base, yStride: 19)
        (call.x, call.xStride) = (UnsafePointer(x.base), 140)
        trial.matrix.handle.multiply(call, workspace: trial.matrix.handle.workspace)
        for row in 0..<rows {
          let read = MatrixTrial.read((0..<140).map { x[row * 140 + $0] }, level)
          for output in 0..<19 {
            let (value, bound) = trial.expected(
              read, output, level, decoded, rows: rows, bias: true, .none, residual: nil)
            let got = Double(y[row * 19 + output])
            #expect(
              (got - value).magnitude <= bound + 1e-37, "\(table) \(level) \(scales) rows \(rows): \(got), not \(value)"
            )
          }
        }
      }
      for rows in [1, 5] {
        let codes = GuardedBuffer<Int8>(Array(repeating: -128, count: rows * 140))
        let factors = GuardedBuffer<Float>(Array(repeating: 0.5, count: rows * 3))
        let y = GuardedBuffer<Float>(count: rows * 19)
        var call = MatrixCall(level: level, rows: rows, y: y.base, yStride: 19)
        (call.codes, call.codeStride) = (UnsafePointer(codes.base), 140)
        (call.scales, call.scaleStride) = (UnsafePointer(factors.base), 3)
        trial.matrix.handle.multiply(call, workspace: trial.matrix.handle.workspace)
        for place in 0..<(rows * 19) {
          let (value, bound) = trial.expected(
            Array(repeating: -64, count: 140), place % 19, level, decoded, rows: rows, bias: true, .none, residual: nil)
          #expect(
            (Double(y[place]) - value).magnitude <= bound + 1e-37, "\(table) \(level) \(scales) codes rows \(rows)")
        }
      }
    }
  }

  /// What a file keeps gives the same bits; the bytes go through the reader of models.
  @Test func savedMatricesReadBack() throws {
    var random = SeededRandom("MatrixTests.savedMatricesReadBack")
    let table = Self.generated.table
    var trials: [MatrixTrial] = []
    var stored: [StoredMatrix] = []
    for (index, keep) in [Set<Level>(), [.fp16], [.fp16, .fp32]].enumerated() {
      let trial = try MatrixTrial(
        n: 20 + index, k: 100, withBias: index != 1, keep: keep, table: table, random: &random)
      var matrix = trial.matrix.stored
      matrix.name = "layer.\(index)"
      trials.append(trial)
      stored.append(matrix)
    }
    let file = try MatrixFile(try MatrixFile.bytes(of: stored), source: "test")
    #expect(file.matrices.map(\.name) == ["layer.0", "layer.1", "layer.2"])
    for (trial, read) in zip(trials, file.matrices) {
      let matrix = try Matrix(
        read, weightsOwner: file.owner, options: MatrixOptions(), kernels: table, kernelOwner: nil)
      let x = (0..<100).map { _ in random.normal() }
      for level in Level.allCases {
        #expect(matrix.forms.holds(level) == trial.matrix.forms.holds(level))
        guard matrix.forms.holds(level) else { continue }
        var outputs: [[UInt32]] = []
        for handle in [matrix.handle, trial.matrix.handle] {
          var y = [Float](repeating: 0, count: trial.n)
          x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
              var call = MatrixCall(level: level, rows: 1, y: y.baseAddress!, yStride: trial.n)
              (call.x, call.xStride) = (x.baseAddress, 100)
              handle.multiply(call, workspace: handle.workspace)
            }
          }
          outputs.append(y.map(\.bitPattern))
        }
        #expect(outputs[0] == outputs[1], "\(read.name) \(level)")
      }
    }
  }
}
