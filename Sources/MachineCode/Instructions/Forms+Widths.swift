// Shapes whose operands differ in width or kind.

/// dest, source of half the width or memory (conversions that widen by two).
public struct VWiden2 {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register.Half) where D.Register: WideRegister {
    code.emit(opcode, name, .rm, [.v(d.register), .v(a)], masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: XMM) where D.Register == XMM {
    code.emit(opcode, name, .rm, [.v(d.register), .v(a)], masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: some MemoryOperand) {
    code.emit(opcode, name, .rm, [.v(d.register), .m(a)], masking: d.masking)
  }
}

/// dest, lowest part of an XMM or memory (conversions that widen by four or more).
public struct VWiden4 {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: XMM) {
    code.emit(opcode, name, .rm, [.v(d.register), .v(a)], masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: Mem) {
    code.emit(opcode, name, .rm, [.v(d.register), .m(a)], masking: d.masking)
  }
}

/// vcvtps2ph: dest of half the width or memory, source, rounding (0 nearest even, 4 as MXCSR).
public struct VToHalf {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<R: WideRegister, D: VectorDestination>(_ d: D, _ a: R, _ rounding: Int)
  where D.Register == R.Half {
    code.emit(opcode, name, .mr, [.v(d.register), .v(a)], immediate: rounding, masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: XMM, _ rounding: Int) where D.Register == XMM {
    code.emit(opcode, name, .mr, [.v(d.register), .v(a)], immediate: rounding, masking: d.masking)
  }
  public func callAsFunction<R: VectorRegister>(_ target: some MemoryDestination, _ a: R, _ rounding: Int) {
    code.emit(opcode, name, .mr, [.m(target.address), .v(a)], immediate: rounding, masking: target.masking)
  }
}

/// dest or memory, wider source, immediate part number.
public struct VExtract<Part: VectorRegister> {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<D: VectorDestination, R: WideRegister>(_ d: D, _ a: R, _ part: Int)
  where D.Register == Part {
    code.emit(opcode, name, .mr, [.v(d.register), .v(a)], immediate: part, masking: d.masking)
  }
  public func callAsFunction<R: WideRegister>(_ target: some MemoryDestination, _ a: R, _ part: Int) {
    code.emit(opcode, name, .mr, [.m(target.address), .v(a)], immediate: part, masking: target.masking)
  }
}

/// dest, source, narrower source or memory, immediate part number.
public struct VInsert<Part: VectorRegister> {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register, _ b: Part, _ part: Int)
  where D.Register: WideRegister {
    code.emit(opcode, name, .rvm, [.v(d.register), .v(a), .v(b)], immediate: part, masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register, _ b: Mem, _ part: Int)
  where D.Register: WideRegister {
    code.emit(opcode, name, .rvm, [.v(d.register), .v(a), .m(b)], immediate: part, masking: d.masking)
  }
}

/// Shifts by an immediate, or by the low 64 bits of an XMM or memory.
public struct VShift {
  let code: CodeBuffer
  let byImmediate: Opcode
  let byVector: Opcode
  let name: String
  init(_ code: CodeBuffer, _ byImmediate: Opcode, byVector: UInt8, _ name: String = #function) {
    (self.code, self.byImmediate, self.name) = (code, byImmediate, name)
    var variable = byImmediate.bytes(16)
    (variable.byte, variable.broadcastByteCount, variable.digit) = (byVector, 0, 0)
    self.byVector = variable
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register, _ count: Int) {
    code.emit(byImmediate, name, .vm, [.v(d.register), .v(a)], immediate: count, masking: d.masking)
  }
  /// EVEX only.
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: some MemoryOperand, _ count: Int) {
    code.emit(byImmediate.evexOnly, name, .vm, [.v(d.register), .m(a)], immediate: count, masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register, _ count: XMM) {
    code.emit(byVector, name, .rvm, [.v(d.register), .v(a), .v(count)], masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register, _ count: Mem) {
    code.emit(byVector, name, .rvm, [.v(d.register), .v(a), .m(count)], masking: d.masking)
  }
}

/// Byte shifts within each 128-bit lane.
public struct VShiftBytes {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<R: VectorRegister>(_ d: R, _ a: R, _ count: Int) {
    code.emit(opcode, name, .vm, [.v(d), .v(a)], immediate: count)
  }
  /// EVEX only.
  public func callAsFunction<R: VectorRegister>(_ d: R, _ a: Mem, _ count: Int) {
    code.emit(opcode.evexOnly, name, .vm, [.v(d), .m(a)], immediate: count)
  }
}

/// Sign bits to a general register.
public struct VSignMask {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly, name)
  }
  public func callAsFunction<R: VEXRegister>(_ d: GPR32, _ a: R) { code.emit(opcode, name, .rm, [.g(d), .v(a)]) }
}

/// Scalar comparison that sets the flags.
public struct ScalarCompare {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction(_ a: XMM, _ b: XMM) { code.emit(opcode, name, .rm, [.v(a), .v(b)]) }
  public func callAsFunction(_ a: XMM, _ b: Mem) { code.emit(opcode, name, .rm, [.v(a), .m(b)]) }
}

/// Scalar float to integer in a general register.
public struct ScalarToInteger {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction(_ d: GPR32, _ a: XMM) { code.emit(opcode, name, .rm, [.g(d), .v(a)]) }
  public func callAsFunction(_ d: GPR64, _ a: XMM) { code.emit(opcode.w1, name, .rm, [.g(d), .v(a)]) }
  public func callAsFunction(_ d: GPR32, _ a: Mem) { code.emit(opcode, name, .rm, [.g(d), .m(a)]) }
  public func callAsFunction(_ d: GPR64, _ a: Mem) { code.emit(opcode.w1, name, .rm, [.g(d), .m(a)]) }
}

/// Integer in a general register to scalar float; the upper lanes come from the first source.
public struct ScalarFromInteger {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction(_ d: XMM, _ a: XMM, _ b: GPR32) {
    code.emit(opcode, name, .rvm, [.v(d), .v(a), .g(b)])
  }
  public func callAsFunction(_ d: XMM, _ a: XMM, _ b: GPR64) {
    code.emit(opcode.w1, name, .rvm, [.v(d), .v(a), .g(b)])
  }
}

/// One integer lane to a general register or memory.
public struct VExtractLane<General: GeneralRegister> {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction(_ d: General, _ a: XMM, _ lane: Int) {
    code.emit(opcode, name, .mr, [.g(d), .v(a)], immediate: lane)
  }
  public func callAsFunction(_ target: Mem, _ a: XMM, _ lane: Int) {
    code.emit(opcode, name, .mr, [.m(target), .v(a)], immediate: lane)
  }
}

/// One integer lane from a general register or memory; the others come from the first source.
public struct VInsertLane<General: GeneralRegister> {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction(_ d: XMM, _ a: XMM, _ b: General, _ lane: Int) {
    code.emit(opcode, name, .rvm, [.v(d), .v(a), .g(b)], immediate: lane)
  }
  public func callAsFunction(_ d: XMM, _ a: XMM, _ b: Mem, _ lane: Int) {
    code.emit(opcode, name, .rvm, [.v(d), .v(a), .m(b)], immediate: lane)
  }
}

/// Integer comparison: to a vector of all-ones lanes (VEX), or to a mask (EVEX).
public struct VCompare {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<R: VEXRegister>(_ d: R, _ a: R, _ b: R) {
    code.emit(opcode.vexOnly, name, .rvm, [.v(d), .v(a), .v(b)])
  }
  public func callAsFunction<R: VEXRegister>(_ d: R, _ a: R, _ b: Mem) {
    code.emit(opcode.vexOnly, name, .rvm, [.v(d), .v(a), .m(b)])
  }
  public func callAsFunction<R: VectorRegister>(_ d: some MaskDestination, _ a: R, _ b: R) {
    code.emit(opcode.evexOnly, name, .rvm, [.k(d.opMask), .v(a), .v(b)], masking: d.maskMasking)
  }
  public func callAsFunction<R: VectorRegister>(_ d: some MaskDestination, _ a: R, _ b: some MemoryOperand) {
    code.emit(opcode.evexOnly, name, .rvm, [.k(d.opMask), .v(a), .m(b)], masking: d.maskMasking)
  }
}

/// As `VCompare`, with a predicate.
public struct VCompareI {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<R: VEXRegister>(_ d: R, _ a: R, _ b: R, _ predicate: Int) {
    code.emit(opcode.vexOnly, name, .rvm, [.v(d), .v(a), .v(b)], immediate: predicate)
  }
  public func callAsFunction<R: VEXRegister>(_ d: R, _ a: R, _ b: Mem, _ predicate: Int) {
    code.emit(opcode.vexOnly, name, .rvm, [.v(d), .v(a), .m(b)], immediate: predicate)
  }
  public func callAsFunction<R: VectorRegister>(_ d: some MaskDestination, _ a: R, _ b: R, _ predicate: Int) {
    code.emit(
      opcode.evexOnly, name, .rvm, [.k(d.opMask), .v(a), .v(b)], immediate: predicate, masking: d.maskMasking)
  }
  public func callAsFunction<R: VectorRegister>(
    _ d: some MaskDestination, _ a: R, _ b: some MemoryOperand, _ predicate: Int
  ) {
    code.emit(
      opcode.evexOnly, name, .rvm, [.k(d.opMask), .v(a), .m(b)], immediate: predicate, masking: d.maskMasking)
  }
}

/// Comparisons and tests that only write masks (EVEX).
public struct KVV {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.evexOnly, name)
  }
  public func callAsFunction<R: VectorRegister>(_ d: some MaskDestination, _ a: R, _ b: R) {
    code.emit(opcode, name, .rvm, [.k(d.opMask), .v(a), .v(b)], masking: d.maskMasking)
  }
  public func callAsFunction<R: VectorRegister>(_ d: some MaskDestination, _ a: R, _ b: some MemoryOperand) {
    code.emit(opcode, name, .rvm, [.k(d.opMask), .v(a), .m(b)], masking: d.maskMasking)
  }
}

/// A mask that a comparison writes, itself possibly under a mask: `k2.masked(k1)`.
public protocol MaskDestination: Sendable {
  var opMask: OpMask { get }
  var maskMasking: Masking { get }
}

/// A mask whose bits are cleared where the bit of a second mask is clear.
public struct MaskedOpMask: MaskDestination, Hashable {
  public let opMask: OpMask
  public let maskMasking: Masking
}

extension OpMask: MaskDestination {
  public var opMask: OpMask { self }
  public var maskMasking: Masking { .none }
  /// Bits that are clear in `mask` become clear.
  public func masked(_ mask: OpMask) -> MaskedOpMask {
    MaskedOpMask(opMask: self, maskMasking: Masking(mask: mask, zeroing: false))
  }
}

/// A shuffle with a register form (dest, source, source or memory) and an immediate form (dest, source or memory, immediate).
public struct VPermuteLanes {
  let code: CodeBuffer
  let byRegister: Opcode
  let byImmediate: Opcode
  let name: String
  init(_ code: CodeBuffer, _ byRegister: Opcode, immediate: Opcode, _ name: String = #function) {
    (self.code, self.byRegister, self.byImmediate, self.name) = (code, byRegister, immediate, name)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register, _ b: D.Register) {
    code.emit(byRegister, name, .rvm, [.v(d.register), .v(a), .v(b)], masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register, _ b: some MemoryOperand) {
    code.emit(byRegister, name, .rvm, [.v(d.register), .v(a), .m(b)], masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: D.Register, _ immediate: Int) {
    code.emit(byImmediate, name, .rm, [.v(d.register), .v(a)], immediate: immediate, masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: some MemoryOperand, _ immediate: Int) {
    code.emit(byImmediate, name, .rm, [.v(d.register), .m(a)], immediate: immediate, masking: d.masking)
  }
}
