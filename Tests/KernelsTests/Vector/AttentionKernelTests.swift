import Hardware
import MachineCode
import TestSupport
import Testing

@testable import Kernels

@Suite struct AttentionKernelTests {
  /// FP32 everywhere, bfloat16 where the CPU has it (else FP32 again).
  @Test(arguments: TestTable.all, [false, true]) func randomShapesMatchTheTwin(_ table: TestTable, _ isReduced: Bool) {
    var random = SeededRandom("attention \(isReduced)")
    let hasKernels = table.kernels.attention != nil
    var wrong: [String] = []
    for index in 0..<(hasKernels ? 500 : 150) {
      let trial = AttentionTrial.random(&random, isReduced: isReduced && hasKernels)
      let buffers = AttentionBuffers(trial, atEnd: index % 2 == 0, &random)
      buffers.run(table.kernels)
      if let difference = buffers.difference() { wrong.append("\(trial): \(difference)") }
    }
    for text in wrong.prefix(10) { Issue.record("\(text)") }
    #expect(wrong.isEmpty, "\(wrong.count) trials went wrong")
  }

  @Test(arguments: TestTable.all) func longRowsMatchTheTwin(_ table: TestTable) {
    var random = SeededRandom("longRowsMatchTheTwin")
    for (keys, scoreSize) in [(1000, Float(0.1)), (1024, 8), (2049, 1)] {
      for isReduced in [false, table.kernels.attention != nil] {
        let trial = AttentionTrial(
          queries: 5, keys: keys, width: 32, valueWidth: 32, scale: 0.2, scoreSize: scoreSize, isReduced: isReduced)
        let buffers = AttentionBuffers(trial, atEnd: true, &random)
        buffers.run(table.kernels)
        #expect(buffers.difference() == nil, "\(trial)")
      }
    }
  }

  /// Scores up to thousands: one key takes everything, and nothing overflows.
  @Test(arguments: TestTable.all) func extremeScoresLeaveOneKey(_ table: TestTable) {
    var random = SeededRandom("extremeScoresLeaveOneKey")
    for isReduced in [false, table.kernels.attention != nil] {
      for (size, scale) in [(Float(3e3), Float(1)), (1e18, 1), (1e30, 1e-20), (1e-15, 1e18)] {
        let trial = AttentionTrial(
          queries: 6, keys: 40, width: 20, valueWidth: 18, scale: scale, scoreSize: size, isReduced: isReduced)
        let buffers = AttentionBuffers(trial, atEnd: true, &random)
        for key in 0..<40 {
          for index in 0..<20 { buffers.k[key * buffers.kStride + index] = Float(key + 1) * size.squareRoot() }
        }
        for query in 0..<6 {
          for index in 0..<20 { buffers.q[query * buffers.qStride + index] = query % 2 == 0 ? 1 : -1 }
        }
        for query in 0..<6 {
          for index in 0..<20 { buffers.q[query * buffers.qStride + index] *= size.squareRoot() }
        }
        buffers.run(table.kernels)
        if size < 1e-10 { continue }
        for query in 0..<6 {
          let winner = query % 2 == 0 ? 39 : 0
          for column in 0..<18 {
            let (found, expected) = (
              buffers.y[query * buffers.yStride + column], buffers.v[winner * buffers.vStride + column]
            )
            #expect(abs(found - expected) <= abs(expected) * 0x1p-8, "\(trial), query \(query), column \(column)")
          }
        }
      }
    }
  }

  /// A NaN spoils the rows it meets, and no other; so do infinite scores.
  @Test(arguments: TestTable.all) func nonFiniteNumbersStayInTheirRows(_ table: TestTable) {
    var random = SeededRandom("nonFiniteNumbersStayInTheirRows")
    for isReduced in [false, table.kernels.attention != nil] {
      for keys in [1, 15, 33, 64] {
        for bad in [Float.nan, .infinity, -.infinity] {
          let trial = AttentionTrial(
            queries: 14, keys: keys, width: 9, valueWidth: 5, scale: 0.5, isReduced: isReduced)
          let buffers = AttentionBuffers(trial, atEnd: true, &random)
          for key in 0..<keys { buffers.k[key * buffers.kStride + 3] = 1 + Float(key) }
          buffers.q[6 * buffers.qStride + 3] = bad
          buffers.run(table.kernels)
          for query in 0..<14 {
            for column in 0..<5 {
              #expect(buffers.y[query * buffers.yStride + column].isNaN == (query == 6), "\(trial), \(bad), \(query)")
            }
          }
          // A score of -infinity next to finite ones is a share of 0.
          let other = AttentionBuffers(trial, atEnd: true, &random)
          if keys > 1 {
            for query in 0..<14 { other.q[query * other.qStride + 3] = 1 }
            other.k[(keys - 1) * other.kStride + 3] = -.infinity
            other.run(table.kernels)
            #expect((0..<14).allSatisfy { other.y[$0 * other.yStride].isFinite }, "\(trial)")
            other.k[(keys - 1) * other.kStride + 3] = bad == .infinity ? .infinity : .nan
            other.run(table.kernels)
            #expect((0..<14).allSatisfy { other.y[$0 * other.yStride].isNaN }, "\(trial)")
          }
        }
      }
    }
  }

  /// How many queries a call has changes no row: shares of a batch may be computed in any company.
  @Test(.enabled(if: TestTable.generated.table.attention != nil, "needs AVX512-BF16"))
  func rowsDoNotDependOnTheirTile() {
    var random = SeededRandom("rowsDoNotDependOnTheirTile")
    for _ in 0..<20 {
      var trial = AttentionTrial.random(&random, isReduced: true)
      let (width, valueWidth) = (trial.width, trial.valueWidth)
      trial.queries = 24
      let all = AttentionBuffers(trial, atEnd: true, &random)
      all.run(TestTable.generated.table)
      trial.queries = 12
      let half = AttentionBuffers(trial, atEnd: true, &random)
      for row in 0..<12 {
        for index in 0..<width { half.q[row * half.qStride + index] = all.q[(row + 12) * all.qStride + index] }
      }
      for key in 0..<trial.keys {
        for index in 0..<width { half.k[key * half.kStride + index] = all.k[key * all.kStride + index] }
        for index in 0..<valueWidth { half.v[key * half.vStride + index] = all.v[key * all.vStride + index] }
      }
      half.run(TestTable.generated.table)
      for row in 0..<12 {
        for index in 0..<valueWidth {
          #expect(same(half.y[row * half.yStride + index], all.y[(row + 12) * all.yStride + index]), "\(trial)")
        }
      }
    }
  }

  /// Registers are poisoned before and checked after.
  @Test(.enabled(if: KernelFeatures(CPUFeatures.live()).bf16, "needs AVX512-BF16"))
  func keepsTheCallersRegisters() throws {
    var random = SeededRandom("keepsTheCallersRegisters")
    let cache = CodeCache<Int>()
    let code = try [OperatorSpec.Operation.attentionPack, .attention].map { operation in
      let spec = OperatorSpec(operation, isa: .avx512bf16)
      return try cache.install([(name: spec.description, bytes: KernelGenerator.generate(spec))])[0].address
    }
    for rows in 1...12 {
      for kept in [nil, (0..<35).map { $0 % 3 == 0 }] {
        let trial = AttentionTrial(
          queries: rows, keys: 35, width: 41, valueWidth: 37, scale: 0.3, kept: kept, isReduced: true)
        let b = AttentionBuffers(trial, atEnd: rows % 2 == 0, &random)
        let keyPanel = GuardedBuffer<SIMD64<UInt8>>(count: 3 * 21 + AttentionPackArguments.keyPanelSlack / 64)
        let valuePanel = GuardedBuffer<SIMD64<UInt8>>(count: 3 * 18)
        let queries = GuardedBuffer<SIMD64<UInt8>>(count: 12 * 2)
        let scores = GuardedBuffer<SIMD64<UInt8>>(count: 12 * 5)
        var packing = AttentionPackArguments(
          k: b.k.base, kRowStride: b.kStride * 4, v: b.v.base, vRowStride: b.vStride * 4, keys: 35, width: 41,
          valueWidth: 37, keyPanel: UnsafeMutableRawPointer(keyPanel.base),
          valuePanel: UnsafeMutableRawPointer(valuePanel.base))
        #expect(try KernelCaller.call(code[0], &packing) == [])
        var arguments = AttentionArguments(
          q: b.q.base, qRowStride: b.qStride * 4, keyPanel: keyPanel.base, valuePanel: valuePanel.base,
          mask: kept == nil ? nil : UnsafePointer(b.mask.base), y: b.y.base, yRowStride: b.yStride * 4,
          queries: UnsafeMutableRawPointer(queries.base), queryStride: 128,
          scores: UnsafeMutableRawPointer(scores.base), scoreStride: 320, rows: rows, keys: 35, width: 41,
          valueWidth: 37, scale: 0.3 * 1.442_695)
        #expect(try KernelCaller.call(code[1], &arguments) == [])
        #expect(b.difference() == nil, "\(trial)")
      }
    }
  }
}
