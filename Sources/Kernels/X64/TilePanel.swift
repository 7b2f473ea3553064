import Base
import MachineCode
import NestedFormat

// Products with nested weights on AMX. The 16 vectors of one unpacked group are a tile as they lie: 16 rows of four inputs by 16
// outputs. One instruction multiplies 16 rows of activations by them and gives the group's integers, which AVX-512 then scales
// as `PanelTileAVX512` does: the same operations in the same order, so the same bits. Four of them per row and output are what
// is left of twenty, so scaling, not multiplying, is what such a tile waits for; it runs while the next group is multiplied.

/// ``PanelArguments`` for any number of rows, in tiles of at most 16 rows, one block after the other; the same code at every
/// level. Leaves the tiles in their initial state.
func emitTilePanel(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  var tiles: [TilePanel] = []
  for rows in 1...spec.rows { tiles.append(try TilePanel(rows: rows, spec)) }
  let g = TilePanelRegisters()
  pushAll(asm, calleeSaved)
  emitAlignedFrame(asm, byteCount: TilePanelRegisters.frameByteCount, savedPointer: g.savedPointer)
  loadFields(
    asm, (g.tileX, \PanelArguments.x), (g.xStride, \PanelArguments.xRowStride), (g.rows, \PanelArguments.rows),
    (g.tileScales, \PanelArguments.activations), (g.scaleStride, \PanelArguments.activationRowStride),
    (g.start, \PanelArguments.start), (g.y, \PanelArguments.y))
  asm.lea(g.work, GPR64.rdi[offset(\PanelArguments.ahead)])
  asm.mov(g.aheadNext, g.work)
  asm.mov64(g.configured, 0)
  asm.mov(g.line, 64)
  emitRowTiles(asm, rows: g.rows, largest: spec.rows) { asm, size in tiles[size - 1].emit(asm, g) }
  asm.tilerelease()
  asm.vzeroupper()
  asm.mov(GPR64.rsp, g.savedPointer)
  popAll(asm, calleeSaved)
  asm.ret()
}

/// Roles of the general registers and of the frame. `start` and `y` walk from tile to tile.
struct TilePanelRegisters {
  let x = GPR64.r12
  let xStride = GPR64.r8
  let panel = GPR64.rdx
  let panelScales = GPR64.rcx
  let rows = GPR64.r11
  let work = GPR64.rax
  let start = GPR64.r9
  let y = GPR64.r14
  let tileX = GPR64.r15
  let tileScales = GPR64.r13
  let scaleStride = GPR64.rbp
  let ahead = GPR64.r10
  /// 64: what rows of weights and of sums are apart.
  let line = GPR64.rbx
  let blockIndex = GPR64.rsi

  let savedPointer = GPR64.rsp[0]
  let groupsLeft = GPR64.rsp[8]
  /// The addresses whose bytes this block fetches ahead.
  let aheadNext = GPR64.rsp[16]
  /// Rows that the tiles are configured for; 0 before the first.
  let configured = GPR64.rsp[24]
  let blocksLeft = GPR64.rsp[32]
  static let sums = 64
  static let frameByteCount = sums + 16 * 64
}

struct TilePanel {
  let rows: Int
  /// Float sums of the piece of K, one per row.
  let totals: [ZMM]
  let steps: ZMM
  let minima: ZMM
  /// Integer sums on their way.
  let sums: [ZMM]

  private static let (codes, weights, products) = (TMM(0), TMM(1), TMM(2))

  init(rows: Int, _ spec: GEMMSpec) throws(AdaptQError) {
    self.rows = rows
    var plan = RegisterPlan(count: 32, for: KernelName(spec).description)
    totals = try plan.take(rows, "float sums").map { ZMM($0) }
    steps = ZMM(try plan.take("steps"))
    minima = ZMM(try plan.take("minima"))
    sums = try plan.take(4, "integer sums").map { ZMM($0) }
  }

  private var configuration: [UInt8] {
    tileConfiguration([(rows: rows, byteCount: 64), (rows: 16, byteCount: 64), (rows: rows, byteCount: 64)])
  }

  func emit(_ asm: borrowing X64Assembler, _ g: TilePanelRegisters) {
    let isConfigured = asm.newLabel()
    asm.cmp64(g.configured, rows)
    asm.je(isConfigured)
    asm.mov64(g.configured, rows)
    asm.ldtilecfg(asm.constant512(configuration))
    asm.bind(isConfigured)
    asm.mov(g.work, GPR64.rdi[offset(\PanelArguments.blocks)])
    asm.mov(g.blocksLeft, g.work)
    asm.xor(g.blockIndex, g.blockIndex)
    asm.align(16)
    let nextBlock = asm.here()
    emitBlock(asm, g)
    asm.inc(g.blockIndex)
    asm.add(g.start, 64)
    asm.add(g.y, 64)
    asm.mov(g.work, g.blocksLeft)
    asm.dec(g.work)
    asm.mov(g.blocksLeft, g.work)
    asm.jnz(nextBlock)
    // Back to the first block, on to the next tile's rows.
    asm.shl(g.blockIndex, 6)
    asm.sub(g.start, g.blockIndex)
    asm.sub(g.y, g.blockIndex)
    for (pointer, field) in [(g.start, \PanelArguments.startRowStride), (g.y, \PanelArguments.yRowStride)] {
      asm.mov(g.work, GPR64.rdi[offset(field)])
      asm.imul(g.work, g.work, rows)
      asm.add(pointer, g.work)
    }
    asm.imul(g.work, g.xStride, rows)
    asm.add(g.tileX, g.work)
    asm.imul(g.work, g.scaleStride, rows)
    asm.add(g.tileScales, g.work)
  }

  /// The block whose number is in `blockIndex`.
  private func emitBlock(_ asm: borrowing X64Assembler, _ g: TilePanelRegisters) {
    asm.imul(g.panel, g.blockIndex, PanelArguments.panelBlockByteCount)
    asm.add(g.panel, GPR64.rdi[offset(\PanelArguments.panel)])
    asm.imul(g.panelScales, g.blockIndex, PanelArguments.scaleBlockByteCount)
    asm.add(g.panelScales, GPR64.rdi[offset(\PanelArguments.panelScales)])
    asm.mov(g.work, GPR64.rdi[offset(\PanelArguments.groups)])
    asm.mov(g.groupsLeft, g.work)
    asm.mov(g.x, g.tileX)
    asm.mov(g.work, g.start)
    for row in 0..<rows {
      asm.vmovups(totals[row], g.work[0])
      asm.add(g.work, GPR64.rdi[offset(\PanelArguments.startRowStride)])
    }
    asm.align(32)
    let group = asm.here()
    asm.tilezero(Self.products)
    asm.tileloadd(Self.codes, g.x[g.xStride, 1])
    asm.tileloadd(Self.weights, g.panel[g.line, 1])
    asm.tdpbsud(Self.products, Self.codes, Self.weights)
    asm.tilestored(GPR64.rsp[g.line, 1, TilePanelRegisters.sums], Self.products)
    emitFetchingAhead(asm, g.ahead, g.work, next: g.aheadNext, groupsLeft: g.groupsLeft)
    emitScales(asm, g)
    asm.add(g.x, 64)
    asm.add(g.panel, 1024)
    asm.add(g.panelScales, panelScaleGroupByteCount)
    asm.add(g.tileScales, MemoryLayout<ActivationGroup>.stride)
    asm.mov(g.work, g.groupsLeft)
    asm.dec(g.work)
    asm.mov(g.groupsLeft, g.work)
    asm.jnz(group)
    asm.mov(g.work, g.y)
    for row in 0..<rows {
      asm.vmovups(g.work[0], totals[row])
      asm.add(g.work, GPR64.rdi[offset(\PanelArguments.yRowStride)])
    }
    asm.mov(g.work, g.aheadNext)
    asm.add(g.work, 8 * fetchedAtOnce)
    asm.mov(g.aheadNext, g.work)
    asm.mov(g.work, GPR64.rdi[offset(\PanelArguments.groups)])
    asm.shl(g.work, 4)
    asm.sub(g.tileScales, g.work)
  }

  /// total += a · (s' · A) + offset · lo'
  private func emitScales(_ asm: borrowing X64Assembler, _ g: TilePanelRegisters) {
    asm.vmovups(steps, g.panelScales[0])
    asm.vmovups(minima, g.panelScales[64])
    asm.mov(g.work, g.tileScales)
    for row in 0..<rows {
      let sum = sums[row % sums.count]
      asm.vcvtdq2ps(sum, GPR64.rsp[TilePanelRegisters.sums + 64 * row])
      asm.vmulps(sum, sum, steps)
      asm.vfmadd231ps(totals[row], sum, g.work[0].broadcast32)
      asm.vfmadd231ps(totals[row], minima, g.work[4].broadcast32)
      if row + 1 < rows { asm.add(g.work, g.scaleStride) }
    }
  }
}

/// What `ldtilecfg` reads, for tiles 0, 1 and so on. Source: Intel SDM volume 1, section 18.2.
func tileConfiguration(_ tiles: [(rows: Int, byteCount: Int)]) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: 64)
  bytes[0] = 1
  for (index, tile) in tiles.enumerated() {
    bytes[16 + 2 * index] = UInt8(truncatingIfNeeded: tile.byteCount)
    bytes[48 + index] = UInt8(truncatingIfNeeded: tile.rows)
  }
  return bytes
}
