// General-purpose instructions. Opcodes: Intel SDM volume 2.

/// Two-operand arithmetic and comparison: `add`, `or`, `and`, `sub`, `xor`, `cmp`.
public struct Arithmetic {
  let code: CodeBuffer
  let number: Int
  let name: String
  init(_ code: CodeBuffer, _ number: Int, _ name: String = #function) {
    (self.code, self.number, self.name) = (code, number, name)
  }
  private func opcode(_ low: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: number << 3 | low)] }

  public func callAsFunction<R: GeneralRegister>(_ d: R, _ source: R) {
    code.emitGeneral(
      name, opcode(1), field: source.number, rm: .g(d), wide: R.bitCount == 64, [.g(d), .g(source)])
  }
  public func callAsFunction<R: GeneralRegister>(_ d: R, _ source: Mem) {
    code.emitGeneral(
      name, opcode(3), field: d.number, rm: .m(source), wide: R.bitCount == 64, [.g(d), .m(source)])
  }
  public func callAsFunction<R: GeneralRegister>(_ target: Mem, _ source: R) {
    code.emitGeneral(
      name, opcode(1), field: source.number, rm: .m(target), wide: R.bitCount == 64, [.m(target), .g(source)])
  }
  public func callAsFunction<R: GeneralRegister>(_ d: R, _ immediate: Int) {
    let operands: [Operand] = [.g(d), .immediate(immediate)]
    guard let value = Int32(exactly: immediate) else { return code.refuse(name, operands, "no 32-bit immediate") }
    let wide = R.bitCount == 64
    if let byte = Int8(exactly: value) {
      code.emitGeneral(
        name, [0x83], field: number, rm: .g(d), wide: wide, immediate: [UInt8(bitPattern: byte)], operands)
    } else if d.number == 0 {
      code.append((wide ? [0x48] : []) + opcode(5) + littleEndianBytes(value))
    } else {
      code.emitGeneral(
        name, [0x81], field: number, rm: .g(d), wide: wide, immediate: littleEndianBytes(value), operands)
    }
  }
}

/// Shifts by an immediate or by `cl`.
public struct GeneralShift {
  let code: CodeBuffer
  let number: Int
  let name: String
  init(_ code: CodeBuffer, _ number: Int, _ name: String = #function) {
    (self.code, self.number, self.name) = (code, number, name)
  }
  public func callAsFunction<R: GeneralRegister>(_ d: R, _ count: Int) {
    let operands: [Operand] = [.g(d), .immediate(count)]
    guard (0..<R.bitCount).contains(count) else { return code.refuse(name, operands, "the count is out of range") }
    let wide = R.bitCount == 64
    if count == 1 {
      code.emitGeneral(name, [0xD1], field: number, rm: .g(d), wide: wide, operands)
    } else {
      let byte = UInt8(truncatingIfNeeded: count)
      code.emitGeneral(name, [0xC1], field: number, rm: .g(d), wide: wide, immediate: [byte], operands)
    }
  }
  /// By the low bits of `rcx`.
  public func byCL<R: GeneralRegister>(_ d: R) {
    code.emitGeneral(name, [0xD3], field: number, rm: .g(d), wide: R.bitCount == 64, [.g(d)])
  }
}

/// One operand, read and written: `inc`, `dec`, `neg`, `not`.
public struct Unary {
  let code: CodeBuffer
  let byte: UInt8
  let digit: Int
  let name: String
  init(_ code: CodeBuffer, _ byte: UInt8, _ digit: Int, _ name: String = #function) {
    (self.code, self.byte, self.digit, self.name) = (code, byte, digit, name)
  }
  public func callAsFunction<R: GeneralRegister>(_ d: R) {
    code.emitGeneral(name, [byte], field: digit, rm: .g(d), wide: R.bitCount == 64, [.g(d)])
  }
}

/// dest, source or memory, with a two-byte opcode: `imul`, `cmovcc`.
public struct GeneralRM {
  let code: CodeBuffer
  let byte: UInt8
  let name: String
  init(_ code: CodeBuffer, _ byte: UInt8, _ name: String = #function) {
    (self.code, self.byte, self.name) = (code, byte, name)
  }
  public func callAsFunction<R: GeneralRegister>(_ d: R, _ source: R) {
    code.emitGeneral(
      name, [0x0F, byte], field: d.number, rm: .g(source), wide: R.bitCount == 64, [.g(d), .g(source)])
  }
  public func callAsFunction<R: GeneralRegister>(_ d: R, _ source: Mem) {
    code.emitGeneral(
      name, [0x0F, byte], field: d.number, rm: .m(source), wide: R.bitCount == 64, [.g(d), .m(source)])
  }
}

/// dest, source or memory, count or index (BMI2); leaves the flags alone, except `bzhi`.
public struct GeneralRMV {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly, name)
  }
  private func width<R: GeneralRegister>(_ type: R.Type) -> Opcode { R.bitCount == 64 ? opcode.w1 : opcode }
  public func callAsFunction<R: GeneralRegister>(_ d: R, _ a: R, _ b: R) {
    code.emit(width(R.self), name, .rmv, [.g(d), .g(a), .g(b)])
  }
  public func callAsFunction<R: GeneralRegister>(_ d: R, _ a: Mem, _ b: R) {
    code.emit(width(R.self), name, .rmv, [.g(d), .m(a), .g(b)])
  }
}

/// A jump on a condition, or always.
public struct Jump {
  let code: CodeBuffer
  let short: UInt8
  let near: [UInt8]
  let name: String
  init(_ code: CodeBuffer, _ short: UInt8, _ near: [UInt8], _ name: String = #function) {
    (self.code, self.short, self.near, self.name) = (code, short, near, name)
  }
  init(_ code: CodeBuffer, condition: UInt8, _ name: String = #function) {
    self.init(code, 0x70 | condition, [0x0F, 0x80 | condition], name)
  }
  public func callAsFunction(_ label: Label) { code.emitJump(name, short: short, near: near, to: label) }
}

/// An instruction on one memory line.
public struct Prefetch {
  let code: CodeBuffer
  let digit: Int
  let name: String
  init(_ code: CodeBuffer, _ digit: Int, _ name: String = #function) {
    (self.code, self.digit, self.name) = (code, digit, name)
  }
  public func callAsFunction(_ address: Mem) {
    code.emitGeneral(name, [0x0F, 0x18], field: digit, rm: .m(address), wide: false, [.m(address)])
  }
}

extension X64Assembler {
  // MARK: moves

  public func mov<R: GeneralRegister>(_ d: R, _ source: R) {
    code.emitGeneral("mov", [0x89], field: source.number, rm: .g(d), wide: R.bitCount == 64, [.g(d), .g(source)])
  }
  public func mov<R: GeneralRegister>(_ d: R, _ source: Mem) {
    code.emitGeneral("mov", [0x8B], field: d.number, rm: .m(source), wide: R.bitCount == 64, [.g(d), .m(source)])
  }
  public func mov<R: GeneralRegister>(_ target: Mem, _ source: R) {
    code.emitGeneral(
      "mov", [0x89], field: source.number, rm: .m(target), wide: R.bitCount == 64, [.m(target), .g(source)])
  }
  /// Sign-extended 32 bits where they suffice, else all 64.
  public func mov(_ d: GPR64, _ immediate: Int) {
    let operands: [Operand] = [.g(d), .immediate(immediate)]
    if let value = Int32(exactly: immediate) {
      code.emitGeneral("mov", [0xC7], field: 0, rm: .g(d), wide: true, immediate: littleEndianBytes(value), operands)
    } else {
      guard (0...15).contains(d.number) else { return code.refuse("mov", operands, "\(d) does not exist") }
      code.append([d.number > 7 ? 0x49 : 0x48, 0xB8 | UInt8(truncatingIfNeeded: d.number & 7)])
      code.append(littleEndianBytes(Int64(immediate)))
    }
  }
  /// A 32-bit immediate, signed or unsigned; clears the high half.
  public func mov(_ d: GPR32, _ immediate: Int) {
    let operands: [Operand] = [.g(d), .immediate(immediate)]
    guard (0...15).contains(d.number) else { return code.refuse("mov", operands, "\(d) does not exist") }
    guard (Int(Int32.min)...Int(UInt32.max)).contains(immediate) else {
      return code.refuse("mov", operands, "no 32-bit immediate")
    }
    if d.number > 7 { code.append(0x41) }
    code.append(0xB8 | UInt8(truncatingIfNeeded: d.number & 7))
    code.append(littleEndianBytes(Int32(truncatingIfNeeded: immediate)))
  }
  /// Writes a 32-bit immediate to memory, as `mov dword ptr`.
  public func mov32(_ target: Mem, _ immediate: Int) { storeImmediate("mov32", target, immediate, wide: false) }
  /// Writes a sign-extended 32-bit immediate to memory, as `mov qword ptr`.
  public func mov64(_ target: Mem, _ immediate: Int) { storeImmediate("mov64", target, immediate, wide: true) }

  private func storeImmediate(_ name: String, _ target: Mem, _ immediate: Int, wide: Bool) {
    let operands: [Operand] = [.m(target), .immediate(immediate)]
    guard let value = Int32(exactly: immediate) else { return code.refuse(name, operands, "no 32-bit immediate") }
    code.emitGeneral(name, [0xC7], field: 0, rm: .m(target), wide: wide, immediate: littleEndianBytes(value), operands)
  }

  public func lea(_ d: GPR64, _ address: Mem) {
    code.emitGeneral("lea", [0x8D], field: d.number, rm: .m(address), wide: true, [.g(d), .m(address)])
  }
  /// Zero-extends a byte.
  public func movzx8(_ d: GPR32, _ source: Mem) { extend("movzx8", [0x0F, 0xB6], d, .m(source)) }
  /// Zero-extends the low byte of a register.
  public func movzx8(_ d: GPR32, _ source: GPR32) {
    extend("movzx8", [0x0F, 0xB6], d, .g(source), forceREX: (4...7).contains(source.number))
  }
  /// Zero-extends 16 bits.
  public func movzx16(_ d: GPR32, _ source: Mem) { extend("movzx16", [0x0F, 0xB7], d, .m(source)) }
  /// Zero-extends the low 16 bits of a register.
  public func movzx16(_ d: GPR32, _ source: GPR32) { extend("movzx16", [0x0F, 0xB7], d, .g(source)) }
  /// Sign-extends a byte.
  public func movsx8(_ d: GPR32, _ source: Mem) { extend("movsx8", [0x0F, 0xBE], d, .m(source)) }
  /// Sign-extends 16 bits.
  public func movsx16(_ d: GPR32, _ source: Mem) { extend("movsx16", [0x0F, 0xBF], d, .m(source)) }
  /// Sign-extends 32 bits to 64.
  public func movsxd(_ d: GPR64, _ source: GPR32) {
    code.emitGeneral("movsxd", [0x63], field: d.number, rm: .g(source), wide: true, [.g(d), .g(source)])
  }
  /// Sign-extends 32 bits of memory to 64.
  public func movsxd(_ d: GPR64, _ source: Mem) {
    code.emitGeneral("movsxd", [0x63], field: d.number, rm: .m(source), wide: true, [.g(d), .m(source)])
  }
  /// Writes the low byte of a register.
  public func mov8(_ target: Mem, _ source: GPR32) {
    code.emitGeneral(
      "mov8", [0x88], field: source.number, rm: .m(target), wide: false, forceREX: (4...7).contains(source.number),
      [.m(target), .g(source)])
  }
  /// Writes the low 16 bits of a register.
  public func mov16(_ target: Mem, _ source: GPR32) {
    code.emitGeneral(
      "mov16", prefix: 0x66, [0x89], field: source.number, rm: .m(target), wide: false, [.m(target), .g(source)])
  }

  private func extend(_ name: String, _ opcode: [UInt8], _ d: GPR32, _ source: Operand, forceREX: Bool = false) {
    code.emitGeneral(
      name, opcode, field: d.number, rm: source, wide: false, forceREX: forceREX, [.g(d), source])
  }

  // MARK: arithmetic

  public var add: Arithmetic { Arithmetic(code, 0) }
  public var or: Arithmetic { Arithmetic(code, 1) }
  public var and: Arithmetic { Arithmetic(code, 4) }
  public var sub: Arithmetic { Arithmetic(code, 5) }
  public var xor: Arithmetic { Arithmetic(code, 6) }
  public var cmp: Arithmetic { Arithmetic(code, 7) }
  public var shl: GeneralShift { GeneralShift(code, 4) }
  public var shr: GeneralShift { GeneralShift(code, 5) }
  public var sar: GeneralShift { GeneralShift(code, 7) }
  public var inc: Unary { Unary(code, 0xFF, 0) }
  public var dec: Unary { Unary(code, 0xFF, 1) }
  public var neg: Unary { Unary(code, 0xF7, 3) }
  public var not: Unary { Unary(code, 0xF7, 2) }
  public var imul: GeneralRM { GeneralRM(code, 0xAF) }
  public var cmovb: GeneralRM { GeneralRM(code, 0x42) }
  public var cmovae: GeneralRM { GeneralRM(code, 0x43) }
  public var cmove: GeneralRM { GeneralRM(code, 0x44) }
  public var cmovne: GeneralRM { GeneralRM(code, 0x45) }
  public var cmova: GeneralRM { GeneralRM(code, 0x47) }
  public var cmovl: GeneralRM { GeneralRM(code, 0x4C) }
  public var cmovge: GeneralRM { GeneralRM(code, 0x4D) }
  public var cmovle: GeneralRM { GeneralRM(code, 0x4E) }
  public var cmovg: GeneralRM { GeneralRM(code, 0x4F) }

  /// The low bits of the source, as many as the last operand says: a tail mask from -1 (BMI2).
  public var bzhi: GeneralRMV { GeneralRMV(code, .np0F38(0xF5)) }
  public var shlx: GeneralRMV { GeneralRMV(code, .p66x38(0xF7)) }
  public var shrx: GeneralRMV { GeneralRMV(code, .pF2x38(0xF7)) }
  public var sarx: GeneralRMV { GeneralRMV(code, .pF3x38(0xF7)) }

  /// dest = source · immediate.
  public func imul<R: GeneralRegister>(_ d: R, _ source: R, _ immediate: Int) {
    let operands: [Operand] = [.g(d), .g(source), .immediate(immediate)]
    guard let value = Int32(exactly: immediate) else { return code.refuse("imul", operands, "no 32-bit immediate") }
    let byte = Int8(exactly: value)
    code.emitGeneral(
      "imul", [byte == nil ? 0x69 : 0x6B], field: d.number, rm: .g(source), wide: R.bitCount == 64,
      immediate: byte.map { [UInt8(bitPattern: $0)] } ?? littleEndianBytes(value), operands)
  }

  /// Sets the flags of `a & b`.
  public func test<R: GeneralRegister>(_ a: R, _ b: R) {
    code.emitGeneral("test", [0x85], field: b.number, rm: .g(a), wide: R.bitCount == 64, [.g(a), .g(b)])
  }
  /// Sets the flags of `a & immediate`.
  public func test<R: GeneralRegister>(_ a: R, _ immediate: Int) {
    let operands: [Operand] = [.g(a), .immediate(immediate)]
    guard let value = Int32(exactly: immediate) else { return code.refuse("test", operands, "no 32-bit immediate") }
    let bytes = littleEndianBytes(value)
    let wide = R.bitCount == 64
    if a.number == 0 {
      code.append((wide ? [0x48] : []) + [0xA9] + bytes)
    } else {
      code.emitGeneral("test", [0xF7], field: 0, rm: .g(a), wide: wide, immediate: bytes, operands)
    }
  }
  /// Compares 32 bits of memory with an immediate.
  public func cmp32(_ a: Mem, _ immediate: Int) { compareImmediate("cmp32", a, immediate, wide: false) }
  /// Compares 64 bits of memory with a sign-extended immediate.
  public func cmp64(_ a: Mem, _ immediate: Int) { compareImmediate("cmp64", a, immediate, wide: true) }

  private func compareImmediate(_ name: String, _ a: Mem, _ immediate: Int, wide: Bool) {
    let operands: [Operand] = [.m(a), .immediate(immediate)]
    guard let value = Int32(exactly: immediate) else { return code.refuse(name, operands, "no 32-bit immediate") }
    let byte = Int8(exactly: value)
    code.emitGeneral(
      name, [byte == nil ? 0x81 : 0x83], field: 7, rm: .m(a), wide: wide,
      immediate: byte.map { [UInt8(bitPattern: $0)] } ?? littleEndianBytes(value), operands)
  }

  // MARK: stack and control

  public func push(_ register: GPR64) { stack("push", 0x50, register) }
  public func pop(_ register: GPR64) { stack("pop", 0x58, register) }
  private func stack(_ name: String, _ byte: UInt8, _ register: GPR64) {
    guard (0...15).contains(register.number) else {
      return code.refuse(name, [.g(register)], "\(register) does not exist")
    }
    if register.number > 7 { code.append(0x41) }
    code.append(byte | UInt8(truncatingIfNeeded: register.number & 7))
  }
  /// Calls the address in a register.
  public func call(_ register: GPR64) {
    code.emitGeneral("call", [0xFF], field: 2, rm: .g(register), wide: false, [.g(register)])
  }
  public func ret() { code.append(0xC3) }
  public func ud2() { code.append([0x0F, 0x0B]) }
  public func int3() { code.append(0xCC) }
  public func nop() { code.append(0x90) }
  /// Leaves the upper halves of all vector registers zero, so that later SSE code runs at full speed.
  public func vzeroupper() { code.append([0xC5, 0xF8, 0x77]) }

  public var jmp: Jump { Jump(code, 0xEB, [0xE9]) }
  public var jb: Jump { Jump(code, condition: 0x2) }
  public var jae: Jump { Jump(code, condition: 0x3) }
  public var je: Jump { Jump(code, condition: 0x4) }
  public var jz: Jump { Jump(code, condition: 0x4) }
  public var jne: Jump { Jump(code, condition: 0x5) }
  public var jnz: Jump { Jump(code, condition: 0x5) }
  public var jbe: Jump { Jump(code, condition: 0x6) }
  public var ja: Jump { Jump(code, condition: 0x7) }
  public var js: Jump { Jump(code, condition: 0x8) }
  public var jns: Jump { Jump(code, condition: 0x9) }
  public var jp: Jump { Jump(code, condition: 0xA) }
  public var jl: Jump { Jump(code, condition: 0xC) }
  public var jge: Jump { Jump(code, condition: 0xD) }
  public var jle: Jump { Jump(code, condition: 0xE) }
  public var jg: Jump { Jump(code, condition: 0xF) }

  public var prefetchnta: Prefetch { Prefetch(code, 0) }
  public var prefetcht0: Prefetch { Prefetch(code, 1) }
  public var prefetcht1: Prefetch { Prefetch(code, 2) }
}
