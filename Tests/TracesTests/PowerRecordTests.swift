import Control
import Telemetry
import Testing

@testable import Traces

/// Energies of runs and the last poll of the sensors, from the file to the page.
@Suite struct PowerRecordTests {
  private static func sensors() -> SensorFacts {
    var facts = SensorFacts()
    facts.timeNanoseconds = 77
    facts.source = 3
    facts.fault = 3
    facts.milliwatts = 12_340
    facts.microjoules = 5_000_000
    facts.faults = 2
    facts.millidegrees = -1500
    facts.batteryPercent = 81
    facts.isOnBattery = true
    facts.isCapped = true
    return facts
  }

  private static func file(_ sensors: SensorFacts?) throws -> (TelemetryFile, TelemetrySection) {
    let file = try TelemetryFile(inMemory: TelemetryLayout(sessions: 1, records: 16, sites: 8))
    let section = try #require(file.claim(sites: TelemetryFixture.sites, rungs: 6))
    var facts = TelemetryFixture.facts(1)
    facts.nanojoules = 1_234_567
    facts.energySource = .process
    facts.powerUnreachable = true
    facts.recommendedIntervalNanoseconds = 75_000_000
    facts.waitedNanoseconds = 3_000_000
    facts.threads = 1
    TelemetryFixture.levels(1).withUnsafeBufferPointer { levels in
      if let base = levels.baseAddress { section.writer.append(facts, levels: base) }
    }
    if let sensors { file.record(sensors) }
    return (file, section)
  }

  @Test func areReadBack() throws {
    let (file, section) = try Self.file(Self.sensors())
    let snapshot = try TelemetrySnapshot(file.bytes)
    #expect(snapshot.sensors == Self.sensors())
    let facts = try #require(snapshot.sessions.first?.records.first?.facts)
    #expect(facts.nanojoules == 1_234_567 && facts.energySource == .process && facts.powerUnreachable)
    #expect(facts.recommendedIntervalNanoseconds == 75_000_000 && facts.waitedNanoseconds == 3_000_000)
    #expect(facts.threads == 1)
    let text = WatchPage(snapshot, .running, now: 100, width: 200, isStyled: false).lines(title: "file")
      .joined(separator: "\n")
    for part in [
      "power 12.3 W  machine, of its batteries  sensor frozen  2 faults", "on battery  81 %  frequency capped",
      "energy     1.23 mJ  measured, share of the process  1 thread  power cannot hold, every 75.0 ms could  waited 3.00 ms",
    ] { #expect(text.contains(part), "\(part) in\n\(text)") }
    withExtendedLifetime(section) {}
  }

  @Test func nothingIsShownWhereNobodyPolls() throws {
    let (file, section) = try Self.file(nil)
    #expect(try TelemetrySnapshot(file.bytes).sensors == nil)
    // What the host is just writing, and what cannot be, is left out.
    let (other, otherSection) = try Self.file(Self.sensors())
    for (offset, value) in [(136, UInt64(0)), (144, 1 << 63), (152, Double.nan.bitPattern), (176, 4), (176, 7 << 8)] {
      var bytes = Array(other.bytes)
      bytes.withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: offset, as: UInt64.self) }
      let sensors = try bytes.withUnsafeBytes { bytes in try TelemetrySnapshot(bytes).sensors }
      #expect(sensors == nil, "offset \(offset)")
    }
    withExtendedLifetime((section, otherSection)) {}
  }
}
