import MachineCode

/// The softmax of ``emitAttention(_:)``: scores become bfloat16 probabilities in their own memory, not yet divided by their
/// sum, whose reciprocal goes to the frame. Four rows at once, so that short rows hide each other's latencies.
///
/// 2^u = 2^⌊u⌋ · p(u - ⌊u⌋), `p` a minimax fit of degree 3 on [0, 1) with a relative error below 2^-13.7, little beside
/// the 2^-8 of rounding to bfloat16. `vscalefps` takes care of everything far below the maximum.
func emitAttentionSoftmax(_ asm: borrowing X64Assembler, _ f: AttentionFrame) {
  let r = AttentionSoftmaxRegisters(asm)
  loadFields(
    asm, (r.group, \AttentionArguments.scores), (r.rows.stride, \AttentionArguments.scoreStride),
    (r.keys, \AttentionArguments.keys))
  asm.mov(r.groups, f.tileRows)
  asm.shr(r.groups, 2)
  asm.mov(r.count, r.keys)
  asm.and(r.count, 31)
  asm.mov(r.left, r.count)
  emitMasks(asm, count: r.left, .k1, .k2)
  r.loadConstants(asm)
  asm.lea(r.reciprocals, f.reciprocals)
  let (unmasked, done) = (asm.newLabel(), asm.newLabel())
  asm.mov(r.mask, GPR64.rdi[offset(\AttentionArguments.mask)])
  asm.test(r.mask, r.mask)
  asm.jz(unmasked)
  emitGroups(asm, r, masked: true)
  asm.jmp(done)
  asm.bind(unmasked)
  emitGroups(asm, r, masked: false)
  asm.bind(done)
}

private struct AttentionSoftmaxRegisters {
  let group = GPR64.r9
  let rows = RowPointers(bases: [.rbx, .rbp], stride: .r8)
  let targets = RowPointers(bases: [.r12, .r13], stride: .r8)
  let keys = GPR64.r10
  let groups = GPR64.r14
  let count = GPR64.r15
  let left = GPR64.rdx
  let mask = GPR64.rsi
  /// Moves along the mask.
  let maskAt = GPR64.rdx
  let reciprocals = GPR64.r11

  /// Maxima, then sums.
  let sums = (12..<16).map { ZMM($0) }
  let highest = (16..<20).map { ZMM($0) }
  let added = [ZMM(20), ZMM(21)]
  let terms = (23..<27).map { ZMM($0) }
  private let values: [Float] = [0.078_024_54, 0.226_067_2, 0.695_833_5, 0.999_925_26]
  private let constants: [Mem]
  let lowest: Mem
  let one: Mem

  init(_ asm: borrowing X64Assembler) {
    var constants: [Mem] = []
    for value in values { constants.append(asm.constant32(value)) }
    self.constants = constants
    lowest = asm.constant32(-Float.infinity)
    one = asm.constant32(Float(1))
  }

  func loadConstants(_ asm: borrowing X64Assembler) {
    for (term, value) in zip(terms, constants) { asm.vbroadcastss(term, value) }
  }

  func start(_ asm: borrowing X64Assembler, masked: Bool) {
    asm.mov(rows.bases[0], group)
    rows.derive(asm, rows: 4)
    asm.mov(count, keys)
    if masked { asm.mov(maskAt, mask) }
  }
}

private func emitGroups(_ asm: borrowing X64Assembler, _ r: AttentionSoftmaxRegisters, masked: Bool) {
  asm.align(16)
  let next = asm.here()
  r.start(asm, masked: masked)
  for highest in r.highest { asm.vbroadcastss(highest, r.lowest) }
  emitKeys(asm, r, masked: masked) { asm, isTail in
    for row in 0..<4 {
      for part in 0..<2 {
        let (score, place) = (ZMM(2 * row + part), r.rows.address(row, 64 * part))
        if masked { asm.vaddps(score, r.added[part], place) } else { asm.vmovups(score, place) }
      }
    }
    for part in 0..<2 {
      for row in 0..<4 {
        // The maximum so far is the second source: it stays where a score is NaN.
        let (score, highest) = (ZMM(2 * row + part), r.highest[row])
        if isTail {
          asm.vmaxps(highest.masked(part == 0 ? .k1 : .k2), score, highest)
        } else {
          asm.vmaxps(highest, score, highest)
        }
      }
    }
  }
  emitFold(asm, r.highest) { asm, target, a, b in asm.vmaxps(target, a, b) }
  for row in (0..<4).reversed() { asm.vpermilps(r.highest[row], r.highest[0], 0x55 * row) }

  r.start(asm, masked: masked)
  asm.mov(r.targets.bases[0], r.group)
  r.targets.derive(asm, rows: 4)
  for sum in r.sums { asm.vpxord(sum, sum, sum) }
  emitKeys(asm, r, masked: masked) { asm, isTail in
    for row in 0..<4 {
      emitPowers(asm, r, row, masked: masked, isTail: isTail)
    }
    r.targets.advance(asm, rows: 4, by: 64)
  }
  emitFold(asm, r.sums) { asm, target, a, b in asm.vaddps(target, a, b) }
  asm.vbroadcastss(XMM(0), r.one)
  asm.vdivps(XMM(0), XMM(0), r.sums[0].xmm)
  asm.vmovups(r.reciprocals[0], XMM(0))
  asm.add(r.reciprocals, 16)
  // Four rows on.
  asm.lea(r.group, r.group[r.rows.stride, 4])
  asm.dec(r.groups)
  asm.jnz(next)
}

/// Combines the lanes of each of four vectors; every block of 128 bits of the first then holds the four results. Uses
/// registers 0 to 3.
private func emitFold(
  _ asm: borrowing X64Assembler, _ values: [ZMM], _ combine: (borrowing X64Assembler, ZMM, ZMM, ZMM) -> Void
) {
  let all = values[0]
  for pair in 0..<2 {
    let (a, b) = (values[2 * pair], values[2 * pair + 1])
    asm.vpunpckldq(ZMM(2 * pair), a, b)
    asm.vpunpckhdq(ZMM(2 * pair + 1), a, b)
  }
  for pair in 0..<2 { combine(asm, ZMM(2 * pair), ZMM(2 * pair), ZMM(2 * pair + 1)) }
  asm.vpunpcklqdq(ZMM(1), ZMM(0), ZMM(2))
  asm.vpunpckhqdq(ZMM(3), ZMM(0), ZMM(2))
  combine(asm, all, ZMM(1), ZMM(3))
  for immediate in [0x4E, 0xB1] {
    asm.vshuff32x4(ZMM(0), all, all, immediate)
    combine(asm, all, all, ZMM(0))
  }
}

/// 32 keys of one row.
private func emitPowers(
  _ asm: borrowing X64Assembler, _ r: AttentionSoftmaxRegisters, _ row: Int, masked: Bool, isTail: Bool
) {
  let first = row % 2 * 6
  func u(_ part: Int) -> ZMM { ZMM(first + part) }
  func fraction(_ part: Int) -> ZMM { ZMM(first + 2 + part) }
  func power(_ part: Int) -> ZMM { ZMM(first + 4 + part) }
  func each(_ body: (Int) -> Void) { for part in 0..<2 { body(part) } }
  each { part in
    let place = r.rows.address(row, 64 * part)
    if masked { asm.vaddps(u(part), r.added[part], place) } else { asm.vmovups(u(part), place) }
  }
  each { asm.vsubps(u($0), u($0), r.highest[row]) }
  // u - ⌊u⌋
  each { asm.vreduceps(fraction($0), u($0), 0x09) }
  each { asm.vmovaps(power($0), r.terms[0]) }
  for term in 1..<4 { each { asm.vfmadd213ps(power($0), fraction($0), r.terms[term]) } }
  each { part in
    if isTail {
      asm.vscalefps(power(part).zeroed(part == 0 ? .k1 : .k2), power(part), u(part))
    } else {
      asm.vscalefps(power(part), power(part), u(part))
    }
  }
  each { asm.vaddps(r.sums[row], r.sums[row], power($0)) }
  asm.vcvtne2ps2bf16(power(0), power(1), power(0))
  asm.vmovups(r.targets.address(row), power(0))
}

/// `body` for every 32 keys, and for what is left over, under the masks k1 and k2.
private func emitKeys(
  _ asm: borrowing X64Assembler, _ r: AttentionSoftmaxRegisters, masked: Bool,
  _ body: (borrowing X64Assembler, _ isTail: Bool) -> Void
) {
  func load(_ asm: borrowing X64Assembler) {
    if masked { for part in 0..<2 { asm.vmovups(r.added[part], r.maskAt[64 * part]) } }
  }
  emitWholeTurns(asm, r.count, of: 32) { asm in
    load(asm)
    body(asm, false)
    r.rows.advance(asm, rows: 4, by: 128)
    if masked { asm.add(r.maskAt, 128) }
  }
  let whole = asm.newLabel()
  asm.test(r.count, r.count)
  asm.jz(whole)
  load(asm)
  body(asm, true)
  asm.bind(whole)
}
