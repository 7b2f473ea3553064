import Base
import MachineCode
import NestedFormat

/// Turns planes into bytes `U_b · 2^(8-b)`, 64 codes at a time.
///
/// In byte i of a plane, input vector 4q + r keeps its two bits in field (3 − p + r) mod 4. For one r, selecting that field
/// from each further plane gives the code rotated left by 2r, with other fields where planes were not read. Selections are
/// shared: planes 0 and 1 have the fields of r = 0 and 2 in one pattern and those of 1 and 3 in its complement, planes 2 and 3
/// likewise, and two of these halves make a code. With GFNI one affine map per vector undoes the rotation and clears the bits
/// below the level; without, two 16-bit shifts, a selection and, below 8 bits, an AND.
struct PlaneDecoder {
  private let planes: Int
  private let level: Level
  private let gfni: Bool
  /// In every byte: fields 1 and 3, which planes 0 and 2 give to even r and planes 1 and 3 to odd r.
  private let oddFields: ZMM
  /// In every byte what planes 0 and 1 give to the code: for r = 0, and for r = 3.
  private let high: ZMM
  private let middle: ZMM
  /// Planes 0 and 1 for even r, while a quarter is decoded.
  private let even: ZMM
  /// With GFNI the matrices of r = 0...3; without, the bits that come from the right shift of r = 1...3, then the level's.
  private let helpers: [ZMM]

  static let registerCount = 8

  /// Loads the constants into `registers`.
  init(_ asm: borrowing X64Assembler, _ spec: GEMMSpec, registers: [ZMM]) {
    level = spec.level
    planes = spec.level.planes
    gfni = spec.gfni
    (oddFields, high, middle, even) = (registers[0], registers[1], registers[2], registers[3])
    helpers = Array(registers[4..<8])
    func bytes(_ register: ZMM, _ value: UInt8) {
      asm.vpbroadcastd(register, asm.constant32(UInt32(value) &* 0x0101_0101))
    }
    if planes > 1 { bytes(oddFields, 0b1100_1100) }
    if planes > 2 {
      bytes(high, 0b1111_0000)
      bytes(middle, 0b0011_1100)
    }
    for r in 0..<4 {
      if gfni {
        asm.vpbroadcastq(helpers[r], asm.constant64(PlaneDecoder.matrix(level, r)))
      } else if r < 3 {
        bytes(helpers[r], 0xFF >> UInt8(2 * (r + 1)))
      } else {
        bytes(helpers[3], 0xFF << UInt8(8 - level.bits))
      }
    }
  }

  /// Row 7 − i of the matrix selects bit (i + 2r) mod 8 for bit i, and nothing below the level's bits (SDM,
  /// GF2P8AFFINEQB).
  static func matrix(_ level: Level, _ r: Int) -> UInt64 {
    var matrix: UInt64 = 0
    for bit in (8 - level.bits)..<8 {
      matrix |= 1 << UInt64((bit + 2 * r) % 8 + 8 * (7 - bit))
    }
    return matrix
  }

  /// To be called before ``emit(_:_:from:r:temporary:)`` for r = 0...3, with one quarter of each plane in `source`, which is
  /// overwritten.
  func prepare(_ asm: borrowing X64Assembler, _ source: [ZMM]) {
    if planes < 2 { return }
    asm.vmovdqa64(even, source[1])
    select(asm, even, from: source[0], where: oddFields)
    select(asm, source[0], from: source[1], where: oddFields)
    if planes < 4 { return }
    asm.vmovdqa64(source[1], source[3])
    select(asm, source[1], from: source[2], where: oddFields)
    select(asm, source[2], from: source[3], where: oddFields)
  }

  /// The codes of `r` from what ``prepare(_:_:)`` left in `source`, in the returned register: `target`, or another one where
  /// its bytes are the codes.
  func emit(_ asm: borrowing X64Assembler, _ target: ZMM, from source: [ZMM], r: Int, temporary: ZMM) -> ZMM {
    var current = planes > 1 && r % 2 == 0 ? even : source[0]
    if planes > 2 {
      // Planes 2 and 3, or plane 2 alone: the fields of plane 3 go with the bits below the level.
      let low = planes == 4 && r % 2 == 0 ? source[1] : source[2]
      let (first, second) = r == 0 || r == 3 ? (low, current) : (current, low)
      asm.vmovdqa64(target, first)
      select(asm, target, from: second, where: r % 2 == 0 ? high : middle)
      current = target
    }
    if gfni {
      if level == .int8 && r == 0 { return current }
      asm.vgf2p8affineqb(target, current, helpers[r], 0)
      return target
    }
    if r > 0 {
      asm.vpsrlw(temporary, current, 2 * r)
      asm.vpsllw(target, current, 8 - 2 * r)
      asm.vpternlogd(target, temporary, helpers[r - 1], 0xD8)
      current = target
    }
    if level == .int8 { return current }
    asm.vpandd(target, current, helpers[3])
    return target
  }

  /// The bits of `other` where `mask` has ones, else those of `target`.
  private func select(_ asm: borrowing X64Assembler, _ target: ZMM, from other: ZMM, where mask: ZMM) {
    asm.vpternlogd(target, other, mask, 0xD8)
  }
}
