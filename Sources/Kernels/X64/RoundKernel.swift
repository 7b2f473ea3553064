import MachineCode

/// ``RoundArguments``: 64 inputs at a time, then 16, then what is left under a mask. `vcvtne2ps2bf16` would save a store; the
/// emulator of the tests has its upper half wrong.
func emitRoundBF16(_ asm: borrowing X64Assembler) {
  let (x, xStride, output, outputStride) = (GPR64.rsi, GPR64.r8, GPR64.rdx, GPR64.r9)
  let (rows, source, target, count) = (GPR64.r10, GPR64.rax, GPR64.r11, GPR64.rcx)
  let numbers = (0..<4).map { ZMM($0) }
  let (k, bits) = (GPR64.rdi, GPR64.rbx.r32)
  let done = asm.newLabel()
  asm.push(.rbx)
  loadFields(
    asm, (x, \RoundArguments.x), (xStride, \RoundArguments.xRowStride), (output, \RoundArguments.output),
    (outputStride, \RoundArguments.outputRowStride), (rows, \RoundArguments.rows), (k, \RoundArguments.k))
  asm.cmp(rows, 1)
  asm.jl(done)
  asm.align(16)
  let row = asm.here()
  asm.mov(source, x)
  asm.mov(target, output)
  asm.mov(count, k)
  for vectors in [4, 1] {
    emitWholeTurns(asm, count, of: 16 * vectors) { asm in
      for index in 0..<vectors {
        let number = numbers[index]
        asm.vmovups(number, source[64 * index])
        asm.vcvtneps2bf16(number.ymm, number)
        asm.vmovdqu32(target[32 * index], number.ymm)
      }
      asm.add(source, 64 * vectors)
      asm.add(target, 32 * vectors)
    }
  }
  let next = asm.newLabel()
  asm.jz(next)
  emitEvenTailMasks(asm, count: count, bits: bits)
  let tail = numbers[0]
  asm.vmovups(tail.zeroed(.k1), source[0])
  asm.vcvtneps2bf16(tail.ymm, tail)
  asm.vmovdqu16(target[0].masked(.k2), tail.ymm)
  asm.bind(next)
  asm.add(x, xStride)
  asm.add(output, outputStride)
  asm.dec(rows)
  asm.jnz(row)
  asm.bind(done)
  asm.vzeroupper()
  asm.pop(.rbx)
  asm.ret()
}
