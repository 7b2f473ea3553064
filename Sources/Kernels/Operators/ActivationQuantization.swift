extension Operators {
  /// Inputs that share one activation scale; equal to the weights' group.
  public static var activationGroup: Int { 64 }

  /// Symmetric signed 8-bit codes of `m` rows of `k` activations, before every product with nested weights.
  ///
  /// Per row and group of 64: scale `a = max|x| / 127`, code `q = round(x · (127 / max|x|))` to nearest even, in -127...127,
  /// and the sum of the group's codes. `|x - a q|` is at most `a · (1/2 + 2e-5)`. A group whose largest magnitude is below
  /// 2⁻¹¹⁸ counts as zero: scale 0, codes 0. A NaN or infinity anywhere in a row marks the row: all its scales are NaN,
  /// codes and sums 0, so that every product with it is NaN.
  ///
  /// - Parameters:
  ///   - x: row-major, `xStride` elements between rows.
  ///   - codes: `[m][kPadded]` with `kPadded` = `k` rounded up to 64; the padding is written as 0.
  ///   - scales, sums: `[m][kPadded / 64]`.
  public static func quantizeActivations(
    _ x: UnsafePointer<Float>, xStride: Int, m: Int, k: Int, codes: UnsafeMutablePointer<Int8>,
    scales: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Int32>
  ) {
    let fullGroups = k >> 6
    let groups = (k &+ 63) >> 6
    for row in 0..<max(m, 0) {
      let source = UnsafeRawPointer(x + row &* xStride)
      let target = UnsafeMutableRawPointer(codes + row &* groups &* 64)
      let rowScales = scales + row &* groups
      let rowSums = sums + row &* groups
      // Maxima first, for the whole row: no group's codes wait for its own maximum, and a mark needs no second writing.
      var finite = true
      var group = 0
      while group < fullGroups {
        finite = largestMagnitude(source + group &* 256, rowScales + group) && finite
        group &+= 1
      }
      var padded = SIMD64<Float>(repeating: 0)
      if fullGroups < groups {
        let start = fullGroups &* 256
        withUnsafeMutableBytes(of: &padded) { bytes in
          guard let base = bytes.baseAddress else { return }
          base.copyMemory(from: source + start, byteCount: k &* 4 &- start)
          finite = largestMagnitude(base, rowScales + fullGroups) && finite
        }
      }
      if !finite {
        markRow(target, rowScales, rowSums, groups)
        continue
      }
      group = 0
      while group < fullGroups {
        quantizeGroup(source + group &* 256, target + group &* 64, rowScales + group, rowSums + group)
        group &+= 1
      }
      if fullGroups < groups {
        withUnsafeBytes(of: &padded) { bytes in
          guard let base = bytes.baseAddress else { return }
          quantizeGroup(base, target + fullGroups &* 64, rowScales + fullGroups, rowSums + fullGroups)
        }
      }
    }
  }

  /// Writes the largest magnitude of 64 elements, or returns false when one of them is not finite.
  @inline(__always)
  private static func largestMagnitude(_ x: UnsafeRawPointer, _ result: UnsafeMutablePointer<Float>) -> Bool {
    let zero = SIMD4<Float>(repeating: 0)
    var (high0, high1, low0, low1) = (zero, zero, zero, zero)
    // Comparisons lose a NaN, a sum does not.
    var sumOfAll = Vector(repeating: 0)
    for part in 0..<8 {
      let value = x.loadUnaligned(fromByteOffset: part &* 32, as: Vector.self)
      high0 = larger(value.lowHalf, high0)
      high1 = larger(value.highHalf, high1)
      low0 = smaller(value.lowHalf, low0)
      low1 = smaller(value.highHalf, low1)
      sumOfAll += value
    }
    result.pointee = horizontalMaximum(larger(larger(high0, high1), larger(-low0, -low1)))
    return horizontalSum(sumOfAll).isFinite || isFinite(x)
  }

  /// Replaces the largest magnitude at `scale` by the scale.
  @inline(__always)
  private static func quantizeGroup(
    _ x: UnsafeRawPointer, _ codes: UnsafeMutableRawPointer, _ scale: UnsafeMutablePointer<Float>,
    _ sum: UnsafeMutablePointer<Int32>
  ) {
    let largest = scale.pointee
    if largest < 0x1p-118 {
      scale.pointee = 0
      sum.pointee = 0
      codes.storeBytes(of: SIMD16<Int32>(repeating: 0), as: SIMD16<Int32>.self)
      return
    }
    scale.pointee = largest / 127
    let inverse = 127 / largest
    var total = SIMD8<UInt32>(repeating: 0)
    for part in 0..<4 {
      // The code in two's complement on top of the bits of the rounding constant, whose low byte is 0.
      let low = x.loadUnaligned(fromByteOffset: part &* 64, as: Vector.self) * inverse + roundingMagic
      let upper = x.loadUnaligned(fromByteOffset: part &* 64 &+ 32, as: Vector.self) * inverse + roundingMagic
      let lowBits = unsafeBitCast(low, to: SIMD8<UInt32>.self)
      let upperBits = unsafeBitCast(upper, to: SIMD8<UInt32>.self)
      total &+= lowBits &+ upperBits
      let bits = SIMD16(lowHalf: lowBits, highHalf: upperBits)
      codes.storeBytes(
        of: SIMD16<UInt8>(truncatingIfNeeded: bits), toByteOffset: part &* 16, as: SIMD16<UInt8>.self)
    }
    let four = total.lowHalf &+ total.highHalf
    let two = four.lowHalf &+ four.highHalf
    sum.pointee = Int32(bitPattern: two[0] &+ two[1] &- 64 &* roundingMagic.bitPattern)
  }

  /// Called when the sum is not finite, which large finite elements do as well.
  private static func isFinite(_ x: UnsafeRawPointer) -> Bool {
    for index in 0..<64 where !x.loadUnaligned(fromByteOffset: index &* 4, as: Float.self).isFinite { return false }
    return true
  }

  private static func markRow(
    _ codes: UnsafeMutableRawPointer, _ scales: UnsafeMutablePointer<Float>, _ sums: UnsafeMutablePointer<Int32>,
    _ groups: Int
  ) {
    for group in 0..<groups {
      scales[group] = .nan
      sums[group] = 0
      (codes + group &* 64).storeBytes(of: SIMD16<Int32>(repeating: 0), as: SIMD16<Int32>.self)
    }
  }
}
