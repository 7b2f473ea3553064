import Base
import Graph
import Runtime

/// Made-up tensors for a model of which batch and length may be chosen: random indices, ones for other integers, random floats.
final class ModelInputs {
  let model: Model
  /// Index of the symbol that is the length; all others are 1.
  let lengthSymbol: Int
  private let memory: MemoryBlock
  private let offsets: [Int]
  private let maximumLength: Int

  /// - Throws: `.unsupported` for a model without sizes to choose or with outputs whose size depends on data.
  init(_ model: Model, maximumLength: Int) throws(AdaptQError) {
    let graph = model.graph
    if graph.symbols.isEmpty { throw .unsupported("bench: the model has no size to choose") }
    self.model = model
    self.maximumLength = maximumLength
    lengthSymbol = graph.symbols.count - 1
    var offsets: [Int] = []
    var total = 0
    for value in graph.inputs + graph.outputs {
      offsets.append(total)
      let count = try ModelInputs.count(graph, value, length: maximumLength)
      let bytes = try checkedProduct(count, graph.type(of: value).element.byteCount, "tensor to measure")
      total = try roundedUp(checkedSum(total, bytes, "tensors to measure"), to: 64)
    }
    self.offsets = offsets
    memory = try MemoryBlock.allocate(byteCount: total, purpose: "tensors to measure")
    var random = RandomNumbers(seed: 11)
    for (index, input) in graph.inputs.enumerated() {
      let count = try ModelInputs.count(graph, input, length: maximumLength)
      let base = memory.base + offsets[index]
      let rows = ModelInputs.tableRows(graph, input)
      switch graph.type(of: input).element {
      case .float32: random.fill(base.assumingMemoryBound(to: Float.self), count: count)
      case .int64:
        let values = base.assumingMemoryBound(to: Int64.self)
        for position in 0..<count { values[position] = rows.map { Int64(random.below($0)) } ?? 1 }
      case .int32:
        let values = base.assumingMemoryBound(to: Int32.self)
        for position in 0..<count { values[position] = rows.map { Int32(truncatingIfNeeded: random.below($0)) } ?? 1 }
      }
    }
  }

  /// What ``Session/prepare(maximumShapes:)`` takes.
  var maximumShapes: [[Int]] {
    model.graph.inputs.map { input in
      model.graph.type(of: input).shape.map { dimension in
        switch dimension {
        case .fixed(let size): size
        case .symbol(let symbol): symbol == lengthSymbol ? maximumLength : 1
        case .derived, .length, .dataDependent: 1
        }
      }
    }
  }

  /// Sets sizes and tensors for runs of `length`; only after the session is prepared.
  func bind(_ session: Session, length: Int) throws(AdaptQError) {
    let graph = model.graph
    let run = session.handle
    for symbol in graph.symbols.indices {
      let size = symbol == lengthSymbol ? length : 1
      if !run.setSymbol(symbol, size) {
        throw AdaptQError(.outOfRange, "bench: \(graph.symbols[symbol]) = \(size) is above what was prepared")
      }
    }
    for (index, value) in (graph.inputs + graph.outputs).enumerated() {
      let count = try ModelInputs.count(graph, value, length: length)
      run.bind(
        index,
        TensorBinding(data: memory.base + offsets[index], byteCount: count * graph.type(of: value).element.byteCount))
    }
  }

  /// Sum of the float outputs of the last run of `length`.
  func checksum(length: Int) throws(AdaptQError) -> Double {
    let graph = model.graph
    var sum = 0.0
    for (index, output) in graph.outputs.enumerated() where graph.type(of: output).element == .float32 {
      let values = (memory.base + offsets[graph.inputs.count + index]).assumingMemoryBound(to: Float.self)
      for position in 0..<(try ModelInputs.count(graph, output, length: length)) { sum += Double(values[position]) }
    }
    return sum
  }

  /// Elements of a value in runs of `length`.
  static func count(_ graph: Graph, _ value: ValueID, length: Int) throws(AdaptQError) -> Int {
    var sizes: [Int] = []
    for dimension in graph.type(of: value).shape {
      switch dimension {
      case .fixed(let size): sizes.append(size)
      case .symbol(let symbol): sizes.append(symbol == graph.symbols.count - 1 ? length : 1)
      case .derived(let size):
        sizes.append(((size.symbol == graph.symbols.count - 1 ? length : 1) + size.plus) / size.over)
      case .length, .dataDependent:
        throw .unsupported("bench: \"\(graph.values[value.index].name)\" has a size that depends on data")
      }
    }
    return try checkedElementCount(sizes, "tensor to measure")
  }

  /// Rows of the smallest table that `input` indexes; nil when it indexes none.
  private static func tableRows(_ graph: Graph, _ input: ValueID) -> Int? {
    embeddings(graph).filter { $0.index == input }.map(\.rows).min()
  }

  /// Longest sequence: rows of the smallest table that is not indexed by an input (positions); nil when there is none.
  static func lengthBound(_ graph: Graph) -> Int? {
    embeddings(graph).filter { !graph.inputs.contains($0.index) }.map(\.rows).min()
  }

  private static func embeddings(_ graph: Graph) -> [(index: ValueID, rows: Int)] {
    graph.nodes.compactMap { node in
      guard case .embedding(let site) = node.operation, let index = node.inputs.first else { return nil }
      return (index, graph.sites[site.index].n)
    }
  }
}
