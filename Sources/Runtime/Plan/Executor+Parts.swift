import Graph
import Kernels
import NestedFormat

// Parts of steps, on the calling thread: items `first ..< end` of what ``PlanContext/measure(_:lanes:)`` says, in the
// working memory of one lane.

extension PlanContext {
  func perform(_ work: UnsafeMutablePointer<ParallelWork>, _ first: Int, _ end: Int, lane: Int) {
    let step = work.pointee.step
    switch step.pointee.kind {
    case .linear:
      if work.pointee.part == .quantize {
        quantizePart(step, first, end)
      } else {
        linearPart(step, first, end, panels: work.pointee.panels, rowCut: work.pointee.rowCut, lane)
      }
    case .embedding: embeddingPart(work, first, end)
    case .layerNorm: layerNormPart(step, first, end)
    case .unary where work.pointee.part == .codes: codesPart(step, first, end)
    case .unary:
      let (x, y) = (slot(step.pointee.input0), slot(step.pointee.output))
      let begin = first &* PlanContext.elementsPerItem
      let count = min(end &* PlanContext.elementsPerItem, y.pointee.count) &- begin
      let operation = UnaryOperation(rawValue: step.pointee.function) ?? .gelu
      if operation == .gelu {
        gelu(kernels, x.pointee.floats + begin, y.pointee.floats + begin, count: count)
      } else {
        Operators.apply(operation, x.pointee.floats + begin, y.pointee.floats + begin, count: count)
      }
    case .binary: binaryPart(step, first, end)
    case .attention: attentionPart(step, first, end, lane)
    case .softmax: softmaxPart(step, first, end)
    case .range:
      let output = slot(step.pointee.output)
      let numbers = output.pointee.data.assumingMemoryBound(to: Int64.self)
      for position in 0..<output.pointee.count { numbers[position] = Int64(truncatingIfNeeded: position) }
    case .maskedMean: maskedMeanPart(step, first, end, lane)
    case .l2Normalize:
      let (x, y) = (slot(step.pointee.input0), slot(step.pointee.output))
      let width = y.pointee.width
      Operators.l2NormalizeRows(
        x.pointee.floats + first &* width, xStride: width, rows: end &- first, width: width, eps: step.pointee.number,
        y.pointee.floats + first &* width, yStride: width)
    // Not shared: the executor does them itself.
    default: break
    }
  }

  @inline(__always)
  private func scratch(_ lane: Int) -> UnsafeMutableRawPointer { scratch + lane &* scratchStride }

  @inline(__always)
  private func attention(_ lane: Int) -> UnsafeMutablePointer<Float> {
    (UnsafeMutableRawPointer(attention) + lane &* attentionStride).assumingMemoryBound(to: Float.self)
  }

  private func quantizePart(_ step: UnsafeMutablePointer<Step>, _ first: Int, _ end: Int) {
    let x = slot(step.pointee.input0)
    let k = weights[Int(step.pointee.site)].k
    ProductInput(x: x.pointee.floats, xRowStride: k, prepared: quantized, rows: x.pointee.rows, k: k)
      .prepare(level(step), kernels, firstRow: first, rowCount: end &- first)
  }

  /// The activation's result as the input of the next product.
  private func codesPart(_ step: UnsafeMutablePointer<Step>, _ first: Int, _ end: Int) {
    guard let kernel = activationCodes(step) else { return }
    let x = slot(step.pointee.input0)
    let (rows, width) = (x.pointee.rows, x.pointee.width)
    Kernels.activationCodes(
      kernel, kernels, x: x.pointee.floats, xRowStride: width,
      into: QuantizedActivations(memory: quantized, rows: rows, k: width), firstRow: first, rowCount: end &- first)
  }

  /// Items are blocks of outputs, or as many as kernels take at once, for each panel of rows after the other.
  private func linearPart(
    _ step: UnsafeMutablePointer<Step>, _ first: Int, _ end: Int, panels: Int, rowCut: Int, _ lane: Int
  ) {
    let weights = weights + Int(step.pointee.site)
    let (n, k) = (weights.pointee.n, weights.pointee.k)
    let (x, y) = (slot(step.pointee.input0), slot(step.pointee.output))
    let level = level(step)
    let rows = x.pointee.rows
    let unit = kernels.blocksAtOnce(level, rows: rows)
    let blocks = kernels.shares(weights.pointee.nBlocks, level, rows: rows)
    let input = ProductInput(x: x.pointee.floats, xRowStride: k, prepared: quantized, rows: rows, k: k)
    var item = first
    while item < end {
      let panel = item / blocks
      let block = item &- panel &* blocks
      let count = min(end &- item, blocks &- block)
      let firstRow = panelStart(panel, panels, rows, rowCut)
      let rowCount = panelStart(panel &+ 1, panels, rows, rowCut) &- firstRow
      let target = y.pointee.floats + firstRow &* n
      input.multiply(
        weights.pointee, level, kernels, firstRow: firstRow, rowCount: rowCount, y: target, yRowStride: n,
        firstBlock: block &* unit, blocks: min(count &* unit, weights.pointee.nBlocks &- block &* unit),
        scratch: scratch(lane))
      item &+= count
    }
  }

  @inline(__always)
  private func panelStart(_ panel: Int, _ panels: Int, _ rows: Int, _ cut: Int) -> Int {
    panel == panels ? rows : rows / cut &* panel / panels &* cut
  }

  private func embeddingPart(_ work: UnsafeMutablePointer<ParallelWork>, _ first: Int, _ end: Int) {
    let step = work.pointee.step
    guard let table = tables[Int(step.pointee.site)] else { return }
    let (ids, y) = (slot(step.pointee.input0), slot(step.pointee.output))
    let target = y.pointee.floats + first &* table.k
    let bad =
      ids.pointee.elementByteCount == 8
      ? Operators.gatherRows(
        table, ids: ids.pointee.data.assumingMemoryBound(to: Int64.self) + first, count: end &- first, target,
        yStride: table.k)
      : Operators.gatherRows(
        table, ids: ids.pointee.data.assumingMemoryBound(to: Int32.self) + first, count: end &- first, target,
        yStride: table.k)
    if bad >= 0 { ParallelWork.noteBad(work, first &+ bad) }
  }

  private func layerNormPart(_ step: UnsafeMutablePointer<Step>, _ first: Int, _ end: Int) {
    let (x, y) = (slot(step.pointee.input0), slot(step.pointee.output))
    let width = y.pointee.width
    let begin = first &* width
    let residual = step.pointee.input3 >= 0 ? UnsafePointer(slot(step.pointee.input3).pointee.floats + begin) : nil
    layerNorm(
      kernels, x.pointee.floats + begin, xStride: width, residual: residual, residualStride: width,
      gamma: slot(step.pointee.input1).pointee.floats, beta: slot(step.pointee.input2).pointee.floats,
      eps: step.pointee.number, rows: end &- first, width: width, y.pointee.floats + begin, yStride: width)
  }

  private func softmaxPart(_ step: UnsafeMutablePointer<Step>, _ first: Int, _ end: Int) {
    let (x, y) = (slot(step.pointee.input0), slot(step.pointee.output))
    let width = y.pointee.width
    let target = y.pointee.floats + first &* width
    if x.pointee.data != y.pointee.data {
      UnsafeMutableRawPointer(target).copyMemory(
        from: x.pointee.floats + first &* width, byteCount: (end &- first) &* width &* 4)
    }
    softmaxRows(
      kernels, target, rows: end &- first, width: width, rowStride: width, scale: 1, mask: nil, maskRowStride: 0)
  }

  private func maskedMeanPart(_ step: UnsafeMutablePointer<Step>, _ first: Int, _ end: Int, _ lane: Int) {
    let (x, keep, y) = (slot(step.pointee.input0), slot(step.pointee.input1), slot(step.pointee.output))
    let (steps, width) = (x.pointee.dims[1], x.pointee.dims[2])
    let kept = attention(lane)
    for batch in first..<end {
      for position in 0..<steps { kept[position] = isKept(keep, batch &* steps &+ position) ? 1 : 0 }
      Operators.meanRows(
        x.pointee.floats + batch &* steps &* width, xStride: width, weights: kept, rows: steps, width: width,
        y.pointee.floats + batch &* width)
    }
  }

  @inline(__always)
  private func isKept(_ keep: UnsafeMutablePointer<ValueSlot>, _ position: Int) -> Bool {
    integer(keep, position) != 0
  }

  /// Items are heads, batch by batch.
  private func attentionPart(_ step: UnsafeMutablePointer<Step>, _ first: Int, _ end: Int, _ lane: Int) {
    let (q, k) = (slot(step.pointee.input0), slot(step.pointee.input1))
    let (v, y) = (slot(step.pointee.input2), slot(step.pointee.output))
    let heads = Int(step.pointee.count)
    let (queries, keys) = (q.pointee.dims[1], k.pointee.dims[1])
    let (qWidth, vWidth) = (q.pointee.dims[2], v.pointee.dims[2])
    let (width, valueWidth) = (qWidth / heads, vWidth / heads)
    let mask = attention(lane)
    // Copied once, not for every head.
    let (kernels, arithmetic) = (kernels, arithmetic(step))
    var kept = KeptKeys(count: keys, isMasked: false)
    var keptBatch = -1
    for item in first..<end {
      let batch = item / heads
      let head = item &- batch &* heads
      if step.pointee.input3 >= 0 && batch != keptBatch {
        kept = keptKeys(slot(step.pointee.input3), first: batch &* keys, count: keys, mask)
        keptBatch = batch
      }
      let (row, column) = (batch &* queries, head &* width)
      let one = AttentionHead(
        q: q.pointee.floats + (row &* qWidth &+ column), qStride: qWidth,
        k: k.pointee.floats + (batch &* keys &* qWidth &+ column), kStride: qWidth,
        v: v.pointee.floats + (batch &* keys &* vWidth &+ head &* valueWidth), vStride: vWidth,
        y: y.pointee.floats + (row &* vWidth &+ head &* valueWidth), yStride: vWidth, queries: queries,
        keys: kept.count, width: width, valueWidth: valueWidth, scale: step.pointee.number,
        mask: kept.isMasked ? UnsafePointer(mask) : nil)
      Kernels.attention(
        kernels, one, arithmetic, scratch: UnsafeMutableRawPointer(mask) + attentionMaskByteCount,
        productScratch: scratch(lane))
    }
  }

  /// Attention has no weights and so no level of its own: it follows the linear site that makes its queries.
  @inline(__always)
  private func arithmetic(_ step: UnsafeMutablePointer<Step>) -> AttentionArithmetic {
    if step.pointee.site < 0 { return .float32 }
    switch level(step) {
    case .fp32: return .float32
    case .fp16: return .bfloat16
    case .int8, .int6, .int4, .int2: return .codes
    }
  }

  /// The keys that have to be looked at, and whether a mask is needed for them.
  private struct KeptKeys {
    var count: Int
    var isMasked: Bool
  }

  /// Keys behind the last one kept get no share, and are left out: batches are padded at their ends.
  private func keptKeys(
    _ keep: UnsafeMutablePointer<ValueSlot>, first: Int, count: Int, _ mask: UnsafeMutablePointer<Float>
  ) -> KeptKeys {
    var kept = KeptKeys(count: 0, isMasked: false)
    var number = 0
    for key in 0..<count {
      let isKept = isKept(keep, first &+ key)
      // As Hugging Face has it: the most negative finite number, so that a row without any key stays finite.
      mask[key] = isKept ? 0 : -Float.greatestFiniteMagnitude
      if isKept {
        number &+= 1
        kept.count = key &+ 1
      }
    }
    kept.isMasked = number != kept.count
    // Without any key all count alike.
    return number == 0 ? KeptKeys(count: count, isMasked: true) : kept
  }

  private func binaryPart(_ step: UnsafeMutablePointer<Step>, _ first: Int, _ end: Int) {
    let (a, b, y) = (slot(step.pointee.input0), slot(step.pointee.input1), slot(step.pointee.output))
    let operation = BinaryOperation(rawValue: step.pointee.function) ?? .add
    if isElementwise(step) {
      let begin = first &* PlanContext.elementsPerItem
      Operators.apply(
        operation, a.pointee.floats + begin, b.pointee.floats + begin, y.pointee.floats + begin,
        count: min(end &* PlanContext.elementsPerItem, y.pointee.count) &- begin)
      return
    }
    let width = y.pointee.width
    let aElement = a.pointee.width == width ? 1 : 0
    let bElement = b.pointee.width == width ? 1 : 0
    for row in first..<end {
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
