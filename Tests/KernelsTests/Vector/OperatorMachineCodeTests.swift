import Hardware
import Kernels
import MachineCode
import TestSupport
import Testing

/// Prepared calls of the generated operators, with the results that the portable operators give.
final class OperatorCalls {
  struct Call {
    var spec: OperatorSpec
    var width: Int
    var job: EmulatedCPU.Job
    var result: GuardedBuffer<Float>
    var expected: [Float]
  }
  var calls: [Call] = []
  private var kept: [AnyObject] = []

  /// Widths on both sides of every vector and unrolling, at both edges of guarded pages.
  init(isa: InstructionSet, widths: [Int], rows: Int = 3) throws {
    var random = SeededRandom("OperatorCalls")
    let portable = KernelTable.portable
    for spec in OperatorSpec.all where spec.isa == isa {
      let code = try KernelGenerator.generate(spec)
      for width in widths {
        let atEnd = width % 2 == 0
        func buffer(_ count: Int) -> GuardedBuffer<Float> {
          let made = guarded(normals(count, &random), atEnd: atEnd)
          kept.append(made)
          return made
        }
        let (x, y, other) = (buffer(rows * width), buffer(rows * width), buffer(rows * width))
        let (gamma, beta) = (buffer(width), buffer(width))
        var expected = x.array
        var job = EmulatedCPU.Job(code: code, regions: [], argument: nil)
        var result = y
        switch spec.operation {
        case .gelu:
          job.argument = keep(UnaryArguments(x: x.base, y: y.base, count: width), &job)
          Operators.apply(.gelu, x.base, &expected, count: width)
          for index in width..<y.count { expected[index] = y[index] }
          job.regions += [.init(x, isWritable: false), .init(y)]
        case .softmaxRows:
          let masked = width % 3 != 0
          job.argument = keep(
            SoftmaxArguments(
              x: x.base, rowStride: 4 * width, mask: masked ? UnsafePointer(other.base) : nil, maskRowStride: 4 * width,
              rows: rows, width: width, scale: 0.7), &job)
          softmaxRows(
            portable, &expected, rows: rows, width: width, rowStride: width, scale: 0.7,
            mask: masked ? other.base : nil,
            maskRowStride: width)
          job.regions += [.init(x), .init(other, isWritable: false)]
          result = x
        case .layerNorm:
          let residual = width % 3 != 0
          job.argument = keep(
            LayerNormArguments(
              x: x.base, xRowStride: 4 * width, residual: residual ? UnsafePointer(other.base) : nil,
              residualRowStride: 4 * width, gamma: gamma.base, beta: beta.base, y: y.base, yRowStride: 4 * width,
              rows: rows, width: width, eps: 1e-3), &job)
          layerNorm(
            portable, x.base, xStride: width, residual: residual ? other.base : nil, residualStride: width,
            gamma: gamma.base, beta: beta.base, eps: 1e-3, rows: rows, width: width, &expected, yStride: width)
          job.regions += [
            .init(x, isWritable: false), .init(other, isWritable: false), .init(gamma, isWritable: false),
            .init(beta, isWritable: false), .init(y),
          ]
        // ActivationCodesKernelTests and AttentionKernelTests.
        case .geluCodes, .geluTanhCodes, .siluCodes, .reluCodes: continue
        case .attentionPack, .attention, .codedAttentionPack, .codedAttention: continue
        }
        calls.append(Call(spec: spec, width: width, job: job, result: result, expected: expected))
      }
    }
  }

  private func keep<Arguments: BitwiseCopyable>(
    _ arguments: Arguments, _ job: inout EmulatedCPU.Job
  ) -> UnsafeMutableRawPointer {
    let place = GuardedBuffer([arguments], edge: .start)
    kept.append(place)
    job.regions.append(.init(place, isWritable: false))
    return UnsafeMutableRawPointer(place.base)
  }

  func check(_ call: Call, _ complaints: [String]) {
    #expect(complaints == [], "\(call.spec), width \(call.width)")
    for (index, expected) in call.expected.enumerated() {
      let found = call.result[index]
      #expect(
        abs(found - expected) <= 3e-6 * max(1, abs(expected)),
        "\(call.spec), width \(call.width), element \(index): \(found), not \(expected)")
    }
  }
}

@Suite struct OperatorMachineCodeTests {
  /// Registers are poisoned before and checked after.
  @Test(.enabled(if: KernelFeatures(CPUFeatures.live()).avx2)) func keepsTheCallersRegisters() throws {
    let calls = try OperatorCalls(isa: .avx2, widths: Array(1...70))
    let cache = CodeCache<Int>()
    for call in calls.calls {
      let installed = try cache.install([(name: call.spec.description, bytes: call.job.code)])
      calls.check(call, try KernelCaller.call(installed[0].address, call.job.argument))
    }
  }

  @Test(
    .enabled(if: EmulatedCPU.missing == nil, "needs bochscpu-python; see ADAPTQ_EMULATOR_PYTHON"),
    arguments: [(InstructionSet.avx2, EmulatedCPU.Model.haswell), (.avx512, .skylakeX)])
  func runsOnAnEmulatedCPU(_ isa: InstructionSet, _ cpu: EmulatedCPU.Model) throws {
    let calls = try OperatorCalls(isa: isa, widths: Array(1...36) + [47, 48, 49, 63, 64, 65, 79, 130])
    let results = try EmulatedCPU.run(calls.calls.map(\.job), cpu: cpu)
    for (call, complaints) in zip(calls.calls, results) { calls.check(call, complaints) }
  }
}
