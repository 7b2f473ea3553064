import Telemetry
import Testing

@testable import Traces

@Suite struct WatchPageTests {
  /// A host that went from FP32 to INT8 at run 30 and misses every tenth run.
  private static func snapshot(runs: UInt64 = 40, budget: Int64 = 20_000_000) throws -> TelemetrySnapshot {
    let file = try TelemetryFile(inMemory: TelemetryLayout(sessions: 2, records: 64, sites: 8))
    let section = try #require(file.claim(sites: TelemetryFixture.sites, rungs: 6))
    for sequence in stride(from: UInt64(1), through: runs, by: 1) {
      var facts = RunFacts()
      facts.sequence = sequence
      facts.timeNanoseconds = Int64(sequence) * 50_000_000
      facts.latencyNanoseconds = sequence % 10 == 0 ? 25_000_000 : 12_000_000
      facts.budgetNanoseconds = budget
      facts.percentileHundredths = 9500
      facts.budgetMissed = budget > 0 && sequence % 10 == 0
      facts.level = sequence < 30 ? 32 : 8
      facts.rung = sequence < 30 ? 0 : 2
      facts.levelChanged = sequence == 1 || sequence == 30
      facts.reason = sequence < 30 ? .initial : .predictedMiss
      facts.slowdown = 1.25
      facts.multiplier = 1.1
      facts.movingPercentileNanoseconds = 13_000_000
      facts.predictedNanoseconds = 14_000_000
      (facts.meanCosine, facts.qualitySource) = (0.9975, .shadowed)
      (facts.p5Cosine, facts.p5Source) = (0.9, .calibrated)
      facts.rungsBelowFloor = 0b101000
      facts.runs = sequence
      facts.misses = sequence / 10
      facts.switches = 1
      let levels: [UInt8] = sequence < 30 ? [8, 32, 32] : [8, 8, 16]
      levels.withUnsafeBufferPointer { levels in
        if let base = levels.baseAddress { section.writer.append(facts, levels: base) }
      }
    }
    return try withExtendedLifetime(section) { try TelemetrySnapshot(file.bytes) }
  }

  private static func page(_ snapshot: TelemetrySnapshot, width: Int = 100, isStyled: Bool = false) -> [String] {
    WatchPage(snapshot, .running, now: 2_100_000_000, width: width, isStyled: isStyled).lines(title: "file")
  }

  @Test func saysWhatTheHostDoes() throws {
    let text = Self.page(try Self.snapshot()).joined(separator: "\n")
    for part in [
      "running", "session 1  run 40, 20/s  INT8 (rung 3 of 6, predicted miss)  100 ms ago",
      "latency    25.0 ms  p95 13.0 ms of budget 20.0 ms  holds", "predicted 14.0 ms",
      "slow-down  1.25 x", "misses 4 of 40 (10.0 %)", "switches 1", "FP16 75.0 %  INT8 25.0 %", "sites      8H\n",
      "quality    cosine 0.997500 (shadowed)  5th perc. 0.900000 (calibrated)  2 plans below the floor",
      "run 30  FP32 to INT8  predicted miss  600 ms ago",
    ] { #expect(text.contains(part), "\(part) in\n\(text)") }
  }

  @Test func hostThatIsGone() throws {
    for (host, text) in [(TelemetryReader.Host.gone, "is gone"), (.closed, "has closed the file")] {
      let page = WatchPage(try Self.snapshot(), host, now: 0, width: 80, isStyled: false)
      #expect(page.lines(title: "file")[0].contains(text) && page.plainLines[0].contains("host \(text)"))
      #expect(!page.lines(title: "file").contains { $0.contains(" ago") })
    }
  }

  /// No line is wider than the terminal, whatever that is; colours take no room.
  @Test(arguments: [0, 40, 41, 57, 80, 132, 400, 5000]) func keepsToTheWidth(_ width: Int) throws {
    let plain = Self.page(try Self.snapshot(), width: width)
    #expect(plain.allSatisfy { $0.count <= min(max(width, 40), 400) })
    let styled = Self.page(try Self.snapshot(), width: width, isStyled: true)
    let stripped = styled.map { $0.replacing(/\u{1B}\[[0-9]*m/, with: "") }
    #expect(stripped == plain && styled != plain)
  }

  @Test func withoutRunsAndWithoutBudget() throws {
    #expect(Self.page(try Self.snapshot(runs: 0)).contains("session 1  no run yet"))
    let text = Self.page(try Self.snapshot(budget: 0)).joined(separator: "\n")
    #expect(text.contains("no budget") && !text.contains("holds") && !text.contains("─"))
    let page = WatchPage(try Self.snapshot(runs: 0), .running, now: 0, width: 80, isStyled: false)
    #expect(page.plainLines == ["no run yet, host running"])
  }

  @Test func plainLine() throws {
    let page = WatchPage(try Self.snapshot(), .running, now: 0, width: 80, isStyled: false)
    #expect(
      page.plainLines == [
        "session 1, run 40, INT8, predicted miss, latency 25.0 ms, p95 13.0 ms, budget 20.0 ms, slow-down 1.25, "
          + "misses 4 of 40, cosine 0.997500 shadowed, switches 1, host running"
      ])
  }

  /// Heights are shares of the top; the line stands where the budget is.
  @Test func barsHaveTheirHeights() {
    let values = [0.0, 25, 50, 100, 400].map { (value: $0, isBad: $0 > 60) }
    let (lines, top) = BarChart.lines(values, width: 8, rows: 4, line: 50)
    let texts = lines.map { $0.text(width: 100, isStyled: false) }
    #expect(top == 100)
    #expect(texts == ["   ██", "   ██", "──███───", " ████"])
    // More values than bars: the highest of a group counts.
    let many = (0..<64).map { (value: Double($0 % 8 == 3 ? 8 : 1), isBad: false) }
    let one = BarChart.lines(many, width: 8, rows: 1, line: 0).lines[0].text(width: 100, isStyled: false)
    #expect(one == "████████")
  }

  @Test func durations() {
    for (value, text) in [
      (0, "0 ns"), (999, "999 ns"), (1000, "1.00 us"), (9_994, "9.99 us"), (9_996, "10.0 us"), (99_960, "100 us"),
      (999_600, "1.00 ms"), (15_340_000, "15.3 ms"), (1_200_000_000, "1.20 s"), (73_100_000_000, "73.1 s"),
    ] as [(Int64, String)] { #expect(duration(value) == text) }
  }
}
