import Base
import MachineCode
import NestedFormat

/// Turns planes into bytes `U_b · 2^(8-b)`, 64 codes at a time.
///
/// In byte i of a plane, input vector 4q + r keeps its two bits in field (3 − p + r) mod 4. For one r, selecting that field
/// from each further plane gives the code rotated left by 2r, with other fields where planes were not read. With GFNI one
/// affine map per vector undoes the rotation and clears the bits below the level; without, two 16-bit shifts, a selection
/// and, below 8 bits, an AND.
struct PlaneDecoder {
  private let planes: Int
  private let level: Level
  private let gfni: Bool
  /// `3 << 2f` in every byte.
  private let fields: [ZMM]
  /// With GFNI the matrices of r = 0...3; without, the bits that come from the right shift of r = 1...3, then the level's.
  private let helpers: [ZMM]

  static let registerCount = 8

  /// Loads the constants into `registers`.
  init(_ asm: borrowing X64Assembler, _ spec: GEMMSpec, registers: [ZMM]) {
    level = spec.level
    planes = spec.level.planes
    gfni = spec.gfni
    fields = Array(registers[0..<4])
    helpers = Array(registers[4..<8])
    func bytes(_ register: ZMM, _ value: UInt8) {
      asm.vpbroadcastd(register, asm.constant32(UInt32(value) &* 0x0101_0101))
    }
    for field in 0..<4 where planes > 1 { bytes(fields[field], 3 << UInt8(2 * field)) }
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

  /// The codes of `r` from one quarter of each plane, in the returned register: `target`, or a plane where its bytes are the
  /// codes.
  func emit(_ asm: borrowing X64Assembler, _ target: ZMM, from source: [ZMM], r: Int, temporary: ZMM) -> ZMM {
    var current = source[0]
    for plane in 1..<max(planes, 1) {
      if plane == 1 { asm.vmovdqa64(target, source[0]) }
      // 0xD8: the second operand where the third has ones, else the first.
      asm.vpternlogd(target, source[plane], fields[(3 - plane + r) % 4], 0xD8)
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
}
