import Base
import MachineCode
import NestedFormat

/// ``VectorArguments`` for the `spec.rows` rows that lead a panel: planes of one or two blocks are decoded, used at once, and
/// left as a panel with its scales for ``emitPanelAVX512(_:_:)``, so that the leading rows' products hide the decoding.
func emitLeadingAVX512(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  let single = try LeadingTileAVX512(spec, blocks: 1)
  let wide = try LeadingTileAVX512(spec, blocks: PanelArguments.wideBlocks)
  let g = single.g
  pushAll(asm, calleeSaved)
  for plane in 0..<single.planes { asm.mov(g.planes[plane], GPR64.rdi[offset(g.planeFields[plane])]) }
  loadFields(
    asm, (g.scales, \VectorArguments.scales), (g.x.stride, \VectorArguments.xRowStride),
    (g.x.bases[0], \VectorArguments.x), (g.activations, \VectorArguments.activations),
    (g.panel, \VectorArguments.panel), (g.panelScales, \VectorArguments.panelScales),
    (g.blockStride, \VectorArguments.blockStride), (g.work, \VectorArguments.groups))
  asm.mov(g.groupsLeft, g.work)
  g.x.derive(asm, rows: spec.rows)
  let decoder = PlaneDecoder(asm, spec, registers: single.constants)
  let (several, done) = (asm.newLabel(), asm.newLabel())
  asm.mov(g.work, GPR64.rdi[offset(\VectorArguments.nBlocks)])
  asm.cmp(g.work, 1)
  asm.jne(several)
  single.emit(asm, decoder)
  asm.jmp(done)
  asm.align(16)
  asm.bind(several)
  asm.mov(g.nextScales, g.scales)
  asm.add(g.nextScales, GPR64.rdi[offset(\VectorArguments.scaleRowByteCount)])
  wide.emit(asm, decoder)
  asm.bind(done)
  asm.vzeroupper()
  popAll(asm, calleeSaved)
  asm.ret()
}

/// Roles of the general registers of ``emitLeadingAVX512(_:_:)``.
struct LeadingGeneralRegistersAVX512 {
  let planes: [GPR64] = [.rsi, .rdx, .rcx, .r8]
  let planeFields: [PartialKeyPath<VectorArguments>] = [
    \VectorArguments.plane0, \VectorArguments.plane1, \VectorArguments.plane2, \VectorArguments.plane3,
  ]
  let blockStride = GPR64.r11
  let scales = GPR64.r9
  let nextScales = GPR64.rbp
  let x = RowPointers(bases: [.r10, .r14], stride: .rbx)
  let activations = GPR64.r12
  let panel = GPR64.r13
  let panelScales = GPR64.r15
  let work = GPR64.rax
  let groupsLeft = GPR64.rsp[-8]
  /// Of the blocks whose integers are added up.
  let summedLeft = GPR64.rsp[-16]
  /// Of the first and of the second block's scales.
  let toggles = [GPR64.rsp[-24], GPR64.rsp[-32]]
}

/// One or two blocks of outputs: registers, and code.
struct LeadingTileAVX512 {
  let g = LeadingGeneralRegistersAVX512()
  let spec: GEMMSpec
  let rows: Int
  let blocks: Int
  let planes: Int
  let constants: [ZMM]
  let totals: [ZMM]
  /// Integer sums, row by row.
  let sums: [ZMM]
  /// One vector of each plane; at the end of a group the blocks' scales.
  let source: [ZMM]
  let codes: [ZMM]
  /// Helps to decode, and broadcasts.
  let temporary: ZMM

  init(_ spec: GEMMSpec, blocks: Int) throws(AdaptQError) {
    self.spec = spec
    rows = spec.rows
    self.blocks = blocks
    planes = spec.level.planes
    var plan = RegisterPlan(count: 32, for: KernelName(spec).description)
    // First, so that one and two blocks share the decoder's.
    constants = try plan.take(PlaneDecoder.registerCount, "decoder").map { ZMM($0) }
    totals = try plan.take(rows * blocks, "float sums").map { ZMM($0) }
    sums = try plan.take(rows * blocks, "integer sums").map { ZMM($0) }
    source = try plan.take(4, "planes").map { ZMM($0) }
    codes = try plan.take(blocks, "codes").map { ZMM($0) }
    temporary = ZMM(try plan.take("temporary"))
  }

  func emit(_ asm: borrowing X64Assembler, _ decoder: PlaneDecoder) {
    if spec.appliesScalesLate {
      for total in totals { asm.vpxord(total, total, total) }
    } else {
      emitTotals(asm, pointer: \VectorArguments.start, stride: \VectorArguments.startRowStride) { asm, place, total in
        asm.vmovups(total, place)
      }
    }
    let lines = zip([g.scales, g.nextScales].prefix(blocks), g.toggles).map {
      ScaleLines(spec, pointer: $0, work: g.work, toggle: $1, nextRow: $1)
    }
    for line in lines { line.beginRow(asm) }
    asm.align(32)
    let group = asm.here()
    for sum in sums { asm.vpxord(sum, sum, sum) }
    emitSummedBlocks(asm, spec, blocksLeft: g.summedLeft, work: g.work) { asm in
      for quarter in 0..<4 { emitProducts(asm, decoder, quarter) }
      for plane in 0..<planes { asm.add(g.planes[plane], 256) }
      g.x.advance(asm, rows: rows, by: 64)
      asm.add(g.panel, 1024)
      asm.mov(g.work, g.groupsLeft)
      asm.dec(g.work)
      asm.mov(g.groupsLeft, g.work)
    }
    emitScales(asm)
    for line in lines { line.advance(asm) }
    asm.add(g.activations, MemoryLayout<ActivationGroup>.stride * spec.summedBlocks)
    asm.add(g.panelScales, panelScaleGroupByteCount * spec.summedBlocks)
    asm.cmp64(g.groupsLeft, 0)
    asm.jne(group)
    if spec.appliesScalesLate {
      emitLateScales(asm)
    } else {
      emitTotals(asm, pointer: \VectorArguments.y, stride: \VectorArguments.yRowStride) { asm, place, total in
        asm.vmovups(place, total)
      }
    }
  }

  /// y = start + s' · total + groupSum · lo', or per row y = start + a · total
  private func emitLateScales(_ asm: borrowing X64Assembler) {
    let perRow = spec.activations == .int8PerRow
    if !perRow {
      asm.mov(g.panelScales, GPR64.rdi[offset(\VectorArguments.panelScales)])
      emitWeightScales(asm)
    }
    let (start, y) = (g.panel, g.panelScales)
    // The first group has the row's scale, and the sum of all.
    loadFields(
      asm, (g.work, \VectorArguments.activations), (start, \VectorArguments.start), (y, \VectorArguments.y))
    for row in 0..<rows {
      asm.vbroadcastss(temporary, g.work[offset(perRow ? \ActivationGroup.scale : \ActivationGroup.shared)])
      for block in 0..<blocks {
        let total = totals[row * blocks + block]
        asm.vfmadd213ps(total, perRow ? temporary : source[2 * block], start[64 * block])
        if !perRow { asm.vfmadd231ps(total, source[2 * block + 1], temporary) }
        asm.vmovups(y[64 * block], total)
      }
      if row + 1 == rows { break }
      asm.add(g.work, GPR64.rdi[offset(\VectorArguments.activationRowStride)])
      asm.add(start, GPR64.rdi[offset(\VectorArguments.startRowStride)])
      asm.add(y, GPR64.rdi[offset(\VectorArguments.yRowStride)])
    }
  }

  private func emitTotals(
    _ asm: borrowing X64Assembler, pointer: PartialKeyPath<VectorArguments>, stride: PartialKeyPath<VectorArguments>,
    _ move: (borrowing X64Assembler, Mem, ZMM) -> Void
  ) {
    asm.mov(g.work, GPR64.rdi[offset(pointer)])
    for row in 0..<rows {
      for block in 0..<blocks { move(asm, g.work[64 * block], totals[row * blocks + block]) }
      if row + 1 < rows { asm.add(g.work, GPR64.rdi[offset(stride)]) }
    }
  }

  private func emitProducts(_ asm: borrowing X64Assembler, _ decoder: PlaneDecoder, _ quarter: Int) {
    // In bytes of each plane: two groups, since the panel kernel fetches whole pieces ahead.
    let prefetchDistance = 512
    for block in 0..<blocks {
      for plane in 0..<planes {
        let place = 64 * quarter
        let pointer = g.planes[plane]
        asm.vmovdqu64(source[plane], block == 0 ? pointer[place] : pointer[g.blockStride, 1, place])
        asm.prefetcht0(
          block == 0 ? pointer[place + prefetchDistance] : pointer[g.blockStride, 1, place + prefetchDistance])
      }
      decoder.prepare(asm, source)
      for r in 0..<4 {
        let decoded = decoder.emit(asm, codes[block], from: source, r: r, temporary: temporary)
        let place = 64 * (4 * quarter + r)
        asm.vmovdqa64(g.panel[place + block * PanelArguments.panelBlockByteCount], decoded)
        if block + 1 < blocks { continue }
        // The registers do not suffice to keep the first block's four vectors.
        if block > 0 { asm.vmovdqa64(codes[0], g.panel[place]) }
        for row in 0..<rows {
          let activation = g.x.address(row, place / 16)
          if block == 0 {
            asm.vpdpbusd(sums[row], decoded, activation.broadcast32)
          } else {
            asm.vpbroadcastd(temporary, activation)
            asm.vpdpbusd(sums[2 * row], codes[0], temporary)
            asm.vpdpbusd(sums[2 * row + 1], decoded, temporary)
          }
        }
      }
    }
  }

  /// The blocks' `s'` and `lo'`, two registers of `source` each, and in the panel.
  private func emitWeightScales(_ asm: borrowing X64Assembler) {
    let (bin, factor) = (codes[0], temporary)
    asm.vbroadcastss(bin, asm.constant32(spec.scaleKind.binOffset(spec.level)))
    asm.vbroadcastss(factor, GPR64.rdi[offset(\VectorArguments.factor)])
    for block in 0..<blocks {
      let (s, lo) = (source[2 * block], source[2 * block + 1])
      let pointer = block == 0 ? g.scales : g.nextScales
      emitGroupScales(asm, spec.scaleKind, s: s, lo: lo, from: pointer[0], offset: bin, factor: factor)
      asm.prefetcht0(pointer[512])
      let place = block * PanelArguments.scaleBlockByteCount
      asm.vmovaps(g.panelScales[place], s)
      asm.vmovaps(g.panelScales[place + 64], lo)
    }
  }

  /// total += a · (s' · A) + offset · lo', or per row total += s' · A + groupSum · lo', or with one scale for all inputs of an output
  /// total += a · A
  private func emitScales(_ asm: borrowing X64Assembler) {
    let weightsLater = spec.appliesScalesLate && spec.activations != .int8PerRow
    if !weightsLater { emitWeightScales(asm) }
    asm.mov(g.work, g.activations)
    for row in 0..<rows {
      for block in 0..<blocks {
        let (sum, total) = (sums[row * blocks + block], totals[row * blocks + block])
        asm.vcvtdq2ps(sum, sum)
        if weightsLater {
          asm.vfmadd231ps(total, sum, g.work[0].broadcast32)
          continue
        }
        if spec.activations == .int8PerRow {
          asm.vfmadd231ps(total, sum, source[2 * block])
          asm.vfmadd231ps(total, source[2 * block + 1], g.work[offset(\ActivationGroup.shared)].broadcast32)
          continue
        }
        asm.vmulps(sum, sum, source[2 * block])
        asm.vfmadd231ps(total, sum, g.work[0].broadcast32)
        asm.vfmadd231ps(total, source[2 * block + 1], g.work[4].broadcast32)
      }
      if row + 1 < rows { asm.add(g.work, GPR64.rdi[offset(\VectorArguments.activationRowStride)]) }
    }
  }
}
