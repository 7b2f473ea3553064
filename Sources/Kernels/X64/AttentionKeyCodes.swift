import MachineCode

/// The key panel of 8-bit codes, see ``AttentionPackArguments``. Sixteen keys at a time: their largest magnitudes, then their
/// codes, which saturating packs and a transposition of 32-bit elements bring side by side.
func emitKeyCodes(_ asm: borrowing X64Assembler) {
  let r = KeyCodeRegisters()
  let coder = RowCoder(asm)
  loadFields(
    asm, (r.source, \AttentionPackArguments.k), (r.stride, \AttentionPackArguments.kRowStride),
    (r.left, \AttentionPackArguments.keys), (r.width, \AttentionPackArguments.width),
    (r.target, \AttentionPackArguments.keyPanel))
  asm.lea(r.codeBytes, r.width[3])
  asm.shr(r.codeBytes, 2)
  asm.shl(r.codeBytes, 6)
  coder.loadConstants(asm)
  asm.vbroadcastss(r.ones, asm.constant32(0x0101_0101 as UInt32))
  asm.align(16)
  let block = asm.here()
  asm.lea(r.extra, r.target[r.codeBytes, 1])

  // The largest magnitudes of all keys, in the order of the keys.
  let largest = (0..<16).map { ZMM($0) }
  for register in largest { asm.vpxord(register, register, register) }
  r.forEachChunk(asm) { asm in
    let loaded = asm.newLabel()
    for key in 0..<16 {
      if key > 0 {
        asm.cmp(r.left, key)
        asm.jle(loaded)
      }
      for part in 0..<2 {
        let value = ZMM(16 + part)
        asm.vpandd(value.zeroed(part == 0 ? .k1 : .k2), coder.magnitude, r.row[64 * part])
        asm.vpmaxud(largest[key], largest[key], value)
      }
      asm.add(r.row, r.stride)
    }
    asm.bind(loaded)
  }
  emitMaxima(asm, largest)
  coder.emit(asm, largest: largest[0], scale: r.scales, inverse: ZMM(1))
  // Their place is free until the block is complete.
  asm.vmovups(r.extra[64], ZMM(1))

  asm.vpxord(r.sums, r.sums, r.sums)
  asm.mov(r.chunkTarget, r.target)
  r.forEachChunk(asm) { asm in
    for pair in 0..<8 { emitPair(asm, r, pair) }
    emitQuadTransposition(asm)
    for quad in 0..<8 {
      asm.vmovups(r.chunkTarget[64 * quad], ZMM(quad))
      asm.vpdpbusd(r.sums, r.ones, ZMM(quad))
    }
    asm.add(r.chunkTarget, 512)
  }
  // Queries are stored with 128 added.
  asm.vpslld(r.sums, r.sums, 7)
  asm.vpsubd(r.sums, coder.none, r.sums)
  asm.vmovups(r.extra[0], r.scales)
  asm.vmovups(r.extra[64], r.sums)
  asm.mov(r.row, r.stride)
  asm.shl(r.row, 4)
  asm.add(r.source, r.row)
  asm.lea(r.target, r.extra[AttentionArguments.codedBlockExtra])
  asm.sub(r.left, 16)
  asm.jg(block)
}

private struct KeyCodeRegisters {
  let source = GPR64.rsi
  let stride = GPR64.r8
  let left = GPR64.r9
  let width = GPR64.r10
  let target = GPR64.rdx
  /// Of a block, without scales and corrections.
  let codeBytes = GPR64.r11
  /// Where those lie.
  let extra = GPR64.r14
  let row = GPR64.rbx
  let inputs = GPR64.rbp
  let chunkSource = GPR64.r12
  let chunkTarget = GPR64.r13
  let scales = ZMM(29)
  let sums = ZMM(30)
  let ones = ZMM(31)

  /// `body` for every 32 inputs, `row` at those of the first key, with masks for both halves.
  func forEachChunk(_ asm: borrowing X64Assembler, _ body: (borrowing X64Assembler) -> Void) {
    asm.mov(inputs, width)
    asm.mov(chunkSource, source)
    let chunk = asm.here()
    let (partial, masked) = (asm.newLabel(), asm.newLabel())
    asm.cmp(inputs, 32)
    asm.jl(partial)
    asm.kxnorw(.k1, .k1, .k1)
    asm.kxnorw(.k2, .k2, .k2)
    asm.jmp(masked)
    asm.bind(partial)
    emitMasks(asm, count: inputs, .k1, .k2)
    asm.bind(masked)
    asm.mov(row, chunkSource)
    body(asm)
    asm.add(chunkSource, 128)
    asm.sub(inputs, 32)
    asm.jg(chunk)
  }
}

/// The first of 16 vectors gets the maximum of each; uses registers 16 to 31 but those of the coder and 29 to 31.
private func emitMaxima(_ asm: borrowing X64Assembler, _ values: [ZMM]) {
  let (a, b) = (ZMM(16), ZMM(17))
  func combine(_ target: Int) { asm.vpmaxud(values[target], a, b) }
  for index in 0..<8 {
    asm.vpunpckldq(a, values[2 * index], values[2 * index + 1])
    asm.vpunpckhdq(b, values[2 * index], values[2 * index + 1])
    combine(index)
  }
  for index in 0..<4 {
    asm.vpunpcklqdq(a, values[2 * index], values[2 * index + 1])
    asm.vpunpckhqdq(b, values[2 * index], values[2 * index + 1])
    combine(index)
  }
  for count in [2, 1] {
    for index in 0..<count {
      asm.vshufi32x4(a, values[2 * index], values[2 * index + 1], 0x88)
      asm.vshufi32x4(b, values[2 * index], values[2 * index + 1], 0xDD)
      combine(index)
    }
  }
}

/// Codes of 32 inputs of two keys into register `pair`: in each lane of 128 bits a quad of the first 16 inputs and one of the
/// second 16 of either key.
private func emitPair(_ asm: borrowing X64Assembler, _ r: KeyCodeRegisters, _ pair: Int) {
  let missing = asm.newLabel()
  let values = (16..<20).map { ZMM($0) }
  for value in values { asm.vpxord(value, value, value) }
  for key in 0..<2 {
    asm.cmp(r.left, 2 * pair + key)
    asm.jle(missing)
    asm.vbroadcastss(ZMM(20), r.extra[64 + 4 * (2 * pair + key)])
    for part in 0..<2 {
      let value = values[2 * key + part]
      asm.vmulps(value.zeroed(part == 0 ? .k1 : .k2), ZMM(20), r.row[64 * part])
      asm.vcvtps2dq(value, value)
    }
    asm.add(r.row, r.stride)
  }
  asm.bind(missing)
  asm.vpackssdw(values[0], values[0], values[1])
  asm.vpackssdw(values[2], values[2], values[3])
  asm.vpacksswb(ZMM(pair), values[0], values[2])
}

/// Registers 0 to 7, two keys each, become eight quads of 16 keys each; uses 8 to 23.
private func emitQuadTransposition(_ asm: borrowing X64Assembler) {
  func a(_ index: Int) -> ZMM { ZMM(index) }
  func b(_ index: Int) -> ZMM { ZMM(8 + index) }
  func c(_ index: Int) -> ZMM { ZMM(16 + index) }
  for group in 0..<4 {
    asm.vpunpckldq(b(2 * group), a(2 * group), a(2 * group + 1))
    asm.vpunpckhdq(b(2 * group + 1), a(2 * group), a(2 * group + 1))
  }
  // c(group) and c(4 + group): in lane l, quads l and 4 + l of four keys.
  for group in 0..<4 {
    asm.vpunpckldq(c(group), b(2 * group), b(2 * group + 1))
    asm.vpunpckhdq(c(4 + group), b(2 * group), b(2 * group + 1))
  }
  for half in [0, 4] {
    asm.vshufi32x4(b(0), c(half), c(half + 1), 0x88)
    asm.vshufi32x4(b(1), c(half + 2), c(half + 3), 0x88)
    asm.vshufi32x4(b(2), c(half), c(half + 1), 0xDD)
    asm.vshufi32x4(b(3), c(half + 2), c(half + 3), 0xDD)
    asm.vshufi32x4(a(half), b(0), b(1), 0x88)
    asm.vshufi32x4(a(half + 2), b(0), b(1), 0xDD)
    asm.vshufi32x4(a(half + 1), b(2), b(3), 0x88)
    asm.vshufi32x4(a(half + 3), b(2), b(3), 0xDD)
  }
}
