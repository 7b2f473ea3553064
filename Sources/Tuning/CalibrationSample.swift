import Base

/// The inputs of one inference, in the order and of the types of the model's.
public struct CalibrationSample: Sendable {
  public struct Tensor: Sendable {
    public var shape: [Int]
    /// The elements, row-major; only read.
    public var data: MemoryBlock

    public init(shape: [Int], data: MemoryBlock) {
      self.shape = shape
      self.data = data
    }

    /// A tensor of 64-bit integers.
    public init(shape: [Int], integers: [Int64]) throws(AdaptQError) {
      let block = try MemoryBlock.allocate(byteCount: max(integers.count, 1) * 8, purpose: "calibration input")
      for (index, value) in integers.enumerated() {
        block.base.storeBytes(of: value, toByteOffset: index * 8, as: Int64.self)
      }
      self.init(shape: shape, data: block)
    }

    /// A tensor of floats.
    public init(shape: [Int], floats: [Float]) throws(AdaptQError) {
      let block = try MemoryBlock.allocate(byteCount: max(floats.count, 1) * 4, purpose: "calibration input")
      for (index, value) in floats.enumerated() {
        block.base.storeBytes(of: value, toByteOffset: index * 4, as: Float.self)
      }
      self.init(shape: shape, data: block)
    }
  }

  public var inputs: [Tensor]

  public init(inputs: [Tensor]) { self.inputs = inputs }
}
