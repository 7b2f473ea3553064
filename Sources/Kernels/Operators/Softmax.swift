extension Operators {
  /// Each row becomes `softmax(x * scale + mask)`, in place; the row's maximum is subtracted first, so that nothing
  /// overflows.
  ///
  /// A row that is -infinity everywhere (all masked), or holds a NaN or +infinity, becomes NaN, as in PyTorch. An element
  /// 87 below the maximum becomes 0. Maximum relative error 5e-7 + 6e-8 · (maximum - score), the latter from rounding that
  /// difference, for scores taken as `x * scale + mask` rounds; plus 2e-38.
  ///
  /// - Parameters:
  ///   - rowStride: distance of two rows of `x` in elements.
  ///   - mask: added to the scaled scores; nil adds nothing.
  ///   - maskRowStride: distance of two rows of `mask`; 0 uses one row for all.
  public static func softmaxRows(
    _ x: UnsafeMutablePointer<Float>, rows: Int, width: Int, rowStride: Int, scale: Float,
    mask: UnsafePointer<Float>?, maskRowStride: Int
  ) {
    if width <= 0 { return }
    for row in 0..<max(rows, 0) {
      let base = x + row &* rowStride
      let highest: Float
      if let mask {
        highest = scaleAndMask(base, width, scale, mask + row &* maskRowStride)
      } else {
        highest = scaleOnly(base, width, scale)
      }
      let sum = exponentiate(base, width, highest)
      Operators.scale(base, by: 1 / sum, base, count: width)
    }
  }

  @inline(__always)
  private static func scaleOnly(_ x: UnsafeMutablePointer<Float>, _ width: Int, _ scale: Float) -> Float {
    var high0 = SIMD4<Float>(repeating: -.infinity)
    var high1 = high0
    var index = 0
    while index &+ 8 <= width {
      let value = load(x, index) * scale
      store(value, x, index)
      high0 = larger(value.lowHalf, high0)
      high1 = larger(value.highHalf, high1)
      index &+= 8
    }
    var highest = horizontalMaximum(larger(high0, high1))
    while index < width {
      let value = x[index] * scale
      x[index] = value
      if value > highest { highest = value }
      index &+= 1
    }
    return highest
  }

  @inline(__always)
  private static func scaleAndMask(
    _ x: UnsafeMutablePointer<Float>, _ width: Int, _ scale: Float, _ mask: UnsafePointer<Float>
  ) -> Float {
    var high0 = SIMD4<Float>(repeating: -.infinity)
    var high1 = high0
    var index = 0
    while index &+ 8 <= width {
      let value = load(x, index) * scale + load(mask, index)
      store(value, x, index)
      high0 = larger(value.lowHalf, high0)
      high1 = larger(value.highHalf, high1)
      index &+= 8
    }
    var highest = horizontalMaximum(larger(high0, high1))
    while index < width {
      let value = x[index] * scale + mask[index]
      x[index] = value
      if value > highest { highest = value }
      index &+= 1
    }
    return highest
  }

  /// Replaces each element by e^(x - highest) and returns the sum.
  @inline(__always)
  private static func exponentiate(_ x: UnsafeMutablePointer<Float>, _ width: Int, _ highest: Float) -> Float {
    var sum = Vector(repeating: 0)
    var index = 0
    while index &+ 8 <= width {
      let value = expNonPositive(load(x, index) - highest)
      store(value, x, index)
      sum += value
      index &+= 8
    }
    if index < width {
      let tail = width &- index
      // Padding that becomes 0: it is far below the maximum.
      let value = expNonPositive(loadTail(x, index, count: tail, fill: -.infinity) - highest)
      storeTail(value, x, index, count: tail)
      // The padding adds 0, or NaN where all is NaN.
      sum += value
    }
    return horizontalSum(sum)
  }
}
