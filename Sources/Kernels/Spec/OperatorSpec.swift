import Hardware

/// One generated operator: cache key, kernel name and test argument.
public struct OperatorSpec: Hashable, Sendable, CustomStringConvertible {
  public enum Operation: String, Hashable, Sendable, CaseIterable {
    /// ``UnaryArguments``.
    case gelu
    /// ``QuantizeArguments`` of the activation's result: GELU, exact and by tanh, SiLU and ReLU, for products of codes.
    case geluCodes = "geluquantize"
    case geluTanhCodes = "gelutanhquantize"
    case siluCodes = "siluquantize"
    case reluCodes = "reluquantize"
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

    /// What it is generated for.
    public var instructionSets: [InstructionSet] {
      switch self {
      case .gelu, .softmaxRows, .layerNorm: [.avx2, .avx512]
      case .geluCodes, .geluTanhCodes, .siluCodes, .reluCodes: [.avx512vnni]
      case .attentionPack, .attention, .codedAttentionPack, .codedAttention: [.avx512bf16]
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
      case .geluCodes, .geluTanhCodes, .siluCodes, .reluCodes: "s8_f32"
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
      operation.instructionSets.last { isa in
        switch isa {
        case .avx512: features.avx512
        case .avx512vnni: features.vnni512
        case .avx512bf16: features.bf16 && features.vnni512
        default: true
        }
      }.map { OperatorSpec(operation, isa: $0) }
    }
  }

  /// Every operator of every instruction set.
  public static var all: [OperatorSpec] {
    Operation.allCases.flatMap { operation in operation.instructionSets.map { OperatorSpec(operation, isa: $0) } }
  }
}
