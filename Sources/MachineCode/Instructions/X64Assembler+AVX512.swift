// Instructions that exist only as EVEX (or as VEX in newer extensions), and mask instructions. Opcodes: Intel SDM volume 2.

extension X64Assembler {
  // MARK: dot products and bit tricks

  /// acc += unsigned bytes of the first source times signed bytes of the second, four products per 32-bit lane. EVEX.
  public var vpdpbusd: VVV { VVV(code, .p66x38(0x50).d32.evexOnly) }
  public var vpdpbusds: VVV { VVV(code, .p66x38(0x51).d32.evexOnly) }
  public var vpdpwssd: VVV { VVV(code, .p66x38(0x52).d32.evexOnly) }
  public var vpdpwssds: VVV { VVV(code, .p66x38(0x53).d32.evexOnly) }
  /// The AVX-VNNI encodings, for CPUs without AVX-512.
  public var vpdpbusdVEX: VVVVex { VVVVex(code, .p66x38(0x50)) }
  public var vpdpbusdsVEX: VVVVex { VVVVex(code, .p66x38(0x51)) }
  public var vpdpwssdVEX: VVVVex { VVVVex(code, .p66x38(0x52)) }
  public var vpdpwssdsVEX: VVVVex { VVVVex(code, .p66x38(0x53)) }
  /// acc += pairs of bf16 products per 32-bit lane; the odd pair first, denormals flushed (SDM).
  public var vdpbf16ps: VVV { VVV(code, .pF3x38(0x52).d32.evexOnly) }
  public var vcvtneps2bf16: VConvertNarrow { VConvertNarrow(code, .pF3x38(0x72).d32.evexOnly) }
  /// The second source becomes the low half, the first the high half.
  public var vcvtne2ps2bf16: VVV { VVV(code, .pF2x38(0x72).d32.evexOnly) }
  public var vgf2p8affineqb: VVVI { VVVI(code, .p66x3A(0xCE).w1.d64) }
  public var vgf2p8affineinvqb: VVVI { VVVI(code, .p66x3A(0xCF).w1.d64) }
  public var vgf2p8mulb: VVV { VVV(code, .p66x38(0xCF)) }
  /// Bit `4·dest + 2·first + second` of the immediate is the result.
  public var vpternlogd: VVVI { VVVI(code, .p66x3A(0x25).d32.evexOnly) }
  public var vpternlogq: VVVI { VVVI(code, .p66x3A(0x25).w1.d64.evexOnly) }
  public var vpmultishiftqb: VVV { VVV(code, .p66x38(0x83).w1.d64.evexOnly) }

  // MARK: logic, arithmetic

  public var vpandd: VVV { VVV(code, .p66(0xDB).d32.evexOnly) }
  public var vpandnd: VVV { VVV(code, .p66(0xDF).d32.evexOnly) }
  public var vpord: VVV { VVV(code, .p66(0xEB).d32.evexOnly) }
  public var vpxord: VVV { VVV(code, .p66(0xEF).d32.evexOnly) }
  public var vpandq: VVV { VVV(code, .p66(0xDB).q.evexOnly) }
  public var vpandnq: VVV { VVV(code, .p66(0xDF).q.evexOnly) }
  public var vporq: VVV { VVV(code, .p66(0xEB).q.evexOnly) }
  public var vpxorq: VVV { VVV(code, .p66(0xEF).q.evexOnly) }
  public var vpmullq: VVV { VVV(code, .p66x38(0x40).w1.d64.evexOnly) }
  public var vpsllvw: VVV { VVV(code, .p66x38(0x12).w1.evexOnly) }
  public var vpsrlvw: VVV { VVV(code, .p66x38(0x10).w1.evexOnly) }
  public var vpsravw: VVV { VVV(code, .p66x38(0x11).w1.evexOnly) }
  public var vpsravq: VVV { VVV(code, .p66x38(0x46).w1.d64.evexOnly) }
  /// As `vpabsd`, on 64-bit lanes.
  public var vpabsq: VV { VV(code, .p66x38(0x1F).w1.d64.evexOnly) }

  // MARK: float

  public var vscalefps: VVV { VVV(code, .p66x38(0x2C).d32.evexOnly) }
  /// Immediate bits 7…4: fraction bits kept, 3: no precision exception, 2…0: rounding (0 nearest even).
  public var vrndscaleps: VVI { VVI(code, .p66x3A(0x08).d32.evexOnly) }
  public var vreduceps: VVI { VVI(code, .p66x3A(0x56).d32.evexOnly) }
  public var vrangeps: VVVI { VVVI(code, .p66x3A(0x50).d32.evexOnly) }
  public var vfixupimmps: VVVI { VVVI(code, .p66x3A(0x54).d32.evexOnly) }
  public var vgetexpps: VV { VV(code, .p66x38(0x42).d32.evexOnly) }
  public var vgetmantps: VVI { VVI(code, .p66x3A(0x26).d32.evexOnly) }
  public var vrcp14ps: VV { VV(code, .p66x38(0x4C).d32.evexOnly) }
  public var vrsqrt14ps: VV { VV(code, .p66x38(0x4E).d32.evexOnly) }
  public var vcvtudq2ps: VV { VV(code, .pF2(0x7A).d32.evexOnly) }
  public var vcvtps2udq: VV { VV(code, .np0F(0x79).d32.evexOnly) }

  // MARK: blocks

  public var vbroadcastf32x4: VBroadcastBlock { VBroadcastBlock(code, .p66x38(0x1A).bytes(16).evexOnly) }
  public var vbroadcasti32x4: VBroadcastBlock { VBroadcastBlock(code, .p66x38(0x5A).bytes(16).evexOnly) }
  public var vbroadcastf64x2: VBroadcastBlock { VBroadcastBlock(code, .p66x38(0x1A).w1.bytes(16).evexOnly) }
  public var vbroadcasti64x2: VBroadcastBlock { VBroadcastBlock(code, .p66x38(0x5A).w1.bytes(16).evexOnly) }
  /// ZMM only.
  public var vbroadcastf32x8: VBroadcastBlock { VBroadcastBlock(code, .p66x38(0x1B).bytes(32).zmmOnly.evexOnly) }
  public var vbroadcasti32x8: VBroadcastBlock { VBroadcastBlock(code, .p66x38(0x5B).bytes(32).zmmOnly.evexOnly) }
  public var vbroadcastf64x4: VBroadcastBlock { VBroadcastBlock(code, .p66x38(0x1B).w1.bytes(32).zmmOnly.evexOnly) }
  public var vbroadcasti64x4: VBroadcastBlock { VBroadcastBlock(code, .p66x38(0x5B).w1.bytes(32).zmmOnly.evexOnly) }
  public var vextractf32x4: VExtract<XMM> { VExtract(code, .p66x3A(0x19).bytes(16).evexOnly) }
  public var vextracti32x4: VExtract<XMM> { VExtract(code, .p66x3A(0x39).bytes(16).evexOnly) }
  public var vextractf32x8: VExtract<YMM> { VExtract(code, .p66x3A(0x1B).bytes(32).zmmOnly.evexOnly) }
  public var vextracti32x8: VExtract<YMM> { VExtract(code, .p66x3A(0x3B).bytes(32).zmmOnly.evexOnly) }
  public var vextractf64x4: VExtract<YMM> { VExtract(code, .p66x3A(0x1B).w1.bytes(32).zmmOnly.evexOnly) }
  public var vextracti64x4: VExtract<YMM> { VExtract(code, .p66x3A(0x3B).w1.bytes(32).zmmOnly.evexOnly) }
  public var vinsertf32x4: VInsert<XMM> { VInsert(code, .p66x3A(0x18).bytes(16).evexOnly) }
  public var vinserti32x4: VInsert<XMM> { VInsert(code, .p66x3A(0x38).bytes(16).evexOnly) }
  public var vinsertf32x8: VInsert<YMM> { VInsert(code, .p66x3A(0x1A).bytes(32).zmmOnly.evexOnly) }
  public var vinserti32x8: VInsert<YMM> { VInsert(code, .p66x3A(0x3A).bytes(32).zmmOnly.evexOnly) }
  public var vinsertf64x4: VInsert<YMM> { VInsert(code, .p66x3A(0x1A).w1.bytes(32).zmmOnly.evexOnly) }
  public var vinserti64x4: VInsert<YMM> { VInsert(code, .p66x3A(0x3A).w1.bytes(32).zmmOnly.evexOnly) }

  // MARK: shuffles

  public var vshuff32x4: VVVI { VVVI(code, .p66x3A(0x23).d32.wide.evexOnly) }
  public var vshuff64x2: VVVI { VVVI(code, .p66x3A(0x23).w1.d64.wide.evexOnly) }
  public var vshufi32x4: VVVI { VVVI(code, .p66x3A(0x43).d32.wide.evexOnly) }
  public var vshufi64x2: VVVI { VVVI(code, .p66x3A(0x43).w1.d64.wide.evexOnly) }
  public var valignd: VVVI { VVVI(code, .p66x3A(0x03).d32.evexOnly) }
  public var vpermb: VVV { VVV(code, .p66x38(0x8D).evexOnly) }
  public var vpermw: VVV { VVV(code, .p66x38(0x8D).w1.evexOnly) }
  public var vpermt2b: VVV { VVV(code, .p66x38(0x7D).evexOnly) }
  public var vpermt2w: VVV { VVV(code, .p66x38(0x7D).w1.evexOnly) }
  public var vpermt2d: VVV { VVV(code, .p66x38(0x7E).d32.evexOnly) }
  public var vpermt2q: VVV { VVV(code, .p66x38(0x7E).w1.d64.evexOnly) }
  public var vpermt2ps: VVV { VVV(code, .p66x38(0x7F).d32.evexOnly) }
  public var vpermi2b: VVV { VVV(code, .p66x38(0x75).evexOnly) }
  public var vpermi2w: VVV { VVV(code, .p66x38(0x75).w1.evexOnly) }
  public var vpermi2d: VVV { VVV(code, .p66x38(0x76).d32.evexOnly) }
  public var vpermi2q: VVV { VVV(code, .p66x38(0x76).w1.d64.evexOnly) }
  public var vpermi2ps: VVV { VVV(code, .p66x38(0x77).d32.evexOnly) }
  public var vblendmps: VVV { VVV(code, .p66x38(0x65).d32.evexOnly) }
  public var vpblendmd: VVV { VVV(code, .p66x38(0x64).d32.evexOnly) }
  public var vpblendmb: VVV { VVV(code, .p66x38(0x66).evexOnly) }
  public var vcompressps: VCompress { VCompress(code, .p66x38(0x8A).bytes(4)) }
  public var vpcompressd: VCompress { VCompress(code, .p66x38(0x8B).bytes(4)) }
  public var vexpandps: VV { VV(code, .p66x38(0x88).bytes(4).evexOnly) }
  public var vpexpandd: VV { VV(code, .p66x38(0x89).bytes(4).evexOnly) }

  // MARK: narrowing: plain truncates, s saturates signed, us unsigned

  public var vpmovwb: VNarrow2 { VNarrow2(code, .pF3x38(0x30)) }
  public var vpmovswb: VNarrow2 { VNarrow2(code, .pF3x38(0x20)) }
  public var vpmovuswb: VNarrow2 { VNarrow2(code, .pF3x38(0x10)) }
  public var vpmovdw: VNarrow2 { VNarrow2(code, .pF3x38(0x33)) }
  public var vpmovsdw: VNarrow2 { VNarrow2(code, .pF3x38(0x23)) }
  public var vpmovusdw: VNarrow2 { VNarrow2(code, .pF3x38(0x13)) }
  public var vpmovqd: VNarrow2 { VNarrow2(code, .pF3x38(0x35)) }
  public var vpmovdb: VNarrow4 { VNarrow4(code, .pF3x38(0x31).quarter) }
  public var vpmovsdb: VNarrow4 { VNarrow4(code, .pF3x38(0x21).quarter) }
  public var vpmovusdb: VNarrow4 { VNarrow4(code, .pF3x38(0x11).quarter) }

  // MARK: masks

  /// Predicates: 0 eq, 1 lt, 2 le, 4 neq, 5 nlt, 6 nle.
  public var vpcmpd: KVVI { KVVI(code, .p66x3A(0x1F).d32) }
  public var vpcmpud: KVVI { KVVI(code, .p66x3A(0x1E).d32) }
  public var vpcmpq: KVVI { KVVI(code, .p66x3A(0x1F).w1.d64) }
  public var vpcmpb: KVVI { KVVI(code, .p66x3A(0x3F)) }
  public var vpcmpub: KVVI { KVVI(code, .p66x3A(0x3E)) }
  public var vpcmpw: KVVI { KVVI(code, .p66x3A(0x3F).w1) }
  public var vpcmpuw: KVVI { KVVI(code, .p66x3A(0x3E).w1) }
  public var vptestmd: KVV { KVV(code, .p66x38(0x27).d32) }
  public var vptestmb: KVV { KVV(code, .p66x38(0x26)) }
  public var vptestnmd: KVV { KVV(code, .pF3x38(0x27).d32) }
  public var vpmovd2m: KFromVector { KFromVector(code, .pF3x38(0x39)) }
  public var vpmovb2m: KFromVector { KFromVector(code, .pF3x38(0x29)) }
  public var vpmovm2d: VectorFromK { VectorFromK(code, .pF3x38(0x38)) }
  public var vpmovm2b: VectorFromK { VectorFromK(code, .pF3x38(0x28)) }

  public var kmovb: KMove<GPR32> { KMove(code, memory: .p66(0x90), general: .p66(0x92)) }
  public var kmovw: KMove<GPR32> { KMove(code, memory: .np0F(0x90), general: .np0F(0x92)) }
  public var kmovd: KMove<GPR32> { KMove(code, memory: .p66(0x90).w1, general: .pF2(0x92)) }
  public var kmovq: KMove<GPR64> { KMove(code, memory: .np0F(0x90).w1, general: .pF2(0x92).w1) }
  public var kandw: KKK { KKK(code, .np0F(0x41)) }
  public var kandnw: KKK { KKK(code, .np0F(0x42)) }
  public var korw: KKK { KKK(code, .np0F(0x45)) }
  public var kxnorw: KKK { KKK(code, .np0F(0x46)) }
  public var kxorw: KKK { KKK(code, .np0F(0x47)) }
  public var kunpckbw: KKK { KKK(code, .p66(0x4B)) }
  public var kandq: KKK { KKK(code, .np0F(0x41).w1) }
  public var korq: KKK { KKK(code, .np0F(0x45).w1) }
  public var kxnorq: KKK { KKK(code, .np0F(0x46).w1) }
  public var kxorq: KKK { KKK(code, .np0F(0x47).w1) }
  public var knotw: KK { KK(code, .np0F(0x44)) }
  public var knotq: KK { KK(code, .np0F(0x44).w1) }
  public var kortestw: KK { KK(code, .np0F(0x98)) }
  public var kortestq: KK { KK(code, .np0F(0x98).w1) }
  public var kshiftlw: KKI { KKI(code, .p66x3A(0x32).w1) }
  public var kshiftrw: KKI { KKI(code, .p66x3A(0x30).w1) }
}
