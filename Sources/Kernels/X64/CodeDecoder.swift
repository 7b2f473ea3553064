import MachineCode
import NestedFormat

/// Planes to whole codes `U_b` as unsigned bytes, 32 at a time, in 256-bit registers.
///
/// Merging planes leaves the code of input vector 4q + r rotated left by 2r, at the top of its byte. With GFNI one affine map
/// per vector undoes that and moves the level's bits to the bottom; without, shifts and masks do.
struct CodeDecoder {
  private let level: Level
  private let gfni: Bool
  private let digits: DigitDecoder
  private var masks: DecodeMasks { digits.masks }
  /// With GFNI, of r = 0...3.
  private let matrices: [DecodeMasks.Place]

  /// - Parameter registers: hold masks, then matrices, as far as they go.
  init(_ asm: borrowing X64Assembler, _ spec: GEMMSpec, registers: [YMM]) {
    level = spec.level
    gfni = spec.gfni
    let values = CodeDecoder.maskValues(spec)
    digits = DigitDecoder(masks: DecodeMasks(asm, values, registers: registers))
    var matrices: [DecodeMasks.Place] = []
    for r in 0..<4 where spec.gfni {
      let matrix = CodeDecoder.matrix(spec.level, r)
      let halves = [UInt32(truncatingIfNeeded: matrix), UInt32(truncatingIfNeeded: matrix >> 32)]
      let memory = asm.constants32(halves + halves + halves + halves)
      if values.count + r < registers.count {
        asm.vmovdqa(registers[values.count + r], memory)
        matrices.append(.register(registers[values.count + r]))
      } else {
        matrices.append(.memory(memory))
      }
    }
    self.matrices = matrices
  }

  /// Registers that hold all constants.
  static func constantCount(_ spec: GEMMSpec) -> Int { maskValues(spec).count + (spec.gfni ? 4 : 0) }

  /// What merging four planes takes.
  private static let mergeMasks: [UInt8] = [0xCC, 0xF0, 0x3C]

  private static func maskValues(_ spec: GEMMSpec) -> [UInt8] {
    switch spec.level {
    case .int8: spec.gfni || spec.hasWords ? mergeMasks : mergeMasks + [0xC0, 0xFC]
    case .int6: spec.gfni ? mergeMasks : [0xCC, 0xF0, 0x0C, 0xC0, 0x30, 0x03, 0x0F, 0x3C]
    case .int4: spec.gfni ? [0xCC] : DigitDecoder.nibbleMasks
    default: spec.gfni ? [] : DigitDecoder.pairMasks
    }
  }

  /// ``PlaneDecoder/matrix(_:_:)`` with the code's lowest bit in bit 0: rows of higher bits come first.
  private static func matrix(_ level: Level, _ r: Int) -> UInt64 {
    PlaneDecoder.matrix(level, r) << UInt64(8 * (8 - level.bits))
  }

  /// Calls `use` with the codes of each r = 0...3 from one quarter of each plane; planes and two temporaries are overwritten.
  func emit(
    _ asm: borrowing X64Assembler, _ planes: [YMM], temporaries: [YMM],
    _ use: (borrowing X64Assembler, Int, YMM) -> Void
  ) {
    let (code, temporary) = (temporaries[0], temporaries[1])
    switch level {
    case .int8:
      let rotated = mergePlanes(asm, planes, temporary: temporary)
      use(asm, 0, rotated[0])
      for r in 1..<4 {
        if gfni {
          emitAffine(asm, rotated[r], rotated[r], r)
        } else {
          asm.vpsrlw(temporary, rotated[r], 2 * r)
          asm.vpsllw(rotated[r], rotated[r], 8 - 2 * r)
          asm.vpxor(rotated[r], rotated[r], temporary)
          masks.and(asm, rotated[r], rotated[r], 0xFF << UInt8(8 - 2 * r))
          asm.vpxor(rotated[r], rotated[r], temporary)
        }
        use(asm, r, rotated[r])
      }
    case .int6 where gfni:
      // As with four planes; where the fourth one's bits would be are others of the third, which the affine map drops.
      digits.mergePlanes(asm, planes[0], planes[1], temporary: temporary)
      asm.vmovdqa(code, planes[2])
      let rotated = mergeHalves(asm, Array(planes.prefix(3)) + [code], temporary: temporary)
      for r in 0..<4 {
        emitAffine(asm, rotated[r], rotated[r], r)
        use(asm, r, rotated[r])
      }
    case .int6:
      digits.mergePlanes(asm, planes[0], planes[1], temporary: code)
      for r in 0..<4 {
        emitSixBits(asm, code, odd: planes[0], even: planes[1], low: planes[2], r: r, temporary: temporary)
        use(asm, r, code)
      }
    case .int4:
      digits.mergePlanes(asm, planes[0], planes[1], temporary: code)
      for r in 0..<4 {
        if gfni {
          emitAffine(asm, code, planes[1 - r % 2], r)
        } else {
          digits.nibble(asm, code, even: planes[1], odd: planes[0], r: r, temporary: temporary)
        }
        use(asm, r, code)
      }
    default:
      for r in 0..<4 {
        if gfni {
          emitAffine(asm, code, planes[0], r)
        } else {
          digits.pair(asm, code, planes[0], field: (3 + r) % 4)
        }
        use(asm, r, code)
      }
    }
  }

  /// Merges four planes.
  ///
  /// - Returns: the registers, among those of the planes, that hold the codes of r = 0...3, each rotated left by 2r.
  func mergePlanes(_ asm: borrowing X64Assembler, _ planes: [YMM], temporary: YMM) -> [YMM] {
    digits.mergePlanes(asm, planes[0], planes[1], temporary: temporary)
    digits.mergePlanes(asm, planes[2], planes[3], temporary: temporary)
    return mergeHalves(asm, planes, temporary: temporary)
  }

  /// What is left to do when planes 0 and 1 are merged, and 2 and 3.
  private func mergeHalves(_ asm: borrowing X64Assembler, _ planes: [YMM], temporary: YMM) -> [YMM] {
    // Even: high nibbles from planes 0 and 1 for r = 0, from planes 2 and 3 for r = 2. Odd: the middle four bits are r = 3's
    // from planes 0 and 1.
    for (first, second, mask) in [(planes[1], planes[3], 0xF0), (planes[0], planes[2], 0x3C)] as [(YMM, YMM, UInt8)] {
      asm.vpxor(temporary, first, second)
      masks.and(asm, temporary, temporary, mask)
      asm.vpxor(first, first, temporary)
      asm.vpxor(second, second, temporary)
    }
    return [planes[3], planes[0], planes[1], planes[2]]
  }

  private func emitAffine(_ asm: borrowing X64Assembler, _ target: YMM, _ source: YMM, _ r: Int) {
    switch matrices[r] {
    case .register(let register): asm.vgf2p8affineqb(target, source, register, 0)
    case .memory(let memory): asm.vgf2p8affineqb(target, source, memory, 0)
    }
  }

  /// Plane 2 keeps r in field (1 + r) mod 4, next to or apart from the digit of planes 0 and 1.
  private func emitSixBits(
    _ asm: borrowing X64Assembler, _ code: YMM, odd: YMM, even: YMM, low: YMM, r: Int, temporary: YMM
  ) {
    switch r {
    case 0:
      // All six bits lie together, two places too high.
      masks.and(asm, code, even, 0xF0)
      masks.and(asm, temporary, low, 0x0C)
      asm.vpor(code, code, temporary)
      asm.vpsrlw(code, code, 2)
    case 1:
      masks.and(asm, code, odd, 0xC0)
      masks.and(asm, temporary, low, 0x30)
      asm.vpor(code, code, temporary)
      masks.and(asm, temporary, odd, 0x03)
      asm.vpsrlw(code, code, 4)
      asm.vpsllw(temporary, temporary, 4)
      asm.vpor(code, code, temporary)
    case 2:
      masks.and(asm, code, even, 0x0F)
      asm.vpsrlw(temporary, low, 6)
      asm.vpsllw(code, code, 2)
      masks.and(asm, temporary, temporary, 0x03)
      asm.vpor(code, code, temporary)
    default:
      // In place.
      masks.and(asm, code, odd, 0x3C)
      masks.and(asm, temporary, low, 0x03)
      asm.vpor(code, code, temporary)
    }
  }
}
