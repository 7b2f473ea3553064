import Control
import TestSupport
import Testing

/// Frames in virtual time: products of a few matrices at what their level costs, times a speed, with noise; the host does work of
/// its own between them, and something else may take the CPU for a while before one of them.
@Suite struct FrameDeadlineTests {
  /// Best first; nanoseconds of one product by level, for matrices of three shapes.
  private static let levelCosts = [[4e5, 2.5e5, 2e5, 1.5e5], [1e6, 6e5, 5e5, 4e5], [3e5, 2.2e5, 1.4e5, 1e5]]
  private static let count = 24
  private static let rungs = 7

  private final class Tables {
    let costs = GuardedBuffer<Float>(count: 2 * count * 4)
    let columns = GuardedBuffer<UInt8>(count: count * rungs)
    let expected = GuardedBuffer<UInt32>(count: count)
    let done = GuardedBuffer<UInt32>(count: count)

    /// - Parameter sizes: the second one costs eight times as much.
    init() {
      for size in 0..<2 {
        for matrix in 0..<count {
          for level in 0..<4 {
            costs[(size * count + matrix) * 4 + level] = Float(levelCosts[matrix % 3][level] * (size == 0 ? 1 : 8))
          }
        }
      }
      // Rung r: all at level r / 2, on odd ones the second half of the matrices a level lower.
      for matrix in 0..<count {
        for rung in 0..<rungs {
          columns[matrix * rungs + rung] = UInt8(rung / 2 + (matrix >= count / 2 ? rung % 2 : 0))
        }
      }
    }

    var tables: FrameDeadline.Tables {
      FrameDeadline.Tables(
        costs: costs.base, columns: columns.base, expected: expected.base, done: done.base, matrixCount: count,
        levelCount: 4, rungCount: rungs)
    }

    func cost(_ matrix: Int, _ rung: Int) -> Double { Double(costs[matrix * 4 + Int(columns[matrix * rungs + rung])]) }
    func frame(_ order: [Int], _ rung: Int) -> Double { order.reduce(0) { $0 + cost($1, rung) } }
  }

  private struct Outcome {
    var rungs: [Int] = []
    var time = 0.0
    var couldHold = true
    var share = 0.0
    var dropped = 0
  }

  private func run(
    _ watch: inout FrameDeadline, _ tables: Tables, _ order: [Int], deadline: Double, speed: Double = 1,
    noise: Double = 0.03,
    host: Double = 2e4, wait: Double = 0, at place: Int = -1, _ random: inout SeededRandom
  ) -> Outcome {
    var outcome = Outcome()
    let start = 77_000
    func now() -> Int { start + Int(outcome.time) }
    watch.begin(rung: 0, size: 0, scale: 1, start: start, deadline: Int(deadline), slowdown: 1, host: 0)
    let cheapest = Self.rungs - 1
    for (index, matrix) in order.enumerated() {
      outcome.time += host
      if index == place {
        outcome.time += wait
        let rest = tables.frame(Array(order[index...]), cheapest) + host * Double(order.count - index - 1)
        outcome.couldHold = outcome.time + rest * speed <= deadline
      }
      let rung = watch.before(matrix, time: now())
      outcome.rungs.append(rung)
      let time = tables.cost(matrix, rung) * speed * max(0.5, 1 + noise * Double(random.normal()))
      outcome.time += time
      watch.after(matrix, nanoseconds: Int(time))
    }
    outcome.share = watch.finish(time: now(), host: 0)
    outcome.dropped = watch.droppedCount
    return outcome
  }

  private static let order = Array(0..<count)

  @Test func enoughTimeChangesNothing() {
    var random = SeededRandom("FrameDeadlineTests.enough")
    let tables = Tables()
    var watch = FrameDeadline(tables.tables)
    for _ in 0..<100 {
      let outcome = run(&watch, tables, Self.order, deadline: tables.frame(Self.order, 0) * 1.25, &random)
      #expect(outcome.rungs.allSatisfy { $0 == 0 } && outcome.dropped == 0 && outcome.share == 1)
    }
  }

  @Test func beginsWithTheBestThatFits() {
    var random = SeededRandom("FrameDeadlineTests.begins")
    let tables = Tables()
    for rung in 0..<Self.rungs {
      var watch = FrameDeadline(tables.tables)
      let outcome = run(
        &watch, tables, Self.order, deadline: tables.frame(Self.order, rung) * 1.04, noise: 0, host: 0, &random)
      #expect(outcome.rungs.allSatisfy { $0 == rung }, "\(rung): \(outcome.rungs)")
      #expect(outcome.dropped == 0)
    }
    var watch = FrameDeadline(tables.tables)
    let hopeless = run(&watch, tables, Self.order, deadline: 1000, noise: 0, &random)
    #expect(hopeless.rungs.allSatisfy { $0 == Self.rungs - 1 })
  }

  /// Something takes the CPU once. Where the cheapest rung could still make it, nearly all frames do, in any order of products.
  @Test(arguments: [false, true]) func disturbedFramesEndInTimeWhereTheyCan(_ isShuffled: Bool) {
    var random = SeededRandom("FrameDeadlineTests.disturbed")
    let tables = Tables()
    var watch = FrameDeadline(tables.tables)
    var (possible, inTime, dropped, better) = (0, 0, 0, 0.0)
    let deadline = tables.frame(Self.order, 0) * 1.2
    for _ in 0..<4000 {
      let order = isShuffled ? Self.order.shuffled(using: &random) : Self.order
      let outcome = run(
        &watch, tables, order, deadline: deadline, wait: Double.random(in: 0...deadline * 0.7, using: &random),
        at: Int.random(in: 4..<20, using: &random), &random)
      #expect(zip(outcome.rungs, outcome.rungs.dropFirst()).allSatisfy { $0 <= $1 }, "went up inside a frame")
      #expect(outcome.share > 0 && outcome.share <= 1 && (outcome.dropped > 0) == (outcome.share < 1))
      if !outcome.couldHold { continue }
      possible += 1
      if outcome.time <= deadline { inTime += 1 }
      if outcome.dropped > 0 { dropped += 1 }
      better += Double(outcome.rungs.count { $0 < Self.rungs - 1 }) / Double(Self.count)
    }
    print(
      "control: frames with a deadline, \(isShuffled ? "any order" : "one order"): \(inTime) of \(possible) in time,"
        + " \(dropped) went down, \(better / Double(possible)) of the products above the last rung")
    #expect(possible > 2000 && Double(inTime) >= 0.95 * Double(possible))
    #expect(better / Double(possible) > 0.5)
  }

  /// Every matrix twice, or half of them not at all: known from the second frame on.
  @Test func otherProductsAreLearned() {
    var random = SeededRandom("FrameDeadlineTests.other")
    let tables = Tables()
    for order in [Self.order + Self.order, Array(Self.order[..<12]), [5, 5, 5, 1]] {
      var watch = FrameDeadline(tables.tables)
      let deadline = tables.frame(order, 4) * 1.06 + 2e4 * Double(order.count)
      _ = run(&watch, tables, order, deadline: deadline, &random)
      for _ in 0..<6 { _ = run(&watch, tables, order, deadline: deadline, noise: 0, &random) }
      let outcome = run(&watch, tables, order, deadline: deadline, noise: 0, &random)
      #expect(outcome.time <= deadline && outcome.rungs.allSatisfy { (3...5).contains($0) }, "\(order): \(outcome)")
    }
  }

  /// A frame that makes other products than the one before: safe, and back to normal with the next one.
  @Test func strangeFramesAreSafe() {
    var random = SeededRandom("FrameDeadlineTests.strange")
    let tables = Tables()
    var watch = FrameDeadline(tables.tables)
    let deadline = tables.frame(Self.order, 2) * 1.1
    for _ in 0..<300 {
      var order: [Int] = []
      for _ in 0..<Int.random(in: 0..<60, using: &random) {
        order.append(Int.random(in: 0..<Self.count, using: &random))
      }
      let outcome = run(&watch, tables, order, deadline: deadline, &random)
      #expect(outcome.rungs.allSatisfy { (0..<Self.rungs).contains($0) } && watch.speed.isFinite && watch.speed > 0)
    }
    for _ in 0..<12 { _ = run(&watch, tables, Self.order, deadline: deadline, &random) }
    let outcome = run(&watch, tables, Self.order, deadline: deadline, &random)
    #expect(outcome.time <= deadline * 1.02 && outcome.rungs[0] <= 3)
  }

  @Test(arguments: [1.2, 1.6]) func slowMachinesAreNoticed(_ speed: Double) {
    var random = SeededRandom("FrameDeadlineTests.slow")
    let tables = Tables()
    let deadline = tables.frame(Self.order, 1) * 1.1
    var inTime = 0
    for _ in 0..<300 {
      // The first frame on it.
      var watch = FrameDeadline(tables.tables)
      if run(&watch, tables, Self.order, deadline: deadline, speed: speed, &random).time <= deadline { inTime += 1 }
    }
    #expect(inTime >= 270)
  }

  /// Whatever a clock and a caller say.
  @Test func anyNumbersAreSafe() {
    var random = SeededRandom("FrameDeadlineTests.any")
    let extreme = [Int.min, -1, 0, 1, Int.max]
    func number() -> Int {
      Bool.random(using: &random)
        ? extreme[Int.random(in: 0..<5, using: &random)] : Int(truncatingIfNeeded: random.next())
    }
    let tables = Tables()
    var watch = FrameDeadline(tables.tables)
    for _ in 0..<2000 {
      watch.begin(
        rung: Int.random(in: 0..<Self.rungs, using: &random), size: Int.random(in: 0..<2, using: &random),
        scale: [0, 1e-9, 1, 1e9][Int.random(in: 0..<4, using: &random)], start: number(), deadline: number(),
        slowdown: 1, host: 0)
      var isSound = true
      for _ in 0..<Int.random(in: 0..<50, using: &random) {
        let matrix = Int.random(in: 0..<Self.count, using: &random)
        let rung = watch.before(matrix, time: number())
        watch.after(matrix, nanoseconds: number())
        if !(0..<Self.rungs).contains(rung) || !watch.speed.isFinite || watch.speed <= 0 { isSound = false }
      }
      let share = watch.finish(time: number(), host: 0)
      #expect(isSound && share > 0 && share <= 1)
    }
  }
}
