import Base
import Control
import Graph
import Glibc
import NestedFormat

/// What a level costs on this machine.
public struct LevelCost: Sendable {
  public var level: Level
  /// Median at the largest prepared size.
  public var nanoseconds: Int
  public var points: [CostPoint]
}

/// Times a plan with made-up inputs: every level at a few sizes, with one or several numbers of threads, all of these interleaved so
/// that a moment of load does not fall on one of them alone, medians.
struct CostMeasurement {
  /// Shares of the largest work that are measured.
  static let shares: [Double] = [1, 0.5, 0.2, 0.05]
  /// Rounds at most, unless somebody wants more; fewer where a run is long.
  static let rounds = 5
  /// A size whose runs have taken this long gets no further round: so much for each of the rounds.
  static let roundBudget = 80_000_000

  /// What measured costs are taken to be wrong by, as a share, beyond what all of them are: medians of rounds in which levels take
  /// turns, on a machine that may not be idle. An assumption; docs/simulation.md shows what it costs where they are wrong by more.
  static let error = 0.06

  private let plan: ExecutionPlan
  private let levels: [Level]
  private let executor: ParallelExecutor
  /// Falling; the first are all.
  private let threads: [Int]
  private let rounds: Int
  /// When no further run is begun but the first of each level; nil: never.
  private let end: Int?

  /// - Parameters:
  ///   - nanoseconds: how long measuring may take, apart from the first run of each level; nil: as long as it takes.
  ///   - threads: numbers of threads to measure with besides all, falling: in the same time, so there are fewer rounds.
  init(
    _ plan: ExecutionPlan, _ levels: [Level], _ executor: ParallelExecutor, _ nanoseconds: Int? = nil,
    rounds: Int = CostMeasurement.rounds, fewerThreads threads: [Int] = []
  ) {
    self.threads = [executor.width] + threads
    self.plan = plan
    self.levels = levels
    self.executor = executor
    self.rounds = rounds
    end = nanoseconds.map { monotonicNanoseconds() &+ $0 }
  }

  private var isLate: Bool { end.map { monotonicNanoseconds() > $0 } ?? false }

  /// - Parameter steps: for each number of threads, gets how long the steps took, at each size and level.
  /// - Returns: costs for each number of threads. Without points where time did not suffice for so few threads.
  func measure(_ steps: [StepTimes]) throws(AdaptQError) -> [[LevelCost]] {
    let context = plan.context
    var size = 0
    var points = [[[CostPoint]]](
      repeating: [[CostPoint]](repeating: [], count: levels.count), count: threads.count)
    var seen: Set<Int> = []
    defer { for symbol in 0..<context.symbolCount { context.symbols[symbol] = context.maximumSymbols[symbol] } }
    // The largest size first: it is the one that must be known.
    for share in CostMeasurement.shares where seen.isEmpty || !isLate {
      for symbol in 0..<context.symbolCount {
        // All symbols shrink alike, so that their product shrinks by about the share.
        let factor = pow(share, 1 / Double(context.symbolCount))
        let maximum = context.maximumSymbols[symbol]
        context.symbols[symbol] = clampedInt(
          Double(maximum) * factor, in: min(context.minimumSymbols[symbol], maximum)...maximum)
      }
      context.resolveShapes()
      if !seen.insert(context.work).inserted { continue }
      for (row, times) in try times(steps, size).enumerated() where !times.isEmpty {
        for (index, nanoseconds) in times.enumerated() {
          points[row][index].append(CostPoint(work: context.work, nanoseconds: max(nanoseconds, 1)))
        }
        steps[row].finish(work: context.work, efforts: context.efforts)
      }
      size += 1
    }
    return points.map { points in
      levels.enumerated().map { index, level in
        LevelCost(
          level: level, nanoseconds: points[index].first?.nanoseconds ?? 0,
          points: points[index].sorted { $0.work < $1.work })
      }
    }
  }

  /// - Returns: nanoseconds of each level for each number of threads; empty where one has not been measured at every level.
  private func times(_ steps: [StepTimes], _ size: Int) throws(AdaptQError) -> [[Int]] {
    let variants = levels.indices.flatMap { level in threads.indices.map { (level: level, row: $0) } }
    var samples = [[Int]](repeating: [], count: variants.count)
    var first = [Int](repeating: 0, count: variants.count)
    let inputs = indexInputs()
    let begin = monotonicNanoseconds()
    for round in 0...rounds {
      for (index, (level, row)) in variants.enumerated() {
        // So few threads are measured while there is time.
        if row > 0 && (isLate || round > 0 && first[index] == 0) { continue }
        for (site, facts) in plan.model.graph.sites.enumerated() where facts.kind == .linear {
          plan.context.levels[site] = levels[level].rawValue
        }
        // Each run anew: later values of the run before may lie where inputs were.
        fillInputs(indexes: inputs)
        let elapsed = try time(steps[row], size, level, threads: row == 0 ? 0 : threads[row])
        // The first round warms caches and pages and counts only where there is no other.
        if round > 0 { samples[index].append(elapsed) } else { first[index] = max(elapsed, 1) }
      }
      if isLate || round > 0 && monotonicNanoseconds() - begin > rounds * CostMeasurement.roundBudget { break }
    }
    return threads.indices.map { row in
      let own = variants.indices.filter { variants[$0].row == row }
      if own.contains(where: { first[$0] == 0 }) { return [] }
      return own.map { samples[$0].isEmpty ? first[$0] : samples[$0].sorted()[samples[$0].count / 2] }
    }
  }

  /// One run; 0 threads are all.
  private func time(_ steps: StepTimes, _ size: Int, _ level: Int, threads: Int) throws(AdaptQError) -> Int {
    let start = monotonicNanoseconds()
    let own = executor.acquire(maximum: threads)
    var timed = plan.context
    timed.stepTimes = steps.current
    timed.codeTimes = steps.currentCodes
    steps.clear()
    let outcome = withUnsafePointer(to: timed) { PlanContext.execute($0, own) }
    own.release()
    let elapsed = monotonicNanoseconds() - start
    if outcome.kind == .cancelled { throw AdaptQError(.cancelled, "prepare was cancelled") }
    if outcome.kind != .done {
      // Index inputs are 0 here: only positions, which follow from the sizes, can lie outside a table.
      throw AdaptQError(
        .outOfRange,
        "maximum shapes: row \(outcome.index) of site \"\(plan.model.graph.sites[outcome.site].name)\" is needed, "
          + "it has \(outcome.rows) rows")
    }
    steps.keep(size: size, level: level)
    return elapsed
  }

  private func indexInputs() -> Set<Int32> {
    var indexes: Set<Int32> = []
    for step in 0..<plan.context.stepCount where plan.context.steps[step].kind == .embedding {
      indexes.insert(plan.context.steps[step].input0)
    }
    return indexes
  }

  /// Index inputs get 0, which every table has; other integers (masks) get 1; floats a ramp.
  private func fillInputs(indexes: Set<Int32>) {
    let context = plan.context
    for input in 0..<context.inputCount {
      let id = context.inputs[input]
      let slot = context.values[Int(id)]
      let type = plan.model.graph.values[Int(id)].type.element
      for position in 0..<slot.count {
        switch type {
        case .float32: slot.floats[position] = Float(position % 251) * 0.01 - 1.25
        case .int64: slot.data.assumingMemoryBound(to: Int64.self)[position] = indexes.contains(id) ? 0 : 1
        case .int32: slot.data.assumingMemoryBound(to: Int32.self)[position] = indexes.contains(id) ? 0 : 1
        }
      }
    }
  }
}
