import MachineCode

/// What differs between 256 and 512 bits in element-wise code: how a part of a vector is loaded, stored and selected (a
/// vector as mask, or `k1`), and how lanes are folded.
protocol VectorWidth: WideRegister {
  /// Makes the tail's mask for `count` elements, 1 to all but one of a vector. Uses rax and rcx; `mask` is kept for the
  /// other functions where masks are vectors.
  static func prepareTail(_ asm: borrowing X64Assembler, count: GPR64, mask: Self)
  /// The tail's elements, then zeros; memory beyond is not touched.
  static func loadTail(_ asm: borrowing X64Assembler, _ target: Self, _ source: Mem, mask: Self)
  static func storeTail(_ asm: borrowing X64Assembler, _ target: Mem, _ source: Self, mask: Self)
  /// `target` = `inside` in the tail's lanes, else `outside`. `target` may be `outside`, not `inside`.
  static func selectTail(_ asm: borrowing X64Assembler, _ target: Self, inside: Self, outside: Self, mask: Self)
  /// Exchanges blocks of 128 bits; after all steps every block has met every other.
  static func exchangeBlocks(_ asm: borrowing X64Assembler, _ target: Self, _ source: Self, step: Int)
  static var blockSteps: Int { get }
}

extension YMM: VectorWidth {
  static func prepareTail(_ asm: borrowing X64Assembler, count: GPR64, mask: YMM) {
    let table = asm.constants32(Array(repeating: ~0, count: 8) + Array(repeating: 0, count: 8))
    asm.lea(.rcx, table)
    asm.mov(GPR64.rax, count)
    asm.neg(GPR64.rax)
    asm.vmovdqu(mask, GPR64.rcx[.rax, 4, 32])
  }

  static func loadTail(_ asm: borrowing X64Assembler, _ target: YMM, _ source: Mem, mask: YMM) {
    asm.vmaskmovps(target, mask, source)
  }

  static func storeTail(_ asm: borrowing X64Assembler, _ target: Mem, _ source: YMM, mask: YMM) {
    asm.vmaskmovps(target, mask, source)
  }

  static func selectTail(_ asm: borrowing X64Assembler, _ target: YMM, inside: YMM, outside: YMM, mask: YMM) {
    asm.vblendvps(target, outside, inside, mask)
  }

  static func exchangeBlocks(_ asm: borrowing X64Assembler, _ target: YMM, _ source: YMM, step: Int) {
    asm.vperm2f128(target, source, source, 1)
  }

  static var blockSteps: Int { 1 }
}

extension ZMM: VectorWidth {
  static func prepareTail(_ asm: borrowing X64Assembler, count: GPR64, mask: ZMM) {
    asm.mov(GPR64.rcx, count)
    asm.mov(GPR32.eax, 1)
    asm.shl.byCL(GPR32.eax)
    asm.dec(GPR32.eax)
    asm.kmovd(OpMask.k1, GPR32.eax)
  }

  static func loadTail(_ asm: borrowing X64Assembler, _ target: ZMM, _ source: Mem, mask: ZMM) {
    asm.vmovups(target.zeroed(.k1), source)
  }

  static func storeTail(_ asm: borrowing X64Assembler, _ target: Mem, _ source: ZMM, mask: ZMM) {
    asm.vmovups(target.masked(.k1), source)
  }

  static func selectTail(_ asm: borrowing X64Assembler, _ target: ZMM, inside: ZMM, outside: ZMM, mask: ZMM) {
    if target != outside { asm.vmovaps(target, outside) }
    asm.vmovaps(target.masked(.k1), inside)
  }

  static func exchangeBlocks(_ asm: borrowing X64Assembler, _ target: ZMM, _ source: ZMM, step: Int) {
    asm.vshuff32x4(target, source, source, step == 0 ? 0x4E : 0xB1)
  }

  static var blockSteps: Int { 2 }
}

extension VectorWidth {
  static var lanes: Int { byteCount / 4 }

  /// A float in every lane of a constant.
  static func repeated(_ asm: borrowing X64Assembler, _ value: Float) -> Mem {
    asm.constants32(Array(repeating: value.bitPattern, count: lanes))
  }

  /// Calls `combine(target, a, b)` until every lane of `values` holds the combination of all; several values at once hide
  /// each other's latency.
  static func fold(
    _ asm: borrowing X64Assembler, _ values: [(value: Self, temporary: Self)],
    _ combine: (borrowing X64Assembler, Self, Self, Self) -> Void
  ) {
    for step in 0..<(blockSteps + 2) {
      for (value, temporary) in values {
        if step < blockSteps {
          exchangeBlocks(asm, temporary, value, step: step)
        } else {
          asm.vpermilps(temporary, value, step == blockSteps ? 0x4E : 0xB1)
        }
      }
      for (value, temporary) in values { combine(asm, value, value, temporary) }
    }
  }
}

/// Runs over `count` elements, a register that is consumed: `full(n)` for `n` whole vectors at `offset` while they last,
/// with each `n` of `unrolled` in order, the largest first, and `tail` for the rest, whose mask was prepared. `offset` counts
/// bytes from 0.
func emitElements<V: VectorWidth>(
  _ asm: borrowing X64Assembler, _: V.Type, count: GPR64, offset: GPR64, unrolled: [Int],
  full: (borrowing X64Assembler, Int) -> Void, tail: (borrowing X64Assembler) -> Void
) {
  asm.xor(offset.r32, offset.r32)
  for vectors in unrolled {
    let elements = vectors * V.lanes
    emitWholeTurns(asm, count, of: elements) { asm in
      full(asm, vectors)
      asm.add(offset, 4 * elements)
    }
  }
  // The flags are those of the count.
  let done = asm.newLabel()
  asm.jz(done)
  tail(asm)
  asm.bind(done)
}
