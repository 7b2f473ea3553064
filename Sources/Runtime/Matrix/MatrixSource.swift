import Base
import Graph
import NestedFormat

/// Weights in the caller's memory: element `[row][column]` lies at `row · rowStride + column · columnStride` elements.
public struct MatrixSource {
  /// Raw values are those of the C ABI.
  public enum Element: Int32, Sendable {
    case float32 = 1
    case float16 = 2
    case bfloat16 = 3

    var byteCount: Int { self == .float32 ? 4 : 2 }
  }

  public var name = ""
  public var n: Int
  public var k: Int
  public var groupSize = 64
  public var weights: UnsafeRawPointer
  public var element = Element.float32
  public var rowStride: Int
  public var columnStride = 1
  /// `n` floats at any alignment, or nil.
  public var bias: UnsafeRawPointer?
  /// Kept beside the nested form: FP16, FP32 or both.
  public var keep: Set<Level> = []

  public init(n: Int, k: Int, weights: UnsafeRawPointer) {
    self.n = n
    self.k = k
    self.weights = weights
    rowStride = k
  }

  /// Every form in one block of memory.
  ///
  /// - Throws: `.outOfRange` for sizes that overflow, before anything is allocated; `.unsupported` for the group size;
  ///   `.invalidArgument` for strides that let two weights share an element, and for a weight or bias that is not finite,
  ///   naming its place; `.outOfRange` for a weight that FP16 cannot hold when it is kept.
  func encoded(_ calls: SystemCalls = .live) throws(AdaptQError) -> (StoredMatrix, MemoryBlock) {
    let shape = try NestedShape(n: n, k: k, groupSize: groupSize)
    try checkStrides()
    let half = keep.contains(.fp16) ? try DenseShape(n: n, k: k, level: .fp16) : nil
    let full = keep.contains(.fp32) ? try DenseShape(n: n, k: k, level: .fp32) : nil
    var layout = BlockLayout()
    var planesAt: [Int] = []
    for _ in 0..<4 { planesAt.append(try layout.reserve(UInt8.self, shape.planeByteCount)) }
    let scalesAt = try layout.reserve(UInt8.self, shape.scaleByteCount)
    let halfAt = try layout.reserve(UInt8.self, half?.byteCount ?? 0)
    let fullAt = try layout.reserve(UInt8.self, full?.byteCount ?? 0)
    let biasAt = try layout.reserve(Float.self, bias == nil ? 0 : n)
    let block = try MemoryBlock.allocate(byteCount: layout.byteCount, purpose: "matrix of \(n) x \(k)", calls: calls)
    let base = block.base

    var forms = SiteForms()
    if let bias {
      let target = (base + biasAt).assumingMemoryBound(to: Float.self)
      for index in 0..<n {
        let value = bias.loadUnaligned(fromByteOffset: index &* 4, as: Float.self)
        if !value.isFinite { throw .invalidArgument("bias: element \(index) is \(value)") }
        target[index] = value
      }
      forms.bias = UnsafePointer(target)
    }
    try withDenseRows(calls) { (rows, stride) throws(AdaptQError) in
      let factor = try NestedEncoder.encode(
        weights: rows, rowStride: stride, shape: shape,
        planes: (base + planesAt[0], base + planesAt[1], base + planesAt[2], base + planesAt[3]),
        scales: base + scalesAt)
      forms.nested = NestedView(
        plane0: base + planesAt[0], plane1: base + planesAt[1], plane2: base + planesAt[2],
        plane3: base + planesAt[3], scales: base + scalesAt, factor: factor, shape: shape)
      if let half {
        try half.pack(weights: rows, rowStride: stride, into: base + halfAt)
        forms.fp16 = DenseView(base: base + halfAt, shape: half)
      }
      if let full {
        try full.pack(weights: rows, rowStride: stride, into: base + fullAt)
        forms.fp32 = DenseView(base: base + fullAt, shape: full)
      }
    }
    forms.storedByteCount = shape.totalByteCount + (half?.byteCount ?? 0) + (full?.byteCount ?? 0)
    return (StoredMatrix(name: name, n: n, k: k, groupSize: groupSize, forms: forms), block)
  }

  private func checkStrides() throws(AdaptQError) {
    if rowStride < 1 || columnStride < 1 {
      throw .invalidArgument("row_stride is \(rowStride), column_stride is \(columnStride); both must be above 0")
    }
    let lastRow = try checkedProduct(n - 1, rowStride, "row_stride")
    let lastColumn = try checkedProduct(k - 1, columnStride, "column_stride")
    let elements = try checkedSum(checkedSum(lastRow, lastColumn, "strides"), 1, "strides")
    _ = try checkedProduct(elements, element.byteCount, "bytes of the weights")
    if (n > 1 && k > 1) && rowStride <= lastColumn && columnStride <= lastRow {
      throw .invalidArgument(
        "row_stride is \(rowStride), column_stride is \(columnStride): rows of \(k) and columns of \(n) weights would share"
          + " elements")
    }
  }

  /// Rows of floats, one after the other; converted first unless they lie like that already.
  private func withDenseRows(
    _ calls: SystemCalls, _ body: (UnsafePointer<Float>, Int) throws(AdaptQError) -> Void
  ) throws(AdaptQError) {
    // A single row has no next one: its stride may be anything.
    if element == .float32 && columnStride == 1 && rowStride >= k && UInt(bitPattern: weights) % 4 == 0 {
      return try body(weights.assumingMemoryBound(to: Float.self), rowStride)
    }
    let byteCount = try checkedProduct(try checkedProduct(n, k, "weights"), 4, "bytes of the weights")
    let block = try MemoryBlock.allocate(byteCount: byteCount, purpose: "weights as FP32", calls: calls)
    defer { withExtendedLifetime(block) {} }
    let target = block.base.assumingMemoryBound(to: Float.self)
    for row in 0..<n {
      for column in 0..<k {
        let place = (row &* rowStride &+ column &* columnStride) &* element.byteCount
        let value: Float
        switch element {
        case .float32: value = weights.loadUnaligned(fromByteOffset: place, as: Float.self)
        case .float16: value = Half(bits: weights.loadUnaligned(fromByteOffset: place, as: UInt16.self)).float
        case .bfloat16:
          value = Float(
            bitPattern: UInt32(weights.loadUnaligned(fromByteOffset: place, as: UInt16.self)) << 16)
        }
        target[row &* k &+ column] = value
      }
    }
    try body(UnsafePointer(target), k)
  }
}
