import Base
import TestSupport
import Testing

@testable import Control

@Suite struct SharedSlowdownTests {
  private static let second = 1_000_000_000

  @Test func aWordHoldsBoth() {
    var random = SeededRandom("aWordHoldsBoth")
    for _ in 0..<1000 {
      let slowdown = Double(Float.random(in: 0.1...1000, using: &random))
      let time = Int.random(in: 0...(1 << 60), using: &random)
      let shared = SharedSlowdown(slowdown: slowdown, time: time)
      #expect(shared.isKnown && shared.slowdown == slowdown)
      #expect(SharedSlowdown(word: shared.word).slowdown == slowdown)
      let later = Int.random(in: 0...Self.second * 1000, using: &random)
      #expect((shared.age(at: time + later) - later).magnitude <= 1 << 20)
      #expect((1..<LoadHistory.wordCount).contains(LoadHistory.word(at: time)))
    }
    #expect(!SharedSlowdown(word: 0).isKnown)
    for wrong in [Double.nan, -1, .infinity, 0] {
      let merged = SharedSlowdown(slowdown: 2, time: 0).merged(slowdown: wrong, time: Self.second).slowdown
      #expect(merged >= 0.009 && merged <= 1000)
    }
  }

  @Test func mergingFollowsAll() {
    var shared = SharedSlowdown(slowdown: 1, time: Self.second)
    for turn in 1...40 {
      shared = shared.merged(slowdown: turn % 2 == 0 ? 1.8 : 2.2, time: Self.second + turn * 10_000_000)
    }
    #expect(shared.slowdown > 1.8 && shared.slowdown < 2.2)
    shared = shared.merged(slowdown: 1, time: 60 * Self.second)
    #expect(shared.slowdown < 1.05)
  }

  /// Others that run all the time, and what one that has paused learns from them.
  private struct History {
    var words = [UInt64](repeating: 0, count: LoadHistory.wordCount)

    mutating func run(from begin: Double, to end: Double, slowdown: Double, every period: Double = 0.03) {
      var time = begin
      while time < end {
        let now = Int(time * 1e9)
        words[0] = SharedSlowdown(word: words[0]).merged(slowdown: slowdown, time: now).word
        words[LoadHistory.word(at: now)] = words[0]
        time += period
      }
    }

    func change(since own: Double, at time: Double) -> Double {
      LoadHistory.change(since: Int(own * 1e9), at: Int(time * 1e9)) { words[$0] }
    }
  }

  @Test func whatChangedWhileOneWasAway() {
    var history = History()
    #expect(history.change(since: 5, at: 100) == 1)
    // Their own load counts for nothing: from 1.4 on, twice as much.
    history.run(from: 10, to: 20, slowdown: 1.4)
    history.run(from: 20, to: 25, slowdown: 2.8)
    #expect((history.change(since: 15, at: 25) - 2).magnitude < 0.01)
    #expect(history.change(since: 12, at: 25) > 1.98)
    // A short pause tells nothing, and who has run later than they have knows more.
    #expect(history.change(since: 24.5, at: 25) == 1)
    #expect(history.change(since: 26, at: 40) == 1)
    // Who has never run takes what they see.
    #expect((history.change(since: 0, at: 25) - 2.8).magnitude < 0.02)
    // It went and came: no change.
    history.run(from: 25, to: 30, slowdown: 1.4)
    #expect((history.change(since: 15, at: 30) - 1).magnitude < 0.01)
    // What nobody has looked at for long is hardly believed.
    history.run(from: 30, to: 31, slowdown: 2.8)
    let soon = history.change(since: 25, at: 31)
    let late = history.change(since: 25, at: 91)
    #expect(soon > 1.9 && late > 1 && late < 1.2)
    // A pause longer than the history: what is left of it.
    history.run(from: 31, to: 100, slowdown: 5.6)
    #expect((history.change(since: 20, at: 100) - 1).magnitude < 0.01)
  }

  /// Any words and times, such as those of a torn memory or a clock that goes back.
  @Test func anyNumbersAreSafe() throws {
    let fresh = try Self.controller()
    var random = SeededRandom("SharedSlowdownTests.any")
    let extreme = [Int.min, -1, 0, 1, Int.max]
    func number() -> Int {
      Bool.random(using: &random)
        ? extreme[Int.random(in: 0..<5, using: &random)] : Int(truncatingIfNeeded: random.next())
    }
    var words = [UInt64](repeating: 0, count: LoadHistory.wordCount)
    for _ in 0..<20_000 {
      words[Int.random(in: 0..<words.count, using: &random)] = random.next()
      let factor = LoadHistory.change(since: number(), at: number()) { words[$0] }
      var controller = fresh
      controller.resume(change: factor)
      #expect(controller.slowdown.isFinite && controller.slowdown > 0)
    }
  }

  private static func controller() throws -> LatencyController {
    var controller = try LatencyController(ControllerConfiguration(rungCount: 4, budgetNanoseconds: 10_000_000))
    for (rung, time) in [8, 6, 4, 2].enumerated() {
      try controller.setCost(rung: rung, points: [CostPoint(work: 1, nanoseconds: time * 1_000_000)])
    }
    return controller
  }

  /// Steady runs, then a pause in which the load has doubled: the first run after it is where it must be.
  @Test func goesDownAtOnce() throws {
    var controller = try Self.controller()
    for _ in 0..<100 {
      let rung = controller.decide(work: 1).rung
      #expect(rung == 0)
      controller.observe(rung: rung, work: 1, latencyNanoseconds: 8_000_000)
    }
    let small = controller.resume(change: 1.02)
    let none = controller.resume(change: .nan)
    #expect(!small && !none)
    let hasChanged = controller.resume(change: 2)
    let decision = controller.decide(work: 1)
    #expect(hasChanged && decision.rung == 2 && decision.reason == .predictedMiss)
  }

  /// The load has gone: a rung after every quarter of a dwell, without the dwell.
  @Test func goesUpWithoutADwell() throws {
    var controller = try Self.controller()
    var random = SeededRandom("goesUpWithoutADwell")
    func run(_ load: Double) -> Int {
      let rung = controller.decide(work: 1).rung
      let time = [8e6, 6e6, 4e6, 2e6][rung] * load * (1 + 0.02 * Double(random.normal()))
      controller.observe(rung: rung, work: 1, latencyNanoseconds: Int(time))
      return rung
    }
    var last = 0
    for _ in 0..<300 { last = run(2) }
    #expect(last == 2)
    let hasChanged = controller.resume(change: 0.5)
    var rungs: [Int] = []
    for _ in 0..<40 { rungs.append(run(1)) }
    #expect(hasChanged && rungs[20...].allSatisfy { $0 == 0 }, "\(rungs)")
  }
}
