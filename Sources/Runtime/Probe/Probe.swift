import Base
import Hardware
import Kernels
import NestedFormat

/// Everything adaptq knows about a machine: what `adaptq probe` prints and what the C API hands out.
public struct Probe: Sendable {
  /// What serves one level.
  public struct LevelKernels: Sendable {
    public var level: Level
    /// The instruction set of its product kernels.
    public var instructionSet: InstructionSet
    /// Names of the generated kernels in use; empty where the portable ones serve.
    public var kernels: [String]
    /// Generated kernels that were refused, and why.
    public var refused: [(kernel: String, because: String)]
    /// Instruction sets above the one in use, best last, and why they are not.
    public var notUsed: [(set: InstructionSet, because: String)]
  }

  public var features: CPUFeatures
  public var maximum: InstructionSet
  public var limits: ProcessorLimits
  public var levels: [LevelKernels]

  /// The highest instruction set with something to use.
  public var highest: InstructionSet { usable.highest }
  /// What kernels may be made for.
  public var usable: KernelFeatures

  /// - Parameters:
  ///   - kernels: what became of each kernel on this CPU.
  ///   - maximum: the limit they were made under.
  ///   - limits: read when the report is made.
  public init(features: CPUFeatures, maximum: InstructionSet, kernels: KernelSet, limits: ProcessorLimits) {
    self.features = features
    self.maximum = maximum
    self.limits = limits
    usable = kernels.features
    levels = Level.allCases.sorted(by: >).map { level in
      Probe.levelKernels(level, features, maximum, kernels)
    }
  }

  private static func levelKernels(
    _ level: Level, _ features: CPUFeatures, _ maximum: InstructionSet, _ kernels: KernelSet
  ) -> LevelKernels {
    let entries = kernels.entries.filter { $0.spec.level == level && $0.spec.operation != .quantize }
    let inUse = entries.filter { $0.whyNot == nil }
    let set = inUse.map(\.spec.isa).max() ?? .portable
    // Sets that this version has product kernels for, at this level, on some CPU.
    let written = Set(KernelCatalog.all.filter { $0.level == level && $0.operation != .quantize }.map(\.isa))
    var notUsed: [(set: InstructionSet, because: String)] = []
    for better in InstructionSet.allCases where better > set {
      let because: String
      if let why = better.whyNot(features, maximum: maximum) {
        because = why
      } else if let why = kernels.whyNotGenerated {
        because = why
      } else if better == .amx, let why = kernels.whyNotTiles {
        because = why
      } else if let failed = entries.first(where: { $0.spec.isa == better && $0.whyNot != nil }) {
        because = "\(failed.name): \(failed.whyNot ?? "")"
      } else if written.contains(better) {
        because = "kernels of the set in use are as fast on this CPU"
      } else {
        because = "this version has no \(level.name) kernels for it"
      }
      notUsed.append((better, because))
    }
    return LevelKernels(
      level: level, instructionSet: set, kernels: inUse.map(\.name),
      refused: entries.filter { $0.whyNot != nil }.map { ($0.name, $0.whyNot ?? "") }, notUsed: notUsed)
  }
}
