import Base
import Control

// Deadlines of single runs: how the time of a run is spread over its steps, measured, and what a run asks between them.

/// For each measured size and rung the share of a run's time from each step to the end. Points into ``ShareTable``.
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

/// Memory for ``DeadlineShares``.
final class ShareTable {
  private let memory: MemoryBlock
  let shares: DeadlineShares
  var byteCount: Int { memory.byteCount }

  /// - Parameters:
  ///   - costs: what each rung is predicted to take, step by step.
  init(_ ladder: [Rung], _ costs: PlanCosts, stepCount: Int, calls: SystemCalls) throws(AdaptQError) {
    let sizeCount = min(costs.works.count, 4)
    let rows = try checkedProduct(ladder.count, sizeCount, "shares of steps")
    let count = try checkedProduct(rows, stepCount + 1, "shares of steps")
    memory = try MemoryBlock.allocate(
      byteCount: try checkedProduct(max(count, 1), 4, "shares of steps"), purpose: "shares of steps", calls: calls)
    let base = memory.base.assumingMemoryBound(to: Float.self)
    var shares = DeadlineShares(base: UnsafePointer(base), rungCount: ladder.count, stepCount: stepCount)
    shares.sizeCount = sizeCount
    for size in 0..<sizeCount {
      shares.works[size] = costs.works[size]
      for (rung, item) in ladder.enumerated() {
        let target = base + (size * ladder.count + rung) * (stepCount + 1)
        let total = costs.nanoseconds(item.levels, size: size)
        var left = total
        costs.forEachStep(item.levels, size: size) { step, nanoseconds in
          target[step] = total > 0 ? Float(max(left, 0) / total) : 0
          left -= nanoseconds
        }
        target[stepCount] = 0
      }
    }
    self.shares = shares
  }
}

/// One run with a deadline.
struct DeadlineRun: BitwiseCopyable {
  var watch: DeadlineWatch
  var ladder: LadderSlots

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
        ladder: state.pointee.ladder))
    return run
  }

  /// Before a step that has weights.
  @inline(__always)
  mutating func check(_ plan: UnsafePointer<PlanContext>, _ step: Int) {
    let before = watch.rung
    let rung = watch.rung(atStep: step, time: monotonicNanoseconds())
    if rung != before { setLevels(plan, from: step, ladder.levels(rung)) }
  }

  @inline(never)
  private func setLevels(_ plan: UnsafePointer<PlanContext>, from first: Int, _ levels: UnsafePointer<UInt8>) {
    for index in first..<plan.pointee.stepCount {
      let step = plan.pointee.steps + index
      switch step.pointee.kind {
      case .linear, .convolution: setLevel(plan, step.pointee.site, levels)
      case .gru:
        setLevel(plan, step.pointee.site, levels)
        setLevel(plan, step.pointee.site1, levels)
      default: break
      }
    }
  }

  @inline(__always)
  private func setLevel(_ plan: UnsafePointer<PlanContext>, _ site: Int32, _ levels: UnsafePointer<UInt8>) {
    let site = Int(site)
    if site >= 0 { plan.pointee.levels[site] = levels[site] }
  }
}
