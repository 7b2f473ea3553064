import Graph
import Kernels
import NestedFormat

// Runs a plan on the calling thread. From here on only unsafe pointers, trivial structs and integers.

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

  /// Executes all steps with the sizes and levels that are set.
  func execute() -> RunOutcome {
    // The value whose 8-bit codes are in `quantized`: projections of the same input share them.
    var coded: Int32 = -1
    for index in 0..<stateCount { states[index].isWritten = false }
    let isTraced = trace.function != nil
    var index = 0
    while index < stepCount {
      let step = steps + index
      if control.isStopped {
        var outcome = RunOutcome()
        outcome.kind = .cancelled
        return outcome
      }
      let position = index
      index &+= 1
      let begin = isTraced ? monotonicNanoseconds() : 0
      switch step.pointee.kind {
      case .linear: linearStep(step, &coded)
      case .embedding:
        let outcome = embeddingStep(step)
        if outcome.kind != .done { return outcome }
      case .layerNorm: layerNormStep(step)
      case .unary:
        let (x, y) = (slot(step.pointee.input0), slot(step.pointee.output))
        let operation = UnaryOperation(rawValue: step.pointee.function) ?? .gelu
        if operation == .gelu {
          gelu(kernels, x.pointee.floats, y.pointee.floats, count: y.pointee.count)
        } else {
          Operators.apply(operation, x.pointee.floats, y.pointee.floats, count: y.pointee.count)
        }
      case .binary: binaryStep(step)
      case .attention: attentionStep(step)
      case .softmax: softmaxStep(step)
      case .range:
        let output = slot(step.pointee.output)
        let numbers = output.pointee.data.assumingMemoryBound(to: Int64.self)
        for position in 0..<output.pointee.count { numbers[position] = Int64(truncatingIfNeeded: position) }
      case .maskedMean: maskedMeanStep(step)
      case .l2Normalize:
        let (x, y) = (slot(step.pointee.input0), slot(step.pointee.output))
        let width = y.pointee.width
        Operators.l2NormalizeRows(
          x.pointee.floats, xStride: width, rows: y.pointee.rows, width: width, eps: step.pointee.number,
          y.pointee.floats, yStride: width)
      case .compare: compareStep(step)
      case .convolution:
        convolutionStep(step)
        coded = -1
      case .gru:
        gruStep(step)
        coded = -1
      case .writeState: writeStateStep(step)
      case .appendState: appendStateStep(step)
      case .copy: copyStep(step)
      case .branch: if integer(slot(step.pointee.input0), 0) == 0 { index = Int(step.pointee.target) }
      case .jump: index = Int(step.pointee.target)
      case .loopBegin: if !beginsLoop(step) { index = Int(step.pointee.target) }
      case .loopEnd:
        // The next iteration writes the same values anew.
        coded = -1
        if repeatsLoop(step) { index = Int(step.pointee.target) }
      }
      if isTraced { report(step, position, begin: begin) }
    }
    return RunOutcome()
  }

  @inline(__always)
  func slot(_ index: Int32) -> UnsafeMutablePointer<ValueSlot> { values + Int(index) }

  private func linearStep(_ step: UnsafeMutablePointer<Step>, _ coded: inout Int32) {
    let site = Int(step.pointee.site)
    let (x, y) = (slot(step.pointee.input0), slot(step.pointee.output))
    let rows = x.pointee.rows
    let weights = weights + site
    let level = Level(rawValue: levels[site]) ?? .int8
    if level.isNested {
      let activations = QuantizedActivations(memory: quantized, rows: rows, k: weights.pointee.k)
      if coded != step.pointee.input0 {
        quantize(x: x.pointee.floats, xRowStride: weights.pointee.k, into: activations, kernels)
        coded = step.pointee.input0
      }
      linearQuantized(
        weights.pointee, level, kernels, x: activations, y: y.pointee.floats, yRowStride: weights.pointee.n,
        firstBlock: 0, blocks: weights.pointee.nBlocks, scratch: scratch)
    } else {
      linearDense(
        weights.pointee, level, kernels, x: x.pointee.floats, xRowStride: weights.pointee.k, rows: rows,
        y: y.pointee.floats, yRowStride: weights.pointee.n, firstBlock: 0, blocks: weights.pointee.nBlocks,
        scratch: scratch)
    }
  }

  private func embeddingStep(_ step: UnsafeMutablePointer<Step>) -> RunOutcome {
    var outcome = RunOutcome()
    let site = Int(step.pointee.site)
    guard let table = tables[site] else { return outcome }
    let (ids, y) = (slot(step.pointee.input0), slot(step.pointee.output))
    let count = ids.pointee.count
    let wide = ids.pointee.elementByteCount == 8
    let bad =
      wide
      ? Operators.gatherRows(
        table, ids: ids.pointee.data.assumingMemoryBound(to: Int64.self), count: count, y.pointee.floats,
        yStride: table.k)
      : Operators.gatherRows(
        table, ids: ids.pointee.data.assumingMemoryBound(to: Int32.self), count: count, y.pointee.floats,
        yStride: table.k)
    if bad >= 0 {
      outcome.kind = .indexOutOfRange
      outcome.site = site
      outcome.position = bad
      outcome.rows = table.rows
      outcome.index =
        wide
        ? ids.pointee.data.assumingMemoryBound(to: Int64.self)[bad]
        : Int64(ids.pointee.data.assumingMemoryBound(to: Int32.self)[bad])
    }
    return outcome
  }

  private func layerNormStep(_ step: UnsafeMutablePointer<Step>) {
    let (x, y) = (slot(step.pointee.input0), slot(step.pointee.output))
    let width = y.pointee.width
    let residual = step.pointee.input3 >= 0 ? UnsafePointer(slot(step.pointee.input3).pointee.floats) : nil
    layerNorm(
      kernels, x.pointee.floats, xStride: width, residual: residual, residualStride: width,
      gamma: slot(step.pointee.input1).pointee.floats, beta: slot(step.pointee.input2).pointee.floats,
      eps: step.pointee.number, rows: y.pointee.rows, width: width, y.pointee.floats, yStride: width)
  }

  private func softmaxStep(_ step: UnsafeMutablePointer<Step>) {
    let (x, y) = (slot(step.pointee.input0), slot(step.pointee.output))
    let width = y.pointee.width
    if x.pointee.data != y.pointee.data {
      y.pointee.data.copyMemory(from: x.pointee.data, byteCount: y.pointee.count &* 4)
    }
    softmaxRows(
      kernels, y.pointee.floats, rows: y.pointee.rows, width: width, rowStride: width, scale: 1, mask: nil,
      maskRowStride: 0)
  }

  private func maskedMeanStep(_ step: UnsafeMutablePointer<Step>) {
    let (x, keep, y) = (slot(step.pointee.input0), slot(step.pointee.input1), slot(step.pointee.output))
    let (steps, width) = (x.pointee.dims[1], x.pointee.dims[2])
    for batch in 0..<x.pointee.dims[0] {
      for position in 0..<steps { attention[position] = isKept(keep, batch &* steps &+ position) ? 1 : 0 }
      Operators.meanRows(
        x.pointee.floats + batch &* steps &* width, xStride: width, weights: attention, rows: steps, width: width,
        y.pointee.floats + batch &* width)
    }
  }

  @inline(__always)
  private func isKept(_ keep: UnsafeMutablePointer<ValueSlot>, _ position: Int) -> Bool {
    integer(keep, position) != 0
  }

  /// Element `position` of a value of integers.
  @inline(__always)
  func integer(_ value: UnsafeMutablePointer<ValueSlot>, _ position: Int) -> Int64 {
    value.pointee.elementByteCount == 8
      ? value.pointee.data.assumingMemoryBound(to: Int64.self)[position]
      : Int64(value.pointee.data.assumingMemoryBound(to: Int32.self)[position])
  }
}

// MARK: - Attention and broadcasting

extension PlanContext {
  /// Head by head: keys and values are packed like weights, so that the float product kernel serves both products.
  fileprivate func attentionStep(_ step: UnsafeMutablePointer<Step>) {
    let q = values + Int(step.pointee.input0)
    let k = values + Int(step.pointee.input1)
    let v = values + Int(step.pointee.input2)
    let y = values + Int(step.pointee.output)
    let heads = Int(step.pointee.count)
    let (queries, keys) = (q.pointee.dims[1], k.pointee.dims[1])
    let (qWidth, vWidth) = (q.pointee.dims[2], v.pointee.dims[2])
    let (d, e) = (qWidth / heads, vWidth / heads)
    let scores = attention
    let packed = attention + (scoreCount &+ 15) / 16 &* 16
    let mask = packed + packedCount
    let scoreStride = (keys &+ 15) / 16 &* 16
    for batch in 0..<q.pointee.dims[0] {
      let keep = step.pointee.input3
      if keep >= 0 {
        for key in 0..<keys {
          // As Hugging Face has it: the most negative finite number, so that a row without any key stays finite.
          mask[key] = isKept(values + Int(keep), batch &* keys &+ key) ? 0 : -Float.greatestFiniteMagnitude
        }
      }
      for head in 0..<heads {
        let kBase = k.pointee.floats + (batch &* keys &* qWidth &+ head &* d)
        let vBase = v.pointee.floats + (batch &* keys &* vWidth &+ head &* e)
        Operators.packTransposed(kBase, xStride: qWidth, rows: keys, width: d, into: packed)
        matmul(
          kernels, x: q.pointee.floats + (batch &* queries &* qWidth &+ head &* d), xRowStride: qWidth, rows: queries,
          panel: packed, n: keys, k: d, alpha: 1, y: scores, yRowStride: scoreStride, scratch: scratch)
        softmaxRows(
          kernels, scores, rows: queries, width: keys, rowStride: scoreStride, scale: step.pointee.number,
          mask: keep >= 0 ? UnsafePointer(mask) : nil, maskRowStride: 0)
        Operators.packRows(vBase, xStride: vWidth, rows: keys, width: e, into: packed)
        matmul(
          kernels, x: scores, xRowStride: scoreStride, rows: queries, panel: packed, n: e, k: keys, alpha: 1,
          y: y.pointee.floats + (batch &* queries &* vWidth &+ head &* e), yRowStride: vWidth, scratch: scratch)
      }
    }
  }

  fileprivate func binaryStep(_ step: UnsafeMutablePointer<Step>) {
    let a = values + Int(step.pointee.input0)
    let b = values + Int(step.pointee.input1)
    let y = values + Int(step.pointee.output)
    let width = y.pointee.width
    let rows = y.pointee.rows
    let operation = BinaryOperation(rawValue: step.pointee.function) ?? .add
    if a.pointee.count == y.pointee.count && b.pointee.count == y.pointee.count {
      Operators.apply(operation, a.pointee.floats, b.pointee.floats, y.pointee.floats, count: rows &* width)
      return
    }
    let aElement = a.pointee.width == width ? 1 : 0
    let bElement = b.pointee.width == width ? 1 : 0
    for row in 0..<rows {
      let aRow = a.pointee.floats + broadcastOffset(a, y, row)
      let bRow = b.pointee.floats + broadcastOffset(b, y, row)
      Operators.applyRows(
        operation, RowOperand(aRow, rowStride: 0, elementStride: aElement),
        RowOperand(bRow, rowStride: 0, elementStride: bElement), y.pointee.floats + row &* width, yRowStride: 0,
        rows: 1, width: width)
    }
  }

  /// Where the operand's row for output row `row` begins: sizes of 1 stay at 0.
  @inline(__always)
  func broadcastOffset(
    _ operand: UnsafeMutablePointer<ValueSlot>, _ output: UnsafeMutablePointer<ValueSlot>, _ row: Int
  ) -> Int {
    var rest = row
    var offset = 0
    var stride = operand.pointee.width
    var axis = output.pointee.rank &- 2
    while axis >= 0 {
      let size = output.pointee.dims[axis]
      let position = rest % size
      rest /= size
      let own = axis &- (output.pointee.rank &- operand.pointee.rank)
      if own >= 0 {
        if operand.pointee.dims[own] != 1 { offset &+= position &* stride }
        stride &*= operand.pointee.dims[own]
      }
      axis &-= 1
    }
    return offset
  }
}
