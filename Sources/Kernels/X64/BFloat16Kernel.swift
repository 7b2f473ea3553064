import Base
import MachineCode
import NestedFormat

// Products in bfloat16 on CPUs with AVX512-BF16: `vdpbf16ps` multiplies and adds two pairs per 32-bit lane, twice the work of an
// FP32 multiply-add. A tile of rows x 32 outputs stays in registers while K passes by: two loads of weights and one broadcast of
// a pair of activations per row serve two products per row, so loads are not what the tile waits for.

/// ``BFloat16Arguments`` for any number of rows, in tiles of at most `spec.rows`.
func emitBFloat16(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  var tiles: [[BFloat16Tile]] = []
  for blocks in 1...BFloat16Arguments.mostBlocks {
    var sizes: [BFloat16Tile] = []
    for rows in 1...spec.rows { sizes.append(try BFloat16Tile(rows: rows, blocks: blocks, spec)) }
    tiles.append(sizes)
  }
  let g = BFloat16GeneralRegisters(rows: spec.rows)
  pushAll(asm, calleeSaved)
  loadFields(
    asm, (g.tileX, \BFloat16Arguments.x), (g.x.stride, \BFloat16Arguments.xRowStride), (g.tileW, \BFloat16Arguments.w),
    (g.blockStride, \BFloat16Arguments.blockStride), (g.start, \BFloat16Arguments.start),
    (g.startStride, \BFloat16Arguments.startRowStride), (g.y, \BFloat16Arguments.y),
    (g.rows, \BFloat16Arguments.rows), (g.w, \BFloat16Arguments.blocks))
  let (two, done) = (asm.newLabel(), asm.newLabel())
  asm.cmp(g.w, 1)
  asm.jne(two)
  emitRowTiles(asm, rows: g.rows, largest: spec.rows) { asm, size in tiles[0][size - 1].emit(asm, g) }
  asm.jmp(done)
  asm.align(16)
  asm.bind(two)
  emitRowTiles(asm, rows: g.rows, largest: spec.rows) { asm, size in tiles[1][size - 1].emit(asm, g) }
  asm.bind(done)
  asm.vzeroupper()
  popAll(asm, calleeSaved)
  asm.ret()
}

/// Roles of the general registers of ``emitBFloat16(_:_:)``.
struct BFloat16GeneralRegisters {
  let x: RowPointers
  let tileX = GPR64.r14
  let tileW = GPR64.r15
  let blockStride = GPR64.r13
  let w = GPR64.rdx
  /// Pairs left; the stride of y once the sums are complete.
  let count = GPR64.rcx
  let rows = GPR64.r11
  let start = GPR64.r9
  let startStride = GPR64.r10
  let y = GPR64.rax

  init(rows: Int) {
    let bases: [GPR64] = [.rsi, .rbx, .rbp, .r12]
    x = RowPointers(bases: Array(bases.prefix((rows + 2) / 3)), stride: .r8)
  }

  /// The weights of `block` at `displacement` from where `w` is.
  func weights(_ block: Int, _ displacement: Int) -> Mem {
    block == 0 ? w[displacement] : w[blockStride, 1, displacement]
  }
}

/// One tile of `rows` rows and one or two blocks: its registers, and its code.
struct BFloat16Tile {
  let rows: Int
  let blocks: Int
  /// Partial sums per output; the same with one block as with two, so that both give the same bits.
  let chains: Int
  let accumulators: [ZMM]
  let weights: [ZMM]
  let broadcasts: [ZMM]

  /// - Parameter chains: nil for enough.
  init(rows: Int, blocks: Int, chains: Int? = nil, _ spec: GEMMSpec) throws(AdaptQError) {
    self.rows = rows
    self.blocks = blocks
    // With two blocks, twelve sums or more: enough for two pipes of latency 6.
    let enough = rows >= BFloat16Arguments.independentRows ? 1 : (rows >= 3 ? 2 : 4)
    self.chains = chains ?? enough
    var plan = RegisterPlan(count: 32, for: KernelName(spec).description)
    accumulators = try plan.take(rows * blocks * self.chains, "accumulators").map { ZMM($0) }
    weights = try plan.take(blocks, "weights").map { ZMM($0) }
    broadcasts = try plan.take(2, "activations").map { ZMM($0) }
  }

  var registerCount: Int { accumulators.count + weights.count + broadcasts.count }

  func accumulator(_ chain: Int, _ row: Int, _ block: Int) -> ZMM {
    accumulators[(chain * rows + row) * blocks + block]
  }

  func emit(_ asm: borrowing X64Assembler, _ g: BFloat16GeneralRegisters) {
    emitStart(asm, g)
    asm.mov(g.w, g.tileW)
    asm.mov(g.count, GPR64.rdi[offset(\BFloat16Arguments.pairs)])
    emitLoop(asm, g, steps: 4)
    emitLoop(asm, g, steps: 1)
    emitStore(asm, g)
  }

  func emitStart(_ asm: borrowing X64Assembler, _ g: BFloat16GeneralRegisters) {
    asm.mov(g.x.bases[0], g.tileX)
    g.x.derive(asm, rows: rows)
    for accumulator in accumulators { asm.vpxord(accumulator, accumulator, accumulator) }
    // The tile of y is stored long after this: by then its cache lines are here.
    asm.mov(g.count, GPR64.rdi[offset(\BFloat16Arguments.yRowStride)])
    asm.mov(g.w, g.y)
    for _ in 0..<rows {
      for block in 0..<blocks { asm.prefetcht0(g.w[64 * block]) }
      asm.prefetcht0(g.w[64 * blocks - 4])
      asm.add(g.w, g.count)
    }
  }

  /// As many turns of `steps` pairs as are left.
  private func emitLoop(_ asm: borrowing X64Assembler, _ g: BFloat16GeneralRegisters, steps: Int) {
    emitWholeTurns(asm, g.count, of: steps) { asm in
      for step in 0..<steps {
        for block in 0..<blocks { asm.vmovups(weights[block], g.weights(block, 64 * step)) }
        emitProducts(asm, g, step: step, weights: weights)
      }
      g.x.advance(asm, rows: rows, by: 4 * steps)
      asm.add(g.w, 64 * steps)
    }
  }

  /// All rows by the pair in `weights`.
  func emitProducts(_ asm: borrowing X64Assembler, _ g: BFloat16GeneralRegisters, step: Int, weights: [ZMM]) {
    for row in 0..<rows {
      let broadcast = broadcasts[row % broadcasts.count]
      asm.vpbroadcastd(broadcast, g.x.address(row, 4 * step))
      for block in 0..<blocks {
        asm.vdpbf16ps(accumulator(step % chains, row, block), weights[block], broadcast)
      }
    }
  }

  func emitStore(_ asm: borrowing X64Assembler, _ g: BFloat16GeneralRegisters) {
    for chain in stride(from: chains - 1, to: 0, by: -1) {
      for row in 0..<rows {
        for block in 0..<blocks {
          let sum = accumulator(chain - 1, row, block)
          asm.vaddps(sum, sum, accumulator(chain, row, block))
        }
      }
    }
    let alpha = weights[0]
    asm.mov(g.count, GPR64.rdi[offset(\BFloat16Arguments.yRowStride)])
    asm.vbroadcastss(alpha, GPR64.rdi[offset(\BFloat16Arguments.alpha)])
    for row in 0..<rows {
      for block in 0..<blocks {
        let sum = accumulator(0, row, block)
        asm.vfmadd213ps(sum, alpha, g.start[64 * block])
        asm.vmovups(g.y[64 * block], sum)
      }
      asm.add(g.start, g.startStride)
      asm.add(g.y, g.count)
    }
    asm.imul(g.count, g.x.stride, rows)
    asm.add(g.tileX, g.count)
  }
}
