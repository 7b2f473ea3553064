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
      var group = 0
      var column = 0
      while column < kBlocks * 64 {
        try validate(row, column, "row \(row), group \(group)", site())
        group += 1
        column = group << min(groupShift, 32) * 64
      }
    }
  }

  private func validate(_ row: Int, _ column: Int, _ place: String, _ site: String) throws(AdaptQError) {
    let step = storedStep(row, column: column)
    var isValid: Bool
    var other: Float = 0
    switch scaleKind {
    case .stepAndMinimum:
      let minimum = half(row, column, 32)
      other = minimum.float
      if !minimum.isZeroOrNormal {
        throw .invalidFile("\(site): minimum \(other) of \(place) is not zero or normal")
      }
      isValid = half(row, column, 0).isZeroOrNormal
    case .symmetric: isValid = half(row, column, 0).isZeroOrNormal
    case .perOutput:
      other = zeroPoint(row)
      if !(other >= 0 && other <= 255 && other.rounded() == other) {
        throw .invalidFile("\(site): zero point \(other) of row \(row) is not an integer from 0 to 255")
      }
      isValid = step == 0 || step.isNormal
    }
    if !(isValid && step.sign == .plus) {
      throw .invalidFile("\(site): step \(step) of \(place) is not zero or positive normal")
    }
    if row >= n && (step != 0 || other != 0) { throw .invalidFile("\(site): scale of padding \(place) is not zero") }
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
