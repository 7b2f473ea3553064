/// Vector load, store and copy.
public struct VMove {
  let code: CodeBuffer
  let load: Opcode
  let store: Opcode
  let name: String
  init(_ code: CodeBuffer, _ load: Opcode, store: UInt8, _ name: String = #function) {
    (self.code, self.load, self.name) = (code, load, name)
    var reversed = load
    reversed.byte = store
    self.store = reversed
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ source: D.Register) {
    // The store form of a copy is a byte shorter where only the source is a high VEX register.
    let reversed =
      load.hasVEX && d.masking.mask == nil && D.Register.byteCount < 64 && d.register.number < 8
      && (8...15).contains(source.number)
    if reversed {
      code.emit(store, name, .mr, [.v(d.register), .v(source)])
    } else {
      code.emit(load, name, .rm, [.v(d.register), .v(source)], masking: d.masking)
    }
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ source: Mem) {
    code.emit(load, name, .rm, [.v(d.register), .m(source)], masking: d.masking)
  }
  public func callAsFunction<R: VectorRegister>(_ target: some MemoryDestination, _ source: R) {
    code.emit(store, name, .mr, [.m(target.address), .v(source)], masking: target.masking)
  }
}

/// Streaming stores.
public struct VStore {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<R: VectorRegister>(_ target: Mem, _ source: R) {
    code.emit(opcode, name, .mr, [.m(target), .v(source)])
  }
}

/// Streaming loads.
public struct VLoad {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<R: VectorRegister>(_ d: R, _ source: Mem) {
    code.emit(opcode, name, .rm, [.v(d), .m(source)])
  }
}

/// Move of one floating-point lane: load (upper lanes become zero), store, or merge of two registers.
public struct ScalarMove {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ source: Mem) where D.Register == XMM {
    code.emit(opcode, name, .rm, [.v(d.register), .m(source)], masking: d.masking)
  }
  public func callAsFunction(_ target: some MemoryDestination, _ source: XMM) {
    var store = opcode
    store.byte += 1
    code.emit(store, name, .mr, [.m(target.address), .v(source)], masking: target.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ a: XMM, _ b: XMM) where D.Register == XMM {
    if opcode.hasVEX && d.masking.mask == nil && d.register.number < 8 && (8...15).contains(b.number) && a.number < 16 {
      var store = opcode
      store.byte += 1
      code.emit(store, name, .mvr, [.v(d.register), .v(a), .v(b)])
    } else {
      code.emit(opcode, name, .rvm, [.v(d.register), .v(a), .v(b)], masking: d.masking)
    }
  }
}

/// 32 or 64 bits between a vector's lowest lane and a general register or memory; a load clears the other lanes.
public struct LaneMove<General: GeneralRegister> {
  let code: CodeBuffer
  let name: String
  private let opcode: Opcode
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  private var isQuad: Bool { General.bitCount == 64 }
  private var toGeneral: Opcode {
    var reversed = opcode
    reversed.byte = 0x7E
    return reversed
  }
  public func callAsFunction(_ d: XMM, _ source: General) { code.emit(opcode, name, .rm, [.v(d), .g(source)]) }
  public func callAsFunction(_ d: General, _ source: XMM) { code.emit(toGeneral, name, .mr, [.g(d), .v(source)]) }
  public func callAsFunction(_ d: XMM, _ source: Mem) {
    code.emit(isQuad && d.number < 16 ? .pF3(0x7E).vexOnly : opcode, name, .rm, [.v(d), .m(source)])
  }
  public func callAsFunction(_ target: Mem, _ source: XMM) {
    code.emit(isQuad && source.number < 16 ? .p66(0xD6).vexOnly : toGeneral, name, .mr, [.m(target), .v(source)])
  }
}

/// One element, from a register's lowest lane or from memory, to every lane.
public struct VBroadcast {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ source: XMM) {
    code.emit(opcode, name, .rm, [.v(d.register), .v(source)], masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ source: Mem) {
    code.emit(opcode, name, .rm, [.v(d.register), .m(source)], masking: d.masking)
  }
}

/// As `VBroadcast`, and from a general register (EVEX).
public struct VBroadcastInteger<General: GeneralRegister> {
  let code: CodeBuffer
  let opcode: Opcode
  let general: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, general: UInt8, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
    var evex = opcode.evexOnly
    evex.byte = general
    self.general = evex
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ source: XMM) {
    code.emit(opcode, name, .rm, [.v(d.register), .v(source)], masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ source: Mem) {
    code.emit(opcode, name, .rm, [.v(d.register), .m(source)], masking: d.masking)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ source: General) {
    code.emit(general, name, .rm, [.v(d.register), .g(source)], masking: d.masking)
  }
}

/// A block of memory, repeated over the vector.
public struct VBroadcastBlock {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode, name)
  }
  public func callAsFunction<D: VectorDestination>(_ d: D, _ source: Mem) where D.Register: WideRegister {
    code.emit(opcode, name, .rm, [.v(d.register), .m(source)], masking: d.masking)
  }
}

/// Loads and stores under a vector mask (AVX).
public struct VMaskMove {
  let code: CodeBuffer
  let load: Opcode
  let store: Opcode
  let name: String
  init(_ code: CodeBuffer, _ load: Opcode, store: UInt8, _ name: String = #function) {
    (self.code, self.load, self.name) = (code, load.vexOnly, name)
    var reversed = load.vexOnly
    reversed.byte = store
    self.store = reversed
  }
  /// Loads lanes whose bit 31 is set in `select`; the others become zero and are not read.
  public func callAsFunction<R: VEXRegister>(_ d: R, _ select: R, _ source: Mem) {
    code.emit(load, name, .rvm, [.v(d), .v(select), .m(source)])
  }
  /// Stores lanes whose bit 31 is set in `select`.
  public func callAsFunction<R: VEXRegister>(_ target: Mem, _ select: R, _ source: R) {
    code.emit(store, name, .mvr, [.m(target), .v(select), .v(source)])
  }
}
