import Base
import CAdaptQ
import Control
import Graph
import NestedFormat
import Runtime

/// A session handle.
final class SessionObject: HandleObject {
  static let handleKind = HandleKind.session

  let session: Session
  let model: ModelObject

  init(_ session: Session, _ model: ModelObject) {
    self.session = session
    self.model = model
  }
}

// MARK: - Create, destroy, prepare

@c @implementation public func adaptq_session_create(
  _ model: OpaquePointer?, _ options: UnsafePointer<adaptq_session_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> adaptq_status {
  guardedNewHandle(out) { () throws(AdaptQError) in
    try withHandle(model, as: ModelObject.self) { (model) throws(AdaptQError) in
      var wanted = adaptq_session_options()
      try readOptions(options, "adaptq_session_options", into: &wanted)
      let allowed = try allowedLevels(wanted.allowed_levels, "adaptq_session_options.allowed_levels")
      let kernels = model.runtime.kernels()
      let session = try Session(
        model: model.model, allowed: allowed ?? Level.allCases, kernels: kernels.table, kernelOwner: kernels.owner)
      return SessionObject(session, model)
    }
  }
}

@c @implementation public func adaptq_session_destroy(_ session: OpaquePointer?) -> adaptq_status {
  destroyHandle(session, as: SessionObject.self)
}

@c @implementation public func adaptq_session_prepare(
  _ session: OpaquePointer?, _ maxInputs: UnsafePointer<adaptq_tensor>?, _ count: Int
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let tensors = try StructArray(maxInputs, count: count, "adaptq_tensor", parameter: "max_inputs")
      try requireCount(tensors.count, object.session.model.graph.inputs.count, "n_inputs")
      var shapes: [[Int]] = []
      for (index, input) in object.session.model.graph.inputs.enumerated() {
        var tensor = adaptq_tensor()
        tensors.read(index, into: &tensor)
        let value = object.session.model.graph.values[input.index]
        try requireType(tensor, value, "max_inputs", index)
        shapes.append((0..<value.type.rank).map { Int(size(tensor, $0)) })
      }
      try object.session.prepare(maximumShapes: shapes)
      object.model.runtime.log.info(
        "prepared for \(shapes): \(object.session.workingByteCount) bytes; "
          + object.session.costs.map { "\($0.level.name) \($0.nanoseconds / 1000) us" }.joined(separator: ", "))
    }
  }
}

// MARK: - Tensor checks

/// Size `axis` of a tensor; the caller has checked the rank.
@inline(__always)
private func size(_ tensor: adaptq_tensor, _ axis: Int) -> Int64 {
  withUnsafeBytes(of: tensor.sizes) { $0.load(fromByteOffset: axis &* 8, as: Int64.self) }
}

private func requireCount(_ count: Int, _ expected: Int, _ what: StaticString) throws(AdaptQError) {
  if count != expected {
    throw .invalidArgument("\(what) is \(UInt(bitPattern: count)); the model has \(expected)")
  }
}

@inline(never)
private func tensorError(
  _ status: Status, _ list: StaticString, _ index: Int, _ field: String
) -> AdaptQError {
  AdaptQError(status, "\(list)[\(index)].\(field)")
}

@inline(__always)
private func requireType(
  _ tensor: adaptq_tensor, _ value: Graph.Value, _ list: StaticString, _ index: Int
) throws(AdaptQError) {
  if tensor.type != Int32(value.type.element.rawValue) {
    throw tensorError(
      .invalidArgument, list, index,
      "type is \(tensor.type); \"\(value.name)\" is \(value.type.element.rawValue) (\(value.type.element.name))")
  }
  if tensor.rank != Int32(value.type.rank) {
    throw tensorError(
      .invalidArgument, list, index, "rank is \(tensor.rank); \"\(value.name)\" has \(value.type.rank)")
  }
}

extension Session {
  /// Checks an input against model and preparation and sets the symbols it determines.
  @inline(__always)
  fileprivate func setInputSizes(_ tensor: adaptq_tensor, _ index: Int, _ known: inout UInt64) throws(AdaptQError) {
    let layout = inputLayout(index)
    if tensor.type != layout.elementType || tensor.rank != Int32(layout.rank) {
      try requireType(tensor, model.graph.values[model.graph.inputs[index].index], "inputs", index)
    }
    for axis in 0..<layout.rank {
      let wanted = size(tensor, axis)
      let source = layout.sources[axis]
      if source >= 0 {
        if wanted != Int64(source) {
          throw tensorError(.invalidArgument, "inputs", index, "sizes[\(axis)] is \(wanted), expected \(source)")
        }
        continue
      }
      let symbol = -1 &- source
      if wanted < 1 {
        throw tensorError(.invalidArgument, "inputs", index, "sizes[\(axis)] is \(wanted), below 1")
      }
      if known >> UInt64(symbol) & 1 == 1 && symbol < 64 {
        if wanted != Int64(currentSize(ofSymbol: symbol)) {
          throw tensorError(
            .invalidArgument, "inputs", index,
            "sizes[\(axis)] is \(wanted), but \(model.graph.symbols[symbol]) is \(currentSize(ofSymbol: symbol))")
        }
        continue
      }
      if !setSymbol(symbol, Int(truncatingIfNeeded: wanted)) {
        throw tensorError(
          .outOfRange, "inputs", index,
          "sizes[\(axis)] is \(wanted), prepared for at most \(maximumSize(ofSymbol: symbol))")
      }
      known |= symbol < 64 ? 1 << UInt64(symbol) : 0
    }
  }

  @inline(__always)
  fileprivate func setInputSizes(_ inputs: StructArray<adaptq_tensor>) throws(AdaptQError) {
    if inputs.count != inputCount { try requireCount(inputs.count, inputCount, "n_inputs") }
    var known: UInt64 = 0
    for index in 0..<inputs.count {
      var tensor = adaptq_tensor()
      inputs.read(index, into: &tensor)
      try setInputSizes(tensor, index, &known)
    }
    resolveShapes()
  }
}

@c @implementation public func adaptq_session_output_shape(
  _ session: OpaquePointer?, _ inputs: UnsafePointer<adaptq_tensor>?, _ inputCount: Int, _ index: Int,
  _ output: UnsafeMutablePointer<adaptq_tensor>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let session = object.session
      if !session.isPrepared { throw notPrepared() }
      let pointer = try required(output, "output")
      let target = try OutStruct(pointer, "adaptq_tensor")
      try requireIndex(index, session.outputCount, "output")
      let tensors = try StructArray(inputs, count: inputCount, "adaptq_tensor", parameter: "inputs")
      try session.setInputSizes(tensors)
      let layout = session.outputLayout(index)
      var result = adaptq_tensor()
      result.data = UnsafeRawPointer(pointer).loadUnaligned(
        fromByteOffset: MemoryLayout<adaptq_tensor>.offset(of: \.data) ?? 0, as: UnsafeMutableRawPointer?.self)
      result.type = layout.elementType
      result.rank = Int32(layout.rank)
      withUnsafeMutableBytes(of: &result.sizes) { sizes in
        for axis in 0..<layout.rank {
          sizes.storeBytes(of: Int64(session.outputSize(index, axis)), toByteOffset: axis * 8, as: Int64.self)
        }
      }
      result.data_size = session.outputByteCount(index)
      target.write(result)
    }
  }
}

@inline(never)
private func notPrepared() -> AdaptQError {
  AdaptQError(.notPrepared, "the session is not prepared: call adaptq_session_prepare() first")
}

// MARK: - Run

@c @implementation public func adaptq_session_run(
  _ session: OpaquePointer?, _ inputs: UnsafePointer<adaptq_tensor>?, _ inputCount: Int,
  _ outputs: UnsafePointer<adaptq_tensor>?, _ outputCount: Int, _ options: UnsafePointer<adaptq_run_options>?,
  _ report: UnsafeMutablePointer<adaptq_run_report>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let session = object.session
      if !session.isPrepared { throw notPrepared() }
      let inputArray = try StructArray(inputs, count: inputCount, "adaptq_tensor", parameter: "inputs")
      let outputArray = try StructArray(outputs, count: outputCount, "adaptq_tensor", parameter: "outputs")
      var callLevel: UInt8 = 0
      if let options { callLevel = try readCallLevel(options, session) }
      var target: OutStruct<adaptq_run_report>?
      if let report { target = try OutStruct(report, "adaptq_run_report") }
      try session.setInputSizes(inputArray)
      try bindInputs(inputArray, session)
      try bindOutputs(outputArray, session, inputArray.count)
      let result = session.run(callLevel: callLevel)
      if result.outcome.kind != .done { throw indexError(result.outcome, session) }
      if let target {
        var value = adaptq_run_report()
        value.sequence = result.sequence
        value.latency_ns = Int64(result.latencyNanoseconds)
        value.budget_ns = Int64(result.budgetNanoseconds)
        value.level = Int32(result.level.rawValue)
        value.reason = Int32(result.reason.rawValue) &+ 1
        value.budget_missed = result.budgetMissed ? 1 : 0
        value.level_changed = result.levelChanged ? 1 : 0
        value.budget_unreachable = result.budgetUnreachable ? 1 : 0
        target.write(value)
      }
    }
  }
}

private func readCallLevel(
  _ options: UnsafePointer<adaptq_run_options>, _ session: Session
) throws(AdaptQError) -> UInt8 {
  var wanted = adaptq_run_options()
  try readStruct(options, "adaptq_run_options", into: &wanted)
  if wanted.deadline_ns != 0 {
    throw .invalidArgument("adaptq_run_options.deadline_ns is \(wanted.deadline_ns); reserved, must be 0")
  }
  guard let level = try levelArgument(wanted.level, "adaptq_run_options.level") else { return 0 }
  if !session.hasLevel(level) {
    throw .unsupported("adaptq_run_options.level \(level.name) is not allowed in this session")
  }
  return level.rawValue
}

/// Nil for ADAPTQ_LEVEL_AUTO.
private func levelArgument(_ value: adaptq_level, _ field: StaticString) throws(AdaptQError) -> Level? {
  if value == ADAPTQ_LEVEL_AUTO { return nil }
  guard let raw = UInt8(exactly: value), let level = Level(rawValue: raw) else {
    throw .invalidArgument("\(field) is \(value); expected 0, 2, 4, 6, 8, 16 or 32")
  }
  return level
}

@inline(__always)
private func bindInputs(_ inputs: StructArray<adaptq_tensor>, _ session: Session) throws(AdaptQError) {
  for index in 0..<inputs.count {
    var tensor = adaptq_tensor()
    inputs.read(index, into: &tensor)
    let needed = session.inputByteCount(index)
    guard let data = tensor.data else { throw tensorError(.invalidArgument, "inputs", index, "data is NULL") }
    if tensor.data_size < needed {
      throw tensorError(.bufferTooSmall, "inputs", index, "data_size is \(tensor.data_size), needs \(needed)")
    }
    session.bind(index, TensorBinding(data: data, byteCount: needed))
  }
}

@inline(__always)
private func bindOutputs(
  _ outputs: StructArray<adaptq_tensor>, _ session: Session, _ first: Int
) throws(AdaptQError) {
  if outputs.count != session.outputCount { try requireCount(outputs.count, session.outputCount, "n_outputs") }
  for index in 0..<outputs.count {
    var tensor = adaptq_tensor()
    outputs.read(index, into: &tensor)
    let layout = session.outputLayout(index)
    if tensor.type != layout.elementType || tensor.rank != Int32(layout.rank) {
      try requireType(
        tensor, session.model.graph.values[session.model.graph.outputs[index].index], "outputs", index)
    }
    for axis in 0..<layout.rank where size(tensor, axis) != Int64(session.outputSize(index, axis)) {
      throw tensorError(
        .invalidArgument, "outputs", index,
        "sizes[\(axis)] is \(size(tensor, axis)), these inputs give \(session.outputSize(index, axis))")
    }
    let needed = session.outputByteCount(index)
    guard let data = tensor.data else { throw tensorError(.invalidArgument, "outputs", index, "data is NULL") }
    if tensor.data_size < needed {
      throw tensorError(.bufferTooSmall, "outputs", index, "data_size is \(tensor.data_size), needs \(needed)")
    }
    let begin = UInt(bitPattern: data)
    let (end, overflow) = begin.addingReportingOverflow(UInt(needed))
    if overflow { throw tensorError(.invalidArgument, "outputs", index, "data wraps around the address space") }
    for other in 0..<(first &+ index) {
      let binding = session.binding(other)
      let otherBegin = UInt(bitPattern: binding.data)
      if begin < otherBegin &+ UInt(binding.byteCount) && otherBegin < end {
        throw tensorError(
          .invalidArgument, "outputs", index,
          "data overlaps \(other < first ? "inputs[\(other)]" : "outputs[\(other - first)]")")
      }
    }
    session.bind(first &+ index, TensorBinding(data: data, byteCount: needed))
  }
}

@inline(never)
private func indexError(_ outcome: RunOutcome, _ session: Session) -> AdaptQError {
  .invalidArgument(
    "index \(outcome.index) at position \(outcome.position): \"\(session.model.graph.sites[outcome.site].name)\" has "
      + "\(outcome.rows) rows")
}

// MARK: - Precision and budget

@c @implementation public func adaptq_session_set_level(
  _ session: OpaquePointer?, _ level: adaptq_level
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      try object.session.setLevel(try levelArgument(level, "level"))
    }
  }
}

@c @implementation public func adaptq_session_set_allowed_levels(
  _ session: OpaquePointer?, _ levels: UInt32
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      try object.session.setAllowed(try allowedLevels(levels, "allowed_levels"))
    }
  }
}

@c @implementation public func adaptq_session_set_latency_budget(
  _ session: OpaquePointer?, _ nanoseconds: Int64, _ percentile: Double
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      try object.session.setLatencyBudget(
        nanoseconds: nanoseconds == 0 ? nil : Int(nanoseconds), percentile: percentile)
    }
  }
}

@c @implementation public func adaptq_session_costs(
  _ session: OpaquePointer?, _ costs: UnsafeMutablePointer<adaptq_level_cost>?, _ capacity: Int,
  _ count: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let session = object.session
      let count = try required(count, "count")
      if !session.isPrepared { throw notPrepared() }
      let needed = session.costs.count
      if capacity >= 0 && capacity < needed || capacity < 0 {
        count.pointee = needed
        throw AdaptQError(.bufferTooSmall, "capacity is \(UInt(bitPattern: capacity)), needs \(needed)")
      }
      let target = try StructArray(
        UnsafePointer(costs), count: needed, "adaptq_level_cost", parameter: "costs", checkingAll: false)
      for (index, cost) in session.costs.enumerated() {
        var value = adaptq_level_cost()
        value.level = Int32(cost.level.rawValue)
        value.is_step = session.isStep(index) ? 1 : 0
        value.latency_ns = Int64(cost.nanoseconds)
        target.write(value, at: index)
      }
      count.pointee = needed
    }
  }
}
