import Base

/// How the codes of a nested matrix become weights; `docs/nested-format.md` has the formulas. Raw values are those of the C ABI.
public enum ScaleKind: UInt8, CaseIterable, Sendable, BitwiseCopyable {
  /// An f16 step and an f16 minimum per output and group.
  case stepAndMinimum = 0
  /// An f16 step per output and group; code 128 stands for 0, and 8-bit codes have no half bin.
  case symmetric = 1
  /// An f32 step and an integer zero point per output for all inputs; 8-bit codes have no half bin, so that codes made
  /// elsewhere are exact.
  case perOutput = 2

  /// In files and options.
  public var name: String {
    switch self {
    case .stepAndMinimum: "minimum"
    case .symmetric: "symmetric"
    case .perOutput: "output"
    }
  }

  /// Bytes of what 16 outputs have per group.
  @inlinable public var lineByteCount: Int {
    switch self {
    case .stepAndMinimum: 64
    case .symmetric: 32
    case .perOutput: 128
    }
  }
}

/// What shares a scale when activations are coded for nested weights. Raw values are those of the C ABI.
public enum ActivationScales: UInt8, CaseIterable, Sendable, BitwiseCopyable {
  /// 64 inputs of a row.
  case perRowAndGroup = 0
  /// All inputs of a row: less exact where a few inputs are large, and less work.
  case perRow = 1

  /// In files and options.
  public var name: String { self == .perRowAndGroup ? "group" : "row" }
}

/// What a site may vary of the nested form: which inputs share scales of weights, which scales those are, and how the
/// activations are coded that they are multiplied with.
public struct NestedForm: Hashable, Sendable, BitwiseCopyable {
  /// Inputs per group of weights: 64, 128, or ``allInputs``.
  public var groupSize: Int
  public var scaleKind: ScaleKind
  public var activations: ActivationScales

  /// One group of all inputs of an output.
  public static let allInputs = 0

  /// - Throws: `.unsupported` for another group size, or one other than ``allInputs`` with ``ScaleKind/perOutput``.
  public init(
    groupSize: Int = 64, scaleKind: ScaleKind = .stepAndMinimum, activations: ActivationScales = .perRowAndGroup
  ) throws(AdaptQError) {
    if ![64, 128, NestedForm.allInputs].contains(groupSize) {
      throw .unsupported("group size: \(groupSize), only 64, 128 and 0 (all inputs) are supported")
    }
    if scaleKind == .perOutput && groupSize != NestedForm.allInputs {
      throw .unsupported("group size: \(groupSize), scales per output have one group, of all inputs (0)")
    }
    self.groupSize = groupSize
    self.scaleKind = scaleKind
    self.activations = activations
  }

  private init() {
    groupSize = 64
    scaleKind = .stepAndMinimum
    activations = .perRowAndGroup
  }

  /// Step and minimum per group of 64, activations per row and group.
  public static var standard: NestedForm { NestedForm() }

  /// The group of a block of 64 inputs is its number shifted right by this.
  @inlinable public var groupShift: Int { groupSize == 64 ? 0 : groupSize == 128 ? 1 : 63 }
}

/// The sizes of one nested matrix of `n` outputs by `k` inputs, all of them checked once so that users need not.
public struct NestedShape: Hashable, Sendable {
  /// Outputs and inputs of one block.
  public static let blockOutputs = 16
  public static let blockInputs = 64
  /// Bytes of one block in one plane.
  public static let planeBlockByteCount = 256

  public let n: Int
  public let k: Int
  public let form: NestedForm
  public let nBlocks: Int
  public let kBlocks: Int
  /// Groups of inputs; the last one may be shorter.
  public let groups: Int
  /// Bytes of each of the four planes.
  public let planeByteCount: Int
  public let scaleByteCount: Int
  /// Bytes of the four planes and the scales together.
  public let totalByteCount: Int

  /// - Throws: `.outOfRange` for a size below 1 or byte counts that overflow.
  public init(n: Int, k: Int, form: NestedForm = .standard) throws(AdaptQError) {
    if n < 1 { throw AdaptQError(.outOfRange, "outputs n: \(n) is below 1") }
    if k < 1 { throw AdaptQError(.outOfRange, "inputs k: \(k) is below 1") }
    self.n = n
    self.k = k
    self.form = form
    nBlocks = try roundedUp(n, to: NestedShape.blockOutputs) / NestedShape.blockOutputs
    kBlocks = try roundedUp(k, to: NestedShape.blockInputs) / NestedShape.blockInputs
    groups = (kBlocks - 1) >> form.groupShift + 1
    let blocks = try checkedProduct(nBlocks, kBlocks, "blocks of a nested matrix")
    planeByteCount = try checkedProduct(blocks, NestedShape.planeBlockByteCount, "bytes of a plane")
    // Never more than two lines of 64 bytes per block.
    scaleByteCount = try checkedProduct(
      checkedProduct(nBlocks, groups, "groups of a nested matrix"), form.scaleKind.lineByteCount, "bytes of the scales")
    totalByteCount = try checkedSum(
      checkedProduct(planeByteCount, 4, "bytes of the planes"), scaleByteCount, "bytes of a nested matrix")
    // Element indices are used as well as byte offsets; both fit after this.
    _ = try checkedProduct(checkedProduct(n, k, "weights"), MemoryLayout<Float>.stride, "bytes of the weights")
  }

  /// Bytes that `level` reads per weight, scales and padding included; 0 for a level that is not nested.
  public func bytesPerWeight(_ level: Level) -> Double {
    if !level.isNested { return 0 }
    let bytes = Double(level.planes) * Double(planeByteCount) + Double(scaleByteCount)
    return bytes / (Double(n) * Double(k))
  }
}
