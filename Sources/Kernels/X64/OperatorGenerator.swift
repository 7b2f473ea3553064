import Base
import MachineCode

extension KernelGenerator {
  /// - Returns: position-independent code that takes a pointer to the operation's arguments.
  public static func generate(_ spec: OperatorSpec) throws(AdaptQError) -> [UInt8] { try marked(spec).bytes }

  /// ``generate(_:)-(OperatorSpec)`` for a listing.
  public static func marked(_ spec: OperatorSpec) throws(AdaptQError) -> MarkedCode {
    switch spec.isa {
    case .avx2 where !spec.operation.isReduced: try marked(spec, YMM.self)
    case .avx512 where !spec.operation.isReduced, .avx512bf16 where spec.operation.isReduced: try marked(spec, ZMM.self)
    default: throw .unsupported("\(spec): no generator")
    }
  }

  private static func marked<V: VectorWidth>(_ spec: OperatorSpec, _: V.Type) throws(AdaptQError) -> MarkedCode {
    let asm = X64Assembler()
    switch spec.operation {
    case .gelu: emitGelu(asm, V.self)
    case .softmaxRows: emitSoftmax(asm, V.self)
    case .layerNorm: emitLayerNorm(asm, V.self)
    case .attentionPack: emitAttentionPack(asm, isCoded: false)
    case .attention: try emitAttention(asm, isCoded: false)
    case .codedAttentionPack: emitAttentionPack(asm, isCoded: true)
    case .codedAttention: try emitAttention(asm, isCoded: true)
    }
    return try asm.finishMarked()
  }
}
