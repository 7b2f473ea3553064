import Base

/// An x86-64 assembler whose calls read like its own listing.
///
/// One member per mnemonic, operands in the order of the Intel manual: `asm.vaddps(ymm0, ymm1, rdi[64])`. Masks are written on
/// the operand (`zmm0.masked(k1)`, `zmm0.zeroed(k1)`, `rdi[0].masked(k1)`), embedded broadcasts on the memory
/// (`rsi[4].broadcast32`). VEX is used for `XMM` and `YMM` below 16, EVEX for everything that needs it.
///
/// A wrong width does not compile. A wrong number, scale or displacement is remembered with its mnemonic; `finish()` throws the
/// first one, so generators need no `try` per line. Generation is off the run path and may allocate.
public struct X64Assembler: ~Copyable {
  let code = CodeBuffer()

  public init() {}

  /// Bytes emitted so far, without constants.
  public var byteCount: Int { code.position }

  /// The finished code: instructions, then the constant pool. Position independent; place it at a multiple of 64.
  public func finish() throws(AdaptQError) -> [UInt8] { try code.finish() }

  /// The same with what a listing shows.
  public func finishMarked() throws(AdaptQError) -> MarkedCode {
    MarkedCode(bytes: try code.finish(), instructionByteCount: code.position, marks: code.marks)
  }

  /// Lets a generator refuse what it cannot emit; `finish()` throws it, if nothing was refused before.
  public func refuse(_ reason: String) { code.refuse(reason) }

  /// A target for jumps, bound later or never used.
  public func newLabel() -> Label { code.newLabel() }
  /// The label means the next instruction.
  public func bind(_ label: Label) { code.bind(label) }
  /// A label bound here, for loops.
  public func here() -> Label {
    let label = newLabel()
    bind(label)
    return label
  }
  /// The address of a label, as memory operand.
  public func address(of label: Label) -> Mem {
    Mem(place: .label(label.number), index: nil, scale: 1, displacement: 0)
  }

  /// Pads with the recommended long nops up to a multiple of `alignment` (a power of two up to 64).
  public func align(_ alignment: Int) {
    guard alignment > 0, alignment <= 64, alignment & (alignment - 1) == 0 else {
      return code.refuse("align \(alignment): not a power of two up to 64")
    }
    var missing = (alignment - code.position % alignment) % alignment
    while missing > 0 {
      let count = min(missing, 9)
      code.append(Self.nops[count - 1])
      missing -= count
    }
  }

  /// Multi-byte nops, Intel SDM volume 2, NOP.
  private static let nops: [[UInt8]] = [
    [0x90], [0x66, 0x90], [0x0F, 0x1F, 0x00], [0x0F, 0x1F, 0x40, 0x00], [0x0F, 0x1F, 0x44, 0x00, 0x00],
    [0x66, 0x0F, 0x1F, 0x44, 0x00, 0x00], [0x0F, 0x1F, 0x80, 0, 0, 0, 0], [0x0F, 0x1F, 0x84, 0x00, 0, 0, 0, 0],
    [0x66, 0x0F, 0x1F, 0x84, 0x00, 0, 0, 0, 0],
  ]

  // MARK: constants

  /// Any bytes, stored once behind the code at a multiple of `alignment` (a power of two up to 64).
  public func constant(_ bytes: [UInt8], alignment: Int) -> Mem {
    if alignment <= 0 || alignment > 64 || alignment & (alignment - 1) != 0 || bytes.isEmpty {
      code.refuse("constant of \(bytes.count) bytes at alignment \(alignment)")
      return Mem(place: .constant(0), index: nil, scale: 1, displacement: 0)
    }
    let number = code.constant(bytes, alignment: alignment)
    return Mem(place: .constant(number), index: nil, scale: 1, displacement: 0)
  }

  /// A 32-bit constant, as for `vbroadcastss` or an embedded broadcast.
  public func constant32(_ bits: UInt32) -> Mem { constant(littleEndianBytes(bits), alignment: 4) }
  /// A float constant.
  public func constant32(_ value: Float) -> Mem { constant32(value.bitPattern) }
  /// A 64-bit constant, as for `vgf2p8affineqb` with an embedded broadcast.
  public func constant64(_ bits: UInt64) -> Mem { constant(littleEndianBytes(bits), alignment: 8) }
  /// 16 bytes.
  public func constant128(_ bytes: [UInt8]) -> Mem { sized(bytes, 16) }
  /// 32 bytes.
  public func constant256(_ bytes: [UInt8]) -> Mem { sized(bytes, 32) }
  /// 64 bytes.
  public func constant512(_ bytes: [UInt8]) -> Mem { sized(bytes, 64) }
  /// Any number of 32-bit elements, aligned to 32 bytes.
  public func constants32(_ elements: [UInt32]) -> Mem {
    constant(elements.flatMap(littleEndianBytes), alignment: elements.count > 8 ? 64 : 32)
  }

  private func sized(_ bytes: [UInt8], _ count: Int) -> Mem {
    if bytes.count != count { code.refuse("constant\(count * 8): \(bytes.count) bytes") }
    return constant(bytes, alignment: count)
  }
}
