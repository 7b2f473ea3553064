import Base
import MachineCode
import NestedFormat

// FP32 and FP16 products over one block of 16 outputs, after the outer-product kernels of Goto and van de Geijn, "Anatomy
// of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008: a tile of rows x 16 outputs stays in registers while
// K passes by; weights are loaded as vectors, activations broadcast.

/// ``DenseArguments`` for any number of rows, in tiles of at most `spec.rows`.
///
/// Generic over the vector's width: a block of 16 outputs is two YMM or one ZMM. With few rows several partial sums per
/// output hide the latency of the multiply-add. Each row's own sum depends only on the size of its tile.
func emitDense<V: WideRegister>(
  _ asm: borrowing X64Assembler, _ spec: GEMMSpec, _: V.Type
) throws(AdaptQError) {
  var tiles: [DenseTile<V>] = []
  for rows in 1...spec.rows { tiles.append(try DenseTile<V>(rows: rows, spec)) }
  let g = DenseGeneralRegisters(rows: spec.rows)
  pushAll(asm, calleeSaved)
  loadFields(
    asm, (g.tileX, \DenseArguments.x), (g.x.stride, \DenseArguments.xRowStride), (g.tileW, \DenseArguments.w),
    (g.start, \DenseArguments.start), (g.startStride, \DenseArguments.startRowStride), (g.y, \DenseArguments.y),
    (g.rows, \DenseArguments.rows))
  emitRowTiles(asm, rows: g.rows, largest: spec.rows) { asm, size in tiles[size - 1].emit(asm, g) }
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
    // A chain takes the same share of each turn of four inputs.
    let sums = rows * parts
    chains = sums <= 3 ? 4 : (sums <= 6 ? 2 : 1)
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
    let skip = asm.newLabel()
    asm.sub(g.count, steps)
    asm.jl(skip)
    asm.align(32)
    let loop = asm.here()
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
    asm.sub(g.count, steps)
    asm.jge(loop)
    asm.bind(skip)
    asm.add(g.count, steps)
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
