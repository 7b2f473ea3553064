// The shapes of AMX instructions (Intel SDM volume 2). All are VEX.128 with W0; three tiles of one product must differ.

/// acc, first, second: acc += first times second, in groups of 4 bytes or 2 halves.
public struct TileProduct {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly, name)
  }
  public func callAsFunction(_ acc: TMM, _ a: TMM, _ b: TMM) {
    let operands: [Operand] = [.t(acc), .t(a), .t(b)]
    if acc == a || acc == b || a == b { return code.refuse(name, operands, "the tiles must differ") }
    code.emit(opcode, name, .rmv, operands)
  }
}

/// dest, rows in memory: row r at base + index · scale · r + displacement.
public struct TileLoad {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly, name)
  }
  public func callAsFunction(_ d: TMM, _ rows: Mem) {
    let operands: [Operand] = [.t(d), .memory(rows, broadcast: 0)]
    if rows.index == nil { return code.refuse(name, operands, "needs a row stride as index") }
    code.emit(opcode, name, .rm, operands)
  }
}

/// rows in memory, source.
public struct TileStore {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly, name)
  }
  public func callAsFunction(_ rows: Mem, _ source: TMM) {
    let operands: [Operand] = [.memory(rows, broadcast: 0), .t(source)]
    if rows.index == nil { return code.refuse(name, operands, "needs a row stride as index") }
    code.emit(opcode, name, .mr, operands)
  }
}

/// A tile alone.
public struct TileAlone {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly, name)
  }
  public func callAsFunction(_ d: TMM) { code.emit(opcode, name, .rm, [.t(d), .tile(0)]) }
}

/// 64 bytes of tile configuration.
public struct TileConfiguration {
  let code: CodeBuffer
  let opcode: Opcode
  let name: String
  init(_ code: CodeBuffer, _ opcode: Opcode, _ name: String = #function) {
    (self.code, self.opcode, self.name) = (code, opcode.vexOnly, name)
  }
  public func callAsFunction(_ memory: Mem) {
    code.emit(opcode, name, .rm, [.tile(0), .memory(memory, broadcast: 0)])
  }
}
