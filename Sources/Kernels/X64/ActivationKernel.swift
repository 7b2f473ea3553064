import MachineCode

/// ``ActivationPieces`` on vectors of 16: from register 16 on stand the constants, and behind them two registers of coefficients for
/// each power.
struct ActivationRegisters {
  /// Clears signs.
  let magnitudes = ZMM(16)
  private let edge = ZMM(17)
  private let perWidth = ZMM(18)
  private let shift = ZMM(19)
  private let zero = ZMM(20)
  private let pieces: ActivationPieces
  private let tables: [(low: ZMM, high: ZMM)]
  private let terms: [Mem]

  /// Registers that one chain uses: x on entry and the result at its end, and four more.
  static let chainRegisters = 5
  /// First registers of four chains at degree 2, which leaves 27 to 31.
  static let fourChains = [0, 5, 10, 27]

  init(_ asm: borrowing X64Assembler, _ pieces: ActivationPieces) {
    self.pieces = pieces
    var (tables, terms): ([(low: ZMM, high: ZMM)], [Mem]) = ([], [])
    for (power, values) in pieces.terms.enumerated() {
      tables.append((ZMM(21 + 2 * power), ZMM(22 + 2 * power)))
      terms.append(asm.constants32(values.map(\.bitPattern)))
    }
    self.tables = tables
    self.terms = terms
  }

  func loadConstants(_ asm: borrowing X64Assembler) {
    asm.vpbroadcastd(magnitudes, asm.constant32(0x7FFF_FFFF as UInt32))
    asm.vpxord(zero, zero, zero)
    if pieces.isPlain { return }
    asm.vbroadcastss(edge, asm.constant32(pieces.edge))
    asm.vbroadcastss(perWidth, asm.constant32(pieces.perWidth))
    asm.vbroadcastss(shift, asm.constant32(ActivationPieces.shift))
    for (table, values) in zip(tables, terms) {
      asm.vmovaps(table.low, values)
      asm.vmovaps(table.high, values.offset(64))
    }
  }

  /// `first`: the first register of each chain.
  func emit(_ asm: borrowing X64Assembler, chains first: [Int]) {
    func each(_ body: (_ x: ZMM, _ magnitude: ZMM, _ index: ZMM, _ sum: ZMM, _ term: ZMM) -> Void) {
      for first in first { body(ZMM(first), ZMM(first + 1), ZMM(first + 2), ZMM(first + 3), ZMM(first + 4)) }
    }
    if pieces.isPlain {
      // The second source where one is NaN.
      each { x, _, _, _, _ in asm.vmaxps(x, zero, x) }
      return
    }
    // The smaller magnitude, without its sign; the edge where x is no number, which comes back by the maximum.
    each { x, magnitude, _, _, _ in asm.vrangeps(magnitude, x, edge, 0x0A) }
    each { _, magnitude, index, _, _ in
      asm.vmovaps(index, shift)
      asm.vfmadd231ps(index, magnitude, perWidth)
    }
    let highest = tables.count - 1
    each { _, _, index, sum, _ in
      asm.vmovaps(sum, index)
      asm.vpermi2ps(sum, tables[highest].low, tables[highest].high)
    }
    for power in (1..<highest).reversed() {
      each { _, magnitude, index, sum, term in
        asm.vmovaps(term, index)
        asm.vpermi2ps(term, tables[power].low, tables[power].high)
        asm.vfmadd213ps(sum, magnitude, term)
      }
    }
    each { _, magnitude, index, sum, _ in
      asm.vpermi2ps(index, tables[0].low, tables[0].high)
      asm.vfmadd213ps(sum, magnitude, index)
    }
    // The second source where one is NaN.
    each { x, _, _, _, _ in asm.vmaxps(x, zero, x) }
    each { x, _, _, sum, _ in asm.vsubps(x, x, sum) }
  }
}

/// ``UnaryArguments`` for the activations of ``ActivationPieces``.
func emitActivation(_ asm: borrowing X64Assembler, _ pieces: ActivationPieces) {
  let (x, y, count, at) = (GPR64.rsi, GPR64.rdx, GPR64.r8, GPR64.r9)
  let function = ActivationRegisters(asm, pieces)
  let mask = ZMM(15)
  loadFields(asm, (x, \UnaryArguments.x), (y, \UnaryArguments.y), (count, \UnaryArguments.count))
  let done = asm.newLabel()
  asm.test(count, count)
  asm.jle(done)
  function.loadConstants(asm)
  let chains = [0, ActivationRegisters.chainRegisters]
  emitElements(
    asm, ZMM.self, count: count, offset: at, unrolled: [2, 1],
    full: { asm, vectors in
      for chain in 0..<vectors { asm.vmovups(ZMM(chains[chain]), x[at, 1, chain * ZMM.byteCount]) }
      function.emit(asm, chains: Array(chains.prefix(vectors)))
      for chain in 0..<vectors { asm.vmovups(y[at, 1, chain * ZMM.byteCount], ZMM(chains[chain])) }
    },
    tail: { asm in
      ZMM.prepareTail(asm, count: count, mask: mask)
      ZMM.loadTail(asm, ZMM(0), x[at, 1], mask: mask)
      function.emit(asm, chains: [0])
      ZMM.storeTail(asm, y[at, 1], ZMM(0), mask: mask)
    })
  asm.bind(done)
  asm.vzeroupper()
  asm.ret()
}
