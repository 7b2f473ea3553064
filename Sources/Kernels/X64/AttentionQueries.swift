import MachineCode

/// Scales the tile's queries and rounds them to bfloat16, or to codes of a scale per row; zeros behind `width`.
func emitQueries(_ asm: borrowing X64Assembler, _ f: AttentionFrame, isCoded: Bool) {
  let r = AttentionQueryRegisters()
  let (source, stride, left, width) = (r.source, GPR64.r8, GPR64.r9, r.width)
  let (target, targetStride, tile) = (r.target, GPR64.r11, GPR64.r14)
  loadFields(
    asm, (source, \AttentionArguments.q), (stride, \AttentionArguments.qRowStride), (left, \AttentionArguments.rows),
    (width, \AttentionArguments.width), (target, \AttentionArguments.queries),
    (targetStride, \AttentionArguments.queryStride))
  asm.mov(r.count, width)
  asm.and(r.count, 31)
  emitMasks(asm, count: r.count, .k1, .k2)
  asm.vbroadcastss(r.scale, GPR64.rdi[offset(\AttentionArguments.scale)])
  asm.lea(tile, left[AttentionFrame.rowGrain - 1])
  asm.and(tile, -AttentionFrame.rowGrain)
  asm.mov(f.tileRows, tile)
  let coder = isCoded ? RowCoder(asm) : nil
  coder?.loadConstants(asm)
  asm.lea(r.rowScale, f.queryScales)
  let row = asm.here()
  if let coder {
    emitRowOfCodes(asm, r, coder)
  } else {
    r.forEachPart(asm) { asm in
      asm.vcvtne2ps2bf16(ZMM(0), ZMM(1), ZMM(0))
      asm.vmovups(r.to[0], ZMM(0))
      asm.add(r.to, 64)
    }
  }
  let last = asm.newLabel()
  asm.dec(left)
  asm.jle(last)
  asm.add(source, stride)
  asm.bind(last)
  asm.add(target, targetStride)
  asm.dec(tile)
  asm.jnz(row)
}

private struct AttentionQueryRegisters {
  let source = GPR64.rsi
  let target = GPR64.rdx
  let width = GPR64.r10
  let from = GPR64.rbx
  let to = GPR64.rbp
  let count = GPR64.r12
  let rowScale = GPR64.r13
  let scale = ZMM(2)

  /// `body` for every 32 inputs of the row at `source`, scaled, in registers 0 and 1; `to` begins at `target`.
  func forEachPart(_ asm: borrowing X64Assembler, _ body: (borrowing X64Assembler) -> Void) {
    asm.mov(from, source)
    asm.mov(to, target)
    asm.mov(count, width)
    emitWholeTurns(asm, count, of: 32) { asm in
      asm.vmulps(ZMM(0), scale, from[0])
      asm.vmulps(ZMM(1), scale, from[64])
      body(asm)
      asm.add(from, 128)
    }
    let whole = asm.newLabel()
    asm.test(count, count)
    asm.jz(whole)
    asm.vmovups(ZMM(0).zeroed(.k1), from[0])
    asm.vmovups(ZMM(1).zeroed(.k2), from[64])
    for part in 0..<2 { asm.vmulps(ZMM(part), scale, ZMM(part)) }
    body(asm)
    asm.bind(whole)
  }
}

/// Constants of symmetric 8-bit coding: `scale = max|x| / 127`, codes the nearest even of `x · (127 / max|x|)`. The largest
/// magnitude counts as 2⁻¹⁰⁰ at least; where it is no number, or infinite, the scale is NaN.
struct RowCoder {
  let magnitude = ZMM(24)
  let least = ZMM(25)
  let most = ZMM(26)
  let part = ZMM(27)
  let none = ZMM(28)
  private let constants: [(ZMM, Mem)]

  init(_ asm: borrowing X64Assembler) {
    constants = [
      (magnitude, asm.constant32(0x7FFF_FFFF as UInt32)), (least, asm.constant32(0x1p-100 as Float)),
      (most, asm.constant32(127 as Float)), (part, asm.constant32((1 / 127) as Float)),
    ]
  }

  func loadConstants(_ asm: borrowing X64Assembler) {
    for (register, value) in constants { asm.vbroadcastss(register, value) }
    asm.vpxord(none, none, none)
  }

  /// `scale` and `inverse` of the largest magnitudes, given as their bits, which order as they do, with NaN on top.
  func emit(_ asm: borrowing X64Assembler, largest: ZMM, scale: ZMM, inverse: ZMM) {
    asm.vpmaxud(largest, largest, least)
    asm.vdivps(inverse, most, largest)
    asm.vmulps(scale, largest, part)
    asm.vfmadd231ps(scale, largest, none)
  }
}

/// Codes from -127 to 127, plus 128.
private func emitRowOfCodes(_ asm: borrowing X64Assembler, _ r: AttentionQueryRegisters, _ coder: RowCoder) {
  let (largest, scale, inverse, offset) = (ZMM(3), ZMM(4), ZMM(5), ZMM(6))
  asm.vpxord(largest, largest, largest)
  r.forEachPart(asm) { asm in
    for part in 0..<2 {
      asm.vpandd(ZMM(part), coder.magnitude, ZMM(part))
      asm.vpmaxud(largest, largest, ZMM(part))
    }
  }
  ZMM.fold(asm, [(largest, ZMM(0))]) { asm, target, a, b in asm.vpmaxud(target, a, b) }
  coder.emit(asm, largest: largest, scale: scale, inverse: inverse)
  asm.vmovss(r.rowScale[0], scale.xmm)
  asm.add(r.rowScale, 4)
  asm.vbroadcastss(offset, asm.constant32(128 as UInt32))
  r.forEachPart(asm) { asm in
    for part in 0..<2 {
      asm.vmulps(ZMM(part), ZMM(part), inverse)
      asm.vcvtps2dq(ZMM(part), ZMM(part))
      asm.vpaddd(ZMM(part), ZMM(part), offset)
      asm.vpmovdb(r.to[16 * part], ZMM(part))
    }
    asm.add(r.to, 32)
  }
}
