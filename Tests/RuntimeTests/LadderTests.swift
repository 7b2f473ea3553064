import Base
import Graph
import Kernels
import NestedFormat
import TestSupport
import Testing

@testable import Runtime

/// Sessions of models with stored plans: what the ladder holds, what limits leave of it, and that a run has the levels it says.
@Suite struct LadderTests {
  static let plans: [(levels: [Level], mean: Double, p5: Double)] = [
    ([.fp32, .fp32], 1, 1), ([.fp16, .fp16], 0.999999, 0.999998), ([.fp16, .int8], 0.9998, 0.9995),
    ([.int8, .int8], 0.9996, 0.999), ([.int8, .int6], 0.999, 0.9985), ([.int6, .int6], 0.998, 0.99),
    ([.int6, .int2], 0.97, 0.9), ([.int4, .int4], 0.96, 0.94), ([.int2, .int2], 0.5, -0.25),
  ]

  static func model() throws -> Model {
    let file = try ContainerWriter(builder: try SmallModel.builder(), keep: [.fp16, .fp32]).write()
    let set = PlanSet(
      reference: .fp32, rows: 10,
      plans: plans.map {
        PrecisionPlan(levels: $0.levels, quality: PlanQuality(meanCosine: $0.mean, p5Cosine: $0.p5))
      })
    return try Model(try Model(file, source: "plain").file(file, replacingPlans: set), source: "tuned")
  }

  static func session(_ levels: [Level] = Level.allCases) throws -> Session {
    let session = try Session(try model(), levels)
    try session.prepare(maximumShapes: [[2, 9], [2, 9]])
    return session
  }

  private func inputs(_ steps: Int = 5) -> [Tensor] {
    [.integers([1, steps], (0..<steps).map(Int64.init)), .integers([1, steps], [Int64](repeating: 1, count: steps))]
  }

  @Test func holdsThePlansOfItsLevels() throws {
    let all = try Self.session()
    #expect(all.ladder.map { Array($0.levels.dropFirst()) } == Self.plans.map(\.levels))
    #expect(all.ladder.allSatisfy { $0.levels[0] == .int8 }, "a table has no choice")
    #expect(all.ladder.map(\.uniformLevel) == Self.plans.map { $0.levels[0] == $0.levels[1] ? $0.levels[0] : nil })
    #expect(all.ladder.map(\.quality?.meanCosine) == Self.plans.map(\.mean))
    // Both sites have as many weights: the better level.
    #expect(all.ladder[2].mainLevel == .fp16 && all.ladder[6].mainLevel == .int6)
    let some = try Self.session([.int8, .int6, .fp16])
    #expect(some.levels == [.fp16, .int8, .int6])
    #expect(some.ladder.map(\.quality?.meanCosine) == [0.999999, 0.9998, 0.9996, 0.999, 0.998])
    let plain = try Session(try Model(try SmallModel.builder()), [.int8, .fp32])
    #expect(plain.ladder.map(\.uniformLevel) == [.fp32, .int8] && plain.ladder.allSatisfy { $0.quality == nil })
  }

  /// A fixed level is all sites at this level, whatever else the ladder has, and floors do not touch it.
  @Test func fixedLevels() throws {
    let session = try Self.session()
    #expect(session.setQualityFloor(mean: 0.9999, p5: 0) == .set)
    for level in Level.allCases {
      let report = try session.run(symbols: [1, 5], inputs(), level: level).report
      #expect(report.level == level && session.ladder[report.rung].uniformLevel == level && report.isFixed)
      #expect(session.siteLevels(sequence: report.sequence) == [.int8, level, level])
    }
  }

  /// Any limits: refused exactly when nothing is left, with the nearest value that is accepted; else every choice is within them.
  @Test func limitsHold() throws {
    let session = try Self.session()
    var random = SeededRandom("limitsHold")
    try session.setLatencyBudget(nanoseconds: 1, percentile: 95)
    var (levels, mean, p5) = (Set(Level.allCases), 0.0, 0.0)
    // No floor lets negative cosines pass.
    func left(_ levels: Set<Level>, _ mean: Double, _ p5: Double) -> [Int] {
      Self.plans.indices.filter {
        Set(Self.plans[$0].levels).isSubset(of: levels) && Self.plans[$0].mean >= mean
          && max(Self.plans[$0].p5, 0) >= p5
      }
    }
    var refused = 0
    for step in 0..<600 {
      if step % 2 == 0 {
        let wanted = Set(Level.allCases.filter { _ in Int.random(in: 0..<3, using: &random) > 0 })
        let outcome = session.setAllowed(wanted.contains)
        if wanted.isEmpty {
          #expect(outcome == .notInSession)
        } else if left(wanted, mean, p5).isEmpty {
          #expect(outcome != .set && outcome != .notInSession)
        } else {
          #expect(outcome == .set)
          levels = wanted
        }
      } else {
        func floor(_ values: [Double]) -> Double {
          min(
            max((values.randomElement(using: &random) ?? 0) + Double.random(in: -0.001...0.001, using: &random), 0), 1)
        }
        let wanted = (floor(Self.plans.map(\.mean) + [0]), floor(Self.plans.map(\.p5) + [0]))
        switch session.setQualityFloor(mean: wanted.0, p5: wanted.1) {
        case .set:
          #expect(!left(levels, wanted.0, wanted.1).isEmpty, "step \(step)")
          (mean, p5) = wanted
        case .meanUnreachable(let nearest):
          refused += 1
          #expect(nearest < wanted.0 && left(levels, nearest.nextUp, 0).isEmpty, "step \(step)")
          #expect(session.setQualityFloor(mean: nearest, p5: 0) == .set)
          (mean, p5) = (nearest, 0)
        case .p5Unreachable(let nearest):
          refused += 1
          #expect(nearest < wanted.1 && left(levels, wanted.0, nearest.nextUp).isEmpty, "step \(step)")
          #expect(session.setQualityFloor(mean: wanted.0, p5: nearest) == .set)
          (mean, p5) = (wanted.0, nearest)
        case .notInSession, .unknownQuality, .energyUnreachable, .powerUnreachable, .latencyUnreachable:
          Issue.record("step \(step)")
        }
      }
      let report = try session.run(symbols: [1, 5], inputs()).report
      #expect(left(levels, mean, p5).contains(report.rung), "step \(step): plan \(report.rung)")
      #expect(session.siteLevels(sequence: report.sequence) == session.ladder[report.rung].levels)
    }
    #expect(refused > 10)
    let plain = try Session(try Model(try SmallModel.builder()), [.int8, .fp32])
    #expect(plain.setQualityFloor(mean: 0.5, p5: 0) == .unknownQuality)
    #expect(plain.setQualityFloor(mean: 0, p5: 0.1) == .unknownQuality)
    #expect(plain.setQualityFloor(mean: 0, p5: 0) == .set)
  }

  /// Latency, floors and levels at once: set exactly when some plan is within all of them, else the limit that is named can hold with
  /// the value that is named, and nothing changes.
  @Test func budgetsHoldTogetherOrAreNamed() throws {
    let session = try Self.session()
    var random = SeededRandom("budgetsHoldTogetherOrAreNamed")
    let typical = session.ladder.indices.map { session.expectedNanoseconds(rung: $0).rounded() }
    func fitting(_ budget: SessionBudget) -> [Int] {
      session.ladder.indices.filter { rung in
        let plan = Self.plans[rung]
        let set = plan.levels.reduce(UInt64(0)) { $0 | $1.setBit }
        return (budget.levels == 0 || set & ~budget.levels == 0) && plan.mean >= budget.mean
          && max(plan.p5, 0) >= budget.p5 && budget.nanoseconds.map { typical[rung] <= Double($0) } ?? true
      }
    }
    var seen: Set<Int> = []
    for step in 0..<2000 {
      var budget = SessionBudget()
      let limit = (typical.randomElement(using: &random) ?? 1) * Double.random(in: 0.7...1.5, using: &random)
      if Bool.random(using: &random) { budget.nanoseconds = max(Int(limit), 1) }
      if Bool.random(using: &random) { budget.levels = UInt64.random(in: 1...63, using: &random) }
      budget.mean = (Self.plans.map(\.mean) + [0, 0, 0]).randomElement(using: &random) ?? 0
      if Int.random(in: 0..<4, using: &random) == 0 {
        budget.p5 = max(Self.plans.randomElement(using: &random)?.p5 ?? 0, 0)
      }
      let before = (session.mailbox[0], session.mailbox[2])
      let outcome = try session.setBudget(budget)
      if outcome == .set {
        seen.insert(0)
        #expect(!fitting(budget).isEmpty, "step \(step)")
        #expect(session.mailbox[0] & (1 << 50 - 1) == UInt64(budget.nanoseconds ?? 0))
        continue
      }
      #expect(fitting(budget).isEmpty && before == (session.mailbox[0], session.mailbox[2]), "step \(step): \(outcome)")
      // The limits before the one that is named are as they were; those behind it may be out of reach, too.
      var other = budget
      other.nanoseconds = nil
      switch outcome {
      case .meanUnreachable(let nearest):
        seen.insert(2)
        (other.mean, other.p5) = (nearest, 0)
      case .p5Unreachable(let nearest):
        seen.insert(3)
        other.p5 = nearest
      case .latencyUnreachable(let nearest):
        seen.insert(4)
        #expect(nearest > UInt64(budget.nanoseconds ?? 0))
        other.nanoseconds = Int(nearest)
      default: Issue.record("step \(step): \(outcome)")
      }
      #expect(try session.setBudget(other) == .set, "step \(step): \(outcome)")
    }
    #expect(seen == [0, 2, 3, 4])
    var wrong = SessionBudget()
    wrong.levels = 64
    #expect(try session.setBudget(wrong) == .notInSession)
    wrong = SessionBudget()
    (wrong.nanoseconds, wrong.percentile) = (1000, 20)
    #expect(throws: AdaptQError.self) { try session.setBudget(wrong) }
  }

  /// A call whose time is over goes down on the way: every site has the level of some plan, and those below the first plan's are
  /// counted. What limits forbid is not used either.
  @Test func deadlines() throws {
    let session = try Self.session()
    #expect(session.setQualityFloor(mean: 0.99, p5: 0.99) == .set)
    let allowed = session.ladder.filter { ($0.quality?.p5Cosine ?? 0) >= 0.99 }
    for _ in 0..<20 {
      let run = session.handle
      #expect(run.setSymbol(0, 2) && run.setSymbol(1, 9))
      run.resolveShapes()
      let memory = try MemoryBlock.allocate(byteCount: 4096, purpose: "test")
      for index in 0..<3 { run.bind(index, TensorBinding(data: memory.base + index * 1024, byteCount: 1024)) }
      let report = run.run(callLevel: 0, deadline: 1)
      let levels = try #require(session.siteLevels(sequence: report.sequence))
      let began = session.ladder[report.rung].levels
      #expect(report.deadlineMissed && report.droppedSites == zip(levels, began).count { $0 < $1 })
      for (site, level) in levels.enumerated() { #expect(allowed.contains { $0.levels[site] == level }) }
      withExtendedLifetime(memory) {}
    }
  }

  /// What the controller sees of a ladder, from the definition: mixes that are clearly faster somewhere than every better rung that
  /// is left, and all uniform levels.
  @Test func mixesThatWinNothing() {
    for seed in 0..<300 {
      var random = SeededRandom("mixesThatWinNothing", seed)
      let count = Int.random(in: 1...64, using: &random)
      let rungs = UnsafeMutablePointer<RungSlot>.allocate(capacity: count)
      defer { rungs.deallocate() }
      let sizes = Int.random(in: 0...4, using: &random)
      for index in 0..<count {
        var rung = Rung(Graph(), linear: [.int8, .int4], quality: nil)
        rung.uniformLevel = Int.random(in: 0..<4, using: &random) == 0 ? .int8 : nil
        var slot = RungSlot(rung, Graph(), isBest: index == 0)
        for size in 0..<4 { slot.costs[size] = Float.random(in: 1...2, using: &random) }
        (rungs + index).initialize(to: slot)
      }
      var dummy: UInt8 = 0
      let words = UnsafeMutablePointer<UInt64>.allocate(capacity: QualityWords.wordCount(rungs: count))
      defer { words.deallocate() }
      withUnsafeMutablePointer(to: &dummy) { levels in
        let ladder = LadderSlots(
          rungs: rungs, count: count, siteLevels: levels, siteCount: 0, quality: QualityWords(words: words),
          sizeCount: sizes)
        let mask = UInt64.random(in: 0...UInt64.max, using: &random) & (UInt64.max >> UInt64(64 - count))
        let steps = ladder.steps(of: mask, minimumGain: 0.03)
        var kept: [Int] = []
        for index in 0..<count where mask >> UInt64(index) & 1 == 1 {
          let isFaster = (0..<sizes).contains { size in
            kept.allSatisfy { rungs[index].costs[size] < rungs[$0].costs[size] * Float(1 - 0.03) }
          }
          if rungs[index].uniform != 0 || sizes == 0 || isFaster { kept.append(index) }
        }
        #expect(steps == kept.reduce(UInt64(0)) { $0 | UInt64(1) << UInt64($1) }, "seed \(seed)")
        #expect((steps == 0) == (mask == 0), "seed \(seed)")
      }
    }
  }
}
