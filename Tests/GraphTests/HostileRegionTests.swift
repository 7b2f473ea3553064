import Base
import Graph
import TestSupport
import Testing

/// Files with convolutions, recurrence, states and regions, with one defect each.
@Suite struct HostileRegionTests {
  /// Nodes of region 0: 0 convolution1D, 1 readState, 2 gru, 3 writeState, 4 conditional, 5 loop. Regions: 1 then, 2 else,
  /// 3 the loop's body. Values: 0 x, 1 flag, 2 convolved, 3 state, 4 and 5 of the GRU, 6 written, 7 parameter of then,
  /// 8 its tanh, 9 parameter of else, 10 its sigmoid, 11 result, 12 parameter of the body, 13 its relu, 14 result.
  static func builder() throws(AdaptQError) -> GraphBuilder {
    var random = SeededRandom("HostileRegionTests")
    var builder = GraphBuilder()
    let x = builder.input("x", .float32, [.fixed(2), builder.symbol("steps"), .fixed(3)])
    let flag = builder.input("flag", .int32, [])
    let site = try builder.convolutionSite("taps", try .random([4, 3, 3], &random), bias: nil)
    let y = try builder.add(.convolution1D(site, Convolution1D(kernel: 3, stride: 2)), x)
    let input = try builder.linearSite("input", try .random([15, 4], &random), bias: nil)
    let recurrent = try builder.linearSite("recurrent", try .random([15, 5], &random), bias: nil)
    let state = builder.state("memory", ValueType(.float32, [.fixed(2), .fixed(5)]))
    let old = try builder.add(.readState(state))
    let outputs = try builder.addAll(.gru(input: input, recurrent: recurrent), [y, old])
    let new = try builder.add(.writeState(state), outputs[1])
    let taken = try builder.addConditional(flag, [new]) { (builder, values) throws(AdaptQError) in
      [try builder.add(.activation(.tanh), values[0])]
    } otherwise: { (builder, values) throws(AdaptQError) in
      [try builder.add(.activation(.sigmoid), values[0])]
    }
    let looped = try builder.addLoop(flag, taken) { (builder, values) throws(AdaptQError) in
      [try builder.add(.activation(.relu), values[0])]
    }
    builder.output("y", looped[0])
    return builder
  }

  private static let file = Result {
    try ContainerFile(try ContainerWriter(builder: try builder(), keep: []).write())
  }

  private func check(_ what: String, _ status: Status, _ expected: String, _ path: [JSONStep], _ value: JSON?) throws {
    var file = try HostileRegionTests.file.get()
    try file.setModel(["graph"] + path, value)
    let block = try file.block()
    do throws(AdaptQError) {
      _ = try Model(block, source: "hostile")
      Issue.record("\(what): accepted")
    } catch {
      #expect(error.status == status, "\(what): \(error)")
      #expect(error.message.contains(expected), "\(what): \(error)")
    }
  }

  private func node(_ region: Int, _ index: Int, _ rest: [JSONStep]) -> [JSONStep] {
    ["regions", .index(region), "nodes", .index(index)] + rest
  }

  @Test func untouched() throws {
    let builder = try HostileRegionTests.builder()
    #expect(
      try Model(try ContainerWriter(builder: builder, keep: []).write(), source: "untouched").graph == builder.graph)
  }

  @Test func attributes() throws {
    for (key, value, expected) in [
      ("kernel", 0, "kernel"), ("kernel", 2, "taps"), ("kernel", 1 << 21, "kernel"), ("kernel", .min, "kernel"),
      ("stride", 0, "stride"), ("stride", -1, "stride"), ("stride", .max, "stride"), ("before", -1, "before"),
      ("before", .max, "before"), ("after", .min, "after"), ("dilation", 0, "dilation"), ("dilation", .max, "dilation"),
      ("groups", 0, "groups"), ("groups", 2, "groups"), ("groups", .max, "groups"), ("site", 9, "site"),
      ("site", -1, "site"), ("site", 1, "taps"), ("stride", 3, "type of value"), ("before", 1, "type of value"),
    ] as [(String, Int, String)] {
      try check("\(key) \(value)", .invalidFile, expected, node(0, 0, ["attributes", .key(key)]), .integer(value))
    }
    for key in ["kernel", "stride", "before", "after", "dilation", "groups", "site"] {
      try check("no \(key)", .invalidFile, key, node(0, 0, ["attributes", .key(key)]), nil)
      try check("\(key) of text", .invalidFile, key, node(0, 0, ["attributes", .key(key)]), .string("3"))
    }
    for (key, value) in [("input", 0), ("recurrent", 1), ("input", 3), ("recurrent", -1), ("input", .max)] {
      try check("gru \(key) \(value)", .invalidFile, "gru", node(0, 2, ["attributes", .key(key)]), .integer(value))
    }
    for value in [1, -1, .max] {
      try check("state \(value)", .invalidFile, "state", node(0, 1, ["attributes", "state"]), .integer(value))
    }
  }

  @Test func sizes() throws {
    func size(_ plus: Int, _ over: Int, symbol: Int = 0) -> JSON {
      .object([.init("symbol", .integer(symbol)), .init("plus", .integer(plus)), .init("over", .integer(over))])
    }
    let place: [JSONStep] = ["values", 2, "type", "shape", 1]
    for (json, expected) in [
      (size(0, 0), "out of range"), (size(-1, -2), "out of range"), (size(.max, 2), "out of range"),
      (size(.min, 2), "out of range"), (size(-1, .max), "out of range"), (size(-1, 2, symbol: 4), "symbol 4"),
      (size(-1, 2, symbol: -1), "symbol -1"), (size(-2, 2), "type of value 2"), (size(-1, 3), "type of value 2"),
      (.object([.init("symbol", .integer(0)), .init("over", .integer(2))]), "plus"), (.null, "type of value 2"),
    ] {
      try check("size \(json.text)", .invalidFile, expected, place, json)
    }
    try check("derived input", .invalidFile, "no window", ["values", 0, "type", "shape", 1], .null)
    for (json, expected) in [
      (JSON.object([.init("symbol", .integer(0))]), "not fixed"), (.null, "not fixed"), (.integer(0), "out of range"),
      (.integer(1 << 31), "readState"),
    ] {
      try check("state of \(json.text)", .invalidFile, expected, ["states", 0, "type", "shape", 1], json)
    }
    try check("axis", .invalidFile, "axis 2", ["states", 0, "axis"], .integer(2))
    try check("state that grows", .invalidFile, "grows", ["states", 0, "axis"], .integer(1))
    try check("length of another", .invalidFile, "cannot have its length", ["states", 0, "lengthOf"], .integer(0))
    try check(
      "length of no growing state", .invalidFile, "length of state 0", place, .object([.init("length", .integer(0))]))
    try check("length of no state", .invalidFile, "length of state 7", place, .object([.init("length", .integer(7))]))
    try check("appended", .invalidFile, "does not grow", node(0, 3, ["op"]), .string("appendState"))
  }

  @Test func inputOfADerivedSize() throws {
    var graph = Graph()
    graph.symbols = ["steps"]
    for shape in [[Dimension.symbol(0)], [.derived(DerivedSize(symbol: 0, plus: 1, over: 2))]] {
      graph.values.append(Graph.Value(name: "x", type: ValueType(.float32, shape)))
    }
    graph.regions[0] = Graph.Region(parameters: [ValueID(0)], results: [ValueID(0)])
    try graph.validate()
    graph.regions[0] = Graph.Region(parameters: [ValueID(1), ValueID(0)], results: [ValueID(0)])
    #expect(throws: AdaptQError.self) { try graph.validate() }
  }

  @Test func regions() throws {
    for (what, expected, path, value) in [
      ("value of the other branch", "not defined", node(2, 0, ["inputs", 0]), 8),
      ("value of a region behind it", "not defined", ["regions", 0, "results", 0], 8),
      ("parameter of the other branch", "not defined", ["regions", 2, "results", 0], 7),
      ("result defined later", "not defined", ["regions", 1, "results", 0], 11),
      ("defined twice", "twice", node(2, 0, ["outputs", 0]), 8),
      ("parameter defined outside", "twice", ["regions", 1, "parameters", 0], 6),
      ("condition of floats", "condition", node(0, 4, ["inputs", 0]), 6),
      ("trip count of floats", "trip count", node(0, 5, ["inputs", 0]), 11),
      ("argument of another type", "another type", node(0, 4, ["inputs", 1]), 2),
      ("results of different types", "different types", ["regions", 1, "results", 0], 2),
      ("body of another type", "carried", ["regions", 3, "results", 0], 2),
      ("region twice", "two nodes", node(0, 4, ["attributes", "else"]), 1),
      ("region of another node", "two nodes", node(0, 5, ["attributes", "body"]), 2),
      ("region around it", "does not lie inside", node(0, 4, ["attributes", "then"]), 0),
      ("region -1", "region -1", node(0, 4, ["attributes", "then"]), -1),
      ("region 99", "region 99", node(0, 4, ["attributes", "then"]), 99),
    ] as [(String, String, [JSONStep], Int)] {
      try check(what, .invalidFile, expected, path, .integer(value))
    }
    try check("parameter missing", .invalidFile, "not defined", ["regions", 3, "parameters"], .array([]))
    try check("result missing", .invalidFile, "different types", ["regions", 1, "results"], .array([]))
    try check("second output missing", .invalidFile, "1 outputs", node(0, 2, ["outputs", 1]), nil)
  }

  /// Each growing state is appended to once in every run, by as much as the one it shares its length with.
  @Test func growth() throws {
    func graph(
      _ change: (inout Graph) -> Void = { _ in }
    ) throws -> Graph {
      var builder = GraphBuilder()
      let (steps, other) = (builder.symbol("steps"), builder.symbol("other"))
      let x = builder.input("x", .float32, [steps, .fixed(3)])
      let y = builder.input("y", .float32, [other, .fixed(3)])
      let type = ValueType(.float32, [.fixed(9), .fixed(3)])
      let first = builder.growingState("first", type, axis: 0)
      let second = builder.growingState("second", type, axis: 0, lengthOf: first)
      builder.output("a", try builder.add(.appendState(first), x))
      builder.output("b", try builder.add(.appendState(second), x))
      var graph = builder.graph
      #expect(graph.type(of: graph.outputs[0]) == graph.type(of: graph.outputs[1]))
      _ = y
      change(&graph)
      try graph.validate()
      return graph
    }
    #expect(try graph().states[1].maximumLength == 9)
    let changes: [(inout Graph) -> Void] = [
      { $0.states[1].lengthOf = 1 }, { $0.states[1].lengthOf = -1 }, { $0.states[1].lengthOf = 2 },
      { $0.states[0].lengthOf = 1 },
      // A later state: lengths are read in order.
      { graph in
        graph.states[0].lengthOf = 1
        graph.states[1].lengthOf = nil
        for output in graph.outputs { graph.values[output.index].type.shape[0] = .length(1) }
      },
      { $0.states[1].type.shape[0] = .fixed(8) }, { $0.states[1].growingAxis = 2 }, { $0.states[1].growingAxis = nil },
      { $0.states[0].growingAxis = 1 }, { $0.regions[0].nodes[1].inputs[0] = ValueID(1) },
      {
        $0.regions[0].nodes.removeLast(); $0.regions[0].results.removeLast()
      },
      { graph in
        graph.values.append(graph.values[graph.outputs[0].index])
        graph.regions[0].nodes.append(graph.regions[0].nodes[0])
        graph.regions[0].nodes[2].outputs = [ValueID(graph.values.count - 1)]
      },
    ]
    for (index, change) in changes.enumerated() {
      #expect(throws: AdaptQError.self, "change \(index)") { try graph(change) }
    }
  }

  /// Regions in regions: 16 are fine, 17 are refused.
  @Test(arguments: [15, 16, 17, 5000]) func depth(_ depth: Int) throws {
    var graph = Graph()
    func value(_ name: String) -> ValueID {
      graph.values.append(Graph.Value(name: name, type: ValueType(.int32, [])))
      return ValueID(graph.values.count - 1)
    }
    let flag = value("flag")
    graph.regions[0].parameters = [flag]
    graph.regions[0].results = [flag]
    for level in 0..<depth {
      graph.regions.append(Graph.Region())
      graph.regions[level].nodes = [
        Graph.Node(operation: .loop(body: RegionID(level + 1)), inputs: [flag], outputs: [])
      ]
    }
    if depth <= 16 {
      try graph.validate()
      #expect(try Graph(decoding: JSON.parse(graph.encoded().text, "graph")) == graph)
    } else {
      #expect(throws: AdaptQError.invalidFile("region 17: nesting deeper than 16")) { try graph.validate() }
    }
  }

  /// The walk takes time in proportion to the graph, whatever its regions see: many values times many regions would be
  /// 4 billion steps.
  @Test func manyRegionsAndValues() throws {
    var graph = Graph()
    let count = 20_000
    graph.values = (0..<count * 10).map { Graph.Value(name: "v\($0)", type: ValueType(.int32, [])) }
    graph.regions[0].parameters = (0..<count * 10).map { ValueID($0) }
    graph.regions[0].results = [ValueID(0)]
    for index in 1...count {
      graph.regions[0].nodes.append(
        Graph.Node(operation: .loop(body: RegionID(index)), inputs: [ValueID(0)], outputs: []))
      graph.regions.append(Graph.Region())
    }
    try graph.validate()
  }
}
