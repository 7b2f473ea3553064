@testable import MachineCode

// Which instruction is tested at which widths.

extension Rows {
  func moves() {
    move([
      { $0.vmovaps }, { $0.vmovups }, { $0.vmovapd }, { $0.vmovupd }, { $0.vmovdqa32 }, { $0.vmovdqa64 },
      { $0.vmovdqu8 },
      { $0.vmovdqu16 }, { $0.vmovdqu32 }, { $0.vmovdqu64 }, { $0.vmovdqa }, { $0.vmovdqu },
    ])
    store([{ $0.vmovntps }, { $0.vmovntdq }])
    load(.all, [{ $0.vmovntdqa }])
    load([.x, .y], [{ $0.vlddqu }])
    scalarMove([{ $0.vmovss }, { $0.vmovsd }])
    laneMove([{ $0.vmovd }], GPR32.init)
    laneMove([{ $0.vmovq }], GPR64.init)
    vv(.all, [{ $0.vmovshdup }, { $0.vmovsldup }])
    registersOnly([{ $0.vmovlhps }, { $0.vmovhlps }])
    broadcast(.all, [{ $0.vbroadcastss }])
    broadcast(.wide, [{ $0.vbroadcastsd }])
    broadcastInteger([{ $0.vpbroadcastb }, { $0.vpbroadcastw }, { $0.vpbroadcastd }], GPR32.init)
    broadcastInteger([{ $0.vpbroadcastq }], GPR64.init)
    broadcastBlock(.y, [{ $0.vbroadcastf128 }, { $0.vbroadcasti128 }])
    maskMove([{ $0.vmaskmovps }, { $0.vpmaskmovd }])
    extract(.y, [{ $0.vextractf128 }, { $0.vextracti128 }])
    insert(.y, [{ $0.vinsertf128 }, { $0.vinserti128 }])
    extractLane([{ $0.vpextrb }, { $0.vpextrd }], GPR32.init)
    extractLane([{ $0.vpextrq }], GPR64.init)
    insertLane([{ $0.vpinsrb }, { $0.vpinsrw }, { $0.vpinsrd }], GPR32.init)
    insertLane([{ $0.vpinsrq }], GPR64.init)
  }

  func float() {
    vvv(
      .all,
      [
        { $0.vaddps }, { $0.vmulps }, { $0.vsubps }, { $0.vminps }, { $0.vdivps }, { $0.vmaxps }, { $0.vandps },
        { $0.vandnps },
        { $0.vorps }, { $0.vxorps }, { $0.vaddpd }, { $0.vmulpd }, { $0.vsubpd }, { $0.vminpd }, { $0.vdivpd },
        { $0.vmaxpd }, { $0.vfmadd132ps },
        { $0.vfmadd213ps },
        { $0.vfmadd231ps }, { $0.vfmsub132ps }, { $0.vfmsub213ps }, { $0.vfmsub231ps }, { $0.vfnmadd132ps },
        { $0.vfnmadd213ps }, { $0.vfnmadd231ps }, { $0.vfnmsub231ps }, { $0.vfmadd213pd }, { $0.vfmadd231pd },
        { $0.vunpcklps }, { $0.vunpckhps }, { $0.vunpcklpd }, { $0.vunpckhpd },
      ])
    vvv(.wide, [{ $0.vpermps }])
    vv(.all, [{ $0.vsqrtps }, { $0.vsqrtpd }, { $0.vcvtdq2ps }, { $0.vcvtps2dq }, { $0.vcvttps2dq }])
    vvVex([{ $0.vrcpps }, { $0.vrsqrtps }])
    vvvVex([.x, .y], [{ $0.vhaddps }])
    vviVex([{ $0.vroundps }])
    scalar([
      { $0.vaddss }, { $0.vmulss }, { $0.vsubss }, { $0.vminss }, { $0.vdivss }, { $0.vmaxss }, { $0.vsqrtss },
      { $0.vaddsd },
      { $0.vmulsd }, { $0.vsubsd }, { $0.vdivsd }, { $0.vfmadd132ss }, { $0.vfmadd213ss }, { $0.vfmadd231ss },
      { $0.vfmsub231ss }, { $0.vfnmadd231ss }, { $0.vcvtss2sd }, { $0.vcvtsd2ss },
    ])
    scalarI([{ $0.vroundss }])
    scalarCompare([{ $0.vucomiss }, { $0.vcomiss }])
    compareI([{ $0.vcmpps }])
    vvviVex([.x, .y], [{ $0.vblendps }])
    vvvvVex([{ $0.vblendvps }])
    signMask([{ $0.vmovmskps }])
    vvvi(.all, [{ $0.vshufps }, { $0.vshufpd }])
    permuteLanes(immediateWidths: .all, registerWidths: .all, [{ $0.vpermilps }])
    vvviVex(.y, [{ $0.vperm2f128 }])
    widen2([{ $0.vcvtph2ps }, { $0.vcvtps2pd }])
    toHalf([{ $0.vcvtps2ph }])
    scalarToInteger([{ $0.vcvtss2si }, { $0.vcvttss2si }])
    scalarFromInteger([{ $0.vcvtsi2ss }])
  }

  func integer() {
    vvv(
      .all,
      [
        { $0.vpaddb }, { $0.vpaddw }, { $0.vpaddd }, { $0.vpaddq }, { $0.vpsubb }, { $0.vpsubw }, { $0.vpsubd },
        { $0.vpsubq },
        { $0.vpaddsb }, { $0.vpaddsw }, { $0.vpaddusb }, { $0.vpaddusw }, { $0.vpsubsb }, { $0.vpsubsw },
        { $0.vpsubusb },
        { $0.vpsubusw }, { $0.vpavgb }, { $0.vpavgw }, { $0.vpmaddubsw }, { $0.vpmaddwd }, { $0.vpmullw },
        { $0.vpmulhw },
        { $0.vpmulhuw }, { $0.vpmulhrsw }, { $0.vpmulld }, { $0.vpmuludq }, { $0.vpmuldq }, { $0.vpminsb },
        { $0.vpminsw },
        { $0.vpminsd }, { $0.vpminub }, { $0.vpminuw }, { $0.vpminud }, { $0.vpmaxsb }, { $0.vpmaxsw }, { $0.vpmaxsd },
        { $0.vpmaxub }, { $0.vpmaxuw }, { $0.vpmaxud }, { $0.vpsllvd }, { $0.vpsrlvd }, { $0.vpsravd }, { $0.vpsllvq },
        { $0.vpsrlvq }, { $0.vpshufb }, { $0.vpunpcklbw }, { $0.vpunpcklwd }, { $0.vpunpckldq }, { $0.vpunpcklqdq },
        { $0.vpunpckhbw }, { $0.vpunpckhwd }, { $0.vpunpckhdq }, { $0.vpunpckhqdq }, { $0.vpacksswb }, { $0.vpackssdw },
        { $0.vpackuswb }, { $0.vpackusdw },
      ])
    unmasked([{ $0.vpsadbw }])
    vvv(.wide, [{ $0.vpermd }])
    vvvi(.all, [{ $0.vpalignr }])
    vv(.all, [{ $0.vpabsb }, { $0.vpabsw }, { $0.vpabsd }])
    vvi(.all, [{ $0.vpshufd }, { $0.vpshuflw }, { $0.vpshufhw }])
    vvvVex(
      [.x, .y],
      [
        { $0.vpsignb }, { $0.vpsignw }, { $0.vpsignd }, { $0.vphaddw }, { $0.vphaddd }, { $0.vpand }, { $0.vpandn },
        { $0.vpor }, { $0.vpxor },
      ])
    vvVex([{ $0.vptest }])
    signMask([{ $0.vpmovmskb }])
    shift([
      { $0.vpsllw }, { $0.vpsrlw }, { $0.vpsraw }, { $0.vpslld }, { $0.vpsrld }, { $0.vpsrad }, { $0.vpsllq },
      { $0.vpsrlq },
      { $0.vpsraq },
    ])
    shiftBytes([{ $0.vpslldq }, { $0.vpsrldq }])
    permuteLanes(immediateWidths: .wide, registerWidths: .wide, [{ $0.vpermq }, { $0.vpermpd }])
    vvviVex(.y, [{ $0.vperm2i128 }])
    vvviVex([.x, .y], [{ $0.vpblendw }, { $0.vpblendd }])
    vvvvVex([{ $0.vpblendvb }])
    widen2([
      { $0.vpmovsxbw }, { $0.vpmovsxwd }, { $0.vpmovsxdq }, { $0.vpmovzxbw }, { $0.vpmovzxwd }, { $0.vpmovzxdq },
    ])
    widen4([{ $0.vpmovsxbd }, { $0.vpmovsxbq }, { $0.vpmovzxbd }, { $0.vpmovzxbq }])
    compare([
      { $0.vpcmpeqb }, { $0.vpcmpeqw }, { $0.vpcmpeqd }, { $0.vpcmpeqq }, { $0.vpcmpgtb }, { $0.vpcmpgtw },
      { $0.vpcmpgtd },
      { $0.vpcmpgtq },
    ])
  }

  func evex() {
    vvv(
      .all,
      [
        { $0.vpdpbusd }, { $0.vpdpbusds }, { $0.vpdpwssd }, { $0.vpdpwssds }, { $0.vdpbf16ps }, { $0.vcvtne2ps2bf16 },
        { $0.vgf2p8mulb }, { $0.vpmultishiftqb }, { $0.vpandd }, { $0.vpandnd }, { $0.vpord }, { $0.vpxord },
        { $0.vpandq },
        { $0.vpandnq }, { $0.vporq }, { $0.vpxorq }, { $0.vpmullq }, { $0.vpsllvw }, { $0.vpsrlvw }, { $0.vpsravw },
        { $0.vpsravq }, { $0.vscalefps }, { $0.vpermb }, { $0.vpermw }, { $0.vpermt2b }, { $0.vpermt2w },
        { $0.vpermt2d },
        { $0.vpermt2q }, { $0.vpermt2ps }, { $0.vpermi2b }, { $0.vpermi2w }, { $0.vpermi2d }, { $0.vpermi2q },
        { $0.vpermi2ps }, { $0.vblendmps }, { $0.vpblendmd }, { $0.vpblendmb },
      ])
    vvvVex([.x, .y], [{ $0.vpdpbusdVEX }, { $0.vpdpbusdsVEX }, { $0.vpdpwssdVEX }, { $0.vpdpwssdsVEX }])
    convertNarrow([{ $0.vcvtneps2bf16 }])
    vvvi(
      .all,
      [
        { $0.vgf2p8affineqb }, { $0.vgf2p8affineinvqb }, { $0.vpternlogd }, { $0.vpternlogq }, { $0.vrangeps },
        { $0.vfixupimmps }, { $0.valignd },
      ])
    vvvi(.wide, [{ $0.vshuff32x4 }, { $0.vshuff64x2 }, { $0.vshufi32x4 }, { $0.vshufi64x2 }])
    vvi(.all, [{ $0.vrndscaleps }, { $0.vreduceps }, { $0.vgetmantps }])
    vv(
      .all,
      [
        { $0.vpabsq }, { $0.vgetexpps }, { $0.vrcp14ps }, { $0.vrsqrt14ps }, { $0.vcvtudq2ps }, { $0.vcvtps2udq },
        { $0.vexpandps }, { $0.vpexpandd },
      ])
    broadcastBlock(
      .wide, [{ $0.vbroadcastf32x4 }, { $0.vbroadcasti32x4 }, { $0.vbroadcastf64x2 }, { $0.vbroadcasti64x2 }])
    broadcastBlock(
      .z, [{ $0.vbroadcastf32x8 }, { $0.vbroadcasti32x8 }, { $0.vbroadcastf64x4 }, { $0.vbroadcasti64x4 }])
    extract(.wide, [{ $0.vextractf32x4 }, { $0.vextracti32x4 }])
    extract(.z, [{ $0.vextractf32x8 }, { $0.vextracti32x8 }, { $0.vextractf64x4 }, { $0.vextracti64x4 }])
    insert(.wide, [{ $0.vinsertf32x4 }, { $0.vinserti32x4 }])
    insert(.z, [{ $0.vinsertf32x8 }, { $0.vinserti32x8 }, { $0.vinsertf64x4 }, { $0.vinserti64x4 }])
    compress([{ $0.vcompressps }, { $0.vpcompressd }])
    narrow2([
      { $0.vpmovwb }, { $0.vpmovswb }, { $0.vpmovuswb }, { $0.vpmovdw }, { $0.vpmovsdw }, { $0.vpmovusdw },
      { $0.vpmovqd },
    ])
    narrow4([{ $0.vpmovdb }, { $0.vpmovsdb }, { $0.vpmovusdb }])
  }

  func masks() {
    kvvi([
      { $0.vpcmpd }, { $0.vpcmpud }, { $0.vpcmpq }, { $0.vpcmpb }, { $0.vpcmpub }, { $0.vpcmpw }, { $0.vpcmpuw },
    ])
    kvv([{ $0.vptestmd }, { $0.vptestmb }, { $0.vptestnmd }])
    kFromVector([{ $0.vpmovd2m }, { $0.vpmovb2m }])
    vectorFromK([{ $0.vpmovm2d }, { $0.vpmovm2b }])
    kMove([{ $0.kmovb }, { $0.kmovw }, { $0.kmovd }], GPR32.init)
    kMove([{ $0.kmovq }], GPR64.init)
    kkk([
      { $0.kandw }, { $0.kandnw }, { $0.korw }, { $0.kxnorw }, { $0.kxorw }, { $0.kunpckbw }, { $0.kandq }, { $0.korq },
      { $0.kxnorq }, { $0.kxorq },
    ])
    kk([{ $0.knotw }, { $0.knotq }, { $0.kortestw }, { $0.kortestq }])
    kki([{ $0.kshiftlw }, { $0.kshiftrw }])
  }

  private func registersOnly(_ forms: [Get<XXX>]) {
    for get in forms {
      let form = get(X64Assembler())
      sweep(
        form.name, form.opcode, XMM.self, source: XMM.self, widest: 16, count: 3, maskable: false,
        registers: { get($0)($1.register, XMM($2[1]), XMM($2[2])) }, memory: nil)
    }
  }

  private func unmasked(_ forms: [Get<VVV>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: R.self, widest: R.byteCount, count: 3, maskable: false,
          registers: { get($0)($1, R($2[1]), R($2[2])) }, memory: { get($0)($1, R($2[1]), $3) })
      }
      width(XMM.self)
      width(YMM.self)
      width(ZMM.self)
    }
  }
}
