import Base
import MachineCode
import NestedFormat

/// ``ExpandedArguments``: four instructions per 32 weights, and two blocks at a time share what is loaded of the row.
/// LinearExpanded.swift says why the sums are exact. The float part is that of ``emitVectorAVX2(_:_:)``, operation by
/// operation.
func emitExpandedAVX2(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) {
  let g = ExpandedRegisters()
  pushAll(asm, g.saved)
  loadFields(
    asm, (g.codes[0], \ExpandedArguments.codes), (g.scales[0], \ExpandedArguments.scales),
    (g.start, \ExpandedArguments.start), (g.y, \ExpandedArguments.y), (g.blocks, \ExpandedArguments.nBlocks))
  asm.vmovdqa(g.ones, asm.constants32(Array(repeating: 0x0001_0001, count: 8)))
  let done = asm.newLabel()
  let single = asm.newLabel()
  asm.cmp(g.blocks, 2)
  asm.jl(single)
  let pair = asm.here()
  emitExpandedBlocks(asm, spec, g, count: 2)
  asm.sub(g.blocks, 2)
  asm.cmp(g.blocks, 2)
  asm.jge(pair)
  asm.bind(single)
  asm.test(g.blocks, g.blocks)
  asm.jz(done)
  emitExpandedBlocks(asm, spec, g, count: 1)
  asm.bind(done)
  asm.vzeroupper()
  popAll(asm, g.saved)
  asm.ret()
}

struct ExpandedRegisters {
  /// Of each block of a pair.
  let codes = [GPR64.rsi, .rbx]
  let scales = [GPR64.rdx, .rbp]
  let x = GPR64.rcx
  let activations = GPR64.r8
  let start = GPR64.r9
  let y = GPR64.r10
  let blocks = GPR64.r11
  let groups = GPR64.rax
  let saved: [GPR64] = [.rbx, .rbp]

  /// Float sums and integer sums of 8 outputs each.
  let sums = (0..<4).map { YMM($0) }
  let totals = (4..<8).map { YMM($0) }
  let products = (8..<12).map { YMM($0) }
  let magnitude = YMM(12)
  let sign = YMM(13)
  let ones = YMM(14)
  let work = YMM(15)
}

/// `count` (1 or 2) blocks of 16 outputs over all groups.
private func emitExpandedBlocks(
  _ asm: borrowing X64Assembler, _ spec: GEMMSpec, _ g: ExpandedRegisters, count: Int
) {
  let parts = 2 * count
  loadFields(
    asm, (g.x, \ExpandedArguments.x), (g.activations, \ExpandedArguments.activations),
    (g.groups, \ExpandedArguments.groups))
  if count == 2 {
    // The second block's codes and scales follow the first one's: 1024 and 64 bytes per group.
    for (registers, shift) in [(g.codes, 10), (g.scales, 6)] {
      asm.mov(registers[1], g.groups)
      asm.shl(registers[1], shift)
      asm.add(registers[1], registers[0])
    }
  }
  for part in 0..<parts { asm.vpxor(g.sums[part], g.sums[part], g.sums[part]) }
  asm.align(32)
  let group = asm.here()
  for part in 0..<parts {
    asm.vpbroadcastd(g.totals[part], g.activations[offset(\ActivationGroup.expandedStart)])
  }
  for vector in 0..<16 {
    asm.vpbroadcastd(g.magnitude, g.x[4 * vector])
    asm.vpbroadcastd(g.sign, g.x[64 + 4 * vector])
    for part in 0..<parts {
      let product = g.products[(parts * vector + part) % 4]
      asm.vpxor(product, g.sign, g.codes[part / 2][64 * vector + 32 * (part % 2)])
      asm.vpmaddubsw(product, g.magnitude, product)
      asm.vpmaddwd(product, product, g.ones)
      asm.vpaddd(g.totals[part], g.totals[part], product)
    }
  }
  let (step, minimum) = (g.products[0], g.products[1])
  let half = asm.constants32(Array(repeating: (Float(1 << (8 - spec.level.bits)) / 2).bitPattern, count: 8))
  let (scale, offsetSum) = (g.magnitude, g.sign)
  asm.vbroadcastss(scale, g.activations[offset(\ActivationGroup.scale)])
  asm.vbroadcastss(offsetSum, g.activations[offset(\ActivationGroup.offset)])
  for part in 0..<parts {
    // sum += a · (s · A) + offset · (lo + s / 2)
    asm.vcvtph2ps(step, g.scales[part / 2][16 * (part % 2)])
    asm.vcvtph2ps(minimum, g.scales[part / 2][32 + 16 * (part % 2)])
    asm.vfmadd231ps(minimum, step, half)
    asm.vcvtdq2ps(g.totals[part], g.totals[part])
    asm.vmulps(g.totals[part], g.totals[part], step)
    asm.vfmadd231ps(g.sums[part], g.totals[part], scale)
    asm.vfmadd231ps(g.sums[part], offsetSum, minimum)
  }
  for block in 0..<count {
    asm.add(g.codes[block], 1024)
    asm.add(g.scales[block], 64)
  }
  asm.add(g.x, 128)
  asm.add(g.activations, 16)
  asm.dec(g.groups)
  asm.jnz(group)

  asm.vbroadcastss(g.work, GPR64.rdi[offset(\ExpandedArguments.factor)])
  for part in 0..<parts {
    asm.vfmadd213ps(g.sums[part], g.work, g.start[32 * part])
    asm.vmovups(g.y[32 * part], g.sums[part])
  }
  asm.add(g.start, 64 * count)
  asm.add(g.y, 64 * count)
  if count == 2 {
    asm.mov(g.codes[0], g.codes[1])
    asm.mov(g.scales[0], g.scales[1])
  }
}
