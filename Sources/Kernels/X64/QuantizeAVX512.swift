import MachineCode
import NestedFormat

// Batches of ``emitQuantize(_:wide:activation:)`` with 512 bits: a group is four vectors, its codes are one. Whole batches of eight
// groups follow each other in a loop of their own, shorter ones go through loops over their groups.

/// Registers of a batch; from 16 on they belong to the activation.
private struct BatchRegisters {
  /// Maxima of each group, and what is done with all at once.
  let maxima = (0..<8).map { ZMM($0) }
  /// Sums of codes.
  let sums = (8..<16).map { ZMM($0) }
  // While codes are made.
  let multiplier = ZMM(0)
  let floats = (1..<5).map { ZMM($0) }
  let order = ZMM(5)
  let ones = ZMM(6)
  let sum = ZMM(7)
  /// Scale and offset of four groups with zeros behind them.
  let zeros = OpMask.k3
}

/// Before the first batch. With a scale per row the sum of the codes stands in the last of the four fields.
func emitBatchConstantsAVX512(_ asm: borrowing X64Assembler, _ g: QuantizeRegisters, perRow: Bool = false) {
  asm.mov(g.work.r32, perRow ? 0xBBBB : 0x3333)
  asm.kmovw(BatchRegisters().zeros, g.work.r32)
}

/// All whole batches of a row, `count` of them and at least one, from `next` on; moves next, target and output on.
///
/// Scales of a batch are made before the codes of the batch in front of it: the CPU cannot look far enough ahead to do anything
/// else while codes wait for their scales.
func emitWholeBatchesAVX512(
  _ asm: borrowing X64Assembler, _ g: QuantizeRegisters, _ activation: ActivationRegisters?
) {
  let r = BatchRegisters()
  let (loop, last) = (asm.newLabel(), asm.newLabel())
  asm.mov(g.source, g.next)
  asm.lea(g.slot, g.slots)
  asm.lea(g.otherSlot, g.slots.offset(QuantizeRegisters.slotByteCount))
  emitWholeScales(asm, g, r, activation, g.slot)
  asm.align(32)
  asm.bind(loop)
  asm.cmp(g.count, 1)
  asm.je(last)
  emitWholeScales(asm, g, r, activation, g.otherSlot)
  asm.bind(last)
  emitCodeConstants(asm, r)
  let (floats, first) = activation == nil ? (g.next, 0) : (g.slot, 64)
  for group in 0..<8 {
    emitGroupCodes(asm, g, r, r.sums[group], group, floats[first + 256 * group], g.slot[32 + 4 * group])
  }
  emitLanePerGroup(asm, r.sums, r.maxima[0], r.maxima[1]) { asm, target, a, b in asm.vpaddd(target, a, b) }
  emitGroupFacts(asm, g, r, g.slot[0], masked: false)
  asm.add(g.next, 2048)
  asm.add(g.target, 512)
  asm.add(g.output, 8 * MemoryLayout<ActivationGroup>.stride)
  asm.mov(g.work, g.slot)
  asm.mov(g.slot, g.otherSlot)
  asm.mov(g.otherSlot, g.work)
  asm.dec(g.count)
  asm.jnz(loop)
}

/// Scales and multipliers of the batch at source, and what the activation makes of it, into a slot; moves source on.
private func emitWholeScales(
  _ asm: borrowing X64Assembler, _ g: QuantizeRegisters, _ r: BatchRegisters, _ activation: ActivationRegisters?,
  _ slot: GPR64
) {
  if let activation {
    asm.lea(g.work, slot[64])
    asm.mov(g.savedCount, g.count)
    asm.mov(g.count, 8)
    emitActivated(asm, g, activation)
    asm.mov(g.count, g.savedCount)
    emitLoads(asm, r.maxima, g.maxima)
  } else {
    emitMask(asm, r)
    for group in 0..<8 { emitMaximum(asm, r.maxima[group], g.source, 256 * group, r) }
    asm.add(g.source, 2048)
  }
  emitLanePerGroup(asm, r.maxima, r.sums[0], r.sums[1]) { asm, target, a, b in asm.vpmaxsd(target, a, b) }
  emitScales(asm, g, slot[0])
}

/// A batch of `count` groups from source on, fewer than eight; moves source, target and output on.
func emitShortBatchAVX512(
  _ asm: borrowing X64Assembler, _ g: QuantizeRegisters, _ activation: ActivationRegisters?
) {
  let r = BatchRegisters()
  asm.mov(g.savedCount, g.count)
  if let activation {
    asm.lea(g.work, g.slots.offset(64))
    emitActivated(asm, g, activation)
    asm.lea(g.source, g.slots.offset(64))
  } else {
    emitMask(asm, r)
    asm.mov(g.work, g.source)
    asm.lea(g.index, g.maxima)
    let loop = asm.here()
    emitMaximum(asm, r.maxima[0], g.work, 0, r)
    asm.vmovdqa64(g.index[0], r.maxima[0])
    asm.add(g.work, 256)
    asm.add(g.index, 64)
    asm.dec(g.count)
    asm.jnz(loop)
  }
  emitLoads(asm, r.maxima, g.maxima)
  emitLanePerGroup(asm, r.maxima, r.sums[0], r.sums[1]) { asm, target, a, b in asm.vpmaxsd(target, a, b) }
  emitScales(asm, g, g.scales)
  asm.mov(g.count, g.savedCount)
  emitShortCodesAVX512(asm, g)
}

/// The codes of a batch of `count` groups from source on, at most eight, whose scales and multipliers stand in the frame; moves
/// source, target and output on.
func emitShortCodesAVX512(_ asm: borrowing X64Assembler, _ g: QuantizeRegisters, perRow: Bool = false) {
  let r = BatchRegisters()
  emitCodeConstants(asm, r)
  asm.mov(g.savedCount, g.count)
  asm.lea(g.work, g.multipliers)
  asm.lea(g.index, g.sums)
  let loop = asm.here()
  emitGroupCodes(asm, g, r, r.sum, 0, g.source[0], g.work[0])
  asm.vmovdqa64(g.index[0], r.sum)
  asm.add(g.work, 4)
  asm.add(g.index, 64)
  asm.add(g.target, 64)
  asm.add(g.source, 256)
  asm.dec(g.count)
  asm.jnz(loop)
  emitLoads(asm, r.sums, g.sums)
  emitLanePerGroup(asm, r.sums, r.maxima[0], r.maxima[1]) { asm, target, a, b in asm.vpaddd(target, a, b) }
  // As many groups as there are.
  asm.mov(g.count, g.savedCount)
  asm.mov(g.work.r32, -1)
  asm.lea(g.index, g.count[g.count, 1])
  asm.add(g.index, g.index)
  asm.bzhi(g.work.r32, g.work.r32, g.index.r32)
  asm.kmovw(.k1, g.work.r32)
  asm.shr(g.work.r32, 16)
  asm.kmovw(.k2, g.work.r32)
  emitGroupFacts(asm, g, r, g.scales, masked: true, perRow: perRow)
  asm.shl(g.count, 4)
  asm.add(g.output, g.count)
}

private func emitMask(_ asm: borrowing X64Assembler, _ r: BatchRegisters) {
  asm.vpbroadcastd(r.sums[7], asm.constant32(0x7FFF_FFFF as UInt32))
}

/// Packing works within quarters; one permutation of dwords puts 64 codes in order.
private func emitCodeConstants(_ asm: borrowing X64Assembler, _ r: BatchRegisters) {
  asm.vmovdqa64(r.order, asm.constants32([0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]))
  asm.vpbroadcastd(r.ones, asm.constant32(0x0101_0101 as UInt32))
}

private func emitLoads(_ asm: borrowing X64Assembler, _ registers: [ZMM], _ place: Mem) {
  for (index, register) in registers.enumerated() { asm.vmovdqa64(register, place.offset(64 * index)) }
}

/// The largest magnitudes of one group, lane by lane. The mask stands in the last of the sums.
private func emitMaximum(
  _ asm: borrowing X64Assembler, _ target: ZMM, _ source: GPR64, _ displacement: Int, _ r: BatchRegisters
) {
  let parts = [target, r.sums[0], r.sums[1], r.sums[2]]
  for index in 0..<4 { asm.vpandd(parts[index], r.sums[7], source[displacement + 64 * index]) }
  asm.vpmaxsd(target, target, parts[1])
  asm.vpmaxsd(parts[2], parts[2], parts[3])
  asm.vpmaxsd(target, target, parts[2])
}

/// What the activation makes of `count` groups from source on, stored at `work`, and the largest magnitudes of it; moves source on.
private func emitActivated(_ asm: borrowing X64Assembler, _ g: QuantizeRegisters, _ activation: ActivationRegisters) {
  let chains = ActivationRegisters.fourChains
  let v = chains.map { ZMM($0) }
  asm.lea(g.index, g.maxima)
  asm.align(32)
  let loop = asm.here()
  for index in 0..<4 { asm.vmovups(v[index], g.source[64 * index]) }
  activation.emit(asm, chains: chains)
  for index in 0..<4 { asm.vmovaps(g.work[64 * index], v[index]) }
  for index in 0..<4 { asm.vpandd(v[index], activation.magnitudes, v[index]) }
  asm.vpmaxsd(v[0], v[0], v[1])
  asm.vpmaxsd(v[2], v[2], v[3])
  asm.vpmaxsd(v[0], v[0], v[2])
  asm.vmovdqa64(g.index[0], v[0])
  asm.add(g.work, 256)
  asm.add(g.source, 256)
  asm.add(g.index, 64)
  asm.dec(g.count)
  asm.jnz(loop)
}

/// Combines the lanes of each of eight vectors to one lane of the first, in order, in its lower half.
private func emitLanePerGroup(
  _ asm: borrowing X64Assembler, _ v: [ZMM], _ low: ZMM, _ high: ZMM,
  _ combine: (borrowing X64Assembler, ZMM, ZMM, ZMM) -> Void
) {
  for pair in 0..<4 {
    let (a, b) = (v[2 * pair], v[2 * pair + 1])
    asm.vpunpckldq(low, a, b)
    asm.vpunpckhdq(high, a, b)
    combine(asm, a, low, high)
  }
  for pair in 0..<2 {
    let (a, b) = (v[4 * pair], v[4 * pair + 2])
    asm.vpunpcklqdq(low, a, b)
    asm.vpunpckhqdq(high, a, b)
    combine(asm, a, low, high)
  }
  // Each block of 128 bits has a lane for each of four groups.
  asm.vshuff64x2(low, v[0], v[4], 0x44)
  asm.vshuff64x2(high, v[0], v[4], 0xEE)
  combine(asm, v[0], low, high)
  asm.vshuff64x2(low, v[0], v[0], 0x08)
  asm.vshuff64x2(high, v[0], v[0], 0x0D)
  combine(asm, v[0], low, high)
}

/// The codes of a group, at as many groups behind target.
private func emitGroupCodes(
  _ asm: borrowing X64Assembler, _ g: QuantizeRegisters, _ r: BatchRegisters, _ sum: ZMM, _ group: Int, _ floats: Mem,
  _ multiplier: Mem
) {
  let v = r.floats
  asm.vbroadcastss(r.multiplier, multiplier)
  for index in 0..<4 {
    asm.vmulps(v[index], r.multiplier, floats.offset(64 * index))
    asm.vcvtps2dq(v[index], v[index])
  }
  asm.vpackssdw(v[0], v[0], v[1])
  asm.vpackssdw(v[2], v[2], v[3])
  asm.vpacksswb(v[0], v[0], v[2])
  asm.vpermd(v[0], r.order, v[0])
  asm.vmovdqu64(g.target[64 * group], v[0])
  asm.vpxord(sum, sum, sum)
  asm.vpdpbusd(sum, r.ones, v[0])
}

/// Scales and offsets, from the sums in the lanes of the first of `r.sums`; with a scale per row the sums too.
private func emitGroupFacts(
  _ asm: borrowing X64Assembler, _ g: QuantizeRegisters, _ r: BatchRegisters, _ scale: Mem, masked: Bool,
  perRow: Bool = false
) {
  let (offsets, scales, facts) = (r.sums[0], r.sums[1], [r.sums[2], r.sums[3]])
  asm.vmovaps(scales.ymm, scale)
  asm.vcvtdq2ps(offsets.ymm, offsets.ymm)
  if perRow { asm.vinsertf64x4(scales, scales, offsets.ymm, 1) }
  asm.vmulps(offsets.ymm, offsets.ymm, scales.ymm)
  for half in 0..<2 {
    var lanes: [UInt32] = []
    for group in 0..<4 {
      let place = UInt32(4 * half + group)
      lanes += [place, 16 + place, 0, 8 + place]
    }
    asm.vmovdqa64(facts[half], asm.constants32(lanes))
    asm.vpermi2ps(facts[half].zeroed(r.zeros), scales, offsets)
    if masked {
      asm.vmovups(g.output[64 * half].masked(half == 0 ? .k1 : .k2), facts[half])
    } else {
      asm.vmovups(g.output[64 * half], facts[half])
    }
  }
}
