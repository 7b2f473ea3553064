import Base
import Hardware
import Kernels
import MachineCode
import NestedFormat
import TestSupport
import Testing

/// Every generated kernel against its portable twin: on this CPU where it has the instructions, else on an emulated one.
@Suite struct GeneratedKernelTests {
  private static let features = {
    var features = KernelFeatures(CPUFeatures.live(), maximum: .amx)
    _ = features.askForTiles()
    return features
  }()
  private static let native = KernelCatalog.all.filter { features.supports($0.isa) && (features.gfni || !$0.gfni) }
  /// Without those whose `vcvtne2ps2bf16` the emulator has wrong: they run on CPUs that have it only.
  /// And of the forms besides the standard one those of two levels.
  private static let emulated = KernelCatalog.all.filter {
    $0.isa != .avx2 && $0.operation != .bfloat16Half
      && ($0.form == .standard || [.int8, .int2].contains($0.level) || $0.operation == .quantize)
  }

  /// Runs trials and returns what went wrong.
  private typealias Runner = ([(GEMMSpec, KernelTrial)]) throws -> [String]

  private static func runNative(_ trials: [(GEMMSpec, KernelTrial)]) throws -> [String] {
    var wrong: [String] = []
    for (spec, trial) in trials {
      let memory = try ExecutableMemory.install([KernelGenerator.generate(spec)])
      let clobbered = try KernelCaller.call(memory.base, trial.argument)
      if !clobbered.isEmpty { wrong.append("\(trial.label): does not preserve \(clobbered)") }
      if let difference = trial.difference() { wrong.append("\(trial.label): \(difference)") }
    }
    return wrong
  }

  /// A CPU without what the kernel must not need. AVX-VNNI without GFNI does not exist, but unpacking without GFNI shows that
  /// decoding does not need it.
  private static func emulator(_ spec: GEMMSpec) -> EmulatedCPU.Model {
    switch spec.isa {
    case .avx2: .haswell
    case .avxvnni: spec.operation == .unpack && !spec.gfni ? .haswell : .arrowLake
    case .avx512: .skylakeX
    case .avx512bf16, .avx512fp16, .amx: .sapphireRapids
    default: .icelake
    }
  }

  private static func runEmulated(_ trials: [(GEMMSpec, KernelTrial)]) throws -> [String] {
    var wrong: [String] = []
    let jobs = try trials.map { spec, trial in
      EmulatedCPU.Job(code: try KernelGenerator.generate(spec), regions: trial.regions, argument: trial.argument)
    }
    for model in [EmulatedCPU.Model.haswell, .skylakeX, .icelake, .sapphireRapids, .arrowLake] {
      let mine = trials.indices.filter { emulator(trials[$0].0) == model }
      if mine.isEmpty { continue }
      let problems = try EmulatedCPU.run(mine.map { jobs[$0] }, cpu: model, timeoutSeconds: 600)
      for (index, problem) in zip(mine, problems) {
        let trial = trials[index].1
        if !problem.isEmpty { wrong.append("\(trial.label): \(problem)") }
        if let difference = trial.difference() { wrong.append("\(trial.label): \(difference)") }
      }
    }
    return wrong
  }

  /// Not all at once: each buffer has guard pages, and a process may have only so many mappings.
  private static func byForm(_ specs: [GEMMSpec], _ body: ([GEMMSpec]) throws -> Void) rethrows {
    for form in [NestedForm.standard] + KernelCatalog.otherForms { try body(specs.filter { $0.form == form }) }
  }

  /// - Parameter thorough: more shapes, where running is cheap.
  private func check(_ specs: [GEMMSpec], thorough: Bool, _ run: Runner) throws {
    var random = SeededRandom("GeneratedKernelTests.check")
    var panels: [GEMMSpec: [KernelTrial.Panel]] = [:]
    var first: [(GEMMSpec, KernelTrial)] = []
    for spec in specs where spec.operation == .unpack {
      for pass in 0..<3 {
        let weights = KernelTrial.Weights(
          spec.form, nBlocks: 1, groups: pass == 2 ? (spec.level == .int8 ? 8 : 9) : 3, exact: pass < 2,
          extreme: pass == 1,
          atStart: pass == 0, &random)
        let words = spec.isa == .avx2 && spec.level == .int8
        let panel = KernelTrial.Panel(weights, groupByteCount: words ? 2048 : 1024)
        panels[spec, default: []].append(panel)
        first.append((spec, KernelTrial.unpack(spec, into: panel)))
      }
    }
    for spec in specs where spec.operation == .leading {
      for pass in 0..<3 {
        let (exact, extreme) = (pass < 2, pass == 1)
        let weights = KernelTrial.Weights(
          spec.form, nBlocks: PanelArguments.wideBlocks, groups: pass == 2 ? 8 : 3, exact: exact, extreme: extreme,
          atStart: pass == 0, &random)
        let panel = KernelTrial.Panel(weights, blocks: PanelArguments.wideBlocks, groupByteCount: 1024)
        panels[spec, default: []].append(panel)
        for blocks in 1...PanelArguments.wideBlocks {
          // A single block goes to a panel of its own, so that no trial writes what another one does.
          let target = blocks == 1 ? KernelTrial.Panel(weights, groupByteCount: 1024) : panel
          first.append(
            (
              spec,
              .leading(
                spec, into: target, blocks: blocks, exact: exact, extreme: extreme, atStart: blocks == 1, &random)
            ))
        }
      }
    }
    var wrong = try run(first)
    var second: [(GEMMSpec, KernelTrial)] = []
    for spec in specs {
      switch spec.operation {
      case .unpack, .leading: break
      case .quantize:
        for (rows, k) in [(1, 64), (3, 100), (2, 63), (2, 193), (2, 512), (1, 1100), (5, 1), (2, 1664), (1, 2100)] {
          second.append((spec, .quantize(spec, rows: rows, k: k, &random)))
        }
      case .sums:
        for (rows, k) in [(1, 64), (3, 100), (2, 512), (5, 1), (2, 2100)] {
          second.append((spec, .sums(spec, rows: rows, k: k, &random)))
        }
      case .words:
        for (rows, groups) in [(1, 1), (3, 2), (2, 8), (1, 9), (4, 19)] {
          for kind in 0..<3 {
            second.append(
              (spec, .words(spec, rows: rows, groups: groups, kind: kind, atStart: rows % 2 == 0, &random)))
          }
        }
      case .dense:
        let all = thorough ? Array(1...40) : Array(1...spec.rows) + [spec.rows + 1, 2 * spec.rows + 3]
        for (index, rows) in all.enumerated() {
          let k = [1, 2, 3, 4, 5, 6, 7, 8, 13, 64][index % 10]
          for blocks in 1...(spec.isa >= .avx512 ? 2 : 1) {
            second.append((spec, .dense(spec, rows: rows, k: k, blocks: blocks, atStart: index % 2 == 0, &random)))
          }
        }
        for k in [1, 3, 4, 6, 13, 64] {
          let blocks = DenseArguments.wideBlocks
          second.append((spec, .dense(spec, rows: 1, k: k, blocks: blocks, atStart: k % 2 == 0, &random)))
        }
      case .bfloat16:
        let all = thorough ? Array(1...30) : Array(1...spec.rows) + [spec.rows + 1, 2 * spec.rows + 3]
        for (index, rows) in all.enumerated() {
          let pairs = [1, 2, 3, 4, 5, 6, 7, 9, 32][index % 9] + (spec.isa == .amx && index % 2 == 0 ? 15 : 0)
          for blocks in 1...BFloat16Arguments.mostBlocks {
            second.append(
              (
                spec,
                .bfloat16(
                  spec, rows: rows, pairs: pairs, blocks: blocks, special: index % 5 == 4, atStart: index % 2 == 0,
                  &random)
              ))
          }
        }
      case .bfloat16Half:
        for rows in 0...spec.rows {
          for blocks in 1...BFloat16Arguments.mostBlocks {
            for (index, k) in [1, 2, 3, 9, 10, 11, 12, 16, 35].enumerated() {
              second.append(
                (
                  spec,
                  .bfloat16Half(
                    spec, rows: rows, k: k, blocks: blocks,
                    keepsPanel: rows == 0 || rows == BFloat16Arguments.tileRows && index % 2 == 0,
                    special: index % 3 == 2,
                    atStart: (index + blocks) % 2 == 0, &random)
                ))
            }
          }
        }
      case .half:
        for rows in 1...spec.rows {
          for blocks in 1...2 {
            for (index, k) in [1, 2, 3, 15, 16, 17, 32, 35, 64].enumerated() {
              second.append(
                (
                  spec,
                  .half(
                    spec, rows: rows, k: k, blocks: blocks, kind: index % 3,
                    atStart: (index + blocks) % 2 == 0, &random)
                ))
            }
          }
        }
      case .round, .roundHalf:
        for (index, k) in [1, 2, 15, 16, 17, 31, 63, 64, 65, 80, 95, 128, 200, 321].enumerated() {
          if spec.operation == .round {
            second.append(
              (spec, .round(spec, rows: index % 3 + 1, k: k, atStart: index % 2 == 0, &random)))
          } else {
            for kind in 0..<4 {
              second.append(
                (
                  spec,
                  .roundHalf(
                    spec, rows: index % 3 + 1, k: k, kind: kind, inPlace: index % 2 == 0, &random)
                ))
            }
          }
        }
      case .panel:
        let maker = spec.isa == .amx ? .avx512vnni : spec.isa
        let pair = panels.filter { $0.key.isa == maker && $0.key.level == spec.level && $0.key.form == spec.form }
        for panels in pair.values {
          for (pass, panel) in panels.enumerated() {
            let all =
              thorough ? Array(1...13) + [17, 24, 40] : (pass == 2 ? Array(1...spec.rows) : [1, 2 * spec.rows + 3])
            for rows in all {
              for blocks in 1...panel.blocks {
                second.append(
                  (
                    spec,
                    .panel(
                      spec, panel, rows: rows, blocks: blocks, exact: pass < 2, extreme: pass == 1,
                      atStart: rows % 2 == 0, &random)
                  ))
              }
            }
          }
        }
      case .expanded:
        for pass in 0..<5 {
          second.append(
            (
              spec,
              try .expanded(
                spec, nBlocks: pass + 1, groups: pass == 2 ? 9 : 2, exact: pass < 2, extreme: pass == 1,
                atStart: pass % 2 == 0, &random)
            ))
        }
      case .vector:
        for pass in 0..<3 {
          second.append(
            (
              spec,
              .vector(
                spec, nBlocks: pass + 1, groups: pass == 2 ? 9 : 2, exact: pass < 2, extreme: pass == 1,
                atStart: pass % 2 == 0, &random)
            ))
        }
      }
    }
    wrong += try run(second)
    for text in wrong.prefix(20) { Issue.record("\(text)") }
    #expect(wrong.isEmpty, "\(wrong.count) of \(first.count + second.count) trials went wrong")
  }

  @Test(.enabled(if: !GeneratedKernelTests.native.isEmpty, "needs AVX2, FMA and F16C"))
  func equalTwinsOnThisCPU() throws {
    try Self.byForm(Self.native) { try check($0, thorough: true, Self.runNative) }
  }

  @Test(.enabled(if: EmulatedCPU.missing == nil, "\(EmulatedCPU.missing ?? "")"))
  func equalTwinsOnEmulatedCPUs() throws {
    try Self.byForm(Self.emulated) { try check($0, thorough: false, Self.runEmulated) }
  }
}
