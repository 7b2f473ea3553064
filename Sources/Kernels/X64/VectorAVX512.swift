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
  asm.vbroadcastss(kernel.halfBin, asm.constant32(Float(1 << (8 - spec.level.bits)) / 2))
  asm.vbroadcastss(kernel.factor, GPR64.rdi[offset(\VectorArguments.factor)])
  if kernel.splitsCodes {
    for r in 0..<4 {
      asm.vpbroadcastd(kernel.constants[r], asm.constant32((3 << UInt32((6 + 2 * r) % 8)) &* 0x0101_0101 as UInt32))
    }
  }

  let block = asm.here()
  asm.mov(g.work, g.start)
  for (row, total) in kernel.totals.enumerated() {
    asm.vmovups(total, g.work[0])
    if row + 1 < spec.rows { asm.add(g.work, GPR64.rdi[offset(\VectorArguments.startRowStride)]) }
  }
  loadFields(
    asm, (g.x.bases[0], \VectorArguments.x), (g.activations, \VectorArguments.activations),
    (g.count, \VectorArguments.groups))
  g.x.derive(asm, rows: spec.rows)
  asm.align(32)
  let group = asm.here()
  kernel.emitProducts(asm, decoder)
  kernel.emitScales(asm)
  for plane in 0..<kernel.planes { asm.add(g.planes[plane], 256) }
  asm.add(g.scales, 64)
  g.x.advance(asm, rows: spec.rows, by: 64)
  asm.add(g.activations, MemoryLayout<ActivationGroup>.stride)
  asm.dec(g.count)
  asm.jnz(group)

  asm.mov(g.work, g.y)
  for (row, total) in kernel.totals.enumerated() {
    asm.vmovups(g.work[0], total)
    if row + 1 < spec.rows { asm.add(g.work, GPR64.rdi[offset(\VectorArguments.yRowStride)]) }
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
}

/// The body of one group: its registers, and its code.
struct VectorAVX512 {
  let g = VectorGeneralRegistersAVX512()
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
    rows = spec.rows
    planes = spec.level.planes
    splitsCodes = spec.level == .int2 && rows <= 3
    chains = splitsCodes ? 4 : rows <= 4 ? 2 : 1
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

  /// The integer sums of one group, each of its first chain complete.
  func emitProducts(_ asm: borrowing X64Assembler, _ decoder: PlaneDecoder) {
    // In bytes of each plane, far enough for memory, within the next piece's or block's planes.
    let prefetchDistance = max(6144 / planes, 2048)
    for sum in sums { asm.vpxord(sum, sum, sum) }
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
        asm.vpaddd(own[0], own[0], own[1])
      }
    }
  }

  /// total += a · (s' · A) + offset · lo'
  func emitScales(_ asm: borrowing X64Assembler) {
    let (s, lo) = (source[0], source[1])
    emitGroupScales(asm, s: s, lo: lo, from: g.scales[0], halfBin: halfBin, factor: factor)
    if rows > 1 { asm.mov(g.work, g.activations) }
    let activations = rows > 1 ? g.work : g.activations
    for row in 0..<rows {
      let sum = sums[chains * row]
      asm.vcvtdq2ps(sum, sum)
      asm.vmulps(sum, sum, s)
      asm.vfmadd231ps(totals[row], sum, activations[0].broadcast32)
      asm.vfmadd231ps(totals[row], lo, activations[4].broadcast32)
      if row + 1 < rows { asm.add(activations, GPR64.rdi[offset(\VectorArguments.activationRowStride)]) }
    }
  }
}

/// `s' = s · factor` and `lo' = (lo + s · halfBin) · factor` of one group, from its line of scales.
func emitGroupScales(_ asm: borrowing X64Assembler, s: ZMM, lo: ZMM, from line: Mem, halfBin: ZMM, factor: ZMM) {
  asm.vcvtph2ps(s, line)
  asm.vcvtph2ps(lo, line.offset(32))
  asm.vfmadd231ps(lo, s, halfBin)
  asm.vmulps(s, s, factor)
  asm.vmulps(lo, lo, factor)
}
