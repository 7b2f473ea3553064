import Base
import Graph
import NestedFormat
import TestSupport
import Testing

/// Files with one defect each: the status and the named field are part of the interface.
@Suite struct HostileFileTests {
  struct Broken: Sendable {
    var what: String
    var status = Status.invalidFile
    var expected: String
    var change: @Sendable (inout ContainerFile) throws -> Void
  }

  static func small() throws -> ContainerFile {
    let writer = ContainerWriter(builder: try SmallModel.builder(), keep: [.fp16], tokenizer: SmallModel.tokenizer)
    return try ContainerFile(try writer.write())
  }

  private func check(_ what: String, _ status: Status, _ expected: String, _ block: MemoryBlock) {
    do throws(AdaptQError) {
      _ = try Model(block, source: "hostile")
      Issue.record("\(what): accepted")
    } catch {
      #expect(error.status == status, "\(what): \(error)")
      #expect(error.message.contains(expected), "\(what): \(error)")
    }
  }

  /// Sets one field of a tensor's description.
  private static func tensor(_ name: String, _ key: String, _ value: JSON?)
    -> @Sendable (inout ContainerFile) throws -> Void
  {
    { file in file[tensor: name] = file[tensor: name]?.replacing([.key(key)], with: value) }
  }

  private static func model(_ path: [JSONStep], _ value: JSON?) -> @Sendable (inout ContainerFile) throws -> Void {
    { file in try file.setModel(path, value) }
  }

  private static func node(_ index: Int, _ rest: [JSONStep]) -> [JSONStep] {
    ["graph", "regions", 0, "nodes", .index(index)] + rest
  }

  // Nodes of the small model: 0 embedding, 1 attention, 2 linear, 3 gelu, 4 linear, 5 add, 6 layerNorm, 7 maskedMean,
  // 8 l2Normalize. Values: 0 and 1 inputs, 2 and 3 gamma and beta, then one per node.
  static let cases: [Broken] = [
    // The safetensors layer.
    Broken(what: "hole", expected: "hole") { file in
      file[tensor: "extra"] = try JSON.parse(
        #"{"dtype":"U8","shape":[1],"data_offsets":[\#(file.data.count + 64),\#(file.data.count + 65)]}"#, "")
      file.data += [UInt8](repeating: 0, count: 65)
    },
    Broken(what: "overlap", expected: "overlaps") { file in
      file[tensor: "extra"] = try JSON.parse(#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#, "")
    },
    Broken(what: "bytes behind", expected: "after the last tensor") { file in file.data.append(0) },
    Broken(
      what: "offsets outside", expected: "data_offsets",
      change: tensor("site.0.codes", "data_offsets", .array([.integer(0), .integer(1 << 40)]))),
    Broken(
      what: "offsets reversed", expected: "data_offsets",
      change: tensor("site.0.codes", "data_offsets", .array([.integer(64), .integer(0)]))),
    Broken(
      what: "offset negative", expected: "data_offsets",
      change: tensor("site.0.codes", "data_offsets", .array([.integer(-64), .integer(0)]))),
    Broken(
      what: "one offset", expected: "data_offsets",
      change: tensor("site.0.codes", "data_offsets", .array([.integer(0)]))),
    Broken(
      what: "offset of wrong type", expected: "data_offsets",
      change: tensor("site.0.codes", "data_offsets", .array([.string("0"), .integer(64)]))),
    Broken(what: "no offsets", expected: "data_offsets", change: tensor("site.0.codes", "data_offsets", nil)),
    Broken(what: "shape", expected: "its shape needs", change: tensor("site.0.codes", "shape", .array([.integer(3)]))),
    Broken(
      what: "shape negative", status: .outOfRange, expected: "negative",
      change: tensor("site.0.codes", "shape", .array([.integer(-3)]))),
    Broken(
      what: "shape overflows", status: .outOfRange, expected: "overflows",
      change: tensor("site.0.codes", "shape", .array([.integer(.max), .integer(.max)]))),
    Broken(
      what: "fraction in shape", expected: "shape", change: tensor("site.0.codes", "shape", .array([.number(1.5)]))),
    Broken(
      what: "unknown dtype", status: .unsupported, expected: "F8",
      change: tensor("site.0.codes", "dtype", .string("F8"))),
    Broken(
      what: "dtype without shape's bytes", expected: "its shape needs",
      change: tensor("site.0.codes", "dtype", .string("I64"))),
    Broken(what: "wrong dtype", expected: "site.0.codes", change: tensor("site.0.codes", "dtype", .string("I8"))),
    Broken(what: "metadata not a string", expected: "__metadata__") { file in
      file.header[0].value = .object([.init("adaptq.version", .integer(1))])
    },
    Broken(what: "metadata not an object", expected: "__metadata__") { file in file.header[0].value = .array([]) },
    // The container.
    Broken(what: "no version", expected: "adaptq.version") { file in file[metadata: "adaptq.version"] = nil },
    Broken(what: "other version", status: .unsupportedVersion, expected: "\"2\"") { file in
      file[metadata: "adaptq.version"] = "2"
    },
    Broken(what: "no model", expected: "adaptq.model") { file in file[metadata: "adaptq.model"] = nil },
    Broken(what: "model not JSON", expected: "model") { file in file[metadata: "adaptq.model"] = "{" },
    Broken(what: "vocabulary too long", expected: "vocabulary", change: model(["vocabulary"], .integer(1000))),
    Broken(what: "vocabulary negative", expected: "vocabulary", change: model(["vocabulary"], .integer(-1))),
    Broken(what: "vocabulary missing", expected: "vocabulary", change: model(["vocabulary"], nil)),
    Broken(what: "tokenizer not JSON", expected: "tokenizer") { file in file[metadata: "adaptq.tokenizer"] = "[" },
    Broken(what: "no stored entry", expected: "stored", change: model(["stored", 2], nil)),
    Broken(what: "no factor", expected: "factor", change: model(["stored", 0, "factor"], nil)),
    Broken(what: "factor infinite", expected: "factor", change: model(["stored", 1, "factor"], .integer(0x7F80_0000))),
    Broken(what: "factor negative", expected: "factor", change: model(["stored", 1, "factor"], .integer(0xBF80_0000))),
    Broken(
      what: "factor of 64 bits", expected: "factor", change: model(["stored", 1, "factor"], .integer(0x1_3F80_0000))),
    Broken(what: "factor bits negative", expected: "factor", change: model(["stored", 1, "factor"], .integer(-1))),
    Broken(what: "snr", expected: "snr", change: model(["stored", 0, "snr"], .integer(3))),
    Broken(
      what: "constant's shape", expected: "constant.1", change: model(["constants", 1], .array([.integer(1000)]))),
    Broken(what: "constant empty", expected: "constant 0", change: model(["constants", 0], .array([.integer(0)]))),
    Broken(
      what: "constant overflows", status: .outOfRange, expected: "constant 0",
      change: model(["constants", 0], .array([.integer(1 << 62)]))),
    Broken(what: "constants missing", expected: "bias", change: model(["constants"], .array([]))),
    Broken(
      what: "constant of a value", expected: "constant 9",
      change: model(["graph", "values", 2, "constant"], .integer(9))),
    Broken(
      what: "constant negative", expected: "constant -1",
      change: model(["graph", "values", 2, "constant"], .integer(-1))),
    Broken(
      what: "constant of another type", expected: "constant 0",
      change: model(["graph", "values", 2, "constant"], .integer(0))),
    Broken(what: "bias index", expected: "bias", change: model(["graph", "sites", 1, "bias"], .integer(44))),
    Broken(what: "bias shape", expected: "bias", change: model(["graph", "sites", 1, "bias"], .integer(1))),
    Broken(what: "bias of wrong type", expected: "bias", change: model(["graph", "sites", 1, "bias"], .string("0"))),
    Broken(
      what: "group size", status: .unsupported, expected: "group size",
      change: model(["graph", "sites", 1, "group"], .integer(32))),
    Broken(
      what: "scale kind", status: .unsupported, expected: "scales \"logarithmic\"",
      change: model(["graph", "sites", 1, "scales"], .string("logarithmic"))),
    Broken(
      what: "scale kind is a number", expected: "scales",
      change: model(["graph", "sites", 1, "scales"], .integer(1))),
    Broken(
      what: "activations", status: .unsupported, expected: "activations \"tensor\"",
      change: model(["graph", "sites", 1, "activations"], .string("tensor"))),
    Broken(
      what: "scales per output and group", status: .unsupported, expected: "scales per output have one group",
      change: model(["graph", "sites", 1, "scales"], .string("output"))),
    Broken(
      what: "a site of another form", status: .unsupported, expected: "another form",
      change: model(["graph", "sites", 1, "activations"], .string("row"))),
    Broken(
      what: "a table of another form", status: .unsupported, expected: "a table of another form",
      change: model(["graph", "sites", 0, "activations"], .string("row"))),
    Broken(
      what: "site kind", status: .unsupported, expected: "kind",
      change: model(["graph", "sites", 1, "kind"], .string("convolution"))),
    Broken(what: "site size 0", expected: "out of range", change: model(["graph", "sites", 0, "n"], .integer(0))),
    Broken(
      what: "site size huge", expected: "out of range", change: model(["graph", "sites", 0, "n"], .integer(.max))),
    Broken(
      what: "table with too many rows", expected: "site.0.codes",
      change: model(["graph", "sites", 0, "n"], .integer(1000))),
    // The graph.
    Broken(
      what: "unknown operator", status: .unsupported, expected: "\"fly\"",
      change: model(node(3, ["op"]), .string("fly"))),
    Broken(
      what: "unknown element", status: .unsupported, expected: "bfloat",
      change: model(["graph", "values", 5, "type", "element"], .string("bfloat"))),
    Broken(what: "use before definition", expected: "not defined", change: model(node(2, ["inputs", 0]), .integer(8))),
    Broken(what: "use of itself", expected: "not defined", change: model(node(3, ["inputs", 0]), .integer(7))),
    Broken(what: "no such value", expected: "99", change: model(node(3, ["inputs", 0]), .integer(99))),
    Broken(what: "negative value", expected: "-1", change: model(node(3, ["inputs", 0]), .integer(-1))),
    Broken(what: "defined twice", expected: "defined twice", change: model(node(3, ["outputs", 0]), .integer(6))),
    Broken(
      what: "output of a constant", expected: "defined twice", change: model(node(3, ["outputs", 0]), .integer(2))),
    Broken(what: "no output", expected: "outputs", change: model(node(3, ["outputs"]), .array([]))),
    Broken(
      what: "result undefined", expected: "result", change: model(["graph", "regions", 0, "results", 0], .integer(99))),
    Broken(what: "no results", expected: "no outputs", change: model(["graph", "regions", 0, "results"], .array([]))),
    Broken(what: "no regions", expected: "no regions", change: model(["graph", "regions"], .array([]))),
    Broken(
      what: "stored type differs", expected: "value 7",
      change: model(["graph", "values", 7, "type", "shape", 2], .integer(41))),
    Broken(
      what: "input not float", expected: "node",
      change: model(["graph", "values", 0, "type", "element"], .string("float32"))),
    Broken(what: "size 0", expected: "size 0", change: model(["graph", "values", 4, "type", "shape", 2], .integer(0))),
    Broken(
      what: "size negative", expected: "size -4",
      change: model(["graph", "values", 4, "type", "shape", 2], .integer(-4))),
    Broken(
      what: "symbol", expected: "symbol 5",
      change: model(["graph", "values", 4, "type", "shape", 0, "symbol"], .integer(5))),
    Broken(
      what: "symbol negative", expected: "symbol -1",
      change: model(["graph", "values", 4, "type", "shape", 0, "symbol"], .integer(-1))),
    Broken(what: "free symbol", expected: "\"loose\"", change: model(["graph", "symbols", 2], .string("loose"))),
    Broken(
      what: "rank", expected: "rank 9",
      change: model(["graph", "values", 4, "type", "shape"], .array([JSON](repeating: .integer(1), count: 9)))),
    Broken(what: "site index", expected: "site 9", change: model(node(2, ["attributes", "site"]), .integer(9))),
    Broken(
      what: "site of the other kind", expected: "not linear",
      change: model(node(2, ["attributes", "site"]), .integer(0))),
    Broken(what: "heads", expected: "heads", change: model(node(1, ["attributes", "heads"]), .integer(5))),
    Broken(what: "heads negative", expected: "heads", change: model(node(1, ["attributes", "heads"]), .integer(-2))),
    Broken(
      what: "scale beyond float", expected: "scale", change: model(node(1, ["attributes", "scale"]), .number(1e300))),
    Broken(
      what: "epsilon negative", expected: "epsilon", change: model(node(6, ["attributes", "epsilon"]), .number(-1))),
    Broken(what: "attribute missing", expected: "heads", change: model(node(1, ["attributes", "heads"]), nil)),
    Broken(what: "cyclic region", expected: "region 0") { file in
      try file.setModel(node(3, ["op"]), .string("loop"))
      try file.setModel(node(3, ["attributes", "body"]), .integer(0))
    },
    Broken(what: "region in itself", expected: "region 1") { file in
      try file.setModel(node(3, ["op"]), .string("loop"))
      try file.setModel(node(3, ["attributes", "body"]), .integer(1))
      try file.setModel(
        ["graph", "regions", 1],
        try JSON.parse(
          #"{"parameters":[],"nodes":[{"op":"loop","attributes":{"body":1},"inputs":[6],"outputs":[]}],"results":[6]}"#,
          ""))
    },
    Broken(
      what: "region of no node", expected: "region 1",
      change: model(
        ["graph", "regions", 1],
        .object([.init("parameters", .array([])), .init("nodes", .array([])), .init("results", .array([]))]))),
  ]

  @Test(arguments: cases.indices) func broken(_ index: Int) throws {
    let item = HostileFileTests.cases[index]
    var file = try HostileFileTests.small()
    try item.change(&file)
    check(item.what, item.status, item.expected, try file.block())
  }

  @Test func untouched() throws { _ = try Model(try HostileFileTests.small().block(), source: "untouched") }

  @Test func missingTensors() throws {
    let names = try HostileFileTests.small().header.map(\.key).filter { $0 != "__metadata__" }
    #expect(names.count > 12)
    for name in names {
      var file = try HostileFileTests.small()
      // Its bytes stay, under another name, so that there is no hole.
      file[tensor: "renamed"] = file[tensor: name]
      file[tensor: name] = nil
      // What is left of a site without scales or one kept form is a smaller model, not a broken one.
      if name.hasSuffix(".fp16") || (name.hasSuffix(".scales") && !name.hasPrefix("site.0.")) {
        _ = try Model(try file.block(), source: "hostile")
      } else {
        check("without \(name)", .invalidFile, name, try file.block())
      }
    }
  }

  @Test func unalignedTensor() throws {
    let file = try HostileFileTests.small()
    // One more byte of header text moves every tensor.
    var text = Array(file.headerText.utf8)
    while (text.count + 8) % 64 != 1 { text.append(0x20) }
    check(
      "unaligned", .invalidFile, "not a multiple of 64",
      try ContainerFile.block(length: UInt64(text.count), rest: text + file.data))
  }

  @Test func headers() throws {
    let file = try HostileFileTests.small()
    let text = Array(file.headerText.utf8)
    check("empty", .invalidFile, "header length", try ContainerFile.block([UInt8]()))
    check("seven bytes", .invalidFile, "header length", try ContainerFile.block([UInt8](repeating: 0, count: 7)))
    check("length 0", .invalidFile, "'{'", try ContainerFile.block(length: 0, rest: text + file.data))
    for length in [UInt64.max, 1 << 63, 100_000_001] {
      check("length \(length)", .invalidFile, "header length", try ContainerFile.block(length: length, rest: text))
    }
    check("length beyond the file", .invalidFile, "header", try ContainerFile.block(length: 90_000_000, rest: text))
    check("not an object", .invalidFile, "'{'", try ContainerFile.block(headerText: "[]", data: []))
    check("white space first", .invalidFile, "'{'", try ContainerFile.block(headerText: " {}", data: []))
    check("no metadata", .invalidFile, "adaptq.version", try ContainerFile.block(headerText: "{}", data: []))
    check("two keys", .invalidFile, "twice", try ContainerFile.block(headerText: #"{"a":{},"a":{}}"#, data: []))
    check(
      "two metadata", .invalidFile, "twice",
      try ContainerFile.block(headerText: #"{"__metadata__":{"a":"1","a":"2"}}"#, data: []))
    check("tensor not an object", .invalidFile, "\"a\"", try ContainerFile.block(headerText: #"{"a":1}"#, data: []))
    check(
      "deep nesting", .invalidFile, "nesting",
      try ContainerFile.block(headerText: #"{"a":"# + String(repeating: "[", count: 100_000), data: []))
  }

  /// A chain of regions, each used twice by the one before, would make a naive check take 2^n steps.
  @Test func sharedRegions() throws {
    var graph = try SmallModel.builder().graph
    let condition = ValueID(graph.values.count)
    graph.values.append(Graph.Value(name: "condition", type: ValueType(.int32, [])))
    graph.regions[0].parameters.append(condition)
    for index in 1...15 {
      let pair = Graph.Node(
        operation: .conditional(then: RegionID(index), otherwise: RegionID(index)), inputs: [condition], outputs: [])
      graph.regions[index - 1].nodes += [Graph.Node](repeating: pair, count: 50)
      graph.regions.append(Graph.Region())
    }
    #expect(throws: AdaptQError.invalidFile("region 15: belongs to two nodes")) { try graph.validate() }
  }
}
