import NestedFormat
import Testing

@testable import Bench

@Suite struct RooflinePictureTests {
  private static func report() -> BenchReport {
    var report = BenchReport(
      options: .init(version: "1"), machine: ReportTests.machine, instructionSet: "avx2", generatedKernels: [],
      portableKernels: [])
    report.limits.memoryRead = MachineLimit(name: "read from memory", unit: "GB/s", median: 20, best: 22)
    report.limits.l2Read = MachineLimit(name: "read from L2", unit: "GB/s", median: 90, best: 95)
    report.limits.fp32 = MachineLimit(name: "fp32 multiply-add", unit: "GFLOP/s", median: 100, best: 101)
    report.limits.bytes = MachineLimit(name: "vpdpbusd", unit: "GOP/s", median: 400, best: 410)
    for (rows, fromMemory) in [(1, true), (1, false), (16, false), (128, false)] {
      let matrix = MatrixCase(n: 4096, k: 4096, rows: rows, fromMemory: fromMemory)
      let values = [Level.fp32, .int4].map { level in
        let bytes = 4096 * 4096 * level.bits / 8
        let operations = 2 * 4096 * 4096 * rows
        let nanoseconds = max(Double(bytes) / 18, Double(operations) / 90)
        return MatrixRow(
          level: level, summary: Summary([Sample(nanoseconds: nanoseconds)], callsPerSample: 1), byteCount: bytes,
          operations: operations, ratioToFP32: 1, limit: report.limits.memoryRead, share: 0.9, checksum: 0)
      }
      report.matrices.append(MatrixResult(matrix: matrix, copies: [1], copiesReduced: false, rows: values))
    }
    return report
  }

  /// Well-formed, one panel per level, one mark per product, all marks inside the picture.
  @Test func drawsEveryProduct() throws {
    let elements = try #require(ProfilePictureTests.read(RooflinePicture(Self.report()).svg))
    let texts = elements.filter { $0.name == "text" }.map(\.text)
    #expect(texts.contains("FP32") && texts.contains("INT4") && !texts.contains("INT8"))
    #expect(texts.contains { $0.contains("fp32 multiply-add") } && texts.contains { $0.contains("vpdpbusd") })
    #expect(texts.contains("read from memory: 20 GB/s") && !texts.contains { $0.contains("L3") })
    // Three from caches and one from memory, at two levels; the other rectangle is the background.
    #expect(elements.filter { $0.name == "circle" }.count == 6)
    #expect(elements.filter { $0.name == "rect" }.count == 3)
    for element in elements where element.name == "circle" {
      let x = try #require(element.attributes["cx"].flatMap(Double.init))
      #expect(x >= 0 && x <= Double(RooflinePicture.width))
    }
  }

  @Test func emptyReportIsAPicture() throws {
    let report = BenchReport(
      options: .init(version: "<1>"), machine: ReportTests.machine, instructionSet: "none", generatedKernels: [],
      portableKernels: [])
    #expect(ProfilePictureTests.read(report.picture) != nil)
  }

  @Test func axesHoldAllValues() {
    for values in [[0.5, 2, 900], [1, 1], [], [.nan, 3, .infinity, -1], [1e-30, 1e30]] as [[Double]] {
      let axis = LogAxis(values)
      #expect(axis.low < axis.high && axis.ticks.count >= 2 && axis.ticks.count < 70)
      for value in values where value.isFinite && value > 1e-9 && value < 1e9 {
        #expect(axis.low <= value * 1.0001 && value <= axis.high * 1.0001)
      }
      #expect(axis.position(-1) == 0 && axis.position(.nan) == 0 && axis.position(.infinity) == 1)
    }
  }
}
