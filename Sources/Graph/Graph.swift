import Base
import NestedFormat

/// A neural network as data: typed values, nodes in execution order, sites that own weights, nested regions, states.
///
/// A graph is general: it knows no model. Importers build it with ``GraphBuilder``; a plan is compiled from it. Weights are
/// not in here, ``Model`` holds them beside it.
public struct Graph: Sendable, Equatable {
  public struct Value: Sendable, Equatable {
    public var name: String
    public var type: ValueType
    /// Index into ``Model/constants`` when the value is stored in the model.
    public var constant: Int?

    public init(name: String, type: ValueType, constant: Int? = nil) {
      self.name = name
      self.type = type
      self.constant = constant
    }
  }

  public struct Node: Sendable, Equatable {
    public var operation: Operator
    public var inputs: [ValueID]
    public var outputs: [ValueID]

    public init(operation: Operator, inputs: [ValueID], outputs: [ValueID]) {
      self.operation = operation
      self.inputs = inputs
      self.outputs = outputs
    }
  }

  /// A list of nodes with parameters and results. Region 0 is the graph itself; others belong to conditional and loop
  /// nodes and may read values of the regions around them.
  public struct Region: Sendable, Equatable {
    public var parameters: [ValueID]
    public var nodes: [Node]
    public var results: [ValueID]

    public init(parameters: [ValueID] = [], nodes: [Node] = [], results: [ValueID] = []) {
      self.parameters = parameters
      self.nodes = nodes
      self.results = results
    }
  }

  /// Memory that a session owns between runs: recurrent state, a key-value cache.
  public struct State: Sendable, Equatable {
    public var name: String
    public var type: ValueType
    /// The dimension that grows from 0 up to its size in `type`, if any.
    public var growingAxis: Int?
    /// An earlier growing state of the same length: each run appends as much to both, as to the keys and values of a cache.
    public var lengthOf: Int?

    public init(name: String, type: ValueType, growingAxis: Int? = nil, lengthOf: Int? = nil) {
      self.name = name
      self.type = type
      self.growingAxis = growingAxis
      self.lengthOf = lengthOf
    }

    /// What a growing state is when it is full; 0 for others.
    public var maximumLength: Int {
      guard let growingAxis, type.shape.indices.contains(growingAxis), case .fixed(let size) = type.shape[growingAxis]
      else { return 0 }
      return size
    }
  }

  public enum SiteKind: String, Sendable { case linear, embedding }

  /// A place with weights whose precision may be chosen.
  public struct Site: Sendable, Equatable {
    public var name: String
    public var kind: SiteKind
    /// Outputs, or rows of a table.
    public var n: Int
    /// Inputs, or width of a row.
    public var k: Int
    /// How nested weights are scaled, and activations coded; the standard form for a table.
    public var form: NestedForm
    /// Index into ``Model/constants`` of `n` floats.
    public var bias: Int?

    public init(
      name: String, kind: SiteKind, n: Int, k: Int, form: NestedForm = .standard, bias: Int? = nil
    ) {
      self.name = name
      self.kind = kind
      self.n = n
      self.k = k
      self.form = form
      self.bias = bias
    }
  }

  /// Names of the sizes that callers choose.
  public var symbols: [String] = []
  public var values: [Value] = []
  public var regions: [Region] = [Region()]
  public var states: [State] = []
  public var sites: [Site] = []

  public init() {}

  /// Values the caller gives and gets: parameters and results of region 0.
  public var inputs: [ValueID] { regions.first?.parameters ?? [] }
  public var outputs: [ValueID] { regions.first?.results ?? [] }
  public var nodes: [Node] { regions.first?.nodes ?? [] }

  /// That of all linear sites.
  public var form: NestedForm { sites.first { $0.kind == .linear }?.form ?? .standard }

  public func type(of value: ValueID) -> ValueType { values[value.index].type }
}
