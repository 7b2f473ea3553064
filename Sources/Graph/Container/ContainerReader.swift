import Base
import NestedFormat

/// Names and versions shared by reader and writer of `.adaptq` files (docs/adaptq-file.md).
enum Container {
  static let version = "1"
  static let versionKey = "adaptq.version"
  static let modelKey = "adaptq.model"
  static let matricesKey = "adaptq.matrices"
  static let tokenizerKey = "adaptq.tokenizer"
  static let plansKey = "adaptq.plans"
  static let rangesKey = "adaptq.ranges"
  static let vocabularyTensor = "tokenizer.vocabulary"

  static func tensorName(site: Int, _ part: String) -> String { "site.\(site).\(part)" }

  static func scaleType(_ form: NestedForm) -> Safetensors.DType { form.scaleKind == .perOutput ? .f32 : .f16 }
  static func constantName(_ index: Int) -> String { "constant.\(index)" }

  static func requireVersion(_ file: Safetensors, _ source: String) throws(AdaptQError) {
    guard let version = file.metadata[versionKey] else {
      throw .invalidFile("\(source): metadata \"\(versionKey)\" is missing: not a .adaptq file")
    }
    if version != Container.version {
      throw AdaptQError(
        .unsupportedVersion, "\(source): version \"\(version)\", this library reads \"\(Container.version)\"")
    }
  }

  /// Keys of the container's own begin with this; all others are the user's.
  static let reservedPrefix = "adaptq."

  /// The user's texts, by the bytes of their keys.
  static func userMetadata(_ metadata: [String: String]) -> [(key: String, value: String)] {
    metadata.filter { !$0.key.hasPrefix(reservedPrefix) }
      .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { ($0.key, $0.value) }
  }
}

extension Model {
  /// Reads a `.adaptq` file from a block, which the model keeps. The bytes are hostile until this returns: every size, offset,
  /// index and type has been checked then.
  public convenience init(_ block: MemoryBlock, source: String) throws(AdaptQError) {
    let file = try Safetensors(block, source: source)
    try Container.requireVersion(file, source)
    guard let text = file.metadata[Container.modelKey] else {
      if file.metadata[Container.matricesKey] != nil {
        throw .unsupported("\(source): holds matrices, not a model")
      }
      throw .invalidFile("\(source): metadata \"\(Container.modelKey)\" is missing")
    }
    let json = try JSON.parse(text, "\(source): model")
    let graph = try Graph(decoding: try json.member("graph", in: "model"))

    let constants = try Model.readConstants(file, json)
    var forms: [SiteForms] = []
    var signalToNoise: [[JSON.Member]] = []
    let stored = try json.member("stored", in: "model").asArray("model stored")
    if stored.count != graph.sites.count {
      throw .invalidFile("model stored: \(stored.count) entries for \(graph.sites.count) sites")
    }
    for (index, item) in stored.enumerated() {
      var form = try Model.readForms(file, item, graph.sites[index], index)
      form.bias = try Model.bias(graph.sites[index], index, constants)
      forms.append(form)
      signalToNoise.append(try item["snr"]?.asObject("site \(index) snr") ?? [])
    }
    for (index, value) in graph.values.enumerated() {
      guard let constant = value.constant else { continue }
      guard constants.indices.contains(constant) else {
        throw .invalidFile("value \(index): constant \(constant) does not exist")
      }
      let type = ValueType(.float32, constants[constant].shape.map { .fixed($0) })
      if type != value.type { throw .invalidFile("value \(index): type differs from constant \(constant)") }
    }
    var tokenizer: (settings: JSON, vocabulary: UnsafeRawBufferPointer)?
    if let settings = file.metadata[Container.tokenizerKey] {
      guard let tensor = file.tensors[Container.vocabularyTensor] else {
        throw .invalidFile("tensor \"\(Container.vocabularyTensor)\" is missing")
      }
      let byteCount = try json.member("vocabulary", in: "model").asInt("model vocabulary")
      if byteCount < 0 || byteCount > tensor.range.count {
        throw .invalidFile("model vocabulary: \(byteCount) bytes, its tensor has \(tensor.range.count)")
      }
      tokenizer = (
        try JSON.parse(settings, "\(source): tokenizer"),
        UnsafeRawBufferPointer(rebasing: block.bytes[tensor.range].prefix(byteCount))
      )
    }
    var plans: PlanSet?
    if let text = file.metadata[Container.plansKey] {
      let set = try PlanSet(decoding: try JSON.parse(text, "\(source): plans"))
      try set.validate(graph, forms, uniform: Model.levels(graph, forms))
      plans = set
    }
    var ranges = [SiteRange?](repeating: nil, count: graph.sites.count)
    if let text = file.metadata[Container.rangesKey] {
      ranges = try SiteRange.decode(try JSON.parse(text, "\(source): ranges"), siteCount: graph.sites.count)
    }
    self.init(
      graph: graph, forms: forms, constants: constants.map(\.pointer), signalToNoise: signalToNoise,
      tokenizer: tokenizer, metadata: Container.userMetadata(file.metadata),
      storedBytes: Model.storedBytes(file, graph), plans: plans, ranges: ranges, owner: block)
  }

  private static func storedBytes(_ file: Safetensors, _ graph: Graph) -> StoredBytes {
    var bytes = StoredBytes()
    func count(_ name: String) -> Int { file.tensors[name]?.range.count ?? 0 }
    for (index, site) in graph.sites.enumerated() {
      func parts(_ names: [String]) -> Int {
        names.reduce(0) { $0 + count(Container.tensorName(site: index, $1)) }
      }
      switch site.kind {
      case .linear: bytes.nested += parts(["plane0", "plane1", "plane2", "plane3", "scales"])
      case .embedding: bytes.tables += parts(["codes", "scales"])
      }
      bytes.fp16 += parts(["fp16"])
      bytes.fp32 += parts(["fp32"])
    }
    var index = 0
    while let tensor = file.tensors[Container.constantName(index)] {
      bytes.constants += tensor.range.count
      index += 1
    }
    return bytes
  }

  struct StoredConstant {
    var shape: [Int]
    var pointer: UnsafePointer<Float>
  }

  static func bias(
    _ site: Graph.Site, _ index: Int, _ constants: [StoredConstant]
  ) throws(AdaptQError) -> UnsafePointer<Float>? {
    guard let bias = site.bias else { return nil }
    guard constants.indices.contains(bias) else {
      throw .invalidFile("site \(index): bias constant \(bias) does not exist")
    }
    if constants[bias].shape != [site.n] {
      throw .invalidFile("site \(index): bias of shape \(constants[bias].shape)")
    }
    return constants[bias].pointer
  }

  static func readConstants(_ file: Safetensors, _ json: JSON) throws(AdaptQError) -> [StoredConstant] {
    var constants: [StoredConstant] = []
    for (index, item) in try json.member("constants", in: "model").asArray("model constants").enumerated() {
      var shape: [Int] = []
      for size in try item.asArray("constant \(index)") { shape.append(try size.asInt("constant \(index)")) }
      let count = try checkedElementCount(shape, "constant \(index)")
      if count < 1 { throw .invalidFile("constant \(index): shape \(shape) is empty") }
      let byteCount = try checkedProduct(count, 4, "constant \(index)")
      let pointer = try file.pointer(Container.constantName(index), .f32, atLeast: byteCount)
      constants.append(StoredConstant(shape: shape, pointer: pointer.assumingMemoryBound(to: Float.self)))
    }
    return constants
  }

  static func readForms(
    _ file: Safetensors, _ item: JSON, _ site: Graph.Site, _ index: Int
  ) throws(AdaptQError) -> SiteForms {
    var forms = SiteForms()
    let what = "site \(index) \"\(site.name)\""
    func name(_ part: String) -> String { Container.tensorName(site: index, part) }
    func factor() throws(AdaptQError) -> Float {
      let bits = try item.member("factor", in: what).asInt("\(what) factor")
      let value = Float(bitPattern: UInt32(truncatingIfNeeded: bits))
      if !(value.isFinite && value > 0) || bits < 0 || bits > Int(UInt32.max) {
        throw .invalidFile("\(what): factor bits \(bits)")
      }
      return value
    }
    switch site.kind {
    case .linear:
      if file.tensors[name("scales")] != nil {
        let shape = try NestedShape(n: site.n, k: site.k, form: site.form)
        var planes: [UnsafeRawPointer] = []
        for plane in 0..<4 {
          planes.append(try file.pointer(name("plane\(plane)"), .u8, atLeast: shape.planeByteCount))
        }
        let view = NestedView(
          plane0: planes[0], plane1: planes[1], plane2: planes[2], plane3: planes[3],
          scales: try file.pointer(
            name("scales"), Container.scaleType(site.form), atLeast: shape.scaleByteCount),
          factor: try factor(), shape: shape)
        try view.validate(what)
        forms.nested = view
      }
      for (part, dtype, level) in [("fp16", Safetensors.DType.f16, Level.fp16), ("fp32", .f32, .fp32)]
      where file.tensors[name(part)] != nil {
        let shape = try DenseShape(n: site.n, k: site.k, level: level)
        let view = DenseView(base: try file.pointer(name(part), dtype, atLeast: shape.byteCount), shape: shape)
        if level == .fp16 { forms.fp16 = view } else { forms.fp32 = view }
      }
      if forms.nested == nil && forms.fp16 == nil && forms.fp32 == nil {
        throw .invalidFile("\(what): no weights")
      }
    case .embedding:
      let shape = try RowTableShape(rows: site.n, k: site.k)
      let table = RowTable(
        codes: try file.pointer(name("codes"), .u8, atLeast: shape.codeByteCount),
        scales: try file.pointer(name("scales"), .f16, atLeast: shape.scaleByteCount), factor: try factor(),
        shape: shape)
      try table.validate(what)
      forms.table = table
    }
    for part in ["plane0", "plane1", "plane2", "plane3", "scales", "codes", "fp16", "fp32"] {
      forms.storedByteCount += file.tensors[name(part)]?.range.count ?? 0
    }
    return forms
  }
}
