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

@inline(__always)
func hasType(_ tensor: adaptq_tensor, _ elementType: Int32, _ rank: Int) -> Bool {
  tensor.type == elementType && tensor.rank == Int32(truncatingIfNeeded: rank)
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
      if !hasType(tensor, layout.elementType, layout.rank) { throw inputTypeError(self, tensor, index) }
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

  @inline(__always)
  func bindInputs(_ inputs: StructArray<adaptq_tensor>) throws(AdaptQError) {
    for index in 0..<inputs.count {
      var tensor = adaptq_tensor()
      inputs.read(index, into: &tensor)
      let needed = inputByteCount(index)
      guard let data = tensor.data else { throw nullError("inputs", index) }
      if tensor.data_size < needed { throw dataSizeError("inputs", index, tensor.data_size, needed) }
      bind(index, TensorBinding(data: data, byteCount: needed))
    }
  }

  /// Only after ``bindInputs(_:)``: outputs may overlap neither inputs nor each other.
  @inline(__always)
  func bindOutputs(_ outputs: StructArray<adaptq_tensor>) throws(AdaptQError) {
    let first = inputCount
    for index in 0..<outputs.count {
      var tensor = adaptq_tensor()
      outputs.read(index, into: &tensor)
      let layout = outputLayout(index)
      if !hasType(tensor, layout.elementType, layout.rank) { throw outputTypeError(self, tensor, index) }
      for axis in 0..<layout.rank {
        let expected = Int64(outputSize(index, axis))
        if tensorSize(tensor, axis) != expected {
          throw sizeError(self, "outputs", index, axis, tensorSize(tensor, axis), expected)
        }
      }
      let needed = outputByteCount(index)
      guard let data = tensor.data else { throw nullError("outputs", index) }
      if tensor.data_size < needed { throw dataSizeError("outputs", index, tensor.data_size, needed) }
      let begin = UInt(bitPattern: data)
      let (end, overflow) = begin.addingReportingOverflow(UInt(needed))
      if overflow { throw wrapError(index) }
      for other in 0..<(first &+ index) {
        let binding = binding(other)
        let otherBegin = UInt(bitPattern: binding.data)
        if begin < otherBegin &+ UInt(binding.byteCount) && otherBegin < end {
          throw overlapError(index, other, first)
        }
      }
      bind(first &+ index, TensorBinding(data: data, byteCount: needed))
    }
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
func typeError(_ tensor: adaptq_tensor, _ value: Graph.Value, _ list: StaticString, _ index: Int) -> AdaptQError {
  if tensor.type != Int32(value.type.element.rawValue) {
    return .invalidArgument(
      "\(list)[\(index)].type is \(tensor.type); \"\(value.name)\" is \(value.type.element.rawValue) "
        + "(\(value.type.element.name))")
  }
  return .invalidArgument("\(list)[\(index)].rank is \(tensor.rank); \"\(value.name)\" has \(value.type.rank)")
}

@inline(never)
private func inputTypeError(_ run: RunHandle, _ tensor: adaptq_tensor, _ index: Int) -> AdaptQError {
  let graph = run.session.takeUnretainedValue().model.graph
  return typeError(tensor, graph.values[graph.inputs[index].index], "inputs", index)
}

@inline(never)
private func outputTypeError(_ run: RunHandle, _ tensor: adaptq_tensor, _ index: Int) -> AdaptQError {
  let graph = run.session.takeUnretainedValue().model.graph
  return typeError(tensor, graph.values[graph.outputs[index].index], "outputs", index)
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
private func dataSizeError(_ list: StaticString, _ index: Int, _ size: Int, _ needed: Int) -> AdaptQError {
  AdaptQError(.bufferTooSmall, "\(list)[\(index)].data_size is \(UInt(bitPattern: size)), needs \(needed)")
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
func indexError(_ outcome: RunOutcome, _ run: RunHandle) -> AdaptQError {
  let graph = run.session.takeUnretainedValue().model.graph
  if outcome.kind == .stateFull {
    let state = graph.states[outcome.site]
    return AdaptQError(
      .outOfRange, "state \"\(state.name)\" has no room for this run, it holds \(state.maximumLength): reset the state")
  }
  let site = graph.sites[outcome.site]
  return .invalidArgument(
    "index \(outcome.index) at position \(outcome.position): \"\(site.name)\" has \(outcome.rows) rows")
}
