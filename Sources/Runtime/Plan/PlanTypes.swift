import Graph
import Kernels
import NestedFormat

// What the executor reads: trivial structs in one block of memory, no references.

/// One thing to do. Inputs and outputs are indices of value slots; -1 is none.
struct Step: BitwiseCopyable {
  enum Kind: UInt8, BitwiseCopyable {
    case embedding, linear, layerNorm, unary, binary, attention, softmax, range, maskedMean, l2Normalize
    case compare, convolution, gru
    /// Copies input 0 into what state `count` becomes.
    case writeState
    /// The content of state `count` with input 0 behind it.
    case appendState
    case copy
    // Regions are laid out one behind the other; these lead from step to step.
    /// Goes to `target` where input 0 is 0.
    case branch
    case jump
    /// Sets counter `count` to input 0; goes to `target` where that is below 1.
    case loopBegin
    /// Counts counter `count` down; goes to `target` until it is 0.
    case loopEnd
  }

  var kind: Kind
  /// A level may change before this step: it has weights, and its place in the list says how much of a run is left, because
  /// it belongs to no region.
  var isCheckpoint = false
  /// Raw value of a `UnaryOperation`, `BinaryOperation` or `ComparisonOperation`.
  var function: UInt8 = 0
  /// Of an attention: the site that makes its queries, if a linear one does. It has no weights, but follows that level. Of an
  /// activation: the site that alone reads its result, in the next step. Where that reads codes, the activation makes them.
  var site: Int32 = -1
  var input0: Int32 = -1
  var input1: Int32 = -1
  var input2: Int32 = -1
  var input3: Int32 = -1
  var output: Int32 = -1
  var output1: Int32 = -1
  /// Recurrent weights.
  var site1: Int32 = -1
  /// Index of a step.
  var target: Int32 = -1
  /// Heads, axis, or index of a convolution, state or counter.
  var count: Int32 = 0
  /// Epsilon or scale.
  var number: Float = 0
}

/// Where a value lives and how large it is in this run.
struct ValueSlot: BitwiseCopyable {
  var data: UnsafeMutableRawPointer
  var rank: Int
  var elementByteCount: Int
  /// Raw value of an `ElementType`.
  var elementType: UInt8
  /// Sizes of this run.
  var dims: InlineArray<8, Int>
  /// A fixed size, or -1 - index of a size of the run: symbols first, then what is derived from them.
  var sources: InlineArray<8, Int>

  @inline(__always) var count: Int {
    var product = 1
    for axis in 0..<rank { product &*= dims[axis] }
    return product
  }

  /// The last dimension; 1 for a scalar.
  @inline(__always) var width: Int { rank == 0 ? 1 : dims[rank &- 1] }

  /// All dimensions but the last.
  @inline(__always) var rows: Int {
    var product = 1
    for axis in 0..<max(rank &- 1, 0) { product &*= dims[axis] }
    return product
  }

  @inline(__always) var floats: UnsafeMutablePointer<Float> { data.assumingMemoryBound(to: Float.self) }
}

/// A size that follows from a symbol: see `Graph.DerivedSize`.
struct DerivedSlot: BitwiseCopyable {
  var symbol: Int
  var plus: Int
  var over: Int
}

/// Attributes of one convolution.
struct ConvolutionSlot: BitwiseCopyable {
  var kernel: Int
  var stride: Int
  var before: Int
  var dilation: Int
  var groups: Int
  var groupInputs: Int
  var groupOutputs: Int
  /// Floats from tap to tap in a row of weights.
  var tapStride: Int
  var isDirect: Bool
}

/// A state value: memory of the session.
struct StateSlot: BitwiseCopyable {
  /// What runs read.
  var current: UnsafeMutableRawPointer
  /// What a run has written; becomes the content when the run has succeeded.
  var pending: UnsafeMutableRawPointer
  var byteCount: Int
  var isWritten = false
  // Of a growing state, which is `outer` times up to `maximum` rows.
  var isGrowing = false
  var outer = 1
  var rowByteCount = 0
  var maximum = 0
  /// Rows that are there, and those this run has appended.
  var length = 0
  var pendingRows = 0
}

/// How many rows a run appends to a state: a fixed number, or -1 - index of a size of the run.
struct LengthSlot: BitwiseCopyable {
  var state: Int
  var source: Int
}

/// Everything one run needs, as pointers into the plan's memory.
struct PlanContext: BitwiseCopyable {
  var steps: UnsafeMutablePointer<Step>
  var stepCount: Int
  var values: UnsafeMutablePointer<ValueSlot>
  var valueCount: Int
  /// Sizes of the run: those of symbols, then the derived ones.
  var symbols: UnsafeMutablePointer<Int>
  var minimumSymbols: UnsafeMutablePointer<Int>
  var maximumSymbols: UnsafeMutablePointer<Int>
  var symbolCount: Int
  var derived: UnsafeMutablePointer<DerivedSlot>
  var derivedCount: Int
  /// Lengths of growing states after this run, sizes of the run behind the derived ones.
  var lengths: UnsafeMutablePointer<LengthSlot>
  var lengthCount: Int
  var inputs: UnsafeMutablePointer<Int32>
  var inputCount: Int
  var outputs: UnsafeMutablePointer<Int32>
  var outputCount: Int
  var weights: UnsafeMutablePointer<LinearWeights>
  var tables: UnsafeMutablePointer<RowTable?>
  /// One level per site; read once per site and run.
  var levels: UnsafeMutablePointer<UInt8>
  var siteCount: Int
  var quantized: UnsafeMutableRawPointer
  /// Working memory of lane 0; that of lane `i` begins `i` strides further on.
  var scratch: UnsafeMutableRawPointer
  var scratchStride: Int
  var attention: UnsafeMutablePointer<Float>
  var attentionStride: Int
  /// How many lanes there is working memory for.
  var lanes: Int
  /// Bytes of the mask in front of it.
  var attentionMaskByteCount: Int
  var convolutions: UnsafeMutablePointer<ConvolutionSlot>
  /// Iterations left, one per loop.
  var counters: UnsafeMutablePointer<Int64>
  var states: UnsafeMutablePointer<StateSlot>
  var stateCount: Int
  var kernels: KernelTable
  /// Asked between steps whether to stop.
  var control: RunControl
  var trace = TraceHook()
  /// While costs are measured: nanoseconds that each step has taken, summed over runs.
  var stepTimes: UnsafeMutablePointer<Int>?
  /// The part of them that was spent on making 8-bit codes that further steps may share.
  var codeTimes: UnsafeMutablePointer<Int>?
  /// Where the ranges of the sites' inputs are gathered, one per site; nil in a host's runs.
  var siteRanges: UnsafeMutablePointer<RangeSums>?
}

/// Why a run stopped. Trivial; the caller makes the text.
public struct RunOutcome: BitwiseCopyable, Sendable {
  public enum Kind: UInt8, Sendable, BitwiseCopyable {
    case done
    /// An index has no row in the table of `site`.
    case indexOutOfRange
    /// State `site` has no room for what the run appends.
    case stateFull
    /// A value of input `site` does not fit the model's type, or of output `site` the caller's: `index` at `position`.
    case inputValue, outputValue
    case cancelled
  }

  public var kind = Kind.done
  public var site = 0
  /// Position in the flattened indices.
  public var position = 0
  public var index: Int64 = 0
  public var rows = 0
}
