// Loads, stores, broadcasts and lane moves. Opcodes: Intel SDM volume 2.

extension X64Assembler {
  public var vmovaps: VMove { VMove(code, .np0F(0x28), store: 0x29) }
  public var vmovups: VMove { VMove(code, .np0F(0x10), store: 0x11) }
  public var vmovapd: VMove { VMove(code, .p66(0x28).evexW1, store: 0x29) }
  public var vmovupd: VMove { VMove(code, .p66(0x10).evexW1, store: 0x11) }
  /// XMM and YMM below 16 only; wider or masked: `vmovdqa32`, `vmovdqa64`.
  public var vmovdqa: VMove { VMove(code, .p66(0x6F).vexOnly, store: 0x7F) }
  /// XMM and YMM below 16 only; wider or masked: `vmovdqu8`, `vmovdqu32`, `vmovdqu64`.
  public var vmovdqu: VMove { VMove(code, .pF3(0x6F).vexOnly, store: 0x7F) }
  public var vmovdqa32: VMove { VMove(code, .p66(0x6F).evexOnly, store: 0x7F) }
  public var vmovdqa64: VMove { VMove(code, .p66(0x6F).evexOnly.w1, store: 0x7F) }
  public var vmovdqu8: VMove { VMove(code, .pF2(0x6F).evexOnly, store: 0x7F) }
  public var vmovdqu16: VMove { VMove(code, .pF2(0x6F).evexOnly.w1, store: 0x7F) }
  public var vmovdqu32: VMove { VMove(code, .pF3(0x6F).evexOnly, store: 0x7F) }
  public var vmovdqu64: VMove { VMove(code, .pF3(0x6F).evexOnly.w1, store: 0x7F) }
  public var vmovntps: VStore { VStore(code, .np0F(0x2B)) }
  public var vmovntdq: VStore { VStore(code, .p66(0xE7)) }
  public var vmovntdqa: VLoad { VLoad(code, .p66x38(0x2A)) }
  /// Any alignment, for integer loads that may cross lines; VEX only.
  public var vlddqu: VLoad { VLoad(code, .pF2(0xF0).vexOnly) }

  public var vmovss: ScalarMove { ScalarMove(code, .pF3(0x10).bytes(4)) }
  public var vmovsd: ScalarMove { ScalarMove(code, .pF2(0x10).evexW1.bytes(8)) }
  public var vmovd: LaneMove<GPR32> { LaneMove(code, .p66(0x6E).bytes(4)) }
  public var vmovq: LaneMove<GPR64> { LaneMove(code, .p66(0x6E).w1.bytes(8)) }

  public var vmovshdup: VV { VV(code, .pF3(0x16)) }
  public var vmovsldup: VV { VV(code, .pF3(0x12)) }
  /// Low half of the first source, low half of the second moved up.
  public var vmovlhps: XXX { XXX(code, .np0F(0x16)) }
  /// High half of the second source moved down, high half of the first.
  public var vmovhlps: XXX { XXX(code, .np0F(0x12)) }

  public var vbroadcastss: VBroadcast { VBroadcast(code, .p66x38(0x18).bytes(4)) }
  public var vbroadcastsd: VBroadcast { VBroadcast(code, .p66x38(0x19).evexW1.bytes(8).wide) }
  public var vpbroadcastb: VBroadcastInteger<GPR32> {
    VBroadcastInteger(code, .p66x38(0x78).bytes(1), general: 0x7A)
  }
  public var vpbroadcastw: VBroadcastInteger<GPR32> {
    VBroadcastInteger(code, .p66x38(0x79).bytes(2), general: 0x7B)
  }
  public var vpbroadcastd: VBroadcastInteger<GPR32> {
    VBroadcastInteger(code, .p66x38(0x58).bytes(4), general: 0x7C)
  }
  public var vpbroadcastq: VBroadcastInteger<GPR64> {
    VBroadcastInteger(code, .p66x38(0x59).evexW1.bytes(8), general: 0x7C)
  }
  public var vbroadcastf128: VBroadcastBlock { VBroadcastBlock(code, .p66x38(0x1A).vexOnly) }
  public var vbroadcasti128: VBroadcastBlock { VBroadcastBlock(code, .p66x38(0x5A).vexOnly) }

  public var vmaskmovps: VMaskMove { VMaskMove(code, .p66x38(0x2C), store: 0x2E) }
  public var vpmaskmovd: VMaskMove { VMaskMove(code, .p66x38(0x8C), store: 0x8E) }

  public var vextractf128: VExtract<XMM> { VExtract(code, .p66x3A(0x19).vexOnly) }
  public var vextracti128: VExtract<XMM> { VExtract(code, .p66x3A(0x39).vexOnly) }
  public var vinsertf128: VInsert<XMM> { VInsert(code, .p66x3A(0x18).vexOnly) }
  public var vinserti128: VInsert<XMM> { VInsert(code, .p66x3A(0x38).vexOnly) }
  public var vpextrb: VExtractLane<GPR32> { VExtractLane(code, .p66x3A(0x14).bytes(1)) }
  public var vpextrd: VExtractLane<GPR32> { VExtractLane(code, .p66x3A(0x16).bytes(4)) }
  public var vpextrq: VExtractLane<GPR64> { VExtractLane(code, .p66x3A(0x16).w1.bytes(8)) }
  public var vpinsrb: VInsertLane<GPR32> { VInsertLane(code, .p66x3A(0x20).bytes(1)) }
  public var vpinsrw: VInsertLane<GPR32> { VInsertLane(code, .p66(0xC4).bytes(2)) }
  public var vpinsrd: VInsertLane<GPR32> { VInsertLane(code, .p66x3A(0x22).bytes(4)) }
  public var vpinsrq: VInsertLane<GPR64> { VInsertLane(code, .p66x3A(0x22).w1.bytes(8)) }
}
