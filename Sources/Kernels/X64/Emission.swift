import MachineCode

// What all generators share. Kernels follow the System V calling convention: the argument pointer arrives in rdi, rbx,
// rbp and r12 to r15 are saved by those that use them, vector registers are free.

/// The displacement of a field of an argument struct. Key paths of stored fields always have one.
func offset<Root>(_ field: PartialKeyPath<Root>) -> Int {
  MemoryLayout<Root>.offset(of: field) ?? -1 << 40
}

/// Loads 64-bit fields of the argument struct at rdi.
func loadFields<Root>(_ asm: borrowing X64Assembler, _ fields: (GPR64, PartialKeyPath<Root>)...) {
  for (register, field) in fields { asm.mov(register, GPR64.rdi[offset(field)]) }
}

let calleeSaved: [GPR64] = [.rbx, .rbp, .r12, .r13, .r14, .r15]

func pushAll(_ asm: borrowing X64Assembler, _ registers: [GPR64]) {
  for register in registers { asm.push(register) }
}

func popAll(_ asm: borrowing X64Assembler, _ registers: [GPR64]) {
  for register in registers.reversed() { asm.pop(register) }
}

/// Makes room for `byteCount` bytes on the stack at a multiple of 64 and keeps the old stack pointer in `savedPointer`, a
/// place in the new frame. Uses rax.
func emitAlignedFrame(_ asm: borrowing X64Assembler, byteCount: Int, savedPointer: Mem) {
  asm.mov(GPR64.rax, GPR64.rsp)
  asm.sub(GPR64.rsp, byteCount)
  asm.and(GPR64.rsp, -64)
  asm.mov(savedPointer, GPR64.rax)
}

/// Rows at a stride, reachable from pointers that are three rows apart: `base[0] + {0, 1, 2} · stride`, and so on.
struct RowPointers {
  let bases: [GPR64]
  let stride: GPR64

  /// The address of `row`, which must be below three times the number of bases, plus `displacement`.
  func address(_ row: Int, _ displacement: Int = 0) -> Mem {
    let base = bases[row / 3]
    switch row % 3 {
    case 0: return base[displacement]
    case 1: return base[stride, 1, displacement]
    default: return base[stride, 2, displacement]
    }
  }

  /// Derives the further bases from the first, for `rows` rows.
  func derive(_ asm: borrowing X64Assembler, rows: Int) {
    for index in bases.indices.dropFirst() where index * 3 < rows {
      asm.lea(bases[index], bases[index - 1][stride, 2])
      asm.add(bases[index], stride)
    }
  }

  /// Moves all bases used by `rows` rows by `bytes`.
  func advance(_ asm: borrowing X64Assembler, rows: Int, by bytes: Int) {
    for (index, base) in bases.enumerated() where index * 3 < rows { asm.add(base, bytes) }
  }
}

/// Emits a loop that takes `steps` from `count` as long as that leaves none below zero; `body` is one turn. Behind it
/// the flags are those of what is left.
func emitWholeTurns(
  _ asm: borrowing X64Assembler, _ count: GPR64, of steps: Int, _ body: (borrowing X64Assembler) -> Void
) {
  let skip = asm.newLabel()
  asm.sub(count, steps)
  asm.jl(skip)
  asm.align(32)
  let loop = asm.here()
  body(asm)
  asm.sub(count, steps)
  asm.jge(loop)
  asm.bind(skip)
  asm.add(count, steps)
}

/// Cuts `rows` (a register, consumed) into tiles of at most `largest` rows of nearly equal size, because a tile of one or
/// two rows is slow, and calls `tile` once for each size to emit its code. `tile` must preserve `rows`.
func emitRowTiles(
  _ asm: borrowing X64Assembler, rows: GPR64, largest: Int,
  _ tile: (borrowing X64Assembler, Int) -> Void
) {
  let done = asm.newLabel()
  let next = asm.here()
  var labels: [Label] = []
  for _ in 0..<largest { labels.append(asm.newLabel()) }
  asm.cmp(rows, 1)
  asm.jl(done)
  // Below two full tiles the rows are halved; at or above, a full tile leaves at least a full tile.
  if largest > 1 {
    for count in 1..<(2 * largest) {
      let size = count <= largest ? count : (count + 1) / 2
      if size == largest && count > largest { break }
      asm.cmp(rows, count)
      asm.je(labels[size - 1])
    }
  }
  for size in stride(from: largest, through: 1, by: -1) {
    asm.align(16)
    asm.bind(labels[size - 1])
    tile(asm, size)
    asm.sub(rows, size)
    asm.jmp(next)
  }
  asm.bind(done)
}

/// Jumps to the code of one of `variants`, each of which has its own number of rows and of blocks (``variantKey(rows:blocks:)``), and
/// goes on behind all of it. `key` holds the number of blocks, and is overwritten; other numbers of rows do nothing.
func emitVariants<Variant>(
  _ asm: borrowing X64Assembler, _ variants: [(key: Int, variant: Variant)], key: GPR64, rows: GPR64,
  _ emit: (borrowing X64Assembler, Variant) -> Void
) {
  let done = asm.newLabel()
  let labels = variants.map { _ in asm.newLabel() }
  asm.shl(key, 4)
  asm.add(key, rows)
  for (label, (number, _)) in zip(labels, variants) {
    asm.cmp(key, number)
    asm.je(label)
  }
  asm.jmp(done)
  for (label, (_, variant)) in zip(labels, variants) {
    asm.align(16)
    asm.bind(label)
    emit(asm, variant)
    asm.jmp(done)
  }
  asm.bind(done)
}

/// Tells tiles of fewer than 16 rows apart.
func variantKey(rows: Int, blocks: Int) -> Int { 16 * blocks + rows }

/// k1 for the first `count` of up to 15 lanes, and k2 for as many rounded up to even. Overwrites `count` and `bits`.
func emitEvenTailMasks(_ asm: borrowing X64Assembler, count: GPR64, bits: GPR32) {
  for mask in [OpMask.k1, .k2] {
    asm.mov(bits, 1)
    asm.shl.byCL(bits)
    asm.dec(bits)
    asm.kmovd(mask, bits)
    asm.inc(count)
    asm.and(count, -2)
  }
}
