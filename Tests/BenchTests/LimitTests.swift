import Base
import Hardware
import Kernels
import NestedFormat
import Runtime
import TestSupport
import Testing

@testable import Bench

/// What products and regions are compared with. No time is judged.
@Suite struct LimitTests {
  /// A walk visits every piece of its buffer in turn, from wherever it begins, and nothing else.
  @Test func aWalkStaysInItsBuffer() throws {
    let reads = try ReadLoops(KernelFeatures(CPUFeatures.live(), maximum: .defaultMaximum))
    let buffer = GuardedBuffer<UInt8>(count: 5 * 4096)
    let bytes = UnsafeRawBufferPointer(start: buffer.base, count: 5 * 4096)
    for begin in [0, 0.3, 0.99, 1, 7, -1, .nan] as [Double] {
      var walk = try #require(ReadWalk(bytes, piece: 8192 + 100, begin: begin))
      #expect(walk.count == 8192)
      // A read beyond the buffer would fault.
      for loop in reads.loops { walk.call(loop.function, times: 7) }
    }
    #expect(ReadWalk(UnsafeRawBufferPointer(rebasing: bytes.prefix(4095)), piece: 8192) == nil)
    #expect(ReadWalk(bytes, piece: 4095) == nil)
    let patterns = reads.loops.map(\.pattern)
    #expect(Set(patterns).count == patterns.count)
  }

  @Test func aRegionIsForkAndJoin() throws {
    var times = RegionTimes()
    #expect(RegionCost(times) == nil)
    times.threads = 2
    times.fork = [100, 300, 200]
    times.join = [50, 60, 1000]
    times.empty = [40]
    times.sleep = [20_000]
    let cost = try #require(RegionCost(times))
    #expect(cost.median == 360 && cost.percentile95 == 1200 && cost.regions == 3)
    #expect(cost.fork == 200 && cost.join == 60 && cost.offer == 40)
    #expect(cost.line.hasPrefix("an empty parallel region, 2 threads: 0.36 us (p95 1.20)"))
    #expect(cost.json["join_ns"] == .number(60))
    times.join = []
    #expect(RegionCost(times) == nil)
  }

  @Test func regionsAreMeasuredOnTwoCPUs() throws {
    let cpus = Array(Affinity.allowed().prefix(2))
    #expect(try RegionCost.measure(cpus: []) == nil)
    #expect(try RegionCost.measure(cpus: Array(cpus.prefix(1))) == nil)
    if cpus.count < 2 { return }
    let cost = try #require(try RegionCost.measure(cpus: cpus, runs: 2))
    #expect(cost.threads == 2 && cost.regions == 2 * (RegionCost.regionsPerRun / 2))
    #expect(cost.fork > 0 && cost.join >= 0 && cost.median <= cost.percentile95)
  }

  @Test func twoCPUsAreTwo() {
    var machine = ReportTests.machine
    #expect(machine.twoCPUs == [3, 0])
    machine.pinnedCPU = 0
    #expect(machine.twoCPUs == [0, 3])
    machine.allowedCPUs = [0]
    #expect(machine.twoCPUs == [])
    machine.pinnedCPU = nil
    #expect(machine.twoCPUs == [])
  }

  /// One row over and over: what the last cache does not hold is left out, and the reading in the same rounds is the limit.
  @Test func residentProductsAreComparedWithTheirOwnRounds() throws {
    var machine = ReportTests.machine
    machine.l2ByteCount = 8 << 10
    machine.l3ByteCount = 100 << 10
    let reads = try ReadLoops(KernelFeatures(CPUFeatures.live(), maximum: .defaultMaximum))
    let bench = MatrixBench(
      machine: machine, limits: ReportTests.limits(), kernels: .portable,
      rounds: InterleavedRounds(rounds: 3, sampleNanoseconds: 0), reads: reads)
    let result = try bench.measure(MatrixCase(n: 256, k: 256, rows: 1))
    #expect(result.rows.map(\.level) == [.int8, .int6, .int4, .int2])
    for row in result.rows { #expect(row.ratioToFP32 == nil) }
    if reads.loops.isEmpty { return }
    let read = try #require(result.read)
    #expect(read.name == "read from L3" && read.median > 0)
    #expect(result.rows[0].limit == read)
    #expect(result.lines.contains { $0.hasPrefix("read from L3 in the same rounds") })
    #expect(result.json["read_pattern"] != .null)
    // Weights from memory: all levels.
    let fromMemory = try bench.measure(MatrixCase(n: 256, k: 256, rows: 1, fromMemory: true))
    #expect(fromMemory.rows.count == 6 && fromMemory.rows[5].limit == fromMemory.read)
    // Several rows read nothing else.
    #expect(try bench.measure(MatrixCase(n: 256, k: 256, rows: 2)).read == nil)
  }

  /// Few rows of a large matrix wait for its weights, many for the arithmetic.
  @Test func theLongerTimeIsTheLimit() throws {
    var limits = ReportTests.limits()
    limits.memoryRead?.median = 1
    var machine = ReportTests.machine
    machine.l3ByteCount = 0
    machine.l2ByteCount = 0
    let bench = MatrixBench(
      machine: machine, limits: limits, kernels: .portable, rounds: InterleavedRounds(rounds: 1, sampleNanoseconds: 0))
    let few = try bench.measure(MatrixCase(n: 64, k: 64, rows: 2))
    #expect(few.rows[0].limit?.name == "read from memory")
    let many = try bench.measure(MatrixCase(n: 64, k: 64, rows: 400))
    #expect(many.rows[0].limit?.name == "fp32 multiply-add")
  }

  @Test func quickCasesAreAmongTheStandardOnes() {
    for matrix in MatrixCase.quick { #expect(MatrixCase.standard.contains(matrix)) }
    #expect(MatrixCase.quick.count < MatrixCase.standard.count / 2)
  }
}
