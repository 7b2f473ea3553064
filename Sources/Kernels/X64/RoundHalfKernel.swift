import MachineCode

/// ``RoundArguments`` for ``HalfArguments``: a row is read for its largest magnitude, then once more.
func emitRoundHalf(_ asm: borrowing X64Assembler) {
  let (x, xStride, output, outputStride) = (GPR64.rsi, GPR64.r8, GPR64.rdx, GPR64.r9)
  let (rows, source, target, count) = (GPR64.r10, GPR64.rax, GPR64.r11, GPR64.rcx)
  let (k, bits) = (GPR64.rdi, GPR64.rbx.r32)
  let (number, largest, exponent) = (ZMM(0), ZMM(1), ZMM(2))
  let (magnitude, sign, shift) = (ZMM(3), ZMM(4), ZMM(5))
  let (done, noTail, rowDone) = (asm.newLabel(), asm.newLabel(), asm.newLabel())
  asm.push(.rbx)
  loadFields(
    asm, (x, \RoundArguments.x), (xStride, \RoundArguments.xRowStride),
    (output, \RoundArguments.output),
    (outputStride, \RoundArguments.outputRowStride), (rows, \RoundArguments.rows),
    (k, \RoundArguments.k))
  asm.vpbroadcastd(magnitude, asm.constant32(UInt32(0x7FFF_FFFF)))
  asm.vpbroadcastd(sign, asm.constant32(UInt32(0x8000_0000)))
  // The field of an exponent is 127 more than it.
  let offset = Float(126 + HalfArguments.largestExponent)
  asm.vpbroadcastd(shift, asm.constant32(offset.bitPattern))
  asm.cmp(rows, 1)
  asm.jl(done)
  // Masks of as many inputs as a last vector has, and of as many rounded up to even.
  asm.mov(count, k)
  asm.and(count, 15)
  emitEvenTailMasks(asm, count: count, bits: bits)
  asm.align(16)
  let row = asm.here()
  asm.mov(source, x)
  asm.mov(count, k)
  asm.vpxord(largest, largest, largest)
  emitWholeTurns(asm, count, of: 16) { asm in
    asm.vpandd(number, magnitude, source[0])
    asm.vpmaxud(largest, largest, number)
    asm.add(source, 64)
  }
  asm.jz(noTail)
  asm.vmovups(number.zeroed(.k1), source[0])
  asm.vpandd(number, number, magnitude)
  asm.vpmaxud(largest, largest, number)
  asm.bind(noTail)
  asm.vextracti64x4(number.ymm, largest, 1)
  asm.vpmaxud(largest.ymm, largest.ymm, number.ymm)
  asm.vextracti128(number.xmm, largest.ymm, 1)
  asm.vpmaxud(largest.xmm, largest.xmm, number.xmm)
  for swap in [0x4E, 0xB1] {
    asm.vpshufd(number.xmm, largest.xmm, swap)
    asm.vpmaxud(largest.xmm, largest.xmm, number.xmm)
  }
  asm.vpbroadcastd(largest, largest.xmm)
  asm.vpsrld(exponent, largest, 23)
  asm.vcvtdq2ps(exponent, exponent)
  asm.vsubps(exponent, exponent, shift)
  asm.vpxord(exponent, exponent, sign)
  asm.mov(source, x)
  asm.lea(target, output[HalfArguments.headerByteCount])
  asm.mov(count, k)
  emitWholeTurns(asm, count, of: 16) { asm in
    asm.vmovups(number, source[0])
    asm.vscalefps(number, number, exponent)
    asm.vcvtps2ph(number.ymm, number, 0)
    asm.vmovdqu32(target[0], number.ymm)
    asm.add(source, 64)
    asm.add(target, 32)
  }
  asm.jz(rowDone)
  asm.vmovups(number.zeroed(.k1), source[0])
  asm.vscalefps(number, number, exponent)
  asm.vcvtps2ph(number.ymm, number, 0)
  asm.vmovdqu16(target[0].masked(.k2), number.ymm)
  asm.bind(rowDone)
  // Last, since rows may be rounded in place.
  asm.vpxord(exponent, exponent, sign)
  asm.vmovd(output[0], exponent.xmm)
  asm.add(x, xStride)
  asm.add(output, outputStride)
  asm.dec(rows)
  asm.jnz(row)
  asm.bind(done)
  asm.vzeroupper()
  asm.pop(.rbx)
  asm.ret()
}
