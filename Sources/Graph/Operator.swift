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

/// A comparison of two values with NumPy broadcasting: int32, 1 where it holds and 0 elsewhere (also where either is NaN).
public enum Comparison: String, Sendable, CaseIterable, Hashable {
  case equal
  case less
  case greater
}

/// What a node computes. Operators are those of the field; none knows a model.
///
/// Each case says its inputs and its outputs. `…` stands for any leading sizes.
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
  /// (a, b) → int32, broadcast shape.
  case compare(Comparison)
  /// (x [batch, steps, channels]) → [batch, outputSteps, n]: convolution over the steps with the site's weights, which
  /// ``Convolution1D`` lays out. Channels last, so that a window of steps is one run of memory.
  case convolution1D(SiteID, Convolution1D)
  /// (x [batch, steps, c], h0 [batch, h], lengths [batch] integer, optional) → (y [batch, steps, h], h [batch, h]).
  ///
  /// Gated recurrent unit (Cho et al., 2014) with the reset gate behind the recurrent product, as cuDNN and PyTorch have
  /// it. Gates lie in the order r, z, n in `input` (3h x c) and `recurrent` (3h x h):
  /// `r = σ(Wr x + Ur h)`, `z = σ(Wz x + Uz h)`, `n = tanh(Wn x + r · (Un h))`, `h' = (1 - z) · n + z · h`, biases inside the
  /// products. From step `lengths[i]` on row i keeps its `h`, and its `y` is 0.
  case gru(input: SiteID, recurrent: SiteID)
  /// () → the content of a state value at the beginning of the run.
  case readState(StateID)
  /// (x) → x, which also becomes the state's content when the run has succeeded. The last one executed counts.
  case writeState(StateID)
  /// (x) → the content of a growing state with x behind it, along the axis that grows; that also becomes the content when
  /// the run has succeeded. Exactly one such node per growing state, outside of conditionals and loops.
  case appendState(StateID)
  /// (condition integer, arguments…) → results of `then` where the condition is not 0, else of `otherwise`. Only that
  /// region runs. The arguments are the parameters of both regions, which may also read values defined before the node.
  case conditional(then: RegionID, otherwise: RegionID)
  /// (trip count integer, carried…) → carried values after the last iteration. The body's parameters are the carried
  /// values, its results their next ones. A trip count below 1 is none.
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
    case .compare(let comparison): comparison.rawValue
    case .convolution1D: "convolution1D"
    case .gru: "gru"
    case .readState: "readState"
    case .writeState: "writeState"
    case .appendState: "appendState"
    case .conditional: "conditional"
    case .loop: "loop"
    }
  }
}
