import Base
import CAdaptQ
import Graph
import NestedFormat

/// A model handle: the weights and graph, and the C texts that describe them.
final class ModelObject: HandleObject {
  static let handleKind = HandleKind.model

  let model: Model
  let runtime: RuntimeObject
  let texts: ModelTexts

  init(_ model: Model, _ runtime: RuntimeObject) throws(AdaptQError) {
    self.model = model
    self.runtime = runtime
    texts = try ModelTexts(model, runtime.calls)
  }
}

/// Names as C strings that live as long as the model.
final class ModelTexts: @unchecked Sendable {
  private let block: MemoryBlock
  private(set) var inputs: [UnsafePointer<CChar>] = []
  private(set) var outputs: [UnsafePointer<CChar>] = []
  private(set) var symbols: [UnsafePointer<CChar>] = []
  /// One per site, for the run path.
  let sites: UnsafeMutablePointer<UnsafePointer<CChar>?>
  /// Keys and values of the user's metadata, by key.
  private(set) var metadata: [(key: UnsafePointer<CChar>, value: UnsafePointer<CChar>)] = []

  var byteCount: Int { block.byteCount }

  init(_ model: Model, _ calls: SystemCalls) throws(AdaptQError) {
    let graph = model.graph
    let inputNames = graph.inputs.map { graph.values[$0.index].name }
    let outputNames = graph.outputs.map { graph.values[$0.index].name }
    let siteNames = graph.sites.map(\.name)
    var offset = siteNames.count * MemoryLayout<UnsafePointer<CChar>?>.stride
    var byteCount = offset
    for name in inputNames + outputNames + graph.symbols + siteNames { byteCount += name.utf8.count + 1 }
    for item in model.metadata { byteCount += item.key.utf8.count + item.value.utf8.count + 2 }
    block = try MemoryBlock.allocate(byteCount: byteCount, purpose: "names", calls: calls)
    sites = block.base.assumingMemoryBound(to: UnsafePointer<CChar>?.self)
    func store(_ name: String) -> UnsafePointer<CChar> {
      let start = block.base + offset
      for byte in name.utf8 {
        // A zero byte inside a name would end it early for C.
        block.base.storeBytes(of: byte == 0 ? 0x3F : byte, toByteOffset: offset, as: UInt8.self)
        offset += 1
      }
      offset += 1
      return UnsafePointer(start.assumingMemoryBound(to: CChar.self))
    }
    inputs = inputNames.map(store)
    outputs = outputNames.map(store)
    symbols = graph.symbols.map(store)
    for (index, name) in siteNames.enumerated() { sites[index] = store(name) }
    metadata = model.metadata.map { (store($0.key), store($0.value)) }
  }
}

/// Bits of ADAPTQ_ALLOW_* for a level.
func allowBit(_ level: Level) -> UInt32 {
  switch level {
  case .int2: UInt32(ADAPTQ_ALLOW_INT2)
  case .int4: UInt32(ADAPTQ_ALLOW_INT4)
  case .int6: UInt32(ADAPTQ_ALLOW_INT6)
  case .int8: UInt32(ADAPTQ_ALLOW_INT8)
  case .fp16: UInt32(ADAPTQ_ALLOW_FP16)
  case .fp32: UInt32(ADAPTQ_ALLOW_FP32)
  }
}

/// The levels of a mask, or nil for 0: all.
func allowedLevels(_ mask: UInt32, _ option: Option) throws(AdaptQError) -> [Level]? {
  try requireOption(Int64(mask), option)
  if mask == 0 { return nil }
  return Level.allCases.filter { mask & allowBit($0) != 0 }
}

// MARK: - Open and destroy

@c @implementation public func adaptq_model_open(
  _ runtime: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> adaptq_status {
  guardedNewHandle(out) { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (runtime) throws(AdaptQError) in
      let path = try required(path, "path")
      guard let text = String(validatingCString: path) else { throw .invalidArgument("path is not UTF-8") }
      let block = try MemoryBlock.read(path: text, calls: runtime.calls)
      return try openModel(block, "\"\(text)\"", runtime)
    }
  }
}

@c @implementation public func adaptq_model_open_memory(
  _ runtime: OpaquePointer?, _ data: UnsafeRawPointer?, _ size: Int, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> adaptq_status {
  guardedNewHandle(out) { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (runtime) throws(AdaptQError) in
      let data = try required(data, "data")
      if size < 0 { throw AdaptQError(.outOfRange, "size: \(UInt(bitPattern: size))") }
      let block = try MemoryBlock.allocate(byteCount: size, purpose: "model of \(size) bytes", calls: runtime.calls)
      block.base.copyMemory(from: data, byteCount: size)
      return try openModel(block, "model in memory", runtime)
    }
  }
}

func openModel(
  _ block: MemoryBlock, _ source: String, _ runtime: RuntimeObject
) throws(AdaptQError) -> ModelObject {
  let model = try ModelObject(try Model(block, source: source), runtime)
  runtime.log.info("opened \(source): \(model.model.graph.sites.count) sites, \(model.model.byteCount) bytes")
  return model
}

@c @implementation public func adaptq_model_destroy(_ model: OpaquePointer?) -> adaptq_status {
  destroyHandle(model, as: ModelObject.self)
}

// MARK: - Description

@c @implementation public func adaptq_model_input_count(
  _ model: OpaquePointer?, _ out: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  answer(model, out) { $0.model.graph.inputs.count }
}

@c @implementation public func adaptq_model_output_count(
  _ model: OpaquePointer?, _ out: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  answer(model, out) { $0.model.graph.outputs.count }
}

@c @implementation public func adaptq_model_site_count(
  _ model: OpaquePointer?, _ out: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  answer(model, out) { $0.model.graph.sites.count }
}

@c @implementation public func adaptq_model_levels(
  _ model: OpaquePointer?, _ out: UnsafeMutablePointer<UInt32>?
) -> adaptq_status {
  answer(model, out) { $0.model.levels.reduce(0) { $0 | allowBit($1) } }
}

private func answer<Value>(
  _ model: OpaquePointer?, _ out: UnsafeMutablePointer<Value>?, _ value: (ModelObject) -> Value
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    let out = try required(out, "out")
    try withHandle(model, as: ModelObject.self) { (model) throws(AdaptQError) in out.pointee = value(model) }
  }
}

@c @implementation public func adaptq_model_input(
  _ model: OpaquePointer?, _ index: Int, _ info: UnsafeMutablePointer<adaptq_tensor_info>?
) -> adaptq_status {
  tensorInfo(model, index, info, "input") { ($0.model.graph.inputs, $0.texts.inputs) }
}

@c @implementation public func adaptq_model_output(
  _ model: OpaquePointer?, _ index: Int, _ info: UnsafeMutablePointer<adaptq_tensor_info>?
) -> adaptq_status {
  tensorInfo(model, index, info, "output") { ($0.model.graph.outputs, $0.texts.outputs) }
}

private func tensorInfo(
  _ handle: OpaquePointer?, _ index: Int, _ info: UnsafeMutablePointer<adaptq_tensor_info>?, _ what: StaticString,
  _ list: (ModelObject) -> ([ValueID], [UnsafePointer<CChar>])
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(handle, as: ModelObject.self) { (object) throws(AdaptQError) in
      let target = try OutStruct(required(info, "info"), "adaptq_tensor_info")
      let (values, names) = list(object)
      try requireIndex(index, values.count, what)
      let type = object.model.graph.type(of: values[index])
      var result = adaptq_tensor_info()
      result.name = names[index]
      result.type = Int32(type.element.rawValue)
      result.rank = Int32(type.rank)
      withUnsafeMutableBytes(of: &result.sizes) { sizes in
        for (axis, dimension) in type.shape.enumerated() {
          var size: Int64 = -1
          if case .fixed(let fixed) = dimension { size = Int64(fixed) }
          sizes.storeBytes(of: size, toByteOffset: axis * 8, as: Int64.self)
        }
      }
      withUnsafeMutableBytes(of: &result.dim_names) { dimNames in
        for (axis, dimension) in type.shape.enumerated() {
          if case .symbol(let symbol) = dimension {
            dimNames.storeBytes(of: object.texts.symbols[symbol], toByteOffset: axis * 8, as: UnsafePointer<CChar>.self)
          }
        }
      }
      target.write(result)
    }
  }
}

func requireIndex(_ index: Int, _ count: Int, _ what: StaticString) throws(AdaptQError) {
  if index < 0 || index >= count {
    throw AdaptQError(.outOfRange, "index \(UInt(bitPattern: index)): the model has \(count) \(what)s")
  }
}

@c @implementation public func adaptq_model_site(
  _ model: OpaquePointer?, _ index: Int, _ info: UnsafeMutablePointer<adaptq_site_info>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(model, as: ModelObject.self) { (object) throws(AdaptQError) in
      let target = try OutStruct(required(info, "info"), "adaptq_site_info")
      try requireIndex(index, object.model.graph.sites.count, "site")
      let site = object.model.graph.sites[index]
      let forms = object.model.forms[index]
      var result = adaptq_site_info()
      result.name = object.texts.sites[index]
      result.kind = Int32(site.kind == .linear ? ADAPTQ_SITE_LINEAR : ADAPTQ_SITE_EMBEDDING)
      result.n = Int64(site.n)
      result.k = Int64(site.k)
      result.stored_bytes = Int64(forms.storedByteCount)
      result.levels =
        site.kind == .embedding
        ? allowBit(.int8) : Level.allCases.reduce(0) { forms.holds($1) ? $0 | allowBit($1) : $0 }
      target.write(result)
    }
  }
}
