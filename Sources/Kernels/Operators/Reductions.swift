extension Operators {
  /// `y[c] = Σ_r weights[r] x[r][c]`, rows added in order; `weights` nil counts every row once. A weight of 0 times NaN is
  /// NaN, as in PyTorch.
  ///
  /// Maximum error `rows` · 1.2e-7 · Σ |weights[r] x[r][c]|. `y` must not overlap the inputs; 0 rows give zeros.
  public static func sumRows(
    _ x: UnsafePointer<Float>, xStride: Int, weights: UnsafePointer<Float>?, rows: Int, width: Int,
    _ y: UnsafeMutablePointer<Float>
  ) {
    var index = 0
    while index < width {
      let tail = min(8, width &- index)
      var sum = Vector(repeating: 0)
      for row in 0..<max(rows, 0) {
        let source = x + row &* xStride
        let value = tail == 8 ? load(source, index) : loadTail(source, index, count: tail)
        if let weights { sum += value * weights[row] } else { sum += value }
      }
      if tail == 8 { store(sum, y, index) } else { storeTail(sum, y, index, count: tail) }
      index &+= 8
    }
  }

  /// Mean pooling: ``sumRows(_:xStride:weights:rows:width:_:)`` divided by `max(Σ weights, 1e-9)`, as sentence-transformers
  /// has it; `weights` nil gives the plain mean.
  public static func meanRows(
    _ x: UnsafePointer<Float>, xStride: Int, weights: UnsafePointer<Float>?, rows: Int, width: Int,
    _ y: UnsafeMutablePointer<Float>
  ) {
    sumRows(x, xStride: xStride, weights: weights, rows: rows, width: width, y)
    var total: Float = 0
    for row in 0..<max(rows, 0) { total += weights?[row] ?? 1 }
    let divisor = total < 1e-9 ? 1e-9 : total
    var index = 0
    while index &+ 8 <= width {
      store(load(y, index) / divisor, y, index)
      index &+= 8
    }
    while index < width {
      y[index] /= divisor
      index &+= 1
    }
  }
}
