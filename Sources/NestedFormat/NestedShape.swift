import Base

/// The sizes of one nested matrix of `n` outputs by `k` inputs, all of them checked once so that users need not.
public struct NestedShape: Hashable, Sendable {
  /// Outputs and inputs of one block; the group size and the block's inputs are equal for now.
  public static let blockOutputs = 16
  public static let blockInputs = 64
  /// Bytes of one block in one plane, and of one scale line (16 `s`, 16 `lo`).
  public static let planeBlockByteCount = 256
  public static let scaleLineByteCount = 64

  public let n: Int
  public let k: Int
  /// Inputs that share one `s` and one `lo` per output; the last group may be shorter.
  public let groupSize: Int
  public let nBlocks: Int
  public let kBlocks: Int
  public let groups: Int
  /// Bytes of each of the four planes.
  public let planeByteCount: Int
  public let scaleByteCount: Int
  /// Bytes of the four planes and the scales together.
  public let totalByteCount: Int

  /// - Throws: `.outOfRange` for a size below 1 or byte counts that overflow, `.unsupported` for a group size other
  ///   than 64.
  public init(n: Int, k: Int, groupSize: Int = 64) throws(AdaptQError) {
    if n < 1 { throw AdaptQError(.outOfRange, "outputs n: \(n) is below 1") }
    if k < 1 { throw AdaptQError(.outOfRange, "inputs k: \(k) is below 1") }
    if groupSize != 64 { throw .unsupported("group size: \(groupSize), only 64 is supported") }
    self.n = n
    self.k = k
    self.groupSize = groupSize
    nBlocks = try roundedUp(n, to: NestedShape.blockOutputs) / NestedShape.blockOutputs
    kBlocks = try roundedUp(k, to: NestedShape.blockInputs) / NestedShape.blockInputs
    groups = kBlocks
    let blocks = try checkedProduct(nBlocks, kBlocks, "blocks of a nested matrix")
    planeByteCount = try checkedProduct(blocks, NestedShape.planeBlockByteCount, "bytes of a plane")
    scaleByteCount = try checkedProduct(blocks, NestedShape.scaleLineByteCount, "bytes of the scales")
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
