import Base
import MachineCode

extension KernelGenerator {
  /// - Returns: position-independent code that takes a pointer to the operation's arguments.
  public static func generate(_ spec: OperatorSpec) throws(AdaptQError) -> [UInt8] { try marked(spec).bytes }

  /// ``generate(_:)-(OperatorSpec)`` for a listing.
  public static func marked(_ spec: OperatorSpec) throws(AdaptQError) -> MarkedCode {
    if !spec.operation.instructionSets.contains(spec.isa) { throw .unsupported("\(spec): no generator") }
    let asm = X64Assembler()
    let wide = spec.isa >= .avx512
    switch spec.operation {
    case .gelu: if wide { emitActivation(asm, ActivationPieces(.gelu, degree: 4)) } else { emitGelu(asm) }
    case .geluCodes: emitQuantize(asm, wide: true, activation: ActivationPieces(.gelu, degree: 2))
    case .geluTanhCodes: emitQuantize(asm, wide: true, activation: ActivationPieces(.geluTanh, degree: 2))
    case .siluCodes: emitQuantize(asm, wide: true, activation: ActivationPieces(.silu, degree: 2))
    case .reluCodes: emitQuantize(asm, wide: true, activation: ActivationPieces(.relu, degree: 2))
    case .softmaxRows: if wide { emitSoftmax(asm, ZMM.self) } else { emitSoftmax(asm, YMM.self) }
    case .layerNorm: if wide { emitLayerNorm(asm, ZMM.self) } else { emitLayerNorm(asm, YMM.self) }
    case .attentionPack: emitAttentionPack(asm, isCoded: false)
    case .attention: try emitAttention(asm, isCoded: false)
    case .codedAttentionPack: emitAttentionPack(asm, isCoded: true)
    case .codedAttention: try emitAttention(asm, isCoded: true)
    }
    return try asm.finishMarked()
  }
}
