import Base
import Control

// Deadlines of single runs: how the time of a run is spread over its steps, measured, and what a run asks between them.

/// For each measured size and rung the share of a run's time from each step to the end. Points into ``StepTimes``.
struct DeadlineShares: BitwiseCopyable {
  var base: UnsafePointer<Float>?
  var rungCount = 0
  var stepCount = 0
  var sizeCount = 0
  var works = InlineArray<4, Int>(repeating: 0)

  /// Those of the size that is nearest to `work`, `[rung][step + 1]`.
  @inline(__always)
  func nearest(_ work: Int) -> UnsafePointer<Float>? {
    guard let base else { return nil }
    var best = 0
    for size in 1..<max(sizeCount, 1) where distance(size, work) < distance(best, work) { best = size }
    return base + best &* rungCount &* (stepCount &+ 1)
  }

  /// As a ratio: sizes differ by factors.
  @inline(__always)
  private func distance(_ size: Int, _ work: Int) -> Double {
    let (a, b) = (Double(works[size]), Double(work))
    return max(a, b) / max(min(a, b), 1)
  }
}

/// Memory for ``DeadlineShares`` and for the times they come from. Costs are measured into it, once.
final class StepTimes {
  private let memory: MemoryBlock
  private let times: UnsafeMutablePointer<Int>
  private let fractions: UnsafeMutablePointer<Float>
  private(set) var shares = DeadlineShares()
  var byteCount: Int { memory.byteCount }

  init(rungCount: Int, stepCount: Int, sizeCount: Int, calls: SystemCalls) throws(AdaptQError) {
    let rows = try checkedProduct(rungCount, sizeCount, "step times")
    let count = try checkedProduct(rows, stepCount + 1, "step times")
    var layout = BlockLayout()
    let timesAt = try layout.reserve(Int.self, count)
    let sharesAt = try layout.reserve(Float.self, count)
    memory = try MemoryBlock.allocate(byteCount: layout.byteCount, purpose: "step times", calls: calls)
    times = (memory.base + timesAt).assumingMemoryBound(to: Int.self)
    fractions = (memory.base + sharesAt).assumingMemoryBound(to: Float.self)
    times.update(repeating: 0, count: count)
    shares.rungCount = rungCount
    shares.stepCount = stepCount
  }

  /// Where the executor adds what each step takes.
  func times(size: Int, rung: Int) -> UnsafeMutablePointer<Int> { times + row(size, rung) }

  private func row(_ size: Int, _ rung: Int) -> Int { (size * shares.rungCount + rung) * (shares.stepCount + 1) }

  /// All runs of this size are done.
  func finish(size: Int, work: Int) {
    for rung in 0..<shares.rungCount {
      let (source, target) = (times + row(size, rung), fractions + row(size, rung))
      var total = 0
      for step in 0..<shares.stepCount { total += source[step] }
      var left = total
      for step in 0...shares.stepCount {
        target[step] = total > 0 ? Float(Double(left) / Double(total)) : 0
        if step < shares.stepCount { left -= source[step] }
      }
    }
    if size < 4 { shares.works[size] = work }
    shares.sizeCount = size + 1
    shares.base = UnsafePointer(fractions)
  }
}

/// One run with a deadline.
struct DeadlineRun: BitwiseCopyable {
  var watch: DeadlineWatch
  /// Levels of the rungs.
  var rungs: InlineArray<8, UInt8>
  var isTable: UnsafeMutablePointer<UInt8>

  /// Makes the session's memory for it ready.
  ///
  /// - Returns: nil where no shares have been measured, as before the first preparation.
  @inline(__always)
  static func begin(
    _ state: UnsafeMutablePointer<SessionState>, rung: Int, work: Int, start: Int, deadline: Int
  ) -> UnsafeMutablePointer<DeadlineRun>? {
    guard let shares = state.pointee.shares.nearest(work) else { return nil }
    let run = state.pointee.deadlineRun
    run.initialize(
      to: DeadlineRun(
        watch: DeadlineWatch(
          state.pointee.controller, rung: rung, work: work, start: start, deadline: deadline, shares: shares,
          stepCount: state.pointee.shares.stepCount),
        rungs: state.pointee.rungs, isTable: state.pointee.isTable))
    return run
  }

  /// Before a step that has weights.
  @inline(__always)
  mutating func check(_ plan: UnsafePointer<PlanContext>, _ step: Int) {
    let before = watch.rung
    let rung = watch.rung(atStep: step, time: monotonicNanoseconds())
    if rung != before { setLevels(plan, from: step, rungs[rung]) }
  }

  @inline(never)
  private func setLevels(_ plan: UnsafePointer<PlanContext>, from first: Int, _ level: UInt8) {
    for index in first..<plan.pointee.stepCount {
      let step = plan.pointee.steps + index
      switch step.pointee.kind {
      case .linear, .convolution: setLevel(plan, step.pointee.site, level)
      case .gru:
        setLevel(plan, step.pointee.site, level)
        setLevel(plan, step.pointee.site1, level)
      default: break
      }
    }
  }

  @inline(__always)
  private func setLevel(_ plan: UnsafePointer<PlanContext>, _ site: Int32, _ level: UInt8) {
    let site = Int(site)
    if site >= 0 && isTable[site] == 0 { plan.pointee.levels[site] = level }
  }
}
