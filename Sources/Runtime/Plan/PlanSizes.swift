import Base
import Graph
import Kernels

/// Bytes at the largest sizes: per value, and for what steps need while they run.
struct PlanSizes {
  private(set) var byteCounts: [Int] = []
  private(set) var quantizedByteCount = 64
  private(set) var scratchByteCount = 64
  private(set) var attentionByteCount = 64
  private(set) var scoreCount = 0
  private(set) var packedCount = 0
  private var keyCount = 0

  init(_ graph: Graph, _ steps: [Step], _ maximumSymbols: [Int]) throws(AdaptQError) {
    var shapes: [[Int]] = []
    for value in graph.values {
      var shape: [Int] = []
      for dimension in value.type.shape {
        switch dimension {
        case .fixed(let size): shape.append(size)
        case .symbol(let symbol): shape.append(maximumSymbols[symbol])
        case .dataDependent: shape.append(1)
        }
      }
      let count = try checkedElementCount(shape, "value \"\(value.name)\"")
      byteCounts.append(try checkedProduct(count, value.type.element.byteCount, "value \"\(value.name)\""))
      shapes.append(shape)
    }
    for step in steps {
      let shape = shapes[Int(step.input0)]
      switch step.kind {
      case .linear:
        let rows = try checkedElementCount(Array(shape.dropLast()), "rows of a product")
        quantizedByteCount = max(
          quantizedByteCount, QuantizedActivations.byteCount(rows: rows, k: graph.sites[Int(step.site)].k))
        scratchByteCount = max(scratchByteCount, productScratchByteCount(maxRows: rows))
      case .attention:
        let keys = shapes[Int(step.input1)][1]
        let queries = shape[1]
        let heads = Int(step.count)
        let (width, valueWidth) = (shape[2] / heads, shapes[Int(step.input2)][2] / heads)
        let paddedKeys = try roundedUp(keys, to: 16)
        let scores = try checkedProduct(queries, paddedKeys, "attention scores")
        let packedKeys = try checkedProduct(paddedKeys, width, "packed keys")
        let packedValues = try checkedProduct(keys, try roundedUp(valueWidth, to: 16), "packed values")
        scoreCount = max(scoreCount, scores)
        packedCount = max(packedCount, try roundedUp(max(packedKeys, packedValues), to: 16))
        keyCount = max(keyCount, paddedKeys)
        let floats = try checkedSum(
          try checkedSum(try roundedUp(scoreCount, to: 16), packedCount, "attention"), keyCount, "attention")
        attentionByteCount = max(attentionByteCount, try checkedProduct(floats, 4, "attention"))
        scratchByteCount = max(scratchByteCount, productScratchByteCount(maxRows: queries))
      case .maskedMean:
        attentionByteCount = max(attentionByteCount, try checkedProduct(shape[1], 4, "mask"))
      default: break
      }
    }
  }
}
