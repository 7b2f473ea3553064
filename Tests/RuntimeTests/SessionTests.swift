import Base
import Control
import Foundation
import Graph
import NestedFormat
import Runtime
import TestSupport
import Testing

/// What a session promises around its runs.
@Suite struct SessionTests {
  static let levels: [Level] = [.fp32, .fp16, .int8, .int6, .int4, .int2]

  private func session(_ levels: [Level] = SessionTests.levels, batch: Int = 3, steps: Int = 7) throws -> Session {
    let session = try Session(try Model(try SmallModel.builder()), levels)
    try session.prepare(maximumShapes: [[batch, steps], [batch, steps]])
    return session
  }

  private func inputs(_ batch: Int, _ steps: Int, lengths: [Int]? = nil, _ index: Int = 0) -> [Tensor] {
    var random = SeededRandom("SessionTests", index)
    let ids = (0..<(batch * steps)).map { _ in Int64.random(in: 0..<Int64(SmallModel.vocabulary), using: &random) }
    let lengths = lengths ?? [Int](repeating: steps, count: batch)
    let keep = lengths.flatMap { length in (0..<steps).map { Int64($0 < length ? 1 : 0) } }
    return [.integers([batch, steps], ids), .integers([batch, steps], keep)]
  }

  /// Padding must not matter: each row of a padded batch is what the row gives alone.
  @Test(arguments: levels) func batchEqualsSingleRuns(_ level: Level) throws {
    let session = try session()
    let lengths = [7, 3, 1]
    let both = inputs(3, 7, lengths: lengths)
    let batched = try session.run(symbols: [3, 7], both, level: level).outputs[0]
    for (row, length) in lengths.enumerated() {
      let ids = Array(both[0].integers[(row * 7)..<(row * 7 + length)])
      let one = [Tensor.integers([1, length], ids), .integers([1, length], [Int64](repeating: 1, count: length))]
      let single = try session.run(symbols: [1, length], one, level: level).outputs[0].floats
      for column in 0..<SmallModel.width {
        let difference = (single[column] - batched.floats[row * SmallModel.width + column]).magnitude
        #expect(difference < 2e-3, "\(level.name), row \(row), column \(column)")
        if !level.isNested { #expect(difference < 2e-6, "\(level.name), row \(row), column \(column)") }
      }
    }
  }

  @Test func masksOfOtherWidth() throws {
    // The same numbers whether a mask has 1 or another value that is not 0.
    let session = try session()
    var both = inputs(2, 5, lengths: [5, 2])
    let first = try session.run(symbols: [2, 5], both, level: .int8).outputs[0].floats
    both[1].integers = both[1].integers.map { $0 * -(1 << 40) }
    #expect(try session.run(symbols: [2, 5], both, level: .int8).outputs[0].floats == first)
  }

  @Test func symbolsOutOfRange() throws {
    let session = try session()
    let run = session.handle
    #expect(!run.setSymbol(0, 4) && !run.setSymbol(0, 0) && !run.setSymbol(1, -1) && !run.setSymbol(1, .max))
    #expect(run.setSymbol(0, 3) && run.setSymbol(1, 7))
    withExtendedLifetime(session) {}
  }

  @Test(arguments: [Int64(SmallModel.vocabulary), -1, .max, .min, 1 << 32]) func idsOutOfRange(_ id: Int64) throws {
    let session = try session()
    var both = inputs(2, 4)
    both[0].integers[5] = id
    let (outputs, report) = try session.run(symbols: [2, 4], both)
    #expect(report.outcome.kind == .indexOutOfRange && report.outcome.position == 5 && report.outcome.index == id)
    #expect(report.outcome.site == 0 && report.outcome.rows == SmallModel.vocabulary)
    #expect(outputs[0].floats.allSatisfy { $0 == 0 }, "the caller's buffer was written")
    // The session goes on.
    #expect(try session.run(symbols: [2, 4], inputs(2, 4)).report.outcome.kind == .done)
  }

  @Test func sameBitsAlways() throws {
    let session = try session()
    for level in SessionTests.levels {
      let first = try session.run(symbols: [2, 6], inputs(2, 6), level: level).outputs[0].floats
      _ = try session.run(symbols: [3, 7], inputs(3, 7, 1), level: .int2)
      let second = try session.run(symbols: [2, 6], inputs(2, 6), level: level).outputs[0].floats
      #expect(first.map(\.bitPattern) == second.map(\.bitPattern), "\(level.name)")
      #expect(first.allSatisfy { $0.isFinite })
    }
  }

  /// Sessions share the model's memory and nothing else.
  @Test func sessionsInParallel() throws {
    let model = try Model(try SmallModel.builder())
    let jobs = (0..<4).map { index in inputs(2, 5, index) }
    @Sendable func results(_ session: Session, _ job: Int) throws -> [[UInt32]] {
      try SessionTests.levels.flatMap { level in
        try (0..<20).map { _ in
          try session.run(symbols: [2, 5], jobs[job], level: level).outputs[0].floats.map(\.bitPattern)
        }
      }
    }
    var sessions: [Session] = []
    var expected: [[[UInt32]]] = []
    for job in jobs.indices {
      let session = try Session(model, SessionTests.levels)
      try session.prepare(maximumShapes: [[2, 5], [2, 5]])
      sessions.append(session)
      expected.append(try results(session, job))
    }
    let found = Results(count: jobs.count)
    let (running, expectedResults) = (sessions, expected)
    DispatchQueue.concurrentPerform(iterations: jobs.count) { job in
      found.set(job, (try? results(running[job], job)) == expectedResults[job])
    }
    #expect(found.all.allSatisfy { $0 })
  }

  private final class Results: @unchecked Sendable {
    private let lock = NSLock()
    private var values: [Bool]
    init(count: Int) { values = [Bool](repeating: false, count: count) }
    func set(_ index: Int, _ value: Bool) { lock.withLock { values[index] = value } }
    var all: [Bool] { lock.withLock { values } }
  }

  @Test func levelBetweenRuns() throws {
    let session = try session()
    var seen: [Level: [Float]] = [:]
    for level in SessionTests.levels + SessionTests.levels.reversed() {
      try session.setLevel(level)
      let (outputs, report) = try session.run(symbols: [1, 5], inputs(1, 5))
      #expect(report.level == level && report.isFixed && report.reason == .fixed)
      #expect(seen[level] == nil || seen[level] == outputs[0].floats, "\(level.name)")
      seen[level] = outputs[0].floats
    }
    #expect(Set(seen.values).count == SessionTests.levels.count, "two levels gave the same numbers")
    // A level of the call alone wins and does not stay.
    try session.setLevel(.int4)
    #expect(try session.run(symbols: [1, 5], inputs(1, 5), level: .int8).report.level == .int8)
    #expect(try session.run(symbols: [1, 5], inputs(1, 5)).report.level == .int4)
    try session.setLevel(nil)
    let report = try session.run(symbols: [1, 5], inputs(1, 5)).report
    #expect(report.level == .fp32 && !report.isFixed && report.reason != .fixed)
  }

  @Test func levelsNotAllowed() throws {
    let session = try session([.int8, .int4])
    #expect(session.levels == [.int8, .int4])
    #expect(throws: AdaptQError.self) { try session.setLevel(.fp32) }
    #expect(session.setAllowed { $0 == .int8 || $0 == .int2 } == .notInSession)
    #expect(session.setAllowed { _ in false } == .notInSession)
    #expect(session.setAllowed { $0 == .int4 } == .set)
    #expect(try session.run(symbols: [1, 2], inputs(1, 2)).report.level == .int4)
    #expect(session.setAllowed(nil) == .set)
    #expect(try session.run(symbols: [1, 2], inputs(1, 2)).report.level == .int8)
    let model = try Model(try SmallModel.builder(), keep: [])
    #expect(throws: AdaptQError.self) { try Session(model, [.fp32]) }
    #expect(throws: AdaptQError.self) { try Session(model, []) }
  }

  /// The budget's way through mailbox, controller and telemetry; whether choices are good is for Control's tests.
  @Test func budget() throws {
    let session = try session()
    _ = try session.run(symbols: [3, 7], inputs(3, 7))
    // Nothing can run in a nanosecond: every decision says so and every run misses.
    try session.setLatencyBudget(nanoseconds: 1, percentile: 95)
    for _ in 0..<20 {
      let report = try session.run(symbols: [3, 7], inputs(3, 7)).report
      #expect(report.budgetMissed && report.budgetUnreachable && report.budgetNanoseconds == 1)
    }
    // An hour is enough for the best level, at once.
    try session.setLatencyBudget(nanoseconds: 3_600_000_000_000, percentile: 99.9)
    let report = try session.run(symbols: [3, 7], inputs(3, 7)).report
    #expect(report.level == .fp32 && !report.budgetMissed && !report.budgetUnreachable)
    #expect(report.reason == .budgetChanged && report.budgetNanoseconds == 3_600_000_000_000)
    try session.setLatencyBudget(nanoseconds: nil, percentile: 0)
    let free = try session.run(symbols: [3, 7], inputs(3, 7)).report
    #expect(free.level == .fp32 && free.budgetNanoseconds == 0 && !free.budgetMissed)

    let inferences = session.lastInferences(100)
    let records = inferences.map(\.record)
    try #require(records.count == 23)
    for index in records.indices {
      #expect(records[index].sequence == UInt64(index) && records[index].latencyNanoseconds > 0)
      #expect(records[index].missed == (1...20).contains(index))
      let levels = try #require(session.siteLevels(sequence: UInt64(index + 1)))
      #expect(levels[1...].allSatisfy { $0 == inferences[index].level })
    }
    #expect(
      records[1].budgetNanoseconds == 1 && records[1].reason == .budgetChanged && records[0].budgetNanoseconds == 0)
    #expect(session.siteLevels(sequence: 0) == nil && session.siteLevels(sequence: 24) == nil)
  }

  @Test func budgetsOutOfRange() throws {
    let session = try session([.int8])
    for (nanoseconds, percentile) in [(0, 95.0), (-5, 95), (1 << 50, 95), (1000, 49.9), (1000, 99.95), (1000, .nan)] {
      #expect(throws: AdaptQError.self) {
        try session.setLatencyBudget(nanoseconds: nanoseconds, percentile: percentile)
      }
    }
  }

  @Test func telemetryWrapsAround() throws {
    let session = try session([.int8, .int4], batch: 1, steps: 1)
    let runs = Session.telemetryCapacity + 5
    for run in 0..<runs {
      _ = try session.run(symbols: [1, 1], inputs(1, 1), level: run % 2 == 0 ? .int8 : .int4)
    }
    #expect(session.siteLevels(sequence: 5) == nil)
    #expect(session.siteLevels(sequence: 6)?.last == .int4)
    #expect(session.siteLevels(sequence: UInt64(runs))?.last == .int8)
    #expect(session.lastInferences(10).map(\.record.sequence) == (runs - 10..<runs).map { UInt64($0) })
  }
}
