import Base
import Hardware
import MachineCode
import NestedFormat

/// Turns a spec into machine code.
public enum KernelGenerator {
  /// - Returns: position-independent code that takes a pointer to the operation's arguments.
  /// - Throws: `.unsupported` for a spec that no generator serves or that does not fit the registers.
  public static func generate(_ spec: GEMMSpec) throws(AdaptQError) -> [UInt8] {
    let asm = X64Assembler()
    let wide = spec.isa != .avx2
    switch spec.operation {
    case .dense:
      if wide { try emitDense(asm, spec, ZMM.self) } else { try emitDense(asm, spec, YMM.self) }
    case .widen:
      if wide { emitWiden(asm, spec, ZMM.self) } else { emitWiden(asm, spec, YMM.self) }
    case .quantize: emitQuantizeAVX2(asm, spec, writesWords: !wide)
    case .unpack: try emitUnpackAVX2(asm, spec)
    case .panel: try emitPanelAVX2(asm, spec)
    case .vector: try emitVectorAVX2(asm, spec)
    }
    return try asm.finish()
  }
}
