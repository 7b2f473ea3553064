import Base
import MachineCode

// Attention with bfloat16 products. Scores of a tile of queries stay in the level-1 cache, as in Dao et al.,
// "FlashAttention", 2022; here a row's scores are all there before the softmax, so that nothing is rescaled.

/// ``AttentionArguments``: queries to bfloat16 or codes; scores of all keys; softmax without its division, in place; the
/// product with the values, divided.
///
/// Rows are filled up to a multiple of four with copies of the last one, whose results are not stored.
///
/// - Parameter isCoded: queries and keys are 8-bit codes.
func emitAttention(_ asm: borrowing X64Assembler, isCoded: Bool) throws(AdaptQError) {
  let f = AttentionFrame()
  pushAll(asm, calleeSaved)
  emitAlignedFrame(asm, byteCount: f.byteCount, savedPointer: f.savedPointer)
  emitQueries(asm, f, isCoded: isCoded)

  loadFields(
    asm, (ProductRegisters.x, \AttentionArguments.queries),
    (ProductRegisters.rows.stride, \AttentionArguments.queryStride),
    (ProductRegisters.w, \AttentionArguments.keyPanel), (ProductRegisters.y, \AttentionArguments.scores),
    (ProductRegisters.yStride, \AttentionArguments.scoreStride), (ProductRegisters.steps, \AttentionArguments.width),
    (ProductRegisters.blocks, \AttentionArguments.keys))
  try emitProduct(asm, f, isCoded ? .codedScores : .scores)

  emitAttentionSoftmax(asm, f)

  loadFields(
    asm, (ProductRegisters.x, \AttentionArguments.scores),
    (ProductRegisters.rows.stride, \AttentionArguments.scoreStride),
    (ProductRegisters.w, \AttentionArguments.valuePanel), (ProductRegisters.y, \AttentionArguments.y),
    (ProductRegisters.yStride, \AttentionArguments.yRowStride), (ProductRegisters.steps, \AttentionArguments.keys),
    (ProductRegisters.blocks, \AttentionArguments.valueWidth))
  try emitProduct(asm, f, .values)

  asm.vzeroupper()
  asm.mov(GPR64.rsp, f.savedPointer)
  popAll(asm, calleeSaved)
  asm.ret()
}

/// The stack frame.
struct AttentionFrame {
  /// 1 / Σ p of each row.
  let reciprocals = GPR64.rsp[0]
  /// What a unit of each row's codes stands for.
  let queryScales = GPR64.rsp[64]
  /// Rows, rounded up.
  let tileRows = GPR64.rsp[128]
  let savedPointer = GPR64.rsp[136]
  let byteCount = 192
  /// Rows are computed by as many.
  static let rowGrain = 4
}

// MARK: - Products

/// Roles of the general registers of both products.
private enum ProductRegisters {
  static let x = GPR64.r9
  static let rows = RowPointers(bases: [.rbx, .rbp, .r12, .r13], stride: .r8)
  static let w = GPR64.rsi
  static let wStride = GPR64.rdx
  static let count = GPR64.rcx
  /// Elements of 32 bits; on entry inputs.
  static let steps = GPR64.r15
  /// On entry outputs.
  static let blocks = GPR64.r14
  static let y = GPR64.r10
  static let yStride = GPR64.r11
  static let cursor = GPR64.rax
}

private enum AttentionProduct {
  /// Of bfloat16, or of codes, scaled.
  case scores, codedScores
  /// Divided by the sums of shares; only the outputs and rows that there are are stored.
  case values
}

/// x · w for all rows of the tile: `[blocks][steps][16]` elements of 32 bits by such elements, which are broadcast, two blocks
/// of 16 outputs at a time. An element holds two bfloat16 numbers or four codes.
private func emitProduct(
  _ asm: borrowing X64Assembler, _ f: AttentionFrame, _ kind: AttentionProduct
) throws(AdaptQError) {
  typealias R = ProductRegisters
  if kind == .values {
    // k3: the outputs of the last block.
    asm.lea(R.cursor, R.blocks[-1])
    asm.and(R.cursor, 15)
    asm.lea(R.wStride, R.cursor[1])
    emitMasks(asm, count: R.wStride, .k3, .k2)
  }
  let perStep = kind == .codedScores ? 4 : 2
  asm.add(R.steps, perStep - 1)
  asm.shr(R.steps, perStep / 2)
  asm.add(R.blocks, 15)
  asm.shr(R.blocks, 4)
  asm.mov(R.wStride, R.steps)
  asm.shl(R.wStride, 6)
  if kind == .codedScores { asm.add(R.wStride, AttentionArguments.codedBlockExtra) }
  let done = asm.newLabel()
  let sizes = Array(
    stride(from: AttentionFrame.rowGrain, through: AttentionArguments.rowCount, by: AttentionFrame.rowGrain))
  let labels = sizes.map { _ in asm.newLabel() }
  for (size, label) in zip(sizes, labels) {
    asm.cmp64(f.tileRows, size)
    asm.je(label)
  }
  for (size, label) in zip(sizes, labels) {
    asm.bind(label)
    for blocks in [2, 1] {
      let tile = try AttentionTile(rows: size, blocks: blocks, kind)
      let (next, end) = (asm.newLabel(), asm.newLabel())
      asm.bind(next)
      asm.cmp(R.blocks, blocks)
      asm.jl(end)
      tile.emit(asm, f)
      asm.sub(R.blocks, blocks)
      asm.jmp(next)
      asm.bind(end)
    }
    asm.jmp(done)
  }
  asm.bind(done)
}

/// `rows` rows by `blocks` blocks of 16 outputs in registers.
private struct AttentionTile {
  typealias R = ProductRegisters
  let rows: Int
  let blocks: Int
  let kind: AttentionProduct
  /// Partial sums per output: enough independent products to fill two pipes of latency 6.
  let chains: Int
  let accumulators: [ZMM]
  let weights: [ZMM]
  let broadcasts: [ZMM]

  init(rows: Int, blocks: Int, _ kind: AttentionProduct) throws(AdaptQError) {
    self.rows = rows
    self.blocks = blocks
    self.kind = kind
    chains = rows * blocks <= 4 ? 4 : rows * blocks <= 8 ? 2 : 1
    var plan = RegisterPlan(count: 32, for: "attention")
    accumulators = try plan.take(rows * blocks * chains, "accumulators").map { ZMM($0) }
    weights = try plan.take(blocks, "panel").map { ZMM($0) }
    broadcasts = try plan.take(2, "rows").map { ZMM($0) }
  }

  func accumulator(_ chain: Int, _ row: Int, _ block: Int) -> ZMM {
    accumulators[(chain * rows + row) * blocks + block]
  }

  func emit(_ asm: borrowing X64Assembler, _ f: AttentionFrame) {
    asm.mov(R.rows.bases[0], R.x)
    R.rows.derive(asm, rows: rows)
    emitStart(asm)
    asm.mov(R.count, R.steps)
    for steps in [4, 1] {
      emitWholeTurns(asm, R.count, of: steps) { asm in
        for step in 0..<steps { emitStep(asm, step) }
        R.rows.advance(asm, rows: rows, by: 4 * steps)
        asm.add(R.w, 64 * steps)
      }
    }
    for chain in stride(from: chains - 1, to: 0, by: -1) {
      for row in 0..<rows {
        for block in 0..<blocks {
          let sum = accumulator(chain - 1, row, block)
          if kind == .codedScores {
            asm.vpaddd(sum, sum, accumulator(chain, row, block))
          } else {
            asm.vaddps(sum, sum, accumulator(chain, row, block))
          }
        }
      }
    }
    if kind == .values {
      emitResults(asm, f)
    } else {
      if kind == .codedScores { emitScaling(asm, f) }
      emitScores(asm)
    }
    // The panel of one block lies behind.
    if blocks == 2 { asm.add(R.w, R.wStride) }
    asm.add(R.y, 64 * blocks)
  }

  /// Zeros, or what codes of unsigned queries must begin with.
  private func emitStart(_ asm: borrowing X64Assembler) {
    let starts = kind == .codedScores ? rows * blocks : 0
    for accumulator in accumulators.dropFirst(starts) { asm.vpxord(accumulator, accumulator, accumulator) }
    if kind == .codedScores {
      for block in 0..<blocks {
        asm.vmovups(weights[block], R.w[R.wStride, block + 1, -64])
        for row in 0..<rows { asm.vmovaps(accumulator(0, row, block), weights[block]) }
      }
    }
  }

  /// Integers to scores.
  private func emitScaling(_ asm: borrowing X64Assembler, _ f: AttentionFrame) {
    for block in 0..<blocks { asm.vmovups(weights[block], block == 0 ? R.w[0] : R.w[R.wStride, 1]) }
    for row in 0..<rows {
      asm.vbroadcastss(broadcasts[row % 2], f.queryScales.offset(4 * row))
      for block in 0..<blocks {
        let sum = accumulator(0, row, block)
        asm.vcvtdq2ps(sum, sum)
        asm.vmulps(sum, sum, broadcasts[row % 2])
        asm.vmulps(sum, sum, weights[block])
      }
    }
    asm.add(R.w, AttentionArguments.codedBlockExtra)
  }

  private func emitStep(_ asm: borrowing X64Assembler, _ step: Int) {
    for block in 0..<blocks {
      asm.vmovups(weights[block], block == 0 ? R.w[64 * step] : R.w[R.wStride, 1, 64 * step])
    }
    for row in 0..<rows {
      let pair = broadcasts[row % 2]
      asm.vbroadcastss(pair, R.rows.address(row, 4 * step))
      for block in 0..<blocks {
        let sum = accumulator(step % chains, row, block)
        // Queries are the unsigned side.
        if kind == .codedScores {
          asm.vpdpbusd(sum, pair, weights[block])
        } else {
          asm.vdpbf16ps(sum, weights[block], pair)
        }
      }
    }
  }

  private func emitScores(_ asm: borrowing X64Assembler) {
    asm.mov(R.cursor, R.y)
    for row in 0..<rows {
      for block in 0..<blocks { asm.vmovups(R.cursor[64 * block], accumulator(0, row, block)) }
      if row + 1 < rows { asm.add(R.cursor, R.yStride) }
    }
  }

  private func emitResults(_ asm: borrowing X64Assembler, _ f: AttentionFrame) {
    let (mask, masked, end) = (OpMask.k2, asm.newLabel(), asm.newLabel())
    asm.kxnorw(mask, mask, mask)
    asm.cmp(R.blocks, blocks)
    asm.jne(masked)
    asm.kmovw(mask, OpMask.k3)
    asm.bind(masked)
    asm.mov(R.cursor, R.y)
    for row in 0..<rows {
      // Rows before are there.
      if row > rows - AttentionFrame.rowGrain {
        asm.cmp64(GPR64.rdi[offset(\AttentionArguments.rows)], row)
        asm.jle(end)
      }
      for block in 0..<blocks {
        let sum = accumulator(0, row, block)
        asm.vmulps(sum, sum, f.reciprocals.offset(4 * row).broadcast32)
        let target = R.cursor[64 * block]
        if block + 1 < blocks { asm.vmovups(target, sum) } else { asm.vmovups(target.masked(mask), sum) }
      }
      if row + 1 < rows { asm.add(R.cursor, R.yStride) }
    }
    asm.bind(end)
  }
}
