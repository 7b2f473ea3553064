import MachineCode
import NestedFormat

/// ``QuantizeArguments`` with a scale per row: a first pass over the row finds its largest magnitude, a second one makes the
/// codes, in the batches of ``emitQuantize(_:wide:activation:)``, whose places in the frame hold the row's scale eight times.
func emitQuantizeRow(_ asm: borrowing X64Assembler, _ spec: GEMMSpec, wide: Bool) {
  let g = QuantizeRegisters()
  pushAll(asm, calleeSaved)
  emitAlignedFrame(asm, byteCount: wide ? g.wideFrameByteCount : g.frameByteCount, savedPointer: g.savedPointer)
  loadFields(
    asm, (g.x, \QuantizeArguments.x), (g.codes, \QuantizeArguments.codes), (g.groups, \QuantizeArguments.groups),
    (g.rows, \QuantizeArguments.rows))
  asm.vmovdqa(g.interleave, asm.constants32([0, 4, 1, 5, 2, 6, 3, 7]))
  if wide {
    // Sums of groups that a batch does not have: integers, whatever they are, but not what the stack held.
    asm.vpxor(g.values[0], g.values[0], g.values[0])
    for index in 0..<16 { asm.vmovdqa(g.sums.offset(32 * index), g.values[0]) }
    emitBatchConstantsAVX512(asm, g, perRow: true)
  }
  let padded = wide ? g.widePadded : g.padded
  let (row, next, tail, batch, rowDone, done) = (
    asm.newLabel(), asm.newLabel(), asm.newLabel(), asm.newLabel(), asm.newLabel(), asm.newLabel()
  )
  asm.test(g.rows, g.rows)
  asm.jz(done)

  asm.bind(row)
  asm.mov(g.next, g.x)
  asm.mov(g.target, g.codes)
  asm.mov(g.output, g.groups)
  asm.mov(g.inputsLeft, GPR64.rdi[offset(\QuantizeArguments.k)])
  emitRowMaximum(asm, g, padded)
  emitScales(asm, g, g.scales)

  asm.bind(next)
  asm.cmp(g.inputsLeft, 64)
  asm.jl(tail)
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
  asm.bind(tail)
  asm.test(g.inputsLeft, g.inputsLeft)
  asm.jz(rowDone)
  asm.xor(g.inputsLeft, g.inputsLeft)
  asm.lea(g.source, padded)
  asm.mov(g.count, 1)
  asm.bind(batch)
  if wide { emitShortCodesAVX512(asm, g, perRow: true) } else { emitCodes(asm, g, perRow: true) }
  asm.jmp(next)

  asm.bind(rowDone)
  emitSharedSums(asm, spec, g, of: \ActivationGroup.shared)
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

/// The largest magnitude of the row at `x` in all lanes of `g.values[0]`; a shorter last group stands in front of zeros at `padded`
/// then. Uses source, count, index and work.
private func emitRowMaximum(_ asm: borrowing X64Assembler, _ g: QuantizeRegisters, _ padded: Mem) {
  let largest = Array(g.values[0..<4])
  func emitGroup(_ asm: borrowing X64Assembler) {
    for index in 0..<8 {
      let value = g.values[4 + index % 4]
      asm.vandps(value, g.magnitudeMask, g.source[32 * index])
      asm.vpmaxsd(largest[index % 4], largest[index % 4], value)
    }
  }
  // Codes of the row before may have taken its register.
  asm.vbroadcastss(g.magnitudeMask, asm.constant32(0x7FFF_FFFF as UInt32))
  for value in largest { asm.vpxor(value, value, value) }
  let (noTail, noGroups) = (asm.newLabel(), asm.newLabel())
  asm.mov(g.count, g.inputsLeft)
  asm.mov(g.source, g.x)
  asm.shr(g.count, 6)
  asm.jz(noGroups)
  let loop = asm.here()
  emitGroup(asm)
  asm.add(g.source, 256)
  asm.dec(g.count)
  asm.jnz(loop)
  asm.bind(noGroups)
  asm.mov(g.count, g.inputsLeft)
  asm.and(g.count, 63)
  asm.jz(noTail)
  asm.vpxor(g.values[4], g.values[4], g.values[4])
  for part in 0..<8 { asm.vmovdqa(padded.offset(32 * part), g.values[4]) }
  asm.lea(g.index, padded)
  let copy = asm.here()
  asm.mov(g.work.r32, g.source[g.count, 4, -4])
  asm.mov(g.index[g.count, 4, -4], g.work.r32)
  asm.dec(g.count)
  asm.jnz(copy)
  asm.mov(g.source, g.index)
  emitGroup(asm)
  asm.bind(noTail)
  asm.vpmaxsd(largest[0], largest[0], largest[1])
  asm.vpmaxsd(largest[2], largest[2], largest[3])
  asm.vpmaxsd(largest[0], largest[0], largest[2])
  asm.vperm2i128(largest[1], largest[0], largest[0], 1)
  asm.vpmaxsd(largest[0], largest[0], largest[1])
  for order in [0x4E, 0xB1] {
    asm.vpshufd(largest[1], largest[0], order)
    asm.vpmaxsd(largest[0], largest[0], largest[1])
  }
}

/// ``QuantizeArguments``: the sums of the offsets of groups whose weights share a scale, for all rows.
func emitGroupSums(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) {
  let g = QuantizeRegisters()
  pushAll(asm, calleeSaved)
  loadFields(asm, (g.groups, \QuantizeArguments.groups), (g.rows, \QuantizeArguments.rows))
  let (row, done) = (asm.newLabel(), asm.newLabel())
  asm.test(g.rows, g.rows)
  asm.jz(done)
  asm.bind(row)
  emitSharedSums(asm, spec, g, of: \ActivationGroup.offset)
  asm.add(g.groups, GPR64.rdi[offset(\QuantizeArguments.groupRowStride)])
  asm.dec(g.rows)
  asm.jnz(row)
  asm.bind(done)
  popAll(asm, calleeSaved)
  asm.ret()
}

/// Leaves the sum of a field of groups whose weights share a scale in the first of them, and 0 in the others. Uses output, count
/// and work.
private func emitSharedSums(
  _ asm: borrowing X64Assembler, _ spec: GEMMSpec, _ g: QuantizeRegisters, of field: PartialKeyPath<ActivationGroup>
) {
  if spec.groupSize == 64 { return }
  let (source, place) = (offset(field), offset(\ActivationGroup.shared))
  let stride = MemoryLayout<ActivationGroup>.stride
  let sum = g.values[0].xmm
  let done = asm.newLabel()
  asm.mov(g.count, GPR64.rdi[offset(\QuantizeArguments.k)])
  asm.add(g.count, 63)
  asm.shr(g.count, 6)
  asm.mov(g.output, g.groups)
  asm.xor(g.work, g.work)
  if spec.groupSize == 128 {
    asm.shr(g.count, 1)
    asm.jz(done)
    let pair = asm.here()
    asm.vmovss(sum, g.output[source])
    asm.vaddss(sum, sum, g.output[stride + source])
    asm.vmovss(g.output[place], sum)
    asm.mov(g.output[stride + place], g.work.r32)
    asm.add(g.output, 2 * stride)
    asm.dec(g.count)
    asm.jnz(pair)
  } else {
    asm.vxorps(sum, sum, sum)
    asm.test(g.count, g.count)
    asm.jz(done)
    let group = asm.here()
    asm.vaddss(sum, sum, g.output[source])
    asm.mov(g.output[place], g.work.r32)
    asm.add(g.output, stride)
    asm.dec(g.count)
    asm.jnz(group)
    asm.vmovss(g.groups[place], sum)
  }
  asm.bind(done)
}
