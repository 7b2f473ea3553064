import Base
import NestedFormat

// The graph as JSON, inside the metadata of a `.adaptq` file. docs/adaptq-file.md lists the fields.

extension Graph {
  public func encoded() -> JSON {
    .object([
      .init("symbols", .array(symbols.map { .string($0) })),
      .init("values", .array(values.map { $0.encoded() })),
      .init("sites", .array(sites.map { $0.encoded() })),
      .init("states", .array(states.map { $0.encoded() })),
      .init("regions", .array(regions.map { $0.encoded() })),
    ])
  }

  /// Reads and validates.
  public init(decoding json: JSON) throws(AdaptQError) {
    self.init()
    regions = []
    for item in try json.member("symbols", in: "graph").asArray("graph symbols") {
      symbols.append(try item.asString("graph symbol"))
    }
    for item in try json.member("values", in: "graph").asArray("graph values") {
      values.append(try Value(decoding: item, "value \(values.count)"))
    }
    for item in try json.member("sites", in: "graph").asArray("graph sites") {
      sites.append(try Site(decoding: item, "site \(sites.count)"))
    }
    for item in try json.member("states", in: "graph").asArray("graph states") {
      states.append(try State(decoding: item, "state \(states.count)"))
    }
    for item in try json.member("regions", in: "graph").asArray("graph regions") {
      regions.append(try Region(decoding: item, "region \(regions.count)"))
    }
    try validate()
  }
}

extension ValueType {
  func encoded() -> JSON {
    .object([
      .init("element", .string(element.name)),
      .init(
        "shape",
        .array(
          shape.map { dimension in
            switch dimension {
            case .fixed(let size): .integer(size)
            case .symbol(let index): .object([.init("symbol", .integer(index))])
            case .derived(let size):
              .object([
                .init("symbol", .integer(size.symbol)), .init("plus", .integer(size.plus)),
                .init("over", .integer(size.over)),
              ])
            case .length(let state): .object([.init("length", .integer(state))])
            case .dataDependent: .null
            }
          })),
    ])
  }

  init(decoding json: JSON, _ what: String) throws(AdaptQError) {
    let name = try json.member("element", in: what).asString("\(what) element")
    guard let element = ElementType.allCases.first(where: { $0.name == name }) else {
      throw .unsupported("\(what): element type \"\(name)\"")
    }
    var shape: [Dimension] = []
    for item in try json.member("shape", in: what).asArray("\(what) shape") {
      switch item {
      case .integer(let size): shape.append(.fixed(size))
      case .null: shape.append(.dataDependent)
      default:
        if let state = item["length"] {
          shape.append(.length(try state.asInt("\(what) length")))
          continue
        }
        let symbol = try item.member("symbol", in: "\(what) shape").asInt("\(what) symbol")
        guard let over = item["over"] else {
          shape.append(.symbol(symbol))
          continue
        }
        let plus = try item.member("plus", in: "\(what) shape").asInt("\(what) plus")
        shape.append(.derived(DerivedSize(symbol: symbol, plus: plus, over: try over.asInt("\(what) over"))))
      }
    }
    self.init(element, shape)
  }
}

extension Graph.Value {
  func encoded() -> JSON {
    var members: [JSON.Member] = [.init("name", .string(name)), .init("type", type.encoded())]
    if let constant { members.append(.init("constant", .integer(constant))) }
    return .object(members)
  }

  init(decoding json: JSON, _ what: String) throws(AdaptQError) {
    self.init(
      name: try json.member("name", in: what).asString("\(what) name"),
      type: try ValueType(decoding: try json.member("type", in: what), what),
      constant: try json["constant"].map { item throws(AdaptQError) in try item.asInt("\(what) constant") })
  }
}

extension Graph.Site {
  func encoded() -> JSON {
    var members: [JSON.Member] = [
      .init("name", .string(name)), .init("kind", .string(kind.rawValue)), .init("n", .integer(n)),
      .init("k", .integer(k)), .init("group", .integer(form.groupSize)),
    ]
    if form.scaleKind != .stepAndMinimum { members.append(.init("scales", .string(form.scaleKind.name))) }
    if form.activations != .perRowAndGroup {
      members.append(.init("activations", .string(form.activations.name)))
    }
    if let bias { members.append(.init("bias", .integer(bias))) }
    return .object(members)
  }

  init(decoding json: JSON, _ what: String) throws(AdaptQError) {
    let kindName = try json.member("kind", in: what).asString("\(what) kind")
    guard let kind = Graph.SiteKind(rawValue: kindName) else { throw .unsupported("\(what): kind \"\(kindName)\"") }
    let groupSize = try json.member("group", in: what).asInt("\(what) group")
    func choice<Value: CaseIterable>(
      _ member: String, _ standard: Value, _ name: (Value) -> String
    ) throws(AdaptQError) -> Value {
      guard let item = json[member] else { return standard }
      let text = try item.asString("\(what) \(member)")
      for value in Value.allCases where name(value) == text { return value }
      throw .unsupported("\(what): \(member) \"\(text)\"")
    }
    let scaleKind = try choice("scales", ScaleKind.stepAndMinimum) { $0.name }
    let activations = try choice("activations", ActivationScales.perRowAndGroup) { $0.name }
    let form: NestedForm
    do throws(AdaptQError) {
      form = try NestedForm(groupSize: groupSize, scaleKind: scaleKind, activations: activations)
    } catch {
      throw .unsupported("\(what): \(error.message)")
    }
    if kind == .embedding && form != .standard { throw .unsupported("\(what): a table of another form") }
    self.init(
      name: try json.member("name", in: what).asString("\(what) name"), kind: kind,
      n: try json.member("n", in: what).asInt("\(what) n"), k: try json.member("k", in: what).asInt("\(what) k"),
      form: form,
      bias: try json["bias"].map { item throws(AdaptQError) in try item.asInt("\(what) bias") })
  }
}

extension Graph.State {
  func encoded() -> JSON {
    // Readers of version 0.1 want "maximum".
    var members: [JSON.Member] = [
      .init("name", .string(name)), .init("type", type.encoded()), .init("maximum", .integer(maximumLength)),
    ]
    if let growingAxis { members.append(.init("axis", .integer(growingAxis))) }
    if let lengthOf { members.append(.init("lengthOf", .integer(lengthOf))) }
    return .object(members)
  }

  init(decoding json: JSON, _ what: String) throws(AdaptQError) {
    self.init(
      name: try json.member("name", in: what).asString("\(what) name"),
      type: try ValueType(decoding: try json.member("type", in: what), what),
      growingAxis: try json["axis"].map { item throws(AdaptQError) in try item.asInt("\(what) axis") },
      lengthOf: try json["lengthOf"].map { item throws(AdaptQError) in try item.asInt("\(what) lengthOf") })
  }
}

extension Graph.Region {
  func encoded() -> JSON {
    func list(_ ids: [ValueID]) -> JSON { .array(ids.map { .integer($0.index) }) }
    return .object([
      .init("parameters", list(parameters)),
      .init(
        "nodes",
        .array(
          nodes.map { node in
            .object([
              .init("op", .string(node.operation.name)), .init("attributes", node.operation.encodedAttributes()),
              .init("inputs", list(node.inputs)), .init("outputs", list(node.outputs)),
            ])
          })),
      .init("results", list(results)),
    ])
  }

  init(decoding json: JSON, _ what: String) throws(AdaptQError) {
    func list(_ json: JSON, _ key: String, _ what: String) throws(AdaptQError) -> [ValueID] {
      var ids: [ValueID] = []
      for item in try json.member(key, in: what).asArray("\(what) \(key)") {
        ids.append(ValueID(try item.asInt("\(what) \(key)")))
      }
      return ids
    }
    self.init(parameters: try list(json, "parameters", what), results: try list(json, "results", what))
    for item in try json.member("nodes", in: what).asArray("\(what) nodes") {
      let node = "\(what) node \(nodes.count)"
      nodes.append(
        Graph.Node(
          operation: try Operator(
            name: try item.member("op", in: node).asString("\(node) op"),
            attributes: try item.member("attributes", in: node), node),
          inputs: try list(item, "inputs", node), outputs: try list(item, "outputs", node)))
    }
  }
}

extension Operator {
  func encodedAttributes() -> JSON {
    switch self {
    case .embedding(let site), .linear(let site): .object([.init("site", .integer(site.index))])
    case .layerNorm(let epsilon), .l2Normalize(let epsilon): .object([.init("epsilon", .number(Double(epsilon)))])
    case .attention(let heads, let scale):
      .object([.init("heads", .integer(heads)), .init("scale", .number(Double(scale)))])
    case .range(let axis): .object([.init("axis", .integer(axis))])
    case .convolution1D(let site, let convolution):
      .object([
        .init("site", .integer(site.index)), .init("kernel", .integer(convolution.kernel)),
        .init("stride", .integer(convolution.stride)), .init("before", .integer(convolution.before)),
        .init("after", .integer(convolution.after)), .init("dilation", .integer(convolution.dilation)),
        .init("groups", .integer(convolution.groups)),
      ])
    case .gru(let input, let recurrent):
      .object([.init("input", .integer(input.index)), .init("recurrent", .integer(recurrent.index))])
    case .readState(let state), .writeState(let state), .appendState(let state):
      .object([.init("state", .integer(state.index))])
    case .conditional(let then, let otherwise):
      .object([.init("then", .integer(then.index)), .init("else", .integer(otherwise.index))])
    case .loop(let body): .object([.init("body", .integer(body.index))])
    case .activation, .binary, .compare, .softmax, .maskedMean: .object([])
    }
  }

  init(name: String, attributes: JSON, _ what: String) throws(AdaptQError) {
    func int(_ key: String) throws(AdaptQError) -> Int {
      try attributes.member(key, in: "\(what) (\(name))").asInt("\(what) \(key)")
    }
    func float(_ key: String) throws(AdaptQError) -> Float {
      Float(try attributes.member(key, in: "\(what) (\(name))").asDouble("\(what) \(key)"))
    }
    if let function = Activation(rawValue: name) {
      self = .activation(function)
      return
    }
    if let function = Binary(rawValue: name) {
      self = .binary(function)
      return
    }
    if let comparison = Comparison(rawValue: name) {
      self = .compare(comparison)
      return
    }
    switch name {
    case "embedding": self = .embedding(SiteID(try int("site")))
    case "linear": self = .linear(SiteID(try int("site")))
    case "layerNorm": self = .layerNorm(epsilon: try float("epsilon"))
    case "attention": self = .attention(heads: try int("heads"), scale: try float("scale"))
    case "softmax": self = .softmax
    case "range": self = .range(axis: try int("axis"))
    case "maskedMean": self = .maskedMean
    case "l2Normalize": self = .l2Normalize(epsilon: try float("epsilon"))
    case "convolution1D":
      self = .convolution1D(
        SiteID(try int("site")),
        Convolution1D(
          kernel: try int("kernel"), stride: try int("stride"), before: try int("before"), after: try int("after"),
          dilation: try int("dilation"), groups: try int("groups")))
    case "gru": self = .gru(input: SiteID(try int("input")), recurrent: SiteID(try int("recurrent")))
    case "readState": self = .readState(StateID(try int("state")))
    case "writeState": self = .writeState(StateID(try int("state")))
    case "appendState": self = .appendState(StateID(try int("state")))
    case "conditional": self = .conditional(then: RegionID(try int("then")), otherwise: RegionID(try int("else")))
    case "loop": self = .loop(body: RegionID(try int("body")))
    default: throw .unsupported("\(what): operator \"\(name)\"")
    }
  }
}
