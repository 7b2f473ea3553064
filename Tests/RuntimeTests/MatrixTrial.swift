import Base
import Glibc
import Kernels
import NestedFormat
import Runtime
import TestSupport
import Testing

/// A matrix with the floats it was made from, and the slow, obviously right product: Double sums straight from the
/// definitions of the header.
struct MatrixTrial {
  let n: Int
  let k: Int
  /// What the library was given, exactly.
  let weights: [Float]
  let bias: [Float]?
  let matrix: Matrix
  private let table: KernelTable

  /// Weights of any element type at any strides; everything outside them is an inaccessible page or NaN.
  init(
    n: Int, k: Int, element: MatrixSource.Element = .float32, transposed: Bool = false, gap: Int = 0,
    withBias: Bool = true, keep: Set<Level> = [.fp16, .fp32], options: MatrixOptions = MatrixOptions(),
    table: KernelTable, scale: Float = 0.1, random: inout SeededRandom
  ) throws {
    self.n = n
    self.k = k
    self.table = table
    let (rowStride, columnStride) = transposed ? (1, n + gap) : (k + gap, 1)
    let count = (n - 1) * rowStride + (k - 1) * columnStride + 1
    var weights = [Float](repeating: 0, count: n * k)
    let width = element == .float32 ? 4 : 2
    let bytes = GuardedBuffer<UInt8>(Array(repeating: 0xFF, count: count * width))
    let raw = UnsafeMutableRawPointer(bytes.base)
    for row in 0..<n {
      for column in 0..<k {
        let place = (row * rowStride + column * columnStride) * width
        let value = random.normal() * scale
        switch element {
        case .float32:
          raw.storeBytes(of: value, toByteOffset: place, as: Float.self)
          weights[row * k + column] = value
        case .float16:
          raw.storeBytes(of: Half(value).bits, toByteOffset: place, as: UInt16.self)
          weights[row * k + column] = Half(value).float
        case .bfloat16:
          let bits = UInt16(truncatingIfNeeded: value.bitPattern >> 16)
          raw.storeBytes(of: bits, toByteOffset: place, as: UInt16.self)
          weights[row * k + column] = Float(bitPattern: UInt32(bits) << 16)
        case .int8, .uint8: Issue.record("codes have tests of their own")
        }
      }
    }
    self.weights = weights
    bias = withBias ? (0..<n).map { _ in random.normal() * scale * 3 } : nil
    let biasBuffer = GuardedBuffer<Float>(bias ?? [0])
    var source = MatrixSource(n: n, k: k, weights: UnsafeRawPointer(bytes.base))
    source.element = element
    source.rowStride = rowStride
    source.columnStride = columnStride
    source.bias = bias == nil ? nil : UnsafeRawPointer(biasBuffer.base)
    source.keep = keep
    source.name = "trial"
    matrix = try Matrix(source, options: options, kernels: table, kernelOwner: nil)
    withExtendedLifetime((bytes, biasBuffer)) {}
  }

  func weight(_ row: Int, _ column: Int, _ level: Level) -> Double {
    switch level {
    case .fp32: Double(weights[row * k + column])
    case .fp16: Double(Half(weights[row * k + column]).float)
    default: Double(matrix.forms.nested?.value(row, column, level) ?? .nan)
    }
  }

  /// Half the range of a group's weights is the most by which a nested weight's two parts may cancel.
  func groupRange(_ row: Int, _ group: Int) -> Double {
    let values = weights[(row * k + group * 64)..<(row * k + min(group * 64 + 64, k))]
    return Double((values.max() ?? 0) - (values.min() ?? 0)) + Double(values.map(\.magnitude).max() ?? 0)
  }

  /// What row `input` of activations stands for at `level`: codes by the header's definition, or the floats themselves.
  static func read(_ input: [Float], _ level: Level) -> [Double] {
    if !level.isNested { return input.map(Double.init) }
    var result: [Double] = []
    for start in stride(from: 0, to: input.count, by: 64) {
      let group = input[start..<min(start + 64, input.count)]
      let largest = group.map(\.magnitude).max() ?? 0
      let isTiny = largest < 0x1p-118
      let scale = Double(largest / 127)
      result += group.map { isTiny ? 0 : scale * Double(($0 * (127 / largest)).rounded(.toNearestOrEven)) }
    }
    return result
  }

  /// What products of `rows` rows read of `values` if they multiply in bfloat16.
  func rounded(_ values: [Double], _ level: Level, rows: Int) -> [Double] {
    if !table.usesBFloat16(level, rows: rows) { return values }
    return values.map { Double(roundedToBFloat16(Float($0))) }
  }

  /// Every weight that `level` stands for in a call of `rows` rows, and what bounds its part of a sum's magnitude.
  func decoded(_ level: Level, rows: Int) -> [(weight: Double, magnitude: Double)] {
    var result: [(weight: Double, magnitude: Double)] = []
    for row in 0..<n {
      for group in 0..<((k + 63) / 64) {
        let range = groupRange(row, group)
        for column in (group * 64)..<min(group * 64 + 64, k) {
          let value = rounded([weight(row, column, level)], level, rows: rows)[0]
          result.append((value, level.isNested ? 2 * range : value.magnitude))
        }
      }
    }
    return result
  }

  /// One output and how far the library may be from it in a call of `rows` rows.
  func expected(
    _ read: [Double], _ output: Int, _ level: Level, _ decoded: [(weight: Double, magnitude: Double)], rows: Int,
    bias usesBias: Bool, _ activation: MatrixActivation, residual: Float?
  ) -> (value: Double, bound: Double) {
    var sum = usesBias ? Double(bias?[output] ?? 0) : 0
    var magnitude = sum.magnitude
    for column in 0..<k {
      let part = decoded[output * k + column]
      sum += read[column] * part.weight
      magnitude += read[column].magnitude * part.magnitude
    }
    var bound =
      level.isNested
      ? ErrorBound.nested(groups: (k + 63) / 64, magnitude: magnitude)
      : table.usesBFloat16(level, rows: rows)
        ? ErrorBound.bfloat16(k: k, alpha: 1, magnitude: magnitude) : ErrorBound.dense(k: k, magnitude: magnitude)
    if table.readsWords(level, rows: rows) {
      let weights = decoded[(output * k)..<((output + 1) * k)].map(\.weight)
      let stored = (0..<((k + 63) / 64)).map { groupRange(output, $0) }.max() ?? 0
      bound += ErrorBound.words(read, weights, stored: stored * 1.01)
    }
    var value = sum
    switch activation {
    case .none: break
    case .relu: value = max(sum, 0)
    case .gelu:
      value = 0.5 * sum * (1 + erf(sum / 2.0.squareRoot()))
      bound = 1.2 * bound + 3e-7 * max(1, sum.magnitude)
    case .silu:
      value = sum / (1 + Glibc.exp(-sum))
      bound = 1.2 * bound + 1.6e-7 * max(1, sum.magnitude)
    }
    if let residual {
      value += Double(residual)
      bound += value.magnitude * 0x1p-24 + bound * 0x1p-24
    }
    return (value, bound)
  }
}

/// 64-byte aligned, ends close to a guard page.
final class MatrixWorkspace {
  private let buffer: GuardedBuffer<SIMD64<UInt8>>
  init(_ handle: MatrixHandle, rows: Int) {
    buffer = GuardedBuffer(count: (handle.workspaceByteCount(rows: rows) + 63) / 64)
    for index in 0..<buffer.count { buffer[index] = SIMD64(repeating: 0xA7) }
  }
  var base: UnsafeMutableRawPointer { UnsafeMutableRawPointer(buffer.base) }
}
