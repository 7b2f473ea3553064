// Sizes come from files and callers: every product and sum that becomes a byte count or an index goes through here.

/// `a * b`, or an error that names what was computed.
@inlinable
public func checkedProduct(_ a: Int, _ b: Int, _ what: @autoclosure () -> String) throws(AdaptQError) -> Int {
  let (value, overflow) = a.multipliedReportingOverflow(by: b)
  if overflow { throw AdaptQError(.outOfRange, "\(what()): \(a) x \(b) overflows") }
  return value
}

/// `a + b`, or an error that names what was computed.
@inlinable
public func checkedSum(_ a: Int, _ b: Int, _ what: @autoclosure () -> String) throws(AdaptQError) -> Int {
  let (value, overflow) = a.addingReportingOverflow(b)
  if overflow { throw AdaptQError(.outOfRange, "\(what()): \(a) + \(b) overflows") }
  return value
}

/// The product of a shape's sizes; the empty product is 1 (a scalar).
public func checkedElementCount(_ sizes: [Int], _ what: @autoclosure () -> String) throws(AdaptQError) -> Int {
  var count = 1
  for size in sizes {
    if size < 0 { throw AdaptQError(.outOfRange, "\(what()): size \(size) is negative") }
    count = try checkedProduct(count, size, what())
  }
  return count
}

/// `value` rounded up to a multiple of `alignment`, which is a power of two.
@inlinable
public func roundedUp(_ value: Int, to alignment: Int) throws(AdaptQError) -> Int {
  try checkedSum(value, alignment - 1, "rounding up") & ~(alignment - 1)
}

/// The only way from floating point to an integer: rounds to nearest even, saturates, NaN becomes 0. A plain `Int(x)` traps.
@inlinable
public func clampedInt(_ value: Double, in range: ClosedRange<Int>) -> Int {
  let rounded = value.rounded(.toNearestOrEven)
  if rounded.isNaN { return range.contains(0) ? 0 : range.lowerBound }
  if rounded <= Double(range.lowerBound) { return range.lowerBound }
  if rounded >= Double(range.upperBound) { return range.upperBound }
  return Int(exactly: rounded) ?? range.lowerBound
}
