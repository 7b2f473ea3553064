import Hardware
import MachineCode
import TestSupport
import Testing

@testable import Kernels

/// Codes straight from an activation's input.
@Suite struct ActivationCodesKernelTests {
  private static let specs = OperatorSpec.all.filter {
    [.geluCodes, .geluTanhCodes, .siluCodes, .reluCodes].contains($0.operation)
  }

  private static func twin(_ spec: OperatorSpec) -> Kernel {
    switch spec.operation {
    case .geluCodes: KernelTable.portableGeluCodes
    case .geluTanhCodes: KernelTable.portableGeluTanhCodes
    case .siluCodes: KernelTable.portableSiluCodes
    default: KernelTable.portableReluCodes
    }
  }

  /// Rows of any width, at any distance, with groups of every kind: ordinary, tiny, far out, one without a number.
  private static func trials(_ spec: OperatorSpec, thorough: Bool) -> [KernelTrial] {
    var random = SeededRandom("ActivationCodesKernelTests \(spec)")
    var shapes = [(1, 64), (3, 100), (2, 63), (2, 193), (2, 512), (1, 1100), (5, 1), (1, 1536), (2, 1029)]
    if thorough {
      for _ in 0..<60 {
        shapes.append((Int.random(in: 1...5, using: &random), Int.random(in: 1...2200, using: &random)))
      }
    }
    return shapes.map { rows, k in trial(spec, rows: rows, k: k, gap: Int.random(in: 0...3, using: &random), &random) }
  }

  private static func trial(
    _ spec: OperatorSpec, rows: Int, k: Int, gap: Int, _ random: inout SeededRandom
  ) -> KernelTrial {
    let groups = (k + 63) / 64
    let stride = k + gap
    let x = GuardedBuffer<Float>((0..<((rows - 1) * stride + k)).map { _ in random.normal() * 2 })
    for row in 0..<rows {
      for group in 0..<groups {
        let first = row * stride + group * 64
        let scale: Float = [1, 1, 1e-3, 0x1p-125, 8, 0][Int.random(in: 0..<6, using: &random)]
        for index in first..<min(first + 64, row * stride + k) { x[index] *= scale }
        if Int.random(in: 0..<9, using: &random) == 0 {
          x[first] = [Float.nan, .infinity, -.infinity].randomElement(using: &random) ?? .nan
        }
      }
    }
    let codes = (0..<2).map { _ in GuardedBuffer<Int8>(count: rows * groups * 64) }
    let facts = (0..<2).map { _ in GuardedBuffer<ActivationGroup>(count: rows * groups) }
    func arguments(_ index: Int) -> QuantizeArguments {
      QuantizeArguments(
        x: x.base, xRowStride: stride * 4, codes: codes[index].base, codeRowStride: groups * 64,
        groups: facts[index].base, groupRowStride: groups * 16, k: k, rows: rows)
    }
    var expected = arguments(1)
    twin(spec)(&expected)
    return KernelTrial(
      "\(spec) rows \(rows) k \(k)", arguments(0), [.init(x, isWritable: false), .init(codes[0]), .init(facts[0])],
      keep: [x] + codes + facts, difference: { difference(codes, facts) })
  }

  private static func difference(
    _ codes: [GuardedBuffer<Int8>], _ facts: [GuardedBuffer<ActivationGroup>]
  ) -> String? {
    for group in 0..<facts[0].count {
      let (a, b) = (facts[0][group], facts[1][group])
      if b.scale.isNaN {
        if !a.scale.isNaN || !a.offset.isNaN { return "group \(group) is not NaN" }
        continue
      }
      if a.scale != b.scale || a.offset != b.offset { return "group \(group) is \(a), expected \(b)" }
      for index in (64 * group)..<(64 * group + 64) where codes[0][index] != codes[1][index] {
        return "code \(index) is \(codes[0][index]), expected \(codes[1][index])"
      }
    }
    return nil
  }

  @Test(.enabled(if: KernelFeatures(CPUFeatures.live()).vnni512)) func equalsItsTwin() throws {
    for spec in Self.specs {
      let cache = CodeCache<Int>()
      let installed = try cache.install([(name: spec.description, bytes: KernelGenerator.generate(spec))])
      for trial in Self.trials(spec, thorough: true) {
        #expect(try KernelCaller.call(installed[0].address, trial.argument) == [], "\(trial.label)")
        if let difference = trial.difference() { Issue.record("\(trial.label): \(difference)") }
      }
      withExtendedLifetime(cache) {}
    }
  }

  @Test(.enabled(if: EmulatedCPU.missing == nil, "needs bochscpu-python; see ADAPTQ_EMULATOR_PYTHON"))
  func equalsItsTwinOnAnEmulatedCPU() throws {
    var all: [(code: [UInt8], trial: KernelTrial)] = []
    for spec in Self.specs {
      let code = try KernelGenerator.generate(spec)
      all += Self.trials(spec, thorough: false).map { (code, $0) }
    }
    let jobs = all.map { EmulatedCPU.Job(code: $0.code, regions: $0.trial.regions, argument: $0.trial.argument) }
    let results = try EmulatedCPU.run(jobs, cpu: .icelake)
    for (item, complaints) in zip(all, results) {
      #expect(complaints == [], "\(item.trial.label)")
      if let difference = item.trial.difference() { Issue.record("\(item.trial.label): \(difference)") }
    }
  }

  /// The same as floats first and the table's quantizer behind it, whether rows touch each other or not.
  @Test(arguments: [0, 5]) func equalsActivationThenCoding(_ gap: Int) {
    let table = TestTable.generated.table
    var random = SeededRandom("equalsActivationThenCoding \(gap)")
    for operation in ActivationPiecesTests.operations + ActivationPiecesTests.onlyForCodes {
      guard let kernel = table.activationCodes(operation) else { continue }
      let pieces = ActivationPieces(operation, degree: 2)
      for (rows, k) in [(1, 1536), (7, 384), (128, 64), (3, 200), (9, 1536), (2, 70)] {
        let stride = k + gap
        let x = normals(rows * stride, &random, scale: 2)
        let y = x.map { pieces.apply($0) }
        let memory = (0..<2).map { _ in
          GuardedBuffer<UInt64>(count: QuantizedActivations.byteCount(rows: rows, k: k) / 8)
        }
        let found = QuantizedActivations(memory: UnsafeMutableRawPointer(memory[0].base), rows: rows, k: k)
        let expected = QuantizedActivations(memory: UnsafeMutableRawPointer(memory[1].base), rows: rows, k: k)
        let half = rows / 2
        activationCodes(kernel, table, x: x, xRowStride: stride, into: found, firstRow: 0, rowCount: half)
        activationCodes(kernel, table, x: x, xRowStride: stride, into: found, firstRow: half, rowCount: rows - half)
        quantize(x: y, xRowStride: stride, into: expected, .int8, table)
        for index in 0..<(rows * found.rowStride) where found.codes[index] != expected.codes[index] {
          Issue.record("\(operation), \(rows) x \(k): code \(index)")
          break
        }
        for index in 0..<(rows * found.groups) {
          let (a, b) = (found.groupScales[index], expected.groupScales[index])
          #expect(a.scale == b.scale && a.offset == b.offset, "\(operation), \(rows) x \(k): group \(index)")
        }
        withExtendedLifetime(memory) {}
      }
    }
  }
}
