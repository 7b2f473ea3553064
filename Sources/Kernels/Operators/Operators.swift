/// The operators between matrix products, in portable vector code: element by element, rows, gathering, packing.
///
/// All of them are on the run path: unsafe pointers and integers, no allocation, no checks of sizes or overlap (the plan
/// checked them). Counts may be 0. Unless an operator says otherwise, an output may be exactly an input, but must not
/// overlap it in another way. Nothing outside the named elements is read or written. A result depends on the values
/// only, not on alignment or position.
///
/// Swift compiles this for baseline x86-64, so multiply-adds are written `a * b + c`: `addingProduct` would call `fmaf`.
public enum Operators {}

typealias Vector = SIMD8<Float>

@inline(__always)
func load(_ pointer: UnsafePointer<Float>, _ index: Int) -> Vector {
  UnsafeRawPointer(pointer + index).loadUnaligned(as: Vector.self)
}

@inline(__always)
func store(_ value: Vector, _ pointer: UnsafeMutablePointer<Float>, _ index: Int) {
  UnsafeMutableRawPointer(pointer + index).storeBytes(of: value, as: Vector.self)
}

/// The `count` (1 to 7) elements at `index`, then `fill`.
@inline(__always)
func loadTail(_ pointer: UnsafePointer<Float>, _ index: Int, count: Int, fill: Float = 0) -> Vector {
  var value = Vector(repeating: fill)
  for lane in 0..<count { value[lane] = pointer[index &+ lane] }
  return value
}

@inline(__always)
func storeTail(_ value: Vector, _ pointer: UnsafeMutablePointer<Float>, _ index: Int, count: Int) {
  for lane in 0..<count { pointer[index &+ lane] = value[lane] }
}

// Comparing and selecting by integer arithmetic on the bits: SIMDMask's `replacing` is taken apart lane by lane in loops
// of any size, these stay one instruction each. A mask is all ones or all zeros per lane.

typealias Bits = SIMD8<Int32>

@inline(__always)
func bits(_ x: Vector) -> Bits { unsafeBitCast(x, to: Bits.self) }

@inline(__always)
func vector(_ x: Bits) -> Vector { unsafeBitCast(x, to: Vector.self) }

/// The bits of |x|. They order as the magnitudes do, with NaN above infinity.
@inline(__always)
func magnitudeBits(_ x: Vector) -> Bits { bits(x) & 0x7FFF_FFFF }

/// Where the sign bit is set.
@inline(__always)
func signMask(_ x: Vector) -> Bits { bits(x) &>> 31 }

/// Where |x| is above the bound, or x is NaN; `magnitude` holds the bits of |x|, `bound` is positive.
@inline(__always)
func aboveMask(_ magnitude: Bits, _ bound: Float) -> Bits {
  (Bits(repeating: Int32(bitPattern: bound.bitPattern)) &- magnitude) &>> 31
}

/// Where x is NaN; `magnitude` holds the bits of |x|. Or-ing it into a result makes that NaN.
@inline(__always)
func nanMask(_ magnitude: Bits) -> Bits { aboveMask(magnitude, .infinity) }

/// `a` where the mask is set, else `b`.
@inline(__always)
func select(_ mask: Bits, _ a: Bits, _ b: Bits) -> Bits { b ^ ((a ^ b) & mask) }

/// The larger of each pair; `b` where either is NaN. On four lanes this form is one `maxps`, on eight it may be taken
/// apart.
@inline(__always)
func larger(_ a: SIMD4<Float>, _ b: SIMD4<Float>) -> SIMD4<Float> { b.replacing(with: a, where: a .> b) }

/// The smaller of each pair; `b` where either is NaN.
@inline(__always)
func smaller(_ a: SIMD4<Float>, _ b: SIMD4<Float>) -> SIMD4<Float> { b.replacing(with: a, where: a .< b) }

@inline(__always)
func horizontalSum(_ x: Vector) -> Float {
  let four = x.lowHalf + x.highHalf
  let two = four.lowHalf + four.highHalf
  return two[0] + two[1]
}

@inline(__always)
func horizontalMaximum(_ x: SIMD4<Float>) -> Float {
  let low = x[1] > x[0] ? x[1] : x[0]
  let high = x[3] > x[2] ? x[3] : x[2]
  return high > low ? high : low
}
