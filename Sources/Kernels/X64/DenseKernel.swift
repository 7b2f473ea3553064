import Base
import MachineCode
import NestedFormat

// FP32 and FP16 products over one block of 16 outputs, after the outer-product kernels of Goto and van de Geijn, "Anatomy
// of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008: a tile of rows x 16 outputs stays in registers while
// K passes by; weights are loaded as vectors, activations broadcast.

/// ``DenseArguments`` for any number of rows, in tiles of at most `spec.rows`.
///
/// Generic over the vector's width: a block of 16 outputs is two YMM or one ZMM. With few rows several partial sums per
/// output hide the latency of the multiply-add. Each row's own sum depends only on the size of its tile, not on how many
/// blocks a call takes.
func emitDense<V: WideRegister>(
  _ asm: borrowing X64Assembler, _ spec: GEMMSpec, _: V.Type
) throws(AdaptQError) {
  var tiles: [DenseTile<V>] = []
  for rows in 1...spec.rows { tiles.append(try DenseTile<V>(rows: rows, blocks: 1, spec)) }
  var pairs: [DenseTile<V>] = []
  if DenseTile<V>.takesPairs {
    for rows in 1...DenseTile<V>.pairRows { pairs.append(try DenseTile<V>(rows: rows, blocks: 2, spec)) }
  }
  let wide = try WideDenseTile<V>(spec, chains: tiles[0].chains)
  let g = DenseGeneralRegisters(rows: spec.rows)
  pushAll(asm, calleeSaved)
  loadFields(
    asm, (g.tileX, \DenseArguments.x), (g.x.stride, \DenseArguments.xRowStride), (g.tileW, \DenseArguments.w),
    (g.start, \DenseArguments.start), (g.startStride, \DenseArguments.startRowStride), (g.y, \DenseArguments.y),
    (g.rows, \DenseArguments.rows))
  let (several, notOne, done) = (asm.newLabel(), asm.newLabel(), asm.newLabel())
  asm.mov(g.w, GPR64.rdi[offset(\DenseArguments.blocks)])
  asm.cmp(g.w, 1)
  asm.jne(notOne)
  emitRowTiles(asm, rows: g.rows, largest: spec.rows) { asm, size in tiles[size - 1].emit(asm, g) }
  asm.jmp(done)
  asm.align(16)
  asm.bind(notOne)
  if !pairs.isEmpty {
    asm.cmp(g.w, 2)
    asm.jne(several)
    emitRowTiles(asm, rows: g.rows, largest: pairs.count) { asm, size in pairs[size - 1].emit(asm, g) }
    asm.jmp(done)
  }
  asm.align(16)
  asm.bind(several)
  wide.emit(asm, g)
  asm.bind(done)
  asm.vzeroupper()
  popAll(asm, calleeSaved)
  asm.ret()
}

/// Roles of the general registers of ``emitDense(_:_:_:)``.
struct DenseGeneralRegisters {
  let x: RowPointers
  let tileX = GPR64.r14
  let tileW = GPR64.r15
  let w = GPR64.rdx
  /// Inputs left; the stride of y once the sums are complete.
  let count = GPR64.rcx
  let rows = GPR64.r11
  let start = GPR64.r9
  let startStride = GPR64.r10
  let y = GPR64.rax
  /// From one block's weights to the next one's; with pairs, whose tiles have fewer rows.
  let blockStride = GPR64.r13

  init(rows: Int) {
    let bases: [GPR64] = [.rsi, .rbx, .rbp, .r12, .r13]
    x = RowPointers(bases: Array(bases.prefix((rows + 2) / 3)), stride: .r8)
  }
}

/// One tile of `rows` rows by one block of outputs, or by two with 512 bits, where one broadcast serves both: its registers,
/// and its code.
struct DenseTile<V: WideRegister> {
  let rows: Int
  let blocks: Int
  let half: Bool
  let parts = 64 / V.byteCount
  /// Partial sums per output: enough independent multiply-adds to fill two pipes of latency 4 or 5. The same for one block
  /// and for two, and one wherever rows may be cut in different ways, so that an output has the same bits in both.
  let chains: Int
  let accumulators: [V]
  let weights: [V]
  let broadcasts: [V]

  static var takesPairs: Bool { V.byteCount == 64 }
  /// The most rows of two blocks whose sums fit the registers.
  static var pairRows: Int { 12 }

  init(rows: Int, blocks: Int, _ spec: GEMMSpec) throws(AdaptQError) {
    self.rows = rows
    self.blocks = blocks
    half = spec.level == .fp16
    // A chain takes the same share of each turn of four inputs. A single row has no more than a wide tile has room for: one
    // multiply-add per cycle is as fast as weights come out of the level-2 cache.
    let sums = rows * parts
    chains = rows == 1 && V.byteCount == 32 ? 2 : (sums <= 3 ? 4 : (sums <= (DenseTile.takesPairs ? 5 : 6) ? 2 : 1))
    var plan = RegisterPlan(count: V.byteCount == 32 ? 16 : 32, for: KernelName(spec).description)
    accumulators = try plan.take(sums * blocks * chains, "accumulators").map { V($0) }
    weights = try plan.take(parts * blocks, "weights").map { V($0) }
    broadcasts = try plan.take(2, "activations").map { V($0) }
  }

  /// `vector` counts the vectors of a row's outputs.
  func accumulator(_ chain: Int, _ row: Int, _ vector: Int) -> V {
    accumulators[(chain * rows + row) * parts * blocks + vector]
  }

  func emit(_ asm: borrowing X64Assembler, _ g: DenseGeneralRegisters) {
    asm.mov(g.x.bases[0], g.tileX)
    g.x.derive(asm, rows: rows)
    for accumulator in accumulators { asm.vxorps(accumulator, accumulator, accumulator) }
    // The tile of y is stored long after this: by then its cache lines are here.
    asm.mov(g.count, GPR64.rdi[offset(\DenseArguments.yRowStride)])
    asm.mov(g.w, g.y)
    for _ in 0..<rows {
      for line in 0..<blocks { asm.prefetcht0(g.w[64 * line]) }
      asm.prefetcht0(g.w[64 * blocks - 4])
      asm.add(g.w, g.count)
    }
    asm.mov(g.w, g.tileW)
    if blocks > 1 { asm.mov(g.blockStride, GPR64.rdi[offset(\DenseArguments.blockStride)]) }
    asm.mov(g.count, GPR64.rdi[offset(\DenseArguments.k)])
    emitLoop(asm, g, steps: 4)
    emitLoop(asm, g, steps: 1)
    emitStore(asm, g)
    asm.imul(g.count, g.x.stride, rows)
    asm.add(g.tileX, g.count)
  }

  private func weightPlace(_ g: DenseGeneralRegisters, _ block: Int, _ displacement: Int) -> Mem {
    block == 0 ? g.w[displacement] : g.w[g.blockStride, 1, displacement]
  }

  /// As many turns of `steps` inputs as are left.
  private func emitLoop(_ asm: borrowing X64Assembler, _ g: DenseGeneralRegisters, steps: Int) {
    let rowByteCount = half ? 32 : 64
    emitWholeTurns(asm, g.count, of: steps) { asm in
      for step in 0..<steps {
        let chain = step % chains
        for block in 0..<blocks {
          for part in 0..<parts {
            let weight = weights[block * parts + part]
            if half {
              asm.vcvtph2ps(weight, weightPlace(g, block, step * 32 + part * V.byteCount / 2))
            } else {
              asm.vmovups(weight, weightPlace(g, block, step * 64 + part * V.byteCount))
            }
          }
          // Pairs have load ports to spare.
          if rows <= 3 || blocks > 1 { asm.prefetcht0(weightPlace(g, block, rowByteCount * step + 1536)) }
        }
        for row in 0..<rows {
          let broadcast = broadcasts[row % broadcasts.count]
          asm.vbroadcastss(broadcast, g.x.address(row, 4 * step))
          for vector in weights.indices {
            asm.vfmadd231ps(accumulator(chain, row, vector), broadcast, weights[vector])
          }
        }
      }
      g.x.advance(asm, rows: rows, by: 4 * steps)
      asm.add(g.w, rowByteCount * steps)
    }
  }

  private func emitStore(_ asm: borrowing X64Assembler, _ g: DenseGeneralRegisters) {
    for chain in stride(from: chains - 1, to: 0, by: -1) {
      for row in 0..<rows {
        for vector in weights.indices {
          let sum = accumulator(chain - 1, row, vector)
          asm.vaddps(sum, sum, accumulator(chain, row, vector))
        }
      }
    }
    let alpha = weights[0]
    asm.mov(g.count, GPR64.rdi[offset(\DenseArguments.yRowStride)])
    asm.vbroadcastss(alpha, GPR64.rdi[offset(\DenseArguments.alpha)])
    for row in 0..<rows {
      for vector in weights.indices {
        let sum = accumulator(0, row, vector)
        asm.vfmadd213ps(sum, alpha, g.start[vector * V.byteCount])
        asm.vmovups(g.y[vector * V.byteCount], sum)
      }
      asm.add(g.start, g.startStride)
      asm.add(g.y, g.count)
    }
  }
}

/// One row and ``DenseArguments/wideBlocks`` blocks at once: as many streams of weights, one broadcast for all of them.
struct WideDenseTile<V: WideRegister> {
  let half: Bool
  let chains: Int
  let parts = 64 / V.byteCount
  let accumulators: [V]
  let weights: V
  let broadcast: V

  init(_ spec: GEMMSpec, chains: Int) throws(AdaptQError) {
    half = spec.level == .fp16
    self.chains = chains
    var plan = RegisterPlan(count: V.byteCount == 32 ? 16 : 32, for: KernelName(spec).description)
    let sums = DenseArguments.wideBlocks * parts * chains
    accumulators = try plan.take(sums, "accumulators of wide blocks").map { V($0) }
    weights = V(try plan.take("weights"))
    broadcast = V(try plan.take("activation"))
  }

  private func accumulator(_ chain: Int, _ block: Int, _ part: Int) -> V {
    accumulators[(chain * DenseArguments.wideBlocks + block) * parts + part]
  }

  func emit(_ asm: borrowing X64Assembler, _ g: DenseGeneralRegisters) {
    let w = RowPointers(bases: [g.tileW], stride: g.startStride)
    asm.mov(w.stride, GPR64.rdi[offset(\DenseArguments.blockStride)])
    for accumulator in accumulators { asm.vxorps(accumulator, accumulator, accumulator) }
    asm.mov(g.count, GPR64.rdi[offset(\DenseArguments.k)])
    emitLoop(asm, g, w, steps: 4)
    emitLoop(asm, g, w, steps: 1)

    asm.vbroadcastss(broadcast, GPR64.rdi[offset(\DenseArguments.alpha)])
    for block in 0..<DenseArguments.wideBlocks {
      for part in 0..<parts {
        let sum = accumulator(0, block, part)
        // In the order of a single block's.
        for chain in stride(from: chains - 1, to: 0, by: -1) {
          let previous = accumulator(chain - 1, block, part)
          asm.vaddps(previous, previous, accumulator(chain, block, part))
        }
        let place = 64 * block + part * V.byteCount
        asm.vfmadd213ps(sum, broadcast, g.start[place])
        asm.vmovups(g.y[place], sum)
      }
    }
  }

  private func emitLoop(_ asm: borrowing X64Assembler, _ g: DenseGeneralRegisters, _ w: RowPointers, steps: Int) {
    let rowByteCount = half ? 32 : 64
    emitWholeTurns(asm, g.count, of: steps) { asm in
      for step in 0..<steps {
        asm.vbroadcastss(broadcast, g.tileX[4 * step])
        for block in 0..<DenseArguments.wideBlocks {
          for part in 0..<parts {
            let sum = accumulator(step % chains, block, part)
            if half {
              asm.vcvtph2ps(weights, w.address(block, step * 32 + part * V.byteCount / 2))
              asm.vfmadd231ps(sum, broadcast, weights)
            } else {
              asm.vfmadd231ps(sum, broadcast, w.address(block, step * 64 + part * V.byteCount))
            }
          }
        }
      }
      asm.add(g.tileX, 4 * steps)
      asm.add(g.tileW, rowByteCount * steps)
    }
  }
}
