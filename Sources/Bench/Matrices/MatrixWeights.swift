import Base
import Kernels
import NestedFormat

/// One random matrix in every form, each form several times, so that calls can walk through more memory than caches hold.
final class MatrixWeights {
  struct Copies: Equatable {
    var fp32 = 1
    var fp16 = 1
    var nested = 1
    /// Whether memory allowed fewer than wanted.
    var isReduced = false
  }

  let n: Int
  let k: Int
  let copies: Copies
  private let shape: NestedShape
  private let fp32Shape: DenseShape
  private let fp16Shape: DenseShape
  private let fp32: MemoryBlock
  private let fp16: MemoryBlock
  private let nested: MemoryBlock
  private let factor: Float

  /// - Parameter wanted: see ``copies(n:k:machine:)``.
  init(n: Int, k: Int, form: NestedForm, copies: Copies) throws(AdaptQError) {
    self.n = n
    self.k = k
    self.copies = copies
    shape = try NestedShape(n: n, k: k, form: form)
    fp32Shape = try DenseShape(n: n, k: k, level: .fp32)
    fp16Shape = try DenseShape(n: n, k: k, level: .fp16)
    let count = try checkedProduct(n, k, "weights")
    let source = try MemoryBlock.allocate(
      byteCount: checkedProduct(count, 4, "bytes of the weights"), purpose: "weights to measure")
    let weights = source.base.assumingMemoryBound(to: Float.self)
    var random = RandomNumbers(seed: UInt64(truncatingIfNeeded: n &* 31 &+ k))
    random.fill(weights, count: count, scale: 0.05)
    fp32 = try MatrixWeights.allocate(fp32Shape.byteCount, copies.fp32)
    fp16 = try MatrixWeights.allocate(fp16Shape.byteCount, copies.fp16)
    nested = try MatrixWeights.allocate(shape.totalByteCount, copies.nested)
    try fp32Shape.pack(weights: weights, rowStride: k, into: fp32.base)
    try fp16Shape.pack(weights: weights, rowStride: k, into: fp16.base)
    let (base, plane) = (nested.base, shape.planeByteCount)
    factor = try NestedEncoder.encode(
      weights: weights, rowStride: k, shape: shape,
      planes: (base, base + plane, base + 2 * plane, base + 3 * plane), scales: base + 4 * plane)
    withExtendedLifetime(source) {}
    MatrixWeights.repeatFirst(fp32, fp32Shape.byteCount, copies.fp32)
    MatrixWeights.repeatFirst(fp16, fp16Shape.byteCount, copies.fp16)
    MatrixWeights.repeatFirst(nested, shape.totalByteCount, copies.nested)
  }

  /// Distance of two copies: whole pages.
  private static func step(_ byteCount: Int) -> Int { (byteCount &+ 4095) & ~4095 }

  private static func allocate(_ byteCount: Int, _ copies: Int) throws(AdaptQError) -> MemoryBlock {
    try MemoryBlock.allocate(
      byteCount: checkedProduct(roundedUp(byteCount, to: 4096), copies, "copies of a matrix"),
      purpose: "weights to measure")
  }

  private static func repeatFirst(_ block: MemoryBlock, _ byteCount: Int, _ copies: Int) {
    for copy in 1..<max(copies, 2) where copy < copies {
      (block.base + copy * step(byteCount)).copyMemory(from: block.base, byteCount: byteCount)
    }
  }

  /// The copies that `level` walks through, valid as long as this object lives.
  func rotation(_ level: Level) -> [LinearWeights] {
    switch level {
    case .fp32:
      return (0..<copies.fp32).map { copy in
        let base = UnsafeRawPointer(fp32.base + copy * MatrixWeights.step(fp32Shape.byteCount))
        return LinearWeights(n: n, k: k, fp32: DenseView(base: base, shape: fp32Shape))
      }
    case .fp16:
      return (0..<copies.fp16).map { copy in
        let base = UnsafeRawPointer(fp16.base + copy * MatrixWeights.step(fp16Shape.byteCount))
        return LinearWeights(n: n, k: k, fp16: DenseView(base: base, shape: fp16Shape))
      }
    default:
      let plane = shape.planeByteCount
      return (0..<copies.nested).map { copy in
        let base = UnsafeRawPointer(nested.base + copy * MatrixWeights.step(shape.totalByteCount))
        let view = NestedView(
          plane0: base, plane1: base + plane, plane2: base + 2 * plane, plane3: base + 3 * plane,
          scales: base + 4 * plane, factor: factor, shape: shape)
        return LinearWeights(n: n, k: k, nested: view)
      }
    }
  }

  /// The copies of the FP32 form, for loops that only read.
  var readable: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: fp32.base, count: MatrixWeights.step(fp32Shape.byteCount) * copies.fp32)
  }

  /// Bytes of weights and scales that one product at `level` reads.
  func byteCount(_ level: Level) -> Int {
    switch level {
    case .fp32: fp32Shape.byteCount
    case .fp16: fp16Shape.byteCount
    default: level.planes * shape.planeByteCount + shape.scaleByteCount
    }
  }

  /// Copies for weights that come from memory: each form takes at least 256 MB, and what the lowest level reads of the
  /// nested copies is twice the last cache. Fewer where that is more than half of the memory that is left.
  static func copies(n: Int, k: Int, form: NestedForm, machine: Machine) throws(AdaptQError) -> Copies {
    let shape = try NestedShape(n: n, k: k, form: form)
    let dense = try DenseShape(n: n, k: k, level: .fp32).byteCount
    let lowest = shape.planeByteCount + shape.scaleByteCount
    let least = 256 << 20
    func count(_ bytes: Int, _ each: Int) -> Int { (bytes + each - 1) / max(each, 1) }
    var result = Copies(
      fp32: count(least, dense), fp16: count(least, dense / 2),
      nested: max(count(least, shape.totalByteCount), count(2 * machine.l3ByteCount, lowest)))
    let total = result.fp32 * dense + result.fp16 * dense / 2 + result.nested * shape.totalByteCount
    guard let available = machine.availableMemory, total > available / 2 else { return result }
    let share = Double(available / 2) / Double(total)
    func reduced(_ copies: Int) -> Int { clampedInt((Double(copies) * share).rounded(.down), in: 1...max(copies, 1)) }
    result = Copies(
      fp32: reduced(result.fp32), fp16: reduced(result.fp16), nested: reduced(result.nested), isReduced: true)
    return result
  }
}
