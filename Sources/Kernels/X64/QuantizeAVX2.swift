import Base
import MachineCode
import NestedFormat

/// ``QuantizeArguments``; 256-bit code that all x86-64 CPUs from AVX2 on use, since it is a small part of any product.
///
/// Comparing magnitudes as integers orders them as floats and puts infinities and NaN on top, so one maximum serves both
/// the scale and the test for poison. Conversion rounds by the mode in MXCSR, to nearest even.
func emitQuantizeAVX2(_ asm: borrowing X64Assembler, _ spec: GEMMSpec, writesWords: Bool) {
  let g = QuantizeRegisters()
  pushAll(asm, calleeSaved)
  emitAlignedFrame(asm, byteCount: 256 + 64, savedPointer: g.savedPointer)
  loadFields(
    asm, (g.x, \QuantizeArguments.x), (g.codes, \QuantizeArguments.codes), (g.words, \QuantizeArguments.words),
    (g.scales, \QuantizeArguments.groups), (g.rows, \QuantizeArguments.rows))
  asm.vbroadcastss(g.magnitudeMask, asm.constant32(0x7FFF_FFFF as UInt32))
  asm.vmovdqa(g.interleave, asm.constants32([0, 4, 1, 5, 2, 6, 3, 7]))
  let done = asm.newLabel()
  asm.test(g.rows, g.rows)
  asm.jz(done)

  let row = asm.here()
  let (tail, rowDone) = (asm.newLabel(), asm.newLabel())
  asm.mov(g.source, g.x)
  asm.mov(g.target, g.codes)
  asm.mov(g.wordTarget, g.words)
  asm.mov(g.scale, g.scales)
  asm.mov(g.count, GPR64.rdi[offset(\QuantizeArguments.k)])
  asm.sub(g.count, 64)
  asm.jl(tail)
  asm.align(32)
  let group = asm.here()
  emitQuantizeGroup(asm, g, g.source, writesWords)
  asm.add(g.source, 256)
  asm.sub(g.count, 64)
  asm.jge(group)
  asm.bind(tail)
  asm.add(g.count, 64)
  asm.jz(rowDone)
  // A shorter last group, copied in front of zeros.
  let zero = YMM(0)
  asm.vpxor(zero, zero, zero)
  for part in 0..<8 { asm.vmovdqu(GPR64.rsp[32 * part], zero) }
  let copy = asm.here()
  asm.mov(GPR64.rdx.r32, g.source[g.count, 4, -4])
  asm.mov(GPR64.rsp[g.count, 4, -4], GPR64.rdx.r32)
  asm.dec(g.count)
  asm.jnz(copy)
  emitQuantizeGroup(asm, g, .rsp, writesWords)
  asm.bind(rowDone)
  asm.add(g.x, GPR64.rdi[offset(\QuantizeArguments.xRowStride)])
  asm.add(g.codes, GPR64.rdi[offset(\QuantizeArguments.codeRowStride)])
  asm.add(g.words, GPR64.rdi[offset(\QuantizeArguments.wordRowStride)])
  asm.add(g.scales, GPR64.rdi[offset(\QuantizeArguments.groupRowStride)])
  asm.dec(g.rows)
  asm.jnz(row)

  asm.bind(done)
  asm.vzeroupper()
  asm.mov(GPR64.rsp, g.savedPointer)
  popAll(asm, calleeSaved)
  asm.ret()
}

struct QuantizeRegisters {
  let x = GPR64.rsi
  let codes = GPR64.r8
  let words = GPR64.r9
  let scales = GPR64.r10
  let rows = GPR64.rbx
  let source = GPR64.rbp
  let target = GPR64.r12
  let wordTarget = GPR64.r13
  let scale = GPR64.r14
  let count = GPR64.rcx
  let savedPointer = GPR64.rsp[256]

  let values = (0..<8).map { YMM($0) }
  let work = YMM(8)
  let work2 = YMM(9)
  let largest = YMM(10)
  let scaleValue = XMM(11)
  let magnitudeMask = YMM(14)
  let interleave = YMM(15)
}

/// 64 floats at `source`; moves the targets on.
private func emitQuantizeGroup(
  _ asm: borrowing X64Assembler, _ g: QuantizeRegisters, _ source: GPR64, _ writesWords: Bool
) {
  let (work, work2, largest) = (g.work, g.work2, g.largest)
  for (index, value) in g.values.enumerated() {
    asm.vmovups(value, source[32 * index])
    if index == 0 {
      asm.vandps(largest, value, g.magnitudeMask)
    } else {
      asm.vandps(work, value, g.magnitudeMask)
      asm.vpmaxsd(largest, largest, work)
    }
  }
  asm.vextracti128(work.xmm, largest, 1)
  asm.vpmaxsd(largest.xmm, largest.xmm, work.xmm)
  asm.vpshufd(work.xmm, largest.xmm, 0x4E)
  asm.vpmaxsd(largest.xmm, largest.xmm, work.xmm)
  asm.vpshufd(work.xmm, largest.xmm, 0xB1)
  asm.vpmaxsd(largest.xmm, largest.xmm, work.xmm)

  // Scale and multiplier, zero for tiny groups; all bits set, which is a NaN, for poisoned ones.
  let bound = asm.constants32(Array(repeating: QuantizedActivations.smallestMagnitude.bitPattern &- 1, count: 4))
  let highest = asm.constants32(Array(repeating: 0x7F7F_FFFF, count: 4))
  let limit = XMM(12)
  asm.vbroadcastss(limit, asm.constant32(127 as Float))
  asm.vdivps(g.scaleValue, largest.xmm, limit)
  asm.vdivps(limit, limit, largest.xmm)
  asm.vpcmpgtd(work.xmm, largest.xmm, bound)
  asm.vandps(g.scaleValue, g.scaleValue, work.xmm)
  asm.vandps(limit, limit, work.xmm)
  asm.vpcmpgtd(work.xmm, largest.xmm, highest)
  asm.vorps(g.scaleValue, g.scaleValue, work.xmm)
  asm.vbroadcastss(largest, limit)

  for value in g.values {
    asm.vmulps(value, value, largest)
    asm.vcvtps2dq(value, value)
  }
  // Packing works within halves; one permutation of dwords puts 32 codes in order.
  let v = g.values
  for pair in 0..<4 { asm.vpackssdw(v[2 * pair], v[2 * pair], v[2 * pair + 1]) }
  for half in 0..<2 {
    asm.vpacksswb(v[4 * half], v[4 * half], v[4 * half + 2])
    asm.vpermd(v[4 * half], g.interleave, v[4 * half])
    asm.vmovdqu(g.target[32 * half], v[4 * half])
  }
  // The sum of the codes, and minus twice the one of the products of neighbours: |Σ| ≤ 64 · 127, 64 · 127².
  let (sum, products) = (v[2], v[3])
  let ones16 = asm.constants32(Array(repeating: 0x0001_0001, count: 8))
  asm.vmovdqa(work, asm.constants32(Array(repeating: 0x0101_0101, count: 8)))
  asm.vpmaddubsw(sum, work, v[0])
  asm.vpmaddubsw(work, work, v[4])
  asm.vpaddw(sum, sum, work)
  asm.vpmaddwd(sum, sum, ones16)
  asm.vpxor(products, products, products)
  if writesWords {
    let half: [UInt8] = [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]
    let order = asm.constant256(half + half)
    for quarter in 0..<4 {
      let part = v[4 * (quarter / 2)]
      if quarter % 2 == 0 {
        asm.vpmovsxbw(v[1], part.xmm)
      } else {
        asm.vextracti128(v[1].xmm, part, 1)
        asm.vpmovsxbw(v[1], v[1].xmm)
      }
      asm.vpshufb(v[1], v[1], order)
      asm.vmovdqu(g.wordTarget[32 * quarter], v[1])
      // Words q0, q2 by q1, q3 and the other way round.
      asm.vpshufd(work, v[1], 0xB1)
      asm.vpmaddwd(work, v[1], work)
      asm.vpsubd(products, products, work)
    }
    asm.add(g.wordTarget, 128)
  }
  // Both sums in one register: sum, products, sum, products.
  asm.vpunpckldq(work, sum, products)
  asm.vpunpckhdq(work2, sum, products)
  asm.vpaddd(work, work, work2)
  asm.vextracti128(work2.xmm, work, 1)
  asm.vpaddd(work.xmm, work.xmm, work2.xmm)
  asm.vpshufd(work2.xmm, work.xmm, 0x4E)
  asm.vpaddd(work.xmm, work.xmm, work2.xmm)
  asm.vpsrad(work2.xmm, work.xmm, 1)
  asm.vcvtdq2ps(work.xmm, work.xmm)
  asm.vmulps(work.xmm, work.xmm, g.scaleValue)
  asm.vmovss(g.scale[0], g.scaleValue)
  asm.vmovss(g.scale[4], work.xmm)
  asm.vpextrd(g.scale[8], work2.xmm, 1)
  asm.add(g.scale, 16)
  asm.add(g.target, 64)
}
