import Base
import CAdaptQ
import Graph
import Runtime

// Checks of a run's tensors. The checks are on the run path and follow pointers only; what makes an error's text is kept
// out of line.

/// Size `axis` of a tensor; the caller has checked the rank.
@inline(__always)
func tensorSize(_ tensor: adaptq_tensor, _ axis: Int) -> Int64 {
  withUnsafeBytes(of: tensor.sizes) { $0.load(fromByteOffset: axis &* 8, as: Int64.self) }
}

/// Stride `axis` of a tensor, in elements.
@inline(__always)
func tensorStride(_ tensor: adaptq_tensor, _ axis: Int) -> Int64 {
  withUnsafeBytes(of: tensor.strides) { $0.load(fromByteOffset: axis &* 8, as: Int64.self) }
}

/// The tensor's type, if its rank is right and the type may stand for a value of `element`; else nil.
@inline(__always)
func hostType(_ tensor: adaptq_tensor, _ element: ElementType, _ rank: Int, isOutput: Bool) -> HostType? {
  guard tensor.rank == Int32(truncatingIfNeeded: rank),
    let type = HostType(rawValue: UInt8(truncatingIfNeeded: tensor.type)), Int32(type.rawValue) == tensor.type,
    type.converts(to: element, isOutput: isOutput)
  else { return nil }
  return type
}

extension TensorLayout {
  @inline(__always)
  fileprivate func hostType(_ tensor: adaptq_tensor, isOutput: Bool) -> HostType? {
    guard let element = ElementType(rawValue: UInt8(truncatingIfNeeded: elementType)) else { return nil }
    return AdaptQ.hostType(tensor, element, rank, isOutput: isOutput)
  }
}

extension RunHandle {
  /// Checks the inputs' types and sizes against model and preparation and makes this run's sizes follow from them. The
  /// number of inputs has been checked.
  @inline(__always)
  func setInputSizes(_ inputs: StructArray<adaptq_tensor>) throws(AdaptQError) {
    var known: UInt64 = 0
    for index in 0..<inputs.count {
      var tensor = adaptq_tensor()
      inputs.read(index, into: &tensor)
      let layout = inputLayout(index)
      if layout.hostType(tensor, isOutput: false) == nil { throw inputTypeError(self, tensor, index) }
      for axis in 0..<layout.rank {
        let wanted = tensorSize(tensor, axis)
        let source = layout.sources[axis]
        if source >= 0 {
          if wanted != Int64(source) { throw sizeError(self, "inputs", index, axis, wanted, Int64(source)) }
          continue
        }
        let symbol = -1 &- source
        let bit: UInt64 = symbol < 64 ? 1 << UInt64(truncatingIfNeeded: symbol) : 0
        if known & bit != 0 {
          if wanted != Int64(currentSize(ofSymbol: symbol)) {
            throw symbolError(self, index, axis, wanted, symbol)
          }
        } else if !setSymbol(symbol, Int(truncatingIfNeeded: wanted)) {
          throw preparedError(self, index, axis, wanted, symbol)
        }
        known |= bit
      }
    }
    resolveShapes()
  }

  /// Only after ``setInputSizes(_:)``.
  ///
  /// - Parameter report: told how much memory a tensor needs that has too little.
  @inline(__always)
  func bindInputs(
    _ inputs: StructArray<adaptq_tensor>, _ report: OutStruct<adaptq_run_report>?
  ) throws(AdaptQError) {
    for index in 0..<inputs.count {
      var tensor = adaptq_tensor()
      inputs.read(index, into: &tensor)
      let layout = inputLayout(index)
      guard let type = layout.hostType(tensor, isOutput: false) else { throw inputTypeError(self, tensor, index) }
      let binding = try binding(tensor, type, layout.rank, "inputs", index)
      if UInt(bitPattern: tensor.data_size) < UInt(binding.byteCount) {
        throw dataSizeError("inputs", index, tensor.data_size, binding.byteCount, report, index)
      }
      bind(index, binding)
    }
  }

  /// Only after ``bindInputs(_:_:)``: outputs may overlap neither inputs nor each other.
  @inline(__always)
  func bindOutputs(
    _ outputs: StructArray<adaptq_tensor>, _ report: OutStruct<adaptq_run_report>?
  ) throws(AdaptQError) {
    let first = inputCount
    for index in 0..<outputs.count {
      var tensor = adaptq_tensor()
      outputs.read(index, into: &tensor)
      let layout = outputLayout(index)
      guard let type = layout.hostType(tensor, isOutput: true) else { throw outputTypeError(self, tensor, index) }
      for axis in 0..<layout.rank {
        let expected = Int64(outputSize(index, axis))
        if tensorSize(tensor, axis) != expected {
          throw sizeError(self, "outputs", index, axis, tensorSize(tensor, axis), expected)
        }
      }
      let binding = try binding(tensor, type, layout.rank, "outputs", index)
      if !binding.isDense && sharesMemory(tensor, layout.rank) { throw selfOverlapError(index) }
      if UInt(bitPattern: tensor.data_size) < UInt(binding.byteCount) {
        throw dataSizeError("outputs", index, tensor.data_size, binding.byteCount, report, first &+ index)
      }
      let begin = UInt(bitPattern: binding.data)
      let (end, overflow) = begin.addingReportingOverflow(UInt(binding.byteCount))
      if overflow { throw wrapError(index) }
      for other in 0..<(first &+ index) {
        let bound = self.binding(other)
        let otherBegin = UInt(bitPattern: bound.data)
        if begin < otherBegin &+ UInt(bound.byteCount) && otherBegin < end { throw overlapError(index, other, first) }
      }
      bind(first &+ index, binding)
    }
  }

  /// Where a tensor lies whose type and sizes have been checked: data, strides and the bytes from first to last element.
  @inline(__always)
  private func binding(
    _ tensor: adaptq_tensor, _ type: HostType, _ rank: Int, _ list: StaticString, _ index: Int
  ) throws(AdaptQError) -> TensorBinding {
    guard let data = tensor.data else { throw nullError(list, index) }
    var result = TensorBinding(data: data, byteCount: 0, type: type)
    for axis in 0..<rank where tensorStride(tensor, axis) != 0 { result.isDense = false }
    // Elements from the first to the last.
    var last: Int64 = result.isDense ? -1 : 0
    if result.isDense {
      // Checked against the plan, whose byte counts did not overflow; the caller's type may be wider than the plan's.
      var count: Int64 = 1
      for axis in 0..<rank { count &*= tensorSize(tensor, axis) }
      last &+= count
    } else {
      for axis in 0..<rank {
        let (size, stride) = (tensorSize(tensor, axis), tensorStride(tensor, axis))
        if stride < 0 { throw strideError(list, index, axis, stride) }
        if size == 1 { continue }
        result.strides[axis] = Int(stride)
        let (span, tooLong) = (size &- 1).multipliedReportingOverflow(by: stride)
        let (sum, tooFar) = last.addingReportingOverflow(span)
        if tooLong || tooFar { throw spanError(list, index) }
        last = sum
      }
    }
    let (bytes, overflow) = (last &+ 1).multipliedReportingOverflow(by: Int64(type.byteCount))
    if overflow || last == .max { throw spanError(list, index) }
    result.byteCount = Int(bytes)
    return result
  }

  /// Whether elements of a tensor with strides may share memory: in order of size, each stride must be at least what the
  /// smaller ones span.
  @inline(__always)
  private func sharesMemory(_ tensor: adaptq_tensor, _ rank: Int) -> Bool {
    var done: UInt64 = 0
    var span: Int64 = 1
    for _ in 0..<rank {
      var smallest = -1
      for axis in 0..<rank where done & (1 << UInt64(truncatingIfNeeded: axis)) == 0 {
        if smallest < 0 || tensorStride(tensor, axis) < tensorStride(tensor, smallest) { smallest = axis }
      }
      if smallest < 0 { break }
      done |= 1 << UInt64(truncatingIfNeeded: smallest)
      if tensorSize(tensor, smallest) == 1 { continue }
      if tensorStride(tensor, smallest) < span { return true }
      span &+= (tensorSize(tensor, smallest) &- 1) &* tensorStride(tensor, smallest)
    }
    return false
  }
}

// MARK: - Errors

@inline(never)
func notPrepared() -> AdaptQError {
  AdaptQError(.notPrepared, "the session is not prepared: call adaptq_session_prepare() first")
}

@inline(never)
func countError(_ count: Int, _ expected: Int, _ what: StaticString) -> AdaptQError {
  .invalidArgument("\(what) is \(UInt(bitPattern: count)); the model has \(expected)")
}

@inline(never)
func typeError(
  _ tensor: adaptq_tensor, _ value: Graph.Value, _ list: StaticString, _ index: Int, isOutput: Bool
) -> AdaptQError {
  let element = value.type.element
  if tensor.rank != Int32(value.type.rank) {
    return .invalidArgument("\(list)[\(index)].rank is \(tensor.rank); \"\(value.name)\" has \(value.type.rank)")
  }
  let allowed = HostType.allCases.filter { $0.converts(to: element, isOutput: isOutput) }
  return .invalidArgument(
    "\(list)[\(index)].type is \(tensor.type); \"\(value.name)\" is \(element.rawValue) (\(element.name)), allowed are "
      + allowed.map { "\($0.rawValue) (\($0))" }.joined(separator: ", "))
}

@inline(never)
private func inputTypeError(_ run: RunHandle, _ tensor: adaptq_tensor, _ index: Int) -> AdaptQError {
  let graph = run.session.takeUnretainedValue().model.graph
  return typeError(tensor, graph.values[graph.inputs[index].index], "inputs", index, isOutput: false)
}

@inline(never)
private func outputTypeError(_ run: RunHandle, _ tensor: adaptq_tensor, _ index: Int) -> AdaptQError {
  let graph = run.session.takeUnretainedValue().model.graph
  return typeError(tensor, graph.values[graph.outputs[index].index], "outputs", index, isOutput: true)
}

@inline(never)
private func sizeError(
  _ run: RunHandle, _ list: StaticString, _ index: Int, _ axis: Int, _ size: Int64, _ expected: Int64
) -> AdaptQError {
  .invalidArgument("\(list)[\(index)].sizes[\(axis)] is \(size), expected \(expected)")
}

@inline(never)
private func symbolError(_ run: RunHandle, _ index: Int, _ axis: Int, _ size: Int64, _ symbol: Int) -> AdaptQError {
  let name = run.session.takeUnretainedValue().model.graph.symbols[symbol]
  return .invalidArgument(
    "inputs[\(index)].sizes[\(axis)] is \(size), but \(name) is \(run.currentSize(ofSymbol: symbol))")
}

@inline(never)
private func preparedError(_ run: RunHandle, _ index: Int, _ axis: Int, _ size: Int64, _ symbol: Int) -> AdaptQError {
  if size < 1 { return .invalidArgument("inputs[\(index)].sizes[\(axis)] is \(size), below 1") }
  let minimum = run.minimumSize(ofSymbol: symbol)
  if size < minimum {
    return .invalidArgument("inputs[\(index)].sizes[\(axis)] is \(size), the model needs at least \(minimum)")
  }
  return AdaptQError(
    .outOfRange,
    "inputs[\(index)].sizes[\(axis)] is \(size), prepared for at most \(run.maximumSize(ofSymbol: symbol))")
}

@inline(never)
private func nullError(_ list: StaticString, _ index: Int) -> AdaptQError {
  .invalidArgument("\(list)[\(index)].data is NULL")
}

@inline(never)
private func dataSizeError(
  _ list: StaticString, _ index: Int, _ size: Int, _ needed: Int, _ report: OutStruct<adaptq_run_report>?,
  _ position: Int
) -> AdaptQError {
  report?.write(UInt64(needed), at: MemoryLayout<adaptq_run_report>.offset(of: \.needed_bytes))
  report?.write(UInt64(position), at: MemoryLayout<adaptq_run_report>.offset(of: \.needed_index))
  return AdaptQError(.bufferTooSmall, "\(list)[\(index)].data_size is \(UInt(bitPattern: size)), needs \(needed)")
}

@inline(never)
private func wrapError(_ index: Int) -> AdaptQError {
  .invalidArgument("outputs[\(index)].data wraps around the address space")
}

@inline(never)
private func overlapError(_ index: Int, _ other: Int, _ first: Int) -> AdaptQError {
  let what = other < first ? "inputs[\(other)]" : "outputs[\(other - first)]"
  return .invalidArgument("outputs[\(index)].data overlaps \(what)")
}

@inline(never)
private func strideError(_ list: StaticString, _ index: Int, _ axis: Int, _ stride: Int64) -> AdaptQError {
  .invalidArgument("\(list)[\(index)].strides[\(axis)] is \(stride), below 0")
}

@inline(never)
private func spanError(_ list: StaticString, _ index: Int) -> AdaptQError {
  AdaptQError(.outOfRange, "\(list)[\(index)].strides span more bytes than there are addresses")
}

@inline(never)
private func selfOverlapError(_ index: Int) -> AdaptQError {
  .invalidArgument("outputs[\(index)].strides let elements share memory")
}

/// What a run that did not end well says.
@inline(never)
func outcomeError(_ outcome: RunOutcome, _ run: RunHandle) -> AdaptQError {
  let graph = run.session.takeUnretainedValue().model.graph
  switch outcome.kind {
  case .cancelled: return AdaptQError(.cancelled, "the run was cancelled")
  case .inputValue, .outputValue:
    let isInput = outcome.kind == .inputValue
    let list = isInput ? "inputs" : "outputs"
    return AdaptQError(
      .outOfRange,
      "\(list)[\(outcome.site)]: value \(outcome.index) at position \(outcome.position) does not fit int32")
  case .stateFull:
    let state = graph.states[outcome.site]
    return AdaptQError(
      .outOfRange, "state \"\(state.name)\" has no room for this run, it holds \(state.maximumLength): reset the state")
  case .indexOutOfRange, .done:
    return .invalidArgument(
      "index \(outcome.index) at position \(outcome.position): \"\(graph.sites[outcome.site].name)\" has "
        + "\(outcome.rows) rows")
  }
}
