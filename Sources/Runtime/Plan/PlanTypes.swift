import Graph
import Kernels
import NestedFormat

// What the executor reads: trivial structs in one block of memory, no references.

/// One thing to do. Inputs and outputs are indices of value slots; -1 is none.
struct Step: BitwiseCopyable {
  enum Kind: UInt8, BitwiseCopyable {
    case embedding, linear, layerNorm, unary, binary, attention, softmax, range, maskedMean, l2Normalize
  }

  var kind: Kind
  /// Raw value of a `UnaryOperation` or `BinaryOperation`.
  var function: UInt8 = 0
  var site: Int32 = -1
  var input0: Int32 = -1
  var input1: Int32 = -1
  var input2: Int32 = -1
  var input3: Int32 = -1
  var output: Int32
  /// Heads or axis.
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
  /// A fixed size, or -1 - symbol.
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

/// Everything one run needs, as pointers into the plan's memory.
struct PlanContext: BitwiseCopyable {
  var steps: UnsafeMutablePointer<Step>
  var stepCount: Int
  var values: UnsafeMutablePointer<ValueSlot>
  var valueCount: Int
  var symbols: UnsafeMutablePointer<Int>
  var maximumSymbols: UnsafeMutablePointer<Int>
  var symbolCount: Int
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
  var scratch: UnsafeMutableRawPointer
  var attention: UnsafeMutablePointer<Float>
  /// Floats of one score matrix, padded.
  var scoreCount: Int
  var packedCount: Int
  var kernels: KernelTable
  /// Asked between steps whether to stop.
  var control: RunControl
  var trace = TraceHook()
}

/// Why a run stopped. Trivial; the caller makes the text.
public struct RunOutcome: BitwiseCopyable, Sendable {
  public enum Kind: UInt8, Sendable, BitwiseCopyable {
    case done
    /// An index has no row in the table of `site`.
    case indexOutOfRange
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
