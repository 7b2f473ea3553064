import Base
import Hardware
import MachineCode
import NestedFormat

/// Turns a spec into machine code.
public enum KernelGenerator {
  /// - Returns: position-independent code that takes a pointer to the operation's arguments.
  /// - Throws: `.unsupported` for a spec that no generator serves or that does not fit the registers.
  public static func generate(_ spec: GEMMSpec) throws(AdaptQError) -> [UInt8] { try marked(spec).bytes }

  /// ``generate(_:)-(GEMMSpec)`` for a listing.
  public static func marked(_ spec: GEMMSpec) throws(AdaptQError) -> MarkedCode {
    let asm = X64Assembler()
    let isKnown = [.avx2, .avxvnni, .avx512, .avx512vnni, .avx512bf16, .avx512fp16, .amx].contains(spec.isa)
    let columns = [.bfloat16, .bfloat16Half, .half].contains(spec.operation) ? 16 * BFloat16Arguments.mostBlocks : 16
    guard isKnown, spec.rows > 0, spec.columns == columns, hasForm(spec) else {
      throw .unsupported("\(KernelName(spec)): no generator")
    }
    let wide = spec.isa >= .avx512
    switch spec.operation {
    case .panel where spec.isa == .amx: try emitTilePanel(asm, spec)
    case .bfloat16 where spec.isa == .amx: try emitTileBFloat16(asm, spec)
    case _ where spec.isa == .amx: throw .unsupported("\(KernelName(spec)): no generator")
    case .dense:
      if wide { try emitDense(asm, spec, ZMM.self) } else { try emitDense(asm, spec, YMM.self) }
    case .quantize where spec.activations == .int8PerRow: emitQuantizeRow(asm, spec, wide: wide)
    case .quantize: emitQuantize(asm, wide: wide)
    case .sums: emitGroupSums(asm, spec)
    case .words: emitWordsAVX2(asm)
    case .unpack:
      if wide { throw .unsupported("\(KernelName(spec)): unpacked by kernels of leading rows") }
      try emitUnpackAVX2(asm, spec)
    case .panel: if wide { try emitPanelAVX512(asm, spec) } else { try emitPanelAVX2(asm, spec) }
    case .bfloat16: try emitBFloat16(asm, spec)
    case .bfloat16Half: try emitBFloat16Half(asm, spec)
    case .round: emitRoundBF16(asm)
    case .half: try emitHalf(asm, spec)
    case .roundHalf: emitRoundHalf(asm)
    case .expanded: emitExpandedAVX2(asm, spec)
    case .vector: if wide { try emitVectorAVX512(asm, spec) } else { try emitVectorAVX2(asm, spec) }
    case .leading:
      if !wide { throw .unsupported("\(KernelName(spec)): only with AVX-512") }
      try emitLeadingAVX512(asm, spec)
    }
    return try asm.finishMarked()
  }

  /// Whether there is code for the spec's scales.
  private static func hasForm(_ spec: GEMMSpec) -> Bool {
    let isStandard = spec.groupSize == 64 && spec.scaleKind == .stepAndMinimum
    let perRow = spec.activations == .int8PerRow
    switch spec.operation {
    case .sums: return spec.groupSize == NestedForm.allInputs && !perRow
    case .quantize: return [64, 128, NestedForm.allInputs].contains(spec.groupSize)
    case .vector, .leading, .unpack, .panel:
      if isStandard && !perRow { return true }
      if spec.isa == .amx || (perRow && spec.isa < .avx512vnni) { return false }
      return (try? NestedForm(groupSize: spec.groupSize, scaleKind: spec.scaleKind)) != nil
    default: return isStandard && !perRow
    }
  }
}
