import Graph
import Kernels
import NestedFormat

// Runs a plan. From here on only unsafe pointers, trivial structs and integers.

extension PlanContext {
  /// Sets every value's sizes from the symbols of this run.
  @inline(__always)
  func resolveShapes() {
    for index in 0..<derivedCount {
      let size = derived[index]
      // At least 1, since the symbol is not below its minimum.
      symbols[symbolCount &+ index] = (symbols[size.symbol] &+ size.plus) / size.over
    }
    for index in 0..<lengthCount {
      // Memory suffices for a full state; a run that would need more is refused before it begins.
      let state = states + lengths[index].state
      let length = min(state.pointee.length &+ appended(lengths[index]), state.pointee.maximum)
      symbols[symbolCount &+ derivedCount &+ index] = length
    }
    for index in 0..<valueCount {
      for axis in 0..<values[index].rank {
        let source = values[index].sources[axis]
        values[index].dims[axis] = source >= 0 ? source : symbols[-1 &- source]
      }
    }
  }

  /// Rows that this run appends.
  @inline(__always)
  func appended(_ length: LengthSlot) -> Int {
    length.source >= 0 ? length.source : symbols[-1 &- length.source]
  }

  /// The first state that has no room for what this run appends, or -1.
  @inline(__always)
  var fullState: Int {
    for index in 0..<lengthCount {
      let state = states + lengths[index].state
      if state.pointee.length &+ appended(lengths[index]) > state.pointee.maximum { return lengths[index].state }
    }
    return -1
  }

  /// The product of the sizes the caller chose.
  @inline(__always)
  var work: Int {
    var product = 1
    for index in 0..<symbolCount { product &*= symbols[index] }
    return product
  }

  /// Executes all steps with the sizes and levels that are set, on the executor's threads.
  ///
  /// - Parameter deadline: lowers the levels of later steps when the time left asks for it.
  static func execute(
    _ plan: UnsafePointer<PlanContext>, _ executor: ParallelExecutor,
    deadline: UnsafeMutablePointer<DeadlineRun>? = nil
  ) -> RunOutcome {
    // The value of which `quantized` holds the form that products at `codedLevel` read: projections of the same input share it.
    var coded: Int32 = -1
    var codedLevel = Level.int8
    // The value that an activation left there and nowhere else, and the level at which it is to be read.
    var onlyCoded: Int32 = -1
    var readAt = Level.int8
    for index in 0..<plan.pointee.stateCount { plan.pointee.states[index].isWritten = false }
    let isTraced = plan.pointee.trace.function != nil
    let stepTimes = plan.pointee.stepTimes
    let siteRanges = plan.pointee.siteRanges
    let isTimed = isTraced || stepTimes != nil
    var index = 0
    while index < plan.pointee.stepCount {
      let step = plan.pointee.steps + index
      if plan.pointee.control.isStopped {
        var outcome = RunOutcome()
        outcome.kind = .cancelled
        return outcome
      }
      let position = index
      index &+= 1
      if let deadline, step.pointee.isCheckpoint { deadline.pointee.check(plan, position) }
      let begin = isTimed ? monotonicNanoseconds() : 0
      if let siteRanges { plan.pointee.gatherRange(step, siteRanges) }
      switch step.pointee.kind {
      case .linear:
        // A lower rung may have a float level here; what exists as codes only is read as codes.
        if step.pointee.input0 == onlyCoded && coded == onlyCoded && !plan.pointee.level(step).isNested {
          plan.pointee.levels[Int(step.pointee.site)] = readAt.rawValue
        }
        let level = plan.pointee.level(step)
        let rows = plan.pointee.slot(step.pointee.input0).pointee.rows
        if plan.pointee.kernels.preparesInput(level, rows: rows)
          && (coded != step.pointee.input0 || !ProductInput.serves(level, madeFor: codedLevel))
        {
          _ = ParallelWork.run(plan, step, .quantize, executor)
          if let codeTimes = plan.pointee.codeTimes { codeTimes[position] &+= monotonicNanoseconds() &- begin }
          coded = step.pointee.input0
          codedLevel = level
        }
        _ = ParallelWork.run(plan, step, .main, executor)
      case .embedding:
        let bad = ParallelWork.run(plan, step, .main, executor)
        if bad >= 0 { return plan.pointee.outcome(step, bad) }
      case .unary:
        // Ranges are taken of floats.
        if siteRanges == nil && plan.pointee.activationCodes(step) != nil {
          _ = ParallelWork.run(plan, step, .codes, executor)
          // They serve every level that reads codes.
          (coded, codedLevel) = (step.pointee.output, .int8)
          (onlyCoded, readAt) = (coded, plan.pointee.level(step))
        } else {
          _ = ParallelWork.run(plan, step, .main, executor)
        }
      case .layerNorm, .binary, .attention, .softmax, .range, .maskedMean, .l2Normalize:
        _ = ParallelWork.run(plan, step, .main, executor)
      case .compare: plan.pointee.compareStep(step)
      case .convolution:
        plan.pointee.convolutionStep(step)
        coded = -1
      case .gru:
        plan.pointee.gruStep(step)
        coded = -1
      case .writeState: plan.pointee.writeStateStep(step)
      case .appendState: plan.pointee.appendStateStep(step)
      case .copy: plan.pointee.copyStep(step)
      case .branch:
        if plan.pointee.integer(plan.pointee.slot(step.pointee.input0), 0) == 0 { index = Int(step.pointee.target) }
      case .jump: index = Int(step.pointee.target)
      case .loopBegin: if !plan.pointee.beginsLoop(step) { index = Int(step.pointee.target) }
      case .loopEnd:
        // The next iteration writes the same values anew.
        coded = -1
        if plan.pointee.repeatsLoop(step) { index = Int(step.pointee.target) }
      }
      if let stepTimes { stepTimes[position] &+= monotonicNanoseconds() &- begin }
      if isTraced { plan.pointee.report(step, position, begin: begin) }
    }
    return RunOutcome()
  }

  @inline(__always)
  func slot(_ index: Int32) -> UnsafeMutablePointer<ValueSlot> { values + Int(index) }

  @inline(__always)
  func level(_ step: UnsafeMutablePointer<Step>) -> Level { Level(rawValue: levels[Int(step.pointee.site)]) ?? .int8 }

  /// The kernel that leaves an activation's result as codes, if the one product that reads it does so at its present level.
  @inline(__always)
  func activationCodes(_ step: UnsafeMutablePointer<Step>) -> Kernel? {
    if step.pointee.site < 0 || !level(step).isNested { return nil }
    return kernels.activationCodes(UnaryOperation(rawValue: step.pointee.function) ?? .gelu)
  }

  /// Adds the rows of a step's input to the range of its site: of a GRU's recurrent site nothing is known.
  @inline(never)
  private func gatherRange(_ step: UnsafeMutablePointer<Step>, _ ranges: UnsafeMutablePointer<RangeSums>) {
    switch step.pointee.kind {
    case .linear, .convolution, .gru: break
    default: return
    }
    let x = slot(step.pointee.input0)
    ranges[Int(step.pointee.site)].add(x.pointee.floats, rows: x.pointee.rows, width: x.pointee.width)
  }

  private func outcome(_ step: UnsafeMutablePointer<Step>, _ bad: Int) -> RunOutcome {
    var outcome = RunOutcome()
    let site = Int(step.pointee.site)
    let ids = slot(step.pointee.input0)
    outcome.kind = .indexOutOfRange
    outcome.site = site
    outcome.position = bad
    outcome.rows = tables[site]?.rows ?? 0
    outcome.index = integer(ids, bad)
    return outcome
  }

  /// Element `position` of a value of integers.
  @inline(__always)
  func integer(_ value: UnsafeMutablePointer<ValueSlot>, _ position: Int) -> Int64 {
    value.pointee.elementByteCount == 8
      ? value.pointee.data.assumingMemoryBound(to: Int64.self)[position]
      : Int64(value.pointee.data.assumingMemoryBound(to: Int32.self)[position])
  }

  // MARK: - How a step is cut

  /// Elements that elementwise steps take at a time: whole vectors, so that where a piece begins changes nothing.
  static let elementsPerItem = 256
  /// With fewer rows a panel's weights take longer to decode than threads lose by exchanging rows.
  static let leastPanelRows = 24

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
        // Little work, but a thread that did all of it would take rows out of the others' caches and give them back.
        work.cost = rows &* k / 2
        return
      }
      let multiplications = rows &* n &* k
      let usesBFloat16 = kernels.usesBFloat16(level(step), rows: rows)
      work.cost =
        multiplications / (level(step).isNested ? rows > 4 ? 64 : 24 : rows > 4 ? usesBFloat16 ? 32 : 16 : 8)
      let blocks = kernels.shares(weights.pointee.nBlocks, level(step), rows: rows)
      let wanted = lanes &* 4
      let cut = kernels.rowCut(level(step), rows: rows)
      work.rowCut = cut
      if lanes > 1 && rows / lanes >= max(PlanContext.leastPanelRows, cut) && cut < kernels.rowTile {
        // Every thread its own rows, which the steps before and behind leave and find in its caches.
        work.panels = lanes
      } else if lanes > 1 && blocks < wanted && n > 0 {
        // Panels of more than 32 rows: the same kernels serve them as all rows together.
        let most = rows / max(64, 2 &* cut)
        work.panels = max(1, min(most, (wanted &+ blocks &- 1) / blocks))
      }
      work.items = blocks &* work.panels
    case .embedding:
      work.items = slot(step.pointee.input0).pointee.count
      // Rows far apart: each waits for memory.
      work.cost = y.pointee.count / 2
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
    case .unary where work.part == .codes:
      work.items = y.pointee.rows
      work.cost = y.pointee.count / 2
    case .unary:
      work.items = (y.pointee.count &+ (PlanContext.elementsPerItem &- 1)) / PlanContext.elementsPerItem
      work.cost = y.pointee.count
    case .binary:
      work.items = isElementwise(step) ? (y.pointee.count &+ 255) / PlanContext.elementsPerItem : y.pointee.rows
      work.cost = y.pointee.count / 2
    default: break
    }
  }

  @inline(__always)
  func isElementwise(_ step: UnsafeMutablePointer<Step>) -> Bool {
    let count = slot(step.pointee.output).pointee.count
    return slot(step.pointee.input0).pointee.count == count && slot(step.pointee.input1).pointee.count == count
  }
}
