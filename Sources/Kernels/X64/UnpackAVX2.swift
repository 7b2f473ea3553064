import Base
import MachineCode
import NestedFormat

/// ``UnpackArguments``: planes to the panel that ``emitPanelAVX2(_:_:)`` of the same level reads.
///
/// The panel is the 16 vectors `v_j` of a block as unsigned bytes `U_b`, but at 8 bits without AVX-VNNI: there each byte
/// becomes a 16-bit word, see ``unpackWordsReference(_:)``, and each `v_j` two vectors of pairs: first inputs 4j and 4j + 2 of
/// every output, then 4j + 1 and 4j + 3.
func emitUnpackAVX2(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  let level = spec.level
  let r = try UnpackRegisters(spec)
  let (nextPlanes, nextScales) = (GPR64.rbx, GPR64.rbp)
  pushAll(asm, [nextPlanes, nextScales, .r12])
  asm.mov(nextPlanes, GPR64.rdi[offset(\UnpackArguments.groupsToNext)])
  asm.mov(nextScales, nextPlanes)
  asm.shl(nextPlanes, 8)
  asm.shl(nextScales, 6)
  let lines = ScaleLines(
    spec, pointer: .r9, work: .r12, toggle: GPR64.rsp[-8], nextRow: GPR64.rsp[-16])
  if spec.hasWords { emitWordScales(asm, spec, r, lines) }
  let planes: [GPR64] = [.rsi, .rdx, .rcx, .r8]
  let fields: [PartialKeyPath<UnpackArguments>] = [\.plane0, \.plane1, \.plane2, \.plane3]
  let (scales, panel, panelScales, groups) = (GPR64.r9, GPR64.r10, GPR64.r11, GPR64.rax)
  for plane in 0..<level.planes { asm.mov(planes[plane], GPR64.rdi[offset(fields[plane])]) }
  loadFields(
    asm, (scales, \UnpackArguments.scales), (panel, \UnpackArguments.panel),
    (panelScales, \UnpackArguments.panelScales), (groups, \UnpackArguments.groups))
  let decoder = CodeDecoder(asm, spec, registers: r.constants)
  let vectorByteCount = spec.hasWords ? 128 : 64
  if spec.hasWords {
    asm.vmovdqa(r.places, asm.constants32(Array(repeating: 0x7F80_7F80, count: 8)))
    for odd in 0..<2 {
      let bytes = (0..<16).map { UInt8($0 / 2 * 2 + odd) }
      asm.vmovdqa(r.doubling[odd], asm.constant256(bytes + bytes))
    }
    for sum in r.products { asm.vpxor(sum, sum, sum) }
  }

  if !spec.hasWords { lines.beginRow(asm) }
  asm.align(32)
  let loop = asm.here()
  asm.prefetcht1(scales[nextScales, 1, 0])
  for quarter in 0..<4 {
    // While rows pass over this panel, the next one's planes come closer; a product of words fetches them itself.
    for plane in 0..<level.planes {
      if !spec.hasWords { asm.prefetcht1(planes[plane][nextPlanes, 1, 64 * quarter]) }
      asm.prefetcht0(planes[plane][(spec.hasWords ? 512 : 256) + 64 * quarter])
    }
    for part in 0..<2 {
      for plane in 0..<level.planes {
        asm.vmovdqu(r.planes[plane], planes[plane][64 * quarter + 32 * part])
        if part == 0 && !spec.hasWords { asm.prefetcht0(planes[plane][64 * quarter + 2048]) }
      }
      let target = panel[4 * quarter * vectorByteCount + 32 * part]
      if spec.hasWords {
        emitWords(
          asm, r, decoder, target, step: panelScales[32 * part], minimum: panelScales[64 + 32 * part],
          products: r.products[part])
      } else {
        decoder.emit(asm, r.planes, temporaries: r.temporaries) { asm, field, code in
          asm.vmovdqa(target.offset(64 * field), code)
        }
      }
    }
  }
  if !spec.hasWords {
    emitScales(asm, spec, scales, panelScales, r.temporaries)
    lines.advance(asm)
  }
  for plane in 0..<level.planes { asm.add(planes[plane], 256) }
  asm.add(panel, 16 * vectorByteCount)
  asm.add(panelScales, panelScaleGroupByteCount)
  asm.dec(groups)
  asm.jnz(loop)
  if spec.hasWords {
    asm.mov(panelScales, GPR64.rdi[offset(\UnpackArguments.panelScales)])
    for part in 0..<2 { asm.vmovdqu(panelScales[32 * part], r.products[part]) }
  }
  asm.vzeroupper()
  popAll(asm, [nextPlanes, nextScales, .r12])
  asm.ret()
}

struct UnpackRegisters {
  let planes: [YMM]
  let temporaries: [YMM]
  /// The decoder's.
  let constants: [YMM]
  /// Only for words: the mask of a code's place in a word, byte orders that double even and odd bytes, and sums of products.
  let places: YMM
  let doubling: [YMM]
  let products: [YMM]

  init(_ spec: GEMMSpec) throws(AdaptQError) {
    var plan = RegisterPlan(count: 16, for: KernelName(spec).description)
    planes = try plan.take(4, "planes").map { YMM($0) }
    temporaries = try plan.take(4, "temporaries").map { YMM($0) }
    constants = try plan.take(min(CodeDecoder.constantCount(spec), 8), "constants").map { YMM($0) }
    let more = spec.hasWords ? try plan.take(5, "words").map { YMM($0) } : Array(repeating: YMM(0), count: 5)
    places = more[0]
    doubling = Array(more[1...2])
    products = Array(more[3...4])
  }
}

/// Words: merging planes leaves each code rotated left by 2r; doubling a byte to a word undoes the rotation with one
/// shift, which brings the code to bits 7 to 14: `⌊(2⁷ · U · m + 2¹⁴) / 2¹⁵⌋` is one rounding multiplication.
private func emitWords(
  _ asm: borrowing X64Assembler, _ r: UnpackRegisters, _ decoder: CodeDecoder, _ target: Mem, step: Mem, minimum: Mem,
  products: YMM
) {
  let t = r.temporaries[0]
  let rotated = decoder.mergePlanes(asm, r.planes, temporary: t)
  let words = Array(r.temporaries[1...2])
  for field in 0..<4 {
    for odd in 0..<2 {
      if field == 0 {
        if odd == 0 { asm.vpsllw(words[0], rotated[0], 7) } else { asm.vpsrlw(words[1], rotated[0], 1) }
      } else {
        asm.vpshufb(words[odd], rotated[field], r.doubling[odd])
        asm.vpsllw(words[odd], words[odd], 7 - 2 * field)
      }
      asm.vpand(words[odd], words[odd], r.places)
      asm.vpmulhrsw(words[odd], words[odd], step)
      asm.vpaddw(words[odd], words[odd], minimum)
      asm.vmovdqa(target.offset(128 * field + 64 * odd), words[odd])
    }
    asm.vpmaddwd(t, words[0], words[1])
    asm.vpsubd(products, products, t)
  }
}

/// One line of scales: `s' = s · factor · 2^(8-b)`, `lo' = (lo + s · 2^(7-b)) · factor`.
private func emitScales(
  _ asm: borrowing X64Assembler, _ spec: GEMMSpec, _ scales: GPR64, _ panelScales: GPR64, _ t: [YMM]
) {
  let bin = Float(1 << (8 - spec.level.bits))
  let (s, lo, factor, constant) = (t[0], t[1], t[2], t[3])
  asm.vbroadcastss(factor, GPR64.rdi[offset(\UnpackArguments.factor)])
  for part in 0..<2 {
    asm.vbroadcastss(constant, asm.constant32(spec.scaleKind.binOffset(spec.level)))
    emitLineScales(asm, spec.scaleKind, s: s, lo: lo, from: scales, part: part, offset: constant)
    asm.vmulps(lo, lo, factor)
    asm.vmovups(panelScales[64 + 32 * part], lo)
    asm.vmulps(s, s, factor)
    if bin != 1 {
      asm.vbroadcastss(constant, asm.constant32(bin))
      asm.vmulps(s, s, constant)
    }
    asm.vmovups(panelScales[32 * part], s)
  }
}

/// What words are made with: per group `m` and `b` of every output, each twice in 32 bits, in place of `s'` and `lo'`, and in
/// the third place of the first group the units. Uses all temporaries and planes, rax, r9 and r11.
private func emitWordScales(
  _ asm: borrowing X64Assembler, _ spec: GEMMSpec, _ r: UnpackRegisters, _ lines: ScaleLines
) {
  let (scales, panelScales, groups) = (GPR64.r9, GPR64.r11, GPR64.rax)
  let (s, lo, factor, high) = (r.temporaries[0], r.temporaries[1], r.temporaries[2], r.temporaries[3])
  let (largest, others) = (Array(r.planes[0...1]), Array(r.planes[2...3]))
  let magnitude = r.places
  asm.vbroadcastss(factor, GPR64.rdi[offset(\UnpackArguments.factor)])
  asm.vbroadcastss(magnitude, asm.constant32(0x7FFF_FFFF as UInt32))
  loadFields(
    asm, (scales, \UnpackArguments.scales), (panelScales, \UnpackArguments.panelScales),
    (groups, \UnpackArguments.groups))
  for part in largest { asm.vxorps(part, part, part) }
  lines.beginRow(asm)
  let measure = asm.here()
  for part in 0..<2 {
    if spec.scaleKind == .stepAndMinimum {
      asm.vcvtph2ps(s, scales[16 * part])
      asm.vcvtph2ps(lo, scales[32 + 16 * part])
      asm.vmulps(high, s, asm.constants32(Array(repeating: (0.5 as Float).bitPattern, count: 8)))
      asm.vaddps(lo, lo, high)
    } else {
      asm.vbroadcastss(high, asm.constant32(spec.scaleKind.binOffset(spec.level)))
      emitLineScales(asm, spec.scaleKind, s: s, lo: lo, from: scales, part: part, offset: high)
    }
    asm.vmulps(lo, lo, factor)
    asm.vmovups(panelScales[64 + 32 * part], lo)
    asm.vmulps(s, s, factor)
    asm.vmovups(panelScales[32 * part], s)
    asm.vmulps(high, s, asm.constants32(Array(repeating: (255 as Float).bitPattern, count: 8)))
    asm.vaddps(high, high, lo)
    for value in [lo, high] {
      asm.vandps(value, value, magnitude)
      asm.vmaxps(largest[part], largest[part], value)
    }
  }
  lines.advance(asm)
  asm.add(panelScales, panelScaleGroupByteCount)
  asm.dec(groups)
  asm.jnz(measure)

  loadFields(asm, (panelScales, \UnpackArguments.panelScales), (groups, \UnpackArguments.groups))
  for part in 0..<2 {
    // Exponents as they stand in the bits.
    asm.vpsrld(s, largest[part], 23)
    asm.vpmaxsd(s, s, integers(asm, 18))
    asm.vpsubd(lo, s, integers(asm, 10))
    asm.vpslld(lo, lo, 23)
    asm.vmovups(panelScales[128 + 32 * part], lo)
    for (target, sum) in [(largest[part], 272), (others[part], 264)] as [(YMM, Int32)] {
      asm.vmovdqa(target, integers(asm, sum))
      asm.vpsubd(target, target, s)
      asm.vpslld(target, target, 23)
    }
  }
  let convert = asm.here()
  for part in 0..<2 {
    for (place, multiplier) in [(32 * part, largest[part]), (64 + 32 * part, others[part])] {
      asm.vmulps(s, multiplier, panelScales[place])
      asm.vcvtps2dq(s, s)
      asm.vpslld(lo, s, 16)
      asm.vpblendw(s, s, lo, 0xAA)
      asm.vmovdqu(panelScales[place], s)
    }
  }
  asm.add(panelScales, panelScaleGroupByteCount)
  asm.dec(groups)
  asm.jnz(convert)
}
