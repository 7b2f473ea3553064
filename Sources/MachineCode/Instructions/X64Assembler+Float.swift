// Floating-point arithmetic, comparison, shuffles and conversions. Opcodes: Intel SDM volume 2.

extension X64Assembler {
  // MARK: packed

  public var vaddps: VVV { VVV(code, .np0F(0x58).d32) }
  public var vmulps: VVV { VVV(code, .np0F(0x59).d32) }
  public var vsubps: VVV { VVV(code, .np0F(0x5C).d32) }
  public var vminps: VVV { VVV(code, .np0F(0x5D).d32) }
  public var vdivps: VVV { VVV(code, .np0F(0x5E).d32) }
  public var vmaxps: VVV { VVV(code, .np0F(0x5F).d32) }
  public var vsqrtps: VV { VV(code, .np0F(0x51).d32) }
  /// EVEX forms of the four logical instructions need AVX512DQ.
  public var vandps: VVV { VVV(code, .np0F(0x54).d32) }
  public var vandnps: VVV { VVV(code, .np0F(0x55).d32) }
  public var vorps: VVV { VVV(code, .np0F(0x56).d32) }
  public var vxorps: VVV { VVV(code, .np0F(0x57).d32) }
  public var vaddpd: VVV { VVV(code, .p66(0x58).q) }
  public var vmulpd: VVV { VVV(code, .p66(0x59).q) }
  public var vsubpd: VVV { VVV(code, .p66(0x5C).q) }
  public var vminpd: VVV { VVV(code, .p66(0x5D).q) }
  public var vdivpd: VVV { VVV(code, .p66(0x5E).q) }
  public var vmaxpd: VVV { VVV(code, .p66(0x5F).q) }
  public var vsqrtpd: VV { VV(code, .p66(0x51).q) }
  public var vrcpps: VVVex { VVVex(code, .np0F(0x53)) }
  public var vrsqrtps: VVVex { VVVex(code, .np0F(0x52)) }
  public var vhaddps: VVVVex { VVVVex(code, .pF2(0x7C)) }
  public var vroundps: VVIVex { VVIVex(code, .p66x3A(0x08)) }

  // MARK: scalar

  public var vaddss: Scalar { Scalar(code, .pF3(0x58).bytes(4)) }
  public var vmulss: Scalar { Scalar(code, .pF3(0x59).bytes(4)) }
  public var vsubss: Scalar { Scalar(code, .pF3(0x5C).bytes(4)) }
  public var vminss: Scalar { Scalar(code, .pF3(0x5D).bytes(4)) }
  public var vdivss: Scalar { Scalar(code, .pF3(0x5E).bytes(4)) }
  public var vmaxss: Scalar { Scalar(code, .pF3(0x5F).bytes(4)) }
  public var vsqrtss: Scalar { Scalar(code, .pF3(0x51).bytes(4)) }
  public var vaddsd: Scalar { Scalar(code, .pF2(0x58).evexW1.bytes(8)) }
  public var vmulsd: Scalar { Scalar(code, .pF2(0x59).evexW1.bytes(8)) }
  public var vsubsd: Scalar { Scalar(code, .pF2(0x5C).evexW1.bytes(8)) }
  public var vdivsd: Scalar { Scalar(code, .pF2(0x5E).evexW1.bytes(8)) }
  public var vroundss: ScalarI { ScalarI(code, .p66x3A(0x0A).vexOnly) }
  public var vucomiss: ScalarCompare { ScalarCompare(code, .np0F(0x2E).bytes(4)) }
  public var vcomiss: ScalarCompare { ScalarCompare(code, .np0F(0x2F).bytes(4)) }

  // MARK: fused multiply-add. 132: a = a·c + b; 213: a = b·a + c; 231: a = b·c + a.

  public var vfmadd132ps: VVV { VVV(code, .p66x38(0x98).d32) }
  public var vfmadd213ps: VVV { VVV(code, .p66x38(0xA8).d32) }
  public var vfmadd231ps: VVV { VVV(code, .p66x38(0xB8).d32) }
  public var vfmsub132ps: VVV { VVV(code, .p66x38(0x9A).d32) }
  public var vfmsub213ps: VVV { VVV(code, .p66x38(0xAA).d32) }
  public var vfmsub231ps: VVV { VVV(code, .p66x38(0xBA).d32) }
  public var vfnmadd132ps: VVV { VVV(code, .p66x38(0x9C).d32) }
  public var vfnmadd213ps: VVV { VVV(code, .p66x38(0xAC).d32) }
  public var vfnmadd231ps: VVV { VVV(code, .p66x38(0xBC).d32) }
  public var vfnmsub231ps: VVV { VVV(code, .p66x38(0xBE).d32) }
  public var vfmadd132ss: Scalar { Scalar(code, .p66x38(0x99).bytes(4)) }
  public var vfmadd213ss: Scalar { Scalar(code, .p66x38(0xA9).bytes(4)) }
  public var vfmadd231ss: Scalar { Scalar(code, .p66x38(0xB9).bytes(4)) }
  public var vfmsub231ss: Scalar { Scalar(code, .p66x38(0xBB).bytes(4)) }
  public var vfnmadd231ss: Scalar { Scalar(code, .p66x38(0xBD).bytes(4)) }
  public var vfmadd213pd: VVV { VVV(code, .p66x38(0xA8).w1.d64) }
  public var vfmadd231pd: VVV { VVV(code, .p66x38(0xB8).w1.d64) }

  // MARK: comparison and selection

  /// Predicates: 0 eq, 1 lt, 2 le, 3 unordered, 4 neq, 5 nlt, 6 nle, 7 ordered; 17 lt quiet, 30 gt quiet (SDM, CMPPS).
  public var vcmpps: VCompareI { VCompareI(code, .np0F(0xC2).d32) }
  public var vblendps: VVVIVex { VVVIVex(code, .p66x3A(0x0C)) }
  public var vblendvps: VVVVVex { VVVVVex(code, .p66x3A(0x4A)) }
  public var vmovmskps: VSignMask { VSignMask(code, .np0F(0x50)) }

  // MARK: shuffles

  public var vunpcklps: VVV { VVV(code, .np0F(0x14).d32) }
  public var vunpckhps: VVV { VVV(code, .np0F(0x15).d32) }
  public var vunpcklpd: VVV { VVV(code, .p66(0x14).q) }
  public var vunpckhpd: VVV { VVV(code, .p66(0x15).q) }
  public var vshufps: VVVI { VVVI(code, .np0F(0xC6).d32) }
  public var vshufpd: VVVI { VVVI(code, .p66(0xC6).q) }
  public var vpermilps: VPermuteLanes { VPermuteLanes(code, .p66x38(0x0C).d32, immediate: .p66x3A(0x04).d32) }
  public var vperm2f128: VVVIVex { VVVIVex(code, .p66x3A(0x06).wide) }
  /// YMM and ZMM: lanes of the second source, picked by the first.
  public var vpermps: VVV { VVV(code, .p66x38(0x16).d32.wide) }

  // MARK: conversions

  public var vcvtdq2ps: VV { VV(code, .np0F(0x5B).d32) }
  public var vcvtps2dq: VV { VV(code, .p66(0x5B).d32) }
  public var vcvttps2dq: VV { VV(code, .pF3(0x5B).d32) }
  public var vcvtph2ps: VWiden2 { VWiden2(code, .p66x38(0x13).half) }
  public var vcvtps2ph: VToHalf { VToHalf(code, .p66x3A(0x1D).half) }
  public var vcvtps2pd: VWiden2 { VWiden2(code, .np0F(0x5A).half.d32) }
  public var vcvtss2sd: Scalar { Scalar(code, .pF3(0x5A).bytes(4)) }
  public var vcvtsd2ss: Scalar { Scalar(code, .pF2(0x5A).evexW1.bytes(8)) }
  public var vcvtss2si: ScalarToInteger { ScalarToInteger(code, .pF3(0x2D).bytes(4)) }
  public var vcvttss2si: ScalarToInteger { ScalarToInteger(code, .pF3(0x2C).bytes(4)) }
  public var vcvtsi2ss: ScalarFromInteger { ScalarFromInteger(code, .pF3(0x2A)) }
}
