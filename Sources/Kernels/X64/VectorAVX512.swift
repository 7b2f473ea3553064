import Base
import MachineCode
import NestedFormat

// Products with nested weights on CPUs with AVX-512 VNNI: `vpdpbusd` multiplies unsigned codes by signed activations and adds
// four products to 32 bits without saturating, and its operand of activations may be a broadcast from memory. A block of 16
// outputs is one ZMM. Codes stay at the top of their byte, `U_b · 2^(8-b)`, so that the step of every level is `s`:
// |Σ| ≤ 64 · 127 · 255 < 2³¹. Vector and panel kernels round in the same order, so that a row of a product has the same bits
// whichever of them computes it, and however many rows there are.

/// ``VectorArguments`` for exactly `spec.rows` rows: planes are decoded in registers and used at once.
func emitVectorAVX512(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  let kernel = try VectorAVX512(spec)
  let g = kernel.g
  pushAll(asm, calleeSaved)
  for plane in 0..<kernel.planes { asm.mov(g.planes[plane], GPR64.rdi[offset(g.planeFields[plane])]) }
  loadFields(
    asm, (g.scales, \VectorArguments.scales), (g.x.stride, \VectorArguments.xRowStride),
    (g.count, \VectorArguments.start), (g.work, \VectorArguments.y))
  asm.mov(g.start, g.count)
  asm.mov(g.y, g.work)
  let done = asm.newLabel()
  asm.mov(g.count, GPR64.rdi[offset(\VectorArguments.nBlocks)])
  asm.test(g.count, g.count)
  asm.jz(done)
  asm.mov(g.blocksLeft, g.count)
  let decoder = PlaneDecoder(asm, spec, registers: kernel.constants)
  asm.vbroadcastss(kernel.halfBin, asm.constant32(spec.scaleKind.binOffset(spec.level)))
  asm.vbroadcastss(kernel.factor, GPR64.rdi[offset(\VectorArguments.factor)])
  if kernel.splitsCodes {
    for r in 0..<4 {
      asm.vpbroadcastd(kernel.constants[r], asm.constant32((3 << UInt32((6 + 2 * r) % 8)) &* 0x0101_0101 as UInt32))
    }
  }

  let lines = ScaleLines(spec, pointer: g.scales, work: g.work, toggle: g.toggle, nextRow: g.scaleRow)
  lines.begin(asm)
  let block = asm.here()
  if !spec.appliesScalesLate {
    asm.mov(g.work, g.start)
    for (row, total) in kernel.totals.enumerated() {
      asm.vmovups(total, g.work[0])
      if row + 1 < spec.rows { asm.add(g.work, GPR64.rdi[offset(\VectorArguments.startRowStride)]) }
    }
  }
  loadFields(
    asm, (g.x.bases[0], \VectorArguments.x), (g.activations, \VectorArguments.activations),
    (g.count, \VectorArguments.groups))
  g.x.derive(asm, rows: spec.rows)
  lines.beginRow(asm)
  let piece = asm.newLabel()
  if spec.appliesScalesLate {
    kernel.beginPieces(asm)
    asm.bind(piece)
    kernel.beginPiece(asm)
  }
  asm.align(32)
  let group = asm.here()
  for sum in kernel.sums { asm.vpxord(sum, sum, sum) }
  let left = spec.appliesScalesLate ? g.pieceLeft : g.count
  emitSummedBlocks(asm, spec, blocksLeft: g.summedLeft, work: g.work) { asm in
    kernel.emitProducts(asm, decoder)
    for plane in 0..<kernel.planes { asm.add(g.planes[plane], 256) }
    g.x.advance(asm, rows: spec.rows, by: 64)
    if spec.summedBlocks > 1 { asm.dec(left) }
  }
  kernel.emitSums(asm)
  kernel.emitScales(asm)
  lines.advance(asm)
  asm.add(g.activations, MemoryLayout<ActivationGroup>.stride * spec.summedBlocks)
  if spec.summedBlocks > 1 { asm.test(left, left) } else { asm.dec(left) }
  asm.jnz(group)
  if spec.appliesScalesLate {
    kernel.endPiece(asm)
    asm.sub(g.count, WordsArguments.groupCount)
    asm.jg(piece)
  }
  lines.endRow(asm, rowByteCount: \VectorArguments.scaleRowByteCount)

  if !spec.appliesScalesLate {
    asm.mov(g.work, g.y)
    for (row, total) in kernel.totals.enumerated() {
      asm.vmovups(g.work[0], total)
      if row + 1 < spec.rows { asm.add(g.work, GPR64.rdi[offset(\VectorArguments.yRowStride)]) }
    }
  }
  for place in [g.start, g.y] {
    asm.mov(g.work, place)
    asm.add(g.work, 64)
    asm.mov(place, g.work)
  }
  asm.mov(g.work, g.blocksLeft)
  asm.dec(g.work)
  asm.mov(g.blocksLeft, g.work)
  asm.jnz(block)
  asm.bind(done)
  asm.vzeroupper()
  popAll(asm, calleeSaved)
  asm.ret()
}

/// Roles of the general registers of ``emitVectorAVX512(_:_:)``.
struct VectorGeneralRegistersAVX512 {
  let planes: [GPR64] = [.rsi, .rdx, .rcx, .r8]
  let planeFields: [PartialKeyPath<VectorArguments>] = [
    \VectorArguments.plane0, \VectorArguments.plane1, \VectorArguments.plane2, \VectorArguments.plane3,
  ]
  let scales = GPR64.r9
  let x = RowPointers(bases: [.r10, .r11, .rbp], stride: .rbx)
  let activations = GPR64.r12
  let count = GPR64.r14
  let work = GPR64.rax
  let start = GPR64.rsp[-8]
  let y = GPR64.rsp[-16]
  let blocksLeft = GPR64.rsp[-24]
  /// Of the blocks whose integers are added up.
  let summedLeft = GPR64.rsp[-32]
  let toggle = GPR64.rsp[-40]
  let scaleRow = GPR64.rsp[-48]
  // Pieces of K, where scales are applied behind each: groups left, and where the sum of those before stands.
  let pieceLeft = GPR64.r13
  let other = GPR64.r15
  let pieceStart = GPR64.rsp[-56]
  let pieceStartStride = GPR64.rsp[-64]
  let pieceActivations = GPR64.rsp[-72]
}

/// The body of one group: its registers, and its code.
struct VectorAVX512 {
  let g = VectorGeneralRegistersAVX512()
  let spec: GEMMSpec
  let rows: Int
  let planes: Int
  /// Integer sums per row: with few rows two hide the latency of the dot product; with split codes one per place in a byte.
  let chains: Int
  /// Whether codes of 2 bits are multiplied where they stand in their byte: masking them is half the work of moving them to
  /// the top, and the sums of the four places are put together once per group.
  let splitsCodes: Bool
  let totals: [ZMM]
  let sums: [ZMM]
  /// One vector of each plane; at the end of a group the scales.
  let source: [ZMM]
  let code: ZMM
  let temporary: ZMM
  let constants: [ZMM]
  let halfBin: ZMM
  let factor: ZMM

  init(_ spec: GEMMSpec) throws(AdaptQError) {
    self.spec = spec
    rows = spec.rows
    planes = spec.level.planes
    splitsCodes = spec.level == .int2 && rows <= 3
    // Sums that begin anew with each block overlap those of the next one; longer ones need more chains.
    chains = splitsCodes || (spec.summedBlocks > 1 && rows <= 3) ? 4 : rows <= 4 ? 2 : 1
    var plan = RegisterPlan(count: 32, for: KernelName(spec).description)
    totals = try plan.take(rows, "float sums").map { ZMM($0) }
    sums = try plan.take(chains * rows, "integer sums").map { ZMM($0) }
    source = try plan.take(4, "planes").map { ZMM($0) }
    code = ZMM(try plan.take("code"))
    temporary = ZMM(try plan.take("temporary"))
    halfBin = ZMM(try plan.take("half a bin"))
    factor = ZMM(try plan.take("factor"))
    constants = try plan.take(PlaneDecoder.registerCount, "decoder").map { ZMM($0) }
  }

  /// Adds one block to the integer sums.
  func emitProducts(_ asm: borrowing X64Assembler, _ decoder: PlaneDecoder) {
    // In bytes of each plane, far enough for memory, within the next piece's or block's planes.
    let prefetchDistance = prefetchDistance
    for quarter in 0..<4 {
      for plane in 0..<planes {
        asm.vmovdqu64(source[plane], g.planes[plane][64 * quarter])
        asm.prefetcht0(g.planes[plane][64 * quarter + prefetchDistance])
      }
      if !splitsCodes { decoder.prepare(asm, source) }
      for r in 0..<4 {
        let codes: ZMM
        if splitsCodes {
          asm.vpandd(code, source[0], constants[r])
          codes = code
        } else {
          codes = decoder.emit(asm, code, from: source, r: r, temporary: temporary)
        }
        for row in 0..<rows {
          let place = g.x.address(row, 16 * quarter + 4 * r)
          asm.vpdpbusd(sums[chains * row + r % chains], codes, place.broadcast32)
        }
      }
    }
  }

  private var prefetchDistance: Int { max(6144 / planes, 2048) }

  /// Completes the integer sums, each in its first chain.
  func emitSums(_ asm: borrowing X64Assembler) {
    asm.prefetcht0(g.scales[prefetchDistance / 4])
    for row in 0..<rows {
      let own = Array(sums[(chains * row)...].prefix(chains))
      if splitsCodes {
        // Codes at bits 6, 0, 2 and 4: 64 c = c₀ + 4 (c₃ + 4 (c₂ + 4 c₁)), c_r what the sum of place r counts.
        var total = own[1]
        for next in [own[2], own[3], own[0]] {
          asm.vpslld(total, total, 2)
          asm.vpaddd(next, next, total)
          total = next
        }
      } else if chains > 1 {
        if chains == 4 {
          asm.vpaddd(own[2], own[2], own[3])
          asm.vpaddd(own[0], own[0], own[2])
        }
        asm.vpaddd(own[0], own[0], own[1])
      }
    }
  }

  /// The first piece of K adds to `start`, the others to `y`.
  func beginPieces(_ asm: borrowing X64Assembler) {
    asm.mov(g.work, g.start)
    asm.mov(g.pieceStart, g.work)
    asm.mov(g.work, GPR64.rdi[offset(\VectorArguments.startRowStride)])
    asm.mov(g.pieceStartStride, g.work)
  }

  /// As many groups as a panel holds, or as are left.
  func beginPiece(_ asm: borrowing X64Assembler) {
    for total in totals { asm.vpxord(total, total, total) }
    asm.mov(g.pieceActivations, g.activations)
    asm.mov(g.work, WordsArguments.groupCount)
    asm.mov(g.pieceLeft, g.count)
    asm.cmp(g.pieceLeft, g.work)
    asm.cmovg(g.pieceLeft, g.work)
  }

  /// y = start + s' · total + groupSum · lo', or per row y = start + a · total
  func endPiece(_ asm: borrowing X64Assembler) {
    let perRow = spec.activations == .int8PerRow
    let (s, lo) = (source[0], source[1])
    if !perRow {
      emitGroupScales(asm, spec.scaleKind, s: s, lo: lo, from: g.scales[0], offset: halfBin, factor: factor)
    }
    let (entry, start, y) = (g.pieceLeft, g.work, g.other)
    // The first group has the row's scale, and the sum of all.
    asm.mov(entry, g.pieceActivations)
    asm.mov(start, g.pieceStart)
    asm.mov(y, g.y)
    for (row, total) in totals.enumerated() {
      asm.vbroadcastss(code, entry[offset(perRow ? \ActivationGroup.scale : \ActivationGroup.shared)])
      asm.vfmadd213ps(total, perRow ? code : s, start[0])
      if !perRow { asm.vfmadd231ps(total, lo, code) }
      asm.vmovups(y[0], total)
      if row + 1 == rows { break }
      asm.add(entry, GPR64.rdi[offset(\VectorArguments.activationRowStride)])
      asm.add(start, g.pieceStartStride)
      asm.add(y, GPR64.rdi[offset(\VectorArguments.yRowStride)])
    }
    asm.mov(start, g.y)
    asm.mov(g.pieceStart, start)
    asm.mov(start, GPR64.rdi[offset(\VectorArguments.yRowStride)])
    asm.mov(g.pieceStartStride, start)
  }

  /// total += a · (s' · A) + offset · lo', or per row total += s' · A + groupSum · lo', or with one scale for all inputs of an output
  /// total += a · A
  func emitScales(_ asm: borrowing X64Assembler) {
    let (s, lo) = (source[0], source[1])
    let weightsLater = spec.appliesScalesLate && spec.activations != .int8PerRow
    if !weightsLater {
      emitGroupScales(asm, spec.scaleKind, s: s, lo: lo, from: g.scales[0], offset: halfBin, factor: factor)
    }
    if rows > 1 { asm.mov(g.work, g.activations) }
    let activations = rows > 1 ? g.work : g.activations
    for row in 0..<rows {
      let sum = sums[chains * row]
      asm.vcvtdq2ps(sum, sum)
      if weightsLater {
        asm.vfmadd231ps(totals[row], sum, activations[0].broadcast32)
        if row + 1 < rows { asm.add(activations, GPR64.rdi[offset(\VectorArguments.activationRowStride)]) }
        continue
      }
      if spec.activations == .int8PerRow {
        asm.vfmadd231ps(totals[row], sum, s)
        asm.vfmadd231ps(totals[row], lo, activations[offset(\ActivationGroup.shared)].broadcast32)
        if row + 1 < rows { asm.add(activations, GPR64.rdi[offset(\VectorArguments.activationRowStride)]) }
        continue
      }
      asm.vmulps(sum, sum, s)
      asm.vfmadd231ps(totals[row], sum, activations[0].broadcast32)
      asm.vfmadd231ps(totals[row], lo, activations[4].broadcast32)
      if row + 1 < rows { asm.add(activations, GPR64.rdi[offset(\VectorArguments.activationRowStride)]) }
    }
  }
}

/// `s' = s · factor` and `lo' = (lo + s · offset) · factor` of one group, from its line of scales; without a stored `lo`
/// that is `(offset − zero point) · s · factor`. `offset` holds ``ScaleKind/binOffset(_:)`` everywhere.
func emitGroupScales(
  _ asm: borrowing X64Assembler, _ kind: ScaleKind, s: ZMM, lo: ZMM, from line: Mem, offset: ZMM, factor: ZMM
) {
  switch kind {
  case .stepAndMinimum:
    asm.vcvtph2ps(s, line)
    asm.vcvtph2ps(lo, line.offset(32))
    asm.vfmadd231ps(lo, s, offset)
  case .symmetric:
    asm.vcvtph2ps(s, line)
    asm.vmulps(lo, s, offset)
  case .perOutput:
    asm.vmovups(s, line)
    asm.vsubps(lo, offset, line.offset(64))
    asm.vmulps(lo, lo, s)
  }
  asm.vmulps(s, s, factor)
  asm.vmulps(lo, lo, factor)
}

extension ScaleKind {
  /// What the step is multiplied with for the minimum's term, a stored minimum or zero point apart.
  func binOffset(_ level: Level) -> Float { binCenter(level) - (self == .symmetric ? 128 : 0) }
}

/// How a kernel walks over the lines of scales while it walks over blocks of inputs. In the standard form there is a line per
/// block, and rows of blocks follow each other.
struct ScaleLines {
  let spec: GEMMSpec
  let pointer: GPR64
  let work: GPR64
  /// Places of the kernel's own: what to add behind the next block of a pair, and where the next row of blocks begins.
  let toggle: Mem
  let nextRow: Mem
  private let byteCount: Int
  private var isStandard: Bool { spec.groupSize == 64 }

  init(_ spec: GEMMSpec, pointer: GPR64, work: GPR64, toggle: Mem, nextRow: Mem) {
    self.spec = spec
    self.pointer = pointer
    self.work = work
    self.toggle = toggle
    self.nextRow = nextRow
    byteCount = spec.scaleKind.lineByteCount
  }

  func begin(_ asm: borrowing X64Assembler) {
    if !isStandard { asm.mov(nextRow, pointer) }
  }

  func beginRow(_ asm: borrowing X64Assembler) {
    if spec.groupSize == 128 && spec.summedBlocks == 1 { asm.mov64(toggle, 0) }
  }

  /// Behind as many blocks as are summed up.
  func advance(_ asm: borrowing X64Assembler) {
    if isStandard || (spec.groupSize == 128 && spec.summedBlocks == 2) {
      asm.add(pointer, byteCount)
    } else if spec.groupSize == 128 {
      asm.mov(work, toggle)
      asm.add(pointer, work)
      asm.xor(work, byteCount)
      asm.mov(toggle, work)
    }
  }

  /// On to the next row of blocks, whose first line is `rowByteCount` behind this row's.
  func endRow<Root>(_ asm: borrowing X64Assembler, rowByteCount: KeyPath<Root, Int>) {
    if isStandard { return }
    asm.mov(pointer, nextRow)
    asm.add(pointer, GPR64.rdi[offset(rowByteCount)])
    asm.mov(nextRow, pointer)
  }
}
