import Base

extension NestedView {
  /// Checks what the format demands of scales, for bytes that come from a file. Any plane byte is valid.
  ///
  /// - Parameter site: named in the error.
  /// - Throws: `.invalidFile` naming row, group and value of the first offence.
  public func validate(_ site: @autoclosure () -> String) throws(AdaptQError) {
    if !(factor.isNormal && factor > 0) {
      throw .invalidFile("\(site()): factor \(factor) is not a positive normal number")
    }
    let groups = scaleRowByteCount / scaleKind.lineByteCount
    for nBlock in 0..<nBlocks {
      for group in 0..<groups {
        let line = scales + (nBlock &* scaleRowByteCount &+ group &* scaleKind.lineByteCount)
        // Thousands of lines: those that are sound as a whole are not looked at row by row.
        if scaleKind == .stepAndMinimum && nBlock &* 16 &+ 16 <= n && NestedView.isSound(line) { continue }
        for row in 0..<16 { try validate(nBlock &* 16 &+ row, group, line, site) }
      }
    }
  }

  /// Whether steps and minima of a line are all zero or normal, and no step is negative.
  private static func isSound(_ line: UnsafeRawPointer) -> Bool {
    var bad: UInt64 = 0
    for word in 0..<8 {
      let halves = UInt64(littleEndian: line.loadUnaligned(fromByteOffset: word &* 8, as: UInt64.self))
      bad |= unsoundHalves(halves)
      if word < 4 { bad |= halves & 0x8000_8000_8000_8000 }
    }
    return bad == 0
  }

  private func validate(
    _ row: Int, _ group: Int, _ line: UnsafeRawPointer, _ site: () -> String
  ) throws(AdaptQError) {
    let lane = row % 16
    func half(_ at: Int) -> Half {
      Half(bits: UInt16(littleEndian: line.loadUnaligned(fromByteOffset: at &+ lane &* 2, as: UInt16.self)))
    }
    func single(_ at: Int) -> Float {
      Float(
        bitPattern: UInt32(littleEndian: line.loadUnaligned(fromByteOffset: at &+ lane &* 4, as: UInt32.self)))
    }
    let step = scaleKind == .perOutput ? single(0) : half(0).float
    let other: Float
    switch scaleKind {
    case .stepAndMinimum:
      other = half(32).float
      if !half(32).isZeroOrNormal {
        throw .invalidFile("\(site()): minimum \(other) of row \(row), group \(group) is not zero or normal")
      }
    case .symmetric: other = 0
    case .perOutput:
      other = single(64)
      if !(other >= 0 && other <= 255 && other.rounded() == other) {
        throw .invalidFile("\(site()): zero point \(other) of row \(row) is not an integer from 0 to 255")
      }
    }
    let isNumber = scaleKind == .perOutput ? step == 0 || step.isNormal : half(0).isZeroOrNormal
    if !(isNumber && step.sign == .plus) {
      throw .invalidFile("\(site()): step \(step) of row \(row), group \(group) is not zero or positive normal")
    }
    if row >= n && (step.bitPattern | other.bitPattern) != 0 {
      throw .invalidFile("\(site()): scale of padding row \(row), group \(group) is not zero")
    }
  }
}

extension RowTable {
  /// The same checks for a table stored by rows.
  public func validate(_ site: @autoclosure () -> String) throws(AdaptQError) {
    if !(factor.isNormal && factor > 0) {
      throw .invalidFile("\(site()): factor \(factor) is not a positive normal number")
    }
    var index = 0
    let count = rows &* groups
    while index < count {
      // Steps and minima in turn, two of each at once.
      if index &+ 2 <= count {
        let halves = UInt64(littleEndian: scales.loadUnaligned(fromByteOffset: index &* 4, as: UInt64.self))
        if (unsoundHalves(halves) | halves & 0x0000_8000_0000_8000) == 0 {
          index &+= 2
          continue
        }
      }
      defer { index &+= 1 }
      let step = Half(bits: UInt16(littleEndian: scales.loadUnaligned(fromByteOffset: index &* 4, as: UInt16.self)))
      let minimum = Half(
        bits: UInt16(littleEndian: scales.loadUnaligned(fromByteOffset: index &* 4 &+ 2, as: UInt16.self)))
      if !(step.isZeroOrNormal && step.bits & 0x8000 == 0 && minimum.isZeroOrNormal) {
        throw .invalidFile(
          "\(site()): step \(step.float) or minimum \(minimum.float) of row \(index / groups), group "
            + "\(index % groups) is not zero or normal")
      }
    }
  }
}

/// Marks, in their highest bit, those of four f16 that are subnormal, infinite or NaN. No sum crosses a half.
@inline(__always)
private func unsoundHalves(_ halves: UInt64) -> UInt64 {
  let exponent = halves & 0x7C00_7C00_7C00_7C00
  let isInfinite = exponent &+ 0x0400_0400_0400_0400
  let hasExponent = exponent &+ 0x7C00_7C00_7C00_7C00
  let hasFraction = (halves & 0x03FF_03FF_03FF_03FF) &+ 0x7FFF_7FFF_7FFF_7FFF
  return (isInfinite | (hasFraction & ~hasExponent)) & 0x8000_8000_8000_8000
}

extension Half {
  /// Neither subnormal, nor infinite, nor NaN.
  var isZeroOrNormal: Bool {
    let exponent = bits & 0x7C00
    return bits & 0x7FFF == 0 || (exponent != 0 && exponent != 0x7C00)
  }
}
