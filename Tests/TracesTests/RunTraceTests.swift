import Base
import Control
import Telemetry
import TestSupport
import Testing
import Traces

@Suite struct RunTraceTests {
  private static func trace(_ count: Int = 50) -> RunTrace {
    RunTrace(
      sites: [
        TelemetryFile.Site(name: "a, \"b\"\nc", weights: 12, isTable: false),
        TelemetryFile.Site(name: "", weights: 0, isTable: false),
      ],
      records: (1...UInt64(count)).map { sequence in
        RunRecord(
          facts: TelemetryFixture.facts(sequence),
          siteLevels: TelemetryFixture.levels(sequence, 2) + [UInt8](repeating: 8, count: Int(sequence) % 9))
      })
  }

  @Test func jsonIsReadAgain() throws {
    let trace = Self.trace()
    #expect(try RunTrace(parsing: trace.json.text, name: "x") == trace)
    #expect(try RunTrace(parsing: " \n" + RunTrace(sites: [], records: []).json.text, name: "x").records.isEmpty)
  }

  /// CSV has no names of sites; everything else is the same.
  @Test func csvIsReadAgain() throws {
    let trace = Self.trace()
    #expect(try RunTrace(parsing: trace.csv, name: "x") == RunTrace(sites: [], records: trace.records))
    #expect(trace.csv.split(separator: "\n").count == 51)
    // As another program may write it.
    let other = trace.csv.replacing("\n", with: "\r\n")
    #expect(try RunTrace(parsing: other, name: "x").records == trace.records)
  }

  @Test func csvMayHaveOtherColumnsInAnotherOrder() throws {
    let trace = Self.trace(3)
    let lines = trace.csv.split(separator: "\n").enumerated().map { index, line in
      (["extra\(index)"] + line.split(separator: ",", omittingEmptySubsequences: false).reversed().map(String.init))
        .joined(separator: ",")
    }
    #expect(try RunTrace(parsing: lines.joined(separator: "\n"), name: "x").records == trace.records)
  }

  private static let newer = [
    "threads", "energy_nj", "energy_source", "power_unreachable", "recommended_interval_ns", "paced_ns",
    "quality_source",
  ]

  /// What power and quality had to say of runs, each kind of source once.
  private static func powered() -> RunTrace {
    RunTrace(
      sites: [],
      records: EnergySource.allCases.enumerated().map { index, source in
        var facts = TelemetryFixture.facts(UInt64(index + 1))
        facts.energySource = source
        facts.nanojoules = source == .none ? 0 : 1.5e6 / Double(index * 3)
        facts.powerUnreachable = index % 2 == 0
        facts.recommendedIntervalNanoseconds = Int64(index) * 1_000_000
        facts.waitedNanoseconds = Int64(index)
        facts.qualitySource = QualitySource.allCases[index % QualitySource.allCases.count]
        return RunRecord(facts: facts, siteLevels: [8])
      })
  }

  @Test func energyAndQualityAreReadAgain() throws {
    let trace = Self.powered()
    #expect(try RunTrace(parsing: trace.csv, name: "x").records == trace.records)
    #expect(try RunTrace(parsing: trace.json.text, name: "x").records == trace.records)
    let first = trace.csv.split(separator: "\n")[1].split(separator: ",", omittingEmptySubsequences: false)
    #expect(first[first.count - 7] == "" && first[first.count - 6] == "none")
  }

  /// Traces of older versions: what they do not have is unknown.
  @Test func newerColumnsMayBeMissing() throws {
    var expected = Self.powered().records
    for index in expected.indices {
      expected[index].facts.threads = 0
      expected[index].facts.energySource = .none
      expected[index].facts.nanojoules = 0
      expected[index].facts.powerUnreachable = false
      expected[index].facts.recommendedIntervalNanoseconds = 0
      expected[index].facts.waitedNanoseconds = 0
      expected[index].facts.qualitySource = .unknown
    }
    let lines = Self.powered().csv.split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false)
    }
    let kept = lines[0].indices.filter { !Self.newer.contains(String(lines[0][$0])) }
    #expect(kept.count == lines[0].count - Self.newer.count)
    let old = lines.map { line in kept.map { line[$0] }.joined(separator: ",") }.joined(separator: "\n")
    #expect(try RunTrace(parsing: old, name: "x").records == expected)
  }

  @Test(arguments: [
    ("energy_nj", "-1", "not between 0 and 1e18"), ("energy_nj", "nan", "not between 0 and 1e18"),
    ("energy_nj", "1e400", "not between 0 and 1e18"), ("energy_nj", "x", "energy_nj"),
    ("energy_source", "sun", "is no source of an energy"), ("energy_source", "", "is no source of an energy"),
    ("power_unreachable", "2", "power_unreachable"), ("recommended_interval_ns", "-1", "not between 0"),
    ("paced_ns", "1.5", "paced_ns"), ("quality_source", "best", "is no source of a quality"),
  ])
  func refusesWrongPowerAndQuality(_ column: String, _ value: String, _ message: String) throws {
    var lines = Self.powered().csv.split(separator: "\n").map {
      $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
    let position = try #require(lines[0].firstIndex(of: column))
    lines[2][position] = value
    let text = lines.map { $0.joined(separator: ",") }.joined(separator: "\n")
    let error = #expect(throws: AdaptQError.self) { try RunTrace(parsing: text, name: "x") }
    #expect(error?.message.contains(message) == true && error?.message.contains("line 3: \(column)") == true)
  }

  @Test func firstLineOfCSV() {
    #expect(
      RunTrace(sites: [], records: []).csv
        == "run,time_ns,latency_ns,budget_ns,deadline_ns,percentile,work,rung,level,reason,budget_missed,level_changed,"
        + "budget_unreachable,deadline_missed,fixed,dropped_sites,slowdown,multiplier,predicted_ns,moving_percentile_ns,"
        + "runs,misses,unavoidable_misses,switches,threads,energy_nj,energy_source,power_unreachable,recommended_interval_ns,"
        + "paced_ns,quality_source,site_levels\n")
  }

  @Test(
    arguments: [
      ("8*3 16", nil), ("", nil), ("8", nil), ("3", "3 is no level"), ("8*", "is no level and no level*count"),
      ("8*0", "is no level and"), ("8*-1", "is no level and"), ("8*2*2", "is no level and"), ("x", "is no level and"),
      ("8*4097", "4097 levels, above 4096"), ("8*4096 8", "4097 levels, above 4096"),
      ("8*9223372036854775807 8*9223372036854775807", "above 4096"), ("256", "256 is no level"),
    ] as [(String, String?)])
  func siteLevelsOfCSV(_ cell: String, _ error: String?) throws {
    let trace = RunTrace(sites: [], records: [RunRecord(facts: TelemetryFixture.facts(7))])
    let text = String(trace.csv.dropLast()) + cell + "\n"
    if let error {
      #expect { try RunTrace(parsing: text, name: "file") } throws: {
        "\($0)".contains("file, line 2: site_levels") && "\($0)".contains(error)
      }
    } else {
      #expect(try RunTrace(parsing: text, name: "file").records.count == 1)
    }
  }

  /// Each field wrong in turn, in both forms: the error names it.
  @Test func everyFieldIsChecked() throws {
    let trace = Self.trace(1)
    let names = trace.csv.split(separator: "\n")[0].split(separator: ",").map(String.init).dropLast()
    let cells = trace.csv.split(separator: "\n")[1].split(separator: ",", omittingEmptySubsequences: false).map(
      String.init)
    for (index, name) in names.enumerated() {
      for wrong in ["-1", "", "nonsense", "1e300", "nan", "9223372036854775807", "99999999999999999999"] {
        // An energy may be unknown.
        if name == "energy_nj" && wrong.isEmpty { continue }
        var changed = cells
        changed[index] = wrong
        let text = names.joined(separator: ",") + ",site_levels\n" + changed.joined(separator: ",")
        #expect(throws: AdaptQError.self, "\(name) \(wrong)") { try RunTrace(parsing: text, name: "x") }
        #expect { try RunTrace(parsing: text, name: "x") } throws: { "\($0)".contains("x, line 2: \(name)") }
      }
      let missing = trace.json.text.replacing("\"\(name)\":", with: "\"other\":", maxReplacements: 1)
      if Self.newer.contains(name) {
        #expect(try RunTrace(parsing: missing, name: "x").records.count == 1)
      } else {
        #expect { try RunTrace(parsing: missing, name: "x") } throws: { "\($0)".contains("\"\(name)\" is missing") }
      }
      if name == "energy_nj" { continue }
      let null = trace.json.text.replacing("\"\(name)\":", with: "\"\(name)\":null,\"other\":")
      #expect { try RunTrace(parsing: null, name: "x") } throws: { "\($0)".contains("record 0: \(name)") }
    }
  }

  @Test func cutOffAnywhereIsAnErrorOrShorter() throws {
    let (csv, json) = (Self.trace(3).csv, Self.trace(3).json.text)
    for count in 0..<json.utf8.count {
      #expect(throws: AdaptQError.self) { try RunTrace(parsing: String(json.utf8.prefix(count)) ?? "", name: "x") }
    }
    for count in 0..<csv.utf8.count {
      if let trace = try? RunTrace(parsing: String(csv.utf8.prefix(count)) ?? "", name: "x") {
        #expect(trace.records.count <= 3)
      }
    }
  }

  @Test func changedBytesNeverTrap() throws {
    var random = SeededRandom("changedBytesNeverTrap")
    for text in [Self.trace(4).csv, Self.trace(4).json.text] {
      for _ in 0..<3000 {
        var bytes = Array(text.utf8)
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 9...126, using: &random)
        }
        _ = try? RunTrace(parsing: String(decoding: bytes, as: UTF8.self), name: "x")
      }
    }
  }

  @Test func tablesAreLeftOut() throws {
    let file = try TelemetryFile(inMemory: TelemetryLayout(sessions: 1, records: 16, sites: 8))
    let section = try #require(file.claim(sites: TelemetryFixture.sites, rungs: 1))
    TelemetryFixture.append(section.writer, 1)
    let trace = RunTrace(try #require(try TelemetrySnapshot(file.bytes).sessions.first))
    #expect(trace.sites == Array(TelemetryFixture.sites.dropFirst()))
    #expect(trace.records.map(\.siteLevels) == [Array(TelemetryFixture.levels(1).dropFirst())])
  }
}
