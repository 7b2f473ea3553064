/// How a vector instruction is encoded, in the terms of the Intel manual (SDM volume 2): prefix, map, opcode byte, W, and the
/// tuple type that scales an EVEX 8-bit displacement.
///
/// Starts as a VEX and EVEX instruction with W0 whose memory operand has the vector's size; the modifiers say what differs.
struct Opcode {
  /// 0: none, 1: 66, 2: F3, 3: F2.
  var prefix: UInt8
  /// 1: 0F, 2: 0F38, 3: 0F3A, 5 and 6: the maps of AVX512-FP16.
  var map: UInt8
  var byte: UInt8
  var vexW: UInt8 = 0
  var evexW: UInt8 = 0
  /// The opcode extension in ModRM.reg, for instructions whose destination is in vvvv.
  var digit: UInt8 = 0
  var hasVEX = true
  var hasEVEX = true
  /// The memory operand's size as a fraction of the vector (0: all, 1: half, …), or its fixed size in bytes.
  var vectorShift: Int = 0
  var fixedByteCount: Int = 0
  /// The element size an embedded broadcast would have; 0: the instruction has none.
  var broadcastByteCount: Int = 0
  /// The shortest vector the instruction works on.
  var leastByteCount = 16
  var maskable = true
  /// VEX.L is given by the operands unless the instruction fixes it (mask instructions).
  var fixedL: UInt8?

  init(_ prefix: UInt8, _ map: UInt8, _ byte: UInt8) {
    self.prefix = prefix
    self.map = map
    self.byte = byte
  }

  static func np0F(_ byte: UInt8) -> Opcode { Opcode(0, 1, byte) }
  static func p66(_ byte: UInt8) -> Opcode { Opcode(1, 1, byte) }
  static func pF3(_ byte: UInt8) -> Opcode { Opcode(2, 1, byte) }
  static func pF2(_ byte: UInt8) -> Opcode { Opcode(3, 1, byte) }
  static func np0F38(_ byte: UInt8) -> Opcode { Opcode(0, 2, byte) }
  static func p66x38(_ byte: UInt8) -> Opcode { Opcode(1, 2, byte) }
  static func pF3x38(_ byte: UInt8) -> Opcode { Opcode(2, 2, byte) }
  static func pF2x38(_ byte: UInt8) -> Opcode { Opcode(3, 2, byte) }
  static func p66x3A(_ byte: UInt8) -> Opcode { Opcode(1, 3, byte) }
  static func npMap5(_ byte: UInt8) -> Opcode { Opcode(0, 5, byte) }
  static func p66Map5(_ byte: UInt8) -> Opcode { Opcode(1, 5, byte) }
  static func pF3Map5(_ byte: UInt8) -> Opcode { Opcode(2, 5, byte) }
  static func p66Map6(_ byte: UInt8) -> Opcode { Opcode(1, 6, byte) }

  private func with(_ change: (inout Opcode) -> Void) -> Opcode {
    var copy = self
    change(&copy)
    return copy
  }

  /// W is 1 in VEX and EVEX.
  var w1: Opcode { with { ($0.vexW, $0.evexW) = (1, 1) } }
  /// W is ignored by VEX and 1 in EVEX.
  var evexW1: Opcode { with { $0.evexW = 1 } }
  var vexOnly: Opcode { with { $0.hasEVEX = false } }
  var evexOnly: Opcode { with { $0.hasVEX = false } }
  /// Elements of 16 bits: a broadcast element has two bytes.
  var d16: Opcode { with { $0.broadcastByteCount = 2 } }
  /// Elements of 32 bits: a broadcast element has four bytes.
  var d32: Opcode { with { $0.broadcastByteCount = 4 } }
  /// Elements of 64 bits: a broadcast element has eight bytes.
  var d64: Opcode { with { $0.broadcastByteCount = 8 } }
  /// Elements of 64 bits, W1 in EVEX: what most 64-bit lane instructions are.
  var q: Opcode { evexW1.d64 }
  /// The memory operand is half, a quarter, an eighth of the vector.
  var half: Opcode { with { $0.vectorShift = 1 } }
  var quarter: Opcode { with { $0.vectorShift = 2 } }
  var eighth: Opcode { with { $0.vectorShift = 3 } }
  /// The memory operand has this many bytes at every vector width.
  func bytes(_ count: Int) -> Opcode { with { $0.fixedByteCount = count } }
  /// No 128-bit form.
  var wide: Opcode { with { $0.leastByteCount = 32 } }
  var zmmOnly: Opcode { with { $0.leastByteCount = 64 } }
  var unmasked: Opcode { with { $0.maskable = false } }
  func slash(_ digit: UInt8) -> Opcode { with { $0.digit = digit } }
  func length(_ l: UInt8) -> Opcode { with { $0.fixedL = l } }

  /// The N of `disp8*N`.
  func displacementScale(vectorByteCount: Int, broadcast: Int) -> Int {
    if broadcast != 0 { return broadcast }
    return fixedByteCount != 0 ? fixedByteCount : vectorByteCount >> vectorShift
  }
}

/// Which operand, counted in the order it is written, goes where in the encoding.
enum OperandOrder {
  /// reg, rm
  case rm
  /// rm, reg
  case mr
  /// reg, vvvv, rm
  case rvm
  /// reg, rm, vvvv (BMI2)
  case rmv
  /// rm, vvvv, reg (masked stores)
  case mvr
  /// vvvv, rm; reg is the opcode extension
  case vm
}
