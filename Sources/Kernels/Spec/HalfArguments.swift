// What the kernels that multiply in FP16 are called with; strides are bytes, as in `KernelArguments`.
//
// AVX512-FP16 multiplies FP16 weights as they are, but rounds every sum to 11 bits and ends at 65504. So a row of activations is
// brought to a range in which no sum can overflow, and sums go over to Float after a few inputs.

/// Products of FP16 rows with FP16 weights over one or two blocks of 16 outputs, for `rows` rows up to ``mostRows``:
/// `y[r][j] = start[r][j] + 2^e · Σ_c (even + odd)` in Float, where per chunk c of ``chunkInputs`` inputs `even` and `odd` are sums of
/// `x · w` in FP16, one fused multiply-add after the other, over its inputs with even and odd numbers; they are added in FP16, too.
///
/// Every output has the same bits in calls of one and of two blocks, and whatever the number of rows.
public struct HalfArguments: BitwiseCopyable {
  /// Rows of the only tile. Per pair of inputs and 32 outputs bfloat16 takes eight instructions for the weights and two per row;
  /// here it is two, and per row two and, once in eight pairs, ten more: fewer up to four rows.
  public static let mostRows = 4
  /// A chunk meets ten roundings of FP16: less than rounding both factors to bfloat16 may lose.
  public static let chunkInputs = 16
  /// Bytes in front of a row's numbers: the exponent e, as a Float.
  public static let headerByteCount = 4
  /// Numbers of a row are below 2⁻⁴, so that ``chunkInputs`` products with weights up to 65504 add up to no more than 65504.
  static let largestExponent = -4

  /// Rows as ``RoundArguments`` leaves them for these kernels: e, then FP16 numbers, an odd K with a zero behind it.
  var x: UnsafeRawPointer
  var xRowStride: Int
  /// `[k][16]` FP16.
  var w: UnsafeRawPointer
  /// From one block's weights to the next one's; unused with one block.
  var blockStride = 0
  /// As in ``DenseArguments``; with two blocks `start` and `y` go on behind the first 16.
  var start: UnsafePointer<Float>
  var startRowStride: Int
  var y: UnsafeMutablePointer<Float>
  var yRowStride: Int
  var k: Int
  var rows: Int
  /// 1 or 2.
  var blocks: Int
}
