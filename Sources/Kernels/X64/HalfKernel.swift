import Base
import MachineCode
import NestedFormat

// FP16 products of a few rows on CPUs with AVX512-FP16. Rounding weights to bfloat16 takes more instructions than multiplying a few
// rows by them; here they are multiplied as they are, a pair of inputs of 16 outputs at a time.

/// ``HalfArguments``: one tile of as many rows as there are.
func emitHalf(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  var variants: [(tile: HalfTile, label: Label)] = []
  for blocks in 1...2 {
    for rows in 1...spec.rows {
      variants.append((try HalfTile(rows: rows, blocks: blocks, spec), asm.newLabel()))
    }
  }
  let g = HalfRegisters()
  let done = asm.newLabel()
  pushAll(asm, calleeSaved)
  loadFields(
    asm, (g.rows, \HalfArguments.x), (g.x.stride, \HalfArguments.xRowStride),
    (g.w, \HalfArguments.w),
    (g.blockStride, \HalfArguments.blockStride), (g.count, \HalfArguments.k),
    (g.work, \HalfArguments.blocks))
  asm.lea(g.x.bases[0], g.rows[HalfArguments.headerByteCount])
  asm.vmovdqu64(HalfTile.interleave, asm.constant512(BFloat16HalfTile.interleaving))
  // 16 · blocks + rows tells the tiles apart.
  asm.shl(g.work, 4)
  asm.add(g.work, GPR64.rdi[offset(\HalfArguments.rows)])
  for (tile, label) in variants {
    asm.cmp(g.work, 16 * tile.blocks + tile.rows)
    asm.je(label)
  }
  asm.jmp(done)
  for (tile, label) in variants {
    asm.align(16)
    asm.bind(label)
    tile.emit(asm, g)
    asm.jmp(done)
  }
  asm.bind(done)
  asm.vzeroupper()
  popAll(asm, calleeSaved)
  asm.ret()
}

struct HalfRegisters {
  let x = RowPointers(bases: [.rsi, .rbx], stride: .r8)
  let w = GPR64.rdx
  let blockStride = GPR64.r13
  /// Inputs left.
  let count = GPR64.rcx
  /// Where the rows begin.
  let rows = GPR64.r11
  let start = GPR64.r9
  let startStride = GPR64.r10
  let y = GPR64.rax
  let yStride = GPR64.rbp
  let work = GPR64.r12
}

struct HalfTile {
  let rows: Int
  let blocks: Int
  /// Sums of a chunk, even and odd inputs in turn.
  private let sums: [ZMM]
  private let totals: [ZMM]
  private let weights: [ZMM]
  private let broadcasts: [ZMM]
  static let interleave = ZMM(31)

  init(rows: Int, blocks: Int, _ spec: GEMMSpec) throws(AdaptQError) {
    self.rows = rows
    self.blocks = blocks
    var plan = RegisterPlan(count: 31, for: KernelName(spec).description)
    sums = try plan.take(rows * blocks, "sums of a chunk").map { ZMM($0) }
    totals = try plan.take(rows * blocks, "float sums").map { ZMM($0) }
    weights = try plan.take(blocks, "weights").map { ZMM($0) }
    broadcasts = try plan.take(2, "activations").map { ZMM($0) }
  }

  func emit(_ asm: borrowing X64Assembler, _ g: HalfRegisters) {
    let (done, noHalfPair) = (asm.newLabel(), asm.newLabel())
    g.x.derive(asm, rows: rows)
    for total in totals { asm.vpxord(total, total, total) }
    emitWholeTurns(asm, g.count, of: HalfArguments.chunkInputs) { asm in
      for step in 0..<(HalfArguments.chunkInputs / 2) {
        emitWeights(asm, g, step: step)
        emitProducts(asm, g, step: step, isFirst: step == 0)
      }
      emitAdvance(asm, g, pairs: HalfArguments.chunkInputs / 2)
      emitFlush(asm)
    }
    asm.jz(done)
    for sum in sums { asm.vpxord(sum, sum, sum) }
    emitWholeTurns(asm, g.count, of: 2) { asm in
      emitWeights(asm, g, step: 0)
      emitProducts(asm, g, step: 0, isFirst: false)
      emitAdvance(asm, g, pairs: 1)
    }
    asm.jz(noHalfPair)
    for block in 0..<blocks {
      asm.vmovdqu64(weights[block].ymm, block == 0 ? g.w[0] : g.w[g.blockStride, 1])
      asm.vpermw(weights[block], HalfTile.interleave, weights[block])
    }
    emitProducts(asm, g, step: 0, isFirst: false)
    asm.bind(noHalfPair)
    emitFlush(asm)
    asm.bind(done)
    emitStore(asm, g)
  }

  /// A pair of inputs: words of both side by side for each output.
  private func emitWeights(_ asm: borrowing X64Assembler, _ g: HalfRegisters, step: Int) {
    for block in 0..<blocks {
      let address = block == 0 ? g.w[64 * step] : g.w[g.blockStride, 1, 64 * step]
      asm.vpermw(weights[block], HalfTile.interleave, address)
    }
  }

  private func emitProducts(
    _ asm: borrowing X64Assembler, _ g: HalfRegisters, step: Int, isFirst: Bool
  ) {
    for row in 0..<rows {
      let broadcast = broadcasts[row % broadcasts.count]
      asm.vpbroadcastd(broadcast, g.x.address(row, 4 * step))
      for block in 0..<blocks {
        let sum = sums[row * blocks + block]
        if isFirst {
          asm.vmulph(sum, weights[block], broadcast)
        } else {
          asm.vfmadd231ph(sum, weights[block], broadcast)
        }
      }
    }
  }

  private func emitAdvance(_ asm: borrowing X64Assembler, _ g: HalfRegisters, pairs: Int) {
    g.x.advance(asm, rows: rows, by: 4 * pairs)
    asm.add(g.w, 64 * pairs)
  }

  /// The sums of the chunk go over to Float.
  private func emitFlush(_ asm: borrowing X64Assembler) {
    for (index, sum) in sums.enumerated() {
      let odd = broadcasts[index % broadcasts.count]
      asm.vpsrld(odd, sum, 16)
      asm.vaddph(sum, sum, odd)
      asm.vpmovdw(odd.ymm, sum)
      asm.vcvtph2ps(odd, odd.ymm)
      asm.vaddps(totals[index], totals[index], odd)
    }
  }

  private func emitStore(_ asm: borrowing X64Assembler, _ g: HalfRegisters) {
    loadFields(
      asm, (g.start, \HalfArguments.start), (g.startStride, \HalfArguments.startRowStride),
      (g.y, \HalfArguments.y),
      (g.yStride, \HalfArguments.yRowStride))
    for row in 0..<rows {
      asm.vbroadcastss(broadcasts[0], g.rows[0])
      for block in 0..<blocks {
        let total = totals[row * blocks + block]
        asm.vscalefps(total, total, broadcasts[0])
        asm.vaddps(total, total, g.start[64 * block])
        asm.vmovups(g.y[64 * block], total)
      }
      asm.add(g.rows, g.x.stride)
      asm.add(g.start, g.startStride)
      asm.add(g.y, g.yStride)
    }
  }
}

/// ``RoundArguments`` for ``HalfArguments``: a row is read for its largest magnitude, then once more.
func emitRoundHalf(_ asm: borrowing X64Assembler) {
  let (x, xStride, output, outputStride) = (GPR64.rsi, GPR64.r8, GPR64.rdx, GPR64.r9)
  let (rows, source, target, count) = (GPR64.r10, GPR64.rax, GPR64.r11, GPR64.rcx)
  let (k, bits) = (GPR64.rdi, GPR64.rbx.r32)
  let (number, largest, exponent) = (ZMM(0), ZMM(1), ZMM(2))
  let (magnitude, sign, shift) = (ZMM(3), ZMM(4), ZMM(5))
  let (done, noTail, rowDone) = (asm.newLabel(), asm.newLabel(), asm.newLabel())
  asm.push(.rbx)
  loadFields(
    asm, (x, \RoundArguments.x), (xStride, \RoundArguments.xRowStride),
    (output, \RoundArguments.output),
    (outputStride, \RoundArguments.outputRowStride), (rows, \RoundArguments.rows),
    (k, \RoundArguments.k))
  asm.vpbroadcastd(magnitude, asm.constant32(UInt32(0x7FFF_FFFF)))
  asm.vpbroadcastd(sign, asm.constant32(UInt32(0x8000_0000)))
  // The field of an exponent is 127 more than it.
  let offset = Float(126 + HalfArguments.largestExponent)
  asm.vpbroadcastd(shift, asm.constant32(offset.bitPattern))
  asm.cmp(rows, 1)
  asm.jl(done)
  // Masks of as many inputs as a last vector has, and of as many rounded up to even.
  asm.mov(count, k)
  asm.and(count, 15)
  for mask in [OpMask.k1, .k2] {
    asm.mov(bits, 1)
    asm.shl.byCL(bits)
    asm.dec(bits)
    asm.kmovd(mask, bits)
    asm.inc(count)
    asm.and(count, -2)
  }
  asm.align(16)
  let row = asm.here()
  asm.mov(source, x)
  asm.mov(count, k)
  asm.vpxord(largest, largest, largest)
  emitWholeTurns(asm, count, of: 16) { asm in
    asm.vpandd(number, magnitude, source[0])
    asm.vpmaxud(largest, largest, number)
    asm.add(source, 64)
  }
  asm.jz(noTail)
  asm.vmovups(number.zeroed(.k1), source[0])
  asm.vpandd(number, number, magnitude)
  asm.vpmaxud(largest, largest, number)
  asm.bind(noTail)
  asm.vextracti64x4(number.ymm, largest, 1)
  asm.vpmaxud(largest.ymm, largest.ymm, number.ymm)
  asm.vextracti128(number.xmm, largest.ymm, 1)
  asm.vpmaxud(largest.xmm, largest.xmm, number.xmm)
  for swap in [0x4E, 0xB1] {
    asm.vpshufd(number.xmm, largest.xmm, swap)
    asm.vpmaxud(largest.xmm, largest.xmm, number.xmm)
  }
  asm.vpbroadcastd(largest, largest.xmm)
  asm.vpsrld(exponent, largest, 23)
  asm.vcvtdq2ps(exponent, exponent)
  asm.vsubps(exponent, exponent, shift)
  asm.vpxord(exponent, exponent, sign)
  asm.mov(source, x)
  asm.lea(target, output[HalfArguments.headerByteCount])
  asm.mov(count, k)
  emitWholeTurns(asm, count, of: 16) { asm in
    asm.vmovups(number, source[0])
    asm.vscalefps(number, number, exponent)
    asm.vcvtps2ph(number.ymm, number, 0)
    asm.vmovdqu32(target[0], number.ymm)
    asm.add(source, 64)
    asm.add(target, 32)
  }
  asm.jz(rowDone)
  asm.vmovups(number.zeroed(.k1), source[0])
  asm.vscalefps(number, number, exponent)
  asm.vcvtps2ph(number.ymm, number, 0)
  asm.vmovdqu16(target[0].masked(.k2), number.ymm)
  asm.bind(rowDone)
  // Last, since rows may be rounded in place.
  asm.vpxord(exponent, exponent, sign)
  asm.vmovd(output[0], exponent.xmm)
  asm.add(x, xStride)
  asm.add(output, outputStride)
  asm.dec(rows)
  asm.jnz(row)
  asm.bind(done)
  asm.vzeroupper()
  asm.pop(.rbx)
  asm.ret()
}
