import Base
import MachineCode
import NestedFormat

// Conversions run on ports that products leave free, so rounding the weights of a panel costs little while a tile of rows is
// multiplied by them. Storing the panel does cost, about a product per vector.

/// ``BFloat16HalfArguments``: one tile of as many rows as there are, or none at all, which leaves the panel alone.
func emitBFloat16Half(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  func variants(_ rows: [Int], keepsPanel: Bool) throws(AdaptQError) -> [(key: Int, variant: BFloat16HalfTile)] {
    var result: [(key: Int, variant: BFloat16HalfTile)] = []
    for blocks in 1...BFloat16Arguments.mostBlocks {
      for rows in rows {
        let tile = try BFloat16HalfTile(rows: rows, blocks: blocks, keepsPanel: keepsPanel, spec)
        result.append((variantKey(rows: rows, blocks: blocks), tile))
      }
    }
    return result
  }
  let single = try variants(Array(1...spec.rows), keepsPanel: false)
  let keeping = try variants([0, spec.rows], keepsPanel: true)
  let g = BFloat16GeneralRegisters(rows: spec.rows)
  let (keeps, done) = (asm.newLabel(), asm.newLabel())
  pushAll(asm, calleeSaved)
  // `product` comes first: its fields lie where they do in its own type.
  loadFields(
    asm, (g.tileX, \BFloat16Arguments.x), (g.x.stride, \BFloat16Arguments.xRowStride),
    (g.blockStride, \BFloat16Arguments.blockStride),
    (g.startStride, \BFloat16Arguments.startRowStride),
    (g.y, \BFloat16Arguments.y), (g.rows, \BFloat16Arguments.rows), (g.count, \BFloat16Arguments.blocks))
  asm.mov(g.tileW, GPR64.rdi[offset(\BFloat16HalfArguments.panel)])
  asm.vmovdqu64(BFloat16HalfTile.interleave, asm.constant512(BFloat16HalfTile.interleaving))
  asm.test(g.tileW, g.tileW)
  asm.jnz(keeps)
  emitVariants(asm, single, key: g.count, rows: g.rows) { asm, tile in tile.emit(asm, g) }
  asm.jmp(done)
  asm.bind(keeps)
  emitVariants(asm, keeping, key: g.count, rows: g.rows) { asm, tile in tile.emit(asm, g) }
  asm.bind(done)
  asm.vzeroupper()
  popAll(asm, calleeSaved)
  asm.ret()
}

/// A ``BFloat16Tile`` whose weights come from FP16. Those of the next pair are converted before those of this one are used.
struct BFloat16HalfTile {
  let tile: BFloat16Tile
  let keepsPanel: Bool
  // At the end, where no tile has registers of its own.
  static let interleave = ZMM(31)
  private let odd = ZMM(30)
  private let next = [ZMM(28), ZMM(29)]

  init(rows: Int, blocks: Int, keepsPanel: Bool, _ spec: GEMMSpec) throws(AdaptQError) {
    // Few rows wait for conversions, not for sums.
    tile = try BFloat16Tile(rows: rows, blocks: blocks, chains: 1, spec)
    self.keepsPanel = keepsPanel
    if tile.registerCount > 28 { throw .unsupported("\(KernelName(spec)): no registers for the conversion") }
  }

  /// For `vpermw`: word j of the lower half, then word j of the upper one.
  static var interleaving: [UInt8] { (0..<16).flatMap { [$0, 0, 16 + $0, 0] } }

  /// One turn per pair and shared ends: there are many tiles, and loops this long gain nothing from unrolling.
  func emit(_ asm: borrowing X64Assembler, _ g: BFloat16GeneralRegisters) {
    // A single tile needs none of these again, or only at its end.
    let (halves, halfStride, hasHalfPair, ahead) = (g.rows, g.tileX, g.tileW, g.start)
    let (last, wholePairsDone, done) = (asm.newLabel(), asm.newLabel(), asm.newLabel())
    tile.emitStart(asm, g)
    asm.mov(halves, GPR64.rdi[offset(\BFloat16HalfArguments.halves)])
    asm.mov(halfStride, GPR64.rdi[offset(\BFloat16HalfArguments.halfBlockStride)])
    asm.mov(ahead, GPR64.rdi[offset(\BFloat16HalfArguments.ahead)])
    asm.mov(g.w, g.tileW)
    asm.mov(g.count, GPR64.rdi[offset(\BFloat16HalfArguments.k)])
    asm.mov(hasHalfPair, g.count)
    asm.and(hasHalfPair, 1)
    asm.shr(g.count, 1)
    asm.jz(wholePairsDone)
    emitConversion(asm, g, step: 0, into: tile.weights)
    // Pairs with a next one.
    asm.dec(g.count)
    emitWholeTurns(asm, g.count, of: 1) { asm in
      for block in 0..<tile.blocks { asm.prefetcht1(block == 0 ? ahead[0] : ahead[halfStride, 1]) }
      asm.add(ahead, 64)
      emitConversion(asm, g, step: 1, into: next)
      tile.emitProducts(asm, g, step: 0, weights: tile.weights)
      for block in 0..<tile.blocks { asm.vmovaps(tile.weights[block], next[block]) }
      emitAdvance(asm, g)
    }
    asm.bind(last)
    tile.emitProducts(asm, g, step: 0, weights: tile.weights)
    emitAdvance(asm, g)
    asm.bind(wholePairsDone)
    asm.test(hasHalfPair, hasHalfPair)
    asm.jz(done)
    asm.dec(hasHalfPair)
    emitConversion(asm, g, step: 0, into: tile.weights, hasOdd: false)
    asm.jmp(last)
    asm.bind(done)
    asm.mov(g.start, GPR64.rdi[offset(\BFloat16Arguments.start)])
    tile.emitStore(asm, g)
  }

  private func emitAdvance(_ asm: borrowing X64Assembler, _ g: BFloat16GeneralRegisters) {
    g.x.advance(asm, rows: tile.rows, by: 4)
    if keepsPanel { asm.add(g.w, 64) }
    asm.add(g.rows, 64)
  }

  /// - Parameter hasOdd: false at the end of an odd K.
  private func emitConversion(
    _ asm: borrowing X64Assembler, _ g: BFloat16GeneralRegisters, step: Int, into weights: [ZMM], hasOdd: Bool = true
  ) {
    for block in 0..<tile.blocks {
      let halves = block == 0 ? g.rows[64 * step] : g.rows[g.tileX, 1, 64 * step]
      asm.vcvtph2ps(weights[block], halves)
      if hasOdd { asm.vcvtph2ps(odd, halves.offset(32)) } else { asm.vpxord(odd, odd, odd) }
      asm.vcvtne2ps2bf16(weights[block], odd, weights[block])
      asm.vpermw(weights[block], BFloat16HalfTile.interleave, weights[block])
      if keepsPanel { asm.vmovdqu64(g.weights(block, 64 * step), weights[block]) }
    }
  }
}
