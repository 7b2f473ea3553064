import Base
import Hardware
import Kernels
import MachineCode
import NestedFormat
import TestSupport
import Testing

@testable import Bench

/// Tables and JSON, and one tiny measurement from end to end. No time is looked at.
@Suite struct ReportTests {
  static let machine = Machine(
    cpu: "a CPU", allowedCPUs: [0, 3], pinnedCPU: 3, l2ByteCount: 64 << 10, l3ByteCount: 256 << 10,
    availableMemory: 8 << 20)

  static func limits() -> MachineLimits {
    var limits = MachineLimits()
    limits.memoryRead = MachineLimit(name: "read from memory", unit: "GB/s", median: 10, best: 12)
    limits.fp32 = MachineLimit(name: "fp32 multiply-add", unit: "GFLOP/s", median: 100, best: 110)
    return limits
  }

  @Test func columnsLineUp() {
    var table = TextTable(["level", "us"])
    table.rows = [["FP32", "10.00"], ["INT2"]]
    #expect(table.lines == ["level     us", "FP32   10.00", "INT2"])
  }

  @Test func decimals() {
    #expect(fixed(1.005, 2) == "1.00")
    #expect(fixed(-0.5, 1) == "-0.5")
    #expect(fixed(12.3456, 3) == "12.346")
    #expect(fixed(2.5, 0) == "2")
    #expect(fixed(.nan, 1) == "0.0")
  }

  @Test func copiesFitTheMemory() throws {
    let plenty = Machine(
      cpu: "", allowedCPUs: [], pinnedCPU: nil, l2ByteCount: 1 << 20, l3ByteCount: 32 << 20, availableMemory: 64 << 30)
    let copies = try MatrixWeights.copies(n: 4096, k: 4096, form: .standard, machine: plenty)
    #expect(copies == MatrixWeights.Copies(fp32: 4, fp16: 8, nested: 16))
    var short = plenty
    short.availableMemory = 800 << 20
    let fewer = try MatrixWeights.copies(n: 4096, k: 4096, form: .standard, machine: short)
    #expect(fewer.isReduced)
    #expect(fewer.fp32 * 64 + fewer.fp16 * 32 + fewer.nested * 17 <= 400)
    short.availableMemory = 1
    #expect(try MatrixWeights.copies(n: 64, k: 64, form: .standard, machine: short).fp32 == 1)
  }

  @Test func everyCopyHoldsTheSameWeights() throws {
    let copies = MatrixWeights.Copies(fp32: 2, fp16: 2, nested: 3)
    let weights = try MatrixWeights(n: 33, k: 100, form: .standard, copies: copies)
    for level in Level.allCases {
      let rotation = weights.rotation(level)
      #expect(rotation.count == (level.isNested ? 3 : 2))
      for copy in rotation {
        #expect(copy.holds(level))
        for (row, column) in [(0, 0), (32, 99), (17, 64)] {
          let first = level == .fp32 ? rotation[0].fp32 : rotation[0].fp16
          let this = level == .fp32 ? copy.fp32 : copy.fp16
          #expect(this?.value(row, column) == first?.value(row, column))
          let bytes = (copy.nested?.scales, rotation[0].nested?.scales)
          if let a = bytes.0, let b = bytes.1 { #expect(a.load(as: UInt64.self) == b.load(as: UInt64.self)) }
        }
      }
    }
    #expect(weights.byteCount(.int2) < weights.byteCount(.int8))
    withExtendedLifetime(weights) {}
  }

  @Test func aTinyProductGivesARowPerLevel() throws {
    let bench = MatrixBench(
      machine: Self.machine, limits: Self.limits(), kernels: .portable,
      rounds: InterleavedRounds(rounds: 2, sampleNanoseconds: 0))
    let result = try bench.measure(MatrixCase(n: 32, k: 64, rows: 2, fromMemory: true))
    #expect(result.rows.map(\.level) == [.fp32, .fp16, .int8, .int6, .int4, .int2])
    #expect(result.copiesReduced)
    for row in result.rows {
      #expect(row.summary.rounds == 2)
      #expect(row.operations == 2 * 2 * 32 * 64)
      #expect(row.limit?.name == "read from memory")
      #expect(row.checksum.isFinite && row.checksum != 0)
    }
    #expect(result.rows[2].byteCount == 32 * 64 * 17 / 16)
    #expect(result.lines.count >= 8)
  }

  @Test func jsonReadsBack() throws {
    let bench = MatrixBench(
      machine: Self.machine, limits: Self.limits(), kernels: .portable,
      rounds: InterleavedRounds(rounds: 1, sampleNanoseconds: 0))
    var report = BenchReport(
      options: BenchReport.Options(version: "9.9.9", rounds: 1), machine: Self.machine, instructionSet: "portable",
      generatedKernels: ["a"], portableKernels: ["b: portable, because c"])
    report.limits = Self.limits()
    report.matrices = [try bench.measure(MatrixCase(n: 16, k: 64, rows: 3))]
    let row = ModelRow(
      level: .int8, summary: Summary([Sample(nanoseconds: 2e6)], callsPerSample: 1), tokensPerSecond: 4000, ratio: 1,
      checksum: 0.5)
    report.model = ModelResult(
      path: "m.adaptq", byteCount: 7, levels: [.int8], reference: .int8,
      points: [ModelPoint(length: 8, rows: [row])])
    let json = try JSON.parse(report.json.text, "report")
    #expect(json["schema"] == .integer(BenchReport.schema))
    #expect(json["adaptq"] == .string("9.9.9"))
    #expect(json["machine"]?["pinned_cpu"] == .integer(3))
    let limits = try json.member("limits", in: "report").asArray("limits")
    #expect(limits.count == 2)
    let matrices = try json.member("matrices", in: "report").asArray("matrices")
    let levels = try matrices[0].member("levels", in: "matrix").asArray("levels")
    #expect(levels.count == 6)
    for level in levels {
      #expect(try level.member("median_ns", in: "level").asDouble("median_ns") > 0)
    }
    // Nothing was measured that an INT8 product of several rows could be compared with.
    #expect(levels[2]["share"] == .null)
    #expect(levels[0]["limit"] == .string("fp32 multiply-add"))
    let points = try json.member("model", in: "report").member("points", in: "model").asArray("points")
    #expect(points[0]["tokens"] == .integer(8))
    #expect(points[0]["levels"] != nil)
  }

  @Test func limitLoopsReturn() throws {
    let features = KernelFeatures(CPUFeatures.live(), maximum: .defaultMaximum)
    let cache = CodeCache<LimitCode>()
    let buffer = GuardedBuffer<UInt8>(count: 4096)
    for code in LimitCode.allCases {
      guard let generated = try code.generate(features) else { continue }
      #expect(generated.vectorByteCount == 32 || generated.vectorByteCount == 64)
      let installed = try cache.code(for: code) { () throws(AdaptQError) in (code.rawValue, generated.bytes) }
      // A read beyond the buffer would fault.
      unsafeBitCast(installed.address, to: LimitFunction.self)(UnsafeRawPointer(buffer.base), 4096)
    }
    withExtendedLifetime(cache) {}
  }

  @Test func bindingIsRefusedOutsideTheRange() {
    #expect(!Affinity.bind(to: -1))
    #expect(!Affinity.bind(to: 1 << 40))
    #expect(!Affinity.allowed().isEmpty)
  }
}
