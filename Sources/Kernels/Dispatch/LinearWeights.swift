import NestedFormat

/// The weights of one linear site in every form in which they are kept: `y = x · Wᵀ + bias`, `n` outputs, `k` inputs.
/// Memory that someone else owns; trivial, so that it may travel on the run path.
public struct LinearWeights: BitwiseCopyable, @unchecked Sendable {
  public var n: Int
  public var k: Int
  public var nested: NestedView?
  public var fp16: DenseView?
  public var fp32: DenseView?
  /// `n` floats, or nil.
  public var bias: UnsafePointer<Float>?

  public init(
    n: Int, k: Int, nested: NestedView? = nil, fp16: DenseView? = nil, fp32: DenseView? = nil,
    bias: UnsafePointer<Float>? = nil
  ) {
    self.n = n
    self.k = k
    self.nested = nested
    self.fp16 = fp16
    self.fp32 = fp32
    self.bias = bias
  }

  /// Whether the site can be run at `level`.
  @inlinable public func holds(_ level: Level) -> Bool {
    switch level {
    case .fp32: fp32 != nil
    case .fp16: fp16 != nil
    default: nested?.holds(level) ?? false
    }
  }

  /// Blocks of 16 outputs; the unit in which work is divided among threads.
  @inlinable public var nBlocks: Int { (n &+ 15) / 16 }
}
