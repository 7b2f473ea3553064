// Shapes of mask instructions and of AVX-512 narrowing.

/// Three masks.
public struct KKK {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly.length(1), name)
  }
  public func callAsFunction(_ d: OpMask, _ a: OpMask, _ b: OpMask) {
    code.emit(opcode, name, .rvm, [.k(d), .k(a), .k(b)])
  }
}

/// Two masks.
public struct KK {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly.length(0), name)
  }
  public func callAsFunction(_ d: OpMask, _ a: OpMask) { code.emit(opcode, name, .rm, [.k(d), .k(a)]) }
}

/// A mask shifted by an immediate.
public struct KKI {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly.length(0), name)
  }
  public func callAsFunction(_ d: OpMask, _ a: OpMask, _ count: Int) {
    code.emit(opcode, name, .rm, [.k(d), .k(a)], immediate: count)
  }
}

/// Mask moves between masks, memory and general registers.
public struct KMove<General: GeneralRegister> {
  let code: CodeBuffer
  /// Prefix and W of the memory forms, and of the general register forms.
  let memory: Opcode
  let general: Opcode
  let name: String
  init(_ code: CodeBuffer, memory: Opcode, general: Opcode, _ name: String = #function) {
    self.code = code
    self.memory = memory.vexOnly.length(0)
    self.general = general.vexOnly.length(0)
    self.name = name
  }
  private func with(_ opcode: Opcode, _ byte: UInt8) -> Opcode {
    var copy = opcode
    copy.byte = byte
    return copy
  }
  public func callAsFunction(_ d: OpMask, _ a: OpMask) { code.emit(with(memory, 0x90), name, .rm, [.k(d), .k(a)]) }
  public func callAsFunction(_ d: OpMask, _ a: Mem) { code.emit(with(memory, 0x90), name, .rm, [.k(d), .m(a)]) }
  public func callAsFunction(_ d: Mem, _ a: OpMask) { code.emit(with(memory, 0x91), name, .mr, [.m(d), .k(a)]) }
  public func callAsFunction(_ d: OpMask, _ a: General) { code.emit(with(general, 0x92), name, .rm, [.k(d), .g(a)]) }
  public func callAsFunction(_ d: General, _ a: OpMask) { code.emit(with(general, 0x93), name, .rm, [.g(d), .k(a)]) }
}

/// Sign bits of lanes to a mask.
public struct KFromVector {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.evexOnly, name)
  }
  public func callAsFunction<R: VectorRegister>(_ d: OpMask, _ a: R) { code.emit(opcode, name, .rm, [.k(d), .v(a)]) }
}

/// Mask bits to all-ones or all-zeros lanes.
public struct VectorFromK {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.evexOnly, name)
  }
  public func callAsFunction<R: VectorRegister>(_ d: R, _ a: OpMask) { code.emit(opcode, name, .rm, [.v(d), .k(a)]) }
}

/// KVV with a predicate or class immediate.
public struct KVVI {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.evexOnly, name)
  }
  public func callAsFunction<R: VectorRegister>(_ d: some MaskDestination, _ a: R, _ b: R, _ predicate: Int) {
    code.emit(opcode, name, .rvm, [.k(d.opMask), .v(a), .v(b)], immediate: predicate, masking: d.maskMasking)
  }
  public func callAsFunction<R: VectorRegister>(
    _ d: some MaskDestination, _ a: R, _ b: some MemoryOperand, _ predicate: Int
  ) {
    code.emit(opcode, name, .rvm, [.k(d.opMask), .v(a), .m(b)], immediate: predicate, masking: d.maskMasking)
  }
}

/// dest of half the width or memory, source: truncating or saturating stores of lanes.
public struct VNarrow2 {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.half.evexOnly, name)
  }
  public func callAsFunction<R: WideRegister, D: VectorDestination>(_ d: D, _ a: R) where D.Register == R.Half {
    code.emit(opcode, name, .mr, [.v(d.register), .v(a)], masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: XMM) where D.Register == XMM {
    code.emit(opcode, name, .mr, [.v(d.register), .v(a)], masking: d.masking)
  }
  public func callAsFunction<R: VectorRegister>(_ target: some MemoryDestination, _ a: R) {
    code.emit(opcode, name, .mr, [.m(target.address), .v(a)], masking: target.masking)
  }
}

/// XMM or memory, source: stores of a quarter or an eighth of the width.
public struct VNarrow4 {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.evexOnly, name)
  }
  public func callAsFunction<D: VectorDestination, R: VectorRegister>(_ d: D, _ a: R) where D.Register == XMM {
    code.emit(opcode, name, .mr, [.v(d.register), .v(a)], masking: d.masking)
  }
  public func callAsFunction<R: VectorRegister>(_ target: some MemoryDestination, _ a: R) {
    code.emit(opcode, name, .mr, [.m(target.address), .v(a)], masking: target.masking)
  }
}

/// dest of half the width, source or memory of the full width (conversions that narrow by two).
public struct VConvertNarrow {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<R: WideRegister, D: VectorDestination>(_ d: D, _ a: R) where D.Register == R.Half {
    code.emit(opcode, name, .rm, [.v(d.register), .v(a)], masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: XMM) where D.Register == XMM {
    code.emit(opcode, name, .rm, [.v(d.register), .v(a)], masking: d.masking)
  }
  /// An XMM destination does not tell 128 from 256 bits of memory: `source` does.
  public func callAsFunction<R: WideRegister, D: VectorDestination>(
    _ d: D, _ a: some MemoryOperand, as source: R.Type
  ) where D.Register == R.Half {
    code.emit(opcode, name, .rm, [.v(d.register), .m(a)], masking: d.masking, vectorByteCount: R.byteCount)
  }
}

/// Stores of the lanes a mask picks, packed together.
public struct VCompress {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.evexOnly, name)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register) {
    code.emit(opcode, name, .mr, [.v(d.register), .v(a)], masking: d.masking)
  }
  public func callAsFunction<R: VectorRegister>(_ target: some MemoryDestination, _ a: R) {
    code.emit(opcode, name, .mr, [.m(target.address), .v(a)], masking: target.masking)
  }
}
