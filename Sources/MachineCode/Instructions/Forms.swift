// The shapes vector instructions come in. Each is a value that a mnemonic of `X64Assembler` returns and that is called with the
// operands; which calls compile is the instruction's signature. `#function` gives the mnemonic for refusals.

/// dest, source, source or memory. The usual three-operand instruction.
public struct VVV {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register, _ b: D.Register) {
    code.emit(opcode, name, .rvm, [.v(d.register), .v(a), .v(b)], masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register, _ b: some MemoryOperand) {
    code.emit(opcode, name, .rvm, [.v(d.register), .v(a), .m(b)], masking: d.masking)
  }
}

/// dest, source, source or memory, only as XMM and YMM.
public struct VVVVex {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly, name)
  }
  public func callAsFunction<R: VEXRegister>(_ d: R, _ a: R, _ b: R) {
    code.emit(opcode, name, .rvm, [.v(d), .v(a), .v(b)])
  }
  public func callAsFunction<R: VEXRegister>(_ d: R, _ a: R, _ b: Mem) {
    code.emit(opcode, name, .rvm, [.v(d), .v(a), .m(b)])
  }
}

/// dest, source, source or memory, immediate.
public struct VVVI {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register, _ b: D.Register, _ immediate: Int) {
    code.emit(opcode, name, .rvm, [.v(d.register), .v(a), .v(b)], immediate: immediate, masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(
    _ d: D, _ a: D.Register, _ b: some MemoryOperand, _ immediate: Int
  ) {
    code.emit(opcode, name, .rvm, [.v(d.register), .v(a), .m(b)], immediate: immediate, masking: d.masking)
  }
}

/// dest, source, source or memory, immediate, only as XMM and YMM.
public struct VVVIVex {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly, name)
  }
  public func callAsFunction<R: VEXRegister>(_ d: R, _ a: R, _ b: R, _ immediate: Int) {
    code.emit(opcode, name, .rvm, [.v(d), .v(a), .v(b)], immediate: immediate)
  }
  public func callAsFunction<R: VEXRegister>(_ d: R, _ a: R, _ b: Mem, _ immediate: Int) {
    code.emit(opcode, name, .rvm, [.v(d), .v(a), .m(b)], immediate: immediate)
  }
}

/// dest, source, source or memory, selecting register (blends by sign bit).
public struct VVVVVex {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly, name)
  }
  public func callAsFunction<R: VEXRegister>(_ d: R, _ a: R, _ b: R, _ select: R) {
    code.emit(opcode, name, .rvm, [.v(d), .v(a), .v(b)], registerImmediate: select.number)
  }
  public func callAsFunction<R: VEXRegister>(_ d: R, _ a: R, _ b: Mem, _ select: R) {
    code.emit(opcode, name, .rvm, [.v(d), .v(a), .m(b)], registerImmediate: select.number)
  }
}

/// dest, source or memory.
public struct VV {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register) {
    code.emit(opcode, name, .rm, [.v(d.register), .v(a)], masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: some MemoryOperand) {
    code.emit(opcode, name, .rm, [.v(d.register), .m(a)], masking: d.masking)
  }
}

/// dest, source or memory, only as XMM and YMM.
public struct VVVex {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly, name)
  }
  public func callAsFunction<R: VEXRegister>(_ d: R, _ a: R) { code.emit(opcode, name, .rm, [.v(d), .v(a)]) }
  public func callAsFunction<R: VEXRegister>(_ d: R, _ a: Mem) { code.emit(opcode, name, .rm, [.v(d), .m(a)]) }
}

/// dest, source or memory, immediate.
public struct VVI {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register, _ immediate: Int) {
    code.emit(opcode, name, .rm, [.v(d.register), .v(a)], immediate: immediate, masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: some MemoryOperand, _ immediate: Int) {
    code.emit(opcode, name, .rm, [.v(d.register), .m(a)], immediate: immediate, masking: d.masking)
  }
}

/// dest, source or memory, immediate, only as XMM and YMM.
public struct VVIVex {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly, name)
  }
  public func callAsFunction<R: VEXRegister>(_ d: R, _ a: R, _ immediate: Int) {
    code.emit(opcode, name, .rm, [.v(d), .v(a)], immediate: immediate)
  }
  public func callAsFunction<R: VEXRegister>(_ d: R, _ a: Mem, _ immediate: Int) {
    code.emit(opcode, name, .rm, [.v(d), .m(a)], immediate: immediate)
  }
}

/// One lane: dest, source, source or memory, always XMM. The upper lanes come from the first source.
public struct Scalar {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: XMM, _ b: XMM) where D.Register == XMM {
    code.emit(opcode, name, .rvm, [.v(d.register), .v(a), .v(b)], masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: XMM, _ b: Mem) where D.Register == XMM {
    code.emit(opcode, name, .rvm, [.v(d.register), .v(a), .m(b)], masking: d.masking)
  }
}

/// One lane with an immediate, always XMM.
public struct ScalarI {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: XMM, _ b: XMM, _ i: Int) where D.Register == XMM {
    code.emit(opcode, name, .rvm, [.v(d.register), .v(a), .v(b)], immediate: i, masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: XMM, _ b: Mem, _ i: Int) where D.Register == XMM {
    code.emit(opcode, name, .rvm, [.v(d.register), .v(a), .m(b)], immediate: i, masking: d.masking)
  }
}

/// dest, source, source: XMM registers only.
public struct XXX {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction(_ d: XMM, _ a: XMM, _ b: XMM) { code.emit(opcode, name, .rvm, [.v(d), .v(a), .v(b)]) }
}
