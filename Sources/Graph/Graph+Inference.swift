import Base

extension Graph {
  /// Types of a node's outputs from those of its inputs; an error names the node and what does not fit.
  public func inferTypes(
    _ operation: Operator, _ inputs: [ValueID], _ what: @autoclosure () -> String
  ) throws(AdaptQError) -> [ValueType] {
    for input in inputs where !values.indices.contains(input.index) {
      throw .invalidFile("\(what()): value \(input.index) does not exist")
    }
    let types = inputs.map { values[$0.index].type }
    let context = what()
    func fail(_ reason: String) -> AdaptQError { .invalidFile("\(context): \(reason)") }
    func expect(_ count: ClosedRange<Int>) throws(AdaptQError) {
      if !count.contains(types.count) { throw fail("\(types.count) inputs, expected \(count)") }
    }
    func expectFloat(_ index: Int) throws(AdaptQError) {
      if types[index].element != .float32 { throw fail("input \(index) is \(types[index].element.name), not float32") }
    }
    func expectInteger(_ index: Int) throws(AdaptQError) {
      if types[index].element == .float32 { throw fail("input \(index) is float32, not an integer") }
    }
    func site(_ id: SiteID, _ kind: SiteKind) throws(AdaptQError) -> Site {
      guard sites.indices.contains(id.index) else { throw fail("site \(id.index) does not exist") }
      let site = sites[id.index]
      if site.kind != kind { throw fail("site \"\(site.name)\" is \(site.kind.rawValue), not \(kind.rawValue)") }
      return site
    }
    func lastFixed(_ index: Int) throws(AdaptQError) -> Int {
      guard case .fixed(let size)? = types[index].shape.last else {
        throw fail("the last size of input \(index) is not fixed")
      }
      return size
    }

    switch operation {
    case .embedding(let id):
      try expect(1...1)
      try expectInteger(0)
      if types[0].rank == ValueType.maximumRank { throw fail("rank \(types[0].rank) leaves no room") }
      return [ValueType(.float32, types[0].shape + [.fixed(try site(id, .embedding).k)])]
    case .linear(let id):
      try expect(1...1)
      try expectFloat(0)
      let site = try site(id, .linear)
      let size = try lastFixed(0)
      if size != site.k { throw fail("the last size of input 0 is \(size), site \"\(site.name)\" takes \(site.k)") }
      return [ValueType(.float32, types[0].shape.dropLast() + [.fixed(site.n)])]
    case .layerNorm(let epsilon):
      try expect(3...3)
      for index in 0..<3 { try expectFloat(index) }
      let size = try lastFixed(0)
      for index in 1...2 where types[index].shape != [.fixed(size)] { throw fail("input \(index) is not [\(size)]") }
      if !(epsilon >= 0 && epsilon.isFinite) { throw fail("epsilon \(epsilon)") }
      return [types[0]]
    case .activation, .softmax:
      try expect(1...1)
      try expectFloat(0)
      if types[0].rank == 0 { throw fail("input 0 is a scalar") }
      return [types[0]]
    case .l2Normalize(let epsilon):
      try expect(1...1)
      try expectFloat(0)
      if types[0].rank == 0 { throw fail("input 0 is a scalar") }
      if !(epsilon > 0 && epsilon.isFinite) { throw fail("epsilon \(epsilon)") }
      return [types[0]]
    case .binary, .compare:
      try expect(2...2)
      try expectFloat(0)
      try expectFloat(1)
      var element = ElementType.float32
      if case .compare = operation { element = .int32 }
      return [ValueType(element, try broadcast(types[0].shape, types[1].shape, context))]
    case .convolution1D(let id, let convolution):
      try expect(1...1)
      try expectFloat(0)
      return [try convolutionType(convolution, try site(id, .linear), types[0], context)]
    case .gru(let input, let recurrent):
      try expect(2...3)
      try expectFloat(0)
      try expectFloat(1)
      if types.count == 3 { try expectInteger(2) }
      return try recurrentTypes(try site(input, .linear), try site(recurrent, .linear), types, context)
    case .range(let axis):
      try expect(1...1)
      if !types[0].shape.indices.contains(axis) { throw fail("axis \(axis) of rank \(types[0].rank)") }
      return [ValueType(.int64, [types[0].shape[axis]])]
    case .attention(let heads, let scale):
      try expect(3...4)
      for index in 0..<3 {
        try expectFloat(index)
        if types[index].rank != 3 { throw fail("input \(index) has rank \(types[index].rank), expected 3") }
      }
      let (width, keyWidth, valueWidth) = (try lastFixed(0), try lastFixed(1), try lastFixed(2))
      if heads < 1 || heads > 1 << 16 || width % heads != 0 || valueWidth % heads != 0 || keyWidth != width {
        throw fail("\(heads) heads do not divide widths \(width), \(keyWidth), \(valueWidth)")
      }
      if !scale.isFinite { throw fail("scale \(scale)") }
      let (q, k, v) = (types[0].shape, types[1].shape, types[2].shape)
      if q[0] != k[0] || q[0] != v[0] || k[1] != v[1] { throw fail("batch or key counts differ") }
      if types.count == 4 {
        try expectInteger(3)
        if types[3].shape != [k[0], k[1]] { throw fail("input 3 is not [batch, keys]") }
      }
      return [ValueType(.float32, [q[0], q[1], v[2]])]
    case .maskedMean:
      try expect(2...2)
      try expectFloat(0)
      try expectInteger(1)
      if types[0].rank != 3 || types[1].shape != Array(types[0].shape.prefix(2)) {
        throw fail("inputs are not [batch, steps, c] and [batch, steps]")
      }
      return [ValueType(.float32, [types[0].shape[0], types[0].shape[2]])]
    case .readState(let id):
      try expect(0...0)
      guard states.indices.contains(id.index) else { throw fail("state \(id.index) does not exist") }
      if states[id.index].growingAxis != nil { throw fail("state \(id.index) grows") }
      return [states[id.index].type]
    case .appendState(let id):
      try expect(1...1)
      return [try appendedType(id, types[0], context)]
    case .writeState(let id):
      try expect(1...1)
      guard states.indices.contains(id.index) else { throw fail("state \(id.index) does not exist") }
      if states[id.index].growingAxis != nil { throw fail("state \(id.index) grows") }
      if types[0] != states[id.index].type { throw fail("the type is not that of state \"\(states[id.index].name)\"") }
      return [types[0]]
    case .conditional(let then, let otherwise):
      for region in [then, otherwise] { try expectParameters(region, Array(types.dropFirst()), context) }
      try expectCount(types.first, "condition", context)
      let results = try resultTypes(then, context)
      if try resultTypes(otherwise, context) != results { throw fail("the two regions give different types") }
      return results
    case .loop(let body):
      try expectParameters(body, Array(types.dropFirst()), context)
      try expectCount(types.first, "trip count", context)
      let results = try resultTypes(body, context)
      if results != Array(types.dropFirst()) { throw fail("the body's results are not of the carried values' types") }
      return results
    }
  }

  private func resultTypes(_ id: RegionID, _ context: String) throws(AdaptQError) -> [ValueType] {
    guard regions.indices.contains(id.index) else {
      throw .invalidFile("\(context): region \(id.index) does not exist")
    }
    var types: [ValueType] = []
    for result in regions[id.index].results {
      guard values.indices.contains(result.index) else {
        throw .invalidFile("\(context): value \(result.index) does not exist")
      }
      types.append(values[result.index].type)
    }
    return types
  }

  /// NumPy's rule: shapes are aligned at the end, sizes are equal or one of them is 1.
  private func broadcast(_ a: [Dimension], _ b: [Dimension], _ context: String) throws(AdaptQError) -> [Dimension] {
    var result: [Dimension] = []
    let rank = max(a.count, b.count)
    for position in 0..<rank {
      let left = position < rank - a.count ? .fixed(1) : a[position - (rank - a.count)]
      let right = position < rank - b.count ? .fixed(1) : b[position - (rank - b.count)]
      if left == right || right == .fixed(1) {
        result.append(left)
      } else if left == .fixed(1) {
        result.append(right)
      } else {
        throw .invalidFile("\(context): sizes \(left) and \(right) do not broadcast")
      }
    }
    return result
  }
}
