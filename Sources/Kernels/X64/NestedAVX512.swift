import Base
import MachineCode
import NestedFormat

// Products with nested weights on CPUs with AVX-512 VNNI: `vpdpbusd` multiplies unsigned codes by signed activations and adds
// four products to 32 bits without saturating, and its operand of activations is a broadcast from memory. A block of 16
// outputs is one ZMM. Codes stay at the top of their byte, `U_b · 2^(8-b)`, so that the step of every level is `s`:
// |Σ| ≤ 64 · 127 · 255 < 2³¹.

/// ``UnpackArguments`` for ``emitPanelAVX512(_:_:)``: the panel is the 16 vectors of a block as bytes, and its scales are
/// `s · factor` and `(lo + s · 2^(7-b)) · factor`.
func emitUnpackAVX512(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  let level = spec.level
  let planes: [GPR64] = [.rsi, .rdx, .rcx, .r8]
  let fields: [PartialKeyPath<UnpackArguments>] = [\.plane0, \.plane1, \.plane2, \.plane3]
  let (scales, panel, panelScales, groups) = (GPR64.r9, GPR64.r10, GPR64.r11, GPR64.rax)
  var plan = RegisterPlan(count: 32, for: KernelName(spec).description)
  let source = try plan.take(4, "planes").map { ZMM($0) }
  let (code, temporary) = (ZMM(try plan.take("code")), ZMM(try plan.take("temporary")))
  let (s, lo) = (ZMM(try plan.take("s")), ZMM(try plan.take("lo")))
  let (factor, halfBin) = (ZMM(try plan.take("factor")), ZMM(try plan.take("half a bin")))
  let constants = try plan.take(PlaneDecoder.registerCount, "decoder").map { ZMM($0) }

  for plane in 0..<level.planes { asm.mov(planes[plane], GPR64.rdi[offset(fields[plane])]) }
  loadFields(
    asm, (scales, \UnpackArguments.scales), (panel, \UnpackArguments.panel),
    (panelScales, \UnpackArguments.panelScales), (groups, \UnpackArguments.groups))
  let decoder = PlaneDecoder(asm, spec, registers: constants)
  asm.vbroadcastss(factor, GPR64.rdi[offset(\UnpackArguments.factor)])
  asm.vbroadcastss(halfBin, asm.constant32(Float(1 << (8 - level.bits)) / 2))
  asm.align(32)
  let loop = asm.here()
  for quarter in 0..<4 {
    for plane in 0..<level.planes {
      asm.vmovdqu64(source[plane], planes[plane][64 * quarter])
      asm.prefetcht0(planes[plane][64 * quarter + 2048])
    }
    for r in 0..<4 {
      decoder.emit(asm, code, from: source, r: r, temporary: temporary)
      asm.vmovdqa64(panel[64 * (4 * quarter + r)], code)
    }
  }
  asm.vcvtph2ps(s, scales[0])
  asm.vcvtph2ps(lo, scales[32])
  asm.vfmadd231ps(lo, s, halfBin)
  asm.vmulps(lo, lo, factor)
  asm.vmulps(s, s, factor)
  asm.vmovups(panelScales[0], s)
  asm.vmovups(panelScales[64], lo)
  for plane in 0..<level.planes { asm.add(planes[plane], 256) }
  asm.add(scales, 64)
  asm.add(panel, 1024)
  asm.add(panelScales, panelScaleGroupByteCount)
  asm.dec(groups)
  asm.jnz(loop)
  asm.vzeroupper()
  asm.ret()
}

/// ``PanelArguments`` for any number of rows, in tiles of at most `spec.rows`; the same code at every level.
func emitPanelAVX512(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  var tiles: [PanelTileAVX512] = []
  for rows in 1...spec.rows { tiles.append(try PanelTileAVX512(rows: rows, spec)) }
  let g = PanelGeneralRegistersAVX512(rows: spec.rows)
  pushAll(asm, calleeSaved)
  loadFields(
    asm, (g.tileX, \PanelArguments.x), (g.x.stride, \PanelArguments.xRowStride), (g.rows, \PanelArguments.rows),
    (g.tileScales, \PanelArguments.activations), (g.start, \PanelArguments.start), (g.y, \PanelArguments.y))
  emitRowTiles(asm, rows: g.rows, largest: spec.rows) { asm, size in tiles[size - 1].emit(asm, g) }
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

  init(rows: Int) {
    let bases: [GPR64] = [.rsi, .rbx, .rbp, .r12]
    x = RowPointers(bases: Array(bases.prefix((rows + 2) / 3)), stride: .r8)
  }
}

struct PanelTileAVX512 {
  let rows: Int
  /// Integer sums of one group.
  let sums: [ZMM]
  /// Float sums of the piece of K.
  let totals: [ZMM]
  let weights: [ZMM]
  let step: ZMM
  let minimum: ZMM

  init(rows: Int, _ spec: GEMMSpec) throws(AdaptQError) {
    self.rows = rows
    var plan = RegisterPlan(count: 32, for: KernelName(spec).description)
    sums = try plan.take(rows, "integer sums").map { ZMM($0) }
    totals = try plan.take(rows, "float sums").map { ZMM($0) }
    weights = try plan.take(2, "weights").map { ZMM($0) }
    step = ZMM(try plan.take("step"))
    minimum = ZMM(try plan.take("minimum"))
  }

  func emit(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegistersAVX512) {
    let groupsLeft = GPR64.rsp[-8]
    loadFields(
      asm, (g.panel, \PanelArguments.panel), (g.panelScales, \PanelArguments.panelScales),
      (g.work, \PanelArguments.groups))
    asm.mov(groupsLeft, g.work)
    asm.mov(g.x.bases[0], g.tileX)
    g.x.derive(asm, rows: rows)
    for total in totals {
      asm.vmovups(total, g.start[0])
      asm.add(g.start, GPR64.rdi[offset(\PanelArguments.startRowStride)])
    }
    asm.align(32)
    let group = asm.here()
    for sum in sums { asm.vpxord(sum, sum, sum) }
    for vector in 0..<16 {
      let codes = weights[vector % 2]
      asm.vmovdqa64(codes, g.panel[64 * vector])
      for row in 0..<rows { asm.vpdpbusd(sums[row], codes, g.x.address(row, 4 * vector).broadcast32) }
    }
    // total += a · (s' · A) + offset · lo'
    asm.vmovups(step, g.panelScales[0])
    asm.vmovups(minimum, g.panelScales[64])
    asm.mov(g.work, g.tileScales)
    for row in 0..<rows {
      asm.vcvtdq2ps(sums[row], sums[row])
      asm.vmulps(sums[row], sums[row], step)
      asm.vfmadd231ps(totals[row], sums[row], g.work[0].broadcast32)
      asm.vfmadd231ps(totals[row], minimum, g.work[4].broadcast32)
      if row + 1 < rows { asm.add(g.work, GPR64.rdi[offset(\PanelArguments.activationRowStride)]) }
    }
    g.x.advance(asm, rows: rows, by: 64)
    asm.add(g.panel, 1024)
    asm.add(g.panelScales, panelScaleGroupByteCount)
    asm.add(g.tileScales, 16)
    asm.mov(g.work, groupsLeft)
    asm.dec(g.work)
    asm.mov(groupsLeft, g.work)
    asm.jnz(group)

    for total in totals {
      asm.vmovups(g.y[0], total)
      asm.add(g.y, GPR64.rdi[offset(\PanelArguments.yRowStride)])
    }
    asm.imul(g.work, g.x.stride, rows)
    asm.add(g.tileX, g.work)
    // Back to the first group, on to the next tile's rows.
    asm.mov(g.work, GPR64.rdi[offset(\PanelArguments.activationRowStride)])
    asm.imul(g.work, g.work, rows)
    asm.add(g.tileScales, g.work)
    asm.mov(g.work, GPR64.rdi[offset(\PanelArguments.groups)])
    asm.shl(g.work, 4)
    asm.sub(g.tileScales, g.work)
  }
}

/// ``VectorArguments`` for exactly `spec.rows` rows: planes are decoded in registers and used at once.
func emitVectorAVX512(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  let rows = spec.rows
  let planes = spec.level.planes
  let prefetchDistance = 2048
  var plan = RegisterPlan(count: 32, for: KernelName(spec).description)
  let totals = try plan.take(rows, "float sums").map { ZMM($0) }
  // Two integer sums per row hide the latency of the dot product.
  let sums = try plan.take(2 * rows, "integer sums").map { ZMM($0) }
  let source = try plan.take(4, "planes").map { ZMM($0) }
  let (code, temporary) = (ZMM(try plan.take("code")), ZMM(try plan.take("temporary")))
  let (s, lo, halfBin) = (ZMM(try plan.take("s")), ZMM(try plan.take("lo")), ZMM(try plan.take("half a bin")))
  let constants = try plan.take(PlaneDecoder.registerCount, "decoder").map { ZMM($0) }

  let planePointers: [GPR64] = [.rsi, .rdx, .rcx, .r8]
  let fields: [PartialKeyPath<VectorArguments>] = [\.plane0, \.plane1, \.plane2, \.plane3]
  let scales = GPR64.r9
  let x = RowPointers(bases: [.r10, .r11], stride: .rbx)
  let activations = RowPointers(bases: [.rbp, .r12], stride: .r13)
  let count = GPR64.r14
  let (start, y, blocksLeft) = (GPR64.rsp[-8], GPR64.rsp[-16], GPR64.rsp[-24])
  let work = GPR64.rax

  pushAll(asm, calleeSaved)
  for plane in 0..<planes { asm.mov(planePointers[plane], GPR64.rdi[offset(fields[plane])]) }
  loadFields(
    asm, (scales, \VectorArguments.scales), (x.stride, \VectorArguments.xRowStride),
    (activations.stride, \VectorArguments.activationRowStride), (count, \VectorArguments.start),
    (work, \VectorArguments.y))
  asm.mov(start, count)
  asm.mov(y, work)
  let done = asm.newLabel()
  asm.mov(count, GPR64.rdi[offset(\VectorArguments.nBlocks)])
  asm.test(count, count)
  asm.jz(done)
  asm.mov(blocksLeft, count)
  let decoder = PlaneDecoder(asm, spec, registers: constants)
  asm.vbroadcastss(halfBin, asm.constant32(Float(1 << (8 - spec.level.bits)) / 2))

  let block = asm.here()
  loadFields(
    asm, (x.bases[0], \VectorArguments.x), (activations.bases[0], \VectorArguments.activations),
    (count, \VectorArguments.groups))
  x.derive(asm, rows: rows)
  activations.derive(asm, rows: rows)
  for total in totals { asm.vpxord(total, total, total) }
  asm.align(32)
  let group = asm.here()
  for sum in sums { asm.vpxord(sum, sum, sum) }
  for quarter in 0..<4 {
    for plane in 0..<planes {
      asm.vmovdqu64(source[plane], planePointers[plane][64 * quarter])
      asm.prefetcht0(planePointers[plane][64 * quarter + prefetchDistance])
    }
    for r in 0..<4 {
      decoder.emit(asm, code, from: source, r: r, temporary: temporary)
      for row in 0..<rows {
        asm.vpdpbusd(sums[2 * row + r % 2], code, x.address(row, 16 * quarter + 4 * r).broadcast32)
      }
    }
  }
  asm.vcvtph2ps(s, scales[0])
  asm.vcvtph2ps(lo, scales[32])
  asm.prefetcht0(scales[prefetchDistance / 2])
  asm.vfmadd231ps(lo, s, halfBin)
  for row in 0..<rows {
    let sum = sums[2 * row]
    asm.vpaddd(sum, sum, sums[2 * row + 1])
    asm.vcvtdq2ps(sum, sum)
    asm.vmulps(sum, sum, s)
    asm.vfmadd231ps(totals[row], sum, activations.address(row).broadcast32)
    asm.vfmadd231ps(totals[row], lo, activations.address(row, 4).broadcast32)
  }
  for plane in 0..<planes { asm.add(planePointers[plane], 256) }
  asm.add(scales, 64)
  x.advance(asm, rows: rows, by: 64)
  activations.advance(asm, rows: rows, by: 16)
  asm.dec(count)
  asm.jnz(group)

  // y = start + factor · total
  asm.vbroadcastss(s, GPR64.rdi[offset(\VectorArguments.factor)])
  asm.mov(count, start)
  asm.mov(work, y)
  for row in 0..<rows {
    asm.vfmadd213ps(totals[row], s, count[0])
    asm.vmovups(work[0], totals[row])
    if row + 1 < rows {
      asm.add(count, GPR64.rdi[offset(\VectorArguments.startRowStride)])
      asm.add(work, GPR64.rdi[offset(\VectorArguments.yRowStride)])
    }
  }
  for place in [start, y] {
    asm.mov(work, place)
    asm.add(work, 64)
    asm.mov(place, work)
  }
  asm.mov(work, blocksLeft)
  asm.dec(work)
  asm.mov(blocksLeft, work)
  asm.jnz(block)
  asm.bind(done)
  asm.vzeroupper()
  popAll(asm, calleeSaved)
  asm.ret()
}
