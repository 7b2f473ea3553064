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
    /// ``AttentionPackArguments``.
    case attentionPack = "attentionpack"
    /// ``AttentionArguments``.
    case attention
    /// The same with scores from 8-bit codes.
    case codedAttentionPack = "attentionpack8"
    case codedAttention = "attention8"

    /// Whether it multiplies in bfloat16, for which there is one instruction set.
    var isReduced: Bool {
      switch self {
      case .gelu, .softmaxRows, .layerNorm: false
      case .attentionPack, .attention, .codedAttentionPack, .codedAttention: true
      }
    }
  }

  public var operation: Operation
  public var isa: InstructionSet

  public init(_ operation: Operation, isa: InstructionSet) {
    self.operation = operation
    self.isa = isa
  }

  /// As in ``KernelName``: operation, result and argument types, ISA. `gelu_f32_f32_avx2`.
  public var description: String {
    let types =
      switch operation {
      case .gelu, .softmaxRows, .layerNorm: "f32_f32"
      case .attentionPack: "bf16_f32"
      case .attention: "f32_bf16"
      case .codedAttentionPack: "s8bf16_f32"
      case .codedAttention: "f32_s8bf16"
      }
    return "\(operation.rawValue)_\(types)_\(isa.name)"
  }

  /// What a CPU with `features` uses: one per operation, or nothing.
  public static func specs(for features: KernelFeatures) -> [OperatorSpec] {
    guard features.avx2 else { return [] }
    return Operation.allCases.compactMap { operation in
      if operation.isReduced {
        return features.bf16 && features.vnni512 ? OperatorSpec(operation, isa: .avx512bf16) : nil
      }
      return OperatorSpec(operation, isa: features.avx512 ? .avx512 : .avx2)
    }
  }

  /// Every operator of every instruction set.
  public static var all: [OperatorSpec] {
    Operation.allCases.flatMap { operation in
      let sets: [InstructionSet] = operation.isReduced ? [.avx512bf16] : [.avx2, .avx512]
      return sets.map { OperatorSpec(operation, isa: $0) }
    }
  }
}
