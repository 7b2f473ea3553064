import Base

/// Builds a graph node by node; types are inferred, so a builder's graph is valid.
public struct GraphBuilder {
  public private(set) var graph = Graph()
  public private(set) var constants: [Constant] = []
  /// Float weights of each site, `[n][k]`.
  public private(set) var weights: [TensorBytes] = []

  public init() {}

  public mutating func symbol(_ name: String) -> Dimension {
    if let index = graph.symbols.firstIndex(of: name) { return .symbol(index) }
    graph.symbols.append(name)
    return .symbol(graph.symbols.count - 1)
  }

  public mutating func input(_ name: String, _ element: ElementType, _ shape: [Dimension]) -> ValueID {
    let id = appendValue(name, ValueType(element, shape), constant: nil)
    graph.regions[0].parameters.append(id)
    return id
  }

  public mutating func output(_ name: String, _ value: ValueID) {
    graph.values[value.index].name = name
    graph.regions[0].results.append(value)
  }

  /// A float tensor that is part of the model.
  public mutating func constant(_ name: String, _ tensor: TensorBytes) -> ValueID {
    let index = appendConstant(name, tensor)
    return appendValue(name, ValueType(.float32, tensor.shape.map { .fixed($0) }), constant: index)
  }

  private mutating func appendConstant(_ name: String, _ tensor: TensorBytes) -> Int {
    constants.append(Constant(name: name, shape: tensor.shape, bytes: tensor))
    return constants.count - 1
  }

  private mutating func appendValue(_ name: String, _ type: ValueType, constant: Int?) -> ValueID {
    graph.values.append(Graph.Value(name: name, type: type, constant: constant))
    return ValueID(graph.values.count - 1)
  }

  public mutating func linearSite(_ name: String, _ weight: TensorBytes, bias: TensorBytes?) throws(AdaptQError)
    -> SiteID
  {
    try site(name, .linear, weight, bias)
  }

  public mutating func embeddingSite(_ name: String, _ table: TensorBytes) throws(AdaptQError) -> SiteID {
    try site(name, .embedding, table, nil)
  }

  private mutating func site(
    _ name: String, _ kind: Graph.SiteKind, _ weight: TensorBytes, _ bias: TensorBytes?
  ) throws(AdaptQError) -> SiteID {
    if weight.shape.count != 2 { throw .invalidFile("tensor \"\(name)\": rank \(weight.shape.count), expected 2") }
    if let bias, bias.shape != [weight.shape[0]] {
      throw .invalidFile("tensor \"\(name)\": bias of shape \(bias.shape) for \(weight.shape[0]) outputs")
    }
    var biasIndex: Int?
    if let bias { biasIndex = appendConstant(name + ".bias", bias) }
    graph.sites.append(
      Graph.Site(name: name, kind: kind, n: weight.shape[0], k: weight.shape[1], bias: biasIndex))
    weights.append(weight)
    return SiteID(graph.sites.count - 1)
  }

  /// Appends a node to the graph and returns its first output.
  public mutating func add(_ operation: Operator, _ inputs: ValueID...) throws(AdaptQError) -> ValueID {
    let position = graph.regions[0].nodes.count
    let types = try graph.inferTypes(operation, inputs, "node \(position) (\(operation.name))")
    var outputs: [ValueID] = []
    for type in types { outputs.append(appendValue("\(operation.name)_\(position)", type, constant: nil)) }
    graph.regions[0].nodes.append(Graph.Node(operation: operation, inputs: inputs, outputs: outputs))
    guard let first = outputs.first else { throw .internalError("node \(position) has no output") }
    return first
  }
}
