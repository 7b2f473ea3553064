import Base
import Glibc
import NestedFormat
import TestSupport

/// Weights, and what the encoder made of them in buffers with guard pages.
struct Encoded {
  let shape: NestedShape
  let planes: [GuardedBuffer<UInt8>]
  let scales: GuardedBuffer<UInt8>
  let view: NestedView

  init(_ weights: GuardedBuffer<Float>, n: Int, k: Int, rowStride: Int? = nil) throws {
    shape = try NestedShape(n: n, k: k)
    planes = [0, 1, 2, 3].map { [size = shape.planeByteCount] _ in GuardedBuffer<UInt8>(count: size) }
    scales = GuardedBuffer(count: shape.scaleByteCount)
    for plane in planes { for index in 0..<plane.count { plane[index] = 0xA5 } }
    for index in 0..<scales.count { scales[index] = 0xA5 }
    let raw = planes.map { UnsafeMutableRawPointer($0.base) }
    let factor = try NestedEncoder.encode(
      weights: weights.base, rowStride: rowStride ?? k, shape: shape, planes: (raw[0], raw[1], raw[2], raw[3]),
      scales: scales.base)
    view = NestedView(
      plane0: raw[0], plane1: raw[1], plane2: raw[2], plane3: raw[3], scales: scales.base, factor: factor,
      shape: shape)
  }
}

func gaussianWeights(_ count: Int, _ random: inout SeededRandom, scale: Float = 0.05) -> [Float] {
  (0..<count).map { _ in
    // Box and Muller: the tails matter for the group's range.
    let u = Double.random(in: .leastNonzeroMagnitude..<1, using: &random)
    let v = Double.random(in: 0..<1, using: &random)
    return scale * Float(sqrt(-2 * log(u)) * cos(2 * .pi * v))
  }
}
