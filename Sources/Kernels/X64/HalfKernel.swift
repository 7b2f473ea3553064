import Base
import MachineCode
import NestedFormat

// FP16 products of a few rows on CPUs with AVX512-FP16. Rounding weights to bfloat16 takes more instructions than multiplying a few
// rows by them; here they are multiplied as they are, a pair of inputs of 16 outputs at a time.

/// ``HalfArguments``: one tile of as many rows as there are.
func emitHalf(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  var variants: [(key: Int, variant: HalfTile)] = []
  for blocks in 1...2 {
    for rows in 1...spec.rows {
      variants.append((variantKey(rows: rows, blocks: blocks), try HalfTile(rows: rows, blocks: blocks, spec)))
    }
  }
  let g = HalfRegisters()
  pushAll(asm, calleeSaved)
  loadFields(
    asm, (g.x.stride, \HalfArguments.xRowStride), (g.w, \HalfArguments.w), (g.blockStride, \HalfArguments.blockStride),
    (g.count, \HalfArguments.k), (g.work, \HalfArguments.blocks), (g.rows, \HalfArguments.rows))
  asm.vmovdqu64(HalfTile.interleave, asm.constant512(BFloat16HalfTile.interleaving))
  emitVariants(asm, variants, key: g.work, rows: g.rows) { asm, tile in tile.emit(asm, g) }
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
  /// How many there are, then where they begin.
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
    asm.mov(g.rows, GPR64.rdi[offset(\HalfArguments.x)])
    asm.lea(g.x.bases[0], g.rows[HalfArguments.headerByteCount])
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
