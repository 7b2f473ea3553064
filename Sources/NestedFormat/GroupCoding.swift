import Base

// How one group of up to 64 weights becomes `s`, `lo` and codes; the same for blocks and for tables stored by rows.

/// What one group stores besides its codes, as f16 that are never subnormal, infinite or NaN.
struct GroupScale {
  var step: Half
  var minimum: Half
}

let smallestNormalHalf: Float = 0x1p-14

/// The largest f16 not above `value` that is zero or normal. `|value|` is at most 2¹⁵.
func halfRoundedDown(_ value: Float) -> Half {
  if value >= 0 && value < smallestNormalHalf { return Half(bits: 0) }
  if value < 0 && value > -smallestNormalHalf { return Half(-smallestNormalHalf) }
  let nearest = Half(value)
  if nearest.float <= value { return nearest }
  // One step towards minus infinity: magnitude and sign are apart in the bits, and the value is not 0 here.
  return Half(bits: value < 0 ? nearest.bits &+ 1 : nearest.bits &- 1)
}

/// The smallest f16 not below `value` that is zero or normal, for `value` in 0...2¹⁵.
func halfRoundedUp(_ value: Float) -> Half {
  if value <= 0 { return Half(bits: 0) }
  if value <= smallestNormalHalf { return Half(smallestNormalHalf) }
  let nearest = Half(value)
  return nearest.float >= value ? nearest : Half(bits: nearest.bits &+ 1)
}

/// The nearest f16 that is zero or normal.
func halfRoundedToNearest(_ value: Float) -> Half {
  if value.magnitude >= smallestNormalHalf { return Half(value) }
  if value.magnitude < smallestNormalHalf / 2 { return Half(bits: 0) }
  return Half(value < 0 ? -smallestNormalHalf : smallestNormalHalf)
}

/// The scale for weights from `lowest` to `highest`, both already divided by the factor.
///
/// `lo` is rounded down and then `s` up, so that every weight lies in `lo ... lo + 256 s`: each level is off by half its
/// bin at most, and nothing saturates. A constant group has `s` = 0 and `lo` rounded to nearest.
func groupScale(lowest: Float, highest: Float) -> GroupScale {
  if lowest == highest { return GroupScale(step: Half(bits: 0), minimum: halfRoundedToNearest(lowest)) }
  let minimum = halfRoundedDown(lowest)
  return GroupScale(step: halfRoundedUp((highest - minimum.float) * 0x1p-8), minimum: minimum)
}

/// What the codes of a group are made with; weights and these are already divided by the factor.
struct GroupCoder {
  var step: Float
  /// Subtracted before the division by the step: the stored minimum, or 0.
  var minimum: Float
  /// Added after rounding: the code of 0, or 0 with a minimum, where codes are rounded down.
  var zero: Float
  var roundsDown: Bool

  /// Codes 64 weights; entries from `count` on are padding with any finite value inside the group's range and get code 0.
  func code(_ weights: UnsafePointer<Float>, count: Int, codes: UnsafeMutablePointer<UInt8>) {
    let raw = UnsafeRawPointer(weights)
    let target = UnsafeMutableRawPointer(codes)
    if step == 0 && roundsDown {
      target.storeBytes(of: SIMD64<UInt8>(repeating: 0), as: SIMD64<UInt8>.self)
      return
    }
    let minimum = SIMD16<Float>(repeating: minimum)
    // 0 / 1 is the zero of a group of zeros.
    let step = SIMD16<Float>(repeating: step == 0 ? 1 : step)
    let magic = SIMD16<Float>(repeating: 0x1p23)
    let top = SIMD16<Float>(repeating: 255)
    for part in 0..<4 {
      let w = raw.loadUnaligned(fromByteOffset: part &* 64, as: SIMD16<Float>.self)
      var position = (w - minimum) / step
      if !roundsDown {
        position += zero
        position = position.replacing(with: 0, where: position .< 0)
      }
      // floor() without SSE4.1: round to nearest by pushing the fraction out of the significand, then correct.
      var integer = (position + magic) - magic
      if roundsDown { integer = integer.replacing(with: integer - 1, where: integer .> position) }
      integer = integer.replacing(with: top, where: integer .> top)
      let integers = unsafeBitCast(integer + magic, to: SIMD16<UInt32>.self)
      target.storeBytes(
        of: SIMD16<UInt8>(truncatingIfNeeded: integers), toByteOffset: part &* 16, as: SIMD16<UInt8>.self)
    }
    for index in count..<max(count, 64) { codes[index] = 0 }
  }
}

/// The least and the greatest of 64 weights.
func groupRange(_ weights: UnsafePointer<Float>) -> (lowest: Float, highest: Float) {
  let raw = UnsafeRawPointer(weights)
  var low = raw.loadUnaligned(as: SIMD16<Float>.self)
  var high = low
  for part in 1..<4 {
    let w = raw.loadUnaligned(fromByteOffset: part &* 64, as: SIMD16<Float>.self)
    low = low.replacing(with: w, where: w .< low)
    high = high.replacing(with: w, where: w .> high)
  }
  return (low.min(), high.max())
}

extension GroupScale {
  var coder: GroupCoder { GroupCoder(step: step.float, minimum: minimum.float, zero: 0, roundsDown: true) }
}

/// Codes 64 weights with a scale of their own, see ``GroupCoder/code(_:count:codes:)``.
func codeGroup(
  _ weights: UnsafePointer<Float>, count: Int, codes: UnsafeMutablePointer<UInt8>
) -> GroupScale {
  let (lowest, highest) = groupRange(weights)
  let scale = groupScale(lowest: lowest, highest: highest)
  scale.coder.code(weights, count: count, codes: codes)
  return scale
}

/// Copies `count` (1 to 64) weights times `multiplier`, and repeats the first one up to 64.
func scaleGroup(
  _ weights: UnsafePointer<Float>, count: Int, multiplier: Float, into output: UnsafeMutablePointer<Float>
) {
  if count == 64 {
    let source = UnsafeRawPointer(weights)
    let target = UnsafeMutableRawPointer(output)
    for part in 0..<4 {
      let w = source.loadUnaligned(fromByteOffset: part &* 64, as: SIMD16<Float>.self)
      target.storeBytes(of: w * multiplier, toByteOffset: part &* 64, as: SIMD16<Float>.self)
    }
    return
  }
  for index in 0..<64 { output[index] = weights[index < count ? index : 0] * multiplier }
}

/// The power of two that brings the largest magnitude of a matrix into 2¹³ ..< 2¹⁴: as far above the f16 subnormals as
/// it may go while `lo`, which is rounded away from zero, stays finite. 1 for a matrix of zeros.
///
/// - Throws: `.invalidArgument` naming row and column of the first weight that is not finite.
func siteFactor(
  _ weights: UnsafePointer<Float>, rows: Int, columns: Int, rowStride: Int
) throws(AdaptQError) -> Float {
  if rowStride < columns { throw .invalidArgument("row stride: \(rowStride) is below the \(columns) columns") }
  _ = try checkedProduct(rows, checkedProduct(rowStride, 4, "bytes of a row"), "bytes of the weights")
  var largest: Float = 0
  for row in 0..<rows {
    let base = weights + row &* rowStride
    let raw = UnsafeRawPointer(base)
    var high = SIMD16<Float>(repeating: 0)
    var poison = SIMD16<Float>(repeating: 0)
    var column = 0
    while column &+ 16 <= columns {
      let w = raw.loadUnaligned(fromByteOffset: column &* 4, as: SIMD16<Float>.self)
      let magnitude = unsafeBitCast(
        unsafeBitCast(w, to: SIMD16<UInt32>.self) & 0x7FFF_FFFF, to: SIMD16<Float>.self)
      high = high.replacing(with: magnitude, where: magnitude .> high)
      poison += w * 0
      column &+= 16
    }
    var rowHigh = high.max()
    var rowPoison = poison.sum()
    while column < columns {
      let w = base[column]
      if w.magnitude > rowHigh { rowHigh = w.magnitude }
      rowPoison += w * 0
      column &+= 1
    }
    if rowPoison != 0 {  // NaN: something was not finite.
      for column in 0..<columns where !base[column].isFinite {
        throw .invalidArgument("weights: row \(row), column \(column) is \(base[column])")
      }
    }
    if rowHigh > largest { largest = rowHigh }
  }
  if largest == 0 { return 1 }
  let exponent = Int(truncatingIfNeeded: largest.exponent) - 13
  // Both the factor and its reciprocal stay normal.
  return Float(sign: .plus, exponent: min(max(exponent, -126), 126), significand: 1)
}
