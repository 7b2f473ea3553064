import Glibc
import TestSupport

@testable import Kernels

/// One head with random contents on guarded buffers, and what attention is by its definition, in Double.
struct AttentionTrial: CustomStringConvertible {
  var queries = 1
  var keys = 1
  var width = 1
  var valueWidth = 1
  var scale: Float = 1
  var scoreSize: Float = 1
  /// Which keys are kept; nil without a mask.
  var kept: [Bool]?
  var arithmetic = AttentionArithmetic.float32
  /// The twin rounds its inputs as the kernels do, so that little is left to differ.
  var isRounded = false

  /// Kernels are called without the driver, which makes codes for many keys only.
  var isDirect = false

  var used: AttentionArithmetic {
    arithmetic == .codes && keys < AttentionArithmetic.codedKeys && !isDirect ? .bfloat16 : arithmetic
  }

  var description: String {
    "\(queries) x \(keys), width \(width) \(valueWidth), scale \(scale), scores \(scoreSize), "
      + "kept \(kept.map { "\($0.filter { $0 }.count)" } ?? "all"), \(arithmetic), rounded \(isRounded)"
  }

  static func random(_ random: inout SeededRandom, _ arithmetic: AttentionArithmetic) -> AttentionTrial {
    func pick(_ sizes: [Int]) -> Int { sizes[Int.random(in: 0..<sizes.count, using: &random)] }
    var trial = AttentionTrial(arithmetic: arithmetic)
    trial.queries = pick([1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 16, 23, 24, 25, 29, 57, 60])
    trial.keys = pick([1, 2, 3, 4, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 96, 97, 100, 127, 129, 143, 160, 200])
    trial.width = pick([1, 2, 3, 8, 15, 16, 17, 24, 31, 32, 33, 40, 63, 64, 65, 80])
    trial.valueWidth = pick([1, 3, 8, 15, 16, 17, 31, 32, 33, 48, 50, 64, 70])
    trial.scale = [1, 0.176_776_7, -0.5, 0][Int.random(in: 0..<4, using: &random)]
    trial.scoreSize = [0.1, 1, 8][Int.random(in: 0..<3, using: &random)]
    switch Int.random(in: 0..<4, using: &random) {
    case 0: trial.kept = (0..<trial.keys).map { _ in Bool.random(using: &random) }
    case 1: trial.kept = Array(repeating: false, count: trial.keys)
    default: break
    }
    trial.isRounded = arithmetic != .float32 && Bool.random(using: &random)
    return trial
  }
}

/// Nearest even; as the instructions do for normal numbers.
func roundedToBFloat16(_ x: Float) -> Float {
  if x.isNaN { return x }
  let bits = x.bitPattern
  return Float(bitPattern: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) & 0xFFFF_0000)
}

/// What the 8-bit codes of a row stand for.
func coded(_ row: [Float]) -> [Double] {
  let largest = max(row.reduce(0) { max($0, $1.magnitude) }, 0x1p-100)
  let (inverse, scale) = (127 / largest, largest * (1 / 127))
  return row.map { Double(($0 * inverse).rounded(.toNearestOrEven)) * Double(scale) }
}

/// Buffers of a trial: rows at strides, with columns between them that nobody may touch.
final class AttentionBuffers {
  let trial: AttentionTrial
  let q: GuardedBuffer<Float>
  let k: GuardedBuffer<Float>
  let v: GuardedBuffer<Float>
  let y: GuardedBuffer<Float>
  let mask: GuardedBuffer<Float>
  let scratch: GuardedBuffer<SIMD64<UInt8>>
  let productScratch: GuardedBuffer<SIMD64<UInt8>>
  let qStride: Int
  let kStride: Int
  let vStride: Int
  let yStride: Int

  init(_ trial: AttentionTrial, atEnd: Bool, _ random: inout SeededRandom) {
    self.trial = trial
    let (gap, untouched) = (trial.keys % 5, Float(777))
    (qStride, kStride) = (trial.width + gap, trial.width + trial.queries % 3)
    (vStride, yStride) = (trial.valueWidth + gap, trial.valueWidth + trial.width % 4)
    func values(_ rows: Int, _ stride: Int, _ width: Int, _ size: Float) -> [Float] {
      normals((rows - 1) * stride + width, &random, scale: size)
    }
    let size = trial.scoreSize.squareRoot()
    q = guarded(values(trial.queries, qStride, trial.width, size), atEnd: atEnd)
    k = guarded(values(trial.keys, kStride, trial.width, size), atEnd: atEnd)
    v = guarded(values(trial.keys, vStride, trial.valueWidth, 1), atEnd: atEnd)
    y = guarded(
      Array(repeating: untouched, count: (trial.queries - 1) * yStride + trial.valueWidth), atEnd: atEnd)
    let count = AttentionHead.maskCount(keys: trial.keys)
    mask = guarded(Array(repeating: .nan, count: count), atEnd: atEnd)
    for key in 0..<trial.keys { mask[key] = trial.kept?[key] ?? true ? 0 : -Float.greatestFiniteMagnitude }
    scratch = GuardedBuffer(
      count: attentionScratchByteCount(keys: trial.keys, width: trial.width, valueWidth: trial.valueWidth) / 64)
    productScratch = GuardedBuffer(
      count: productScratchByteCount(maxRows: attentionProductRows(queries: trial.queries)) / 64)
    // Leftovers are NaN in every format.
    for index in 0..<scratch.count { scratch[index] = SIMD64(repeating: 0x7F) }
  }

  func run(_ kernels: KernelTable) {
    let head = AttentionHead(
      q: q.base, qStride: qStride, k: k.base, kStride: kStride, v: v.base, vStride: vStride, y: y.base,
      yStride: yStride, queries: trial.queries, keys: trial.keys, width: trial.width, valueWidth: trial.valueWidth,
      scale: trial.scale, mask: trial.kept == nil ? nil : UnsafePointer(mask.base))
    attention(
      kernels, head, trial.arithmetic, scratch: UnsafeMutableRawPointer(scratch.base),
      productScratch: UnsafeMutableRawPointer(productScratch.base))
  }

  /// What one query gets, and how far a fast kernel may be off.
  func expected(_ query: Int) -> (values: [Double], bounds: [Double]) {
    let kept = (0..<trial.keys).filter { trial.kept?[$0] ?? true }
    let counted = kept.isEmpty ? Array(0..<trial.keys) : kept
    // In units of log2(e) where rounded.
    let scale = trial.scale * (trial.isRounded ? 1.442_695 : 1)
    let unit = trial.isRounded ? 0.693_147_180_559_945_3 : 1
    func row(_ buffer: GuardedBuffer<Float>, _ index: Int, _ stride: Int, _ scale: Float) -> [Double] {
      let values = (0..<trial.width).map { buffer[index * stride + $0] * scale }
      if !trial.isRounded { return (0..<trial.width).map { Double(buffer[index * stride + $0]) * Double(scale) } }
      return trial.used == .codes ? coded(values) : values.map { Double(roundedToBFloat16($0)) }
    }
    let own = row(q, query, qStride, scale)
    var off = 0.0
    let scores = counted.map { key in
      let other = row(k, key, kStride, 1)
      let magnitude = zip(own, other).reduce(0) { $0 + ($1.0 * $1.1).magnitude }
      switch trial.used {
      case .float32: off = max(off, magnitude)
      case .bfloat16:
        off = max(
          off, ErrorBound.attentionScore(width: trial.width, magnitude: magnitude, isRounded: trial.isRounded))
      case .codes: off = max(off, ErrorBound.attentionScore(codes: own, other, isRounded: trial.isRounded))
      }
      // With nothing to attend to, all keys count alike.
      return kept.isEmpty ? 0 : zip(own, other).reduce(0) { $0 + $1.0 * $1.1 } * unit
    }
    if kept.isEmpty { off = 0 }
    let highest = scores.max() ?? 0
    let powers = scores.map { Glibc.exp($0 - highest) }
    let sum = powers.reduce(0, +)
    var (values, bounds): ([Double], [Double]) = ([], [])
    for column in 0..<trial.valueWidth {
      var (value, magnitude, largestValue) = (0.0, 0.0, 0.0)
      for (power, key) in zip(powers, counted) {
        let element = Double(trial.isRounded ? roundedToBFloat16(v[key * vStride + column]) : v[key * vStride + column])
        value += power / sum * element
        magnitude += power / sum * element.magnitude
        largestValue = max(largestValue, element.magnitude)
      }
      values.append(value)
      bounds.append(
        trial.arithmetic == .float32
          ? magnitude * (1e-6 + 2.4e-7 * Double(trial.width + 8) * off + 1.2e-7 * Double(trial.keys)) + 1e-36
          : ErrorBound.attention(
            keys: trial.keys, score: off, values: magnitude, largestValue: largestValue, isRounded: trial.isRounded))
    }
    return (values, bounds)
  }

  /// The first element that is wrong, or was touched and should not have been.
  func difference() -> String? {
    for query in 0..<trial.queries {
      let expected = expected(query)
      for column in 0..<trial.valueWidth {
        let found = Double(y[query * yStride + column])
        if !(abs(found - expected.values[column]) <= expected.bounds[column]) {
          return
            "query \(query), column \(column): \(found), not \(expected.values[column]) ± \(expected.bounds[column])"
        }
      }
      if query < trial.queries - 1 {
        for column in trial.valueWidth..<yStride where y[query * yStride + column] != 777 {
          return "query \(query), column \(column) was touched"
        }
      }
    }
    return nil
  }
}
