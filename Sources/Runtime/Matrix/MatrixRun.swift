import CMachine
import Kernels
import NestedFormat

// The run path of matrices: no allocation, no lock, no system call, no check.

extension MatrixHandle {
  /// The whole product on the calling thread.
  ///
  /// - Parameter workspace: 64-byte aligned, ``workspaceByteCount(rows:)`` bytes.
  public func multiply(_ call: MatrixCall, workspace: UnsafeMutableRawPointer) {
    // The host may have set another rounding mode or flush-to-zero: results must not depend on it.
    let hostControl = cmachine_mxcsr()
    cmachine_set_mxcsr(0x1F80)
    prepareInput(call, workspace)
    multiply(
      call, workspace, scratch: workspace + call.rows &* inputRowByteCount, firstBlock: 0, blocks: nBlocks)
    cmachine_set_mxcsr(hostControl)
  }

  /// Brings the input into the form that the kernels of `call.level` read, at the beginning of `workspace`.
  public func prepareInput(_ call: MatrixCall, _ workspace: UnsafeMutableRawPointer) {
    let k = k
    if let x = call.x {
      if !call.level.isNested {
        if usesBFloat16(call) {
          bfloat16(call, workspace).round(x, xRowStride: call.xStride, count: call.rows, state.pointee.kernels)
        }
        return
      }
      let quantized = QuantizedActivations(memory: workspace, rows: call.rows, k: k)
      quantize(x: x, xRowStride: call.xStride, into: quantized, call.level, state.pointee.kernels)
      if usesExpanded(call) { prepareExpanded(quantized) }
    } else if let codes = call.codes, let scales = call.scales {
      if call.level.isNested {
        let quantized = QuantizedActivations(memory: workspace, rows: call.rows, k: k)
        importCodes(codes, call.codeStride, scales, call.scaleStride, quantized)
        if state.pointee.kernels.readsWords(call.level, rows: call.rows) {
          writeWords(quantized, state.pointee.kernels, firstRow: 0, rowCount: call.rows)
        }
        if usesExpanded(call) { prepareExpanded(quantized) }
      } else {
        let floats = workspace.assumingMemoryBound(to: Float.self)
        dequantize(codes, call.codeStride, scales, call.scaleStride, rows: call.rows, floats)
        // In place: rows become shorter.
        if usesBFloat16(call) {
          bfloat16(call, workspace).round(floats, xRowStride: groups &* 64, count: call.rows, state.pointee.kernels)
        }
      }
    }
  }

  /// Outputs of `blocks` blocks of 16 from `firstBlock` on, after ``prepareInput(_:_:)``. Threads may share a product by
  /// blocks: every output has the same bits whoever computes it.
  ///
  /// - Parameter scratch: the thread's own, `productScratchByteCount(maxRows: call.rows)` bytes, 64-byte aligned.
  public func multiply(
    _ call: MatrixCall, _ workspace: UnsafeMutableRawPointer, scratch: UnsafeMutableRawPointer,
    firstBlock: Int, blocks: Int
  ) {
    var weights = state.pointee.weights
    if !call.usesBias { weights.bias = nil }
    if call.level.isNested {
      let quantized = QuantizedActivations(memory: workspace, rows: call.rows, k: weights.k)
      if usesExpanded(call), let expanded = state.pointee.expanded {
        linearExpanded(
          weights, expanded, state.pointee.kernels, x: quantized, y: call.y, yRowStride: call.yStride,
          firstBlock: firstBlock, blocks: blocks,
          scratch: scratch)
      } else {
        linearQuantized(
          weights, call.level, state.pointee.kernels, x: quantized, y: call.y, yRowStride: call.yStride,
          firstBlock: firstBlock, blocks: blocks, scratch: scratch)
      }
    } else if usesBFloat16(call) {
      linearBFloat16(
        weights, state.pointee.kernels, x: bfloat16(call, workspace), y: call.y, yRowStride: call.yStride,
        firstBlock: firstBlock, blocks: blocks, scratch: scratch)
    } else {
      let floats = UnsafePointer(workspace.assumingMemoryBound(to: Float.self))
      linearDense(
        weights, call.level, state.pointee.kernels, x: call.x ?? floats,
        xRowStride: call.x == nil ? groups &* 64 : call.xStride, rows: call.rows, y: call.y, yRowStride: call.yStride,
        firstBlock: firstBlock, blocks: blocks, scratch: scratch)
    }
    if call.activation != .none || call.residual != nil { finish(call, firstBlock, blocks) }
  }

  @inline(__always)
  private func usesBFloat16(_ call: MatrixCall) -> Bool {
    state.pointee.kernels.usesBFloat16(call.level, rows: call.rows)
  }

  @inline(__always)
  private func bfloat16(_ call: MatrixCall, _ workspace: UnsafeMutableRawPointer) -> BFloat16Activations {
    BFloat16Activations(memory: workspace, rows: call.rows, k: k, state.pointee.kernels)
  }

  /// As many rows as the kernels for planes take without unpacking: beyond, results would have other bits.
  @inline(__always)
  private func usesExpanded(_ call: MatrixCall) -> Bool {
    call.rows <= min(state.pointee.kernels.int8.vectorRows, 4) && call.level == .int8 && state.pointee.expanded != nil
  }

  /// Activation, then residual, on the outputs of some blocks.
  private func finish(_ call: MatrixCall, _ firstBlock: Int, _ blocks: Int) {
    let first = firstBlock &* 16
    let width = min((firstBlock &+ blocks) &* 16, n) &- first
    for row in 0..<call.rows {
      let y = call.y + (row &* call.yStride &+ first)
      switch call.activation {
      case .none: break
      case .relu: Operators.apply(.relu, y, y, count: width)
      case .gelu:
        var arguments = UnaryArguments(x: y, y: y, count: width)
        state.pointee.kernels.gelu(&arguments)
      case .silu: Operators.apply(.silu, y, y, count: width)
      }
      if let residual = call.residual {
        Operators.apply(.add, y, residual + (row &* call.residualStride &+ first), y, count: width)
      }
    }
  }

  // MARK: - Codes that the caller has made

  /// What a quantizing kernel would have left: padding and sums.
  private func importCodes(
    _ codes: UnsafePointer<Int8>, _ codeStride: Int, _ scales: UnsafePointer<Float>, _ scaleStride: Int,
    _ output: QuantizedActivations
  ) {
    for row in 0..<output.rows {
      let source = codes + row &* codeStride
      let target = output.codes + row &* output.rowStride
      target.update(from: source, count: output.k)
      for column in output.k..<output.rowStride { target[column] = 0 }
      for group in 0..<output.groups {
        let part = target + group &* 64
        var sum: Int32 = 0
        for index in 0..<64 { sum &+= Int32(part[index]) }
        // 0 · scale is NaN for NaN and the infinities only: such a scale makes the whole row NaN.
        let stored = UnsafeRawPointer(scales + (row &* scaleStride &+ group)).loadUnaligned(as: Float.self)
        let scale = stored + stored * 0
        let groups = output.groupScales + row &* output.groups
        groups[group] = ActivationGroup(scale: scale, offset: scale * Float(sum))
        if !hasRowScales { continue }
        let shift = state.pointee.kernels.form.groupShift
        groups[group].groupSum = 0
        groups[(group &>> shift) &<< shift].groupSum += Float(sum)
      }
    }
    sumGroups(output, state.pointee.kernels, firstRow: 0, rowCount: output.rows)
  }

  /// `code · scale` for products in floats; rows are `64 · groups` apart.
  private func dequantize(
    _ codes: UnsafePointer<Int8>, _ codeStride: Int, _ scales: UnsafePointer<Float>, _ scaleStride: Int, rows: Int,
    _ output: UnsafeMutablePointer<Float>
  ) {
    let (k, groups) = (k, groups)
    for row in 0..<rows {
      let target = output + row &* groups &* 64
      var poison: Float = 0
      for group in 0..<groups {
        let scale = UnsafeRawPointer(scales + (row &* scaleStride &+ group)).loadUnaligned(as: Float.self)
        poison += scale * 0
        for column in (group &* 64)..<min(group &* 64 &+ 64, k) {
          target[column] = Float(codes[row &* codeStride &+ column]) * scale
        }
      }
      // As at the other levels, one scale that is not finite makes the row NaN.
      if poison != 0 { for column in 0..<k { target[column] = .nan } }
    }
  }

  /// Codes `rows` rows of `k` floats: per row and group of 64, or per row if ``hasRowScales``, `scale = max|x| / 127` and `code = x / scale` to nearest,
  /// ties to even. A group with a NaN or an infinity gets a scale of NaN and unspecified codes.
  ///
  /// Works group by group in the caller's stack, so that it needs no workspace and writes nothing but the named elements.
  public func quantizeRows(
    _ x: UnsafePointer<Float>, xStride: Int, rows: Int, codes: UnsafeMutablePointer<Int8>, codeStride: Int,
    scales: UnsafeMutablePointer<Float>, scaleStride: Int
  ) {
    let hostControl = cmachine_mxcsr()
    cmachine_set_mxcsr(0x1F80)
    defer { cmachine_set_mxcsr(hostControl) }
    let (k, groups) = (k, groups)
    if hasRowScales {
      for row in 0..<rows {
        let scale = codeRow(x + row &* xStride, count: k, into: codes + row &* codeStride)
        for group in 0..<groups {
          UnsafeMutableRawPointer(scales + (row &* scaleStride &+ group)).storeBytes(of: scale, as: Float.self)
        }
      }
      return
    }
    // 832 bytes: above 1024, or with a larger alignment, Swift takes them from the heap.
    let chunk = 4
    withUnsafeTemporaryAllocation(byteCount: chunk &* (64 &+ 128 &+ 16), alignment: 16) { memory in
      guard let base = memory.baseAddress else { return }
      let part = QuantizedActivations(memory: base, rows: 1, k: chunk &* 64)
      for row in 0..<rows {
        var group = 0
        while group < groups {
          let count = min(chunk, groups &- group)
          let first = group &* 64
          let inputs = min(count &* 64, k &- first)
          var arguments = QuantizeArguments(
            x: x + (row &* xStride &+ first), xRowStride: 0, codes: part.codes, codeRowStride: 0,
            groups: part.groupScales, groupRowStride: 0, k: inputs, rows: 1)
          state.pointee.kernels.quantize(&arguments)
          (codes + (row &* codeStride &+ first)).update(from: part.codes, count: inputs)
          for index in 0..<count {
            UnsafeMutableRawPointer(scales + (row &* scaleStride &+ group &+ index)).storeBytes(
              of: part.groupScales[index].scale, as: Float.self)
          }
          group &+= count
        }
      }
    }
  }
}
