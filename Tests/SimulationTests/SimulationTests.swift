import Base
import Control
@testable import Simulation
import Testing

@Suite struct SimulationTests {
  @Test func sameSeedSameFigures() throws {
    func run(_ seed: Int) throws -> Evaluation {
      try Evaluation(try Ladder(named: "mixed"), .generated("bursts"), calls: 2000, seed: seed, seeds: 2)
    }
    let (one, two, other) = try (run(1), run(1), run(5))
    #expect(EvaluationReport.json([one], []).text == EvaluationReport.json([two], []).text)
    #expect(EvaluationReport.json([one], []).text != EvaluationReport.json([other], []).text)
  }

  /// What differs from the controller's model is there: two slow-downs, stalls, cold runs.
  @Test func theMachineIsWhatItSays() throws {
    let ladder = try Ladder(named: "memory")
    let machine = SimulatedMachine(ladder: ladder)
    var moment = Moment()
    moment.sigma = 0
    let sample = CallSample(seed: 1, call: 1)
    #expect((machine.latency(1, moment, sample, isCold: false) - 6e6).magnitude < 1)
    #expect((machine.latency(1, moment, sample, isCold: true) - 6.3e6).magnitude < 1)
    moment.memory = 2
    #expect((machine.latency(1, moment, sample, isCold: false) - 11.4e6).magnitude < 1)
    moment.memory = 1
    moment.stallShare = 1
    let stalled = machine.latency(1, moment, sample, isCold: false) - 6e6
    #expect(stalled >= 2e6 && stalled <= 4e6)
    #expect((machine.latency(5, moment, sample, isCold: false) - 1e6 - stalled).magnitude < 1)
    moment.stallShare = 0
    moment.quotaRuns = 8e6
    moment.quotaWaits = 2e6
    // 6 ms cross the end of an 8 ms period for three phases out of four.
    let waits = (0..<4000).count { machine.latency(1, moment, CallSample(seed: 2, call: $0), isCold: false) > 7e6 }
    #expect((waits - 3000).magnitude < 150)
  }

  @Test func costErrorsAreAFifthPerLevel() throws {
    let levels = try Ladder(named: "levels")
    var random = SimulationRandom(seed: 3, stream: 2)
    for (rung, measured) in levels.measuredTimes(errorShare: 0.2, &random).enumerated() {
      #expect(((measured / levels.time(rung) - 1).magnitude - 0.2).magnitude < 1e-9)
    }
    let mixed = try Ladder(named: "mixed")
    #expect(mixed.rungs.count == min(24, ControllerConfiguration.maximumRungs))
    let times = mixed.rungs.indices.map(mixed.time)
    for rung in 1..<times.count { #expect(((times[rung - 1] - times[rung]) - (times[0] - times[1])).magnitude < 1) }
    #expect(zip(mixed.rungs, mixed.rungs.dropFirst()).allSatisfy { $0.loss < $1.loss })
    #expect(((mixed.rungs.last?.loss ?? 0) - 5).magnitude < 1e-9)
    for (rung, measured) in mixed.measuredTimes(errorShare: 0.2, &random).enumerated() {
      #expect((measured / mixed.time(rung) - 1).magnitude < 0.2 + 1e-9)
    }
  }

  @Test func fixedRungsSwitchNeverAndLoseTheirLoss() throws {
    let evaluation = try Evaluation(try Ladder(named: "levels"), .generated("step"), calls: 3000, seed: 1, seeds: 2)
    #expect(evaluation.fixed.map(\.loss.mean).enumerated().allSatisfy { ($1 - Double($0)).magnitude < 1e-9 })
    #expect(evaluation.fixed.allSatisfy { $0.switches.mean == 0 })
    #expect(evaluation.fixed.last?.missed.mean == 0)
    #expect((evaluation.fixed.last?.excess?.mean ?? 0) > 0.999_999)
    #expect(evaluation.oracle.excess?.mean == 0)
    // Steps of the load that no fixed good rung bears.
    #expect((evaluation.fixed.first?.missed.mean ?? 0) > 0.2)
  }

  @Test func badNumbersAreRefused() throws {
    let ladder = try Ladder(named: "levels")
    #expect(throws: AdaptQError.self) { try Evaluation(ladder, .generated("step"), calls: 999, seed: 1, seeds: 1) }
    #expect(throws: AdaptQError.self) { try Evaluation(ladder, .generated("step"), calls: 1000, seed: 1, seeds: 0) }
    #expect(throws: AdaptQError.self) { try SharedMachine((ladder, ladder), calls: 1, seed: 1, seeds: 1) }
  }
}
