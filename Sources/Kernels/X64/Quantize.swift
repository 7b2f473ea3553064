import Base
import MachineCode
import NestedFormat

/// ``QuantizeArguments``; what is done with a batch has a 512-bit form, which can also apply an activation to each float first.
///
/// A row is coded in batches of up to eight groups: first the largest magnitudes of all, then scales and multipliers of all
/// at once, then the codes, so that no group waits for its own division. Comparing magnitudes as integers orders them as
/// floats and puts infinities and NaN on top, so one maximum serves both the scale and the test for poison. Conversion
/// rounds by the mode in MXCSR, to nearest even.
///
/// - Parameter activation: only with 512 bits; it leaves 0 as 0.
func emitQuantize(_ asm: borrowing X64Assembler, wide: Bool, activation pieces: ActivationPieces? = nil) {
  let g = QuantizeRegisters()
  let activation = pieces.map { ActivationRegisters(asm, $0) }
  pushAll(asm, calleeSaved)
  emitAlignedFrame(asm, byteCount: wide ? g.wideFrameByteCount : g.frameByteCount, savedPointer: g.savedPointer)
  loadFields(
    asm, (g.x, \QuantizeArguments.x), (g.codes, \QuantizeArguments.codes), (g.groups, \QuantizeArguments.groups),
    (g.rows, \QuantizeArguments.rows))
  asm.vbroadcastss(g.magnitudeMask, asm.constant32(0x7FFF_FFFF as UInt32))
  asm.vmovdqa(g.interleave, asm.constants32([0, 4, 1, 5, 2, 6, 3, 7]))
  asm.vpxor(g.values[0], g.values[0], g.values[0])
  for index in 0..<(wide ? 16 : 8) { asm.vmovdqa(g.maxima.offset(32 * index), g.values[0]) }
  activation?.loadConstants(asm)
  if wide { emitBatchConstantsAVX512(asm, g) }
  let (row, next, batch, tail, rowDone, done) = (
    asm.newLabel(), asm.newLabel(), asm.newLabel(), asm.newLabel(), asm.newLabel(), asm.newLabel()
  )
  asm.test(g.rows, g.rows)
  asm.jz(done)

  asm.bind(row)
  asm.mov(g.next, g.x)
  asm.mov(g.target, g.codes)
  asm.mov(g.output, g.groups)
  asm.mov(g.inputsLeft, GPR64.rdi[offset(\QuantizeArguments.k)])
  asm.bind(next)
  asm.cmp(g.inputsLeft, 64)
  asm.jl(tail)
  if wide {
    let short = asm.newLabel()
    asm.mov(g.count, g.inputsLeft)
    asm.shr(g.count, 9)
    asm.jz(short)
    asm.and(g.inputsLeft, 511)
    emitWholeBatchesAVX512(asm, g, activation)
    asm.jmp(next)
    asm.bind(short)
  }
  // As many whole groups as there are, at most eight.
  asm.mov(g.count, g.inputsLeft)
  asm.shr(g.count, 6)
  asm.mov(g.work, 8)
  asm.cmp(g.count, g.work)
  asm.cmovg(g.count, g.work)
  asm.mov(g.source, g.next)
  asm.mov(g.work, g.count)
  asm.shl(g.work, 6)
  asm.sub(g.inputsLeft, g.work)
  asm.shl(g.work, 2)
  asm.add(g.next, g.work)
  asm.jmp(batch)
  // A shorter last group, copied in front of zeros.
  asm.bind(tail)
  asm.test(g.inputsLeft, g.inputsLeft)
  asm.jz(rowDone)
  asm.vpxor(g.values[0], g.values[0], g.values[0])
  let padded = wide ? g.widePadded : g.padded
  for part in 0..<8 { asm.vmovdqa(padded.offset(32 * part), g.values[0]) }
  asm.lea(g.source, padded)
  let copy = asm.here()
  asm.mov(g.work.r32, g.next[g.inputsLeft, 4, -4])
  asm.mov(g.source[g.inputsLeft, 4, -4], g.work.r32)
  asm.dec(g.inputsLeft)
  asm.jnz(copy)
  asm.mov(g.count, 1)
  asm.bind(batch)
  if wide {
    emitShortBatchAVX512(asm, g, activation)
  } else {
    emitMaxima(asm, g)
    emitLanePerGroup(asm, g)
    emitScales(asm, g, g.scales)
    emitCodes(asm, g)
  }
  asm.jmp(next)

  asm.bind(rowDone)
  asm.add(g.x, GPR64.rdi[offset(\QuantizeArguments.xRowStride)])
  asm.add(g.codes, GPR64.rdi[offset(\QuantizeArguments.codeRowStride)])
  asm.add(g.groups, GPR64.rdi[offset(\QuantizeArguments.groupRowStride)])
  asm.dec(g.rows)
  asm.jnz(row)
  asm.bind(done)
  asm.vzeroupper()
  asm.mov(GPR64.rsp, g.savedPointer)
  popAll(asm, calleeSaved)
  asm.ret()
}

struct QuantizeRegisters {
  // The current row.
  let x = GPR64.rsi
  let codes = GPR64.r8
  let groups = GPR64.r10
  let rows = GPR64.rbx
  // The current batch: where it is read, where the next one begins, what is written.
  let source = GPR64.rbp
  let next = GPR64.r11
  let inputsLeft = GPR64.r15
  let target = GPR64.r12
  let output = GPR64.r14
  let count = GPR64.rcx
  let index = GPR64.rdx
  let work = GPR64.rax

  let savedPointer = GPR64.rsp[0]
  let savedCount = GPR64.rsp[8]
  let scales = GPR64.rsp[64]
  let multipliers = GPR64.rsp[96]
  /// Per group of the batch maxima of its magnitudes, lane by lane; of unused ones nothing is read.
  let maxima = GPR64.rsp[128]
  let padded = GPR64.rsp[128 + 256]
  let frameByteCount = 128 + 512
  // With 512 bits maxima have 16 lanes, and sums of codes a place of their own: what is left there must not be divided, since
  // integers are subnormal floats.
  let sums = GPR64.rsp[128 + 512]
  let widePadded = GPR64.rsp[128 + 1024]
  /// Of a batch of eight groups scales, multipliers and the results of an activation, for two batches in turn.
  let slots = GPR64.rsp[128 + 1280]
  static let slotByteCount = 64 + 2048
  let slot = GPR64.r9
  let otherSlot = GPR64.r13
  let wideFrameByteCount = 128 + 1280 + 2 * QuantizeRegisters.slotByteCount

  let values = (0..<8).map { YMM($0) }
  let work1 = YMM(8)
  let work2 = YMM(9)
  let scale = YMM(10)
  let magnitudeMask = YMM(14)
  let interleave = YMM(15)
}

/// The largest magnitudes of each group, by eights.
private func emitMaxima(_ asm: borrowing X64Assembler, _ g: QuantizeRegisters) {
  asm.mov(g.work, g.source)
  asm.lea(g.index, g.maxima)
  asm.mov(g.savedCount, g.count)
  let loop = asm.here()
  for index in 0..<8 {
    let value = g.values[index % 4]
    if index < 2 {
      asm.vandps(g.values[4 + index], g.magnitudeMask, g.work[32 * index])
    } else {
      asm.vandps(value, g.magnitudeMask, g.work[32 * index])
      asm.vpmaxsd(g.values[4 + index % 2], g.values[4 + index % 2], value)
    }
  }
  asm.vpmaxsd(g.values[4], g.values[4], g.values[5])
  asm.vmovdqa(g.index[0], g.values[4])
  asm.add(g.work, 256)
  asm.add(g.index, 32)
  asm.dec(g.count)
  asm.jnz(loop)
  asm.mov(g.count, g.savedCount)
}

/// Scales, and multipliers behind them, of eight groups, whose largest magnitudes stand in the lanes of `g.values[0]`: zero for
/// tiny ones; all bits set, which is a NaN, for the scales of poisoned ones.
func emitScales(_ asm: borrowing X64Assembler, _ g: QuantizeRegisters, _ place: Mem) {
  let v = g.values
  let bound = asm.constants32(Array(repeating: QuantizedActivations.smallestMagnitude.bitPattern &- 1, count: 8))
  let highest = asm.constants32(Array(repeating: 0x7F7F_FFFF, count: 8))
  asm.vbroadcastss(v[1], asm.constant32(127 as Float))
  asm.vdivps(v[2], v[0], v[1])
  asm.vdivps(v[1], v[1], v[0])
  asm.vpcmpgtd(v[3], v[0], bound)
  asm.vpcmpgtd(v[0], v[0], highest)
  asm.vandps(v[2], v[2], v[3])
  asm.vandps(v[1], v[1], v[3])
  asm.vorps(v[2], v[2], v[0])
  asm.vmovaps(place, v[2])
  asm.vmovaps(place.offset(32), v[1])
}

/// The largest of each of eight vectors of maxima as one lane of `g.values[0]`, in order, by three rounds of interleaving.
private func emitLanePerGroup(_ asm: borrowing X64Assembler, _ g: QuantizeRegisters) {
  let v = g.values
  for index in 0..<8 { asm.vmovdqa(v[index], g.maxima.offset(32 * index)) }
  for pair in 0..<4 {
    let (a, b) = (v[2 * pair], v[2 * pair + 1])
    asm.vpunpckldq(g.work1, a, b)
    asm.vpunpckhdq(g.work2, a, b)
    asm.vpmaxsd(a, g.work1, g.work2)
  }
  for pair in 0..<2 {
    let (a, b) = (v[4 * pair], v[4 * pair + 2])
    asm.vpunpcklqdq(g.work1, a, b)
    asm.vpunpckhqdq(g.work2, a, b)
    asm.vpmaxsd(a, g.work1, g.work2)
  }
  asm.vperm2i128(g.work1, v[0], v[4], 0x20)
  asm.vperm2i128(g.work2, v[0], v[4], 0x31)
  asm.vpmaxsd(v[0], g.work1, g.work2)
}

/// The codes of `count` groups and their sums; moves source, target and output on. With a scale per row the sums are stored too.
func emitCodes(_ asm: borrowing X64Assembler, _ g: QuantizeRegisters, perRow: Bool = false) {
  let v = g.values
  let work = g.work1
  asm.lea(g.index, g.scales)
  asm.align(32)
  let loop = asm.here()
  asm.vbroadcastss(work, g.index[32])
  for index in 0..<8 {
    asm.vmulps(v[index], work, g.source[32 * index])
    asm.vcvtps2dq(v[index], v[index])
  }
  // Packing works within halves; one permutation of dwords puts 32 codes in order.
  for pair in 0..<4 { asm.vpackssdw(v[2 * pair], v[2 * pair], v[2 * pair + 1]) }
  for half in 0..<2 {
    asm.vpacksswb(v[4 * half], v[4 * half], v[4 * half + 2])
    asm.vpermd(v[4 * half], g.interleave, v[4 * half])
    asm.vmovdqu(g.target[32 * half], v[4 * half])
  }
  // The sum of the codes: |Σ| ≤ 64 · 127.
  let sum = v[2]
  asm.vmovdqa(work, asm.constants32(Array(repeating: 0x0101_0101, count: 8)))
  asm.vpmaddubsw(sum, work, v[0])
  asm.vpmaddubsw(work, work, v[4])
  asm.vpaddw(sum, sum, work)
  asm.vpmaddwd(sum, sum, asm.constants32(Array(repeating: 0x0001_0001, count: 8)))
  emitSum(asm, sum, work)
  asm.vcvtdq2ps(sum.xmm, sum.xmm)
  if perRow { asm.vmovss(g.output[offset(\ActivationGroup.shared)], sum.xmm) }
  asm.vmovss(g.scale.xmm, g.index[0])
  asm.vmulps(sum.xmm, sum.xmm, g.scale.xmm)
  asm.vmovss(g.output[offset(\ActivationGroup.scale)], g.scale.xmm)
  asm.vmovss(g.output[offset(\ActivationGroup.offset)], sum.xmm)
  asm.add(g.output, MemoryLayout<ActivationGroup>.stride)
  asm.add(g.target, 64)
  asm.add(g.source, 256)
  asm.add(g.index, 4)
  asm.dec(g.count)
  asm.jnz(loop)
}

/// Adds up the eight 32-bit integers of `sum`, which stands in all four places of its lower half then.
func emitSum(_ asm: borrowing X64Assembler, _ sum: YMM, _ temporary: YMM) {
  asm.vextracti128(temporary.xmm, sum, 1)
  asm.vpaddd(sum.xmm, sum.xmm, temporary.xmm)
  for order in [0x4E, 0xB1] {
    asm.vpshufd(temporary.xmm, sum.xmm, order)
    asm.vpaddd(sum.xmm, sum.xmm, temporary.xmm)
  }
}
