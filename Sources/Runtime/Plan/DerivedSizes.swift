import Base
import Graph

/// The sizes of a graph that follow from symbols, each once, and how small symbols may be for all of them to be at least 1.
struct DerivedSizes {
  private(set) var slots: [DerivedSlot] = []
  private(set) var index: [DerivedSize: Int] = [:]
  /// The smallest size of each symbol.
  private(set) var minima: [Int]

  /// One per state with a length of its own.
  private(set) var lengths: [LengthSlot] = []
  private(set) var lengthIndex: [Int: Int] = [:]

  init(_ graph: Graph, _ maximumSymbols: [Int]) throws(AdaptQError) {
    minima = [Int](repeating: 1, count: graph.symbols.count)
    for value in graph.values {
      for dimension in value.type.shape {
        guard case .derived(let size) = dimension, index[size] == nil else { continue }
        index[size] = slots.count
        slots.append(DerivedSlot(symbol: size.symbol, plus: size.plus, over: size.over))
        minima[size.symbol] = max(minima[size.symbol], size.smallestSymbol)
      }
    }
    try addLengths(graph, maximumSymbols)
    for (symbol, size) in maximumSymbols.enumerated() where size < minima[symbol] {
      throw .invalidArgument(
        "maximum of \(graph.symbols[symbol]): \(size), the model's convolutions need at least \(minima[symbol])")
    }
  }

  private mutating func addLengths(_ graph: Graph, _ maximumSymbols: [Int]) throws(AdaptQError) {
    for node in graph.nodes {
      guard case .appendState(let id) = node.operation, let axis = graph.states[id.index].growingAxis,
        graph.states[id.index].lengthOf == nil
      else { continue }
      let state = graph.states[id.index]
      var slot = LengthSlot(state: id.index, source: 0)
      var most = 0
      switch graph.type(of: node.inputs[0]).shape[axis] {
      case .fixed(let size): (slot.source, most) = (size, size)
      case .symbol(let symbol): (slot.source, most) = (-1 - symbol, maximumSymbols[symbol])
      case .derived(let size):
        slot.source = -1 - graph.symbols.count - (index[size] ?? 0)
        let sum = try checkedSum(maximumSymbols[size.symbol], size.plus, "state \"\(state.name)\"")
        most = sum / size.over
      case .length, .dataDependent: throw .internalError("state \"\(state.name)\" grows by an unknown size")
      }
      if most > state.maximumLength {
        throw AdaptQError(
          .outOfRange, "maximum shapes: \(most) rows for state \"\(state.name)\", which holds \(state.maximumLength)")
      }
      lengthIndex[id.index] = lengths.count
      lengths.append(slot)
    }
  }
}
