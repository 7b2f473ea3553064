/// An elementwise function of one value.
public enum Activation: String, Sendable, CaseIterable, Hashable {
  case relu
  /// `x · Φ(x)` with the normal distribution function, by `erf` (Hendrycks and Gimpel, 2016).
  case gelu
  /// The tanh approximation of the same paper.
  case geluTanh
  case silu
  case sigmoid
  case tanh
}

/// An elementwise function of two values with NumPy broadcasting.
public enum Binary: String, Sendable, CaseIterable, Hashable {
  case add
  case subtract
  case multiply
}

/// What a node computes. Operators are those of the field; none knows a model.
///
/// Each case says its inputs and its one output. `…` stands for any leading sizes.
public enum Operator: Hashable, Sendable {
  /// (indices […] integer) → […, k]: rows of an embedding site.
  case embedding(SiteID)
  /// (x […, k]) → […, n]: `x · Wᵀ + bias` of a linear site.
  case linear(SiteID)
  /// (x […, c], gamma [c], beta [c]) → […, c] over the last dimension (Ba, Kiros, Hinton, 2016).
  case layerNorm(epsilon: Float)
  /// (x) → same shape.
  case activation(Activation)
  /// (a, b) → broadcast shape.
  case binary(Binary)
  /// (q [batch, queries, heads·d], k [batch, keys, heads·d], v [batch, keys, heads·e], keep [batch, keys] integer, optional)
  /// → [batch, queries, heads·e]. Scaled dot-product attention (Vaswani et al., 2017); keys whose `keep` is 0 take no part.
  case attention(heads: Int, scale: Float)
  /// (x […, c]) → same shape, over the last dimension.
  case softmax
  /// (x) → int64 [size of dimension `axis` of x]: 0, 1, 2, …
  case range(axis: Int)
  /// (x [batch, steps, c], keep [batch, steps] integer) → [batch, c]: mean over the kept steps; the divisor is at least 1e-9.
  case maskedMean
  /// (x […, c]) → same shape: `x / max(‖x‖₂, epsilon)` over the last dimension.
  case l2Normalize(epsilon: Float)
  /// () → the current content of a state value.
  case readState(StateID)
  /// (x) → x, which also becomes the state's content when the run ends.
  case writeState(StateID)
  /// (condition scalar, captured…) → results of the region taken.
  case conditional(then: RegionID, otherwise: RegionID)
  /// (trip count scalar, carried…) → carried values after the last iteration.
  case loop(body: RegionID)

  /// The name used in files, listings and errors.
  public var name: String {
    switch self {
    case .embedding: "embedding"
    case .linear: "linear"
    case .layerNorm: "layerNorm"
    case .activation(let function): function.rawValue
    case .binary(let function): function.rawValue
    case .attention: "attention"
    case .softmax: "softmax"
    case .range: "range"
    case .maskedMean: "maskedMean"
    case .l2Normalize: "l2Normalize"
    case .readState: "readState"
    case .writeState: "writeState"
    case .conditional: "conditional"
    case .loop: "loop"
    }
  }
}
