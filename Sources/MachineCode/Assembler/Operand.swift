/// An operand with its type erased, as the encoder sees it.
enum Operand {
  case vector(Int, byteCount: Int)
  case opmask(Int)
  case tile(Int)
  case general(Int, bits: Int)
  /// `broadcast` is the element's size in bytes, 0 for a whole operand.
  case memory(Mem, broadcast: Int)
  case immediate(Int)

  static func v<R: VectorRegister>(_ register: R) -> Operand { .vector(register.number, byteCount: R.byteCount) }
  static func k(_ mask: OpMask) -> Operand { .opmask(mask.number) }
  static func t(_ tile: TMM) -> Operand { .tile(tile.number) }
  static func g<R: GeneralRegister>(_ register: R) -> Operand { .general(register.number, bits: R.bitCount) }
  static func m(_ operand: some MemoryOperand) -> Operand {
    .memory(operand.address, broadcast: operand.elementByteCount)
  }

  var isVector: Bool {
    if case .vector = self { return true }
    return false
  }

  var text: String {
    switch self {
    case .vector(let number, 16): "xmm\(number)"
    case .vector(let number, 32): "ymm\(number)"
    case .vector(let number, _): "zmm\(number)"
    case .opmask(let number): "k\(number)"
    case .tile(let number): "tmm\(number)"
    case .general(let number, let bits): GeneralNames.name(number, bits: bits)
    case .memory(let address, 0): "\(address)"
    case .memory(let address, let bytes): "\(address){broadcast \(bytes * 8) bits}"
    case .immediate(let value): "\(value)"
    }
  }
}
