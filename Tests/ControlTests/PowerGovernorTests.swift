import Testing
import TestSupport

@testable import Control

@Suite struct PowerGovernorTests {
  static let second = 1_000_000_000

  /// Rungs of 40, 20, 15, 8 and 3 mJ; 5 W static.
  static func governor(cap: Double?, energy: Double? = nil) throws -> PowerGovernor {
    var governor = PowerGovernor(rungCount: 5)
    for (rung, millijoules) in [40, 20, 15, 8, 3].enumerated() {
      try governor.setEnergy(rung: rung, points: [CostPoint(work: 1, nanoseconds: millijoules * 1_000_000)])
    }
    governor.setBudget(milliwatts: cap, window: 5 * second, staticMilliwatts: 5000, maximumNanojoules: energy)
    return governor
  }

  /// Calls at about `rate` per second for `seconds`, true energies `error` times the model's.
  static func average(
    _ governor: inout PowerGovernor, rate: Double, seconds: Int, jitter: Double, random: inout SeededRandom
  ) -> (milliwatts: Double, worstWindow: Double, unreachable: Int, rungs: Set<Int>) {
    var (time, energy, calls, unreachable) = (0, 0.0, 0, 0)
    var rungs: Set<Int> = []
    var log: [(time: Int, nanojoules: Double)] = []
    let warm = 10 * second
    while time < seconds * second {
      let decision = governor.decide(time: time, work: 1, allowed: .max)
      governor.observe(rung: decision.rung, work: 1)
      unreachable += decision.isUnreachable ? 1 : 0
      rungs.insert(decision.rung)
      let used = governor.nanojoules(rung: decision.rung, work: 1)
      if time >= warm {
        energy += used
        log.append((time, used))
      }
      calls += 1
      time += Int(Double(second) / rate * Double.random(in: (1 - jitter)...(1 + jitter), using: &random))
    }
    let span = Double(time - warm)
    var worst = 0.0
    for start in stride(from: warm, to: time - 5 * second, by: second) {
      let inside = log.lazy.filter { $0.time >= start && $0.time < start + 5 * second }.reduce(0) { $0 + $1.nanojoules }
      worst = max(worst, inside / Double(5 * second) * 1e3 + 5000)
    }
    return (energy / span * 1e3 + 5000, worst, unreachable, rungs)
  }

  /// Where some plan can hold the cap and the best one cannot, the average is within 2 % of it.
  @Test func averageMeetsTheCap() throws {
    for index in 0..<40 {
      var random = SeededRandom(#function, index)
      let rate = Double.random(in: 2...200, using: &random)
      // Between the cheapest and the best rung at this rate.
      let (low, high) = (5000 + 3 * rate, 5000 + 40 * rate)
      let cap = low + (high - low) * Double.random(in: 0.05...0.95, using: &random)
      var governor = try Self.governor(cap: cap)
      let result = Self.average(&governor, rate: rate, seconds: 120, jitter: 0.5, random: &random)
      #expect(abs(result.milliwatts - cap) < cap * 0.02, "rate \(rate), cap \(cap): \(result)")
      #expect(result.worstWindow < cap * 1.1, "rate \(rate), cap \(cap): \(result)")
    }
  }

  @Test func endsOfTheLadder() throws {
    var random = SeededRandom(#function)
    var plenty = try Self.governor(cap: 5000 + 41 * 20)
    #expect(Self.average(&plenty, rate: 20, seconds: 60, jitter: 0, random: &random).rungs == [0])
    var none = try Self.governor(cap: nil)
    #expect(Self.average(&none, rate: 20, seconds: 60, jitter: 0, random: &random).rungs == [0])

    // 60 mW a call at 20 per second; the cap leaves 40.
    var tight = try Self.governor(cap: 5040)
    let result = Self.average(&tight, rate: 20, seconds: 60, jitter: 0, random: &random)
    #expect(result.unreachable > 1100)
    let decision = tight.decide(time: 60 * Self.second, work: 1, allowed: .max)
    // 3 mJ out of 40 mW.
    #expect(decision.rung == 4 && decision.isUnreachable)
    #expect(abs(decision.recommendedIntervalNanoseconds - 75_000_000) < 2)
    var hopeless = try Self.governor(cap: 4000)
    _ = hopeless.decide(time: 0, work: 1, allowed: .max)
    let never = hopeless.decide(time: Self.second, work: 1, allowed: .max)
    #expect(never.isUnreachable && never.recommendedIntervalNanoseconds == 0 && never.rung == 4)
  }

  @Test func energyOfOneInference() throws {
    for (limit, rung, unreachable) in [(50.0, 0, false), (40, 0, false), (39, 1, false), (8, 3, false), (2, 4, true)] {
      var governor = try Self.governor(cap: nil, energy: limit * 1e6)
      let decision = governor.decide(time: 0, work: 1, allowed: .max)
      #expect(decision.rung == rung && decision.isUnreachable == unreachable, "\(limit)")
    }
    var governor = try Self.governor(cap: nil, energy: 16e6)
    #expect(governor.decide(time: 0, work: 1, allowed: 0b11011).rung == 3)
    // Twice the work.
    #expect(governor.decide(time: 1, work: 2, allowed: .max).rung == 3)
  }

  /// A pause saves no more than a twentieth of a window; a clock that goes back changes nothing.
  @Test func pausesAndClocks() throws {
    var governor = try Self.governor(cap: 5000 + 15 * 20)
    var random = SeededRandom(#function)
    _ = Self.average(&governor, rate: 20, seconds: 30, jitter: 0, random: &random)
    _ = governor.decide(time: 3600 * Self.second, work: 1, allowed: .max)
    var burst = 0.0
    for call in 1...100 {
      let decision = governor.decide(time: 3600 * Self.second + call * Self.second / 20, work: 1, allowed: .max)
      governor.observe(rung: decision.rung, work: 1)
      burst += decision.nanojoules
    }
    // What 100 calls may take, and a twentieth of 5.3 W for 5 s.
    #expect(burst * 1e-9 < 100 * 0.015 + 5.3 * 5 / 20 + 0.2)
    for time in [Int.min, Int.max, 0, -1, 5] { _ = governor.decide(time: time, work: .max, allowed: .max) }
    governor.observe(rung: .max, work: .min)
    #expect(governor.decide(time: 6, work: 1, allowed: 0).rung == 0)
  }

  @Test func leastEnergy() throws {
    var governor = try Self.governor(cap: nil)
    governor.setBudget(
      milliwatts: nil, window: Self.second, staticMilliwatts: 0, maximumNanojoules: nil, prefersLeastEnergy: true)
    #expect(governor.hasBudget)
    for (allowed, rung) in [(UInt64.max, 4), (0b01111, 3), (0b00001, 0), (0b10010, 4)] {
      let decision = governor.decide(time: 0, work: 1, allowed: allowed)
      #expect(decision.rung == rung && !decision.isUnreachable && decision.recommendedIntervalNanoseconds == 0)
    }
    // Of equal ones the better.
    try governor.setEnergy(rung: 2, points: [CostPoint(work: 1, nanoseconds: 3_000_000)])
    #expect(governor.decide(time: 0, work: 1, allowed: .max).rung == 2)
    // And where even that is too much.
    governor.setBudget(
      milliwatts: nil, window: Self.second, staticMilliwatts: 0, maximumNanojoules: 2e6, prefersLeastEnergy: true)
    let decision = governor.decide(time: 0, work: 1, allowed: .max)
    #expect(decision.rung == 2 && decision.isUnreachable)
  }

  /// Runs that wait as long as they are told hold a cap that no plan holds at the rate they would have, and no longer than needed.
  @Test func waitingHoldsTheCap() throws {
    for (index, rate) in [20.0, 50, 400].enumerated() {
      var random = SeededRandom(#function, index)
      // 3 mJ at 13.3 runs a second are 40 mW.
      var governor = try Self.governor(cap: 5040)
      var (time, energy, runs, late) = (0, 0.0, 0, 0)
      while time < 200 * Self.second {
        time += governor.wait(time: time, work: 1, allowed: .max)
        let decision = governor.decide(time: time, work: 1, allowed: .max)
        governor.observe(rung: decision.rung, work: 1)
        if time > 50 * Self.second {
          energy += decision.nanojoules
          runs += 1
          if decision.isUnreachable { late += 1 }
        }
        time += Int(Double(Self.second) / rate * Double.random(in: 0.5...1.5, using: &random))
      }
      let milliwatts = energy / Double(150 * Self.second) * 1e3 + 5000
      #expect(abs(milliwatts - 5040) < 5040 * 0.002, "\(rate): \(milliwatts) mW in \(runs) runs, \(late) too much")
      #expect(Double(runs) > 150 * 13.3 * 0.95, "\(rate): \(runs)")
    }
    // Nothing to wait for: no cap, a cap below the static power, room enough.
    var none = try Self.governor(cap: nil)
    _ = none.decide(time: 0, work: 1, allowed: .max)
    #expect(none.wait(time: 1, work: 1, allowed: .max) == 0)
    var hopeless = try Self.governor(cap: 5000)
    _ = hopeless.decide(time: 0, work: 1, allowed: .max)
    #expect(hopeless.wait(time: 1, work: 1, allowed: .max) == 0)
    var plenty = try Self.governor(cap: 5000 + 41 * 20)
    for call in 0..<100 {
      #expect(plenty.wait(time: call * Self.second / 20, work: 1, allowed: .max) == 0)
      let decision = plenty.decide(time: call * Self.second / 20, work: 1, allowed: .max)
      plenty.observe(rung: decision.rung, work: 1)
    }
    #expect(plenty.wait(time: Int.min, work: 1, allowed: .max) == 0 && plenty.wait(time: 5, work: 1, allowed: 0) == 0)
  }

  /// What power leaves is no slower than what latency chose.
  @Test func rungsThatAreAsQuick() throws {
    var controller = try LatencyController(ControllerConfiguration(rungCount: 4, budgetNanoseconds: 3_200_000))
    for (rung, time) in [4_000_000, 3_000_000, 3_500_000, 1_000_000].enumerated() {
      try controller.setCost(rung: rung, points: [CostPoint(work: 1, nanoseconds: time)])
    }
    #expect(controller.rungs(of: .max, from: 1, work: 1) & 0b1111 == 0b1010)
    #expect(controller.rungs(of: .max, from: 0, work: 1) & 0b1111 == 0b1111)
    #expect(controller.rungs(of: 0b0100, from: 1, work: 1) == 0b0010)
    #expect(controller.rungs(of: .max, from: 3, work: 1) == 0b1000)
    try controller.setBudget(nanoseconds: nil, percentile: 95)
    #expect(controller.rungs(of: 0b1110, from: 1, work: 1) == 0b1110)
  }
}
