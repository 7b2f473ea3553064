import Base
import Graph
import Kernels

/// Bytes at the largest sizes: per value, and for what steps need while they run.
struct PlanSizes {
  private(set) var byteCounts: [Int] = []
  private(set) var quantizedByteCount = 64
  private(set) var scratchByteCount = 64
  private(set) var attentionByteCount = 64
  /// The part of it in front, in which attention has its mask.
  private(set) var attentionMaskByteCount = 0
  private var headByteCount = 0

  init(_ graph: Graph, _ lowering: Lowering, _ maximumSymbols: [Int]) throws(AdaptQError) {
    var shapes: [[Int]] = []
    for value in graph.values {
      var shape: [Int] = []
      for dimension in value.type.shape {
        switch dimension {
        case .fixed(let size): shape.append(size)
        case .symbol(let symbol): shape.append(maximumSymbols[symbol])
        case .derived(let size):
          let sum = try checkedSum(maximumSymbols[size.symbol], size.plus, "value \"\(value.name)\"")
          shape.append(sum / size.over)
        case .length(let state): shape.append(graph.states[state].maximumLength)
        case .dataDependent: shape.append(1)
        }
      }
      let count = try checkedElementCount(shape, "value \"\(value.name)\"")
      byteCounts.append(try checkedProduct(count, value.type.element.byteCount, "value \"\(value.name)\""))
      shapes.append(shape)
    }
    for step in lowering.steps where step.input0 >= 0 {
      let shape = shapes[Int(step.input0)]
      switch step.kind {
      case .linear:
        try product(rows: checkedElementCount(Array(shape.dropLast()), "rows of a product"), graph, step.site)
      case .convolution:
        let convolution = lowering.convolutions[Int(step.count)]
        let site = graph.sites[Int(step.site)]
        if convolution.isDirect {
          try floats(checkedProduct(site.n, site.k, "convolution weights"))
        } else {
          let rows = try checkedProduct(shape[0], shapes[Int(step.output)][1], "convolution rows")
          let panel = min(rows, PlanContext.convolutionRows)
          try floats(checkedProduct(panel, site.k, "convolution windows"))
          product(rows: panel, graph, step.site)
        }
      case .gru:
        let rows = try checkedProduct(shape[0], shape[1], "rows of a product")
        product(rows: rows, graph, step.site)
        product(rows: shape[0], graph, step.site1)
        try floats(
          checkedProduct(
            checkedSum(rows, shape[0], "gates"), roundedUp(graph.sites[Int(step.site)].n, to: 16), "gates"))
      case .attention:
        let keys = shapes[Int(step.input1)][1]
        let heads = Int(step.count)
        let (width, valueWidth) = (shape[2] / heads, shapes[Int(step.input2)][2] / heads)
        attentionMaskByteCount = max(
          attentionMaskByteCount, try checkedProduct(try roundedUp(keys, to: 32), 4, "attention mask"))
        headByteCount = max(headByteCount, attentionScratchByteCount(keys: keys, width: width, valueWidth: valueWidth))
        attentionByteCount = max(
          attentionByteCount, try checkedSum(attentionMaskByteCount, headByteCount, "attention"))
        scratchByteCount = max(
          scratchByteCount, productScratchByteCount(maxRows: attentionProductRows(queries: shape[1])))
      case .maskedMean:
        attentionByteCount = max(attentionByteCount, try checkedProduct(shape[1], 4, "mask"))
      default: break
      }
    }
  }

  private mutating func product(rows: Int, _ graph: Graph, _ site: Int32) {
    quantizedByteCount = max(
      quantizedByteCount, QuantizedActivations.byteCount(rows: rows, k: graph.sites[Int(site)].k))
    scratchByteCount = max(scratchByteCount, productScratchByteCount(maxRows: rows))
  }

  /// Room for `count` floats where attention has its scratch.
  private mutating func floats(_ count: Int) throws(AdaptQError) {
    attentionByteCount = max(attentionByteCount, try checkedProduct(count, 4, "scratch"))
  }
}
