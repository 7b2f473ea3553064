import Base
import Control
import Graph
import NestedFormat
import TestSupport
import Testing

@testable import Runtime

/// What a session's plans are said to take, and what a budget of power makes of it.
@Suite struct SessionPowerTests {
  /// Multiply-adds and bytes against sums written out by hand.
  @Test func efforts() throws {
    var random = SeededRandom("efforts")
    let model = try PlanCostTests.model(&random)
    let session = try Session(model)
    try session.prepare(maximumShapes: [[12, 70]])
    let costs = try #require(session.planCosts)
    for (size, rows) in costs.works.enumerated() {
      for rung in session.ladder {
        let effort = costs.effort(rung.levels, size: size)
        let weights = Double(5 * 20 * 70 + 9 * 20)
        #expect(effort.work == rows && effort.multiplyAdds == weights * Double(rows))
        let level = try #require(rung.uniformLevel)
        let perWeight = [Level.fp32: 4, .fp16: 2, .int8: 1.0625, .int6: 0.8125, .int4: 0.5625, .int2: 0.3125][level]
        #expect(effort.bytes == weights * (perWeight ?? 0))
        #expect(abs(Double(effort.nanoseconds) - costs.nanoseconds(rung.levels, size: size)) <= 1)
      }
    }
  }

  @Test func runsFollowTheBudget() throws {
    var random = SeededRandom("runsFollowTheBudget")
    let session = try Session(try PlanCostTests.model(&random))
    func run(_ level: Level? = nil) throws -> RunReport {
      try session.run(symbols: [3], [.floats([3, 70], (0..<210).map { _ in random.normal() })], level: level).report
    }
    var terms = PowerTerms()
    terms.picojoulesPerByte = 1e6
    terms.maximumMillijoules = 1e-9
    // Nothing is known before the first preparation.
    #expect(session.setPowerTerms(terms) == .set)
    try session.prepare(maximumShapes: [[12, 70]])
    var report = try run()
    #expect(report.rung == 5 && report.power.isUnreachable && report.reason == .power)
    #expect(report.power.source == .modelled && abs(report.power.nanojoules - 7180 * 0.3125 * 1e3) < 2)
    guard case .energyUnreachable(let nearest) = session.setPowerTerms(terms) else {
      Issue.record("an energy that nothing holds was taken")
      return
    }
    #expect(nearest == session.millijoules(rung: 5, terms))
    for rung in 0..<6 {
      terms.maximumMillijoules = session.millijoules(rung: rung, terms)
      #expect(session.setPowerTerms(terms) == .set && session.powerTerms == terms)
      report = try run()
      #expect(report.rung == rung && !report.power.isUnreachable)
    }
    // Preparing again keeps the budget.
    try session.prepare(maximumShapes: [[4, 70]])
    #expect(try run().rung == 5)
    report = try run(.fp32)
    #expect(report.rung == 0 && report.power.isUnreachable && report.power.nanojoules > 0)
    #expect(session.setPowerTerms(PowerTerms()) == .set)
    report = try run()
    #expect(report.rung == 0 && report.power.source == .none && report.power.nanojoules == 0)
    let kept = session.lastInferences(2).map(\.record)
    #expect(kept[0].powerUnreachable && kept[0].energySource == .modelled && kept[1].energySource == .none)
  }
}
