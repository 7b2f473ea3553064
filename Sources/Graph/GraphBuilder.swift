import Base
import NestedFormat

/// Builds a graph node by node; types are inferred, so a builder's graph is valid.
public struct GraphBuilder {
  public private(set) var graph = Graph()
  public private(set) var constants: [Constant] = []
  /// Float weights of each site, `[n][k]`.
  public private(set) var weights: [TensorBytes] = []
  /// The region that nodes are appended to.
  private var region = 0

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

  /// Gives all linear sites, those there are, a form of nested weights.
  public mutating func setForm(_ form: NestedForm) {
    for index in graph.sites.indices where graph.sites[index].kind == .linear { graph.sites[index].form = form }
  }

  /// The weights of a convolution over steps.
  ///
  /// - Parameter weight: `[outputs][channels / groups][taps]`, PyTorch's order; stored tap by tap.
  public mutating func convolutionSite(
    _ name: String, _ weight: TensorBytes, bias: TensorBytes?, groups: Int = 1
  ) throws(AdaptQError) -> SiteID {
    if weight.shape.count != 3 || weight.elementCount < 1 {
      throw .invalidFile("tensor \"\(name)\": shape \(weight.shape), expected three sizes above 0")
    }
    let (outputs, inputs, taps) = (weight.shape[0], weight.shape[1], weight.shape[2])
    if groups < 1 || outputs % groups != 0 {
      throw .invalidFile("tensor \"\(name)\": \(groups) groups of \(outputs) outputs")
    }
    let stride = Convolution1D.tapStride(
      groupInputs: inputs, isDirect: Convolution1D.isDirect(outputs: outputs, groups: groups))
    let k = try checkedProduct(taps, stride, name)
    let block = try MemoryBlock.allocate(
      byteCount: try checkedProduct(try checkedProduct(outputs, k, name), 4, name), purpose: "tensor \"\(name)\"")
    let source = try weight.aligned()
    let target = block.base.assumingMemoryBound(to: Float.self)
    for output in 0..<outputs {
      for tap in 0..<taps {
        for input in 0..<inputs {
          target[output * k + tap * stride + input] = source.floats[(output * inputs + input) * taps + tap]
        }
      }
    }
    return try site(name, .linear, try TensorBytes(shape: [outputs, k], owner: block, offset: 0), bias)
  }

  /// Memory that sessions keep from run to run; zeros at first.
  public mutating func state(_ name: String, _ type: ValueType) -> StateID {
    graph.states.append(Graph.State(name: name, type: type))
    return StateID(graph.states.count - 1)
  }

  /// Memory to which every run appends along `axis`, up to the size that `type` has there.
  ///
  /// - Parameter lengthOf: a growing state to which every run appends as much.
  public mutating func growingState(
    _ name: String, _ type: ValueType, axis: Int, lengthOf: StateID? = nil
  ) -> StateID {
    graph.states.append(Graph.State(name: name, type: type, growingAxis: axis, lengthOf: lengthOf?.index))
    return StateID(graph.states.count - 1)
  }

  // MARK: - Nodes

  /// Appends a node to the graph and returns its first output.
  public mutating func add(_ operation: Operator, _ inputs: ValueID...) throws(AdaptQError) -> ValueID {
    guard let first = try addAll(operation, inputs).first else {
      throw .internalError("\(operation.name) has no output")
    }
    return first
  }

  /// Appends a node to the graph and returns its outputs.
  public mutating func addAll(_ operation: Operator, _ inputs: [ValueID]) throws(AdaptQError) -> [ValueID] {
    let position = graph.regions[region].nodes.count
    let types = try graph.inferTypes(operation, inputs, "node \(position) (\(operation.name))")
    var outputs: [ValueID] = []
    for type in types { outputs.append(appendValue("\(operation.name)_\(position)", type, constant: nil)) }
    graph.regions[region].nodes.append(Graph.Node(operation: operation, inputs: inputs, outputs: outputs))
    return outputs
  }

  /// What a region is made of: given the builder, which then appends to the region, and the region's parameters, it
  /// returns the results.
  public typealias RegionBody = (inout GraphBuilder, [ValueID]) throws(AdaptQError) -> [ValueID]

  /// Appends a node of which one region runs: `then` where `condition` is not 0.
  public mutating func addConditional(
    _ condition: ValueID, _ arguments: [ValueID] = [], then: RegionBody, otherwise: RegionBody
  ) throws(AdaptQError) -> [ValueID] {
    let first = try addRegion(arguments, then)
    let second = try addRegion(arguments, otherwise)
    return try addAll(.conditional(then: first, otherwise: second), [condition] + arguments)
  }

  /// Appends a node that runs `body` as often as `count` says; its results are the carried values of the next time.
  public mutating func addLoop(
    _ count: ValueID, _ carried: [ValueID], _ body: RegionBody
  ) throws(AdaptQError) -> [ValueID] {
    try addAll(.loop(body: try addRegion(carried, body)), [count] + carried)
  }

  private mutating func addRegion(_ arguments: [ValueID], _ body: RegionBody) throws(AdaptQError) -> RegionID {
    let outer = region
    defer { region = outer }
    graph.regions.append(Graph.Region())
    region = graph.regions.count - 1
    let own = region
    var parameters: [ValueID] = []
    for argument in arguments {
      if !graph.values.indices.contains(argument.index) {
        throw .invalidFile("region \(own): value \(argument.index) does not exist")
      }
      parameters.append(appendValue("region_\(own)_\(parameters.count)", graph.type(of: argument), constant: nil))
    }
    graph.regions[own].parameters = parameters
    graph.regions[own].results = try body(&self, parameters)
    return RegionID(own)
  }
}
