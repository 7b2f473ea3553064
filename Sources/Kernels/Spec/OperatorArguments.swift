// What the operators between the products are called with; as in `KernelArguments`, strides are bytes and nothing is
// checked. Each has a twin in `Operators`, which also says what the result means.

/// `y[i] = f(x[i])` for `i` below `count`; `y` may be `x`.
public struct UnaryArguments: BitwiseCopyable {
  public var x: UnsafePointer<Float>
  public var y: UnsafeMutablePointer<Float>
  public var count: Int

  public init(x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, count: Int) {
    self.x = x
    self.y = y
    self.count = count
  }
}

/// Each row becomes `softmax(x · scale + mask)`, in place: ``Operators/softmaxRows(_:rows:width:rowStride:scale:mask:maskRowStride:)``.
public struct SoftmaxArguments: BitwiseCopyable {
  public var x: UnsafeMutablePointer<Float>
  public var rowStride: Int
  /// nil adds nothing.
  public var mask: UnsafePointer<Float>?
  /// 0 uses one row for all.
  public var maskRowStride: Int
  public var rows: Int
  public var width: Int
  public var scale: Float

  public init(
    x: UnsafeMutablePointer<Float>, rowStride: Int, mask: UnsafePointer<Float>?, maskRowStride: Int, rows: Int,
    width: Int, scale: Float
  ) {
    self.x = x
    self.rowStride = rowStride
    self.mask = mask
    self.maskRowStride = maskRowStride
    self.rows = rows
    self.width = width
    self.scale = scale
  }
}

/// `y = (v - mean(v)) / sqrt(var(v) + eps) · gamma + beta` per row, with `v = x + residual`; `y` may be `x` or `residual`.
public struct LayerNormArguments: BitwiseCopyable {
  public var x: UnsafePointer<Float>
  public var xRowStride: Int
  /// nil adds nothing.
  public var residual: UnsafePointer<Float>?
  public var residualRowStride: Int
  public var gamma: UnsafePointer<Float>
  public var beta: UnsafePointer<Float>
  public var y: UnsafeMutablePointer<Float>
  public var yRowStride: Int
  public var rows: Int
  public var width: Int
  public var eps: Float

  public init(
    x: UnsafePointer<Float>, xRowStride: Int, residual: UnsafePointer<Float>?, residualRowStride: Int,
    gamma: UnsafePointer<Float>, beta: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, yRowStride: Int, rows: Int,
    width: Int, eps: Float
  ) {
    self.x = x
    self.xRowStride = xRowStride
    self.residual = residual
    self.residualRowStride = residualRowStride
    self.gamma = gamma
    self.beta = beta
    self.y = y
    self.yRowStride = yRowStride
    self.rows = rows
    self.width = width
    self.eps = eps
  }
}
