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
    for row in 0..<(nBlocks * 16) {
      for group in 0..<kBlocks {
        let step = storedStep(row, group: group)
        let minimum = storedMinimum(row, group: group)
        if !(step.isZeroOrNormal && step.bits & 0x8000 == 0) {
          throw .invalidFile(
            "\(site()): step \(step.float) of row \(row), group \(group) is not zero or positive normal")
        }
        if !minimum.isZeroOrNormal {
          throw .invalidFile("\(site()): minimum \(minimum.float) of row \(row), group \(group) is not zero or normal")
        }
        if row >= n && (step.bits | minimum.bits) != 0 {
          throw .invalidFile("\(site()): scale of padding row \(row), group \(group) is not zero")
        }
      }
    }
  }
}

extension RowTable {
  /// The same checks for a table stored by rows.
  public func validate(_ site: @autoclosure () -> String) throws(AdaptQError) {
    if !(factor.isNormal && factor > 0) {
      throw .invalidFile("\(site()): factor \(factor) is not a positive normal number")
    }
    for index in 0..<(rows &* groups) {
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

extension Half {
  /// Neither subnormal, nor infinite, nor NaN.
  var isZeroOrNormal: Bool {
    let exponent = bits & 0x7C00
    return bits & 0x7FFF == 0 || (exponent != 0 && exponent != 0x7C00)
  }
}
