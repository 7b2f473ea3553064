import MachineCode

/// ``UnaryArguments`` with AVX2: GELU by the same rational function as ``Gelu``, without branches or comparisons.
///
/// e ≈ erf(x/√2) = x P(x²)/Q(x²) passes 1 by 5e-7 at `edge`, so bounding x by the edge and e by 1 gives exactly x and 0
/// outside, infinities included: y = h e + h with h = max(x, -edge)/2. `max` and `min` return their second source where one
/// is NaN, so a NaN in x stays.
func emitGelu(_ asm: borrowing X64Assembler) {
  typealias V = YMM
  let (x, y, count, at) = (GPR64.rsi, GPR64.rdx, GPR64.r8, GPR64.r9)
  let function = GeluFunction(asm)
  let mask = V(15)
  loadFields(asm, (x, \UnaryArguments.x), (y, \UnaryArguments.y), (count, \UnaryArguments.count))
  let done = asm.newLabel()
  asm.test(count, count)
  asm.jle(done)
  function.loadConstants(asm)
  emitElements(
    asm, V.self, count: count, offset: at, unrolled: [2, 1],
    full: { asm, vectors in
      for chain in 0..<vectors { asm.vmovups(function.value(chain), x[at, 1, chain * V.byteCount]) }
      function.emit(asm, chains: vectors)
      for chain in 0..<vectors { asm.vmovups(y[at, 1, chain * V.byteCount], function.value(chain)) }
    },
    tail: { asm in
      V.prepareTail(asm, count: count, mask: mask)
      V.loadTail(asm, function.value(0), x[at, 1], mask: mask)
      function.emit(asm, chains: 1)
      V.storeTail(asm, y[at, 1], function.value(0), mask: mask)
    })
  asm.bind(done)
  asm.vzeroupper()
  asm.ret()
}

/// GELU on one or two vectors in registers 0 to 9; 10 to 13 hold constants.
private struct GeluFunction {
  typealias V = YMM
  let one = V(10)
  let minusOne = V(11)
  let edge = V(12)
  let minusEdge = V(13)
  private let pTerms: [Mem]
  private let qTerms: [Mem]
  private let half: Mem
  private let constants: [(V, Mem)]

  init(_ asm: borrowing X64Assembler) {
    let p: [Float] = [4.535_200_7e-8, 1.276_977_7e-5, 3.423_734_5e-4, 0.009_382_702, 0.068_134_19, 0.797_884_345]
    let q: [Float] = [1.197_848_5e-6, 7.449_91e-5, 0.001_897_476_4, 0.028_771_296, 0.252_058_95, 1]
    pTerms = repeatedTerms(asm, p)
    qTerms = repeatedTerms(asm, q)
    half = V.repeated(asm, 0.5)
    constants = [
      (one, V.repeated(asm, 1)), (minusOne, V.repeated(asm, -1)), (edge, V.repeated(asm, 5.8)),
      (minusEdge, V.repeated(asm, -5.8)),
    ]
    func repeatedTerms(_ asm: borrowing X64Assembler, _ terms: [Float]) -> [Mem] {
      var result: [Mem] = []
      for term in terms { result.append(V.repeated(asm, term)) }
      return result
    }
  }

  func loadConstants(_ asm: borrowing X64Assembler) {
    for (register, value) in constants { asm.vmovaps(register, value) }
  }

  /// x on entry of ``emit(_:chains:)``, y at its end.
  func value(_ chain: Int) -> V { V(5 * chain) }

  func emit(_ asm: borrowing X64Assembler, chains: Int) {
    func each(_ body: (_ value: V, _ bounded: V, _ square: V, _ p: V, _ q: V) -> Void) {
      for chain in 0..<chains {
        let first = 5 * chain
        body(V(first), V(first + 1), V(first + 2), V(first + 3), V(first + 4))
      }
    }
    let (pTerms, qTerms, half) = (pTerms, qTerms, half)
    each { value, _, _, _, _ in asm.vmaxps(value, minusEdge, value) }
    each { value, bounded, _, _, _ in asm.vminps(bounded, edge, value) }
    each { _, bounded, square, _, _ in asm.vmulps(square, bounded, bounded) }
    each { _, _, _, p, q in
      asm.vmovaps(q, qTerms[0])
      asm.vmovaps(p, pTerms[0])
    }
    for term in 1..<qTerms.count {
      each { _, _, square, _, q in asm.vfmadd213ps(q, square, qTerms[term]) }
      each { _, _, square, p, _ in asm.vfmadd213ps(p, square, pTerms[term]) }
    }
    each { _, bounded, _, p, _ in asm.vmulps(p, p, bounded) }
    each { _, _, _, p, q in asm.vdivps(p, p, q) }
    each { value, _, _, _, _ in asm.vmulps(value, value, half) }
    each { _, _, _, p, _ in asm.vmaxps(p, minusOne, p) }
    each { _, _, _, p, _ in asm.vminps(p, one, p) }
    each { value, _, _, p, _ in asm.vfmadd213ps(value, p, value) }
  }
}
