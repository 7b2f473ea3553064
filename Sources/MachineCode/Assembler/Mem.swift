/// A memory operand: base + index · scale + displacement, or a constant of the pool.
///
/// Written `base[disp]`, `base[index, scale]`, `base[index, scale, disp]`. Nothing is checked here: a bad scale, an index that
/// is `rsp` or a displacement beyond 32 bits is refused by the instruction that uses the operand.
public struct Mem: Hashable, Sendable, CustomStringConvertible {
  enum Place: Hashable, Sendable {
    case base(GPR64)
    /// Relative to the instruction pointer; the number is the constant's index in the pool.
    case constant(Int)
    /// Relative to the instruction pointer; the number is the label's.
    case label(Int)
  }
  var place: Place
  var index: GPR64?
  var scale: Int
  var displacement: Int

  /// The same place, `bytes` further on.
  public func offset(_ bytes: Int) -> Mem {
    var moved = self
    moved.displacement &+= bytes
    return moved
  }

  /// One 16-bit element, repeated over the whole vector (AVX512-FP16 only).
  public var broadcast16: Broadcast { Broadcast(address: self, elementByteCount: 2) }
  /// One 32-bit element, repeated over the whole vector (EVEX only).
  public var broadcast32: Broadcast { Broadcast(address: self, elementByteCount: 4) }
  /// One 64-bit element, repeated over the whole vector (EVEX only).
  public var broadcast64: Broadcast { Broadcast(address: self, elementByteCount: 8) }

  /// A store that writes only lanes whose mask bit is set; other bytes are not touched and cannot fault.
  public func masked(_ mask: OpMask) -> MaskedMem { MaskedMem(address: self, mask: mask) }

  public var description: String {
    var text: String
    switch place {
    case .base(let base): text = "[\(base)"
    case .constant(let number): text = "[rip + constant \(number)"
    case .label(let number): text = "[rip + label \(number)"
    }
    if let index { text += " + \(index)*\(scale)" }
    if displacement != 0 { text += displacement > 0 ? " + \(displacement)" : " - \(displacement.magnitude)" }
    return text + "]"
  }
}

extension GPR64 {
  /// Memory at this register plus `displacement` bytes.
  public subscript(_ displacement: Int) -> Mem {
    Mem(place: .base(self), index: nil, scale: 1, displacement: displacement)
  }
  /// Memory at this register plus `index` times `scale` (1, 2, 4 or 8) plus `displacement` bytes.
  public subscript(_ index: GPR64, _ scale: Int, _ displacement: Int = 0) -> Mem {
    Mem(place: .base(self), index: index, scale: scale, displacement: displacement)
  }
}

/// A source operand in memory: `Mem`, or `Broadcast` where the instruction has an EVEX form.
public protocol MemoryOperand: Sendable {
  var address: Mem { get }
  /// Bytes of the broadcast element; 0 for a whole operand.
  var elementByteCount: Int { get }
}

extension Mem: MemoryOperand {
  public var address: Mem { self }
  public var elementByteCount: Int { 0 }
}

/// An element of memory, repeated over the vector.
public struct Broadcast: MemoryOperand, Hashable {
  public let address: Mem
  public let elementByteCount: Int
}

/// What a vector store may write: memory, or memory under a mask.
public protocol MemoryDestination: Sendable {
  var address: Mem { get }
  var masking: Masking { get }
}

extension Mem: MemoryDestination {
  public var masking: Masking { .none }
}

/// Memory of which only lanes with a set mask bit are written.
public struct MaskedMem: MemoryDestination, Hashable {
  public let address: Mem
  public let mask: OpMask
  public var masking: Masking { Masking(mask: mask, zeroing: false) }
}
