import Base
import NestedFormat

/// Turns a built graph with float weights into the bytes of a `.adaptq` file: encodes every site, measures each level's
/// signal-to-noise, lays the tensors out.
public struct ContainerWriter {
  public var builder: GraphBuilder
  /// Levels kept beside the nested form, of FP16 and FP32.
  public var keep: Set<Level>
  public var tokenizer: (settings: JSON, vocabulary: [UInt8])?
  /// Texts of the user's own. Keys are not empty, do not begin with "adaptq." and occur once.
  public var metadata: [(key: String, value: String)] = []

  public init(builder: GraphBuilder, keep: Set<Level>, tokenizer: (settings: JSON, vocabulary: [UInt8])? = nil) {
    self.builder = builder
    self.keep = keep
    self.tokenizer = tokenizer
  }

  struct Planned {
    var name: String
    var dtype: Safetensors.DType
    /// Padded to a multiple of 64, so that the next tensor is aligned too.
    var byteCount: Int
    var offset: Int
  }

  static func append(
    _ plan: inout [Planned], _ name: String, _ dtype: Safetensors.DType, _ byteCount: Int
  ) throws(AdaptQError) {
    let offset =
      try plan.last.map { last throws(AdaptQError) in try checkedSum(last.offset, last.byteCount, name) } ?? 0
    plan.append(Planned(name: name, dtype: dtype, byteCount: try roundedUp(byteCount, to: 64), offset: offset))
  }

  /// - Parameter progress: told after each site how many of how many are done.
  public func write(progress: (_ done: Int, _ of: Int) -> Void = { _, _ in }) throws(AdaptQError) -> MemoryBlock {
    try builder.graph.validate()
    try checkMetadata()
    let sites = builder.graph.sites
    var plan: [Planned] = []
    for (index, site) in sites.enumerated() { try planSite(&plan, index, site) }
    for (index, constant) in builder.constants.enumerated() {
      let byteCount = try checkedProduct(try checkedElementCount(constant.shape, constant.name), 4, constant.name)
      try ContainerWriter.append(&plan, Container.constantName(index), .f32, byteCount)
    }
    if let tokenizer {
      try ContainerWriter.append(&plan, Container.vocabularyTensor, .u8, tokenizer.vocabulary.count)
    }
    // Every factor and figure is longest with these, so the header that is written at the end fits.
    let longest = sites.map { _ in
      SiteRecord(
        factor: Float(bitPattern: UInt32.max),
        signalToNoise: Level.allCases.map { .init($0.name, .number(-123456.125)) })
    }
    let headerCount = try roundedUp(8 + header(plan, longest).count, to: 64)
    let dataCount = plan.last.map { $0.offset + $0.byteCount } ?? 0
    let block = try MemoryBlock.allocate(byteCount: try checkedSum(headerCount, dataCount, "file"), purpose: "file")
    var addresses: [String: UnsafeMutableRawPointer] = [:]
    for item in plan { addresses[item.name] = block.base + headerCount + item.offset }

    var records: [SiteRecord] = []
    for (index, site) in sites.enumerated() {
      records.append(try encode(site, index, addresses))
      progress(index + 1, sites.count)
    }
    for (index, constant) in builder.constants.enumerated() {
      addresses[Container.constantName(index)]?.copyMemory(
        from: constant.bytes.pointer, byteCount: constant.bytes.elementCount * 4)
    }
    if let tokenizer, let target = addresses[Container.vocabularyTensor] {
      tokenizer.vocabulary.withUnsafeBytes { bytes in
        if let base = bytes.baseAddress { target.copyMemory(from: base, byteCount: bytes.count) }
      }
    }
    try ContainerWriter.storeHeader(header(plan, records), byteCount: headerCount, at: block.base)
    return block
  }

  /// Writes the length and the header, filled with spaces up to `byteCount`.
  static func storeHeader(
    _ header: [UInt8], byteCount: Int, at base: UnsafeMutableRawPointer
  ) throws(AdaptQError) {
    var text = header
    if text.count > byteCount - 8 {
      throw .internalError("header of \(text.count) bytes, \(byteCount - 8) planned")
    }
    while text.count < byteCount - 8 { text.append(UInt8(ascii: " ")) }
    base.storeBytes(of: UInt64(byteCount - 8).littleEndian, as: UInt64.self)
    text.withUnsafeBytes { bytes in
      if let source = bytes.baseAddress { (base + 8).copyMemory(from: source, byteCount: bytes.count) }
    }
  }

  private func checkMetadata() throws(AdaptQError) {
    var seen: Set<String> = []
    for item in metadata {
      if item.key.isEmpty || item.key.hasPrefix(Container.reservedPrefix) {
        throw .invalidArgument(
          "metadata key \"\(item.key)\": must not be empty or begin with \"\(Container.reservedPrefix)\"")
      }
      if !seen.insert(item.key).inserted { throw .invalidArgument("metadata key \"\(item.key)\" occurs twice") }
    }
  }

  private struct SiteRecord {
    var factor: Float
    var signalToNoise: [JSON.Member]
  }

  private func planSite(_ plan: inout [Planned], _ index: Int, _ site: Graph.Site) throws(AdaptQError) {
    func add(_ part: String, _ dtype: Safetensors.DType, _ byteCount: Int) throws(AdaptQError) {
      try ContainerWriter.append(&plan, Container.tensorName(site: index, part), dtype, byteCount)
    }
    switch site.kind {
    case .linear:
      let shape = try NestedShape(n: site.n, k: site.k, form: site.form)
      for plane in 0..<4 { try add("plane\(plane)", .u8, shape.planeByteCount) }
      try add("scales", Container.scaleType(site.form), shape.scaleByteCount)
      if keep.contains(.fp16) { try add("fp16", .f16, try DenseShape(n: site.n, k: site.k, level: .fp16).byteCount) }
      if keep.contains(.fp32) { try add("fp32", .f32, try DenseShape(n: site.n, k: site.k, level: .fp32).byteCount) }
    case .embedding:
      let shape = try RowTableShape(rows: site.n, k: site.k)
      try add("codes", .u8, shape.codeByteCount)
      try add("scales", .f16, shape.scaleByteCount)
    }
  }

  private func encode(
    _ site: Graph.Site, _ index: Int, _ addresses: [String: UnsafeMutableRawPointer]
  ) throws(AdaptQError) -> SiteRecord {
    func address(_ part: String) throws(AdaptQError) -> UnsafeMutableRawPointer {
      guard let address = addresses[Container.tensorName(site: index, part)] else {
        throw .internalError("site \(index): no room for \(part)")
      }
      return address
    }
    let tensor = try builder.weights[index].aligned()
    let weights = tensor.floats
    var record = SiteRecord(factor: 1, signalToNoise: [])
    func note(_ level: Level, _ decibels: Double) {
      // A tenth of a decibel is what a person reads; it also bounds the text.
      if decibels.isFinite {
        record.signalToNoise.append(.init(level.name, .number((decibels * 10).rounded() / 10)))
      }
    }
    switch site.kind {
    case .linear:
      let shape = try NestedShape(n: site.n, k: site.k, form: site.form)
      let planes = (try address("plane0"), try address("plane1"), try address("plane2"), try address("plane3"))
      let scales = try address("scales")
      record.factor = try NestedEncoder.encode(
        weights: weights, rowStride: site.k, shape: shape, planes: planes, scales: scales)
      let view = NestedView(
        plane0: planes.0, plane1: planes.1, plane2: planes.2, plane3: planes.3, scales: scales, factor: record.factor,
        shape: shape)
      for level in Level.nested { note(level, NestedFormat.signalToNoise(weights, view, level)) }
      for level in [Level.fp16, .fp32] where keep.contains(level) {
        try DenseShape(n: site.n, k: site.k, level: level).pack(
          weights: weights, rowStride: site.k, into: try address(level == .fp16 ? "fp16" : "fp32"))
      }
    case .embedding:
      let shape = try RowTableShape(rows: site.n, k: site.k)
      let (codes, scales) = (try address("codes"), try address("scales"))
      record.factor = try RowTable.encode(
        weights: weights, rowStride: site.k, shape: shape, codes: codes, scales: scales)
      let table = RowTable(codes: codes, scales: scales, factor: record.factor, shape: shape)
      note(.int8, NestedFormat.signalToNoise(weights, table))
    }
    return record
  }

  private func header(_ plan: [Planned], _ records: [SiteRecord]) -> [UInt8] {
    var model: [JSON.Member] = [
      .init("graph", builder.graph.encoded()),
      .init("constants", .array(builder.constants.map { .array($0.shape.map { .integer($0) }) })),
      .init(
        "stored",
        .array(
          records.map {
            .object([
              .init("factor", .integer(Int($0.factor.bitPattern))), .init("snr", .object($0.signalToNoise)),
            ])
          })),
    ]
    if let tokenizer { model.append(.init("vocabulary", .integer(tokenizer.vocabulary.count))) }
    var metadata: [JSON.Member] = [
      .init(Container.versionKey, .string(Container.version)),
      .init(Container.modelKey, .string(JSON.object(model).text)),
    ]
    if let tokenizer { metadata.append(.init(Container.tokenizerKey, .string(tokenizer.settings.text))) }
    for item in self.metadata { metadata.append(.init(item.key, .string(item.value))) }
    return ContainerWriter.headerText(plan, metadata)
  }

  /// The header of a file with these tensors.
  static func headerText(_ plan: [Planned], _ metadata: [JSON.Member]) -> [UInt8] {
    var members: [JSON.Member] = [.init("__metadata__", .object(metadata))]
    for item in plan {
      members.append(
        .init(
          item.name,
          .object([
            .init("dtype", .string(item.dtype.rawValue)),
            .init("shape", .array([.integer(item.byteCount / item.dtype.byteCount)])),
            .init("data_offsets", .array([.integer(item.offset), .integer(item.offset + item.byteCount)])),
          ])))
    }
    var bytes: [UInt8] = []
    JSON.object(members).write(into: &bytes)
    return bytes
  }
}
