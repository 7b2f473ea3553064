import Base
import MachineCode
import NestedFormat

// Products in bfloat16 on AMX: sums of 16 rows by 32 outputs stay in two tiles while K passes by in steps of 32 inputs. A panel of
// pairs is read as it lies. What is left of K below a step has tiles of its own, which are as short, so nothing beside the rows
// and the panel is read.

/// ``BFloat16Arguments`` for any number of rows, in tiles of at most 16. Leaves the tiles in their initial state.
func emitTileBFloat16(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  if spec.rows != 16 { throw .unsupported("\(KernelName(spec)): tiles have 16 rows") }
  let g = TileBFloat16Registers()
  let (two, done) = (asm.newLabel(), asm.newLabel())
  pushAll(asm, calleeSaved)
  emitAlignedFrame(asm, byteCount: TileBFloat16Registers.frameByteCount, savedPointer: g.savedPointer)
  loadFields(
    asm, (g.x, \BFloat16Arguments.x), (g.xStride, \BFloat16Arguments.xRowStride), (g.rows, \BFloat16Arguments.rows),
    (g.start, \BFloat16Arguments.start), (g.startStride, \BFloat16Arguments.startRowStride),
    (g.y, \BFloat16Arguments.y), (g.yStride, \BFloat16Arguments.yRowStride))
  asm.mov(g.line, 64)
  g.emitConfiguration(asm)
  asm.cmp64(GPR64.rdi[offset(\BFloat16Arguments.blocks)], 1)
  asm.jne(two)
  g.emitTiles(asm, blocks: 1)
  asm.jmp(done)
  asm.align(16)
  asm.bind(two)
  g.emitTiles(asm, blocks: 2)
  asm.bind(done)
  asm.tilerelease()
  asm.vzeroupper()
  asm.mov(GPR64.rsp, g.savedPointer)
  popAll(asm, calleeSaved)
  asm.ret()
}

/// Roles of registers, tiles and of the frame. `x`, `start` and `y` walk from tile to tile.
struct TileBFloat16Registers {
  let x = GPR64.r15
  let xStride = GPR64.r8
  let rows = GPR64.r11
  let start = GPR64.r9
  let startStride = GPR64.r10
  let y = GPR64.r14
  let yStride = GPR64.r13
  /// 64: what rows of weights and of sums are apart.
  let line = GPR64.rbx
  /// Rows of this tile.
  let size = GPR64.rbp
  let weights = [GPR64.rdx, GPR64.rcx]
  let inputs = GPR64.r12
  let count = GPR64.rsi
  let work = GPR64.rax

  let savedPointer = GPR64.rsp[0]
  private static let configuration = 64
  private static let sums = 128
  static let frameByteCount = sums + BFloat16Arguments.mostBlocks * 16 * 64

  private let activationTile = TMM(0)
  private let shortActivationTile = TMM(1)
  private let weightTiles = [TMM(2), TMM(3)]
  private let shortWeightTiles = [TMM(4), TMM(5)]
  private let sumTiles = [TMM(6), TMM(7)]

  /// Everything but the number of rows, which are those of tiles 0, 1, 6 and 7.
  func emitConfiguration(_ asm: borrowing X64Assembler) {
    let whole = asm.newLabel()
    // Unused short tiles may have any shape, but none is not allowed.
    let full = tileConfiguration(Array(repeating: (rows: 16, byteCount: 64), count: 8))
    asm.vmovups(ZMM(0), asm.constant512(full))
    asm.vmovups(GPR64.rsp[Self.configuration], ZMM(0))
    asm.mov(work, GPR64.rdi[offset(\BFloat16Arguments.pairs)])
    asm.and(work, 15)
    asm.jz(whole)
    asm.mov8(GPR64.rsp[Self.configuration + 48 + 4], .eax)
    asm.mov8(GPR64.rsp[Self.configuration + 48 + 5], .eax)
    asm.shl(work, 2)
    asm.mov16(GPR64.rsp[Self.configuration + 16 + 2 * 1], .eax)
    asm.bind(whole)
    // Larger than any tile: the first one is configured.
    asm.mov(size, 17)
  }

  func emitTiles(_ asm: borrowing X64Assembler, blocks: Int) {
    let (done, isLarge, isConfigured) = (asm.newLabel(), asm.newLabel(), asm.newLabel())
    let next = asm.here()
    asm.test(rows, rows)
    asm.jz(done)
    asm.mov(work, 16)
    asm.cmp(rows, work)
    asm.jae(isLarge)
    asm.mov(work, rows)
    asm.bind(isLarge)
    asm.cmp(work, size)
    asm.je(isConfigured)
    asm.mov(size, work)
    for tile in [0, 1, 6, 7] { asm.mov8(GPR64.rsp[Self.configuration + 48 + tile], .eax) }
    asm.ldtilecfg(GPR64.rsp[Self.configuration])
    asm.bind(isConfigured)
    emitSums(asm, blocks: blocks)
    emitStore(asm, blocks: blocks)
    asm.sub(rows, size)
    asm.jmp(next)
    asm.bind(done)
  }

  private func emitSums(_ asm: borrowing X64Assembler, blocks: Int) {
    let whole = asm.newLabel()
    asm.mov(inputs, x)
    asm.mov(weights[0], GPR64.rdi[offset(\BFloat16Arguments.w)])
    if blocks > 1 {
      asm.mov(weights[1], weights[0])
      asm.add(weights[1], GPR64.rdi[offset(\BFloat16Arguments.blockStride)])
    }
    for block in 0..<blocks { asm.tilezero(sumTiles[block]) }
    asm.mov(count, GPR64.rdi[offset(\BFloat16Arguments.pairs)])
    emitWholeTurns(asm, count, of: 16) { asm in
      asm.tileloadd(activationTile, inputs[xStride, 1])
      for block in 0..<blocks {
        asm.tileloadd(weightTiles[block], weights[block][line, 1])
        asm.tdpbf16ps(sumTiles[block], activationTile, weightTiles[block])
      }
      asm.add(inputs, 64)
      for block in 0..<blocks { asm.add(weights[block], 1024) }
    }
    asm.jz(whole)
    asm.tileloadd(shortActivationTile, inputs[xStride, 1])
    for block in 0..<blocks {
      asm.tileloadd(shortWeightTiles[block], weights[block][line, 1])
      asm.tdpbf16ps(sumTiles[block], shortActivationTile, shortWeightTiles[block])
    }
    asm.bind(whole)
    for block in 0..<blocks {
      asm.tilestored(GPR64.rsp[line, 1, Self.sums + 1024 * block], sumTiles[block])
    }
  }

  /// `start` and `y` end behind the tile's rows.
  private func emitStore(_ asm: borrowing X64Assembler, blocks: Int) {
    let alpha = ZMM(0)
    asm.vbroadcastss(alpha, GPR64.rdi[offset(\BFloat16Arguments.alpha)])
    asm.lea(work, GPR64.rsp[Self.sums])
    asm.mov(count, size)
    asm.align(16)
    let row = asm.here()
    for block in 0..<blocks {
      let sum = ZMM(1 + block)
      asm.vmovups(sum, work[1024 * block])
      asm.vfmadd213ps(sum, alpha, start[64 * block])
      asm.vmovups(y[64 * block], sum)
    }
    asm.add(work, 64)
    asm.add(start, startStride)
    asm.add(y, yStride)
    asm.add(x, xStride)
    asm.dec(count)
    asm.jnz(row)
  }
}
