import Graph
import Kernels
import NestedFormat

// Convolution, recurrence, states and the steps that lead through regions. Run path: pointers, trivial structs, integers.

extension PlanContext {
  /// Windows that are laid out for one product.
  static var convolutionRows: Int { 128 }

  /// Rows of `x` times the weights of a site, at the site's level.
  @inline(__always)
  private func product(
    _ site: Int, x: UnsafePointer<Float>, rows: Int, y: UnsafeMutablePointer<Float>, yRowStride: Int, firstBlock: Int,
    blocks: Int
  ) {
    let weights = weights + site
    let level = Level(rawValue: levels[site]) ?? .int8
    let k = weights.pointee.k
    let input = ProductInput(x: x, xRowStride: k, prepared: quantized, rows: rows, k: k)
    if kernels.preparesInput(level, rows: rows) { input.prepare(level, kernels, firstRow: 0, rowCount: rows) }
    input.multiply(
      weights.pointee, level, kernels, firstRow: 0, rowCount: rows, y: y, yRowStride: yRowStride,
      firstBlock: firstBlock, blocks: blocks, scratch: scratch)
  }

  // MARK: - Convolution

  /// Windows are laid out as rows of a product, some at a time; groups that fill no block of outputs go their own way.
  func convolutionStep(_ step: UnsafeMutablePointer<Step>) {
    let convolution = convolutions + Int(step.pointee.count)
    let (x, y) = (slot(step.pointee.input0), slot(step.pointee.output))
    let site = Int(step.pointee.site)
    let window = ConvolutionWindow(
      steps: x.pointee.dims[1], channels: x.pointee.dims[2], outputSteps: y.pointee.dims[1],
      kernel: convolution.pointee.kernel, stride: convolution.pointee.stride, before: convolution.pointee.before,
      dilation: convolution.pointee.dilation, groupInputs: convolution.pointee.groupInputs,
      tapStride: convolution.pointee.tapStride)
    let (n, k) = (weights[site].n, weights[site].k)
    if convolution.pointee.isDirect {
      let level = Level(rawValue: levels[site]) ?? .int8
      Operators.groupedConvolution(
        window, weights[site], level, groups: convolution.pointee.groups, batch: x.pointee.dims[0], x.pointee.floats,
        y.pointee.floats, decoded: attention)
      return
    }
    let rows = x.pointee.dims[0] &* window.outputSteps
    let blocks = convolution.pointee.groups == 1 ? weights[site].nBlocks : convolution.pointee.groupOutputs / 16
    // One tap and nothing else: the input is the rows.
    let isPlain = window.isIdentity && convolution.pointee.groups == 1
    var first = 0
    while first < rows {
      let count = min(PlanContext.convolutionRows, rows &- first)
      for group in 0..<convolution.pointee.groups {
        var panel = UnsafePointer(attention)
        if isPlain {
          panel = UnsafePointer(x.pointee.floats + first &* k)
        } else {
          Operators.packWindows(
            window, x.pointee.floats, firstChannel: group &* window.groupInputs, firstRow: first, rows: count, attention
          )
        }
        product(
          site, x: panel, rows: count, y: y.pointee.floats + first &* n, yRowStride: n, firstBlock: group &* blocks,
          blocks: blocks)
      }
      first &+= count
    }
  }

  // MARK: - Recurrence

  /// The input's part of all gates in one product, then step by step the state's part and the gates.
  func gruStep(_ step: UnsafeMutablePointer<Step>) {
    let (x, y) = (slot(step.pointee.input0), slot(step.pointee.output))
    let (start, state) = (slot(step.pointee.input1), slot(step.pointee.output1))
    let (site, recurrent) = (Int(step.pointee.site), Int(step.pointee.site1))
    let (batch, steps) = (x.pointee.dims[0], x.pointee.dims[1])
    let width = weights[site].n
    let hidden = width / 3
    let gates = attention
    let own = gates + batch &* steps &* width
    let h = state.pointee.floats
    product(
      site, x: x.pointee.floats, rows: batch &* steps, y: gates, yRowStride: width, firstBlock: 0,
      blocks: weights[site].nBlocks)
    h.update(from: start.pointee.floats, count: batch &* hidden)
    for time in 0..<steps {
      product(
        recurrent, x: h, rows: batch, y: own, yRowStride: width, firstBlock: 0, blocks: weights[recurrent].nBlocks)
      for row in 0..<batch {
        let output = y.pointee.floats + (row &* steps &+ time) &* hidden
        if step.pointee.input2 >= 0, Int64(time) >= integer(slot(step.pointee.input2), row) {
          output.update(repeating: 0, count: hidden)
          continue
        }
        let memory = h + row &* hidden
        Operators.gatedUpdate(
          gates + (row &* steps &+ time) &* width, own + row &* width, memory, hidden: hidden)
        output.update(from: memory, count: hidden)
      }
    }
  }

  // MARK: - Comparison

  func compareStep(_ step: UnsafeMutablePointer<Step>) {
    let (a, b, y) = (slot(step.pointee.input0), slot(step.pointee.input1), slot(step.pointee.output))
    let width = y.pointee.width
    let operation = ComparisonOperation(rawValue: step.pointee.function) ?? .equal
    let output = y.pointee.data.assumingMemoryBound(to: Int32.self)
    for row in 0..<y.pointee.rows {
      Operators.compareRow(
        operation, a.pointee.floats + broadcastOffset(a, y, row), aStride: a.pointee.width == width ? 1 : 0,
        b.pointee.floats + broadcastOffset(b, y, row), bStride: b.pointee.width == width ? 1 : 0,
        output + row &* width, count: width)
    }
  }

  // MARK: - States and regions

  func writeStateStep(_ step: UnsafeMutablePointer<Step>) {
    let state = states + Int(step.pointee.count)
    state.pointee.pending.copyMemory(from: slot(step.pointee.input0).pointee.data, byteCount: state.pointee.byteCount)
    state.pointee.isWritten = true
  }

  /// For each outer index the rows that are there, then the new ones.
  func appendStateStep(_ step: UnsafeMutablePointer<Step>) {
    let state = states + Int(step.pointee.count)
    let (x, y) = (slot(step.pointee.input0), slot(step.pointee.output))
    let rowByteCount = state.pointee.rowByteCount
    let rows = x.pointee.count &* x.pointee.elementByteCount / (state.pointee.outer &* rowByteCount)
    let total = y.pointee.count &* y.pointee.elementByteCount / (state.pointee.outer &* rowByteCount)
    let old = total &- rows
    for outer in 0..<state.pointee.outer {
      let target = y.pointee.data + outer &* total &* rowByteCount
      target.copyMemory(
        from: state.pointee.current + outer &* state.pointee.maximum &* rowByteCount, byteCount: old &* rowByteCount)
      (target + old &* rowByteCount).copyMemory(
        from: x.pointee.data + outer &* rows &* rowByteCount, byteCount: rows &* rowByteCount)
    }
    state.pointee.pending.copyMemory(
      from: x.pointee.data, byteCount: state.pointee.outer &* rows &* rowByteCount)
    state.pointee.pendingRows = rows
    state.pointee.isWritten = true
  }

  private func commitRows(_ state: UnsafeMutablePointer<StateSlot>) {
    let (rows, rowByteCount) = (state.pointee.pendingRows, state.pointee.rowByteCount)
    for outer in 0..<state.pointee.outer {
      let place = outer &* state.pointee.maximum &+ state.pointee.length
      (state.pointee.current + place &* rowByteCount).copyMemory(
        from: state.pointee.pending + outer &* rows &* rowByteCount, byteCount: rows &* rowByteCount)
    }
    state.pointee.length &+= rows
  }

  /// Makes what the run has written the states' content.
  @inline(__always)
  func commitStates() {
    for index in 0..<stateCount where states[index].isWritten {
      if states[index].isGrowing {
        commitRows(states + index)
        continue
      }
      states[index].current.copyMemory(from: states[index].pending, byteCount: states[index].byteCount)
    }
  }

  func copyStep(_ step: UnsafeMutablePointer<Step>) {
    let (x, y) = (slot(step.pointee.input0), slot(step.pointee.output))
    y.pointee.data.copyMemory(
      from: x.pointee.data, byteCount: y.pointee.count &* y.pointee.elementByteCount)
  }

  /// False if there is nothing to repeat.
  @inline(__always)
  func beginsLoop(_ step: UnsafeMutablePointer<Step>) -> Bool {
    let count = integer(slot(step.pointee.input0), 0)
    counters[Int(step.pointee.count)] = count
    return count >= 1
  }

  @inline(__always)
  func repeatsLoop(_ step: UnsafeMutablePointer<Step>) -> Bool {
    let counter = counters + Int(step.pointee.count)
    counter.pointee &-= 1
    return counter.pointee >= 1
  }
}
