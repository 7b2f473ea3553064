import Base

extension Graph {
  /// Checks everything a plan relies on: indices, order, ranks, arity, and that each stored type is what its operator
  /// gives. A graph from a file is hostile until this has passed.
  public func validate() throws(AdaptQError) {
    if regions.isEmpty { throw .invalidFile("graph: no regions") }
    for (index, value) in values.enumerated() { try validate(value, index) }
    for site in sites { try site.validate() }
    for site in sites where site.kind == .linear && site.form != form {
      throw .unsupported("site \"\(site.name)\": another form of nested weights than the first linear site")
    }
    for (index, state) in states.enumerated() { try validate(state, index) }
    var scope = Scope(
      definitions: [Definition](repeating: .none, count: values.count),
      owned: [Bool](repeating: false, count: regions.count))
    for (index, value) in values.enumerated() where value.constant != nil { scope.definitions[index] = .visible }
    try validateRegion(0, &scope, depth: 0)
    try validateGrowth()
    if let index = scope.owned.firstIndex(of: false) { throw .invalidFile("region \(index): belongs to no node") }
    if inputs.isEmpty { throw .invalidFile("graph: no inputs") }
    if outputs.isEmpty { throw .invalidFile("graph: no outputs") }
    for input in inputs {
      for dimension in type(of: input).shape {
        switch dimension {
        case .fixed, .symbol: break
        default: throw .invalidFile("input \"\(values[input.index].name)\": a size is neither fixed nor the caller's")
        }
      }
    }
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
      case .derived(let size):
        if !symbols.indices.contains(size.symbol) {
          throw .invalidFile("\(what): size symbol \(size.symbol) does not exist")
        }
        if size.over < 1 || size.over > DerivedSize.maximumOver || size.plus.magnitude > DerivedSize.maximumPlus {
          throw .invalidFile("\(what): size (symbol + \(size.plus)) / \(size.over) is out of range")
        }
      case .length(let index):
        guard states.indices.contains(index), states[index].growingAxis != nil, states[index].lengthOf == nil else {
          throw .invalidFile("\(what): length of state \(index), which has none of its own")
        }
      case .dataDependent: break
      }
    }
  }

  private func validate(_ state: State, _ index: Int) throws(AdaptQError) {
    let what = "state \"\(state.name)\""
    try validate(state.type, what)
    for dimension in state.type.shape {
      guard case .fixed = dimension else { throw .invalidFile("\(what): a size is not fixed") }
    }
    if let axis = state.growingAxis, !state.type.shape.indices.contains(axis) {
      throw .invalidFile("\(what): axis \(axis) of rank \(state.type.rank)")
    }
    guard let other = state.lengthOf else { return }
    guard state.growingAxis != nil, (0..<index).contains(other), states[other].growingAxis != nil,
      states[other].lengthOf == nil, states[other].maximumLength == state.maximumLength
    else { throw .invalidFile("\(what): state \(other) cannot have its length") }
  }

  /// Each run appends to each growing state exactly once, so its length is known when the run begins.
  private func validateGrowth() throws(AdaptQError) {
    var appended = [Dimension?](repeating: nil, count: states.count)
    for (index, region) in regions.enumerated() {
      for node in region.nodes {
        guard case .appendState(let state) = node.operation, let axis = states[state.index].growingAxis else {
          continue
        }
        if index != 0 || appended[state.index] != nil {
          throw .invalidFile("state \"\(states[state.index].name)\": appended to twice, or inside a region")
        }
        appended[state.index] = type(of: node.inputs[0]).shape[axis]
      }
    }
    for (index, state) in states.enumerated() where state.growingAxis != nil {
      if appended[index] == nil { throw .invalidFile("state \"\(state.name)\": grows, but nothing is appended") }
      if let other = state.lengthOf, appended[other] != appended[index] {
        throw .invalidFile("state \"\(state.name)\": does not grow as state \(other) does")
      }
    }
  }

  private enum Definition { case none, visible, outOfScope }

  /// What has been seen on the walk. Copying it per region would make the walk quadratic.
  private struct Scope {
    var definitions: [Definition]
    var owned: [Bool]
    /// Values in the order in which they were defined.
    var order: [Int] = []
  }

  private func validateRegion(_ index: Int, _ scope: inout Scope, depth: Int) throws(AdaptQError) {
    if !regions.indices.contains(index) { throw .invalidFile("region \(index) does not exist") }
    if depth > 16 { throw .invalidFile("region \(index): nesting deeper than 16") }
    // Shared regions could make this walk exponentially long.
    if scope.owned[index] { throw .invalidFile("region \(index): belongs to two nodes") }
    scope.owned[index] = true
    let region = regions[index]
    for parameter in region.parameters { try define(parameter, &scope, "parameter of region \(index)") }
    for (position, node) in region.nodes.enumerated() {
      let what = "node \(position) (\(node.operation.name))"
      for input in node.inputs where !isVisible(input, scope) {
        throw .invalidFile("\(what): input value \(input.index) is not defined before it")
      }
      for inner in node.operation.regions {
        if inner.index <= index { throw .invalidFile("\(what): region \(inner.index) does not lie inside") }
        let before = scope.order.count
        try validateRegion(inner.index, &scope, depth: depth + 1)
        for value in scope.order[before...] { scope.definitions[value] = .outOfScope }
        scope.order.removeSubrange(before...)
      }
      let expected = try inferTypes(node.operation, node.inputs, what)
      if expected.count != node.outputs.count {
        throw .invalidFile("\(what): \(node.outputs.count) outputs, expected \(expected.count)")
      }
      for (output, type) in zip(node.outputs, expected) {
        try define(output, &scope, "output of \(what)")
        if values[output.index].type != type {
          throw .invalidFile("\(what): the type of value \(output.index) is not what the operator gives")
        }
      }
    }
    for result in region.results where !isVisible(result, scope) {
      throw .invalidFile("region \(index): result value \(result.index) is not defined")
    }
  }

  private func isVisible(_ value: ValueID, _ scope: Scope) -> Bool {
    scope.definitions.indices.contains(value.index) && scope.definitions[value.index] == .visible
  }

  private func define(_ value: ValueID, _ scope: inout Scope, _ what: String) throws(AdaptQError) {
    if !scope.definitions.indices.contains(value.index) {
      throw .invalidFile("\(what): value \(value.index) does not exist")
    }
    if scope.definitions[value.index] != .none {
      throw .invalidFile("\(what): value \(value.index) is defined twice")
    }
    scope.definitions[value.index] = .visible
    scope.order.append(value.index)
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
