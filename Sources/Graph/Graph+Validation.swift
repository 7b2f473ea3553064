import Base

extension Graph {
  /// Checks everything a plan relies on: indices, order, ranks, arity, and that each stored type is what its operator
  /// gives. A graph from a file is hostile until this has passed.
  public func validate() throws(AdaptQError) {
    if regions.isEmpty { throw .invalidFile("graph: no regions") }
    for (index, value) in values.enumerated() { try validate(value, index) }
    for site in sites { try site.validate() }
    for state in states { try validate(state.type, "state \"\(state.name)\"") }
    var defined = [Bool](repeating: false, count: values.count)
    for (index, value) in values.enumerated() where value.constant != nil { defined[index] = true }
    var owned = [Bool](repeating: false, count: regions.count)
    try validateRegion(0, defined: &defined, owned: &owned, depth: 0)
    if let index = owned.firstIndex(of: false) { throw .invalidFile("region \(index): belongs to no node") }
    if inputs.isEmpty { throw .invalidFile("graph: no inputs") }
    if outputs.isEmpty { throw .invalidFile("graph: no outputs") }
    let bound = Set(inputs.flatMap { type(of: $0).shape })
    for index in symbols.indices where !bound.contains(.symbol(index)) {
      throw .invalidFile("graph: size \"\(symbols[index])\" is not a size of any input")
    }
  }

  private func validate(_ value: Value, _ index: Int) throws(AdaptQError) {
    try validate(value.type, "value \(index) \"\(value.name)\"")
  }

  private func validate(_ type: ValueType, _ what: String) throws(AdaptQError) {
    if type.rank > ValueType.maximumRank {
      throw .invalidFile("\(what): rank \(type.rank) is above \(ValueType.maximumRank)")
    }
    for dimension in type.shape {
      switch dimension {
      case .fixed(let size):
        if size < 1 || size > 1 << 31 { throw .invalidFile("\(what): size \(size) is out of range") }
      case .symbol(let index):
        if !symbols.indices.contains(index) { throw .invalidFile("\(what): size symbol \(index) does not exist") }
      case .dataDependent: break
      }
    }
  }

  private func validateRegion(
    _ index: Int, defined: inout [Bool], owned: inout [Bool], depth: Int
  ) throws(AdaptQError) {
    if !regions.indices.contains(index) { throw .invalidFile("region \(index) does not exist") }
    if depth > 16 { throw .invalidFile("region \(index): nesting deeper than 16") }
    // Shared regions could make this walk exponentially long.
    if owned[index] { throw .invalidFile("region \(index): belongs to two nodes") }
    owned[index] = true
    let region = regions[index]
    for parameter in region.parameters { try define(parameter, &defined, "parameter of region \(index)") }
    for (position, node) in region.nodes.enumerated() {
      let what = "node \(position) (\(node.operation.name))"
      for input in node.inputs {
        if !defined.indices.contains(input.index) || !defined[input.index] {
          throw .invalidFile("\(what): input value \(input.index) is not defined before it")
        }
      }
      for inner in node.operation.regions {
        if inner.index <= index { throw .invalidFile("\(what): region \(inner.index) does not lie inside") }
        var scope = defined
        try validateRegion(inner.index, defined: &scope, owned: &owned, depth: depth + 1)
      }
      let expected = try inferTypes(node.operation, node.inputs, what)
      if expected.count != node.outputs.count {
        throw .invalidFile("\(what): \(node.outputs.count) outputs, expected \(expected.count)")
      }
      for (output, type) in zip(node.outputs, expected) {
        try define(output, &defined, "output of \(what)")
        if values[output.index].type != type {
          throw .invalidFile("\(what): the type of value \(output.index) is not what the operator gives")
        }
      }
    }
    for result in region.results {
      if !defined.indices.contains(result.index) || !defined[result.index] {
        throw .invalidFile("region \(index): result value \(result.index) is not defined")
      }
    }
  }

  private func define(_ value: ValueID, _ defined: inout [Bool], _ what: String) throws(AdaptQError) {
    if !defined.indices.contains(value.index) { throw .invalidFile("\(what): value \(value.index) does not exist") }
    if defined[value.index] { throw .invalidFile("\(what): value \(value.index) is defined twice") }
    defined[value.index] = true
  }
}

extension Graph.Site {
  func validate() throws(AdaptQError) {
    if n < 1 || k < 1 || n > 1 << 31 || k > 1 << 24 {
      throw .invalidFile("site \"\(name)\": size \(n) x \(k) is out of range")
    }
  }
}

extension Operator {
  /// Regions that belong to the node.
  public var regions: [RegionID] {
    switch self {
    case .conditional(let then, let otherwise): [then, otherwise]
    case .loop(let body): [body]
    default: []
    }
  }
}
