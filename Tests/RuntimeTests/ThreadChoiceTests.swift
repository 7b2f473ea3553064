import Base
import Control
import Glibc
import Graph
import NestedFormat
import TestSupport
import Testing

@testable import Runtime

/// The number of threads as a choice of budgets of power.
@Suite(.serialized) struct ThreadChoiceTests {
  private static func threads(_ count: Int) -> Threads {
    var options = ThreadOptions(count: count)
    options.laneCost = 1
    return Threads(options, recommended: { 1 })
  }

  private static func session(
    _ count: Int = 2, choosesThreads: Bool = true, measureNanoseconds: Int? = nil
  ) throws -> Session {
    var random = SeededRandom("ThreadChoiceTests")
    let session = try Session(
      model: try PlanCostTests.model(&random), allowed: Level.allCases, kernels: .portable, kernelOwner: nil,
      threads: threads(count), measureNanoseconds: measureNanoseconds, choosesThreads: choosesThreads)
    try session.prepare(maximumShapes: [[40, 70]])
    return session
  }

  private static let rows = 40
  private static func run(
    _ session: Session, level: Level? = nil, maximumThreads: Int = 0, deadline: Int = 0
  ) throws -> (bits: [UInt32], report: RunReport) {
    var random = SeededRandom("ThreadChoiceTests.run")
    let input = Tensor.floats([rows, 70], (0..<rows * 70).map { _ in random.normal() })
    let (outputs, report) = try session.run(
      symbols: [rows], [input], level: level, maximumThreads: maximumThreads, deadline: deadline)
    return (outputs.flatMap { $0.floats.map(\.bitPattern) }, report)
  }

  /// Makes the measured times what a test wants, so that no machine and no load matters: with fewer threads so many times what all
  /// take.
  private static func fake(_ session: Session, _ factors: [Double]) throws {
    let table = try #require(session.state.pointee.power.governor.threads)
    for row in 1..<table.rowCount {
      for rung in session.ladder.indices {
        let time = table.nanoseconds(row: 0, rung: rung, work: rows) * factors[row]
        let curve = try CostCurve(points: [CostPoint(work: rows, nanoseconds: Int(time))])
        table.setTime(row: row, rung: rung, curve: curve)
      }
    }
  }

  private static func terms(_ set: (inout PowerTerms) -> Void = { _ in }) -> PowerTerms {
    var terms = PowerTerms()
    terms.threadMilliwatts = 1000
    terms.maximumMillijoules = 1e9
    set(&terms)
    return terms
  }

  private static func time(_ session: Session, row: Int, rung: Int = 0) throws -> Double {
    let table = try #require(session.state.pointee.power.governor.threads)
    return table.nanoseconds(row: row, rung: rung, work: rows)
  }

  /// One thread takes 1.5 times as long as two, and three quarters of the energy.
  @Test func oneThreadTakesLessEnergy() throws {
    let session = try Self.session()
    #expect(session.preparation.threadCounts == 2 && session.preparation.threads == 2)
    try Self.fake(session, [1, 1.5])
    let (expected, plain) = try Self.run(session)
    // Without a budget of power all.
    #expect(plain.threads == 2 && plain.reason == .noBudget && plain.power.nanojoules == 0)
    #expect(session.setPowerTerms(Self.terms()) == .set)
    var (bits, report) = try Self.run(session)
    #expect(report.threads == 1 && report.reason == .power && report.rung == 0 && bits == expected)
    #expect(abs(report.power.nanojoules / (try Self.time(session, row: 1)) - 1) < 0.01)
    // Another thread's power makes the difference: without it fewer save nothing.
    #expect(
      session.setPowerTerms(
        Self.terms {
          $0.threadMilliwatts = 0
          $0.activeMilliwatts = 1000
        }) == .set)
    (bits, report) = try Self.run(session)
    #expect(report.threads == 2 && report.reason != .power && bits == expected)
    #expect(abs(report.power.nanojoules / (try Self.time(session, row: 0)) - 1) < 0.01)
    #expect(session.setPowerTerms(PowerTerms()) == .set)
    #expect(try Self.run(session).report.threads == 2)
    // A level that is fixed stays, and has its threads chosen.
    #expect(session.setPowerTerms(Self.terms()) == .set)
    report = try Self.run(session, level: .int4).report
    #expect(report.threads == 1 && report.level == .int4 && report.reason == .fixed)
    #expect(session.lastInferences(5).map(\.record.threads) == [2, 1, 2, 2, 1])
  }

  @Test func latencyAsksForAll() throws {
    let session = try Self.session()
    let expected = try Self.run(session).bits
    // 1.15 is the first guess from the typical time to the percentile.
    for (share, threads) in [(1.2, 2), (1.7, 2), (1.8, 1), (100, 1)] {
      try session.prepare(maximumShapes: [[40, 70]])
      try Self.fake(session, [1, 1.5])
      let budget = Int(try Self.time(session, row: 0) * share)
      try session.setLatencyBudget(nanoseconds: budget, percentile: 95)
      #expect(session.setPowerTerms(Self.terms()) == .set)
      let (bits, report) = try Self.run(session)
      #expect(report.threads == threads && report.rung == 0 && bits == expected, "\(share)")
      #expect((report.reason == .power) == (threads == 1), "\(share)")
    }
  }

  /// What an energy allows is better with one thread than with two.
  @Test func fewerThreadsForABetterPlan() throws {
    let session = try Self.session()
    let plain = try Self.session(choosesThreads: false)
    #expect(plain.preparation.threadCounts == 1)
    for rung in session.ladder.indices {
      let least = session.millijoules(rung: rung, Self.terms())
      let energies = try [
        2 * Self.time(session, row: 0, rung: rung), Self.time(session, row: 1, rung: rung),
      ]
      #expect(abs(least * 1e6 - min(energies[0], energies[1])) < 2)
      #expect(session.setPowerTerms(Self.terms { $0.maximumMillijoules = least }) == .set)
      let report = try Self.run(session).report
      #expect(report.rung <= rung && !report.power.isUnreachable)
      #expect(report.power.nanojoules <= (least * 1e6).rounded(.up))
    }
    #expect(plain.setPowerTerms(Self.terms()) == .set)
    #expect(try Self.run(plain).report.threads == 2)
    // Below what any number of threads takes.
    let all = session.ladder.indices.map { session.millijoules(rung: $0, Self.terms()) }
    let least = all.min() ?? 0
    #expect(
      session.setPowerTerms(Self.terms { $0.maximumMillijoules = least / 2 }) == .energyUnreachable(nearest: least))
    // A latency that no number of threads holds leaves all of them.
    try session.setLatencyBudget(nanoseconds: 1, percentile: 95)
    let both = try 2 * Self.time(session, row: 0)
    #expect(abs(session.millijoules(rung: 0, Self.terms()) * 1e6 - both) < 2)
  }

  /// A call that may have fewer threads chooses among those; so does one with a deadline among none.
  @Test func limitsOfACall() throws {
    let session = try Self.session(4)
    #expect(session.preparation.threadCounts == 3)
    try Self.fake(session, [1, 1.5, 4])
    #expect(session.setPowerTerms(Self.terms()) == .set)
    // 4, 3 and 4 times the time of all.
    for (most, threads) in [(0, 2), (4, 2), (3, 2), (2, 2), (1, 1), (1024, 2)] {
      let report = try Self.run(session, maximumThreads: most).report
      #expect(report.threads == threads, "\(most)")
      #expect((report.reason == .power) == (most == 0 || most >= 4), "\(most)")
      let energy = try Double(threads) * Self.time(session, row: threads == 1 ? 2 : 1)
      #expect(abs(report.power.nanojoules / energy - 1) < 0.01, "\(most)")
    }
    let report = try Self.run(session, deadline: 1 << 40).report
    #expect(report.threads == 4 && report.reason != .power)
    // Without a budget of power any number.
    #expect(session.setPowerTerms(PowerTerms()) == .set)
    for most in 1...4 { #expect(try Self.run(session, maximumThreads: most).report.threads == most) }
  }

  /// Runs with one thread are compared with what one thread was measured to take.
  @Test func oneSlowdown() throws {
    let session = try Self.session()
    try Self.fake(session, [1, 40])
    #expect(session.setPowerTerms(Self.terms { $0.prefersLeastEnergy = true }) == .set)
    try session.setLatencyBudget(nanoseconds: 1 << 45, percentile: 95)
    for rung in session.ladder.indices {
      // One thread costs next to nothing.
      let table = try #require(session.state.pointee.power.governor.threads)
      _ = try Self.run(session)
      table.setEnergy(row: 1, rung: rung, curve: try CostCurve(points: [CostPoint(work: 1, nanoseconds: 1)]))
    }
    for _ in 0..<40 { #expect(try Self.run(session).report.threads == 1) }
    #expect(session.state.pointee.controller.slowdown < 0.2)
  }

  @Test func withoutTimeToMeasure() throws {
    let session = try Self.session(measureNanoseconds: 1)
    #expect(session.preparation.threadCounts == 1 && session.preparation.measurementRuns == session.levels.count)
    #expect(session.setPowerTerms(Self.terms()) == .set)
    #expect(try Self.run(session).report.threads == 2)
    #expect(try Self.session(1).preparation.threadCounts == 1)
  }

  /// Exported costs are those with all threads; who imports them has no choice.
  @Test func importedCosts() throws {
    let session = try Self.session()
    let exported = try session.exportedCosts()
    var bytes = [UInt8](repeating: 0, count: exported.byteCount)
    bytes.withUnsafeMutableBytes { if let base = $0.baseAddress { exported.write(to: base) } }
    try bytes.withUnsafeBytes { bytes in try session.importCosts(bytes) }
    try session.prepare(maximumShapes: [[40, 70]])
    #expect(session.preparation.costsAreImported && session.preparation.threadCounts == 1)
    #expect(session.setPowerTerms(Self.terms()) == .set)
    #expect(try Self.run(session).report.threads == 2)
    // Other sizes are measured, with a choice.
    try session.prepare(maximumShapes: [[20, 70]])
    #expect(!session.preparation.costsAreImported && session.preparation.threadCounts == 2)
  }
}
