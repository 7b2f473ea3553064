import Base
import Graph
import Kernels

/// Nodes become steps; what may share memory is decided here.
struct Lowering {
  private(set) var steps: [Step] = []
  /// For each value the value whose memory it lives in: itself, or the input it overwrites.
  private(set) var storage: [Int]
  private var lastUse: [Int]
  private var birth: [Int]

  init(_ graph: Graph) throws(AdaptQError) {
    storage = Array(graph.values.indices)
    birth = [Int](repeating: 0, count: graph.values.count)
    lastUse = [Int](repeating: 0, count: graph.values.count)
    var uses = [Int](repeating: 0, count: graph.values.count)
    for node in graph.nodes { for input in node.inputs { uses[input.index] += 1 } }
    for output in graph.outputs { uses[output.index] += 1 }

    var fused = [Bool](repeating: false, count: graph.nodes.count)
    for (position, node) in graph.nodes.enumerated() where !fused[position] {
      guard let output = node.outputs.first, node.outputs.count == 1 else {
        throw .unsupported("node \(position) (\(node.operation.name)): \(node.outputs.count) outputs cannot be run yet")
      }
      var step = try Lowering.step(node, position, output, graph)
      // An addition that only feeds the next layer norm becomes that norm's residual: one pass over memory instead of two.
      if case .binary(.add) = node.operation, uses[output.index] == 1, position + 1 < graph.nodes.count {
        let next = graph.nodes[position + 1]
        let (a, b) = (node.inputs[0], node.inputs[1])
        if case .layerNorm(let epsilon) = next.operation, next.inputs[0] == output,
          graph.type(of: a) == graph.type(of: b), let normalized = next.outputs.first
        {
          step = Step(
            kind: .layerNorm, input0: Int32(a.index), input1: Int32(next.inputs[1].index),
            input2: Int32(next.inputs[2].index), input3: Int32(b.index), output: Int32(normalized.index),
            number: epsilon)
          fused[position + 1] = true
        }
      }
      append(step)
    }
    for output in graph.outputs { lastUse[output.index] = steps.count }
    shareMemory(graph)
  }

  private mutating func append(_ step: Step) {
    let index = steps.count
    for input in [step.input0, step.input1, step.input2, step.input3] where input >= 0 {
      lastUse[Int(input)] = max(lastUse[Int(input)], index)
    }
    birth[Int(step.output)] = index
    lastUse[Int(step.output)] = max(lastUse[Int(step.output)], index)
    steps.append(step)
  }

  /// An elementwise step overwrites its input when nobody reads that afterwards.
  private mutating func shareMemory(_ graph: Graph) {
    let external = Set(graph.inputs.map(\.index))
    for (index, step) in steps.enumerated() {
      let (input, output) = (Int(step.input0), Int(step.output))
      switch step.kind {
      case .unary, .layerNorm, .softmax, .l2Normalize: break
      default: continue
      }
      if lastUse[input] != index || external.contains(input) || graph.values[input].constant != nil { continue }
      // The step reads its other inputs after it has begun to write.
      if [step.input1, step.input2, step.input3].contains(step.input0) { continue }
      let root = storage[input]
      storage[output] = root
      lastUse[root] = max(lastUse[root], lastUse[output])
    }
  }

  func requests(_ sizes: PlanSizes, _ graph: Graph) -> [ArenaPlanner.Request] {
    let inputs = Set(graph.inputs.map(\.index))
    // Values of fused additions are written by no step.
    let written = Set(steps.map { Int($0.output) })
    return graph.values.indices.map { index in
      let isInput = inputs.contains(index)
      let isStored = (isInput || written.contains(index)) && storage[index] == index
      return ArenaPlanner.Request(
        byteCount: isStored ? sizes.byteCounts[index] : 0, birth: isInput ? 0 : birth[index], death: lastUse[index])
    }
  }

  private static func step(
    _ node: Graph.Node, _ position: Int, _ output: ValueID, _ graph: Graph
  ) throws(AdaptQError) -> Step {
    var step: Step
    let result = Int32(output.index)
    switch node.operation {
    case .embedding(let site): step = Step(kind: .embedding, site: Int32(site.index), output: result)
    case .linear(let site): step = Step(kind: .linear, site: Int32(site.index), output: result)
    case .layerNorm(let epsilon): step = Step(kind: .layerNorm, output: result, number: epsilon)
    case .activation(let function):
      step = Step(kind: .unary, output: result)
      let operation: UnaryOperation =
        switch function {
        case .relu: .relu
        case .gelu: .gelu
        case .geluTanh: .geluTanh
        case .silu: .silu
        case .sigmoid: .sigmoid
        case .tanh: .tanh
        }
      step.function = operation.rawValue
    case .binary(let function):
      step = Step(kind: .binary, output: result)
      let operation: BinaryOperation =
        switch function {
        case .add: .add
        case .subtract: .subtract
        case .multiply: .multiply
        }
      step.function = operation.rawValue
    case .attention(let heads, let scale):
      step = Step(kind: .attention, output: result, count: Int32(heads), number: scale)
    case .softmax: step = Step(kind: .softmax, output: result)
    case .range(let axis): step = Step(kind: .range, output: result, count: Int32(axis))
    case .maskedMean: step = Step(kind: .maskedMean, output: result)
    case .l2Normalize(let epsilon): step = Step(kind: .l2Normalize, output: result, number: epsilon)
    case .readState, .writeState, .conditional, .loop:
      throw .unsupported("node \(position): operator \"\(node.operation.name)\" cannot be run yet")
    }
    let inputs = node.inputs.map { Int32($0.index) }
    if inputs.count > 0 { step.input0 = inputs[0] }
    if inputs.count > 1 { step.input1 = inputs[1] }
    if inputs.count > 2 { step.input2 = inputs[2] }
    if inputs.count > 3 { step.input3 = inputs[3] }
    return step
  }
}
