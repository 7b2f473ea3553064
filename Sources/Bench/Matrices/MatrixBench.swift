import Base
import Kernels
import NestedFormat

/// One product to measure.
public struct MatrixCase: Equatable, Sendable {
  /// Outputs and inputs.
  public var n: Int
  public var k: Int
  /// Rows of the input.
  public var rows: Int
  /// Whether calls walk through copies of the weights that no cache holds.
  public var fromMemory: Bool

  public init(n: Int, k: Int, rows: Int, fromMemory: Bool = false) {
    self.n = n
    self.k = k
    self.rows = rows
    self.fromMemory = fromMemory
  }

  /// A large vector product out of memory, and the sizes of a small transformer out of the caches.
  public static let standard: [MatrixCase] =
    [MatrixCase(n: 4096, k: 4096, rows: 1, fromMemory: true)]
    + [(384, 384), (1536, 384), (384, 1536)].flatMap { n, k in
      [1, 16, 64, 128].map { MatrixCase(n: n, k: k, rows: $0) }
    }
}

/// One level of one product.
public struct MatrixRow: Equatable, Sendable {
  public var level: Level
  public var summary: Summary
  /// Weights and scales read by one call.
  public var byteCount: Int
  /// Multiplications and additions of one call.
  public var operations: Int
  /// Times as fast as FP32.
  public var ratioToFP32: Double
  /// The limit that this product is bound by, and the share of it that was reached; nil where it was not measured.
  public var limit: MachineLimit?
  public var share: Double?
  /// Sum of the last output, so that it is used and a change of result shows.
  public var checksum: Double

  /// What was reached, in the unit of the limit.
  public var rate: Double {
    let amount = limit?.unit == "GB/s" ? byteCount : operations
    return Double(amount) / max(summary.median, 1)
  }
}

/// One product at all levels.
public struct MatrixResult: Equatable, Sendable {
  public var matrix: MatrixCase
  /// Copies of the FP32, FP16 and nested weights.
  public var copies: [Int]
  public var copiesReduced: Bool
  public var rows: [MatrixRow]
}

/// Times products through the run path's own entry, quantization of the input included.
struct MatrixBench {
  let machine: Machine
  let limits: MachineLimits
  let kernels: KernelTable
  let rounds: InterleavedRounds
  var levels = Level.allCases.sorted(by: >)

  func measure(_ matrix: MatrixCase) throws(AdaptQError) -> MatrixResult {
    let copies =
      matrix.fromMemory
      ? try MatrixWeights.copies(n: matrix.n, k: matrix.k, machine: machine) : MatrixWeights.Copies()
    let weights = try MatrixWeights(n: matrix.n, k: matrix.k, copies: copies)
    let input = try MemoryBlock.allocate(byteCount: matrix.rows * matrix.k * 4, purpose: "input to measure")
    let output = try MemoryBlock.allocate(byteCount: matrix.rows * matrix.n * 4, purpose: "output to measure")
    let scratch = try MemoryBlock.allocate(
      byteCount: linearScratchByteCount(maxRows: matrix.rows, k: matrix.k), purpose: "scratch to measure")
    let x = input.base.assumingMemoryBound(to: Float.self)
    let y = output.base.assumingMemoryBound(to: Float.self)
    var random = RandomNumbers(seed: 7)
    random.fill(x, count: matrix.rows * matrix.k)

    let rotations = levels.map { weights.rotation($0) }
    var next = [Int](repeating: 0, count: levels.count)
    var checksums = [Double](repeating: 0, count: levels.count)
    let call = { (index: Int, calls: Int) in
      let rotation = rotations[index]
      var copy = next[index]
      for _ in 0..<calls {
        linear(
          rotation[copy], levels[index], kernels, x: x, xRowStride: matrix.k, rows: matrix.rows, y: y,
          yRowStride: matrix.n, scratch: scratch.base)
        copy = copy + 1 == rotation.count ? 0 : copy + 1
      }
      next[index] = copy
    }
    var rounds = rounds
    rounds.warms = !matrix.fromMemory
    let summaries = try rounds.measure(contestants: levels.count) { index, calls throws(AdaptQError) in
      call(index, calls)
    }
    for index in levels.indices {
      call(index, 1)
      for position in 0..<(matrix.rows * matrix.n) { checksums[index] += Double(y[position]) }
    }
    withExtendedLifetime((weights, input, output, scratch)) {}
    let fp32 = levels.firstIndex(of: .fp32).map { summaries[$0].median }
    let rows = levels.indices.map { index -> MatrixRow in
      row(
        matrix, levels[index], summaries[index], byteCount: weights.byteCount(levels[index]), fp32: fp32,
        checksum: checksums[index])
    }
    return MatrixResult(
      matrix: matrix, copies: [copies.fp32, copies.fp16, copies.nested], copiesReduced: copies.isReduced, rows: rows)
  }

  private func row(
    _ matrix: MatrixCase, _ level: Level, _ summary: Summary, byteCount: Int, fp32: Double?, checksum: Double
  ) -> MatrixRow {
    var row = MatrixRow(
      level: level, summary: summary, byteCount: byteCount, operations: 2 * matrix.rows * matrix.n * matrix.k,
      ratioToFP32: (fp32 ?? 0) / max(summary.median, 1), limit: limit(matrix, level, byteCount), checksum: checksum)
    if let limit = row.limit { row.share = row.rate / max(limit.median, 1e-9) }
    return row
  }

  private func limit(_ matrix: MatrixCase, _ level: Level, _ byteCount: Int) -> MachineLimit? {
    matrix.fromMemory
      ? limits.memoryRead
      : limits.bound(
        rows: matrix.rows, level, usesBFloat16: kernels.usesBFloat16(level, rows: matrix.rows), byteCount: byteCount,
        machine)
  }
}
