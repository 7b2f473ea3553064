import Base

/// A nested matrix that owns its bytes: four planes, then the scales, in one block. For converters, tuning and tests; a
/// loaded file is read through a ``NestedView`` into the file's own memory instead.
public final class NestedMatrix: Sendable {
  public let shape: NestedShape
  public let factor: Float
  /// Planes 0 to 3, each `shape.planeByteCount` bytes, then `shape.scaleByteCount` bytes of scales.
  public let storage: MemoryBlock

  /// Encodes `weights`; see ``NestedEncoder/encode(weights:rowStride:shape:planes:scales:)``.
  ///
  /// - Parameter rowStride: distance of two rows in elements, `shape.k` when nil.
  public init(weights: UnsafePointer<Float>, rowStride: Int? = nil, shape: NestedShape) throws(AdaptQError) {
    let storage = try MemoryBlock.allocate(byteCount: shape.totalByteCount, purpose: "nested weights")
    let size = shape.planeByteCount
    let base = storage.base
    factor = try NestedEncoder.encode(
      weights: weights, rowStride: rowStride ?? shape.k, shape: shape,
      planes: (base, base + size, base + 2 * size, base + 3 * size), scales: base + 4 * size)
    self.shape = shape
    self.storage = storage
  }

  /// Valid as long as this object lives.
  public var view: NestedView {
    let base = UnsafeRawPointer(storage.base)
    let size = shape.planeByteCount
    return NestedView(
      plane0: base, plane1: base + size, plane2: base + 2 * size, plane3: base + 3 * size,
      scales: base + 4 * size, factor: factor, shape: shape)
  }
}
