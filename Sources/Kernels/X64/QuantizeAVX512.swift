import MachineCode
import NestedFormat

// The loops of ``emitQuantize(_:_:)`` with 512 bits: a group is four vectors, its codes are one.

/// The largest magnitudes of each group, by eights.
func emitMaximaAVX512(_ asm: borrowing X64Assembler, _ g: QuantizeRegisters) {
  let v = (0..<4).map { ZMM($0) }
  let mask = ZMM(4)
  asm.vpbroadcastd(mask, asm.constant32(0x7FFF_FFFF as UInt32))
  asm.mov(g.work, g.source)
  asm.lea(g.index, g.maxima)
  asm.mov(g.savedCount, g.count)
  asm.align(32)
  let loop = asm.here()
  for index in 0..<4 { asm.vpandd(v[index], mask, g.work[64 * index]) }
  asm.vpmaxsd(v[0], v[0], v[1])
  asm.vpmaxsd(v[2], v[2], v[3])
  asm.vpmaxsd(v[0], v[0], v[2])
  asm.vextracti64x4(v[1].ymm, v[0], 1)
  asm.vpmaxsd(v[0].ymm, v[0].ymm, v[1].ymm)
  asm.vmovdqa(g.index[0], v[0].ymm)
  asm.add(g.work, 256)
  asm.add(g.index, 32)
  asm.dec(g.count)
  asm.jnz(loop)
  asm.mov(g.count, g.savedCount)
}

/// The codes of `count` groups, their scales and offsets; moves source, target and output on.
func emitCodesAVX512(_ asm: borrowing X64Assembler, _ g: QuantizeRegisters) {
  let v = (0..<4).map { ZMM($0) }
  let (multiplier, order, ones, sum) = (ZMM(4), ZMM(5), ZMM(6), ZMM(7))
  // Packing works within quarters; one permutation of dwords puts 64 codes in order.
  asm.vmovdqa64(order, asm.constants32([0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]))
  asm.vpbroadcastd(ones, asm.constant32(0x0101_0101 as UInt32))
  asm.lea(g.index, g.scales)
  asm.lea(g.work, g.sums)
  asm.mov(g.savedCount, g.count)
  asm.align(32)
  let loop = asm.here()
  asm.vbroadcastss(multiplier, g.index[32])
  for index in 0..<4 {
    asm.vmulps(v[index], multiplier, g.source[64 * index])
    asm.vcvtps2dq(v[index], v[index])
  }
  asm.vpackssdw(v[0], v[0], v[1])
  asm.vpackssdw(v[2], v[2], v[3])
  asm.vpacksswb(v[0], v[0], v[2])
  asm.vpermd(v[0], order, v[0])
  asm.vmovdqu64(g.target[0], v[0])
  asm.vpxord(sum, sum, sum)
  asm.vpdpbusd(sum, ones, v[0])
  asm.vextracti64x4(v[1].ymm, sum, 1)
  asm.vpaddd(sum.ymm, sum.ymm, v[1].ymm)
  asm.vmovdqa(g.work[0], sum.ymm)
  asm.add(g.work, 32)
  asm.add(g.target, 64)
  asm.add(g.source, 256)
  asm.add(g.index, 4)
  asm.dec(g.count)
  asm.jnz(loop)

  // Scales and offsets side by side, in the place of the sums.
  emitLanePerGroup(asm, g, g.sums) { asm, target, a, b in asm.vpaddd(target, a, b) }
  let (offsets, pairs) = (g.values[0], [g.values[1], g.values[2]])
  asm.vcvtdq2ps(offsets, offsets)
  asm.vmovaps(g.scale, g.scales)
  asm.vmulps(offsets, offsets, g.scale)
  asm.vunpcklps(g.work1, g.scale, offsets)
  asm.vunpckhps(g.work2, g.scale, offsets)
  asm.vperm2i128(pairs[0], g.work1, g.work2, 0x20)
  asm.vperm2i128(pairs[1], g.work1, g.work2, 0x31)
  asm.vmovdqa(g.sums, pairs[0])
  asm.vmovdqa(g.sums.offset(32), pairs[1])
  asm.mov(g.count, g.savedCount)
  asm.lea(g.index, g.sums)
  let copy = asm.here()
  asm.mov(g.work, g.index[0])
  asm.mov(g.output[offset(\ActivationGroup.scale)], g.work)
  asm.add(g.index, 8)
  asm.add(g.output, MemoryLayout<ActivationGroup>.stride)
  asm.dec(g.count)
  asm.jnz(copy)
}
