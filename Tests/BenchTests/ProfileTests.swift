import Base
import Hardware
import Kernels
import MachineCode
import NestedFormat
import TestSupport
import Testing

@testable import Bench

/// What is made of times, and how it is shown. No time is measured.
@Suite struct ProfileTests {
  static func traced(
    _ step: Int, _ nanoseconds: Int, _ operation: StaticString = "linear", site: Int = -1
  ) -> TracedStep {
    TracedStep(operation: operation, site: site, step: step, level: site < 0 ? 0 : 8, nanoseconds: nanoseconds)
  }

  static func summary(_ nanoseconds: Double) -> Summary {
    Summary([Sample(nanoseconds: nanoseconds)], callsPerSample: 1)
  }

  static let arithmetic = MachineLimit(name: "bytes", unit: "GOP/s", median: 200, best: 210)

  static func row(_ level: Level = .int8, untraced: Double = 1000) -> ProfileRow {
    ProfileRow(
      level: level, untraced: summary(untraced), traced: summary(untraced * 1.1), outside: 30,
      steps: [
        ProfileStep(step: 0, operation: "embedding", site: "table", shape: [100, 8], nanoseconds: 50, calls: 1),
        ProfileStep(
          step: 1, operation: "linear", site: "a", shape: [64, 64], nanoseconds: 400, calls: 1,
          work: ProfileWork(rows: 2, amount: 40_000, limit: arithmetic)),
        ProfileStep(step: 2, operation: "attention", nanoseconds: 100, calls: 3),
        ProfileStep(
          step: 3, operation: "linear", site: "b", shape: [64, 64], nanoseconds: 200, calls: 1,
          work: ProfileWork(rows: 2, amount: 20_000, limit: arithmetic)),
      ])
  }

  static func result(_ path: String = "m.adaptq") -> ProfileResult {
    ProfileResult(
      path: path, byteCount: 7, clockNanoseconds: 20,
      points: [
        ProfilePoint(length: 16, rows: [row(.fp32, untraced: 2000), row(), row(.int2, untraced: 700)]),
        ProfilePoint(length: 128, rows: [row(.fp32, untraced: 9e6), row(.int8, untraced: 3e6)]),
      ])
  }

  // MARK: Aggregation

  @Test func mediansLeaveTheClockOut() {
    var collector = StepTimes.Collector(clock: 20)
    for nanoseconds in [120, 320, 220] {
      collector.add(
        [Self.traced(4, nanoseconds, site: 3), Self.traced(7, 10, "copy")], whole: 1000, isDisturbed: false)
    }
    let steps = collector.steps
    #expect(steps.map(\.step) == [4, 7])
    #expect(steps.map(\.nanoseconds) == [200, 0])
    #expect(steps.map(\.calls) == [1, 1])
    #expect(steps.map(\.operation) == ["linear", "copy"])
    #expect(steps[0].site == 3 && steps[0].level == .int8)
    #expect(steps[1].site == nil && steps[1].level == nil)
    // 1000 less 220, 10 and two readings.
    #expect(collector.outsideNanoseconds == 730)
  }

  @Test func loopsAddUpWithinARun() {
    var collector = StepTimes.Collector(clock: 1)
    for turns in [2, 3, 4] {
      collector.add((0..<turns).map { _ in Self.traced(0, 11) }, whole: 1000, isDisturbed: false)
    }
    #expect(collector.steps.map(\.calls) == [3])
    #expect(collector.steps.map(\.nanoseconds) == [30])
  }

  @Test func disturbedRunsCountOnlyWithoutOthers() {
    var collector = StepTimes.Collector(clock: 0)
    for nanoseconds in [1, 2, 3] { collector.add([Self.traced(0, nanoseconds)], whole: 1000, isDisturbed: false) }
    for _ in 0..<9 { collector.add([Self.traced(0, 1000)], whole: 1000, isDisturbed: true) }
    #expect(collector.steps.map(\.nanoseconds) == [2])
    var busy = StepTimes.Collector(clock: 0)
    busy.add([Self.traced(0, 5)], whole: 1000, isDisturbed: true)
    #expect(busy.steps.map(\.nanoseconds) == [5])
  }

  @Test func partsAndRestMakeTheWhole() {
    let row = Self.row()
    #expect(row.parts.map(\.operation) == ["linear", "attention", "embedding"])
    #expect(row.parts.map(\.nanoseconds) == [600, 100, 50])
    #expect(row.parts.map(\.calls) == [2, 3, 1])
    #expect(row.rest == 250)
    #expect(row.parts.reduce(row.rest) { $0 + $1.nanoseconds } == row.untraced.median)
    #expect(row.parts[0].rate == 100 && row.parts[0].unit == "GOP/s" && row.parts[0].shareOfLimit == 0.5)
    #expect(row.parts[0].limit == "bytes" && row.parts[1].limit == nil)
    #expect(row.parts[1].rate == nil && row.parts[1].shareOfLimit == nil)
    #expect(row.steps[3].rate == 100 && row.steps[3].shareOfLimit == 0.5)
    // More parts than the whole: shown as it is.
    #expect(Self.row(untraced: 700).rest == -50)
  }

  @Test func limitsOfSitesDiffer() {
    var row = Self.row()
    row.steps[3].work?.limit = MachineLimit(name: "read", unit: "GB/s", median: 400, best: 400)
    // 200 ns and 50 ns of 600 ns.
    #expect(row.parts[0].shareOfLimit == 250.0 / 600)
    #expect(row.parts[0].rate == nil && row.parts[0].unit == nil)
    row.steps[3].work = nil
    #expect(row.parts[0].shareOfLimit == nil)
  }

  @Test func oneRowReadsFromWhereWeightsFit() throws {
    var limits = ReportTests.limits()
    limits.l2Read = MachineLimit(name: "L2", unit: "GB/s", median: 50, best: 50)
    limits.l3Read = MachineLimit(name: "L3", unit: "GB/s", median: 20, best: 20)
    var machine = ReportTests.machine
    #expect(limits.bound(rows: 1, .int8, byteCount: 48 << 10, machine)?.name == "L2")
    // Half of them may lie in L2: 1 / (0.5 / 50 + 0.5 / 20).
    let mixed = try #require(limits.bound(rows: 1, .int8, byteCount: 128 << 10, machine))
    #expect(mixed.name == "read from L2 and L3" && (mixed.median - 200.0 / 7).magnitude < 1e-9)
    #expect(limits.bound(rows: 1, .int8, byteCount: 49 << 10, machine)?.median == 50)
    machine.l3ByteCount = 4 << 20
    #expect(limits.bound(rows: 1, .int8, byteCount: 600 << 10, machine)?.name == "L3")
    machine.l3ByteCount = 256 << 10
    #expect(limits.bound(rows: 1, .fp32, byteCount: 200 << 10, machine)?.name == "read from memory")
    #expect(limits.bound(rows: 2, .fp32, byteCount: 200 << 10, machine)?.name == "fp32 multiply-add")
    #expect(limits.bound(rows: 2, .int4, byteCount: 1, machine) == nil)
  }

  // MARK: Tables, JSON

  @Test func tablesNameEverything() {
    let tables = Self.result().points[0].tables
    #expect(tables.count == 4)
    let int8 = tables[1]
    #expect(int8[0].hasPrefix("16 tokens, INT8"))
    #expect(int8.contains { $0.hasPrefix("linear") && $0.contains("60.0 %") && $0.contains("50 %") })
    #expect(int8.contains { $0.hasPrefix("rest") && $0.contains("25.0 %") })
    #expect(tables[3].contains { $0.hasPrefix("1 linear") && $0.contains(" a 64x64") })
    #expect(tables[3].contains { $0.hasPrefix("2 attention (3 calls)") })
    #expect(tables[3].count == 5)
  }

  @Test func jsonHasPartsAndSteps() throws {
    var report = BenchReport(
      options: BenchReport.Options(version: "9.9.9", rounds: 1), machine: ReportTests.machine,
      instructionSet: "portable",
      generatedKernels: [], portableKernels: [])
    #expect(try JSON.parse(report.json.text, "report")["profile"] == .null)
    report.profile = Self.result()
    let profile = try JSON.parse(report.json.text, "report").member("profile", in: "report")
    let points = try profile.member("points", in: "profile").asArray("points")
    #expect(points.count == 2)
    let level = try points[0].member("levels", in: "point").asArray("levels")[1]
    #expect(level["level"] == .string("INT8"))
    #expect(try level.member("rest_ns", in: "level").asDouble("rest_ns") == 250)
    let parts = try level.member("parts", in: "level").asArray("parts")
    #expect(parts[0]["operation"] == .string("linear") && parts[0]["calls"] == .integer(2))
    let steps = try level.member("steps", in: "level").asArray("steps")
    #expect(steps.count == 4)
    #expect(
      steps[1]["site"] == .string("a") && steps[1]["rows"] == .integer(2) && steps[1]["limit"] == .string("bytes"))
    #expect(steps[2]["site"] == .null && steps[2]["rate"] == .null)
  }

  @Test(arguments: [
    ("16,128", [16, 128]), ("1", [1]), ("256,8", [256, 8]), ("1048576", [1 << 20]), ("", nil), ("0", nil), ("8,", nil),
    ("8,8", nil), ("-1", nil), ("+8", nil), ("8 ", nil), ("1048577", nil), ("99999999999999999999", nil), ("a", nil),
  ])
  func lengths(_ text: String, _ expected: [Int]?) {
    #expect(ProfileLengths(parsing: text)?.values == expected, "\(text)")
  }
}
