import Base
import TestSupport
import Testing

@testable import Control

/// Attempts to go up, descents that went too far, and single runs: what they change besides the rung.
@Suite struct AttemptTests {
  /// Milliseconds of 33 plans of eight matrices from memory, one after the other at a lower level.
  private static let costs: [Double] = {
    let levels = [6.4e6, 3.4e6, 2.5e6, 1.65e6, 0.9e6]
    return (0...32).map { plan in
      let level = min(plan / 8, 3)
      return levels[level] + (levels[level + 1] - levels[level]) * (Double(plan) / 8 - Double(level))
    }
  }()
  private static let budget = 8_320_000

  private func controller() throws -> LatencyController {
    var result = try LatencyController(.init(rungCount: Self.costs.count, budgetNanoseconds: Self.budget))
    for (rung, cost) in Self.costs.enumerated() {
      try result.setCost(rung: rung, points: [.init(work: 1, nanoseconds: Int(cost))])
    }
    return result
  }

  /// Nearly every call waits, and such a call does not teach what a rung takes: an attempt that misses goes back where it came from, and
  /// what was hoped of the rung does not stay.
  @Test func failedAttemptsGoBack() throws {
    var (failed, hoped) = (0, 0)
    for seed in 0..<20 {
      var random = SeededRandom("failed attempts", seed)
      var controller = try controller()
      var (last, before, sinceAscent, clean) = (-1, -1, Int.max, 0)
      for run in 0..<1500 {
        let decision = controller.decide(work: 1)
        let rung = decision.rung
        let isProbe = decision.reason == .probe
        if last >= 0 && rung < last && decision.reason == .headroom {
          (before, sinceAscent, clean) = (last, 0, 0)
          if controller.ascendedByHope { hoped += 1 }
        }
        if last >= 0 && rung > last && sinceAscent < 8 {
          failed += 1
          // Lower only where a jump of the load was believed meanwhile.
          #expect(rung <= before + 3, "seed \(seed), run \(run): from \(before) to \(last) to \(rung)")
          if clean == 0 && controller.ascendedByHope {
            #expect(controller.ratios[last] >= 0.9, "seed \(seed), run \(run): \(controller.ratios[last])")
          }
          sinceAscent = Int.max
        }
        let isClean = run < 200 || Double.random(in: 0..<1, using: &random) < 0.1
        if isClean { clean += 1 }
        let waits = isClean ? 0 : Double.random(in: 3.9e6...4e6, using: &random)
        let time = Self.costs[rung] * Double.random(in: 0.99...1.01, using: &random) + waits
        controller.observe(rung: rung, work: 1, latencyNanoseconds: Int(time), wasInterrupted: !isClean)
        if !isProbe { last = rung }
        if sinceAscent < Int.max { sinceAscent += 1 }
      }
    }
    #expect(failed >= 20 && hoped >= 20, "\(failed) \(hoped)")
  }

  /// Two runs take four times as long, the rest a third longer: the first of them say how far to go down, those behind show that it was
  /// too far, and no dwell passes before that is taken back.
  @Test func aDescentThatWentTooFarIsTakenBack() throws {
    for seed in 0..<20 {
      var random = SeededRandom("too far", seed)
      var controller = try controller()
      var rungs: [Int] = []
      for run in 0..<330 {
        let rung = controller.decide(work: 1).rung
        rungs.append(rung)
        let load = run < 300 ? 1 : run < 302 ? 4 : 1.35
        let time = Self.costs[rung] * load * Double.random(in: 0.99...1.01, using: &random)
        controller.observe(rung: rung, work: 1, latencyNanoseconds: Int(time), wasInterrupted: false)
      }
      #expect(rungs[299] == 0, "seed \(seed)")
      #expect(rungs[300...].max() ?? 0 > 12, "seed \(seed): not as far as it was made to go")
      // The best that holds is plan 1 or 2.
      #expect(rungs[325...].allSatisfy { (1...6).contains($0) }, "seed \(seed): \(rungs[300...])")
    }
  }

  /// A single run elsewhere leaves the rung in use as well known as it was, and teaches what the other one takes.
  @Test func probesUnsettleNothing() throws {
    var probes = 0
    for seed in 0..<20 {
      var random = SeededRandom("probes", seed)
      var controller = try controller()
      // Plan 2 and better are slower than measured, by more than holds; a load drives the controller down once.
      for run in 0..<1500 {
        let decision = controller.decide(work: 1)
        let load = run % 500 > 100 && run % 500 < 120 ? 1.6 : 1
        let slower = decision.rung < 3 ? 1.25 : 1
        let time = Self.costs[decision.rung] * load * slower * Double.random(in: 0.97...1.03, using: &random)
        let (entered, settled) = (controller.runsSinceEntry, controller.enteredRung)
        let variance = controller.ratioVariances[decision.rung]
        controller.observe(rung: decision.rung, work: 1, latencyNanoseconds: Int(time), wasInterrupted: false)
        if decision.reason != .probe { continue }
        probes += 1
        #expect(controller.runsSinceEntry == entered && controller.enteredRung == settled, "seed \(seed)")
        // Unless it is known to two per cent, it is known better now.
        let known = controller.ratioVariances[decision.rung]
        #expect(variance <= 0.000_4 ? known <= 0.000_4 : known < variance, "seed \(seed)")
        let back = controller.decide(work: 1)
        if back.rung != settled || back.reason == .probe { continue }
        controller.observe(
          rung: back.rung, work: 1, latencyNanoseconds: Int(Self.costs[back.rung]), wasInterrupted: false)
        #expect(controller.runsSinceEntry >= entered, "seed \(seed)")
      }
    }
    #expect(probes >= 20)
  }
}
