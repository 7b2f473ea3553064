import Base

/// A float tensor in memory, kept alive by the block that holds it. Little-endian, dense, row-major.
public struct TensorBytes: Sendable {
  public let shape: [Int]
  public let owner: MemoryBlock
  public let offset: Int

  /// - Throws: `.invalidFile` when the block does not hold `shape`'s floats at `offset`.
  public init(shape: [Int], owner: MemoryBlock, offset: Int) throws(AdaptQError) {
    let count = try checkedElementCount(shape, "tensor")
    let end = try checkedSum(offset, checkedProduct(count, 4, "tensor bytes"), "tensor end")
    if offset < 0 || end > owner.byteCount {
      throw .invalidFile("tensor: bytes \(offset)..<\(end) of \(owner.byteCount)")
    }
    self.shape = shape
    self.owner = owner
    self.offset = offset
  }

  public var elementCount: Int { shape.reduce(1, &*) }

  /// Valid while the tensor lives; 4-byte aligned when the offset is.
  public var pointer: UnsafeRawPointer { UnsafeRawPointer(owner.base + offset) }

  /// The floats at an aligned address, copied if they do not lie at one.
  public func aligned() throws(AdaptQError) -> TensorBytes {
    if UInt(bitPattern: pointer) % 4 == 0 { return self }
    let copy = try MemoryBlock.allocate(byteCount: elementCount * 4, purpose: "tensor")
    copy.base.copyMemory(from: pointer, byteCount: elementCount * 4)
    return try TensorBytes(shape: shape, owner: copy, offset: 0)
  }

  /// Valid while the tensor lives. Only for aligned tensors; see ``aligned()``.
  public var floats: UnsafePointer<Float> { pointer.assumingMemoryBound(to: Float.self) }
}

/// A named float tensor stored in a model beside its sites: biases, normalization parameters.
public struct Constant: Sendable {
  public var name: String
  public var shape: [Int]
  public var bytes: TensorBytes

  public init(name: String, shape: [Int], bytes: TensorBytes) {
    self.name = name
    self.shape = shape
    self.bytes = bytes
  }
}
