extension Operators {
  /// `y = (v - mean(v)) / sqrt(var(v) + eps) * gamma + beta` per row, with `v = x + residual`; the variance divides by
  /// `width` (Ba, Kiros, Hinton, "Layer Normalization", 2016).
  ///
  /// Mean and variance take separate passes, and the second corrects the rounding of the first, so a mean far larger than
  /// the deviation costs no accuracy beyond that of `v` in Float. With `v` as rounded, the maximum error is
  /// 1e-6 · (|y - beta| + |beta|) + (1e-7 + 3e-9 · max|v| / deviation) · |gamma|. A NaN or infinity makes its row NaN.
  ///
  /// - Parameters:
  ///   - residual: added to `x` first; nil adds nothing.
  ///   - y: may be `x` or `residual`.
  ///   - xStride, residualStride, yStride: distance of two rows in elements.
  public static func layerNorm(
    _ x: UnsafePointer<Float>, xStride: Int, residual: UnsafePointer<Float>?, residualStride: Int,
    gamma: UnsafePointer<Float>, beta: UnsafePointer<Float>, eps: Float, rows: Int, width: Int,
    _ y: UnsafeMutablePointer<Float>, yStride: Int
  ) {
    if width <= 0 { return }
    let reciprocalWidth = 1 / Float(width)
    for row in 0..<max(rows, 0) {
      let source = x + row &* xStride
      let target = y + row &* yStride
      let sum: Float
      if let residual {
        sum = addAndSum(source, residual + row &* residualStride, target, width)
      } else {
        sum = copyAndSum(source, target, width)
      }
      let rough = sum * reciprocalWidth
      let moments = centeredMoments(target, width, rough)
      let correction = moments.sum * reciprocalWidth
      let variance = moments.squares * reciprocalWidth - correction * correction
      let scale = 1 / (larger(variance, 0) + eps).squareRoot()
      // (v - rough) - correction, in this order, keeps the correction's bits.
      normalize(target, width, rough, correction, scale, gamma, beta)
    }
  }

  /// Not `max`: a NaN stays.
  @inline(__always)
  private static func larger(_ value: Float, _ bound: Float) -> Float { value < bound ? bound : value }

  @inline(__always)
  private static func copyAndSum(
    _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ width: Int
  ) -> Float {
    var sum = Vector(repeating: 0)
    var index = 0
    while index &+ 8 <= width {
      let value = load(x, index)
      store(value, y, index)
      sum += value
      index &+= 8
    }
    if index < width {
      let value = loadTail(x, index, count: width &- index)
      storeTail(value, y, index, count: width &- index)
      sum += value
    }
    return horizontalSum(sum)
  }

  @inline(__always)
  private static func addAndSum(
    _ x: UnsafePointer<Float>, _ residual: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ width: Int
  ) -> Float {
    var sum = Vector(repeating: 0)
    var index = 0
    while index &+ 8 <= width {
      let value = load(x, index) + load(residual, index)
      store(value, y, index)
      sum += value
      index &+= 8
    }
    if index < width {
      let tail = width &- index
      let value = loadTail(x, index, count: tail) + loadTail(residual, index, count: tail)
      storeTail(value, y, index, count: tail)
      sum += value
    }
    return horizontalSum(sum)
  }

  private struct Moments {
    var sum: Float
    var squares: Float
  }

  @inline(__always)
  private static func centeredMoments(_ v: UnsafePointer<Float>, _ width: Int, _ center: Float) -> Moments {
    var sum = Vector(repeating: 0)
    var squares = Vector(repeating: 0)
    var index = 0
    while index &+ 8 <= width {
      let difference = load(v, index) - center
      sum += difference
      squares += difference * difference
      index &+= 8
    }
    if index < width {
      let difference = loadTail(v, index, count: width &- index, fill: center) - center
      sum += difference
      squares += difference * difference
    }
    return Moments(sum: horizontalSum(sum), squares: horizontalSum(squares))
  }

  @inline(__always)
  private static func normalize(
    _ v: UnsafeMutablePointer<Float>, _ width: Int, _ rough: Float, _ correction: Float, _ scale: Float,
    _ gamma: UnsafePointer<Float>, _ beta: UnsafePointer<Float>
  ) {
    var index = 0
    while index &+ 8 <= width {
      let centered = (load(v, index) - rough) - correction
      store(centered * scale * load(gamma, index) + load(beta, index), v, index)
      index &+= 8
    }
    if index < width {
      let tail = width &- index
      let centered = (loadTail(v, index, count: tail) - rough) - correction
      let value = centered * scale * loadTail(gamma, index, count: tail) + loadTail(beta, index, count: tail)
      storeTail(value, v, index, count: tail)
    }
  }

  /// `y = x / max(‖x‖₂, eps)` per row, as `torch.nn.functional.normalize` with its default `eps` of 1e-12. Maximum error
  /// 1e-6 relative while the sum of squares neither overflows nor becomes subnormal. `y` may be `x`.
  public static func l2NormalizeRows(
    _ x: UnsafePointer<Float>, xStride: Int, rows: Int, width: Int, eps: Float,
    _ y: UnsafeMutablePointer<Float>, yStride: Int
  ) {
    if width <= 0 { return }
    for row in 0..<max(rows, 0) {
      let source = x + row &* xStride
      var squares = Vector(repeating: 0)
      var index = 0
      while index &+ 8 <= width {
        let value = load(source, index)
        squares += value * value
        index &+= 8
      }
      if index < width {
        let value = loadTail(source, index, count: width &- index)
        squares += value * value
      }
      let norm = larger(horizontalSum(squares).squareRoot(), eps)
      scale(source, by: 1 / norm, y + row &* yStride, count: width)
    }
  }
}
