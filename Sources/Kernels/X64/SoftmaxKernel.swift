import MachineCode

/// ``SoftmaxArguments``: three passes over each row, as ``Operators/softmaxRows(_:rows:width:rowStride:scale:mask:maskRowStride:)``
/// has them: the maximum; exponentials and their sum; the division.
///
/// Scores are rounded once, as x · scale + mask (without a mask not at all), and computed in both passes instead of being
/// stored. An element 87.7 below
/// the maximum becomes 0.
func emitSoftmax<V: VectorWidth>(_ asm: borrowing X64Assembler, _: V.Type) {
  let r = SoftmaxRegisters<V>(asm)
  asm.push(.rbx)
  loadFields(
    asm, (r.x, \SoftmaxArguments.x), (r.mask, \SoftmaxArguments.mask), (r.rows, \SoftmaxArguments.rows),
    (r.width, \SoftmaxArguments.width))
  let (done, unmasked) = (asm.newLabel(), asm.newLabel())
  asm.test(r.rows, r.rows)
  asm.jle(done)
  asm.test(r.width, r.width)
  asm.jle(done)
  asm.mov(r.count, r.width)
  asm.and(r.count, V.lanes - 1)
  V.prepareTail(asm, count: r.count, mask: r.tail)
  asm.vbroadcastss(r.scale, GPR64.rdi[offset(\SoftmaxArguments.scale)])
  r.exponential.loadConstants(asm)
  asm.test(r.mask, r.mask)
  asm.jz(unmasked)
  emitSoftmaxRows(asm, r, masked: true)
  asm.jmp(done)
  asm.bind(unmasked)
  emitSoftmaxRows(asm, r, masked: false)
  asm.bind(done)
  asm.vzeroupper()
  asm.pop(.rbx)
  asm.ret()
}

struct SoftmaxRegisters<V: VectorWidth> {
  let x = GPR64.rsi
  let mask = GPR64.rdx
  let rows = GPR64.r8
  let width = GPR64.r9
  let count = GPR64.r10
  let at = GPR64.r11

  let exponential: ExponentialFunction<V>
  /// Maxima, then sums.
  let totals = [V(6), V(7)]
  let highest = V(8)
  let scale = V(9)
  let tail = V(15)
  let lowest: Mem

  init(_ asm: borrowing X64Assembler) {
    exponential = ExponentialFunction(asm)
    lowest = V.repeated(asm, -.infinity)
  }
}

private func emitSoftmaxRows<V: VectorWidth>(
  _ asm: borrowing X64Assembler, _ r: SoftmaxRegisters<V>, masked: Bool
) {
  let e = r.exponential
  asm.align(16)
  let row = asm.here()
  asm.mov(r.count, r.width)
  for total in r.totals { asm.vmovaps(total, r.lowest) }
  emitElements(
    asm, V.self, count: r.count, offset: r.at, unrolled: [4, 1],
    full: { asm, vectors in
      for index in 0..<vectors {
        let value = V(index)
        if masked {
          asm.vmovups(value, r.x[r.at, 1, index * V.byteCount])
          asm.vfmadd213ps(value, r.scale, r.mask[r.at, 1, index * V.byteCount])
        } else {
          asm.vmulps(value, r.scale, r.x[r.at, 1, index * V.byteCount])
        }
        asm.vmaxps(r.totals[index % 2], value, r.totals[index % 2])
      }
    },
    tail: { asm in
      V.loadTail(asm, V(0), r.x[r.at, 1], mask: r.tail)
      if masked {
        V.loadTail(asm, V(1), r.mask[r.at, 1], mask: r.tail)
        asm.vfmadd213ps(V(0), r.scale, V(1))
      } else {
        asm.vmulps(V(0), r.scale, V(0))
      }
      asm.vmovaps(V(1), r.lowest)
      V.selectTail(asm, V(1), inside: V(0), outside: V(1), mask: r.tail)
      asm.vmaxps(r.totals[0], V(1), r.totals[0])
    })
  asm.vmaxps(r.highest, r.totals[0], r.totals[1])
  V.fold(asm, [(r.highest, V(0))]) { asm, target, a, b in asm.vmaxps(target, a, b) }

  asm.mov(r.count, r.width)
  for total in r.totals { asm.vxorps(total, total, total) }
  emitElements(
    asm, V.self, count: r.count, offset: r.at, unrolled: [2, 1],
    full: { asm, vectors in
      for chain in 0..<vectors {
        let value = e.value(chain)
        asm.vmovups(value, r.x[r.at, 1, chain * V.byteCount])
        if masked {
          asm.vfmadd213ps(value, r.scale, r.mask[r.at, 1, chain * V.byteCount])
          asm.vsubps(value, value, r.highest)
        } else {
          asm.vfmsub213ps(value, r.scale, r.highest)
        }
      }
      e.emit(asm, chains: vectors)
      for chain in 0..<vectors {
        asm.vmovups(r.x[r.at, 1, chain * V.byteCount], e.result(chain))
        asm.vaddps(r.totals[chain], r.totals[chain], e.result(chain))
      }
    },
    tail: { asm in
      V.loadTail(asm, e.value(0), r.x[r.at, 1], mask: r.tail)
      if masked {
        V.loadTail(asm, V(3), r.mask[r.at, 1], mask: r.tail)
        asm.vfmadd213ps(e.value(0), r.scale, V(3))
        asm.vsubps(e.value(0), e.value(0), r.highest)
      } else {
        asm.vfmsub213ps(e.value(0), r.scale, r.highest)
      }
      e.emit(asm, chains: 1)
      V.storeTail(asm, r.x[r.at, 1], e.result(0), mask: r.tail)
      asm.vxorps(V(3), V(3), V(3))
      V.selectTail(asm, V(3), inside: e.result(0), outside: V(3), mask: r.tail)
      asm.vaddps(r.totals[0], r.totals[0], V(3))
    })
  let sum = r.totals[0]
  asm.vaddps(sum, sum, r.totals[1])
  V.fold(asm, [(sum, V(0))]) { asm, target, a, b in asm.vaddps(target, a, b) }
  asm.vmovaps(V(0), e.one)
  asm.vdivps(sum, V(0), sum)

  asm.mov(r.count, r.width)
  emitElements(
    asm, V.self, count: r.count, offset: r.at, unrolled: [4, 1],
    full: { asm, vectors in
      for index in 0..<vectors {
        asm.vmulps(V(index), sum, r.x[r.at, 1, index * V.byteCount])
        asm.vmovups(r.x[r.at, 1, index * V.byteCount], V(index))
      }
    },
    tail: { asm in
      V.loadTail(asm, V(0), r.x[r.at, 1], mask: r.tail)
      asm.vmulps(V(0), sum, V(0))
      V.storeTail(asm, r.x[r.at, 1], V(0), mask: r.tail)
    })
  asm.add(r.x, GPR64.rdi[offset(\SoftmaxArguments.rowStride)])
  if masked { asm.add(r.mask, GPR64.rdi[offset(\SoftmaxArguments.maskRowStride)]) }
  asm.dec(r.rows)
  asm.jnz(row)
}

/// e^x for x ≤ 0 on one or two vectors in registers 0 to 5; 10 to 14 hold constants. Relative error below 1.5e-7.
///
/// Cody and Waite's reduction and the coefficients of ``Operators``' exponential, with fused multiply-adds. Adding a large
/// constant leaves n + 127 in the sum's low bits, which shifted are 2^n, and 0 for n = -127, the least n that the lower bound
/// on x lets through. A NaN stays, since `max` returns its second source and the power is multiplied.
struct ExponentialFunction<V: VectorWidth> {
  let one: Mem
  private let terms: [Mem]
  private let bound = V(10)
  private let scale = V(11)
  private let magic = V(12)
  private let high = V(13)
  private let low = V(14)
  private let constants: [(V, Mem)]

  init(_ asm: borrowing X64Assembler) {
    let q: [Float] = [0.001_381_314_5, 0.008_369_419, 0.041_668_456, 0.166_665_15, 0.499_999_94, 1, 1]
    var terms: [Mem] = []
    for term in q { terms.append(V.repeated(asm, term)) }
    self.terms = terms
    one = V.repeated(asm, 1)
    constants = [
      (bound, V.repeated(asm, -88)), (scale, V.repeated(asm, 1.442_695)), (magic, V.repeated(asm, 0x1.8p23 + 127)),
      (high, V.repeated(asm, 0.693_359_375)), (low, V.repeated(asm, -2.121_944_4e-4)),
    ]
  }

  func loadConstants(_ asm: borrowing X64Assembler) {
    for (register, value) in constants { asm.vmovaps(register, value) }
  }

  /// x on entry; destroyed.
  func value(_ chain: Int) -> V { V(3 * chain) }
  func result(_ chain: Int) -> V { V(3 * chain + 2) }

  func emit(_ asm: borrowing X64Assembler, chains: Int) {
    func each(_ body: (_ x: V, _ power: V, _ p: V) -> Void) {
      for chain in 0..<chains { body(V(3 * chain), V(3 * chain + 1), V(3 * chain + 2)) }
    }
    let terms = terms
    each { x, _, _ in asm.vmaxps(x, bound, x) }
    each { _, power, _ in asm.vmovaps(power, magic) }
    each { x, power, _ in asm.vfmadd231ps(power, x, scale) }
    each { _, power, p in asm.vsubps(p, power, magic) }
    each { x, _, p in asm.vfnmadd231ps(x, p, high) }
    each { x, _, p in asm.vfnmadd231ps(x, p, low) }
    each { _, power, _ in asm.vpslld(power, power, 23) }
    each { _, _, p in asm.vmovaps(p, terms[0]) }
    for term in 1..<terms.count {
      each { x, _, p in asm.vfmadd213ps(p, x, terms[term]) }
    }
    each { _, power, p in asm.vmulps(p, p, power) }
  }
}
