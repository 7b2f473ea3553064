import Base
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

  @Test func firstLineOfCSV() {
    #expect(
      RunTrace(sites: [], records: []).csv
        == "run,time_ns,latency_ns,budget_ns,deadline_ns,percentile,work,rung,level,reason,budget_missed,level_changed,"
        + "budget_unreachable,deadline_missed,fixed,dropped_sites,slowdown,multiplier,predicted_ns,moving_percentile_ns,"
        + "runs,misses,unavoidable_misses,switches,threads,site_levels\n")
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
        var changed = cells
        changed[index] = wrong
        let text = names.joined(separator: ",") + ",site_levels\n" + changed.joined(separator: ",")
        #expect(throws: AdaptQError.self, "\(name) \(wrong)") { try RunTrace(parsing: text, name: "x") }
        #expect { try RunTrace(parsing: text, name: "x") } throws: { "\($0)".contains("x, line 2: \(name)") }
      }
      let missing = trace.json.text.replacing("\"\(name)\":", with: "\"other\":", maxReplacements: 1)
      #expect { try RunTrace(parsing: missing, name: "x") } throws: { "\($0)".contains("\"\(name)\" is missing") }
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
