import MachineCode

/// ``AttentionPackArguments``. Two inputs of a key are neighbours in memory, so that after rounding 16 keys are a 16 x 16
/// transposition of 32-bit elements for every 32 inputs. Two keys of a value are interleaved by one permutation.
///
/// - Parameter isCoded: keys become 8-bit codes.
func emitAttentionPack(_ asm: borrowing X64Assembler, isCoded: Bool) {
  pushAll(asm, [.rbx, .rbp, .r12, .r13, .r14, .r15])
  if isCoded { emitKeyCodes(asm) } else { emitKeyPanel(asm) }
  emitValuePanel(asm)
  asm.vzeroupper()
  popAll(asm, [.rbx, .rbp, .r12, .r13, .r14, .r15])
  asm.ret()
}

/// `low` and `high` become masks of the first `count` (0 to 31) of 32 elements. Uses rax and rcx.
func emitMasks(_ asm: borrowing X64Assembler, count: GPR64, _ low: OpMask, _ high: OpMask) {
  asm.mov(GPR64.rcx, count)
  asm.mov(GPR32.eax, 1)
  asm.shl.byCL(GPR32.eax)
  asm.dec(GPR32.eax)
  asm.kmovd(low, GPR32.eax)
  asm.shr(GPR32.eax, 16)
  asm.kmovd(high, GPR32.eax)
}

private func emitKeyPanel(_ asm: borrowing X64Assembler) {
  let (source, stride, left, width) = (GPR64.rsi, GPR64.r8, GPR64.r9, GPR64.r10)
  let (target, blockStride) = (GPR64.rdx, GPR64.r11)
  let (row, inputs, chunkSource, chunkTarget) = (GPR64.rbx, GPR64.rbp, GPR64.r12, GPR64.r13)
  let (low, high) = (OpMask.k1, OpMask.k2)
  loadFields(
    asm, (source, \AttentionPackArguments.k), (stride, \AttentionPackArguments.kRowStride),
    (left, \AttentionPackArguments.keys), (width, \AttentionPackArguments.width),
    (target, \AttentionPackArguments.keyPanel))
  // Pairs of inputs by 64 bytes.
  asm.lea(blockStride, width[1])
  asm.shr(blockStride, 1)
  asm.shl(blockStride, 6)

  asm.align(16)
  let block = asm.here()
  asm.mov(inputs, width)
  asm.mov(chunkSource, source)
  asm.mov(chunkTarget, target)
  let chunk = asm.here()
  let (partial, masked) = (asm.newLabel(), asm.newLabel())
  asm.cmp(inputs, 32)
  asm.jl(partial)
  asm.kxnorw(low, low, low)
  asm.kxnorw(high, high, high)
  asm.jmp(masked)
  asm.bind(partial)
  emitMasks(asm, count: inputs, low, high)
  asm.bind(masked)
  for index in 0..<16 { asm.vpxord(ZMM(index), ZMM(index), ZMM(index)) }
  let loaded = asm.newLabel()
  asm.mov(row, chunkSource)
  for index in 0..<16 {
    if index > 0 {
      asm.cmp(left, index)
      asm.jle(loaded)
    }
    asm.vmovups(ZMM(16).zeroed(low), row[0])
    asm.vmovups(ZMM(17).zeroed(high), row[64])
    asm.vcvtne2ps2bf16(ZMM(index), ZMM(17), ZMM(16))
    asm.add(row, stride)
  }
  asm.bind(loaded)
  emitTransposition(asm)
  for index in 0..<16 { asm.vmovups(chunkTarget[64 * index], ZMM(index)) }
  asm.add(chunkSource, 128)
  asm.add(chunkTarget, 1024)
  asm.sub(inputs, 32)
  asm.jg(chunk)
  asm.mov(row, stride)
  asm.shl(row, 4)
  asm.add(source, row)
  asm.add(target, blockStride)
  asm.sub(left, 16)
  asm.jg(block)
}

/// 16 x 16 elements of 32 bits in registers 0 to 15; uses 16 to 31.
private func emitTransposition(_ asm: borrowing X64Assembler) {
  func a(_ index: Int) -> ZMM { ZMM(index) }
  func b(_ index: Int) -> ZMM { ZMM(16 + index) }
  for i in 0..<8 {
    asm.vpunpckldq(b(2 * i), a(2 * i), a(2 * i + 1))
    asm.vpunpckhdq(b(2 * i + 1), a(2 * i), a(2 * i + 1))
  }
  // a(4j + c) now gets, in 128-bit lane l, column 4l + c of rows 4j to 4j + 3.
  for j in 0..<4 {
    asm.vpunpcklqdq(a(4 * j), b(4 * j), b(4 * j + 2))
    asm.vpunpckhqdq(a(4 * j + 1), b(4 * j), b(4 * j + 2))
    asm.vpunpcklqdq(a(4 * j + 2), b(4 * j + 1), b(4 * j + 3))
    asm.vpunpckhqdq(a(4 * j + 3), b(4 * j + 1), b(4 * j + 3))
  }
  for c in 0..<4 {
    asm.vshufi32x4(b(4 * c), a(c), a(4 + c), 0x88)
    asm.vshufi32x4(b(4 * c + 1), a(8 + c), a(12 + c), 0x88)
    asm.vshufi32x4(b(4 * c + 2), a(c), a(4 + c), 0xDD)
    asm.vshufi32x4(b(4 * c + 3), a(8 + c), a(12 + c), 0xDD)
  }
  for c in 0..<4 {
    asm.vshufi32x4(a(c), b(4 * c), b(4 * c + 1), 0x88)
    asm.vshufi32x4(a(8 + c), b(4 * c), b(4 * c + 1), 0xDD)
    asm.vshufi32x4(a(4 + c), b(4 * c + 2), b(4 * c + 3), 0x88)
    asm.vshufi32x4(a(12 + c), b(4 * c + 2), b(4 * c + 3), 0xDD)
  }
}

private func emitValuePanel(_ asm: borrowing X64Assembler) {
  let (source, stride, left, width) = (GPR64.rsi, GPR64.r8, GPR64.r9, GPR64.r10)
  let (target, row) = (GPR64.rdx, GPR64.rbx)
  let mask = OpMask.k1
  let interleave = ZMM(31)
  loadFields(
    asm, (source, \AttentionPackArguments.v), (stride, \AttentionPackArguments.vRowStride),
    (width, \AttentionPackArguments.valueWidth), (target, \AttentionPackArguments.valuePanel))
  let order = (0..<32).map { $0 / 2 + $0 % 2 * 16 }
  asm.vmovdqu64(interleave, asm.constant512(order.flatMap { [UInt8($0), 0] }))
  asm.align(16)
  let block = asm.here()
  let full = asm.newLabel()
  asm.kxnorw(mask, mask, mask)
  asm.cmp(width, 16)
  asm.jge(full)
  emitMasks(asm, count: width, mask, .k2)
  asm.bind(full)
  asm.mov(row, source)
  asm.mov(left, GPR64.rdi[offset(\AttentionPackArguments.keys)])
  for pairs in [4, 1] {
    emitWholeTurns(asm, left, of: 2 * pairs) { asm in
      for pair in 0..<pairs {
        let (first, second) = (ZMM(2 * pair), ZMM(2 * pair + 1))
        asm.vmovups(first.zeroed(mask), row[0])
        asm.vmovups(second.zeroed(mask), row[stride, 1])
        asm.lea(row, row[stride, 2])
        asm.vcvtne2ps2bf16(first, second, first)
        asm.vpermw(first, interleave, first)
        asm.vmovups(target[64 * pair], first)
      }
      asm.add(target, 64 * pairs)
    }
  }
  let even = asm.newLabel()
  asm.test(left, left)
  asm.jz(even)
  asm.vmovups(ZMM(0).zeroed(mask), row[0])
  asm.vpxord(ZMM(1), ZMM(1), ZMM(1))
  asm.vcvtne2ps2bf16(ZMM(0), ZMM(1), ZMM(0))
  asm.vpermw(ZMM(0), interleave, ZMM(0))
  asm.vmovups(target[0], ZMM(0))
  asm.add(target, 64)
  asm.bind(even)
  asm.add(source, 64)
  asm.sub(width, 16)
  asm.jg(block)
}
