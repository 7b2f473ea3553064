import Graph
import Kernels
import NestedFormat

// Runs a plan. From here on only unsafe pointers, trivial structs and integers.

extension PlanContext {
  /// Sets every value's sizes from the symbols of this run.
  @inline(__always)
  func resolveShapes() {
    for index in 0..<valueCount {
      for axis in 0..<values[index].rank {
        let source = values[index].sources[axis]
        values[index].dims[axis] = source >= 0 ? source : symbols[-1 &- source]
      }
    }
  }

  /// The product of the sizes the caller chose.
  @inline(__always)
  var work: Int {
    var product = 1
    for index in 0..<symbolCount { product &*= symbols[index] }
    return product
  }

  /// Executes all steps with the sizes and levels that are set, on the executor's threads.
  static func execute(_ plan: UnsafePointer<PlanContext>, _ executor: ParallelExecutor) -> RunOutcome {
    // The value whose 8-bit codes are in `quantized`: projections of the same input share them.
    var coded: Int32 = -1
    for index in 0..<plan.pointee.stepCount {
      let step = plan.pointee.steps + index
      switch step.pointee.kind {
      case .linear:
        if plan.pointee.level(step).isNested && coded != step.pointee.input0 {
          _ = ParallelWork.run(plan, step, .quantize, executor)
          coded = step.pointee.input0
        }
        _ = ParallelWork.run(plan, step, .main, executor)
      case .embedding:
        let bad = ParallelWork.run(plan, step, .main, executor)
        if bad >= 0 { return plan.pointee.outcome(step, bad) }
      default: _ = ParallelWork.run(plan, step, .main, executor)
      }
    }
    return RunOutcome()
  }

  @inline(__always)
  func slot(_ index: Int32) -> UnsafeMutablePointer<ValueSlot> { values + Int(index) }

  @inline(__always)
  func level(_ step: UnsafeMutablePointer<Step>) -> Level { Level(rawValue: levels[Int(step.pointee.site)]) ?? .int8 }

  private func outcome(_ step: UnsafeMutablePointer<Step>, _ bad: Int) -> RunOutcome {
    var outcome = RunOutcome()
    let site = Int(step.pointee.site)
    let ids = slot(step.pointee.input0)
    outcome.kind = .indexOutOfRange
    outcome.site = site
    outcome.position = bad
    outcome.rows = tables[site]?.rows ?? 0
    outcome.index =
      ids.pointee.elementByteCount == 8
      ? ids.pointee.data.assumingMemoryBound(to: Int64.self)[bad]
      : Int64(ids.pointee.data.assumingMemoryBound(to: Int32.self)[bad])
    return outcome
  }

  // MARK: - How a step is cut

  /// Elements that elementwise steps take at a time: whole vectors, so that where a piece begins changes nothing.
  static let elementsPerItem = 256

  /// Sets items, cost and panels of a step.
  func measure(_ work: inout ParallelWork, lanes: Int) {
    let step = work.step
    let y = slot(step.pointee.output)
    switch step.pointee.kind {
    case .linear:
      let weights = weights + Int(step.pointee.site)
      let rows = slot(step.pointee.input0).pointee.rows
      let (n, k) = (weights.pointee.n, weights.pointee.k)
      if work.part == .quantize {
        work.items = rows
        work.cost = rows &* k / 4
        return
      }
      let multiplications = rows &* n &* k
      work.cost = multiplications / (level(step).isNested ? rows > 4 ? 64 : 24 : rows > 4 ? 16 : 8)
      let blocks = weights.pointee.nBlocks
      let wanted = lanes &* 4
      // Panels of more than 32 rows: the same kernels serve them as all rows together.
      if lanes > 1 && blocks < wanted && n > 0 {
        let most = rows / max(64, 2 &* kernels.rowTile)
        work.panels = max(1, min(most, (wanted &+ blocks &- 1) / blocks))
      }
      work.items = blocks &* work.panels
    case .embedding:
      work.items = slot(step.pointee.input0).pointee.count
      work.cost = y.pointee.count / 4
    case .attention:
      let (q, k) = (slot(step.pointee.input0), slot(step.pointee.input1))
      let pairs = q.pointee.dims[0] &* q.pointee.dims[1] &* k.pointee.dims[1]
      work.items = q.pointee.dims[0] &* Int(step.pointee.count)
      work.cost = pairs &* (q.pointee.dims[2] &+ y.pointee.dims[2]) / 16 &+ pairs &* Int(step.pointee.count)
    case .layerNorm, .l2Normalize:
      work.items = y.pointee.rows
      work.cost = y.pointee.count / 2
    case .softmax:
      work.items = y.pointee.rows
      work.cost = y.pointee.count
    case .maskedMean:
      work.items = y.pointee.dims[0]
      work.cost = slot(step.pointee.input0).pointee.count / 4
    case .unary:
      work.items = (y.pointee.count &+ (PlanContext.elementsPerItem &- 1)) / PlanContext.elementsPerItem
      work.cost = y.pointee.count
    case .binary:
      work.items = isElementwise(step) ? (y.pointee.count &+ 255) / PlanContext.elementsPerItem : y.pointee.rows
      work.cost = y.pointee.count / 4
    case .range: break
    }
  }

  @inline(__always)
  func isElementwise(_ step: UnsafeMutablePointer<Step>) -> Bool {
    let count = slot(step.pointee.output).pointee.count
    return slot(step.pointee.input0).pointee.count == count && slot(step.pointee.input1).pointee.count == count
  }
}
