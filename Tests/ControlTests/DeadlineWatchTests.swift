import Control
import TestSupport
import Testing

/// Inferences in virtual time: every step takes its share of the rung's cost, times a speed, with noise; something else may
/// take the CPU for a while before one of the steps.
@Suite struct DeadlineWatchTests {
  /// Nanoseconds of the whole inference at each rung.
  private static let costs = [20e6, 13e6, 10e6, 8e6]
  private static let stepCount = 60

  /// Shares of each rung's time: steps differ, and rungs differ in where their time goes.
  private struct Shares {
    let values: [Float]

    init(_ random: inout SeededRandom) {
      var values: [Float] = []
      for _ in 0..<costs.count {
        let parts = (0..<stepCount).map { _ in Double.random(in: 0.2...2, using: &random) }
        var left = parts.reduce(0, +)
        let total = left
        for part in parts {
          values.append(Float(left / total))
          left -= part
        }
        values.append(0)
      }
      self.values = values
    }

    func part(_ rung: Int, _ step: Int) -> Double {
      let row = rung * (stepCount + 1)
      return Double(values[row + step] - values[row + step + 1])
    }

    /// What is left of the inference from `step` on.
    func rest(_ rung: Int, _ step: Int) -> Double { Double(values[rung * (stepCount + 1) + step]) }
  }

  private func controller() throws -> LatencyController {
    var result = try LatencyController(.init(rungCount: Self.costs.count))
    for (rung, cost) in Self.costs.enumerated() {
      try result.setCost(rung: rung, points: [.init(work: 1, nanoseconds: Int(cost))])
    }
    return result
  }

  private struct Outcome {
    var rungs: [Int] = []
    var time = 0.0
    /// After the disturbance the cheapest rung would have sufficed.
    var couldHold = true
    var expectedShare = 0.0
  }

  private func run(
    _ controller: LatencyController, _ shares: Shares, deadline: Double, speed: Double = 1, noise: Double = 0.03,
    wait: Double = 0, atStep: Int = -1, _ random: inout SeededRandom
  ) -> Outcome {
    var outcome = Outcome()
    shares.values.withUnsafeBufferPointer { values in
      guard let base = values.baseAddress else { return }
      let start = 1_000_000
      var watch = DeadlineWatch(
        controller, rung: 0, work: 1, start: start, deadline: Int(deadline), shares: base, stepCount: Self.stepCount)
      let cheapest = Self.costs.count - 1
      for step in 0..<Self.stepCount {
        if step == atStep {
          outcome.time += wait
          outcome.couldHold = outcome.time + Self.costs[cheapest] * shares.rest(cheapest, step) * speed <= deadline
        }
        let rung = watch.rung(atStep: step, time: start + Int(outcome.time))
        outcome.rungs.append(rung)
        let factor = max(0.5, 1 + noise * Double(random.normal()))
        outcome.time += Self.costs[rung] * shares.part(rung, step) * speed * factor
      }
      outcome.expectedShare = watch.finish(time: start + Int(outcome.time))
    }
    return outcome
  }

  @Test func enoughTimeChangesNothing() throws {
    var random = SeededRandom("DeadlineWatchTests.enough")
    let controller = try controller()
    for _ in 0..<200 {
      let outcome = run(controller, Shares(&random), deadline: 26e6, &random)
      #expect(outcome.rungs.allSatisfy { $0 == 0 })
      #expect((outcome.expectedShare - 1).magnitude < 1e-6)
    }
  }

  @Test func beginsWithTheBestThatFits() throws {
    var random = SeededRandom("DeadlineWatchTests.begins")
    let controller = try controller()
    for (deadline, rung) in [(30e6, 0), (20e6, 1), (13.5e6, 1), (12e6, 2), (9e6, 3), (1e6, 3)] {
      #expect(run(controller, Shares(&random), deadline: deadline, noise: 0, &random).rungs[0] == rung, "\(deadline)")
    }
  }

  /// Something takes the CPU once, anywhere in the middle. Where the cheapest rung could still make it, nearly all calls do.
  @Test func disturbedCallsEndInTimeWhereTheyCan() throws {
    var random = SeededRandom("DeadlineWatchTests.disturbed")
    let controller = try controller()
    var possible = 0
    var inTime = 0
    var better = 0.0
    for _ in 0..<4000 {
      let outcome = run(
        controller, Shares(&random), deadline: 26e6, wait: Double.random(in: 0...20e6, using: &random),
        atStep: Int.random(in: 10..<50, using: &random), &random)
      #expect(zip(outcome.rungs, outcome.rungs.dropFirst()).allSatisfy { $0 <= $1 }, "went up inside an inference")
      if !outcome.couldHold { continue }
      possible += 1
      if outcome.time <= 26e6 { inTime += 1 }
      better += Double(outcome.rungs.count { $0 < 3 }) / Double(Self.stepCount)
    }
    let share = better / Double(possible)
    print(
      "control: deadline, disturbed once: \(inTime) of \(possible) in time, \(share) of the steps above the last rung")
    #expect(possible > 2000 && Double(inTime) >= 0.95 * Double(possible))
    // Not by being careful everywhere.
    #expect(share > 0.5)
  }

  /// The machine is slower than the controller knows, from the begin on: learned on the way.
  @Test(arguments: [1.2, 1.5, 2.0]) func slowMachinesAreNoticed(_ speed: Double) throws {
    var random = SeededRandom("DeadlineWatchTests.slow")
    let controller = try controller()
    var inTime = 0
    for _ in 0..<500 {
      let outcome = run(controller, Shares(&random), deadline: 24e6, speed: speed, &random)
      if outcome.time <= 24e6 { inTime += 1 }
      #expect(outcome.expectedShare > 0 && outcome.expectedShare <= 1)
    }
    print("control: deadline, machine slower by \(speed): \(inTime) of 500 in time")
    #expect(inTime >= 450)
  }

  @Test func rungsThatAreNotAllowedStayOut() throws {
    var random = SeededRandom("DeadlineWatchTests.allowed")
    var controller = try controller()
    try controller.setAllowed(mask: 0b0101)
    let outcome = run(controller, Shares(&random), deadline: 1e6, &random)
    #expect(outcome.rungs.allSatisfy { $0 == 2 })
  }

  /// Whatever a clock and a caller say.
  @Test func anyNumbersAreSafe() throws {
    var random = SeededRandom("DeadlineWatchTests.any")
    let extreme = [Int.min, -1, 0, 1, Int.max]
    func number() -> Int {
      Bool.random(using: &random)
        ? extreme[Int.random(in: 0..<5, using: &random)] : Int(truncatingIfNeeded: random.next())
    }
    let shares = Shares(&random)
    try shares.values.withUnsafeBufferPointer { values in
      let base = try #require(values.baseAddress)
      for _ in 0..<2000 {
        var controller = try LatencyController(.init(rungCount: 4))
        if Bool.random(using: &random) { controller = try self.controller() }
        var watch = DeadlineWatch(
          controller, rung: Int.random(in: 0..<4, using: &random), work: number(), start: number(), deadline: number(),
          shares: base, stepCount: Self.stepCount)
        var isSound = true
        for step in 0..<Self.stepCount {
          let rung = watch.rung(atStep: step, time: number())
          if !(0..<4).contains(rung) || !watch.speed.isFinite || watch.speed <= 0 { isSound = false }
        }
        let share = watch.finish(time: number())
        #expect(isSound && share > 0 && share <= 1)
      }
    }
  }
}
