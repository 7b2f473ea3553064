import Base
import Graph

/// The sizes of a graph that follow from symbols, each once, and how small symbols may be for all of them to be at least 1.
struct DerivedSizes {
  private(set) var slots: [DerivedSlot] = []
  private(set) var index: [DerivedSize: Int] = [:]
  /// The smallest size of each symbol.
  private(set) var minima: [Int]

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
    for (symbol, size) in maximumSymbols.enumerated() where size < minima[symbol] {
      throw .invalidArgument(
        "maximum of \(graph.symbols[symbol]): \(size), the model's convolutions need at least \(minima[symbol])")
    }
  }
}
