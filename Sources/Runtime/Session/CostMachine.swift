import Base
import Hardware
import Kernels

/// What measured costs belong to besides the model: a CPU and the kernels that serve it.
public struct CostMachine: Equatable, Sendable {
  /// As the CPU calls itself; empty where it has no name.
  public var cpu: String
  /// The highest instruction set that the limit leaves.
  public var instructionSet: Int
  /// A bit for each feature that kernels may use.
  public var features: UInt64
  /// Of the names of the generated kernels in use: another version of adaptq may have others, and the system may refuse some.
  public var kernels: UInt64

  public init(cpu: String, instructionSet: Int, features: UInt64, kernels: UInt64) {
    self.cpu = cpu
    self.instructionSet = instructionSet
    self.features = features
    self.kernels = kernels
  }

  public init(_ cpu: CPUFeatures, _ features: KernelFeatures, _ kernels: KernelSet) {
    self.cpu = cpu.brand ?? ""
    instructionSet = features.highest.rawValue
    self.features = 0
    for has in [
      features.avx2, features.bmi2, features.avxvnni, features.gfni, features.avx512, features.vbmi512,
      features.vnni512,
      features.bf16, features.fp16, features.amxInt8, features.amxBF16,
    ].reversed() { self.features = self.features << 1 | (has ? 1 : 0) }
    var checksum = Checksum()
    for entry in kernels.entries where entry.whyNot == nil { checksum.add(entry.name) }
    for entry in kernels.operatorEntries where entry.whyNot == nil { checksum.add(entry.spec.description) }
    self.kernels = checksum.value
  }

  static func name(ofInstructionSet value: Int) -> String {
    InstructionSet(rawValue: value)?.name ?? "number \(value)"
  }
}
