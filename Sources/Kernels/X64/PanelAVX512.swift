import Base
import MachineCode
import NestedFormat

/// ``PanelArguments`` for any number of rows, in tiles of at most `spec.rows` rows by one block or half as many by two; the
/// same code at every level.
///
/// A tile of two blocks broadcasts each activation once for two dot products, so that the load ports, which give two vectors
/// per cycle, are not what limits two dot products per cycle.
func emitPanelAVX512(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  let wideRows = spec.rows / PanelArguments.wideBlocks
  var single: [PanelTileAVX512] = []
  for rows in 1...spec.rows { single.append(try PanelTileAVX512(rows: rows, blocks: 1, spec)) }
  var wide: [PanelTileAVX512] = []
  for rows in 1...wideRows { wide.append(try PanelTileAVX512(rows: rows, blocks: PanelArguments.wideBlocks, spec)) }
  let g = PanelGeneralRegistersAVX512(rows: spec.rows)
  pushAll(asm, calleeSaved)
  loadFields(
    asm, (g.tileX, \PanelArguments.x), (g.x.stride, \PanelArguments.xRowStride), (g.rows, \PanelArguments.rows),
    (g.tileScales, \PanelArguments.activations), (g.start, \PanelArguments.start), (g.y, \PanelArguments.y),
    (g.work, \PanelArguments.blocks))
  asm.lea(g.ahead, GPR64.rdi[offset(\PanelArguments.ahead)])
  asm.mov(g.aheadNext, g.ahead)
  let (several, done) = (asm.newLabel(), asm.newLabel())
  asm.cmp(g.work, 1)
  asm.jne(several)
  emitRowTiles(asm, rows: g.rows, largest: spec.rows) { asm, size in single[size - 1].emit(asm, g) }
  asm.jmp(done)
  asm.align(16)
  asm.bind(several)
  emitRowTiles(asm, rows: g.rows, largest: wideRows) { asm, size in wide[size - 1].emit(asm, g) }
  asm.bind(done)
  asm.vzeroupper()
  popAll(asm, calleeSaved)
  asm.ret()
}

/// Roles of the general registers. `start` and `y` walk from tile to tile.
struct PanelGeneralRegistersAVX512 {
  let x: RowPointers
  let panel = GPR64.rdx
  let panelScales = GPR64.rcx
  let rows = GPR64.r11
  let work = GPR64.rax
  let start = GPR64.r9
  let y = GPR64.r14
  let tileX = GPR64.r15
  let tileScales = GPR64.r13
  let ahead = GPR64.r10
  let groupsLeft = GPR64.rsp[-8]
  /// The addresses whose bytes this tile fetches ahead.
  let aheadNext = GPR64.rsp[-16]
  /// Of the blocks whose integers are added up.
  let blocksLeft = GPR64.rsp[-24]

  init(rows: Int) {
    let bases: [GPR64] = [.rsi, .rbx, .rbp, .r12]
    x = RowPointers(bases: Array(bases.prefix((rows + 2) / 3)), stride: .r8)
  }
}

struct PanelTileAVX512 {
  let rows: Int
  let blocks: Int
  let spec: GEMMSpec
  /// Integer sums of one group, row by row.
  let sums: [ZMM]
  /// Float sums of the piece of K.
  let totals: [ZMM]
  /// Codes; at the end of a group the blocks' steps.
  let weights: [ZMM]
  let minima: [ZMM]
  let activations: [ZMM]

  init(rows: Int, blocks: Int, _ spec: GEMMSpec) throws(AdaptQError) {
    self.rows = rows
    self.blocks = blocks
    self.spec = spec
    var plan = RegisterPlan(count: 32, for: KernelName(spec).description)
    sums = try plan.take(rows * blocks, "integer sums").map { ZMM($0) }
    totals = try plan.take(rows * blocks, "float sums").map { ZMM($0) }
    weights = try plan.take(2, "weights").map { ZMM($0) }
    minima = try plan.take(blocks, "minima").map { ZMM($0) }
    activations = try plan.take(2, "activations").map { ZMM($0) }
  }

  func emit(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegistersAVX512) {
    loadFields(
      asm, (g.panel, \PanelArguments.panel), (g.panelScales, \PanelArguments.panelScales),
      (g.work, \PanelArguments.groups))
    asm.mov(g.groupsLeft, g.work)
    asm.mov(g.x.bases[0], g.tileX)
    g.x.derive(asm, rows: rows)
    if spec.appliesScalesLate {
      for total in totals { asm.vpxord(total, total, total) }
    } else {
      for row in 0..<rows {
        for block in 0..<blocks { asm.vmovups(totals[row * blocks + block], g.start[64 * block]) }
        asm.add(g.start, GPR64.rdi[offset(\PanelArguments.startRowStride)])
      }
    }
    asm.align(32)
    let group = asm.here()
    for sum in sums { asm.vpxord(sum, sum, sum) }
    emitSummedBlocks(asm, spec, blocksLeft: g.blocksLeft, work: g.work) { asm in
      emitFetchingAhead(asm, g.ahead, g.work, next: g.aheadNext, groupsLeft: g.groupsLeft)
      if blocks == 1 { emitProducts(asm, g) } else { emitWideProducts(asm, g) }
      g.x.advance(asm, rows: rows, by: 64)
      asm.add(g.panel, 1024)
      asm.mov(g.work, g.groupsLeft)
      asm.dec(g.work)
      asm.mov(g.groupsLeft, g.work)
    }
    emitScales(asm, g)
    asm.add(g.panelScales, panelScaleGroupByteCount * spec.summedBlocks)
    asm.add(g.tileScales, MemoryLayout<ActivationGroup>.stride * spec.summedBlocks)
    asm.cmp64(g.groupsLeft, 0)
    asm.jne(group)

    if spec.appliesScalesLate {
      emitLateScales(asm, g)
    } else {
      for row in 0..<rows {
        for block in 0..<blocks { asm.vmovups(g.y[64 * block], totals[row * blocks + block]) }
        asm.add(g.y, GPR64.rdi[offset(\PanelArguments.yRowStride)])
      }
    }
    asm.mov(g.work, g.aheadNext)
    asm.add(g.work, 8 * fetchedAtOnce)
    asm.mov(g.aheadNext, g.work)
    asm.imul(g.work, g.x.stride, rows)
    asm.add(g.tileX, g.work)
    // Back to the first group, on to the next tile's rows.
    asm.mov(g.work, GPR64.rdi[offset(\PanelArguments.activationRowStride)])
    asm.imul(g.work, g.work, rows)
    asm.add(g.tileScales, g.work)
    asm.mov(g.work, GPR64.rdi[offset(\PanelArguments.groups)])
    if spec.summedBlocks > 1 {
      asm.add(g.work, spec.summedBlocks - 1)
      asm.and(g.work, -spec.summedBlocks)
    }
    asm.shl(g.work, 4)
    asm.sub(g.tileScales, g.work)
  }

  private func emitProducts(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegistersAVX512) {
    for vector in 0..<16 {
      let codes = weights[vector % 2]
      asm.vmovdqa64(codes, g.panel[64 * vector])
      for row in 0..<rows { asm.vpdpbusd(sums[row], codes, g.x.address(row, 4 * vector).broadcast32) }
    }
  }

  private func emitWideProducts(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegistersAVX512) {
    for vector in 0..<16 {
      for block in 0..<blocks {
        asm.vmovdqa64(weights[block], g.panel[64 * vector + block * PanelArguments.panelBlockByteCount])
      }
      for row in 0..<rows {
        let activation = activations[row % 2]
        asm.vpbroadcastd(activation, g.x.address(row, 4 * vector))
        for block in 0..<blocks { asm.vpdpbusd(sums[row * blocks + block], weights[block], activation) }
      }
    }
  }

  /// y = start + s' · total + groupSum · lo', or per row y = start + a · total
  private func emitLateScales(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegistersAVX512) {
    let perRow = spec.activations == .int8PerRow
    let factor = activations[0]
    if perRow {
      // The row has one scale; the last group's entry is as good as any.
      asm.lea(g.work, g.tileScales[-MemoryLayout<ActivationGroup>.stride * spec.summedBlocks])
    } else {
      asm.mov(g.ahead, GPR64.rdi[offset(\PanelArguments.groups)])
      asm.shl(g.ahead, 4)
      asm.mov(g.work, g.tileScales)
      asm.sub(g.work, g.ahead)
      asm.mov(g.panelScales, GPR64.rdi[offset(\PanelArguments.panelScales)])
      emitPanelScales(asm, g)
    }
    for row in 0..<rows {
      asm.vbroadcastss(factor, g.work[offset(perRow ? \ActivationGroup.scale : \ActivationGroup.shared)])
      for block in 0..<blocks {
        let total = totals[row * blocks + block]
        asm.vfmadd213ps(total, perRow ? factor : weights[block], g.start[64 * block])
        if !perRow { asm.vfmadd231ps(total, minima[block], factor) }
        asm.vmovups(g.y[64 * block], total)
      }
      asm.add(g.work, GPR64.rdi[offset(\PanelArguments.activationRowStride)])
      asm.add(g.start, GPR64.rdi[offset(\PanelArguments.startRowStride)])
      asm.add(g.y, GPR64.rdi[offset(\PanelArguments.yRowStride)])
    }
  }

  /// The blocks' steps and minima, in place of codes.
  private func emitPanelScales(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegistersAVX512) {
    for block in 0..<blocks {
      asm.vmovups(weights[block], g.panelScales[block * PanelArguments.scaleBlockByteCount])
      asm.vmovups(minima[block], g.panelScales[block * PanelArguments.scaleBlockByteCount + 64])
    }
  }

  /// total += a · (s' · A) + offset · lo', or per row total += s' · A + groupSum · lo', or with one scale for all inputs of an output
  /// total += a · A
  private func emitScales(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegistersAVX512) {
    let weightsLater = spec.appliesScalesLate && spec.activations != .int8PerRow
    if !weightsLater { emitPanelScales(asm, g) }
    asm.mov(g.work, g.tileScales)
    let (scale, rowOffset) = (activations[0], activations[1])
    for row in 0..<rows {
      if weightsLater {
        if blocks > 1 { asm.vbroadcastss(scale, g.work[0]) }
        for block in 0..<blocks {
          let (sum, total) = (sums[row * blocks + block], totals[row * blocks + block])
          asm.vcvtdq2ps(sum, sum)
          if blocks > 1 {
            asm.vfmadd231ps(total, sum, scale)
          } else {
            asm.vfmadd231ps(total, sum, g.work[0].broadcast32)
          }
        }
        if row + 1 < rows { asm.add(g.work, GPR64.rdi[offset(\PanelArguments.activationRowStride)]) }
        continue
      }
      if spec.activations == .int8PerRow {
        if blocks > 1 { asm.vbroadcastss(rowOffset, g.work[offset(\ActivationGroup.shared)]) }
        for block in 0..<blocks {
          let (sum, total) = (sums[row * blocks + block], totals[row * blocks + block])
          asm.vcvtdq2ps(sum, sum)
          asm.vfmadd231ps(total, sum, weights[block])
          if blocks > 1 {
            asm.vfmadd231ps(total, minima[block], rowOffset)
          } else {
            asm.vfmadd231ps(total, minima[block], g.work[offset(\ActivationGroup.shared)].broadcast32)
          }
        }
        if row + 1 < rows { asm.add(g.work, GPR64.rdi[offset(\PanelArguments.activationRowStride)]) }
        continue
      }
      if blocks > 1 {
        asm.vbroadcastss(scale, g.work[0])
        asm.vbroadcastss(rowOffset, g.work[4])
      }
      for block in 0..<blocks {
        let (sum, total) = (sums[row * blocks + block], totals[row * blocks + block])
        asm.vcvtdq2ps(sum, sum)
        asm.vmulps(sum, sum, weights[block])
        if blocks > 1 {
          asm.vfmadd231ps(total, sum, scale)
          asm.vfmadd231ps(total, minima[block], rowOffset)
        } else {
          asm.vfmadd231ps(total, sum, g.work[0].broadcast32)
          asm.vfmadd231ps(total, minima[block], g.work[4].broadcast32)
        }
      }
      if row + 1 < rows { asm.add(g.work, GPR64.rdi[offset(\PanelArguments.activationRowStride)]) }
    }
  }
}

extension GEMMSpec {
  /// Whether products add up a piece of K, as much as a panel holds, before they apply the scale that is common to all of it: that
  /// of the row, or that of the output.
  var appliesScalesLate: Bool {
    isa == .avx512vnni && (activations == .int8PerRow || groupSize == NestedForm.allInputs)
  }

  /// Blocks of 64 inputs whose integers are added up before scales are applied, at most what a panel holds: one scale of the row
  /// allows that for all inputs that share scales of weights. |Σ| ≤ 8 · 64 · 127 · 255 < 2³¹.
  var summedBlocks: Int {
    if activations != .int8PerRow || groupSize == 64 { return 1 }
    return groupSize == 128 ? 2 : WordsArguments.groupCount
  }
}

/// Emits `block` once, or in a loop over the blocks that ``GEMMSpec/summedBlocks`` says, or as many as are left: `block` counts
/// them down in a place of its own and ends with the flags of that.
func emitSummedBlocks(
  _ asm: borrowing X64Assembler, _ spec: GEMMSpec, blocksLeft: Mem, work: GPR64,
  _ block: (borrowing X64Assembler) -> Void
) {
  if spec.summedBlocks == 1 { return block(asm) }
  let done = asm.newLabel()
  asm.mov64(blocksLeft, spec.summedBlocks)
  asm.align(32)
  let next = asm.here()
  block(asm)
  asm.jz(done)
  asm.mov(work, blocksLeft)
  asm.dec(work)
  asm.mov(blocksLeft, work)
  asm.jnz(next)
  asm.bind(done)
}

/// How many addresses of ``PanelArguments/ahead`` a tile fetches from.
let fetchedAtOnce = 4

/// This group's share of ``PanelArguments/ahead``, of which `next` is what this tile fetches from. Uses `ahead` and `work`.
func emitFetchingAhead(
  _ asm: borrowing X64Assembler, _ ahead: GPR64, _ work: GPR64, next: Mem, groupsLeft: Mem
) {
  let skip = asm.newLabel()
  asm.lea(ahead, GPR64.rdi[offset(\PanelArguments.ahead) + MemoryLayout<InlineArray<8, UnsafeRawPointer>>.size])
  asm.cmp(ahead, next)
  asm.jbe(skip)
  // From the first to the last group.
  asm.mov(work, GPR64.rdi[offset(\PanelArguments.groups)])
  asm.sub(work, groupsLeft)
  asm.shl(work, 8)
  for index in 0..<fetchedAtOnce {
    asm.mov(ahead, next)
    asm.mov(ahead, ahead[8 * index])
    for line in 0..<4 { asm.prefetcht1(ahead[work, 1, 64 * line]) }
  }
  asm.bind(skip)
}
