import Base
import Control
import Foundation
import Telemetry
import Traces

/// Records whose numbers all follow from the sequence, so that a torn one shows.
enum TelemetryFixture {
  static let sites = [
    TelemetryFile.Site(name: "embedding", weights: 1000, isTable: true),
    TelemetryFile.Site(name: "layer.0", weights: 100, isTable: false),
    TelemetryFile.Site(name: "layer.1 ü", weights: 300, isTable: false),
  ]

  static func facts(_ sequence: UInt64) -> RunFacts {
    let number = Int64(sequence)
    var facts = RunFacts()
    facts.sequence = sequence
    facts.timeNanoseconds = number * 1000
    facts.latencyNanoseconds = number * 3
    facts.budgetNanoseconds = sequence % 5 == 0 ? 0 : number * 5
    facts.deadlineNanoseconds = number * 7
    facts.work = number * 11
    facts.rung = UInt16(truncatingIfNeeded: sequence)
    facts.level = [0, 2, 4, 6, 8, 16, 32][Int(sequence % 7)]
    facts.reason = DecisionReason.allCases[Int(sequence % UInt64(DecisionReason.allCases.count))]
    facts.budgetMissed = sequence % 2 == 0
    facts.levelChanged = sequence % 3 == 0
    facts.budgetUnreachable = sequence % 4 == 0
    facts.deadlineMissed = sequence % 5 == 0
    facts.isFixed = sequence % 6 == 0
    facts.percentileHundredths = UInt32(5000 + sequence % 4990)
    facts.droppedSites = UInt32(sequence % 3)
    facts.slowdown = 1 + Double(sequence % 100) / 7
    facts.multiplier = 1 + Double(sequence % 10) / 3
    facts.predictedNanoseconds = number * 13
    facts.movingPercentileNanoseconds = number * 17
    facts.runs = sequence
    facts.misses = sequence / 2
    facts.unavoidableMisses = sequence / 4
    facts.switches = sequence / 3
    facts.threads = UInt32(sequence % 5)
    return facts
  }

  static func levels(_ sequence: UInt64, _ count: Int = 3) -> [UInt8] {
    (0..<count).map { [8, 2, 4, 6, 16, 32][(Int(sequence % 6) + $0) % 6] }
  }

  static func record(_ sequence: UInt64, sites: Int = 3) -> RunRecord {
    RunRecord(facts: facts(sequence), siteLevels: levels(sequence, sites))
  }

  static func append(_ writer: TelemetryWriter, _ sequence: UInt64, sites: Int = 3) {
    levels(sequence, sites).withUnsafeBufferPointer { levels in
      if let base = levels.baseAddress { writer.append(facts(sequence), levels: base) }
    }
  }
}

/// A folder of its own, removed with the suite's instance, of which every test has one.
final class TemporaryFolder: Sendable {
  private let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("adaptq-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func path(_ name: String = "telemetry") -> String { folder.appendingPathComponent(name).path }
}
