import Base
import Graph
import Kernels
import NestedFormat

/// Working memory and extra forms of a matrix.
public struct MatrixOptions: Sendable {
  public enum Expansion: Int32, Sendable {
    /// Up to ``Matrix/defaultExpandedWeights`` weights.
    case byDefault = 0
    case on = 1
    case off = 2
  }

  public var maxRows = 16
  public var expansion = Expansion.byDefault

  public init() {}
}

/// A weight matrix for hosts that have their own graph: every form that is kept, and working memory for one call at a time.
///
/// Immutable but for that working memory. ``handle`` is what multiplies.
public final class Matrix: @unchecked Sendable {
  /// Weights up to which the expanded form is made unless the options say otherwise: 1 MiB, what a last cache always holds.
  public static let defaultExpandedWeights = 1 << 20

  public let name: String
  public let n: Int
  public let k: Int
  public let form: NestedForm
  public let forms: SiteForms
  /// Bytes of the expanded form; 0 when there is none.
  public let expandedByteCount: Int
  /// Bytes of the working memory for ``MatrixOptions/maxRows`` rows.
  public let workspaceByteCount: Int
  /// The name as a C string; a zero byte inside is a question mark.
  public let nameText: UnsafePointer<CChar>
  private let state: UnsafeMutablePointer<MatrixState>
  private let memory: MemoryBlock
  private let weightsOwner: MemoryBlock
  private let kernelOwner: AnyObject?

  /// - Parameters:
  ///   - stored: points into `weightsOwner`, which is kept.
  ///   - kernelOwner: kept alive as long as the matrix: the code `kernels` points to.
  ///   - calls: where its memory comes from.
  public init(
    _ stored: StoredMatrix, weightsOwner: MemoryBlock, options: MatrixOptions, kernels: KernelTable,
    kernelOwner: AnyObject?, calls: SystemCalls = .live
  ) throws(AdaptQError) {
    if kernels.form != stored.form {
      throw .internalError("kernels for \(kernels.form), the matrix has \(stored.form)")
    }
    let forms = stored.forms
    let weights = LinearWeights(
      n: stored.n, k: stored.k, nested: forms.nested, fp16: forms.fp16, fp32: forms.fp32, bias: forms.bias)
    let isSmall = try checkedProduct(stored.n, stored.k, "weights") <= Matrix.defaultExpandedWeights
    let expands =
      kernels.expanded1 != nil && (forms.nested?.holds(.int8) ?? false)
      && (options.expansion == .on || (options.expansion == .byDefault && isSmall))
    let rowByteCount = (stored.k + 63) / 64 * 256
    let scratch = productScratchByteCount(maxRows: options.maxRows)
    let workspaceByteCount = try checkedSum(
      try checkedProduct(options.maxRows, rowByteCount, "max_rows"), scratch, "max_rows")

    var layout = BlockLayout()
    let stateAt = try layout.reserve(MatrixState.self, 1)
    let nameAt = try layout.reserve(UInt8.self, stored.name.utf8.count + 1)
    let workspaceAt = try layout.reserve(UInt8.self, workspaceByteCount)
    let expandedCount = expands ? forms.nested.map { Kernels.expandedByteCount($0) } ?? 0 : 0
    let expandedAt = try layout.reserve(UInt8.self, expandedCount)
    memory = try MemoryBlock.allocate(
      byteCount: layout.byteCount, purpose: "matrix of \(options.maxRows) rows", calls: calls)
    let base = memory.base
    if let nested = forms.nested, expands { expandCodes(nested, into: base + expandedAt) }

    let text = (base + nameAt).assumingMemoryBound(to: UInt8.self)
    for (index, byte) in stored.name.utf8.enumerated() { text[index] = byte == 0 ? 0x3F : byte }
    nameText = UnsafeRawPointer(text).assumingMemoryBound(to: CChar.self)
    state = (base + stateAt).assumingMemoryBound(to: MatrixState.self)
    state.initialize(
      to: MatrixState(
        weights: weights, kernels: kernels, expanded: expands ? UnsafeRawPointer(base + expandedAt) : nil,
        maxRows: options.maxRows, workspace: base + workspaceAt))
    name = stored.name
    n = stored.n
    k = stored.k
    form = stored.form
    self.forms = forms
    self.expandedByteCount = expandedCount
    self.workspaceByteCount = workspaceByteCount
    self.weightsOwner = weightsOwner
    self.kernelOwner = kernelOwner
  }

  /// Encodes `source` once; nothing of it is kept.
  public convenience init(
    _ source: MatrixSource, options: MatrixOptions, kernels: KernelTable, kernelOwner: AnyObject?,
    calls: SystemCalls = .live
  ) throws(AdaptQError) {
    let (stored, owner) = try source.encoded(calls)
    try self.init(
      stored, weightsOwner: owner, options: options, kernels: kernels, kernelOwner: kernelOwner, calls: calls)
  }

  /// For the run path; the matrix must outlive it.
  public var handle: MatrixHandle { MatrixHandle(state: UnsafePointer(state)) }

  /// What a file keeps of it; valid as long as the matrix.
  public var stored: StoredMatrix {
    StoredMatrix(name: name, n: n, k: k, form: form, forms: forms)
  }
}
