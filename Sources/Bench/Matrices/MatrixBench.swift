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

  /// Large vector products out of memory and out of the last cache, and the sizes of a small transformer out of the caches.
  public static let standard: [MatrixCase] =
    [
      MatrixCase(n: 4096, k: 4096, rows: 1, fromMemory: true), MatrixCase(n: 11008, k: 4096, rows: 1, fromMemory: true),
      MatrixCase(n: 2048, k: 2048, rows: 1), MatrixCase(n: 4096, k: 4096, rows: 1),
      MatrixCase(n: 4096, k: 4096, rows: 8),
      MatrixCase(n: 4096, k: 4096, rows: 128),
    ] + small([1, 8, 16, 64, 128, 512])

  /// Fewer, to see whether they run.
  public static let quick: [MatrixCase] =
    [MatrixCase(n: 4096, k: 4096, rows: 1, fromMemory: true), MatrixCase(n: 4096, k: 4096, rows: 1)] + small([1, 128])

  private static func small(_ rowCounts: [Int]) -> [MatrixCase] {
    [(384, 384), (1536, 384), (384, 1536)].flatMap { n, k in rowCounts.map { MatrixCase(n: n, k: k, rows: $0) } }
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
  /// Times as fast as FP32; nil where that was not measured.
  public var ratioToFP32: Double?
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
  /// The fastest of the loops that read in the same rounds, and its pattern; nil where what bounds one row is not reading
  /// from memory or the last cache.
  public var read: MachineLimit?
  public var readPattern: String?
}

/// Times products through the run path's own entry, quantization of the input included.
struct MatrixBench {
  let machine: Machine
  let limits: MachineLimits
  let kernels: KernelTable
  let rounds: InterleavedRounds
  /// Read in the rounds of products of one row; nil leaves them out.
  var reads: ReadLoops?
  var levels = Level.allCases.sorted(by: >)

  /// The levels that a case is about: one row over and over is about caches, so what no cache holds is left out.
  private func levels(_ matrix: MatrixCase, _ weights: MatrixWeights) -> [Level] {
    if matrix.fromMemory || matrix.rows > 1 { return levels }
    return levels.filter { weights.byteCount($0) <= machine.l3ByteCount * 3 / 4 }
  }

  func measure(_ matrix: MatrixCase) throws(AdaptQError) -> MatrixResult {
    let copies =
      matrix.fromMemory
      ? try MatrixWeights.copies(n: matrix.n, k: matrix.k, form: kernels.form, machine: machine)
      : MatrixWeights.Copies()
    let weights = try MatrixWeights(n: matrix.n, k: matrix.k, form: kernels.form, copies: copies)
    let input = try MemoryBlock.allocate(byteCount: matrix.rows * matrix.k * 4, purpose: "input to measure")
    let output = try MemoryBlock.allocate(byteCount: matrix.rows * matrix.n * 4, purpose: "output to measure")
    let scratch = try MemoryBlock.allocate(
      byteCount: linearScratchByteCount(maxRows: matrix.rows, k: matrix.k), purpose: "scratch to measure")
    let x = input.base.assumingMemoryBound(to: Float.self)
    let y = output.base.assumingMemoryBound(to: Float.self)
    var random = RandomNumbers(seed: 7)
    random.fill(x, count: matrix.rows * matrix.k)

    let levels = levels(matrix, weights)
    let rotations = levels.map { weights.rotation($0) }
    // Nested levels share their copies: each begins elsewhere, or one would find in the last cache what another has read.
    var next = levels.indices.map { $0 * rotations[$0].count / levels.count }
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
    let loops = readWalks(matrix, weights) == nil ? [] : reads?.loops ?? []
    if matrix.rows == 1 && weights.byteCount(.int8) > machine.l2ByteCount { rounds.warmCalls = 6 }
    // Each begins elsewhere: what one has read the next would find in the last cache.
    var walks = loops.indices.compactMap {
      readWalks(matrix, weights, begin: Double($0) / Double(loops.count))
    }
    let summaries = try rounds.measure(contestants: levels.count + loops.count) { index, calls throws(AdaptQError) in
      if index < levels.count {
        call(index, calls)
      } else {
        walks[index - levels.count].call(loops[index - levels.count].function, times: calls)
      }
    }
    for index in levels.indices {
      call(index, 1)
      for position in 0..<(matrix.rows * matrix.n) { checksums[index] += Double(y[position]) }
    }
    withExtendedLifetime((weights, input, output, scratch)) {}
    let fp32 = levels.firstIndex(of: .fp32).map { summaries[$0].median }
    var result = MatrixResult(
      matrix: matrix, copies: [copies.fp32, copies.fp16, copies.nested], copiesReduced: copies.isReduced, rows: [])
    var limits = limits
    let fastest = zip(loops.indices, zip(walks, summaries.dropFirst(levels.count)))
      .max { Double($0.1.0.count) / max($0.1.1.median, 1) < Double($1.1.0.count) / max($1.1.1.median, 1) }
    if let (index, (walk, summary)) = fastest {
      let read = MachineLimit(
        name: matrix.fromMemory ? "read from memory" : "read from L3", unit: "GB/s",
        median: Double(walk.count) / max(summary.median, 1), best: Double(walk.count) / max(summary.minimum, 1))
      (result.read, result.readPattern) = (read, loops[index].pattern)
      if matrix.fromMemory { limits.memoryRead = read } else { limits.l3Read = read }
    }
    result.rows = levels.indices.map { index -> MatrixRow in
      row(
        matrix, levels[index], summaries[index], limits, byteCount: weights.byteCount(levels[index]), fp32: fp32,
        checksum: checksums[index])
    }
    return result
  }

  /// What the loops read: all copies of the FP32 weights, or as much as the INT8 weights take and the last cache holds.
  private func readWalks(_ matrix: MatrixCase, _ weights: MatrixWeights, begin: Double = 0) -> ReadWalk? {
    if matrix.rows > 1 { return nil }
    // Piece by piece, so that a sample is short.
    if matrix.fromMemory { return ReadWalk(weights.readable, piece: 4 << 20, begin: begin) }
    let bytes = min(weights.byteCount(.int8), machine.l3ByteCount * 3 / 4)
    if bytes <= machine.l2ByteCount * 3 / 4 { return nil }
    let readable = weights.readable
    return ReadWalk(UnsafeRawBufferPointer(rebasing: readable.prefix(min(bytes, readable.count))), piece: bytes)
  }

  private func row(
    _ matrix: MatrixCase, _ level: Level, _ summary: Summary, _ limits: MachineLimits, byteCount: Int, fp32: Double?,
    checksum: Double
  ) -> MatrixRow {
    var row = MatrixRow(
      level: level, summary: summary, byteCount: byteCount, operations: 2 * matrix.rows * matrix.n * matrix.k,
      ratioToFP32: fp32.map { $0 / max(summary.median, 1) }, limit: nil, checksum: checksum)
    row.limit = limit(matrix, row, limits)
    if let limit = row.limit { row.share = row.rate / max(limit.median, 1e-9) }
    return row
  }

  /// Reading the weights, or arithmetic where that takes longer.
  private func limit(_ matrix: MatrixCase, _ row: MatrixRow, _ limits: MachineLimits) -> MachineLimit? {
    if matrix.fromMemory { return limits.memoryRead }
    func bound(_ rows: Int) -> MachineLimit? {
      limits.bound(
        rows: rows, row.level, usesBFloat16: kernels.usesBFloat16(row.level, rows: rows), byteCount: row.byteCount,
        machine)
    }
    if matrix.rows == 1 { return bound(1) }
    guard let reading = bound(1), let arithmetic = bound(matrix.rows) else { return bound(matrix.rows) }
    let readingTakes = Double(row.byteCount) / max(reading.median, 1e-9)
    return readingTakes > Double(row.operations) / max(arithmetic.median, 1e-9) ? reading : arithmetic
  }
}
