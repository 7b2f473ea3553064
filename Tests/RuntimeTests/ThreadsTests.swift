import Base
import Foundation
import Graph
import Hardware
import Kernels
import NestedFormat
import TestSupport
import Testing

@testable import Runtime

/// The library's own pool and the host's threads: every number of threads gives the same bits.
@Suite(.serialized) struct ThreadsTests {
  private func threads(_ count: Int, laneCost: Int = 1) -> Threads {
    var options = ThreadOptions(count: count)
    options.laneCost = laneCost
    return Threads(options, recommended: { 1 })
  }

  private func bits(_ tensors: [Tensor]) -> [UInt32] { tensors.flatMap { $0.floats.map(\.bitPattern) } }

  @Test(arguments: [Level.fp32, .fp16, .int8, .int4]) func randomGraphs(_ level: Level) throws {
    let kernels = KernelSet(features: KernelFeatures(CPUFeatures.live(), maximum: .avx512bf16))
    let pools = (2...5).map { threads($0) }
    for index in 0..<16 {
      var random = try RandomGraph("ThreadsTests", index, count: 3 + index % 12)
      let model = try Model(random.builder)
      let maximum = random.maximum
      let sizes = [maximum, [1, 1], [maximum[0], (maximum[1] + 1) / 2]]
      let inputs = sizes.map { random.inputs(batch: $0[0], steps: $0[1]) }
      // Portable kernels are slow in a build for debugging.
      for table in index < 3 ? [kernels.table, .portable] : [kernels.table] {
        var expected: [[UInt32]] = []
        for pool in [Threads.alone] + pools {
          let session = try Session(model, [level], kernels: table, threads: pool)
          try session.prepare(maximumShapes: [maximum, maximum, maximum + [random.width], [], [maximum[0]]])
          let found = try zip(sizes, inputs).map { bits(try session.run(symbols: $0, $1).outputs) }
          if expected.isEmpty { expected = found }
          let same = found == expected
          #expect(
            same,
            "case \(index) \(level.name), \(pool.count) threads\n\(random.listing.joined(separator: "\n"))")
        }
      }
    }
    withExtendedLifetime(kernels) {}
  }

  /// A layer of MiniLM's widths over enough rows that products are cut by rows too.
  @Test(arguments: [Level.fp32, .fp16, .int8, .int6, .int4, .int2]) func encoderLayer(_ level: Level) throws {
    let kernels = KernelSet(features: KernelFeatures(CPUFeatures.live(), maximum: .avx512bf16))
    let model = try Model(try EncoderLayer.builder(width: 96, inner: 200, heads: 6))
    var random = SeededRandom("encoderLayer", 0)
    let shapes = [[1, 1], [3, 1], [1, 5], [2, 70], [5, 61]]
    let inputs = shapes.map { shape -> [Tensor] in
      let count = shape[0] * shape[1]
      return [
        .integers(shape, (0..<count).map { _ in Int64.random(in: 0..<50, using: &random) }),
        .integers(shape, (0..<count).map { $0 % 7 == 6 ? 0 : 1 }),
      ]
    }
    var expected: [[UInt32]] = []
    for count in 1...5 {
      let session = try Session(model, [level], kernels: kernels.table, threads: threads(count))
      try session.prepare(maximumShapes: [[5, 70], [5, 70]])
      let found = try zip(shapes, inputs).map { bits(try session.run(symbols: $0, $1).outputs) }
      if expected.isEmpty { expected = found }
      let same = found == expected
      #expect(same, "\(level.name), \(count) threads")
      let fewer = try session.run(symbols: shapes[3], inputs[3], maximumThreads: 2).outputs
      let fewerSame = bits(fewer) == expected[3]
      #expect(fewerSame, "\(level.name), 2 of \(count) threads")
    }
    withExtendedLifetime(kernels) {}
  }

  /// The lowest position without a row is named, whoever found one first.
  @Test func firstBadIndex() throws {
    let model = try Model(try EncoderLayer.builder(width: 32, inner: 32, heads: 2))
    let session = try Session(model, [.int8], threads: threads(4))
    try session.prepare(maximumShapes: [[4, 40], [4, 40]])
    var random = SeededRandom("firstBadIndex", 0)
    for _ in 0..<200 {
      var ids = [Int64](repeating: 1, count: 160)
      let bad = (0..<Int.random(in: 1...5, using: &random)).map { _ in Int.random(in: 0..<160, using: &random) }
      for position in bad { ids[position] = 50 }
      let mask = Tensor.integers([4, 40], [Int64](repeating: 1, count: 160))
      let report = try session.run(symbols: [4, 40], [.integers([4, 40], ids), mask]).report
      #expect(report.outcome.kind == .indexOutOfRange && report.outcome.position == bad.min())
      #expect(report.outcome.index == 50 && report.outcome.rows == 50)
    }
  }

  @Test func poolCallsEveryIndexOnce() throws {
    let pool = threads(5)
    let executor = try pool.executor()
    #expect(executor.width == 5)
    var random = SeededRandom("poolCallsEveryIndexOnce", 0)
    let counts = UnsafeMutablePointer<UInt64>.allocate(capacity: 64)
    defer { counts.deallocate() }
    for round in 0..<3000 {
      let count = Int.random(in: 1...(round % 10 == 0 ? 60 : 6), using: &random)
      counts.initialize(repeating: 0, count: 64)
      // Long enough for workers to fall asleep now and then.
      if round % 100 == 0 { usleep(500) }
      let own = executor.acquire(maximum: 0)
      #expect(own.width == 5)
      own.parallelFor(
        own.context, count,
        { context, index in
          guard let counts = context?.assumingMemoryBound(to: UInt64.self) else { return }
          // Each index has a word of its own: no two calls may share one.
          counts[index] += 1
        }, counts)
      own.release()
      #expect((0..<64).allSatisfy { counts[$0] == ($0 < count ? 1 : 0) }, "round \(round), count \(count)")
    }
    withExtendedLifetime(pool) {}
  }

  /// Whoever finds the pool taken runs alone.
  @Test func takenPool() throws {
    let pool = threads(2)
    let executor = try pool.executor()
    let first = executor.acquire(maximum: 0)
    #expect(first.width == 2)
    #expect(executor.acquire(maximum: 0).width == 1)
    first.release()
    let limited = executor.acquire(maximum: 1)
    #expect(limited.width == 1)
    let again = executor.acquire(maximum: 7)
    #expect(again.width == 2)
    again.release()
    withExtendedLifetime(pool) {}
  }

  /// Every region is timed once, whichever way; without a pool, or while a run has it, there is nothing to time.
  @Test func regionTimes() throws {
    let pool = threads(3)
    let times = try pool.regionTimes(runs: 3, regionsPerRun: 7, gap: 1000)
    #expect(times.threads == 3 && times.sleep.count == 3)
    // The first region of a run is not counted, then kinds alternate.
    #expect(times.fork.count == 3 * 3 && times.join.count == 3 * 3 && times.empty.count == 3 * 3)
    #expect(times.fork.allSatisfy { $0 > 0 } && times.join.allSatisfy { $0 >= 0 })
    let run = try pool.executor().acquire(maximum: 0)
    #expect(try pool.regionTimes(runs: 1, regionsPerRun: 3, gap: 0).fork.isEmpty)
    run.release()
    #expect(try threads(1).regionTimes(runs: 1, regionsPerRun: 3, gap: 0).threads == 0)
    withExtendedLifetime(pool) {}
  }

  /// Hosts that call late, twice, backwards, not at all: the result is the same.
  @Test func hostsThreads() throws {
    let kernels = KernelSet(features: KernelFeatures(CPUFeatures.live(), maximum: .avx512bf16))
    let model = try Model(try EncoderLayer.builder(width: 64, inner: 128, heads: 4))
    let shape = [2, 40]
    let inputs: [Tensor] = [
      .integers(shape, (0..<80).map { Int64($0 % 50) }), .integers(shape, [Int64](repeating: 1, count: 80)),
    ]
    let hosts: [(String, ParallelExecutor.ParallelFor)] = [
      ("forwards", { _, count, body, context in for index in 0..<count { body?(context, index) } }),
      ("backwards", { _, count, body, context in for index in (0..<count).reversed() { body?(context, index) } }),
      ("twice", { _, count, body, context in for index in 0..<(2 * count) { body?(context, index / 2) } }),
      ("not at all", { _, _, _, _ in }),
      ("wrong index", { _, count, body, context in for _ in 0..<count { body?(context, -1) } }),
    ]
    var expected: [UInt32] = []
    for (name, parallelFor) in [("alone", nil)] + hosts.map({ ($0.0, Optional($0.1)) }) {
      var options = ThreadOptions(count: parallelFor == nil ? 1 : 3)
      options.laneCost = 1
      if let parallelFor { options.host = HostThreads(parallelFor: parallelFor, context: nil) }
      let threads = Threads(options, recommended: { 1 })
      let session = try Session(model, [.int8], kernels: kernels.table, threads: threads)
      try session.prepare(maximumShapes: [shape, shape])
      let found = bits(try session.run(symbols: shape, inputs).outputs)
      if expected.isEmpty { expected = found }
      let same = found == expected
      #expect(same, "\(name)")
    }
  }
}

/// One layer of a text encoder with a table of 50 rows.
enum EncoderLayer {
  static func builder(width: Int, inner: Int, heads: Int) throws -> GraphBuilder {
    var random = SeededRandom("EncoderLayer", width)
    var builder = GraphBuilder()
    let (batch, steps) = (builder.symbol("batch"), builder.symbol("steps"))
    let ids = builder.input("ids", .int64, [batch, steps])
    let keep = builder.input("keep", .int64, [batch, steps])
    func site(_ name: String, _ n: Int, _ k: Int) throws -> Operator {
      .linear(
        try builder.linearSite(
          name, try .random([n, k], scale: 0.2, &random), bias: try .random([n], &random)))
    }
    let table = try builder.embeddingSite("words", try .random([50, width], &random))
    let (q, k, v) = (try site("q", width, width), try site("k", width, width), try site("v", width, width))
    let (o, up, down) = (try site("o", width, width), try site("up", inner, width), try site("down", width, inner))
    let gamma = builder.constant("gamma", try .random([width], &random))
    let beta = builder.constant("beta", try .random([width], &random))
    let x = try builder.add(.embedding(table), ids)
    let attended = try builder.add(
      .attention(heads: heads, scale: 0.25), try builder.add(q, x), try builder.add(k, x), try builder.add(v, x), keep)
    let first = try builder.add(
      .layerNorm(epsilon: 1e-5), try builder.add(.binary(.add), try builder.add(o, attended), x), gamma, beta)
    let wide = try builder.add(.activation(.gelu), try builder.add(up, first))
    let sum = try builder.add(.binary(.add), try builder.add(down, wide), first)
    let second = try builder.add(.layerNorm(epsilon: 1e-5), sum, gamma, beta)
    let soft = try builder.add(.softmax, second)
    let mean = try builder.add(.maskedMean, try builder.add(.binary(.multiply), soft, second), keep)
    builder.output("embedding", try builder.add(.l2Normalize(epsilon: 1e-12), mean))
    builder.output("states", second)
    return builder
  }
}
