import Hardware
import MachineCode
import TestSupport
import Testing

@testable import Kernels

@Suite struct AttentionKernelTests {
  private func arithmetics(_ table: TestTable) -> [AttentionArithmetic] {
    table.kernels.attention == nil ? [.float32] : [.float32, .bfloat16, .codes]
  }

  /// FP32 everywhere, the others where the CPU has bfloat16 (else FP32 again).
  @Test(arguments: TestTable.all, [AttentionArithmetic.float32, .bfloat16, .codes])
  func randomShapesMatchTheTwin(_ table: TestTable, _ arithmetic: AttentionArithmetic) {
    var random = SeededRandom("attention \(arithmetic)")
    let hasKernels = table.kernels.attention != nil
    var wrong: [String] = []
    for index in 0..<(hasKernels ? 500 : 150) {
      let trial = AttentionTrial.random(&random, hasKernels ? arithmetic : .float32)
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
      for arithmetic in arithmetics(table) {
        let trial = AttentionTrial(
          queries: 5, keys: keys, width: 32, valueWidth: 32, scale: 0.2, scoreSize: scoreSize, arithmetic: arithmetic)
        let buffers = AttentionBuffers(trial, atEnd: true, &random)
        buffers.run(table.kernels)
        #expect(buffers.difference() == nil, "\(trial)")
      }
    }
  }

  /// Scores up to thousands: one key takes everything, and nothing overflows.
  @Test(arguments: TestTable.all) func extremeScoresLeaveOneKey(_ table: TestTable) {
    var random = SeededRandom("extremeScoresLeaveOneKey")
    for arithmetic in arithmetics(table) {
      for (size, scale) in [(Float(3e3), Float(1)), (1e18, 1), (1e30, 1e-20), (1e-12, 1e18)] {
        for keys in [40, 130] {
          let trial = AttentionTrial(
            queries: 6, keys: keys, width: 20, valueWidth: 18, scale: scale, scoreSize: size, arithmetic: arithmetic)
          let buffers = AttentionBuffers(trial, atEnd: true, &random)
          let root = size.squareRoot()
          for index in 0..<20 {
            for key in 0..<keys { buffers.k[key * buffers.kStride + index] = Float(key + 1) * root }
            for query in 0..<6 { buffers.q[query * buffers.qStride + index] = query % 2 == 0 ? root : -root }
          }
          buffers.run(table.kernels)
          for query in 0..<6 {
            let winner = query % 2 == 0 ? keys - 1 : 0
            for column in 0..<18 {
              let found = buffers.y[query * buffers.yStride + column]
              let expected = buffers.v[winner * buffers.vStride + column]
              #expect(abs(found - expected) <= abs(expected) * 0x1p-8, "\(trial), query \(query), column \(column)")
            }
          }
        }
      }
    }
  }

  /// A NaN spoils the rows it meets, and no other; so do infinite scores.
  @Test(arguments: TestTable.all) func nonFiniteNumbersStayInTheirRows(_ table: TestTable) {
    var random = SeededRandom("nonFiniteNumbersStayInTheirRows")
    for arithmetic in arithmetics(table) {
      for keys in [1, 15, 33, 64, 130] {
        for bad in [Float.nan, .infinity, -.infinity] {
          let trial = AttentionTrial(
            queries: 14, keys: keys, width: 9, valueWidth: 5, scale: 0.5, arithmetic: arithmetic)
          let buffers = AttentionBuffers(trial, atEnd: true, &random)
          for key in 0..<keys { buffers.k[key * buffers.kStride + 3] = 1 + Float(key) }
          buffers.q[6 * buffers.qStride + 3] = bad
          buffers.run(table.kernels)
          for query in 0..<14 {
            for column in 0..<5 {
              #expect(buffers.y[query * buffers.yStride + column].isNaN == (query == 6), "\(trial), \(bad), \(query)")
            }
          }
          // A score of -infinity next to finite ones is a share of 0, but a key without a scale spoils all rows.
          let other = AttentionBuffers(trial, atEnd: true, &random)
          if keys > 1 {
            for query in 0..<14 { other.q[query * other.qStride + 3] = 1 }
            other.k[(keys - 1) * other.kStride + 3] = -.infinity
            other.run(table.kernels)
            let isSpoilt = trial.used == .codes
            #expect((0..<14).allSatisfy { other.y[$0 * other.yStride].isNaN == isSpoilt }, "\(trial)")
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
    for index in 0..<40 {
      var trial = AttentionTrial.random(&random, index % 2 == 0 ? .bfloat16 : .codes)
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
    func address(_ operation: OperatorSpec.Operation) throws -> UnsafeRawPointer {
      let spec = OperatorSpec(operation, isa: .avx512bf16)
      return try cache.install([(name: spec.description, bytes: KernelGenerator.generate(spec))])[0].address
    }
    let kinds: [(arithmetic: AttentionArithmetic, pack: UnsafeRawPointer, tile: UnsafeRawPointer)] = [
      (.bfloat16, try address(.attentionPack), try address(.attention)),
      (.codes, try address(.codedAttentionPack), try address(.codedAttention)),
    ]
    for index in 0..<24 {
      let (rows, kind) = (index / 2 + 1, kinds[index % 2])
      for kept in [nil, (0..<35).map { $0 % 3 == 0 }] {
        let trial = AttentionTrial(
          queries: rows, keys: 35, width: 41, valueWidth: 37, scale: 0.3, kept: kept, arithmetic: kind.arithmetic,
          isDirect: true)
        let b = AttentionBuffers(trial, atEnd: rows % 2 == 0, &random)
        let keyPanel = GuardedBuffer<SIMD64<UInt8>>(count: 3 * 23 + AttentionPackArguments.keyPanelSlack / 64)
        let valuePanel = GuardedBuffer<SIMD64<UInt8>>(count: 3 * 18)
        let queries = GuardedBuffer<SIMD64<UInt8>>(count: 12 * 2)
        let scores = GuardedBuffer<SIMD64<UInt8>>(count: 12 * 5)
        var packing = AttentionPackArguments(
          k: b.k.base, kRowStride: b.kStride * 4, v: b.v.base, vRowStride: b.vStride * 4, keys: 35, width: 41,
          valueWidth: 37, keyPanel: UnsafeMutableRawPointer(keyPanel.base),
          valuePanel: UnsafeMutableRawPointer(valuePanel.base))
        #expect(try KernelCaller.call(kind.pack, &packing) == [])
        var arguments = AttentionArguments(
          q: b.q.base, qRowStride: b.qStride * 4, keyPanel: keyPanel.base, valuePanel: valuePanel.base,
          mask: kept == nil ? nil : UnsafePointer(b.mask.base), y: b.y.base, yRowStride: b.yStride * 4,
          queries: UnsafeMutableRawPointer(queries.base), queryStride: 128,
          scores: UnsafeMutableRawPointer(scores.base), scoreStride: 320, rows: rows, keys: 35, width: 41,
          valueWidth: 37, scale: 0.3 * 1.442_695)
        #expect(try KernelCaller.call(kind.tile, &arguments) == [])
        #expect(b.difference() == nil, "\(trial)")
      }
    }
  }
}
