import Base
import Control
import TestSupport
import Testing

/// Mechanism on simulated machines; what holds on a real one is measured elsewhere.
@Suite struct LoadScenarioTests {
  private let ladder = [4.0, 3.0, 2.0, 1.2]

  private func controller(
    _ machine: SimulatedMachine, budget: Double, percentile: Double = 95, error: [Double] = [], works: [Int] = [1],
    rungs: Int = 4
  ) throws -> LatencyController {
    var result = try LatencyController(
      .init(rungCount: rungs, budgetNanoseconds: Int(budget * 1e6), percentile: percentile))
    try result.learnCosts(of: machine, works: works, error: error)
    return result
  }

  @Test(arguments: [90.0, 95.0, 99.0, 99.9]) func steadyNoiseSwitchesRarely(_ percentile: Double) throws {
    for seed in 0..<5 {
      var machine = SimulatedMachine(milliseconds: ladder, "steady \(percentile) \(seed)")
      var controller = try controller(machine, budget: percentile > 99 ? 3.9 : 3.6, percentile: percentile)
      let trace = try controller.drive(&machine, runs: 5000)
      trace.summary("steady p\(percentile) seed \(seed)", [("all", 0..<5000)])
      #expect(trace.decisions[0].reason == .initial && trace.decisions[0].rung == 1, "seed \(seed)")
      #expect(trace.switches(0..<5000) <= 20, "seed \(seed)")
      #expect(trace.missRate(0..<5000) <= 1 - percentile / 100 + 0.005, "seed \(seed)")
      #expect(trace.meanRung(0..<5000) <= 1.1, "seed \(seed)")
    }
  }

  /// Calls of a few milliseconds meet a competing process as a time slice now and then. What a rung that was entered at such a
  /// moment seemed to cost must not keep it out when the process has gone. Where single runs taught as much as they seemed to,
  /// it was kept out in four of these.
  @Test func precisionReturnsWhenTimeSlicesEnd() throws {
    let costs = [6.5e6, 3.1e6, 2.09e6, 2.0e6, 1.95e6, 1.9e6]
    var returns = 0
    for seed in 0..<40 {
      var random = SeededRandom("precisionReturnsWhenTimeSlicesEnd \(seed)")
      var controller = try LatencyController(.init(rungCount: costs.count, budgetNanoseconds: 3_960_000))
      for (rung, cost) in costs.enumerated() {
        try controller.setCost(rung: rung, points: [CostPoint(work: 64, nanoseconds: Int(cost))])
      }
      var returned = 0
      for run in 0..<7000 {
        let rung = controller.decide(work: 64).rung
        var taken = costs[rung] * Double.random(in: 0.98...1.03, using: &random)
        let competes = run >= 1000 && run < 3000
        if competes && Double.random(in: 0..<1, using: &random) < 0.26 { taken += 4.05e6 }
        controller.observe(rung: rung, work: 64, latencyNanoseconds: Int(taken))
        if run >= 6500 && rung == 1 { returned += 1 }
      }
      if returned >= 250 { returns += 1 }
    }
    #expect(returns >= 38, "of 40")
  }

  /// The best rung's own percentile lies within a few per cent of the budget, on either side: it may be used or not, but
  /// the budget holds and trying again and again is stopped by the doubling dwell.
  @Test(arguments: [4.1, 4.2, 4.3, 4.4, 4.5]) func borderlineBudgetHolds(_ budget: Double) throws {
    for seed in 0..<5 {
      var machine = SimulatedMachine(milliseconds: ladder, "borderline \(budget) \(seed)")
      var controller = try controller(machine, budget: budget)
      let trace = try controller.drive(&machine, runs: 5000)
      trace.summary("borderline \(budget) ms seed \(seed)", [("all", 0..<5000)])
      #expect(trace.missRate(0..<5000) <= 0.055, "seed \(seed)")
      #expect(trace.switches(0..<5000) <= 60, "seed \(seed)")
    }
  }

  @Test(arguments: [90.0, 95.0, 99.0]) func loadStepGoesDownAtOnceAndComesBack(_ percentile: Double) throws {
    for seed in 0..<5 {
      var machine = SimulatedMachine(milliseconds: ladder, "step \(percentile) \(seed)")
      machine.load = { (1000..<2000).contains($0) ? 1.5 : 1 }
      var controller = try controller(machine, budget: 5, percentile: percentile)
      let trace = try controller.drive(&machine, runs: 3000)
      trace.summary(
        "load x1.5 p\(percentile) seed \(seed)",
        [("before", 0..<1000), ("during", 1000..<2000), ("after", 2000..<3000)])
      #expect(trace.meanRung(900..<1000) == 0, "seed \(seed)")
      let down = try #require(trace.first(from: 1000) { $0 >= 1 })
      #expect(down <= 1004, "seed \(seed): went down at \(down)")
      #expect(trace.missRate(1004..<2000) <= 1 - percentile / 100 + 0.01, "seed \(seed)")
      #expect(trace.missRate(0..<3000) <= 1 - percentile / 100 + 0.005, "seed \(seed)")
      // One rung is missing: one dwell, and the time the multiplier needs to forget the step.
      let up = try #require(trace.first(from: 2000) { $0 == 0 })
      #expect(up <= 2000 + 32 + 100, "seed \(seed): came back at \(up)")
      #expect(trace.switches(0..<3000) <= 16, "seed \(seed)")
    }
  }

  @Test func heavyLoadGoesDownSeveralRungsAtOnceAndClimbsOneByOne() throws {
    var machine = SimulatedMachine(milliseconds: ladder, "heavy")
    machine.load = { (500..<1000).contains($0) ? 3 : 1 }
    var controller = try controller(machine, budget: 4.8)
    let trace = try controller.drive(&machine, runs: 1500)
    trace.summary("load x3", [("before", 0..<500), ("during", 500..<1000), ("after", 1000..<1500)])
    let down = try #require(trace.first(from: 500) { $0 == 3 })
    #expect(down <= 504)
    #expect(trace.decisions[down].reason == .predictedMiss || trace.decisions[down].reason == .budgetMissed)
    let visited = (1000..<1500).map { trace.decisions[$0].rung }
    for (previous, next) in zip(visited, visited.dropFirst()) where next < previous {
      #expect(next == previous - 1)
    }
    let up = try #require(trace.first(from: 1000) { $0 == 0 })
    #expect(up <= 1000 + 3 * 32 + 100, "came back at \(up)")
    #expect(trace.decisions[up].reason == .headroom)
  }

  /// A machine that is a little slower for a while keeps within the budget on the best rung, and stays there.
  @Test(arguments: [1.12, 1.2]) func littleSlownessCostsNoQuality(_ factor: Double) throws {
    for seed in 0..<5 {
      var machine = SimulatedMachine(milliseconds: ladder, "slower \(factor) \(seed)")
      machine.noise = 0.02
      machine.load = { (80..<160).contains($0) ? factor : 1 }
      var controller = try controller(machine, budget: 1.3 * 4)
      let trace = try controller.drive(&machine, runs: 300)
      trace.summary("slower by \(factor) seed \(seed)", [("all", 0..<300)])
      #expect(trace.meanRung(0..<300) <= 0.02, "seed \(seed)")
      #expect(trace.missRate(0..<300) <= 0.05, "seed \(seed)")
    }
  }

  /// Being descheduled adds a time slice on every rung: two such runs in a hundred are within p95 and no reason to go down.
  @Test func stallsWithinThePercentileCostNoQuality() throws {
    for seed in 0..<5 {
      var machine = SimulatedMachine(milliseconds: ladder, "stalls \(seed)")
      machine.stallShare = 0.02
      machine.stallNanoseconds = 20e6
      var controller = try controller(machine, budget: 5)
      let trace = try controller.drive(&machine, runs: 5000)
      trace.summary("stalls 2 % seed \(seed)", [("all", 0..<5000)])
      // Three stalls within five runs look like load, now and then; the climb back takes three dwells.
      #expect(trace.meanRung(0..<5000) <= 0.2, "seed \(seed)")
      #expect(trace.missRate(0..<5000) <= 0.05, "seed \(seed)")
      #expect(controller.counters.unavoidableMisses > 50, "seed \(seed)")
    }
  }

  @Test func smallStallsAreBoughtOffByARungWithRoom() throws {
    var machine = SimulatedMachine(milliseconds: ladder, "small stalls")
    machine.stallShare = 0.10
    machine.stallNanoseconds = 2e6
    var controller = try controller(machine, budget: 5)
    let trace = try controller.drive(&machine, runs: 6000)
    trace.summary("stalls of 2 ms in 10 %", [("first half", 0..<3000), ("second half", 3000..<6000)])
    #expect(trace.missRate(3000..<6000) <= 0.055)
  }

  @Test func differentWorkGetsDifferentRungsWithoutWaiting() throws {
    var machine = SimulatedMachine(milliseconds: [0.4, 0.3, 0.2, 0.12], "sizes")
    machine.work = { [2, 16, 16, 2, 8, 30][$0 % 6] }
    var controller = try controller(machine, budget: 5, works: [1, 8, 32])
    let trace = try controller.drive(&machine, runs: 3000)
    trace.summary("mixed work", [("all", 0..<3000)])
    #expect(trace.missRate(0..<3000) <= 0.055)
    for (work, rung) in [(2, 0), (8, 0), (16, 2), (30, 3)] {
      let runs = (100..<3000).filter { trace.works[$0] == work }
      let mean = Double(runs.reduce(0) { $0 + trace.decisions[$1].rung }) / Double(runs.count)
      #expect(abs(mean - Double(rung)) <= 0.6, "work \(work): mean rung \(mean)")
      if rung == 0 { #expect(mean == 0, "work \(work)") }
    }
    #expect(trace.decisions[1].reason == .workChanged)
  }

  @Test func rungsThatAreNotFasterAreNoSteps() throws {
    // INT4 slower than INT8, and one that gains only one per cent.
    var machine = SimulatedMachine(milliseconds: [4, 2, 2.4, 1.98], "non-monotone")
    machine.load = { (500..<1000).contains($0) ? 4 : 1 }
    var controller = try controller(machine, budget: 4.8)
    let trace = try controller.drive(&machine, runs: 1500)
    #expect(trace.decisions.allSatisfy { $0.rung <= 1 })
    #expect(trace.decisions[700].rung == 1 && trace.decisions[700].budgetUnreachable)
    #expect(trace.decisions[1400].rung == 0 && !trace.decisions[1400].budgetUnreachable)
  }

  @Test func oneRungIsFixed() throws {
    var machine = SimulatedMachine(milliseconds: [4], "one rung")
    machine.load = { $0 > 100 ? 3 : 1 }
    var controller = try controller(machine, budget: 5, rungs: 1)
    let trace = try controller.drive(&machine, runs: 300)
    #expect(trace.decisions.allSatisfy { $0.rung == 0 && $0.reason == .fixed && !$0.changed })
    #expect(!trace.decisions[50].budgetUnreachable && trace.decisions[200].budgetUnreachable)
    #expect(controller.counters.misses > 190)
    #expect(controller.counters.descents == 0 && controller.counters.switches == 0)
  }

  @Test func impossibleBudgetTakesTheFastestAndSaysSo() throws {
    var machine = SimulatedMachine(milliseconds: ladder, "impossible")
    var controller = try controller(machine, budget: 1)
    let trace = try controller.drive(&machine, runs: 500)
    #expect(trace.decisions.allSatisfy { $0.rung == 3 && $0.budgetUnreachable })
    #expect(trace.switches(0..<500) == 0)
  }

  @Test func budgetChangeActsOnTheNextRun() throws {
    var machine = SimulatedMachine(milliseconds: ladder, "budget change")
    var controller = try controller(machine, budget: 5)
    let trace = try controller.drive(&machine, runs: 400) { run, controller in
      if run == 100 { try controller.setBudget(nanoseconds: 1_500_000, percentile: 95) }
      if run == 200 { try controller.setBudget(nanoseconds: 3_500_000, percentile: 95) }
      if run == 300 { try controller.setBudget(nanoseconds: nil, percentile: 95) }
    }
    #expect(trace.decisions[99].rung == 0)
    #expect(trace.decisions[100].rung == 3 && trace.decisions[100].reason == .budgetChanged)
    #expect(trace.decisions[200].rung == 1 && trace.decisions[200].reason == .budgetChanged)
    #expect(trace.decisions[300].rung == 0 && trace.decisions[300].reason == .noBudget)
    #expect(trace.missRate(0..<400) <= 0.02)
  }

  @Test func allowedRungsActOnTheNextRun() throws {
    var machine = SimulatedMachine(milliseconds: ladder, "levels")
    var controller = try controller(machine, budget: 3.6)
    let trace = try controller.drive(&machine, runs: 300) { run, controller in
      if run == 100 { try controller.setAllowed(mask: 0b1100) }
      if run == 200 { try controller.setAllowed(mask: 0b1000) }
    }
    #expect(trace.decisions[99].rung == 1)
    #expect(trace.decisions[100].rung == 2 && trace.decisions[100].reason == .levelsChanged)
    #expect(trace.decisions[200].rung == 3 && trace.decisions[200].reason == .fixed)
  }

  /// What `examples-c/embed.c` meets.
  @Test func returnsAfterTimeSlicesOnANoisyMachine() throws {
    var returned = 0
    var held = 0
    let seeds = 100
    for seed in 0..<seeds {
      var machine = SimulatedMachine.likeEmbed("embed \(seed)")
      var controller = try controller(machine, budget: 30, rungs: 6)
      let trace = try controller.drive(&machine, runs: 600)
      if trace.meanRung(550..<600) <= 1.5 { returned += 1 }
      if trace.missRate(200..<400) <= 0.05 { held += 1 }
      if seed < 10 {
        trace.summary("embed seed \(seed)", [("calm", 0..<200), ("loaded", 200..<400), ("calm again", 400..<600)])
        print("control: embed seed \(seed): back at", trace.first(from: 400) { $0 <= 1 } ?? -1)
      }
    }
    print("control: embed: returned \(returned), held \(held) of \(seeds)")
    #expect(returned >= seeds * 95 / 100)
    #expect(held >= seeds * 90 / 100)
  }

  /// The same machine, an eighth slower from the load on: the better rung's own percentile then lies a few per cent below the
  /// budget. Asking for more room than noise needs would lose quality that the budget bears.
  @Test func staysNearTheBudgetOnASlowerMachine() throws {
    var returned = 0
    var held = 0
    let seeds = 100
    for seed in 0..<seeds {
      var machine = SimulatedMachine.likeEmbed("slower \(seed)")
      machine.load = { $0 < 200 ? 1 : 1.12 }
      var controller = try controller(machine, budget: 30, rungs: 6)
      let trace = try controller.drive(&machine, runs: 1400)
      if trace.meanRung(550..<600) <= 1.5 { returned += 1 }
      if trace.missRate(200..<400) <= 0.05 && trace.missRate(400..<1400) <= 0.05 { held += 1 }
    }
    print("control: slower machine: returned \(returned), held \(held) of \(seeds)")
    #expect(returned >= seeds * 75 / 100)
    #expect(held >= seeds * 97 / 100)
  }

  /// A neighbour on the same core slows the low rungs down by up to 40 % and the high ones by up to 10 %. What a low rung takes
  /// then says that the high one would miss, although it would not: only trying tells.
  @Test func probesSeeThroughUnequalNoise() throws {
    var returned = 0
    var rung = 0.0
    let seeds = 100
    for seed in 0..<seeds {
      var machine = SimulatedMachine.likeEmbed("unequal \(seed)")
      machine.sharing = [0.1, 0.1, 0.4, 0.4, 0.4, 0.4]
      machine.load = { $0 < 200 ? 1 : 1.05 }
      var controller = try controller(machine, budget: 30, rungs: 6)
      let trace = try controller.drive(&machine, runs: 1400)
      if trace.meanRung(550..<600) <= 1.5 { returned += 1 }
      rung += trace.meanRung(600..<1400) / Double(seeds)
      #expect(trace.missRate(400..<1400) <= 0.05, "seed \(seed)")
      #expect(controller.counters.probes < 140, "seed \(seed)")
    }
    print("control: unequal noise: returned \(returned) of \(seeds), mean rung \(rung)")
    // Without probes 32 of 100 and 0.9.
    #expect(returned >= seeds * 45 / 100 && rung <= 0.75)
  }

  /// The highest percentiles tolerate no miss in a window: nothing is tried there.
  @Test func probesAreForThoseWhoTolerateMisses() throws {
    var machine = SimulatedMachine(milliseconds: ladder, "no probes")
    var controller = try controller(machine, budget: 3.9, percentile: 99.9)
    _ = try controller.drive(&machine, runs: 3000)
    #expect(controller.counters.probes == 0)
  }

  /// Costs measured while something else ran: one rung looks 20 % cheaper, another 20 % dearer than it is.
  @Test func wrongCostsAreCorrectedByRuns() throws {
    for seed in 0..<5 {
      var machine = SimulatedMachine(milliseconds: ladder, "wrong costs \(seed)")
      machine.load = { $0 % 1000 < 500 ? 1 : 1.5 }
      var controller = try controller(machine, budget: 5, error: [0.8, 1.2, 1, 0.8])
      let trace = try controller.drive(&machine, runs: 10_000)
      trace.summary("wrong costs seed \(seed)", [("first", 0..<5000), ("second", 5000..<10_000)])
      #expect(trace.missRate(5000..<10_000) <= 0.055, "seed \(seed)")
      // Half the time at rung 0, half at rung 2 (rung 1 misses under load), and the climbs between.
      #expect(trace.meanRung(5000..<10_000) <= 1.2, "seed \(seed)")
    }
  }
}
