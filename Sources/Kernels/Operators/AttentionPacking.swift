/// Attention's two products take keys and values as the second operand of a dense matrix product: `[n/16][k][16]`, the
/// layout of ``NestedFormat/DenseView`` in FP32. Outputs from `n` to the next multiple of 16 are written as 0.
extension Operators {
  /// Packs rows that are the product's outputs, so `packed[r/16][c][r%16] = x[r][c]`: for queries times keys transposed,
  /// `rows` keys of `width` dimensions.
  ///
  /// - Parameters:
  ///   - xStride: distance of two rows of `x` in elements.
  ///   - packed: `ceil(rows / 16) * width * 16` elements, written completely.
  public static func packTransposed(
    _ x: UnsafePointer<Float>, xStride: Int, rows: Int, width: Int, into packed: UnsafeMutablePointer<Float>
  ) {
    let blocks = (rows &+ 15) >> 4
    for block in 0..<max(blocks, 0) {
      let target = packed + block &* width &* 16
      for quarter in 0..<4 {
        let first = block &* 16 &+ quarter &* 4
        let left = rows &- first
        let lanes = target + quarter &* 4
        var column = 0
        if left >= 4 {
          let source = x + first &* xStride
          while column &+ 4 <= width {
            transpose4x4(source + column, xStride, lanes + column &* 16)
            column &+= 4
          }
        }
        while column < width {
          for lane in 0..<4 {
            lanes[column &* 16 &+ lane] = lane < left ? x[(first &+ lane) &* xStride &+ column] : 0
          }
          column &+= 1
        }
      }
    }
  }

  /// Packs rows that are the product's inputs, so `packed[c/16][r][c%16] = x[r][c]`: for probabilities times values,
  /// `rows` keys of `width` dimensions.
  ///
  /// - Parameters:
  ///   - xStride: distance of two rows of `x` in elements.
  ///   - packed: `ceil(width / 16) * rows * 16` elements, written completely.
  public static func packRows(
    _ x: UnsafePointer<Float>, xStride: Int, rows: Int, width: Int, into packed: UnsafeMutablePointer<Float>
  ) {
    if rows <= 0 { return }
    let fullBlocks = width >> 4
    for block in 0..<max(fullBlocks, 0) {
      let source = x + block &* 16
      let target = packed + block &* rows &* 16
      for row in 0..<rows {
        store(load(source, row &* xStride), target, row &* 16)
        store(load(source, row &* xStride &+ 8), target, row &* 16 &+ 8)
      }
    }
    let tail = width & 15
    if tail == 0 { return }
    let source = x + fullBlocks &* 16
    let target = packed + fullBlocks &* rows &* 16
    for row in 0..<rows {
      for lane in 0..<16 { target[row &* 16 &+ lane] = lane < tail ? source[row &* xStride &+ lane] : 0 }
    }
  }

  /// Four elements of each of four rows, written as columns 16 elements apart.
  @inline(__always)
  private static func transpose4x4(
    _ x: UnsafePointer<Float>, _ xStride: Int, _ y: UnsafeMutablePointer<Float>
  ) {
    typealias Quad = SIMD4<Float>
    let a = UnsafeRawPointer(x).loadUnaligned(as: Quad.self)
    let b = UnsafeRawPointer(x + xStride).loadUnaligned(as: Quad.self)
    let c = UnsafeRawPointer(x + 2 &* xStride).loadUnaligned(as: Quad.self)
    let d = UnsafeRawPointer(x + 3 &* xStride).loadUnaligned(as: Quad.self)
    let ab = SIMD8(lowHalf: a, highHalf: b)
    let cd = SIMD8(lowHalf: c, highHalf: d)
    let even = SIMD8(lowHalf: ab.evenHalf, highHalf: cd.evenHalf)
    let odd = SIMD8(lowHalf: ab.oddHalf, highHalf: cd.oddHalf)
    UnsafeMutableRawPointer(y).storeBytes(of: even.evenHalf, as: Quad.self)
    UnsafeMutableRawPointer(y + 16).storeBytes(of: odd.evenHalf, as: Quad.self)
    UnsafeMutableRawPointer(y + 32).storeBytes(of: even.oddHalf, as: Quad.self)
    UnsafeMutableRawPointer(y + 48).storeBytes(of: odd.oddHalf, as: Quad.self)
  }
}
