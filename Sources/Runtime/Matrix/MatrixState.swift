import Kernels
import NestedFormat

/// What a product does to the sum before it is stored; raw values are those of the C ABI.
public enum MatrixActivation: UInt8, CaseIterable, Sendable, BitwiseCopyable {
  case none = 0
  case relu = 1
  /// `x Φ(x)`, the exact one.
  case gelu = 2
  /// `x / (1 + e^-x)`.
  case silu = 3
}

/// One product `y = activation(x · Wᵀ + bias) + residual`, checked by the caller. Strides count elements, pointers may
/// have any alignment.
public struct MatrixCall: BitwiseCopyable {
  public var level: Level
  public var rows: Int
  /// `rows` rows of `k` floats; nil when the input is codes.
  public var x: UnsafePointer<Float>?
  public var xStride = 0
  /// `rows` rows of `k` signed codes, and of one scale per group of 64 of them.
  public var codes: UnsafePointer<Int8>?
  public var codeStride = 0
  public var scales: UnsafePointer<Float>?
  public var scaleStride = 0
  public var y: UnsafeMutablePointer<Float>
  public var yStride: Int
  public var residual: UnsafePointer<Float>?
  public var residualStride = 0
  public var activation = MatrixActivation.none
  public var usesBias = true

  @inline(__always)
  public init(level: Level, rows: Int, y: UnsafeMutablePointer<Float>, yStride: Int) {
    self.level = level
    self.rows = rows
    self.y = y
    self.yStride = yStride
  }
}

/// What multiplications read, in raw memory.
struct MatrixState: BitwiseCopyable {
  var weights: LinearWeights
  var kernels: KernelTable
  /// The INT8 codes a second time, for ``ExpandedArguments``; nil where there is no such form.
  var expanded: UnsafeRawPointer?
  var maxRows: Int
  /// ``MatrixHandle/workspaceByteCount(rows:)`` bytes for `maxRows`, 64-byte aligned.
  var workspace: UnsafeMutableRawPointer
}

/// A matrix as the run path sees it: one pointer. Lives as long as the matrix.
public struct MatrixHandle: BitwiseCopyable, @unchecked Sendable {
  let state: UnsafePointer<MatrixState>

  @inline(__always) public var n: Int { state.pointee.weights.n }
  @inline(__always) public var k: Int { state.pointee.weights.k }
  @inline(__always) public var groups: Int { (state.pointee.weights.k &+ 63) / 64 }
  /// Whether integer levels read one scale per row of activations.
  @inline(__always) public var hasRowScales: Bool { state.pointee.kernels.form.activations == .perRow }
  @inline(__always) public var maxRows: Int { state.pointee.maxRows }
  @inline(__always) public var nBlocks: Int { state.pointee.weights.nBlocks }
  /// The matrix's own, for calls with up to ``maxRows`` rows; one call at a time.
  @inline(__always) public var workspace: UnsafeMutableRawPointer { state.pointee.workspace }

  @inline(__always) public func holds(_ level: Level) -> Bool { state.pointee.weights.holds(level) }

  /// Bytes that a call with `rows` rows needs at a 64-byte aligned address. Saturates when it overflows.
  @inline(__always)
  public func workspaceByteCount(rows: Int) -> Int {
    let (input, overflow) = rows.multipliedReportingOverflow(by: inputRowByteCount)
    let (total, overflow2) = input.addingReportingOverflow(productScratchByteCount(maxRows: rows))
    return overflow || overflow2 ? Int.max : total
  }

  /// Bytes of one row of the input as the kernels read it: quantized, or as floats.
  @inline(__always) var inputRowByteCount: Int { groups &* 256 }
}
