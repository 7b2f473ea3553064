import MachineCode

/// ``LayerNormArguments``, with the passes and the corrected mean of ``Operators``' layer normalization:
/// y = ((v - rough) · s - correction · s) · gamma + beta, s = 1 / sqrt(max(variance, 0) + eps).
func emitLayerNorm<V: VectorWidth>(_ asm: borrowing X64Assembler, _: V.Type) {
  let r = LayerNormRegisters<V>()
  pushAll(asm, [.rbx, .rbp, .r12])
  loadFields(
    asm, (r.x, \LayerNormArguments.x), (r.residual, \LayerNormArguments.residual), (r.y, \LayerNormArguments.y),
    (r.gamma, \LayerNormArguments.gamma), (r.beta, \LayerNormArguments.beta), (r.rows, \LayerNormArguments.rows),
    (r.width, \LayerNormArguments.width))
  let (done, alone) = (asm.newLabel(), asm.newLabel())
  asm.test(r.rows, r.rows)
  asm.jle(done)
  asm.test(r.width, r.width)
  asm.jle(done)
  asm.mov(r.count, r.width)
  asm.and(r.count, V.lanes - 1)
  V.prepareTail(asm, count: r.count, mask: r.tail)
  asm.vbroadcastss(r.eps, GPR64.rdi[offset(\LayerNormArguments.eps)])
  asm.vxorps(XMM(0), XMM(0), XMM(0))
  asm.vcvtsi2ss(XMM(0), XMM(0), r.width)
  asm.vbroadcastss(r.reciprocal, XMM(0))
  asm.vmovaps(V(0), V.repeated(asm, 1))
  asm.vdivps(r.reciprocal, V(0), r.reciprocal)
  asm.test(r.residual, r.residual)
  asm.jz(alone)
  emitLayerNormRows(asm, r, residual: true)
  asm.jmp(done)
  asm.bind(alone)
  emitLayerNormRows(asm, r, residual: false)
  asm.bind(done)
  asm.vzeroupper()
  popAll(asm, [.rbx, .rbp, .r12])
  asm.ret()
}

struct LayerNormRegisters<V: VectorWidth> {
  let x = GPR64.rsi
  let residual = GPR64.rdx
  let y = GPR64.rbx
  let gamma = GPR64.rbp
  let beta = GPR64.r12
  let rows = GPR64.r8
  let width = GPR64.r9
  let count = GPR64.r10
  let at = GPR64.r11

  let sums = (0..<4).map { V(4 + $0) }
  let squares = [V(8), V(9), V(11), V(14)]
  let mean = V(10)
  let shift = V(11)
  let eps = V(12)
  let reciprocal = V(13)
  let tail = V(15)
}

private func emitLayerNormRows<V: VectorWidth>(
  _ asm: borrowing X64Assembler, _ r: LayerNormRegisters<V>, residual: Bool
) {
  func add(_ asm: borrowing X64Assembler, _ target: V, _ a: V, _ b: V) { asm.vaddps(target, a, b) }
  func place(_ base: GPR64, _ index: Int) -> Mem { base[r.at, 1, index * V.byteCount] }
  asm.align(16)
  let row = asm.here()

  asm.mov(r.count, r.width)
  for sum in r.sums { asm.vxorps(sum, sum, sum) }
  emitElements(
    asm, V.self, count: r.count, offset: r.at, unrolled: [4, 1],
    full: { asm, vectors in
      for index in 0..<vectors {
        asm.vmovups(V(index), place(r.x, index))
        if residual { asm.vaddps(V(index), V(index), place(r.residual, index)) }
        asm.vmovups(place(r.y, index), V(index))
        asm.vaddps(r.sums[index], r.sums[index], V(index))
      }
    },
    tail: { asm in
      V.loadTail(asm, V(0), place(r.x, 0), mask: r.tail)
      if residual {
        V.loadTail(asm, V(1), place(r.residual, 0), mask: r.tail)
        asm.vaddps(V(0), V(0), V(1))
      }
      V.storeTail(asm, place(r.y, 0), V(0), mask: r.tail)
      asm.vaddps(r.sums[0], r.sums[0], V(0))
    })
  asm.vaddps(r.sums[0], r.sums[0], r.sums[1])
  asm.vaddps(r.sums[2], r.sums[2], r.sums[3])
  asm.vaddps(r.mean, r.sums[0], r.sums[2])
  V.fold(asm, [(r.mean, V(0))], add)
  asm.vmulps(r.mean, r.mean, r.reciprocal)

  asm.mov(r.count, r.width)
  for sum in r.sums + r.squares { asm.vxorps(sum, sum, sum) }
  emitElements(
    asm, V.self, count: r.count, offset: r.at, unrolled: [4, 1],
    full: { asm, vectors in
      for index in 0..<vectors {
        asm.vmovups(V(index), place(r.y, index))
        asm.vsubps(V(index), V(index), r.mean)
        asm.vaddps(r.sums[index], r.sums[index], V(index))
        asm.vfmadd231ps(r.squares[index], V(index), V(index))
      }
    },
    tail: { asm in
      V.loadTail(asm, V(0), place(r.y, 0), mask: r.tail)
      asm.vsubps(V(0), V(0), r.mean)
      asm.vxorps(V(1), V(1), V(1))
      V.selectTail(asm, V(1), inside: V(0), outside: V(1), mask: r.tail)
      asm.vaddps(r.sums[0], r.sums[0], V(1))
      asm.vfmadd231ps(r.squares[0], V(1), V(1))
    })
  let (shift, scale) = (r.shift, r.squares[0])
  for lists in [r.sums, r.squares] {
    asm.vaddps(lists[0], lists[0], lists[1])
    asm.vaddps(lists[2], lists[2], lists[3])
  }
  asm.vaddps(scale, scale, r.squares[2])
  asm.vaddps(shift, r.sums[0], r.sums[2])
  V.fold(asm, [(shift, V(0)), (scale, V(1))], add)
  asm.vmulps(shift, shift, r.reciprocal)
  asm.vmulps(scale, scale, r.reciprocal)
  asm.vfnmadd231ps(scale, shift, shift)
  asm.vxorps(V(0), V(0), V(0))
  asm.vmaxps(scale, V(0), scale)
  asm.vaddps(scale, scale, r.eps)
  asm.vsqrtps(scale, scale)
  asm.vmovaps(V(0), V.repeated(asm, 1))
  asm.vdivps(scale, V(0), scale)
  asm.vmulps(shift, shift, scale)

  asm.mov(r.count, r.width)
  emitElements(
    asm, V.self, count: r.count, offset: r.at, unrolled: [4, 1],
    full: { asm, vectors in
      for index in 0..<vectors {
        asm.vmovups(V(index), place(r.y, index))
        asm.vsubps(V(index), V(index), r.mean)
        asm.vfmsub213ps(V(index), scale, shift)
        asm.vmovups(V(index + 4), place(r.gamma, index))
        asm.vfmadd213ps(V(index), V(index + 4), place(r.beta, index))
        asm.vmovups(place(r.y, index), V(index))
      }
    },
    tail: { asm in
      V.loadTail(asm, V(0), place(r.y, 0), mask: r.tail)
      V.loadTail(asm, V(1), place(r.gamma, 0), mask: r.tail)
      V.loadTail(asm, V(2), place(r.beta, 0), mask: r.tail)
      asm.vsubps(V(0), V(0), r.mean)
      asm.vfmsub213ps(V(0), scale, shift)
      asm.vfmadd213ps(V(0), V(1), V(2))
      V.storeTail(asm, place(r.y, 0), V(0), mask: r.tail)
    })
  asm.add(r.x, GPR64.rdi[offset(\LayerNormArguments.xRowStride)])
  if residual { asm.add(r.residual, GPR64.rdi[offset(\LayerNormArguments.residualRowStride)]) }
  asm.add(r.y, GPR64.rdi[offset(\LayerNormArguments.yRowStride)])
  asm.dec(r.rows)
  asm.jnz(row)
}
