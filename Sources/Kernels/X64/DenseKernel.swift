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
  for rows in 1...spec.rows { tiles.append(try DenseTile<V>(rows: rows, spec)) }
  let wide = try WideDenseTile<V>(spec, chains: tiles[0].chains)
  let g = DenseGeneralRegisters(rows: spec.rows)
  pushAll(asm, calleeSaved)
  loadFields(
    asm, (g.tileX, \DenseArguments.x), (g.x.stride, \DenseArguments.xRowStride), (g.tileW, \DenseArguments.w),
    (g.start, \DenseArguments.start), (g.startStride, \DenseArguments.startRowStride), (g.y, \DenseArguments.y),
    (g.rows, \DenseArguments.rows))
  let (several, done) = (asm.newLabel(), asm.newLabel())
  asm.mov(g.w, GPR64.rdi[offset(\DenseArguments.blocks)])
  asm.cmp(g.w, 1)
  asm.jne(several)
  emitRowTiles(asm, rows: g.rows, largest: spec.rows) { asm, size in tiles[size - 1].emit(asm, g) }
  asm.jmp(done)
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

  init(rows: Int) {
    let bases: [GPR64] = [.rsi, .rbx, .rbp, .r12, .r13]
    x = RowPointers(bases: Array(bases.prefix((rows + 2) / 3)), stride: .r8)
  }
}

/// One tile of `rows` rows: its registers, and its code.
struct DenseTile<V: WideRegister> {
  let rows: Int
  let half: Bool
  let parts = 64 / V.byteCount
  /// Partial sums per output: enough independent multiply-adds to fill two pipes of latency 4 or 5.
  let chains: Int
  let accumulators: [V]
  let weights: [V]
  let broadcasts: [V]

  init(rows: Int, _ spec: GEMMSpec) throws(AdaptQError) {
    self.rows = rows
    half = spec.level == .fp16
    // A chain takes the same share of each turn of four inputs. A single row has no more than a wide tile has room for: one
    // multiply-add per cycle is as fast as weights come out of the level-2 cache.
    let sums = rows * parts
    chains = rows == 1 && V.byteCount == 32 ? 2 : (sums <= 3 ? 4 : (sums <= 6 ? 2 : 1))
    var plan = RegisterPlan(count: V.byteCount == 32 ? 16 : 32, for: KernelName(spec).description)
    accumulators = try plan.take(sums * chains, "accumulators").map { V($0) }
    weights = try plan.take(parts, "weights").map { V($0) }
    broadcasts = try plan.take(2, "activations").map { V($0) }
  }

  func accumulator(_ chain: Int, _ row: Int, _ part: Int) -> V {
    accumulators[(chain * rows + row) * parts + part]
  }

  func emit(_ asm: borrowing X64Assembler, _ g: DenseGeneralRegisters) {
    asm.mov(g.x.bases[0], g.tileX)
    g.x.derive(asm, rows: rows)
    for accumulator in accumulators { asm.vxorps(accumulator, accumulator, accumulator) }
    // The tile of y is stored long after this: by then its cache lines are here.
    asm.mov(g.count, GPR64.rdi[offset(\DenseArguments.yRowStride)])
    asm.mov(g.w, g.y)
    for _ in 0..<rows {
      asm.prefetcht0(g.w[0])
      asm.prefetcht0(g.w[60])
      asm.add(g.w, g.count)
    }
    asm.mov(g.w, g.tileW)
    asm.mov(g.count, GPR64.rdi[offset(\DenseArguments.k)])
    emitLoop(asm, g, steps: 4)
    emitLoop(asm, g, steps: 1)
    emitStore(asm, g)
    asm.imul(g.count, g.x.stride, rows)
    asm.add(g.tileX, g.count)
  }

  /// As many turns of `steps` inputs as are left.
  private func emitLoop(_ asm: borrowing X64Assembler, _ g: DenseGeneralRegisters, steps: Int) {
    let rowByteCount = half ? 32 : 64
    emitWholeTurns(asm, g.count, of: steps) { asm in
      for step in 0..<steps {
        let chain = step % chains
        for part in 0..<parts {
          if half {
            asm.vcvtph2ps(weights[part], g.w[step * 32 + part * V.byteCount / 2])
          } else {
            asm.vmovups(weights[part], g.w[step * 64 + part * V.byteCount])
          }
        }
        if rows <= 3 { asm.prefetcht0(g.w[rowByteCount * step + 1536]) }
        for row in 0..<rows {
          let broadcast = broadcasts[row % broadcasts.count]
          asm.vbroadcastss(broadcast, g.x.address(row, 4 * step))
          for part in 0..<parts { asm.vfmadd231ps(accumulator(chain, row, part), broadcast, weights[part]) }
        }
      }
      g.x.advance(asm, rows: rows, by: 4 * steps)
      asm.add(g.w, rowByteCount * steps)
    }
  }

  private func emitStore(_ asm: borrowing X64Assembler, _ g: DenseGeneralRegisters) {
    for chain in stride(from: chains - 1, to: 0, by: -1) {
      for row in 0..<rows {
        for part in 0..<parts {
          let sum = accumulator(chain - 1, row, part)
          asm.vaddps(sum, sum, accumulator(chain, row, part))
        }
      }
    }
    let alpha = weights[0]
    asm.mov(g.count, GPR64.rdi[offset(\DenseArguments.yRowStride)])
    asm.vbroadcastss(alpha, GPR64.rdi[offset(\DenseArguments.alpha)])
    for row in 0..<rows {
      for part in 0..<parts {
        let sum = accumulator(0, row, part)
        asm.vfmadd213ps(sum, alpha, g.start[part * V.byteCount])
        asm.vmovups(g.y[part * V.byteCount], sum)
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
