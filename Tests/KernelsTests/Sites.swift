import Base
import Kernels
import NestedFormat
import TestSupport

/// A linear site in every form, with its float weights; owns the memory behind `weights`.
final class Site {
  let n: Int
  let k: Int
  let floats: [Float]
  let bias: [Float]
  let nested: NestedMatrix
  private let biasBuffer: GuardedBuffer<Float>
  private let dense32: GuardedBuffer<UInt8>
  private let dense16: GuardedBuffer<UInt8>
  private let shape32: DenseShape
  private let shape16: DenseShape
  private let planes: [GuardedBuffer<UInt8>]
  private let scales: GuardedBuffer<UInt8>

  init(
    n: Int, k: Int, floats: [Float]? = nil, form: NestedForm = .standard, random: inout SeededRandom
  ) throws {
    self.n = n
    self.k = k
    self.floats = floats ?? (0..<(n * k)).map { _ in random.normal() * 0.1 }
    bias = (0..<n).map { _ in random.normal() }
    biasBuffer = GuardedBuffer(bias)
    nested = try NestedMatrix(weights: self.floats, shape: NestedShape(n: n, k: k, form: form))
    shape32 = try DenseShape(n: n, k: k, level: .fp32)
    shape16 = try DenseShape(n: n, k: k, level: .fp16)
    dense32 = GuardedBuffer(count: shape32.byteCount)
    dense16 = GuardedBuffer(count: shape16.byteCount)
    try shape32.pack(weights: self.floats, rowStride: k, into: UnsafeMutableRawPointer(dense32.base))
    try shape16.pack(weights: self.floats, rowStride: k, into: UnsafeMutableRawPointer(dense16.base))
    let size = nested.shape.planeByteCount
    let all = nested.storage.bytes
    planes = (0..<4).map { GuardedBuffer(Array(all[($0 * size)..<(($0 + 1) * size)])) }
    scales = GuardedBuffer(Array(all[(4 * size)..<(4 * size + nested.shape.scaleByteCount)]))
  }

  /// Replaces every byte of the scales by what `byte` says of its place.
  func changeScales(_ byte: (Int) -> UInt8) { for place in 0..<scales.count { scales[place] = byte(place) } }

  /// Every stream ends at a guard page; planes that `level` does not read are absent.
  func weights(_ level: Level, withBias: Bool = true) -> LinearWeights {
    func plane(_ index: Int) -> UnsafeRawPointer? {
      index < level.planes ? UnsafeRawPointer(planes[index].base) : nil
    }
    let view = NestedView(
      plane0: plane(0), plane1: plane(1), plane2: plane(2), plane3: plane(3),
      scales: UnsafeRawPointer(scales.base), factor: nested.factor, shape: nested.shape)
    return LinearWeights(
      n: n, k: k, nested: level.isNested ? view : nil,
      fp16: DenseView(base: UnsafeRawPointer(dense16.base), shape: shape16),
      fp32: DenseView(base: UnsafeRawPointer(dense32.base), shape: shape32),
      bias: withBias ? UnsafePointer(biasBuffer.base) : nil)
  }

  /// The weight that `level` stands for.
  func value(_ row: Int, _ column: Int, _ level: Level) -> Double {
    switch level {
    case .fp32: Double(floats[row * k + column])
    case .fp16: Double(Half(floats[row * k + column]).float)
    default: Double(nested.view.value(row, column, level))
    }
  }
}

/// 64-byte aligned scratch that ends close to a guard page.
final class Scratch {
  private let buffer: GuardedBuffer<SIMD64<UInt8>>
  init(byteCount: Int) { buffer = GuardedBuffer(count: (byteCount + 63) / 64) }
  var base: UnsafeMutableRawPointer { UnsafeMutableRawPointer(buffer.base) }
}

/// What a row of activations stands for once it is quantized, by the definition and in Double.
func quantizedRow(_ x: [Float], _ scales: ActivationScales = .perRowAndGroup) -> [Double] {
  var result: [Double] = []
  let size = scales == .perRow ? max(x.count, 1) : 64
  for start in stride(from: 0, to: x.count, by: size) {
    let group = x[start..<min(start + size, x.count)]
    let largest = group.map(\.magnitude).max() ?? 0
    let scale = largest / 127
    let multiplier = 127 / largest
    result += group.map { largest == 0 ? 0 : Double(scale) * Double(($0 * multiplier).rounded(.toNearestOrEven)) }
  }
  return result
}
