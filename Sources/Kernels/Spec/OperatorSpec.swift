import Hardware

/// One generated operator: cache key, kernel name and test argument.
public struct OperatorSpec: Hashable, Sendable, CustomStringConvertible {
  public enum Operation: String, Hashable, Sendable, CaseIterable {
    /// ``UnaryArguments``.
    case gelu
    /// ``SoftmaxArguments``.
    case softmaxRows = "softmax"
    /// ``LayerNormArguments``.
    case layerNorm = "layernorm"
  }

  public var operation: Operation
  public var isa: InstructionSet

  public init(_ operation: Operation, isa: InstructionSet) {
    self.operation = operation
    self.isa = isa
  }

  /// As in ``KernelName``: operation, result and argument types, ISA. `gelu_f32_f32_avx2`.
  public var description: String { "\(operation.rawValue)_f32_f32_\(isa.name)" }

  /// What a CPU with `features` uses: one per operation, or nothing.
  public static func specs(for features: KernelFeatures) -> [OperatorSpec] {
    guard features.avx2 else { return [] }
    return Operation.allCases.map { OperatorSpec($0, isa: features.avx512 ? .avx512 : .avx2) }
  }

  /// Every operator of every instruction set.
  public static var all: [OperatorSpec] {
    [InstructionSet.avx2, .avx512].flatMap { isa in Operation.allCases.map { OperatorSpec($0, isa: isa) } }
  }
}
