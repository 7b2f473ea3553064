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
    /// Codes that somebody else made, with ``MatrixSource/steps`` and ``MatrixSource/zeroPoints``.
    case int8 = 4
    case uint8 = 5

    var byteCount: Int { self == .float32 ? 4 : isCode ? 1 : 2 }
    var isCode: Bool { self == .int8 || self == .uint8 }
  }

  public var name = ""
  public var n: Int
  public var k: Int
  public var form = NestedForm.standard
  public var weights: UnsafeRawPointer
  public var element = Element.float32
  public var rowStride: Int
  public var columnStride = 1
  /// `n` floats at any alignment, or nil.
  public var bias: UnsafeRawPointer?
  /// With weights that are codes `n` floats, and `n` 32-bit integers or nil for zeros, at any alignment: a weight is
  /// `step · (code − zero point)`.
  public var steps: UnsafeRawPointer?
  public var zeroPoints: UnsafeRawPointer?
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
    let shape = try NestedShape(n: n, k: k, form: form)
    try checkStrides()
    try checkCodes()
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
    if element.isCode {
      forms.nested = try importCodes(shape, base, planesAt, scalesAt)
      forms.storedByteCount = shape.totalByteCount
      return (StoredMatrix(name: name, n: n, k: k, form: form, forms: forms), block)
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
    return (StoredMatrix(name: name, n: n, k: k, form: form, forms: forms), block)
  }

  private func checkCodes() throws(AdaptQError) {
    if !element.isCode {
      if steps != nil || zeroPoints != nil {
        throw .invalidArgument("weight_scales and zero_points are for weights that are codes (weight_type)")
      }
      return
    }
    guard let steps else { throw .invalidArgument("weight_scales is NULL; weights that are codes need them") }
    if form.scaleKind != .perOutput {
      throw .invalidArgument("scale_kind is \(form.scaleKind.rawValue); codes have scales per output")
    }
    if !keep.isEmpty { throw .invalidArgument("keep is not 0; weights that are codes have no other form") }
    let range = element == .uint8 ? 0...255 : -128...127
    for row in 0..<n {
      let step = steps.loadUnaligned(fromByteOffset: row &* 4, as: Float.self)
      if !(step == 0 || (step > 0 && step.isNormal)) {
        throw .invalidArgument("weight_scales: element \(row) is \(step); expected zero or a positive normal number")
      }
      if !range.contains(zeroPoint(row)) {
        throw .invalidArgument("zero_points: element \(row) is \(zeroPoint(row)); expected \(range)")
      }
    }
  }

  private func zeroPoint(_ row: Int) -> Int {
    Int(zeroPoints?.loadUnaligned(fromByteOffset: row &* 4, as: Int32.self) ?? 0)
  }

  /// Codes as they are, in planes; the sign of signed ones moves into the zero point.
  private func importCodes(
    _ shape: NestedShape, _ base: UnsafeMutableRawPointer, _ planesAt: [Int], _ scalesAt: Int
  ) throws(AdaptQError) -> NestedView {
    let flip: UInt8 = element == .int8 ? 0x80 : 0
    let (rowStride, columnStride, weights) = (rowStride, columnStride, weights)
    NestedEncoder.place(
      shape: shape,
      planes: (base + planesAt[0], base + planesAt[1], base + planesAt[2], base + planesAt[3])
    ) { row, column in
      weights.load(fromByteOffset: row &* rowStride &+ column &* columnStride, as: UInt8.self) ^ flip
    }
    let scales = base + scalesAt
    let line = shape.form.scaleKind.lineByteCount
    for row in 0..<n {
      let step = steps?.loadUnaligned(fromByteOffset: row &* 4, as: Float.self) ?? 0
      let zero = Float(zeroPoint(row) &+ (element == .int8 ? 128 : 0))
      let target = scales + row / 16 &* line
      target.storeBytes(of: step.bitPattern.littleEndian, toByteOffset: row % 16 &* 4, as: UInt32.self)
      target.storeBytes(of: zero.bitPattern.littleEndian, toByteOffset: 64 &+ row % 16 &* 4, as: UInt32.self)
    }
    return NestedView(
      plane0: base + planesAt[0], plane1: base + planesAt[1], plane2: base + planesAt[2], plane3: base + planesAt[3],
      scales: scales, factor: 1, shape: shape)
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
        case .int8, .uint8: value = 0  // Not here: codes stay what they are.
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
