import Base
import Control
import Graph
import Hardware
import Kernels
import NestedFormat
import TestSupport
import Testing

@testable import Runtime

/// Plans that mix levels: the numbers they give, and what they are predicted to cost.
@Suite struct PlanCostTests {
  static let levels: [Level] = [.fp32, .fp16, .int8, .int6, .int4, .int2]

  /// Five projections of one input, whose 8-bit codes they share, each an output; one more of a sum.
  static func model(_ random: inout SeededRandom) throws -> Model {
    var builder = GraphBuilder()
    let x = builder.input("x", .float32, [builder.symbol("rows"), .fixed(70)])
    var outputs: [ValueID] = []
    for index in 0..<5 {
      let site = try builder.linearSite("\(index)", try .random([20, 70], scale: 0.3, &random), bias: nil)
      outputs.append(try builder.add(.linear(site), x))
    }
    let sum = try builder.add(.binary(.add), outputs[0], outputs[1])
    let last = try builder.linearSite("last", try .random([9, 20], scale: 0.3, &random), bias: nil)
    for (index, output) in outputs.enumerated() { builder.output("y\(index)", output) }
    builder.output("z", try builder.add(.linear(last), sum))
    return try Model(builder)
  }

  static func outputs(_ session: Session, _ x: [Float], rows: Int, _ levels: [Level]) throws -> [[Float]] {
    let run = session.handle
    #expect(run.setSymbol(0, rows))
    run.resolveShapes()
    let input = try MemoryBlock.allocate(byteCount: x.count * 4, purpose: "test")
    for (index, value) in x.enumerated() { input.base.storeBytes(of: value, toByteOffset: index * 4, as: Float.self) }
    run.bind(0, TensorBinding(data: input.base, byteCount: x.count * 4))
    let blocks = try (0..<run.outputCount).map {
      try MemoryBlock.allocate(byteCount: run.outputByteCount($0), purpose: "test")
    }
    for (index, block) in blocks.enumerated() {
      run.bind(1 + index, TensorBinding(data: block.base, byteCount: run.outputByteCount(index)))
    }
    #expect(run.run(siteLevels: levels.map(\.rawValue)).outcome.kind == .done)
    return (0..<blocks.count).map { index in
      (0..<run.outputByteCount(index) / 4).map {
        blocks[index].base.load(fromByteOffset: $0 * 4, as: Float.self)
      }
    }
  }

  /// Each projection gives the bits that it gives when all sites have its level: nobody reads codes made for another level.
  @Test(arguments: [false, true]) func mixesShareCodes(_ isGenerated: Bool) throws {
    let set = KernelSet(
      features: KernelFeatures(CPUFeatures.live(), maximum: try InstructionSet.maximumFromEnvironment()))
    var random = SeededRandom("mixesShareCodes")
    let model = try Self.model(&random)
    let session = try Session(model, kernels: isGenerated ? set.table : .portable)
    try session.prepare(maximumShapes: [[12, 70]])
    for rows in [1, 3, 12] {
      let x = (0..<rows * 70).map { _ in random.normal() }
      var uniform: [Level: [[Float]]] = [:]
      for level in Self.levels {
        uniform[level] = try Self.outputs(session, x, rows: rows, model.graph.sites.map { _ in level })
      }
      for _ in 0..<60 {
        let levels = model.graph.sites.map { _ in Self.levels.randomElement(using: &random) ?? .int8 }
        let found = try Self.outputs(session, x, rows: rows, levels)
        for index in 0..<5 {
          #expect(found[index] == uniform[levels[index]]?[index], "\(levels.map(\.name)), \(index)")
        }
      }
    }
    withExtendedLifetime(set) {}
  }

  /// Runs that a controller does not choose teach it nothing and are not in the telemetry.
  @Test func givenLevelsLeaveNoTrace() throws {
    var random = SeededRandom("givenLevelsLeaveNoTrace")
    let model = try Self.model(&random)
    let session = try Session(model)
    try session.prepare(maximumShapes: [[3, 70]])
    let levels = model.graph.sites.map { _ in Level.int4 }
    _ = try Self.outputs(session, (0..<70).map { _ in random.normal() }, rows: 1, levels)
    #expect(session.lastInferences(10).isEmpty && session.state.pointee.controller.counters.runs == 0)
  }

  // MARK: - Prediction

  private final class Fixture {
    let model: Model
    let plan: ExecutionPlan
    let states: StateMemory
    let words: UnsafeMutablePointer<UInt64>

    init(_ model: Model, _ maximum: Int) throws {
      self.model = model
      states = try StateMemory(model.graph, calls: .live)
      words = .allocate(capacity: 2)
      words.initialize(repeating: 0, count: 2)
      RunControl(words: words).begin()
      plan = try ExecutionPlan(
        model: model, maximumSymbols: [maximum], kernels: .portable, states: states.slots,
        control: RunControl(words: words))
    }

    deinit { words.deallocate() }
  }

  /// The predictor makes codes at exactly the steps where the executor does.
  @Test func codesAreMadeWhereTheExecutorMakesThem() throws {
    var random = SeededRandom("codesAreMade")
    let fixture = try Fixture(try Self.model(&random), 64)
    let stepCount = fixture.plan.context.stepCount
    let times = try StepTimes(levelCount: 6, stepCount: stepCount, sizeCount: 1, calls: .live)
    // Making codes takes time and nothing else does.
    for level in 0..<6 {
      times.clear()
      for step in 0..<stepCount where level >= 2 {
        times.current[step] = 1
        times.currentCodes[step] = 1
      }
      times.keep(size: 0, level: level)
    }
    times.finish(work: 64)
    let measured = Self.levels.map {
      LevelCost(level: $0, nanoseconds: stepCount, points: [.init(work: 64, nanoseconds: stepCount)])
    }
    let costs = try PlanCosts(fixture.plan, times, measured, calls: .live)
    let counted = UnsafeMutablePointer<Int>.allocate(capacity: stepCount)
    let codes = UnsafeMutablePointer<Int>.allocate(capacity: stepCount)
    defer {
      counted.deallocate()
      codes.deallocate()
    }
    for _ in 0..<200 {
      let levels = fixture.model.graph.sites.map { _ in Self.levels.randomElement(using: &random) ?? .int8 }
      for (site, level) in levels.enumerated() { fixture.plan.context.levels[site] = level.rawValue }
      counted.initialize(repeating: 0, count: stepCount)
      var context = fixture.plan.context
      codes.initialize(repeating: 0, count: stepCount)
      (context.stepTimes, context.codeTimes) = (counted, codes)
      context.resolveShapes()
      let outcome = withUnsafePointer(to: context) { PlanContext.execute($0, .alone) }
      #expect(outcome.kind == .done)
      costs.forEachStep(levels, size: 0) { step, nanoseconds in
        if fixture.plan.context.steps[step].kind != .linear { return }
        #expect((codes[step] > 0) == (nanoseconds > 0), "\(levels.map(\.name)), step \(step)")
      }
    }
    withExtendedLifetime(fixture) {}
  }

  /// Random times: a uniform plan costs what was measured; a mix costs its products, its codes once, and its share of the rest.
  @Test func sumsTheSteps() throws {
    var random = SeededRandom("sumsTheSteps")
    let fixture = try Fixture(try Self.model(&random), 64)
    let stepCount = fixture.plan.context.stepCount
    let times = try StepTimes(levelCount: 6, stepCount: stepCount, sizeCount: 2, calls: .live)
    var totals = [[Int]](repeating: [], count: 2)
    for size in 0..<2 {
      for level in 0..<6 {
        var sum = 0
        times.clear()
        for step in 0..<stepCount {
          // Projections of x are steps 0 to 4, the first makes codes for all; step 5 adds, step 6 is the last product.
          let code = level >= 2 && (step == 0 || step == 6) ? Int.random(in: 100...900, using: &random) : 0
          let own = Int.random(in: 1000...9000, using: &random)
          times.currentCodes[step] = code
          times.current[step] = own + code
          sum += own + code
        }
        times.keep(size: size, level: level)
        // A run that was held up somewhere changes nothing.
        for step in 0..<stepCount { times.current[step] += Int.random(in: 0...5000, using: &random) }
        times.keep(size: size, level: level)
        totals[size].append(sum)
      }
      times.finish(work: [64, 8][size])
    }
    #expect(stepCount == 7)
    // Whole runs take twice what the steps add up to.
    let measured = Self.levels.indices.map { level in
      LevelCost(
        level: Self.levels[level], nanoseconds: 2 * totals[0][level],
        points: [
          .init(work: 8, nanoseconds: 2 * totals[1][level]), .init(work: 64, nanoseconds: 2 * totals[0][level]),
        ])
    }
    let costs = try PlanCosts(fixture.plan, times, measured, calls: .live)
    #expect(costs.works == [64, 8])
    for (index, level) in Self.levels.enumerated() {
      #expect(costs.points(fixture.model.graph.sites.map { _ in level }) == measured[index].points, "\(level.name)")
    }
    for _ in 0..<100 {
      let size = Int.random(in: 0...1, using: &random)
      let chosen = (0..<6).map { _ in Int.random(in: 0..<6, using: &random) }
      func own(_ step: Int, _ level: Int) -> Double { Double(2 * times.product(step, level: level, size: size)) }
      func code(_ step: Int, _ level: Int) -> Double { Double(2 * times.coding(step, level: level, size: size)) }
      var expected = 0.0
      for step in 0..<5 { expected += own(step, chosen[step]) }
      expected += own(6, chosen[5]) + (chosen[5] >= 2 ? code(6, chosen[5]) : 0)
      for level in chosen { expected += own(5, level) / 6 }
      // The first product of x with codes makes them; the first INT8 one again, unless it was the first.
      let nested = chosen[0..<5].filter { $0 >= 2 }
      if let first = nested.first { expected += code(0, first) }
      if let first = nested.first, first != 2, nested.contains(2) { expected += code(0, 2) }
      let found = costs.nanoseconds(chosen.map { Self.levels[$0] }, size: size)
      #expect(abs(found - expected) < 1e-6 * expected, "\(chosen)")
      let least = costs.leastNanoseconds(chosen.map { Self.levels[$0] }, size: size)
      #expect(abs(2 * least - expected) < 1e-6 * expected, "\(chosen)")
      // A site's own cost: its product and its part of the codes.
      for site in 0..<6 {
        let step = site == 5 ? 6 : site
        let share = chosen[site] < 2 ? 0 : site == 5 ? code(6, chosen[site]) : code(0, chosen[site]) / 5
        let cost = costs.siteNanoseconds(site, Self.levels[chosen[site]], size: size)
        #expect(abs(2 * cost - own(step, chosen[site]) - share) < 1e-6 * cost)
      }
    }
    withExtendedLifetime(fixture) {}
  }

  /// Shares fall from 1 to 0 and are those of the prediction.
  @Test func sharesOfSteps() throws {
    var random = SeededRandom("sharesOfSteps")
    let model = try Self.model(&random)
    let session = try Session(model)
    try session.prepare(maximumShapes: [[40, 70]])
    let shares = session.state.pointee.shares
    let costs = try #require(session.planCosts)
    #expect(shares.sizeCount == costs.works.count && shares.rungCount == session.ladder.count)
    for (size, work) in costs.works.enumerated() {
      let base = try #require(shares.nearest(work))
      for (rung, item) in session.ladder.enumerated() {
        let row = base + rung * (shares.stepCount + 1)
        #expect(abs(row[0] - 1) < 1e-5 && row[shares.stepCount] == 0)
        let total = costs.nanoseconds(item.levels, size: size)
        var passed = 0.0
        costs.forEachStep(item.levels, size: size) { step, nanoseconds in
          #expect(abs(Double(row[step]) - (1 - passed / total)) < 1e-5)
          passed += nanoseconds
        }
      }
    }
  }
}
