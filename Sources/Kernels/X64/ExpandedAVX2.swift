import Base
import MachineCode
import NestedFormat

/// ``ExpandedArguments``: four instructions per 32 weights, which leaves the level-2 cache the bound. LinearExpanded.swift
/// says why the sums are exact. The float part is that of ``emitVectorAVX2(_:_:)``, operation by operation.
func emitExpandedAVX2(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) {
  let (codes, scales) = (GPR64.rsi, GPR64.rdx)
  let (x, activations) = (GPR64.rcx, GPR64.r8)
  let (start, y) = (GPR64.r9, GPR64.r10)
  let (blocks, groups) = (GPR64.r11, GPR64.rax)
  let sums = [YMM(0), YMM(1)]
  let totals = [YMM(2), YMM(3)]
  let products = (0..<4).map { YMM(4 + $0) }
  let (magnitude, sign) = (YMM(8), YMM(9))
  let (step, minimum) = (YMM(10), YMM(11))
  let (ones, half, factor, work) = (YMM(12), YMM(13), YMM(14), YMM(15))

  loadFields(
    asm, (codes, \ExpandedArguments.codes), (scales, \ExpandedArguments.scales), (start, \ExpandedArguments.start),
    (y, \ExpandedArguments.y), (blocks, \ExpandedArguments.nBlocks))
  asm.vmovdqa(ones, asm.constants32(Array(repeating: 0x0001_0001, count: 8)))
  asm.vbroadcastss(half, asm.constant32(Float(1 << (8 - spec.level.bits)) / 2))
  asm.vbroadcastss(factor, GPR64.rdi[offset(\ExpandedArguments.factor)])
  let done = asm.newLabel()
  asm.test(blocks, blocks)
  asm.jz(done)

  let block = asm.here()
  loadFields(
    asm, (x, \ExpandedArguments.x), (activations, \ExpandedArguments.activations), (groups, \ExpandedArguments.groups))
  for sum in sums { asm.vpxor(sum, sum, sum) }
  asm.align(32)
  let group = asm.here()
  for total in totals {
    asm.vpbroadcastd(total, activations[offset(\ActivationGroup.expandedStart)])
  }
  for vector in 0..<16 {
    asm.vpbroadcastd(magnitude, x[4 * vector])
    asm.vpbroadcastd(sign, x[64 + 4 * vector])
    for part in 0..<2 {
      let product = products[(2 * vector + part) % 4]
      asm.vpxor(product, sign, codes[64 * vector + 32 * part])
      asm.vpmaddubsw(product, magnitude, product)
      asm.vpmaddwd(product, product, ones)
      asm.vpaddd(totals[part], totals[part], product)
    }
  }
  for part in 0..<2 {
    // sum += a · (s · A) + offset · (lo + s / 2)
    asm.vcvtph2ps(step, scales[16 * part])
    asm.vcvtph2ps(minimum, scales[32 + 16 * part])
    asm.vfmadd231ps(minimum, step, half)
    asm.vcvtdq2ps(totals[part], totals[part])
    asm.vmulps(totals[part], totals[part], step)
    asm.vbroadcastss(work, activations[offset(\ActivationGroup.scale)])
    asm.vfmadd231ps(sums[part], totals[part], work)
    asm.vbroadcastss(work, activations[offset(\ActivationGroup.offset)])
    asm.vfmadd231ps(sums[part], work, minimum)
  }
  asm.add(codes, 1024)
  asm.add(scales, 64)
  asm.add(x, 128)
  asm.add(activations, 16)
  asm.dec(groups)
  asm.jnz(group)

  for part in 0..<2 {
    asm.vfmadd213ps(sums[part], factor, start[32 * part])
    asm.vmovups(y[32 * part], sums[part])
  }
  asm.add(start, 64)
  asm.add(y, 64)
  asm.dec(blocks)
  asm.jnz(block)
  asm.bind(done)
  asm.vzeroupper()
  asm.ret()
}
