import Base
import MachineCode
import NestedFormat

// Few rows: the planes are decoded in registers and used at once, in storage order, because then time follows the bytes read.
// A code is cut into digits that two neighbouring planes (4 bits) or one plane (2 bits) hold; `vpmaddubsw` multiplies a
// digit by signed activations and adds pairs in 16 bits without saturating: 15 · 127 · 2 fits 8 times, 3 · 127 · 2 fits 16
// times and more. `vpmaddwd` then widens to 32 bits and weighs the digit, so that the sum is A · 2^(8-b), exact.
//
// With AVX-VNNI `vpdpbusd` takes whole codes and adds up in 32 bits.

/// ``VectorArguments`` for exactly `spec.rows` rows.
func emitVectorAVX2(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  let v = try VectorRegisters(spec)
  let g = VectorGeneralRegisters(rows: spec.rows)
  let planes = spec.level.planes
  let fields: [PartialKeyPath<VectorArguments>] = [\.plane0, \.plane1, \.plane2, \.plane3]
  pushAll(asm, calleeSaved)
  emitAlignedFrame(asm, byteCount: g.frameByteCount, savedPointer: g.savedPointer)
  for plane in 0..<planes { asm.mov(g.planes[plane], GPR64.rdi[offset(fields[plane])]) }
  loadFields(
    asm, (g.scales, \VectorArguments.scales), (g.x.stride, \VectorArguments.xRowStride),
    (g.activations.stride, \VectorArguments.activationRowStride), (g.count, \VectorArguments.nBlocks),
    (g.work, \VectorArguments.start))
  let done = asm.newLabel()
  asm.test(g.count, g.count)
  asm.jz(done)
  asm.mov(g.blocksLeft, g.count)
  asm.mov(g.start, g.work)
  asm.mov(g.work, GPR64.rdi[offset(\VectorArguments.y)])
  asm.mov(g.y, g.work)
  let emitSums: (borrowing X64Assembler, Int) -> Void
  if spec.isa == .avxvnni {
    let decoder = CodeDecoder(asm, spec, registers: v.constants)
    emitSums = { asm, part in emitDotSums(asm, spec, v, g, decoder, part: part) }
  } else {
    let decoder = DigitDecoder(masks: DecodeMasks(asm, VectorRegisters.maskValues(spec), registers: v.constants))
    emitSums = { asm, part in emitDigitSums(asm, spec, v, g, decoder, part: part) }
  }

  let lines = ScaleLines(spec, pointer: g.scales, work: g.work, toggle: g.toggle, nextRow: g.scaleRow)
  lines.begin(asm)
  let block = asm.here()
  lines.beginRow(asm)
  loadFields(
    asm, (g.x.bases[0], \VectorArguments.x), (g.activations.bases[0], \VectorArguments.activations),
    (g.count, \VectorArguments.groups))
  g.x.derive(asm, rows: spec.rows)
  g.activations.derive(asm, rows: spec.rows)
  asm.vpxor(v.work, v.work, v.work)
  for index in 0..<(2 * spec.rows) { asm.vmovdqa(g.sums.offset(32 * index), v.work) }
  asm.align(32)
  let group = asm.here()
  for part in 0..<2 {
    emitSums(asm, part)
    emitGroupEnd(asm, spec, v, g, part: part)
  }
  for plane in 0..<planes { asm.add(g.planes[plane], 256) }
  lines.advance(asm)
  g.x.advance(asm, rows: spec.rows, by: 64)
  g.activations.advance(asm, rows: spec.rows, by: 16)
  asm.dec(g.count)
  asm.jnz(group)
  lines.endRow(asm, rowByteCount: \VectorArguments.scaleRowByteCount)

  // y = start + factor · sum
  asm.vbroadcastss(v.work, GPR64.rdi[offset(\VectorArguments.factor)])
  asm.mov(g.count, g.start)
  asm.mov(g.work, g.y)
  for row in 0..<spec.rows {
    for part in 0..<2 {
      asm.vmovaps(v.product, g.sums.offset(64 * row + 32 * part))
      asm.vfmadd213ps(v.product, v.work, g.count[32 * part])
      asm.vmovups(g.work[32 * part], v.product)
    }
    if row + 1 < spec.rows {
      asm.add(g.count, GPR64.rdi[offset(\VectorArguments.startRowStride)])
      asm.add(g.work, GPR64.rdi[offset(\VectorArguments.yRowStride)])
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
  asm.mov(GPR64.rsp, g.savedPointer)
  popAll(asm, calleeSaved)
  asm.ret()
}

/// Roles of the general registers and of the stack frame.
struct VectorGeneralRegisters {
  let planes: [GPR64] = [.rsi, .rdx, .rcx, .r8]
  let scales = GPR64.r9
  let x: RowPointers
  let activations = RowPointers(bases: [.rbp, .r12], stride: .r13)
  let count = GPR64.r14
  let work = GPR64.rax

  let blocksLeft = GPR64.rsp[0]
  let start = GPR64.rsp[8]
  let y = GPR64.rsp[16]
  let savedPointer = GPR64.rsp[24]
  let toggle = GPR64.rsp[32]
  let scaleRow = GPR64.rsp[40]
  /// Float sums of the block, `[row][16]`, the factor not applied.
  let sums = GPR64.rsp[64]
  let frameByteCount = 64 + 4 * 64

  init(rows: Int) { x = RowPointers(bases: [.r10, .r11], stride: .rbx) }
}

/// How far ahead of the planes lines are fetched.
private let prefetchDistance = 2048

struct VectorRegisters {
  /// Sums of all digits in 32 bits, per row.
  let sums32: [YMM]
  /// Sums of one digit in 16 bits, per row. With AVX-VNNI further 32-bit sums, which hide the latency of the dot product
  /// where rows are few.
  let moreSums: [YMM]
  let planes: [YMM]
  let product: YMM
  let work: YMM
  let digit: YMM
  /// The decoder's, as far as there is room.
  let constants: [YMM]

  init(_ spec: GEMMSpec) throws(AdaptQError) {
    let dots = spec.isa == .avxvnni
    let (more, planeCount) = dots ? (spec.rows > 2 ? 0 : spec.rows, max(spec.level.planes, 2)) : (spec.rows, 2)
    let wanted = dots ? CodeDecoder.constantCount(spec) : VectorRegisters.maskValues(spec).count
    var plan = RegisterPlan(count: 16, for: KernelName(spec).description)
    moreSums = try plan.take(more, "more sums").map { YMM($0) }
    sums32 = try plan.take(spec.rows, "32-bit sums").map { YMM($0) }
    planes = try plan.take(planeCount, "planes").map { YMM($0) }
    product = YMM(try plan.take("product"))
    work = YMM(try plan.take("work"))
    digit = YMM(try plan.take("digit"))
    constants = try plan.take(min(wanted, 16 - spec.rows - more - planeCount - 3), "constants").map { YMM($0) }
  }

  /// The masks of digits.
  static func maskValues(_ spec: GEMMSpec) -> [UInt8] {
    spec.level == .int2 ? DigitDecoder.pairMasks : DigitDecoder.nibbleMasks
  }
}

/// Eight outputs of one group with AVX-VNNI: A · 2^(8-b) in 32 bits.
private func emitDotSums(
  _ asm: borrowing X64Assembler, _ spec: GEMMSpec, _ v: VectorRegisters, _ g: VectorGeneralRegisters,
  _ decoder: CodeDecoder, part: Int
) {
  let chains = v.moreSums.isEmpty ? [v.sums32] : [v.sums32, v.moreSums]
  for sum in v.sums32 + v.moreSums { asm.vpxor(sum, sum, sum) }
  for quarter in 0..<4 {
    for plane in 0..<spec.level.planes {
      let source = g.planes[plane]
      asm.vmovdqu(v.planes[plane], source[64 * quarter + 32 * part])
      if part == 0 { asm.prefetcht0(source[64 * quarter + prefetchDistance]) }
    }
    decoder.emit(asm, v.planes, temporaries: [v.digit, v.work]) { asm, r, codes in
      for row in 0..<spec.rows {
        asm.vpbroadcastd(v.product, g.x.address(row, 16 * quarter + 4 * r))
        asm.vpdpbusdVEX(chains[r % chains.count][row], codes, v.product)
      }
    }
  }
  for row in v.moreSums.indices { asm.vpaddd(v.sums32[row], v.sums32[row], v.moreSums[row]) }
  let shift = 8 - spec.level.bits
  for sum in v.sums32 where shift > 0 { asm.vpslld(sum, sum, shift) }
}

/// One digit of the codes: the planes it comes from and its weight in `U_b · 2^(8-b)`.
private struct Digit {
  let firstPlane: Int
  let isNibble: Bool
  let weight: Int

  static func all(_ level: Level) -> [Digit] {
    let high = Digit(firstPlane: 0, isNibble: true, weight: 16)
    switch level {
    case .int2: return [Digit(firstPlane: 0, isNibble: false, weight: 64)]
    case .int4: return [high]
    case .int6: return [high, Digit(firstPlane: 2, isNibble: false, weight: 4)]
    default: return [high, Digit(firstPlane: 2, isNibble: true, weight: 1)]
    }
  }
}

/// Eight outputs of one group without dot products: A · 2^(8-b) in 32 bits out of the products of all digits.
private func emitDigitSums(
  _ asm: borrowing X64Assembler, _ spec: GEMMSpec, _ v: VectorRegisters, _ g: VectorGeneralRegisters,
  _ decoder: DigitDecoder, part: Int
) {
  var hasSum = false
  for digit in Digit.all(spec.level) {
    for quarter in 0..<4 {
      for plane in 0..<(digit.isNibble ? 2 : 1) {
        let source = g.planes[digit.firstPlane + plane]
        asm.vmovdqu(v.planes[plane], source[64 * quarter + 32 * part])
        if part == 0 { asm.prefetcht0(source[64 * quarter + prefetchDistance]) }
      }
      if digit.isNibble { decoder.mergePlanes(asm, v.planes[0], v.planes[1], temporary: v.work) }
      for field in 0..<4 {
        // Planes 2 and 3 keep r where planes 0 and 1 keep r + 2; plane p alone keeps r in field (3 − p + r) mod 4.
        if digit.isNibble {
          decoder.nibble(
            asm, v.digit, even: v.planes[1], odd: v.planes[0], r: (field + digit.firstPlane) % 4, temporary: v.work)
        } else {
          decoder.pair(asm, v.digit, v.planes[0], field: (3 - digit.firstPlane + field) % 4)
        }
        let first = field == 0 && (digit.isNibble ? quarter % 2 == 0 : quarter == 0)
        for row in 0..<spec.rows {
          asm.vpbroadcastd(v.product, g.x.address(row, 16 * quarter + 4 * field))
          if first {
            asm.vpmaddubsw(v.moreSums[row], v.digit, v.product)
          } else {
            asm.vpmaddubsw(v.product, v.digit, v.product)
            asm.vpaddw(v.moreSums[row], v.moreSums[row], v.product)
          }
        }
      }
      if quarter == 3 || (digit.isNibble && quarter == 1) {
        let weight = asm.constants32(Array(repeating: UInt32(digit.weight) &* 0x0001_0001, count: 8))
        for row in 0..<spec.rows {
          if hasSum {
            asm.vpmaddwd(v.moreSums[row], v.moreSums[row], weight)
            asm.vpaddd(v.sums32[row], v.sums32[row], v.moreSums[row])
          } else {
            asm.vpmaddwd(v.sums32[row], v.moreSums[row], weight)
          }
        }
        hasSum = true
      }
    }
  }
}

/// The float part: sum += a · (s · A) + offset · (lo + s · 2^(7-b)).
private func emitGroupEnd(
  _ asm: borrowing X64Assembler, _ spec: GEMMSpec, _ v: VectorRegisters, _ g: VectorGeneralRegisters, part: Int
) {
  let (s, lo) = (v.planes[0], v.planes[1])
  if part == 0 { asm.prefetcht0(g.scales[prefetchDistance / 2]) }
  asm.vbroadcastss(v.work, asm.constant32(spec.scaleKind.binOffset(spec.level)))
  emitLineScales(asm, spec.scaleKind, s: s, lo: lo, from: g.scales, part: part, offset: v.work)
  for row in 0..<spec.rows {
    let sum = v.sums32[row]
    asm.vcvtdq2ps(sum, sum)
    asm.vbroadcastss(v.product, g.activations.address(row))
    asm.vbroadcastss(v.work, g.activations.address(row, 4))
    asm.vmulps(sum, sum, s)
    let place = g.sums.offset(64 * row + 32 * part)
    asm.vfmadd213ps(sum, v.product, place)
    asm.vfmadd231ps(sum, v.work, lo)
    asm.vmovaps(place, sum)
  }
}

/// `s` and `lo + s · offset` of one half of the outputs, from a line of scales; without a stored `lo` that is
/// `(offset − zero point) · s`. `offset` holds ``ScaleKind/binOffset(_:)`` everywhere.
func emitLineScales(
  _ asm: borrowing X64Assembler, _ kind: ScaleKind, s: YMM, lo: YMM, from line: GPR64, part: Int, offset: YMM
) {
  switch kind {
  case .stepAndMinimum:
    asm.vcvtph2ps(s, line[16 * part])
    asm.vcvtph2ps(lo, line[32 + 16 * part])
    asm.vfmadd231ps(lo, s, offset)
  case .symmetric:
    asm.vcvtph2ps(s, line[16 * part])
    asm.vmulps(lo, s, offset)
  case .perOutput:
    asm.vmovups(s, line[32 * part])
    asm.vsubps(lo, offset, line[64 + 32 * part])
    asm.vmulps(lo, lo, s)
  }
}
