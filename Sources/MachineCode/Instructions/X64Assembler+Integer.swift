// Integer vector instructions of AVX2 with their EVEX forms. Opcodes: Intel SDM volume 2.

extension X64Assembler {
  // MARK: arithmetic

  public var vpaddb: VVV { VVV(code, .p66(0xFC)) }
  public var vpaddw: VVV { VVV(code, .p66(0xFD)) }
  public var vpaddd: VVV { VVV(code, .p66(0xFE).d32) }
  public var vpaddq: VVV { VVV(code, .p66(0xD4).q) }
  public var vpsubb: VVV { VVV(code, .p66(0xF8)) }
  public var vpsubw: VVV { VVV(code, .p66(0xF9)) }
  public var vpsubd: VVV { VVV(code, .p66(0xFA).d32) }
  public var vpsubq: VVV { VVV(code, .p66(0xFB).q) }
  public var vpaddsb: VVV { VVV(code, .p66(0xEC)) }
  public var vpaddsw: VVV { VVV(code, .p66(0xED)) }
  public var vpaddusb: VVV { VVV(code, .p66(0xDC)) }
  public var vpaddusw: VVV { VVV(code, .p66(0xDD)) }
  public var vpsubsb: VVV { VVV(code, .p66(0xE8)) }
  public var vpsubsw: VVV { VVV(code, .p66(0xE9)) }
  public var vpsubusb: VVV { VVV(code, .p66(0xD8)) }
  public var vpsubusw: VVV { VVV(code, .p66(0xD9)) }
  public var vpavgb: VVV { VVV(code, .p66(0xE0)) }
  public var vpavgw: VVV { VVV(code, .p66(0xE3)) }
  public var vpsadbw: VVV { VVV(code, .p66(0xF6).unmasked) }
  /// Unsigned bytes of the first source times signed bytes of the second; pair sums saturate to 16 bits.
  public var vpmaddubsw: VVV { VVV(code, .p66x38(0x04)) }
  public var vpmaddwd: VVV { VVV(code, .p66(0xF5)) }
  public var vpmullw: VVV { VVV(code, .p66(0xD5)) }
  public var vpmulhw: VVV { VVV(code, .p66(0xE5)) }
  public var vpmulhuw: VVV { VVV(code, .p66(0xE4)) }
  public var vpmulhrsw: VVV { VVV(code, .p66x38(0x0B)) }
  public var vpmulld: VVV { VVV(code, .p66x38(0x40).d32) }
  public var vpmuludq: VVV { VVV(code, .p66(0xF4).q) }
  public var vpmuldq: VVV { VVV(code, .p66x38(0x28).q) }
  public var vpabsb: VV { VV(code, .p66x38(0x1C)) }
  public var vpabsw: VV { VV(code, .p66x38(0x1D)) }
  public var vpabsd: VV { VV(code, .p66x38(0x1E).d32) }
  public var vpsignb: VVVVex { VVVVex(code, .p66x38(0x08)) }
  public var vpsignw: VVVVex { VVVVex(code, .p66x38(0x09)) }
  public var vpsignd: VVVVex { VVVVex(code, .p66x38(0x0A)) }
  public var vphaddw: VVVVex { VVVVex(code, .p66x38(0x01)) }
  public var vphaddd: VVVVex { VVVVex(code, .p66x38(0x02)) }

  public var vpminsb: VVV { VVV(code, .p66x38(0x38)) }
  public var vpminsw: VVV { VVV(code, .p66(0xEA)) }
  public var vpminsd: VVV { VVV(code, .p66x38(0x39).d32) }
  public var vpminub: VVV { VVV(code, .p66(0xDA)) }
  public var vpminuw: VVV { VVV(code, .p66x38(0x3A)) }
  public var vpminud: VVV { VVV(code, .p66x38(0x3B).d32) }
  public var vpmaxsb: VVV { VVV(code, .p66x38(0x3C)) }
  public var vpmaxsw: VVV { VVV(code, .p66(0xEE)) }
  public var vpmaxsd: VVV { VVV(code, .p66x38(0x3D).d32) }
  public var vpmaxub: VVV { VVV(code, .p66(0xDE)) }
  public var vpmaxuw: VVV { VVV(code, .p66x38(0x3E)) }
  public var vpmaxud: VVV { VVV(code, .p66x38(0x3F).d32) }

  // MARK: logic

  /// XMM and YMM below 16 only; wider or masked: `vpandd`, `vpandq`, and so on.
  public var vpand: VVVVex { VVVVex(code, .p66(0xDB)) }
  public var vpandn: VVVVex { VVVVex(code, .p66(0xDF)) }
  public var vpor: VVVVex { VVVVex(code, .p66(0xEB)) }
  public var vpxor: VVVVex { VVVVex(code, .p66(0xEF)) }
  public var vptest: VVVex { VVVex(code, .p66x38(0x17)) }
  public var vpmovmskb: VSignMask { VSignMask(code, .p66(0xD7)) }

  // MARK: shifts

  public var vpsllw: VShift { VShift(code, .p66(0x71).slash(6), byVector: 0xF1) }
  public var vpsrlw: VShift { VShift(code, .p66(0x71).slash(2), byVector: 0xD1) }
  public var vpsraw: VShift { VShift(code, .p66(0x71).slash(4), byVector: 0xE1) }
  public var vpslld: VShift { VShift(code, .p66(0x72).slash(6).d32, byVector: 0xF2) }
  public var vpsrld: VShift { VShift(code, .p66(0x72).slash(2).d32, byVector: 0xD2) }
  public var vpsrad: VShift { VShift(code, .p66(0x72).slash(4).d32, byVector: 0xE2) }
  public var vpsllq: VShift { VShift(code, .p66(0x73).slash(6).q, byVector: 0xF3) }
  public var vpsrlq: VShift { VShift(code, .p66(0x73).slash(2).q, byVector: 0xD3) }
  /// EVEX only.
  public var vpsraq: VShift { VShift(code, .p66(0x72).slash(4).q.evexOnly, byVector: 0xE2) }
  public var vpslldq: VShiftBytes { VShiftBytes(code, .p66(0x73).slash(7)) }
  public var vpsrldq: VShiftBytes { VShiftBytes(code, .p66(0x73).slash(3)) }
  public var vpsllvd: VVV { VVV(code, .p66x38(0x47).d32) }
  public var vpsrlvd: VVV { VVV(code, .p66x38(0x45).d32) }
  public var vpsravd: VVV { VVV(code, .p66x38(0x46).d32) }
  public var vpsllvq: VVV { VVV(code, .p66x38(0x47).w1.d64) }
  public var vpsrlvq: VVV { VVV(code, .p66x38(0x45).w1.d64) }

  // MARK: shuffles

  public var vpshufb: VVV { VVV(code, .p66x38(0x00)) }
  public var vpshufd: VVI { VVI(code, .p66(0x70).d32) }
  public var vpshuflw: VVI { VVI(code, .pF2(0x70)) }
  public var vpshufhw: VVI { VVI(code, .pF3(0x70)) }
  /// YMM and ZMM: lanes of the second source, picked by the first.
  public var vpermd: VVV { VVV(code, .p66x38(0x36).d32.wide) }
  /// YMM and ZMM. By immediate within 256 bits, or (EVEX) by a register.
  public var vpermq: VPermuteLanes {
    VPermuteLanes(code, .p66x38(0x36).w1.d64.wide.evexOnly, immediate: .p66x3A(0x00).w1.d64.wide)
  }
  public var vpermpd: VPermuteLanes {
    VPermuteLanes(code, .p66x38(0x16).w1.d64.wide.evexOnly, immediate: .p66x3A(0x01).w1.d64.wide)
  }
  public var vperm2i128: VVVIVex { VVVIVex(code, .p66x3A(0x46).wide) }
  public var vpalignr: VVVI { VVVI(code, .p66x3A(0x0F)) }
  public var vpblendw: VVVIVex { VVVIVex(code, .p66x3A(0x0E)) }
  public var vpblendd: VVVIVex { VVVIVex(code, .p66x3A(0x02)) }
  public var vpblendvb: VVVVVex { VVVVVex(code, .p66x3A(0x4C)) }
  public var vpunpcklbw: VVV { VVV(code, .p66(0x60)) }
  public var vpunpcklwd: VVV { VVV(code, .p66(0x61)) }
  public var vpunpckldq: VVV { VVV(code, .p66(0x62).d32) }
  public var vpunpcklqdq: VVV { VVV(code, .p66(0x6C).q) }
  public var vpunpckhbw: VVV { VVV(code, .p66(0x68)) }
  public var vpunpckhwd: VVV { VVV(code, .p66(0x69)) }
  public var vpunpckhdq: VVV { VVV(code, .p66(0x6A).d32) }
  public var vpunpckhqdq: VVV { VVV(code, .p66(0x6D).q) }
  public var vpacksswb: VVV { VVV(code, .p66(0x63)) }
  public var vpackssdw: VVV { VVV(code, .p66(0x6B).d32) }
  public var vpackuswb: VVV { VVV(code, .p66(0x67)) }
  public var vpackusdw: VVV { VVV(code, .p66x38(0x2B).d32) }

  // MARK: widening

  public var vpmovsxbw: VWiden2 { VWiden2(code, .p66x38(0x20).half) }
  public var vpmovsxwd: VWiden2 { VWiden2(code, .p66x38(0x23).half) }
  public var vpmovsxdq: VWiden2 { VWiden2(code, .p66x38(0x25).half) }
  public var vpmovsxbd: VWiden4 { VWiden4(code, .p66x38(0x21).quarter) }
  public var vpmovsxbq: VWiden4 { VWiden4(code, .p66x38(0x22).eighth) }
  public var vpmovzxbw: VWiden2 { VWiden2(code, .p66x38(0x30).half) }
  public var vpmovzxwd: VWiden2 { VWiden2(code, .p66x38(0x33).half) }
  public var vpmovzxdq: VWiden2 { VWiden2(code, .p66x38(0x35).half) }
  public var vpmovzxbd: VWiden4 { VWiden4(code, .p66x38(0x31).quarter) }
  public var vpmovzxbq: VWiden4 { VWiden4(code, .p66x38(0x32).eighth) }

  // MARK: comparison

  public var vpcmpeqb: VCompare { VCompare(code, .p66(0x74)) }
  public var vpcmpeqw: VCompare { VCompare(code, .p66(0x75)) }
  public var vpcmpeqd: VCompare { VCompare(code, .p66(0x76).d32) }
  public var vpcmpeqq: VCompare { VCompare(code, .p66x38(0x29).q) }
  public var vpcmpgtb: VCompare { VCompare(code, .p66(0x64)) }
  public var vpcmpgtw: VCompare { VCompare(code, .p66(0x65)) }
  public var vpcmpgtd: VCompare { VCompare(code, .p66(0x66).d32) }
  public var vpcmpgtq: VCompare { VCompare(code, .p66x38(0x37).q) }
}
