import Base
@testable import Control
import TestSupport
import Testing

@Suite struct ControllerPropertyTests {
  /// A step down costs less: a decision goes down step by step, and would never end where two rungs led to each other.
  @Test(.timeLimit(.minutes(1))) func stepsDownEnd() throws {
    for seed in 0..<200 {
      var random = SeededRandom("steps down end", seed)
      let rungs = Int.random(in: 2...8, using: &random)
      var controller = try LatencyController(.init(rungCount: rungs, budgetNanoseconds: 1))
      for rung in 0..<rungs {
        // Small work, whose levels cost nearly the same.
        let cost = Int.random(in: 9_000...11_000, using: &random)
        try controller.setCost(rung: rung, points: [.init(work: 8, nanoseconds: cost)])
      }
      for run in 0..<500 {
        if run % 50 == 0 {
          try controller.setBudget(nanoseconds: Int.random(in: 5_000...20_000, using: &random), percentile: 95)
        }
        let work = Double.random(in: 1...8, using: &random)
        let rung = controller.decide(work: Int(work)).rung
        controller.observe(
          rung: rung, work: Int(work), latencyNanoseconds: Int.random(in: 2_000...40_000, using: &random))
        let pressure = Double.random(in: 0.5...3, using: &random)
        let selection = controller.select(work, pressure: pressure, budget: 10_000)
        let below = controller.stepBelow(selection, work, 10_000)
        #expect(below.rung == selection.rung || below.cost < selection.cost, "seed \(seed), run \(run)")
      }
    }
  }

  /// Whatever the numbers, nothing traps and every decision is an allowed rung.
  @Test func anyIntegersAreSafe() throws {
    let extremes = [0, 1, -1, 2, Int.max, Int.min, 1 << 53, 1_000_000, 3_000_000_000]
    for seed in 0..<60 {
      var random = SeededRandom("any integers", seed)
      func number() -> Int {
        if Bool.random(using: &random), let value = extremes.randomElement(using: &random) { return value }
        return Int.random(in: 0..<10_000_000, using: &random)
      }
      let rungs = Int.random(in: 1...64, using: &random)
      let ladder = UInt64.max >> UInt64(64 - rungs)
      var controller = try LatencyController(
        .init(
          rungCount: rungs, budgetNanoseconds: Bool.random(using: &random) ? 1_000_000 : nil,
          percentile: Double.random(in: 50...99.9, using: &random),
          windowLength: Int.random(in: 8...256, using: &random), dwell: Int.random(in: 1...40, using: &random)))
      var mask = ladder
      for step in 0..<1000 {
        switch Int.random(in: 0..<40, using: &random) {
        case 0:
          try? controller.setBudget(nanoseconds: number(), percentile: Double.random(in: 40...110, using: &random))
        case 1:
          let wanted = UInt64.random(in: 0...ladder, using: &random)
          if (try? controller.setAllowed(mask: wanted)) != nil { mask = wanted }
        case 2:
          try? controller.setCost(
            rung: number(),
            points: (0..<Int.random(in: 0...9, using: &random)).map { _ in .init(work: number(), nanoseconds: number())
            })
          try? controller.setCost(
            rung: Int.random(in: 0..<rungs, using: &random),
            points: [.init(work: max(1, number()), nanoseconds: max(1, number()))])
        default: break
        }
        let work = number()
        let decision = controller.decide(work: work)
        #expect(decision.rung < rungs && mask >> UInt64(decision.rung) & 1 == 1, "seed \(seed) step \(step)")
        controller.observe(
          rung: Bool.random(using: &random) ? decision.rung : number(), work: number(), latencyNanoseconds: number(),
          wasInterrupted: [nil, false, true].randomElement(using: &random) ?? nil,
          expectedShare: Bool.random(using: &random) ? 1 : Double.random(in: -1...2, using: &random))
        #expect(controller.credit.isFinite && controller.waitRate.isFinite && controller.waitsMissed.isFinite)
        #expect((0...LatencyController.noiseCapacity).contains(controller.noiseCount))
        #expect(controller.slowdown.isFinite && controller.multiplier.isFinite && controller.held.isFinite)
        #expect(controller.recentMisses >= 0 && controller.slowdownVariance.isFinite && controller.spread.isFinite)
        #expect(controller.recentMisses <= controller.configuration.windowLength)
      }
    }
  }

  /// What probes have shown at one amount of work is no proof for another.
  @Test func probesCountForTheirWorkOnly() throws {
    var controller = try LatencyController(.init(rungCount: 2, budgetNanoseconds: 1000))
    _ = controller.decide(work: 1)
    controller.probesHeld = LatencyController.probesWanted
    _ = controller.decide(work: 2)
    #expect(controller.probesHeld == 0)
  }

  @Test func sameObservationsSameDecisions() throws {
    func run() throws -> [Decision] {
      var machine = SimulatedMachine(milliseconds: [4, 2, 1], "repeat")
      machine.load = { $0 % 100 < 50 ? 1 : 2 }
      var controller = try LatencyController(.init(rungCount: 3, budgetNanoseconds: 5_000_000))
      try controller.learnCosts(of: machine)
      return try controller.drive(&machine, runs: 500).decisions
    }
    #expect(try run() == run())
  }

  /// The state is trivial memory: a copied byte image goes on like the original.
  @Test func livesInPlainMemory() throws {
    var original = try LatencyController(.init(rungCount: 2, budgetNanoseconds: 1_000_000))
    try original.setCost(rung: 0, points: [.init(work: 1, nanoseconds: 900_000)])
    try original.setCost(rung: 1, points: [.init(work: 1, nanoseconds: 500_000)])
    let memory = UnsafeMutablePointer<LatencyController>.allocate(capacity: 1)
    defer { memory.deallocate() }
    UnsafeMutableRawPointer(memory).copyMemory(from: &original, byteCount: MemoryLayout<LatencyController>.size)
    for index in 0..<200 {
      #expect(memory.pointee.decide(work: 1) == original.decide(work: 1))
      memory.pointee.observe(rung: 0, work: 1, latencyNanoseconds: 900_000 + index * 10_000)
      original.observe(rung: 0, work: 1, latencyNanoseconds: 900_000 + index * 10_000)
    }
    print("control: state of \(MemoryLayout<LatencyController>.size) bytes")
  }

  @Test(arguments: [50.0, 90.0, 99.0]) func multiplierCoversItsShare(_ percentile: Double) throws {
    var random = SeededRandom("coverage \(percentile)")
    var controller = try LatencyController(
      .init(rungCount: 1, budgetNanoseconds: 1_000_000_000, percentile: percentile))
    try controller.setCost(rung: 0, points: [.init(work: 1, nanoseconds: 1_000_000)])
    var above = 0
    let runs = 20_000
    for _ in 0..<runs {
      let decision = controller.decide(work: 1)
      // Skewed: exponential tail on top of a constant.
      let tail = -0.1 * Double.logOfUniform(&random)
      let latency = Int(1_000_000 * (1 + tail))
      if latency > decision.predictedNanoseconds { above += 1 }
      controller.observe(rung: 0, work: 1, latencyNanoseconds: latency)
    }
    let share = Double(above) / Double(runs)
    print("control: p\(percentile): \(share * 100) % above the prediction")
    #expect(abs(share - (1 - percentile / 100)) < 0.01)
  }

  @Test func refusesBadSettings() throws {
    let good = ControllerConfiguration(rungCount: 4, budgetNanoseconds: 1000)
    func refused(_ field: String, _ change: (inout ControllerConfiguration) -> Void) {
      var configuration = good
      change(&configuration)
      do {
        _ = try LatencyController(configuration)
        Issue.record("\(field) accepted")
      } catch {
        #expect(error.status == .outOfRange && error.message.contains(field), "\(error)")
      }
    }
    refused("rung count") { $0.rungCount = 0 }
    refused("rung count") { $0.rungCount = 65 }
    refused("window length") { $0.windowLength = 7 }
    refused("dwell") { $0.dwell = 0 }
    refused("maximum dwell") { $0.maximumDwell = 1 }
    refused("percentile") { $0.percentile = 49.9 }
    refused("percentile") { $0.percentile = .nan }
    refused("budget") { $0.budgetNanoseconds = 0 }
    refused("learning rate") { $0.learningRate = .infinity }
    refused("cost error") { $0.costError = 0.009 }
    refused("cost error") { $0.costError = 0.21 }
    refused("cost error") { $0.costError = .nan }
    var controller = try LatencyController(good)
    #expect(throws: AdaptQError.self) { try controller.setCost(rung: 4, points: [.init(work: 1, nanoseconds: 1)]) }
    #expect(throws: AdaptQError.self) { try controller.setAllowed(mask: 0) }
    #expect(throws: AdaptQError.self) { try controller.setAllowed(mask: 16) }
    #expect(throws: AdaptQError.self) { try controller.setBudget(nanoseconds: -1, percentile: 95) }
  }
}

@Suite struct LatencyWindowTests {
  @Test func equalsSortingTheLastValues() {
    for seed in 0..<50 {
      var random = SeededRandom("window", seed)
      let length = Int.random(in: 1...256, using: &random)
      var window = LatencyWindow(length: length)
      #expect(window.value(atPercentile: 95) == 0)
      var all: [Int] = []
      for _ in 0..<600 {
        let value = Int.random(in: 0..<50, using: &random)
        all.append(value)
        window.append(value)
        let sorted = all.suffix(length).sorted()
        for percentile in [50.0, 90, 95, 99, 99.9] {
          let rank = sorted.indices.first { Double($0 + 1) / Double(sorted.count) >= percentile / 100 - 1e-12 } ?? 0
          #expect(window.value(atPercentile: percentile) == sorted[rank], "seed \(seed)")
        }
      }
    }
  }
}

@Suite struct CostCurveTests {
  @Test func interpolates() throws {
    let curve = try CostCurve(points: [
      .init(work: 10, nanoseconds: 100), .init(work: 20, nanoseconds: 300), .init(work: 40, nanoseconds: 500),
    ])
    for (work, expected) in [(1.0, 100.0), (10, 100), (15, 200), (20, 300), (30, 400), (40, 500), (60, 700)] {
      #expect(curve.nanoseconds(work) == expected, "work \(work)")
    }
    let single = try CostCurve(points: [.init(work: 10, nanoseconds: 100)])
    #expect(single.nanoseconds(5) == 100 && single.nanoseconds(30) == 300)
    #expect(CostCurve().nanoseconds(5) == 0)
  }

  @Test(arguments: [
    [], [CostPoint(work: 0, nanoseconds: 1)], [CostPoint(work: 1, nanoseconds: 0)],
    [CostPoint(work: 2, nanoseconds: 5), CostPoint(work: 2, nanoseconds: 6)],
    (1...9).map { CostPoint(work: $0, nanoseconds: 1) }, [CostPoint(work: 1, nanoseconds: Int.max)],
  ]) func refuses(_ points: [CostPoint]) {
    #expect(throws: AdaptQError.self) { try CostCurve(points: points) }
  }
}

@Suite struct TelemetryRingTests {
  @Test(arguments: [0, 1, 3, 8]) func keepsTheLast(_ capacity: Int) {
    let memory = GuardedBuffer<InferenceRecord>(count: capacity)
    var ring = TelemetryRing(base: memory.base, capacity: capacity)
    for run in 0..<20 {
      ring.append(.init(latencyNanoseconds: run, budgetNanoseconds: 10, work: 1, rung: 2, reason: .headroom))
      for limit in [0, 2, 100] {
        let copy = GuardedBuffer<InferenceRecord>(count: min(limit, capacity))
        let count = ring.copyLast(into: copy.base, capacity: limit)
        #expect(count == min(run + 1, capacity, limit))
        #expect((0..<count).map { copy[$0].sequence } == (0..<count).map { UInt64(run + 1 - count + $0) })
        for index in 0..<count { #expect(copy[index].missed == (copy[index].latencyNanoseconds > 10)) }
      }
    }
    #expect(ring.total == 20)
  }
}

extension Double {
  static func logOfUniform(_ random: inout SeededRandom) -> Double {
    // -ln(u) by summing up halvings and a short series: the tests need no C library for one logarithm.
    var u = Double.random(in: 1e-9..<1, using: &random)
    var result = 0.0
    while u < 0.5 {
      u *= 2
      result -= 0.693_147_180_559_945
    }
    let z = (u - 1) / (u + 1)
    return result + 2 * (z + z * z * z / 3 + z * z * z * z * z / 5)
  }
}
