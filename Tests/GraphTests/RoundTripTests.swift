import Base
import NestedFormat
import TestSupport
import Testing

@testable import Graph

/// What is written is what is read.
@Suite struct RoundTripTests {
  @Test func graphAsJSON() throws {
    let graph = try SmallModel.builder().graph
    let text = graph.encoded().text
    #expect(try Graph(decoding: JSON.parse(text, "graph")) == graph)
  }

  /// Every operator, states, regions and unknown sizes.
  @Test func everyOperatorAsJSON() throws {
    var graph = Graph()
    graph.symbols = ["batch", "steps"]
    func value(_ name: String, _ type: ValueType) -> ValueID {
      graph.values.append(Graph.Value(name: name, type: type))
      return ValueID(graph.values.count - 1)
    }
    let (key, item) = (
      value("key", ValueType(.float32, [.fixed(2), .symbol(1), .fixed(4)])),
      value("item", ValueType(.float32, [.fixed(2), .symbol(1), .fixed(3)]))
    )
    let (keys, items) = (
      value("keys", ValueType(.float32, [.fixed(2), .length(1), .fixed(4)])),
      value("items", ValueType(.float32, [.fixed(2), .length(1), .fixed(3)]))
    )
    let condition = value("condition", ValueType(.int32, []))
    let x = value("x", ValueType(.float32, [.symbol(0), .symbol(1), .fixed(4)]))
    let state = value("old", ValueType(.float32, [.fixed(4)]))
    let written = value("new", ValueType(.float32, [.fixed(4)]))
    let (a, b) = (value("a", graph.type(of: x)), value("b", graph.type(of: x)))
    let (taken, looped) = (value("taken", graph.type(of: x)), value("looped", graph.type(of: x)))
    let (carried, body) = (value("carried", graph.type(of: x)), value("body", graph.type(of: x)))
    graph.states = [
      Graph.State(name: "memory", type: ValueType(.float32, [.fixed(4)])),
      Graph.State(name: "keys", type: ValueType(.float32, [.fixed(2), .fixed(9), .fixed(4)]), growingAxis: 1),
      Graph.State(
        name: "values", type: ValueType(.float32, [.fixed(2), .fixed(9), .fixed(3)]), growingAxis: 1, lengthOf: 1),
    ]
    graph.regions = [
      Graph.Region(
        parameters: [condition, x, key, item],
        nodes: [
          Graph.Node(operation: .appendState(StateID(1)), inputs: [key], outputs: [keys]),
          Graph.Node(operation: .appendState(StateID(2)), inputs: [item], outputs: [items]),
          Graph.Node(operation: .readState(StateID(0)), inputs: [], outputs: [state]),
          Graph.Node(operation: .writeState(StateID(0)), inputs: [state], outputs: [written]),
          Graph.Node(
            operation: .conditional(then: RegionID(1), otherwise: RegionID(2)), inputs: [condition], outputs: [taken]),
          Graph.Node(operation: .loop(body: RegionID(3)), inputs: [condition, taken], outputs: [looped]),
        ], results: [looped, written]),
      Graph.Region(nodes: [Graph.Node(operation: .activation(.tanh), inputs: [x], outputs: [a])], results: [a]),
      Graph.Region(nodes: [Graph.Node(operation: .binary(.multiply), inputs: [x, x], outputs: [b])], results: [b]),
      Graph.Region(
        parameters: [carried], nodes: [Graph.Node(operation: .softmax, inputs: [carried], outputs: [body])],
        results: [body]),
    ]
    try graph.validate()
    #expect(try Graph(decoding: JSON.parse(graph.encoded().text, "graph")) == graph)
    let type = ValueType(
      .int32, [.fixed(2), .symbol(1), .dataDependent, .derived(DerivedSize(symbol: 1, plus: -3, over: 2)), .length(3)])
    #expect(try ValueType(decoding: type.encoded(), "type") == type)
    for operation: Operator in [
      .embedding(SiteID(3)), .linear(SiteID(0)), .layerNorm(epsilon: 1e-12), .activation(.geluTanh),
      .binary(.subtract), .attention(heads: 12, scale: 0.17677669), .softmax, .range(axis: 1), .maskedMean,
      .l2Normalize(epsilon: 1e-12), .readState(StateID(1)), .writeState(StateID(2)), .appendState(StateID(3)),
      .compare(.greater), .gru(input: SiteID(1), recurrent: SiteID(2)),
      .convolution1D(SiteID(4), Convolution1D(kernel: 5, stride: 2, before: 3, after: 1, dilation: 4, groups: 6)),
    ] {
      let attributes = try JSON.parse(operation.encodedAttributes().text, "attributes")
      #expect(try Operator(name: operation.name, attributes: attributes, "node") == operation)
    }
  }

  @Test(arguments: [[], [Level.fp16], [.fp32], [.fp16, .fp32]]) func container(_ keep: [Level]) throws {
    let builder = try SmallModel.builder()
    let block = try ContainerWriter(builder: builder, keep: Set(keep), tokenizer: SmallModel.tokenizer).write()
    let model = try Model(block, source: "round trip")
    #expect(model.graph == builder.graph)
    #expect(model.levels == (keep + Level.nested).sorted().reversed())
    #expect(model.byteCount == block.byteCount)
    let tokenizer = try #require(model.tokenizer)
    #expect(tokenizer.settings == SmallModel.tokenizer.settings)
    #expect(Array(tokenizer.vocabulary) == SmallModel.tokenizer.vocabulary)
    for (index, constant) in builder.constants.enumerated() {
      #expect(UInt(bitPattern: model.constants[index]) % 64 == 0)
      for element in 0..<constant.bytes.elementCount {
        #expect(model.constants[index][element] == constant.bytes.floats[element])
      }
    }
    for (index, site) in builder.graph.sites.enumerated() {
      let forms = model.forms[index]
      let weights = builder.weights[index].floats
      #expect(forms.fp16 != nil || site.kind == .embedding || !keep.contains(.fp16))
      #expect(!model.signalToNoise[index].isEmpty)
      for row in 0..<site.n {
        for column in 0..<site.k {
          let weight = weights[row * site.k + column]
          if let view = forms.fp32 { #expect(view.value(row, column) == weight) }
          if let view = forms.fp16 { #expect(view.value(row, column) == Half(weight).float) }
          // The encoder has its own tests; here only that the right site is read: 45 dB.
          if let view = forms.nested { #expect((view.value(row, column, .int8) - weight).magnitude < 0.02) }
          if let table = forms.table { #expect((table.value(row, column) - weight).magnitude < 0.05) }
        }
      }
    }
    // The same input gives the same bytes.
    let again = try ContainerWriter(builder: builder, keep: Set(keep), tokenizer: SmallModel.tokenizer).write()
    #expect(try again.withBytes { Array($0) } == block.withBytes { Array($0) })
    withExtendedLifetime(model) {}
  }

  @Test func metadata() throws {
    var writer = ContainerWriter(builder: try SmallModel.builder(), keep: [.fp16], tokenizer: SmallModel.tokenizer)
    let plain = try Model(try writer.write(), source: "test")
    #expect(plain.metadata.isEmpty)
    writer.metadata = [("licence", "Apache-2.0"), ("", "x"), ("b", "\"\\\u{0}\n"), ("adaptq", "ü"), ("a.b", "")]
    #expect(throws: AdaptQError.self) { try writer.write() }
    writer.metadata[1].key = "adaptq.own"
    #expect(throws: AdaptQError.self) { try writer.write() }
    writer.metadata[1].key = "b"
    #expect(throws: AdaptQError.self) { try writer.write() }
    writer.metadata[1].key = "é"
    let model = try Model(try writer.write(), source: "test")
    let expected = [("a.b", ""), ("adaptq", "ü"), ("b", "\"\\\u{0}\n"), ("licence", "Apache-2.0"), ("é", "x")]
    #expect(model.metadata.map(\.key) == expected.map(\.0) && model.metadata.map(\.value) == expected.map(\.1))
    #expect(model.graph == plain.graph && model.storedBytes == plain.storedBytes)
    let bytes = model.storedBytes
    #expect(bytes.nested > 0 && bytes.fp16 > 0 && bytes.fp32 == 0 && bytes.tables > 0 && bytes.constants > 0)
    #expect(bytes.sum < model.byteCount)
    #expect(bytes.nested + bytes.fp16 + bytes.tables == model.forms.reduce(0) { $0 + $1.storedByteCount })
  }

  @Test func noTokenizer() throws {
    let block = try ContainerWriter(builder: try SmallModel.builder(), keep: []).write()
    #expect(try Model(block, source: "test").tokenizer == nil)
  }

  @Test func weightsThatAreNotFinite() throws {
    var builder = GraphBuilder()
    let x = builder.input("x", .float32, [.fixed(2)])
    let site = try builder.linearSite("bad", try .of([1, 2], [1, .nan]), bias: nil)
    builder.output("y", try builder.add(.linear(site), x))
    #expect(throws: AdaptQError.self) { try ContainerWriter(builder: builder, keep: []).write() }
  }
}
