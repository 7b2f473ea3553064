import Base
import NestedFormat

/// One matrix of a file, or one to be written: its weights in every form that is kept.
public struct StoredMatrix: @unchecked Sendable {
  public var name: String
  public var n: Int
  public var k: Int
  public var form: NestedForm
  /// `forms.bias` is the bias.
  public var forms: SiteForms

  public init(name: String, n: Int, k: Int, form: NestedForm, forms: SiteForms) {
    self.name = name
    self.n = n
    self.k = k
    self.form = form
    self.forms = forms
  }
}

/// A `.adaptq` file that holds matrices and no graph (docs/adaptq-file.md, "Files with matrices only"). Everything points
/// into one block of memory, which it keeps. Immutable.
public final class MatrixFile: Sendable {
  /// In the order of the file; names are distinct.
  public let matrices: [StoredMatrix]
  public let owner: MemoryBlock

  /// The bytes are hostile until this returns, and are read with the same checks as a model's sites.
  public init(_ block: MemoryBlock, source: String) throws(AdaptQError) {
    let file = try Safetensors(block, source: source)
    try Container.requireVersion(file, source)
    guard let text = file.metadata[Container.matricesKey] else {
      if file.metadata[Container.modelKey] != nil { throw .unsupported("\(source): holds a model, not matrices") }
      throw .invalidFile("\(source): metadata \"\(Container.matricesKey)\" is missing")
    }
    let json = try JSON.parse(text, "\(source): matrices")
    let constants = try Model.readConstants(file, json)
    let stored = try json.member("stored", in: "matrices").asArray("matrices stored")
    var matrices: [StoredMatrix] = []
    var names: Set<[UInt8]> = []
    for item in try json.member("sites", in: "matrices").asArray("matrices sites") {
      let index = matrices.count
      let site = try Graph.Site(decoding: item, "site \(index)")
      try site.validate()
      if site.kind != .linear { throw .invalidFile("site \(index) \"\(site.name)\": not linear") }
      if !names.insert(Array(site.name.utf8)).inserted {
        throw .invalidFile("site \(index): name \"\(site.name)\" appears twice")
      }
      if index >= stored.count { throw .invalidFile("matrices stored: \(stored.count) entries, too few") }
      var forms = try Model.readForms(file, stored[index], site, index)
      forms.bias = try Model.bias(site, index, constants)
      matrices.append(
        StoredMatrix(name: site.name, n: site.n, k: site.k, form: site.form, forms: forms))
    }
    if matrices.isEmpty { throw .invalidFile("\(source): no matrices") }
    if stored.count != matrices.count {
      throw .invalidFile("matrices stored: \(stored.count) entries for \(matrices.count) sites")
    }
    self.matrices = matrices
    owner = block
  }

  /// The bytes of a file with these matrices.
  ///
  /// - Throws: `.invalidArgument` for no matrix, or a name that occurs twice.
  public static func bytes(
    of matrices: [StoredMatrix], calls: SystemCalls = .live
  ) throws(AdaptQError) -> MemoryBlock {
    if matrices.isEmpty { throw .invalidArgument("matrices: none") }
    var plan: [ContainerWriter.Planned] = []
    var sources: [(UnsafeRawPointer, Int)] = []
    func add(
      _ name: String, _ dtype: Safetensors.DType, _ source: UnsafeRawPointer, _ byteCount: Int
    ) throws(AdaptQError) {
      try ContainerWriter.append(&plan, name, dtype, byteCount)
      sources.append((source, byteCount))
    }
    var sites: [JSON] = []
    var constants: [JSON] = []
    var stored: [JSON] = []
    var names: Set<[UInt8]> = []
    for (index, matrix) in matrices.enumerated() {
      if !names.insert(Array(matrix.name.utf8)).inserted {
        throw .invalidArgument("matrices[\(index)]: name \"\(matrix.name)\" appears twice")
      }
      func name(_ part: String) -> String { Container.tensorName(site: index, part) }
      var record: [JSON.Member] = []
      if let nested = matrix.forms.nested {
        let shape = try NestedShape(n: matrix.n, k: matrix.k, form: matrix.form)
        for number in 0..<4 {
          guard let plane = nested.plane(number) else { throw .unsupported("matrices[\(index)]: lacks planes") }
          try add(name("plane\(number)"), .u8, plane, shape.planeByteCount)
        }
        try add(name("scales"), Container.scaleType(matrix.form), nested.scales, shape.scaleByteCount)
        record.append(.init("factor", .integer(Int(nested.factor.bitPattern))))
      }
      for (part, dtype, level, view) in [
        ("fp16", Safetensors.DType.f16, Level.fp16, matrix.forms.fp16), ("fp32", .f32, .fp32, matrix.forms.fp32),
      ] {
        guard let view else { continue }
        try add(name(part), dtype, view.base, try DenseShape(n: matrix.n, k: matrix.k, level: level).byteCount)
      }
      var site = Graph.Site(
        name: matrix.name, kind: .linear, n: matrix.n, k: matrix.k, form: matrix.form, bias: nil)
      if let bias = matrix.forms.bias {
        site.bias = constants.count
        try add(Container.constantName(constants.count), .f32, UnsafeRawPointer(bias), matrix.n * 4)
        constants.append(.array([.integer(matrix.n)]))
      }
      sites.append(site.encoded())
      stored.append(.object(record))
    }
    let text = JSON.object([
      .init("sites", .array(sites)), .init("constants", .array(constants)), .init("stored", .array(stored)),
    ]).text
    let header = ContainerWriter.headerText(
      plan,
      [
        .init(Container.versionKey, .string(Container.version)), .init(Container.matricesKey, .string(text)),
      ])
    let headerCount = try roundedUp(8 + header.count, to: 64)
    let dataCount = plan.last.map { $0.offset + $0.byteCount } ?? 0
    let block = try MemoryBlock.allocate(
      byteCount: try checkedSum(headerCount, dataCount, "file"), purpose: "file", calls: calls)
    for (item, source) in zip(plan, sources) {
      (block.base + headerCount + item.offset).copyMemory(from: source.0, byteCount: source.1)
    }
    try ContainerWriter.storeHeader(header, byteCount: headerCount, at: block.base)
    return block
  }
}
