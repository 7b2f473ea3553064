import Base
import CAdaptQ
import Control
import Graph
import NestedFormat
import Runtime

/// A session handle.
final class SessionObject: HandleObject, @unchecked Sendable {
  static let handleKind = HandleKind.session

  let session: Session
  let model: ModelObject
  let run: RunHandle
  /// What the trace function reads.
  private let traceTarget: UnsafeMutablePointer<TraceTarget>

  init(_ session: Session, _ model: ModelObject) {
    self.session = session
    self.model = model
    run = session.handle
    traceTarget = .allocate(capacity: 1)
    traceTarget.initialize(to: TraceTarget(sites: UnsafePointer(model.texts.sites)))
  }

  deinit { traceTarget.deallocate() }

  func setTrace(_ callback: adaptq_trace_callback?, _ context: UnsafeMutableRawPointer?) {
    traceTarget.pointee.callback = callback
    traceTarget.pointee.context = context
    session.setTrace(callback == nil ? nil : forwardTrace, context: traceTarget)
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
      try readOptions(options, "adaptq_session_options", firstSize: FirstSize.sessionOptions, into: &wanted)
      let allowed = try allowedLevels(wanted.allowed_levels, .allowedLevels)
      try requireOption(wanted.measure_ns, .measureTime)
      try requireOption(Int64(wanted.shadow), .allowShadow)
      try requireOption(Int64(wanted.choose_threads), .chooseThreads)
      let kernels = model.runtime.kernelSet(model.model.graph.form)
      let telemetryFile = model.runtime.telemetryFile
      let session = try Session(
        model: model.model, allowed: allowed ?? Level.allCases, kernels: kernels.table, kernelOwner: kernels,
        calls: model.runtime.calls, threads: model.runtime.threads,
        measureNanoseconds: wanted.measure_ns == 0 ? nil : Int(wanted.measure_ns), telemetryFile: telemetryFile,
        powerSignal: model.runtime.sampler.signal, shadows: wanted.shadow != 0,
        choosesThreads: wanted.choose_threads != 0, load: model.runtime.load,
        machine: CostMachine(model.runtime.cpu, model.runtime.features, kernels))
      if let telemetryFile, !session.isRecorded {
        model.runtime.log.warning(
          "the telemetry file has no section left for this session: it has \(telemetryFile.layout.sessions)")
      }
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
      let expected = object.session.model.graph.inputs.count
      if count != expected { throw countError(count, expected, "n_inputs") }
      let tensors = try StructArray(
        maxInputs, count: count, "adaptq_tensor", parameter: "max_inputs", firstSize: FirstSize.tensor)
      var shapes: [[Int]] = []
      for (index, input) in object.session.model.graph.inputs.enumerated() {
        var tensor = adaptq_tensor()
        tensors.read(index, into: &tensor)
        let value = object.session.model.graph.values[input.index]
        if hostType(tensor, value.type.element, value.type.rank, isOutput: false) == nil {
          throw typeError(tensor, value, "max_inputs", index, isOutput: false)
        }
        shapes.append((0..<value.type.rank).map { Int(tensorSize(tensor, $0)) })
      }
      try object.session.prepare(maximumShapes: shapes)
      let refused = object.model.runtime.threads.refusedCount
      if refused > 0 { object.model.runtime.log.warning("the system refused \(refused) threads") }
      object.model.runtime.log.info(
        "prepared for \(shapes): \(object.session.workingByteCount) bytes; "
          + (object.session.preparation.costsAreImported ? "imported costs: " : "")
          + object.session.costs.map { "\($0.level.name) \($0.nanoseconds / 1000) us" }.joined(separator: ", "))
    }
  }
}

// MARK: - Output shapes

@c @implementation public func adaptq_session_output_shape(
  _ session: OpaquePointer?, _ inputs: UnsafePointer<adaptq_tensor>?, _ inputCount: Int, _ index: Int,
  _ output: UnsafeMutablePointer<adaptq_tensor>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let run = object.run
      if !run.isPrepared { throw notPrepared() }
      let pointer = try required(output, "output")
      let target = try OutStruct(pointer, "adaptq_tensor", firstSize: FirstSize.tensor)
      try requireIndex(index, run.outputCount, "output")
      if inputCount != run.inputCount { throw countError(inputCount, run.inputCount, "n_inputs") }
      let tensors = try StructArray(
        inputs, count: inputCount, "adaptq_tensor", parameter: "inputs", firstSize: FirstSize.tensor)
      try run.setInputSizes(tensors)
      let layout = run.outputLayout(index)
      var result = adaptq_tensor()
      result.data = UnsafeRawPointer(pointer).loadUnaligned(
        fromByteOffset: MemoryLayout<adaptq_tensor>.offset(of: \.data) ?? 0, as: UnsafeMutableRawPointer?.self)
      result.type = layout.elementType
      result.rank = Int32(layout.rank)
      withUnsafeMutableBytes(of: &result.sizes) { sizes in
        for axis in 0..<layout.rank {
          sizes.storeBytes(of: Int64(run.outputSize(index, axis)), toByteOffset: axis * 8, as: Int64.self)
        }
      }
      result.data_size = run.outputByteCount(index)
      target.write(result)
    }
  }
}

// MARK: - Precision and budget

@c @implementation public func adaptq_session_set_level(
  _ session: OpaquePointer?, _ level: adaptq_level
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      try requireOption(Int64(level), .setLevel)
      try object.session.setLevel(try levelArgument(level, "level"))
    }
  }
}

@c @implementation public func adaptq_session_set_allowed_levels(
  _ session: OpaquePointer?, _ levels: UInt32
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      try requireOption(Int64(levels), .setAllowedLevels)
      let outcome = object.session.setAllowed(levels == 0 ? nil : { levels & allowBit($0) != 0 })
      if outcome == .set { return }
      if outcome == .notInSession {
        let names = object.session.levels.map(\.name).joined(separator: ", ")
        throw .unsupported("allowed_levels is \(levels): a level is not in this session, which has \(names)")
      }
      throw limitError(outcome, "allowed_levels is \(levels): no plan of these levels holds the quality floor: ")
    }
  }
}

@c @implementation public func adaptq_session_set_latency_budget(
  _ session: OpaquePointer?, _ nanoseconds: Int64, _ percentile: Double
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      try requireOption(nanoseconds, .latency)
      if nanoseconds != 0 { try requireOption(percentile, .percentile) }
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
