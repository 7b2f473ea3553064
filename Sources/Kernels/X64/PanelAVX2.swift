import Base
import MachineCode
import NestedFormat

// Quantized activations by unpacked panels in 256-bit registers. With AVX-VNNI, `vpdpbusd` multiplies unsigned codes by signed
// activations and adds four products to 32 bits, see `emitDots`. Without, `vpmaddubsw` multiplies unsigned codes
// by signed activations and adds pairs in 16 bits, saturating: codes of b bits and |q| ≤ 127 give at most
// (2^b − 1) · 127 · 2 per step, so that many steps may be added before 16 bits are full:
//
//   8 bits: not even one; weights and activations are 16-bit words, see `emitWords`
//   6 bits: 2 steps      4 bits: 8 steps      2 bits: 43 steps, more than a group has

/// ``PanelArguments`` for any number of rows, in tiles of at most `spec.rows`. The panel is what
/// ``emitUnpackAVX2(_:_:)`` of the same level writes.
func emitPanelAVX2(_ asm: borrowing X64Assembler, _ spec: GEMMSpec) throws(AdaptQError) {
  var tiles: [PanelTileAVX2] = []
  for rows in 1...spec.rows { tiles.append(try PanelTileAVX2(rows: rows, spec)) }
  let g = PanelGeneralRegisters()
  pushAll(asm, calleeSaved)
  emitAlignedFrame(asm, byteCount: g.frameByteCount, savedPointer: g.savedPointer)
  let places: [(Mem, PartialKeyPath<PanelArguments>)] = [
    (g.tileX, \.x), (g.tileActivations, \.activations), (g.tileStart, \.start), (g.tileY, \.y),
  ]
  for (place, field) in places {
    asm.mov(g.work, GPR64.rdi[offset(field)])
    asm.mov(place, g.work)
  }
  loadFields(
    asm, (g.x.stride, \PanelArguments.xRowStride), (g.activations.stride, \PanelArguments.activationRowStride),
    (g.y.stride, \PanelArguments.yRowStride), (g.rows, \PanelArguments.rows))
  if spec.hasWords { emitAhead(asm, g) }
  emitRowTiles(asm, rows: g.rows, largest: spec.rows) { asm, size in tiles[size - 1].emit(asm, g) }
  asm.vzeroupper()
  asm.mov(GPR64.rsp, g.savedPointer)
  popAll(asm, calleeSaved)
  asm.ret()
}

/// Copies what is to be fetched to the frame, behind it twice the panel, which is there already, for all further tiles.
private func emitAhead(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegisters) {
  for half in 0..<2 {
    asm.vmovdqu(YMM(0), GPR64.rdi[offset(\PanelArguments.ahead) + 32 * half])
    asm.vmovdqu(g.ahead.offset(32 * half), YMM(0))
  }
  asm.mov(g.work, GPR64.rdi[offset(\PanelArguments.panel)])
  for place in 8..<10 { asm.mov(g.ahead.offset(8 * place), g.work) }
}

/// Roles of the general registers and of the stack frame.
struct PanelGeneralRegisters {
  let x = RowPointers(bases: [.rsi, .rbx], stride: .r8)
  /// The ``ActivationGroup`` of the current group.
  let activations = RowPointers(bases: [.r9, .r10], stride: .r15)
  let y = RowPointers(bases: [.rbp, .r12], stride: .r13)
  let panel = GPR64.rdx
  let panelScales = GPR64.rcx
  let rows = GPR64.r11
  let groups = GPR64.r14
  /// Turns left of the inner loop, or anything between groups.
  let work = GPR64.rax

  let tileX = GPR64.rsp[0]
  let tileActivations = GPR64.rsp[8]
  let tileStart = GPR64.rsp[16]
  let tileY = GPR64.rsp[24]
  let savedPointer = GPR64.rsp[40]
  /// Words: pairs of addresses to fetch from, the current tile's first.
  let ahead = GPR64.rsp[64]
  /// Bytes: 32-bit sums that do not fit the registers while 16-bit ones are added up.
  let sums = 64
  let frameByteCount = 64 + 12 * 32
}

/// One tile of `rows` rows by 16 outputs.
struct PanelTileAVX2 {
  let rows: Int
  let level: Level
  /// Whether activations and the panel are words.
  let words: Bool
  /// Whether there is `vpdpbusd`.
  let dots: Bool
  let accumulators: [YMM]
  let weights: [YMM]
  let temporaries: [YMM]

  init(rows: Int, _ spec: GEMMSpec) throws(AdaptQError) {
    self.rows = rows
    level = spec.level
    words = spec.hasWords
    dots = spec.isa == .avxvnni
    var plan = RegisterPlan(count: 16, for: KernelName(spec).description)
    // As second operands low registers make shorter instructions, and the decoded form of fewer bytes is denser.
    let wide = words || (level == .int6 && !dots)
    temporaries = try plan.take(wide ? 4 : 2, "products").map { YMM($0) }
    weights = try plan.take(wide ? 4 : 2, "weights").map { YMM($0) }
    accumulators = try plan.take(rows * 2, "accumulators").map { YMM($0) }
  }

  /// Bytes of activations that one turn of the inner loop takes.
  private var turnByteCount: Int { words ? 32 : 16 }
  private var turns: Int { (words ? 128 : 64) / turnByteCount }

  func emit(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegisters) {
    loadFields(
      asm, (g.panel, \PanelArguments.panel), (g.panelScales, \PanelArguments.panelScales),
      (g.groups, \PanelArguments.groups))
    asm.mov(g.x.bases[0], g.tileX)
    asm.mov(g.activations.bases[0], g.tileActivations)
    asm.mov(g.y.bases[0], g.tileY)
    for pointers in [g.x, g.activations, g.y] { pointers.derive(asm, rows: rows) }
    if words { emitWords(asm, g) } else { emitGroups(asm, g) }
    // The next tile.
    let strides: [(Mem, PartialKeyPath<PanelArguments>)] = [
      (g.tileX, \.xRowStride), (g.tileActivations, \.activationRowStride), (g.tileStart, \.startRowStride),
      (g.tileY, \.yRowStride),
    ]
    for (place, stride) in strides {
      asm.mov(g.work, GPR64.rdi[offset(stride)])
      asm.imul(g.work, g.work, rows)
      asm.add(place, g.work)
    }
  }

  /// Bytes: integers per group, added to y, which begins as `start`.
  private func emitGroups(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegisters) {
    let ready = asm.newLabel()
    asm.mov(g.work, g.tileStart)
    asm.cmp(g.work, g.y.bases[0])
    asm.je(ready)
    for row in 0..<rows {
      for part in 0..<2 {
        asm.vmovups(temporaries[part], g.work[32 * part])
        asm.vmovups(g.y.address(row, 32 * part), temporaries[part])
      }
      asm.add(g.work, GPR64.rdi[offset(\PanelArguments.startRowStride)])
    }
    asm.bind(ready)
    let group = asm.here()
    if dots {
      emitDots(asm, g)
    } else if level == .int6 {
      emitPairs(asm, g)
    } else {
      emitBytes(asm, g)
    }
    emitGroupEnd(asm, g)
    asm.add(g.panelScales, panelScaleGroupByteCount)
    g.activations.advance(asm, rows: rows, by: MemoryLayout<ActivationGroup>.stride)
    asm.dec(g.groups)
    asm.jnz(group)
  }

  /// Words: 16-bit fixed-point numbers whose products add up exactly in 32 bits over all groups, with half the
  /// multiplications of the plain sum.
  ///
  /// Scales per group would cost as much as eight of 64 products (measured on Zen 3: 24.7 against 27.8 products per cycle).
  ///
  /// Winograd, "A new algorithm for inner product", IEEE Transactions on Computers C-17, 1968:
  /// `x0 · u0 + x1 · u1 = (x0 + u1) · (x1 + u0) − x0 · x1 − u0 · u1`. The last two terms are sums over a row's or an output's
  /// chunk, known from writing words and unpacking. Additions run on twice as many ports as multiplications, so that four
  /// instructions for 32 products keep all ports busy where `vpmaddwd` and `vpaddd` in equal numbers do not (measured on
  /// Zen 3: 27.9 against 24.8 products per cycle). Words stay below 2¹⁴ and 2¹², so their sums fit 16 bits; 32-bit sums may
  /// wrap on the way, the result does not.
  private func emitWords(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegisters) {
    let t = temporaries
    for row in 0..<rows {
      asm.vpbroadcastd(t[row % 4], g.activations.address(row, offset(\ActivationGroup.negativePairs)))
      for part in 0..<2 { asm.vpaddd(accumulators[2 * row + part], t[row % 4], g.panelScales[32 * part]) }
    }
    asm.imul(g.groups, g.groups, turns)
    // Unpacking is too short to fetch what it needs next: the requests would queue up. Here two lines per turn go unnoticed.
    // The inputs move 32 bytes per turn.
    let ahead = [g.work, g.y.bases[1]]
    for (index, pointer) in ahead.enumerated() {
      asm.mov(pointer, g.ahead.offset(8 * index))
      for _ in 0..<2 { asm.sub(pointer, g.x.bases[0]) }
    }
    asm.align(32)
    let loop = asm.here()
    for pointer in ahead { asm.prefetcht1(pointer[g.x.bases[0], 2]) }
    for vector in 0..<(turnByteCount / 8) {
      // Even inputs of both halves of the outputs, then odd inputs.
      for part in 0..<4 { asm.vmovdqa(weights[part], g.panel[128 * vector + 32 * part]) }
      for row in 0..<rows {
        asm.vpbroadcastd(t[0], g.x.address(row, 8 * vector))
        asm.vpbroadcastd(t[1], g.x.address(row, 8 * vector + 4))
        asm.vpaddw(t[2], weights[2], t[0])
        asm.vpaddw(t[0], weights[3], t[0])
        asm.vpaddw(t[3], weights[0], t[1])
        asm.vpaddw(t[1], weights[1], t[1])
        asm.vpmaddwd(t[2], t[2], t[3])
        asm.vpmaddwd(t[0], t[0], t[1])
        asm.vpaddd(accumulators[2 * row], accumulators[2 * row], t[2])
        asm.vpaddd(accumulators[2 * row + 1], accumulators[2 * row + 1], t[0])
      }
    }
    asm.add(g.panel, 128 * turnByteCount / 8)
    g.x.advance(asm, rows: rows, by: turnByteCount)
    asm.dec(g.groups)
    asm.jnz(loop)
    for half in 0..<2 { asm.vmovdqu(t[half], g.ahead.offset(16 + 32 * half)) }
    for half in 0..<2 { asm.vmovdqu(g.ahead.offset(32 * half), t[half]) }
    // y = start + wordScale · S · A
    g.y.derive(asm, rows: rows)
    asm.mov(g.work, g.tileStart)
    for row in 0..<rows {
      asm.vbroadcastss(t[0], g.activations.address(row, offset(\ActivationGroup.shared)))
      for part in 0..<2 {
        let sum = accumulators[2 * row + part]
        asm.vmulps(t[1 + part], t[0], g.panelScales[128 + 32 * part])
        asm.vcvtdq2ps(sum, sum)
        asm.vfmadd213ps(sum, t[1 + part], g.work[32 * part])
        asm.vmovups(g.y.address(row, 32 * part), sum)
      }
      asm.add(g.work, GPR64.rdi[offset(\PanelArguments.startRowStride)])
    }
  }

  /// AVX-VNNI, any level: 32-bit sums, the same code at every level. |Σ| ≤ 64 · 127 · 255 < 2³¹.
  private func emitDots(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegisters) {
    for sum in accumulators { asm.vpxor(sum, sum, sum) }
    for step in 0..<16 {
      for part in 0..<2 { asm.vmovdqa(weights[part], g.panel[64 * step + 32 * part]) }
      for row in 0..<rows {
        let broadcast = temporaries[row % 2]
        asm.vpbroadcastd(broadcast, g.x.address(row, 4 * step))
        for part in 0..<2 { asm.vpdpbusdVEX(accumulators[2 * row + part], weights[part], broadcast) }
      }
    }
    asm.add(g.panel, 1024)
    g.x.advance(asm, rows: rows, by: 64)
  }

  /// 6 bits: two steps fit 16 bits. Both halves of the outputs share what was broadcast, which takes four registers of weights
  /// and four for products, and leaves them to four rows.
  private func emitPairs(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegisters) {
    let ones = asm.constants32(Array(repeating: 0x0001_0001, count: 8))
    let t = temporaries
    for accumulator in accumulators { asm.vpxor(accumulator, accumulator, accumulator) }
    emitTurns(asm, g) { asm in
      for pair in 0..<(turnByteCount / 8) {
        // The first step's halves, then the second's.
        for part in 0..<4 { asm.vmovdqa(weights[part], g.panel[128 * pair + 32 * part]) }
        for row in 0..<rows {
          asm.vpbroadcastd(t[0], g.x.address(row, 8 * pair))
          asm.vpbroadcastd(t[1], g.x.address(row, 8 * pair + 4))
          asm.vpmaddubsw(t[2], weights[0], t[0])
          asm.vpmaddubsw(t[3], weights[2], t[1])
          asm.vpmaddubsw(t[0], weights[1], t[0])
          asm.vpmaddubsw(t[1], weights[3], t[1])
          asm.vpaddw(t[2], t[2], t[3])
          asm.vpaddw(t[0], t[0], t[1])
          asm.vpmaddwd(t[2], t[2], ones)
          asm.vpmaddwd(t[0], t[0], ones)
          asm.vpaddd(accumulators[2 * row], accumulators[2 * row], t[2])
          asm.vpaddd(accumulators[2 * row + 1], accumulators[2 * row + 1], t[0])
        }
      }
      asm.add(g.panel, 64 * turnByteCount / 4)
    }
  }

  /// 4 and 2 bits: 16-bit sums over 8 steps (4 bits, two turns) or the whole group (2 bits).
  private func emitBytes(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegisters) {
    let ones = asm.constants32(Array(repeating: 0x0001_0001, count: 8))
    let (product, broadcast) = (temporaries[0], temporaries[1])
    for turn in 0..<2 {
      for step in 0..<8 {
        // The first product of a sum needs no addition.
        let first = step == 0 && (turn == 0 || level == .int4)
        for part in 0..<2 { asm.vmovdqa(weights[part], g.panel[64 * (8 * turn + step) + 32 * part]) }
        for row in 0..<rows {
          let sums = (accumulators[2 * row], accumulators[2 * row + 1])
          asm.vpbroadcastd(broadcast, g.x.address(row, 32 * turn + 4 * step))
          if first {
            asm.vpmaddubsw(sums.0, weights[0], broadcast)
            asm.vpmaddubsw(sums.1, weights[1], broadcast)
          } else {
            asm.vpmaddubsw(product, weights[0], broadcast)
            asm.vpaddw(sums.0, sums.0, product)
            asm.vpmaddubsw(broadcast, weights[1], broadcast)
            asm.vpaddw(sums.1, sums.1, broadcast)
          }
        }
      }
      if turn == 1 || level == .int4 {
        for (index, sum) in accumulators.enumerated() {
          let stored = GPR64.rsp[g.sums + 32 * index]
          asm.vpmaddwd(sum, sum, ones)
          if level == .int4 {
            if turn == 0 { asm.vmovdqu(stored, sum) } else { asm.vpaddd(sum, sum, stored) }
          }
        }
      }
    }
    asm.add(g.panel, 1024)
    g.x.advance(asm, rows: rows, by: 64)
  }

  private func emitTurns(
    _ asm: borrowing X64Assembler, _ g: PanelGeneralRegisters, _ turn: (borrowing X64Assembler) -> Void
  ) {
    asm.mov(g.work, turns)
    asm.align(32)
    let loop = asm.here()
    turn(asm)
    g.x.advance(asm, rows: rows, by: turnByteCount)
    asm.dec(g.work)
    asm.jnz(loop)
  }

  /// y += scale · (s' · A) + offset · lo'
  private func emitGroupEnd(_ asm: borrowing X64Assembler, _ g: PanelGeneralRegisters) {
    let (scale, offsetFactor) = (temporaries[0], temporaries[1])
    for row in 0..<rows {
      asm.vbroadcastss(scale, g.activations.address(row, offset(\ActivationGroup.scale)))
      asm.vbroadcastss(offsetFactor, g.activations.address(row, offset(\ActivationGroup.offset)))
      for part in 0..<2 {
        let sum = accumulators[2 * row + part]
        asm.vcvtdq2ps(sum, sum)
        asm.vmulps(sum, sum, g.panelScales[32 * part])
        asm.vfmadd213ps(sum, scale, g.y.address(row, 32 * part))
        asm.vfmadd231ps(sum, offsetFactor, g.panelScales[64 + 32 * part])
        asm.vmovups(g.y.address(row, 32 * part), sum)
      }
    }
  }
}
