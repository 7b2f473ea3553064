import MachineCode

/// ``WordsArguments``.
///
/// Two passes over each chunk: magnitudes give the unit, then every 16 codes become words with one rounding multiplication.
/// Codes stand in the high bytes for it, `⌊(256 · q · m + 2¹⁴) / 2¹⁵⌋ = ⌊(q · m + 64) / 128⌋`.
func emitWordsAVX2(_ asm: borrowing X64Assembler) {
  let (codeRow, wordRow, groupRow, rows) = (GPR64.rsi, GPR64.rdx, GPR64.rcx, GPR64.r11)
  let (codes, words, groups, left) = (GPR64.r12, GPR64.r13, GPR64.r14, GPR64.rbp)
  let (nextCode, nextGroup, count) = (GPR64.r15, GPR64.rbx, GPR64.rax)
  let (sum, largest, t0, t1) = (YMM(0), YMM(1), YMM(2), YMM(3))
  let (unit, multiplier, factor, pairs) = (YMM(4), YMM(5), YMM(6), YMM(7))
  let (zero, order, magnitude) = (YMM(8), YMM(9), YMM(10))
  pushAll(asm, calleeSaved)
  loadFields(
    asm, (codeRow, \WordsArguments.codes), (wordRow, \WordsArguments.words), (groupRow, \WordsArguments.groups),
    (rows, \WordsArguments.rows))
  // Of four inputs the second and the third change places.
  var places: [UInt8] = []
  for first: UInt8 in [0, 4, 8, 12] {
    for input: UInt8 in [0, 2, 1, 3] { places += [0x80, first + input] }
  }
  asm.vmovdqa(order, asm.constant256(places))
  asm.vpxor(zero, zero, zero)
  asm.vbroadcastss(magnitude, asm.constant32(0x7FFF_FFFF as UInt32))
  let (row, chunk, rowDone, done) = (asm.newLabel(), asm.newLabel(), asm.newLabel(), asm.newLabel())
  asm.test(rows, rows)
  asm.jz(done)

  asm.bind(row)
  asm.mov(codes, codeRow)
  asm.mov(words, wordRow)
  asm.mov(groups, groupRow)
  asm.mov(left, GPR64.rdi[offset(\WordsArguments.count)])
  asm.bind(chunk)
  asm.test(left, left)
  asm.jz(rowDone)
  func emitCount(_ asm: borrowing X64Assembler) {
    asm.mov(nextCode, WordsArguments.groupCount)
    asm.mov(count, left)
    asm.cmp(count, nextCode)
    asm.cmovg(count, nextCode)
    asm.mov(nextCode, codes)
    asm.mov(nextGroup, groups)
  }

  // The sum of all magnitudes and the largest possible one.
  emitCount(asm)
  asm.vxorps(sum.xmm, sum.xmm, sum.xmm)
  asm.vxorps(largest.xmm, largest.xmm, largest.xmm)
  let measure = asm.here()
  asm.vpabsb(t0, nextCode[0])
  asm.vpabsb(t1, nextCode[32])
  asm.vpsadbw(t0, t0, zero)
  asm.vpsadbw(t1, t1, zero)
  asm.vpaddd(t0, t0, t1)
  emitSum(asm, t0, t1)
  asm.vcvtdq2ps(t0.xmm, t0.xmm)
  asm.vmovss(t1.xmm, nextGroup[offset(\ActivationGroup.scale)])
  asm.vandps(t1.xmm, t1.xmm, magnitude.xmm)
  asm.vmulps(t0.xmm, t0.xmm, t1.xmm)
  asm.vaddss(sum.xmm, sum.xmm, t0.xmm)
  asm.vmulss(t1.xmm, t1.xmm, asm.constant32(128 as Float))
  asm.vmaxss(largest.xmm, t1.xmm, largest.xmm)
  asm.add(nextCode, 64)
  asm.add(nextGroup, MemoryLayout<ActivationGroup>.stride)
  asm.dec(count)
  asm.jnz(measure)

  // Exponents as they stand in the bits, 127 more than they are.
  asm.vmulss(t0.xmm, sum.xmm, asm.constant32(1.01 as Float))
  asm.vandps(t0.xmm, t0.xmm, magnitude.xmm)
  asm.vpsrld(t0.xmm, t0.xmm, 23)
  asm.vpsrld(t1.xmm, largest.xmm, 23)
  asm.vpaddd(t0.xmm, t0.xmm, integers(asm, -19))
  asm.vpaddd(t1.xmm, t1.xmm, integers(asm, -13))
  asm.vpmaxsd(t0.xmm, t0.xmm, t1.xmm)
  asm.vpmaxsd(t0.xmm, t0.xmm, integers(asm, 7))
  asm.vmovdqa(multiplier.xmm, integers(asm, 261))
  asm.vpsubd(multiplier.xmm, multiplier.xmm, t0.xmm)
  asm.vpslld(multiplier.xmm, multiplier.xmm, 23)
  asm.vpslld(unit.xmm, t0.xmm, 23)
  // All bits set, which is a NaN, where a scale is one.
  asm.vcmpps(t1.xmm, sum.xmm, sum.xmm, 3)
  asm.vorps(unit.xmm, unit.xmm, t1.xmm)
  asm.vmovss(groups[offset(\ActivationGroup.shared)], unit.xmm)

  emitCount(asm)
  asm.vpxor(pairs, pairs, pairs)
  let convert = asm.here()
  asm.vmovss(factor.xmm, nextGroup[offset(\ActivationGroup.scale)])
  asm.vmulss(factor.xmm, factor.xmm, multiplier.xmm)
  asm.vcvtps2dq(factor.xmm, factor.xmm)
  asm.vpackssdw(factor.xmm, factor.xmm, factor.xmm)
  asm.vpbroadcastw(factor, factor.xmm)
  for quarter in 0..<4 {
    asm.vbroadcasti128(t0, nextCode[16 * quarter])
    asm.vpshufb(t0, t0, order)
    asm.vpmulhrsw(t0, t0, factor)
    asm.vmovdqu(words[32 * quarter], t0)
    // Words x0, x2 by x1, x3: the same sum in both 32-bit halves.
    asm.vpshufd(t1, t0, 0xB1)
    asm.vpmaddwd(t0, t0, t1)
    asm.vpsubd(pairs, pairs, t0)
  }
  asm.add(words, 128)
  asm.add(nextCode, 64)
  asm.add(nextGroup, MemoryLayout<ActivationGroup>.stride)
  asm.dec(count)
  asm.jnz(convert)
  // One of the two: sums are modulo 2³² and cannot be halved.
  asm.vextracti128(t0.xmm, pairs, 1)
  asm.vpaddd(t0.xmm, t0.xmm, pairs.xmm)
  asm.vpshufd(t1.xmm, t0.xmm, 0x4E)
  asm.vpaddd(t0.xmm, t0.xmm, t1.xmm)
  asm.vmovss(groups[offset(\ActivationGroup.negativePairs)], t0.xmm)
  asm.mov(codes, nextCode)
  asm.mov(groups, nextGroup)
  asm.sub(left, WordsArguments.groupCount)
  asm.jg(chunk)

  asm.bind(rowDone)
  asm.add(codeRow, GPR64.rdi[offset(\WordsArguments.codeRowStride)])
  asm.add(wordRow, GPR64.rdi[offset(\WordsArguments.wordRowStride)])
  asm.add(groupRow, GPR64.rdi[offset(\WordsArguments.groupRowStride)])
  asm.dec(rows)
  asm.jnz(row)
  asm.bind(done)
  asm.vzeroupper()
  popAll(asm, calleeSaved)
  asm.ret()
}

/// `value` in all eight places of a vector.
func integers(_ asm: borrowing X64Assembler, _ value: Int32) -> Mem {
  asm.constants32(Array(repeating: UInt32(bitPattern: value), count: 8))
}
