import MachineCode
import NestedFormat

// Decoding planes without GFNI. In byte i of a plane, input vector 4q + r keeps two bits of its code in one of the four
// fields of two bits: plane p in field (3 − p + r) mod 4, counted from bit 0. No shift is needed to bring bits of
// several planes together, only selections; afterwards 16-bit shifts move masked fields, so that nothing crosses a byte.

/// Masks for the decoder: in registers where there are enough, else in memory.
struct DecodeMasks {
  enum Place {
    case register(YMM)
    case memory(Mem)
  }
  private let places: [UInt8: Place]

  /// - Parameter registers: hold masks in this order as far as they go.
  init(_ asm: borrowing X64Assembler, _ masks: [UInt8], registers: [YMM] = []) {
    var places: [UInt8: Place] = [:]
    for (index, mask) in masks.enumerated() {
      let memory = asm.constants32(Array(repeating: UInt32(mask) &* 0x0101_0101, count: 8))
      if index < registers.count {
        asm.vmovdqa(registers[index], memory)
        places[mask] = .register(registers[index])
      } else {
        places[mask] = .memory(memory)
      }
    }
    self.places = places
  }

  /// `target = source & mask`.
  func and(_ asm: borrowing X64Assembler, _ target: YMM, _ source: YMM, _ mask: UInt8) {
    switch places[mask] {
    case .register(let register): asm.vpand(target, source, register)
    case .memory(let memory): asm.vpand(target, source, memory)
    case nil: asm.refuse("mask \(mask) was not planned")
    }
  }
}

/// Selections and shifts that turn two neighbouring planes into 4-bit digits and one plane into 2-bit digits.
struct DigitDecoder {
  let masks: DecodeMasks

  /// Every mask that the functions below use, the most used first.
  static let nibbleMasks: [UInt8] = [0x0F, 0xCC, 0x03]
  static let pairMasks: [UInt8] = [0x03]

  /// Merges plane 0 (`first`) and plane 1 (`second`), or planes 2 and 3, whose fields lie two places further on.
  ///
  /// Afterwards `second` holds the even digits, r = 0 in the high and r = 2 in the low nibble, and `first` the odd ones,
  /// r = 1 rotated left by two bits and r = 3 in bits 5 to 2. For planes 2 and 3 read r + 2 modulo 4 for r.
  func mergePlanes(_ asm: borrowing X64Assembler, _ first: YMM, _ second: YMM, temporary: YMM) {
    asm.vpxor(temporary, first, second)
    masks.and(asm, temporary, temporary, 0xCC)
    asm.vpxor(first, first, temporary)
    asm.vpxor(second, second, temporary)
  }

  /// The 4-bit digit of `r` as unsigned bytes, from planes that ``mergePlanes(_:_:_:temporary:)`` merged.
  func nibble(_ asm: borrowing X64Assembler, _ target: YMM, even: YMM, odd: YMM, r: Int, temporary: YMM) {
    switch r {
    case 0:
      asm.vpsrlw(target, even, 4)
      masks.and(asm, target, target, 0x0F)
    case 1:
      masks.and(asm, target, odd, 0x03)
      asm.vpsrlw(temporary, odd, 6)
      asm.vpsllw(target, target, 2)
      masks.and(asm, temporary, temporary, 0x03)
      asm.vpor(target, target, temporary)
    case 2:
      masks.and(asm, target, even, 0x0F)
    default:
      asm.vpsrlw(target, odd, 2)
      masks.and(asm, target, target, 0x0F)
    }
  }

  /// The 2-bit digit in field `field` (0 at bit 0) of a plane as unsigned bytes.
  func pair(_ asm: borrowing X64Assembler, _ target: YMM, _ plane: YMM, field: Int) {
    if field == 0 { return masks.and(asm, target, plane, 0x03) }
    asm.vpsrlw(target, plane, 2 * field)
    masks.and(asm, target, target, 0x03)
  }
}
