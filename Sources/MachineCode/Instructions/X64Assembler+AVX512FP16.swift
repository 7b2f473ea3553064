// AVX512-FP16: arithmetic on 16-bit floats, EVEX only. Opcodes: Intel SDM volume 2.

extension X64Assembler {
  public var vaddph: VVV { VVV(code, .npMap5(0x58).d16.evexOnly) }
  public var vmulph: VVV { VVV(code, .npMap5(0x59).d16.evexOnly) }
  public var vsubph: VVV { VVV(code, .npMap5(0x5C).d16.evexOnly) }
  public var vminph: VVV { VVV(code, .npMap5(0x5D).d16.evexOnly) }
  public var vdivph: VVV { VVV(code, .npMap5(0x5E).d16.evexOnly) }
  public var vmaxph: VVV { VVV(code, .npMap5(0x5F).d16.evexOnly) }
  /// dest = dest · second + first.
  public var vfmadd132ph: VVV { VVV(code, .p66Map6(0x98).d16.evexOnly) }
  /// dest = first · dest + second.
  public var vfmadd213ph: VVV { VVV(code, .p66Map6(0xA8).d16.evexOnly) }
  /// dest += first · second.
  public var vfmadd231ph: VVV { VVV(code, .p66Map6(0xB8).d16.evexOnly) }
  public var vfmsub231ph: VVV { VVV(code, .p66Map6(0xBA).d16.evexOnly) }
  public var vfnmadd231ph: VVV { VVV(code, .p66Map6(0xBC).d16.evexOnly) }
  public var vscalefph: VVV { VVV(code, .p66Map6(0x2C).d16.evexOnly) }
  public var vsqrtph: VV { VV(code, .npMap5(0x51).d16.evexOnly) }
  public var vrcpph: VV { VV(code, .p66Map6(0x4C).d16.evexOnly) }
  public var vrsqrtph: VV { VV(code, .p66Map6(0x4E).d16.evexOnly) }
  public var vgetexpph: VV { VV(code, .p66Map6(0x42).d16.evexOnly) }
  public var vcvtph2w: VV { VV(code, .p66Map5(0x7D).d16.evexOnly) }
  public var vcvttph2w: VV { VV(code, .p66Map5(0x7C).d16.evexOnly) }
  public var vcvtw2ph: VV { VV(code, .pF3Map5(0x7D).d16.evexOnly) }
  /// Immediate as of `vrndscaleps`.
  public var vrndscaleph: VVI { VVI(code, Opcode(0, 3, 0x08).d16.evexOnly) }
  public var vreduceph: VVI { VVI(code, Opcode(0, 3, 0x56).d16.evexOnly) }
  /// To FP32; unlike `vcvtph2ps` its memory operand can be one element, repeated.
  public var vcvtph2psx: VWiden2 { VWiden2(code, .p66Map6(0x13).half.d16.evexOnly) }
  /// From FP32.
  public var vcvtps2phx: VConvertNarrow { VConvertNarrow(code, .p66Map5(0x1D).d32.evexOnly) }
}
