import Base
import Graph
import Kernels

/// Nodes become steps, regions one behind the other with steps that lead through them; what may share memory is decided
/// here.
struct Lowering {
  private(set) var steps: [Step] = []
  private(set) var convolutions: [ConvolutionSlot] = []
  private(set) var loopCount = 0
  /// For each value the value whose memory it lives in: itself, or the input it overwrites.
  private(set) var storage: [Int]
  /// The state that a value is the content of.
  private(set) var stateRead: [Int: Int] = [:]
  /// For each value the one that stands for it: parameters for arguments, results of regions for those of their node.
  private var standsFor: [Int]
  private var uses: [Int]
  private var lastUse: [Int]
  private var birth: [Int?]
  private var writes: [Int]
  private let graph: Graph

  init(_ graph: Graph) throws(AdaptQError) {
    let count = graph.values.count
    self.graph = graph
    storage = Array(0..<count)
    standsFor = Array(0..<count)
    birth = [Int?](repeating: nil, count: count)
    lastUse = [Int](repeating: 0, count: count)
    uses = [Int](repeating: 0, count: count)
    writes = [Int](repeating: 0, count: count)
    for region in graph.regions {
      for node in region.nodes { for input in node.inputs { uses[input.index] += 1 } }
      for result in region.results { uses[result.index] += 1 }
    }
    try lower(graph.nodes)
    for output in graph.outputs { lastUse[Int(resolve(output))] = steps.count }
    findQuerySites()
    findCodeReaders()
    shareMemory()
  }

  /// The slot in which a value is found.
  func resolve(_ value: ValueID) -> Int32 { Int32(standsFor[value.index]) }

  private mutating func lower(_ nodes: [Graph.Node]) throws(AdaptQError) {
    var isFused = false
    for (position, node) in nodes.enumerated() {
      if isFused {
        isFused = false
        continue
      }
      switch node.operation {
      case .readState(let state):
        stateRead[Int(resolve(node.outputs[0]))] = state.index
      case .writeState(let state):
        let input = resolve(node.inputs[0])
        append(Step(kind: .writeState, input0: input, count: Int32(state.index)))
        standsFor[node.outputs[0].index] = Int(input)
      case .appendState(let state):
        append(
          Step(
            kind: .appendState, input0: resolve(node.inputs[0]), output: resolve(node.outputs[0]),
            count: Int32(state.index)))
      case .conditional(let then, let otherwise): try lowerConditional(node, then, otherwise)
      case .loop(let body): try lowerLoop(node, body)
      default:
        if let norm = fusedNorm(node, position + 1 < nodes.count ? nodes[position + 1] : nil) {
          append(norm)
          isFused = true
        } else {
          append(try step(node))
        }
      }
    }
  }

  /// An addition that only feeds the next layer norm becomes that norm's residual: one pass over memory instead of two.
  private func fusedNorm(_ node: Graph.Node, _ next: Graph.Node?) -> Step? {
    guard let next, case .binary(.add) = node.operation, case .layerNorm(let epsilon) = next.operation,
      uses[node.outputs[0].index] == 1, next.inputs[0] == node.outputs[0],
      graph.type(of: node.inputs[0]) == graph.type(of: node.inputs[1])
    else { return nil }
    return Step(
      kind: .layerNorm, input0: resolve(node.inputs[0]), input1: resolve(next.inputs[1]),
      input2: resolve(next.inputs[2]), input3: resolve(node.inputs[1]), output: resolve(next.outputs[0]),
      number: epsilon)
  }

  private mutating func append(_ step: Step) {
    let index = steps.count
    for input in [step.input0, step.input1, step.input2, step.input3] where input >= 0 {
      lastUse[Int(input)] = max(lastUse[Int(input)], index)
    }
    for output in [step.output, step.output1] where output >= 0 {
      let output = Int(output)
      birth[output] = birth[output] ?? index
      lastUse[output] = max(lastUse[output], index)
      writes[output] += 1
    }
    steps.append(step)
  }

  // MARK: - Regions

  private mutating func copy(_ from: Int32, to output: Int32) {
    if from != output { append(Step(kind: .copy, input0: from, output: output)) }
  }

  private mutating func lowerConditional(
    _ node: Graph.Node, _ then: RegionID, _ otherwise: RegionID
  ) throws(AdaptQError) {
    let branch = steps.count
    append(Step(kind: .branch, input0: resolve(node.inputs[0])))
    try lowerBranch(then, node)
    let jump = steps.count
    append(Step(kind: .jump))
    steps[branch].target = Int32(steps.count)
    try lowerBranch(otherwise, node)
    steps[jump].target = Int32(steps.count)
  }

  private mutating func lowerBranch(_ id: RegionID, _ node: Graph.Node) throws(AdaptQError) {
    let region = graph.regions[id.index]
    for (parameter, argument) in zip(region.parameters, node.inputs.dropFirst()) {
      standsFor[parameter.index] = Int(resolve(argument))
    }
    // A result that a step of the region makes is made where the node's output lies.
    var made: Set<Int> = []
    for inner in region.nodes {
      switch inner.operation {
      case .readState, .writeState: break
      default: for output in inner.outputs { made.insert(output.index) }
      }
    }
    for (result, output) in zip(region.results, node.outputs) where made.remove(result.index) != nil {
      standsFor[result.index] = Int(resolve(output))
    }
    try lower(region.nodes)
    for (result, output) in zip(region.results, node.outputs) { copy(resolve(result), to: resolve(output)) }
  }

  /// Carried values lie in the node's outputs between iterations and in the parameters during one, so that results may
  /// be any parameters.
  private mutating func lowerLoop(_ node: Graph.Node, _ body: RegionID) throws(AdaptQError) {
    let region = graph.regions[body.index]
    let counter = Int32(loopCount)
    loopCount += 1
    for (input, output) in zip(node.inputs.dropFirst(), node.outputs) { copy(resolve(input), to: resolve(output)) }
    let begin = steps.count
    append(Step(kind: .loopBegin, input0: resolve(node.inputs[0]), count: counter))
    for (output, parameter) in zip(node.outputs, region.parameters) { copy(resolve(output), to: resolve(parameter)) }
    try lower(region.nodes)
    for (result, output) in zip(region.results, node.outputs) { copy(resolve(result), to: resolve(output)) }
    let end = steps.count
    append(Step(kind: .loopEnd, target: Int32(begin + 1), count: counter))
    steps[begin].target = Int32(steps.count)
    // What the loop reads from outside must last for all iterations.
    for step in steps[begin..<end] {
      for input in [step.input0, step.input1, step.input2, step.input3] where input >= 0 {
        let value = Int(input)
        if birth[value] ?? -1 < begin { lastUse[value] = max(lastUse[value], end) }
      }
    }
  }

  // MARK: - Memory

  /// An elementwise step overwrites its input when nobody reads that afterwards.
  private mutating func shareMemory() {
    let inputs = Set(graph.inputs.map(\.index))
    for (index, step) in steps.enumerated() {
      switch step.kind {
      case .unary, .layerNorm, .softmax, .l2Normalize: break
      default: continue
      }
      let (input, output) = (Int(step.input0), Int(step.output))
      if lastUse[input] != index || inputs.contains(input) || graph.values[input].constant != nil { continue }
      if stateRead[input] != nil || writes[output] > 1 { continue }
      // The step reads its other inputs after it has begun to write.
      if [step.input1, step.input2, step.input3].contains(step.input0) { continue }
      let root = storage[input]
      storage[output] = root
      lastUse[root] = max(lastUse[root], lastUse[output])
    }
  }

  /// An attention follows the level of the linear site that makes its queries, if they are made in one place.
  private mutating func findQuerySites() {
    var maker = [Int32](repeating: -1, count: graph.values.count)
    for step in steps where step.kind == .linear { maker[Int(step.output)] = step.site }
    for (index, step) in steps.enumerated() where step.kind == .attention && writes[Int(step.input0)] == 1 {
      steps[index].site = maker[Int(step.input0)]
    }
  }

  /// An activation whose result only the product behind it reads can leave it as codes instead of floats.
  private mutating func findCodeReaders() {
    let outputs = Set(graph.outputs.map { resolve($0) })
    var readers = [Int](repeating: 0, count: graph.values.count)
    for step in steps {
      for input in [step.input0, step.input1, step.input2, step.input3] where input >= 0 { readers[Int(input)] += 1 }
    }
    for index in steps.indices.dropLast() where steps[index].kind == .unary {
      let (value, next) = (steps[index].output, steps[index + 1])
      if next.kind == .linear && next.input0 == value && readers[Int(value)] == 1 && writes[Int(value)] == 1
        && !outputs.contains(value)
      {
        steps[index].site = next.site
      }
    }
  }

  func requests(_ sizes: PlanSizes) -> [ArenaPlanner.Request] {
    let inputs = Set(graph.inputs.map(\.index))
    return graph.values.indices.map { index in
      let isInput = inputs.contains(index)
      // Values of fused additions are written by no step.
      let isStored = (isInput || birth[index] != nil) && storage[index] == index
      return ArenaPlanner.Request(
        byteCount: isStored ? sizes.byteCounts[index] : 0, birth: isInput ? 0 : birth[index] ?? 0,
        death: lastUse[index])
    }
  }
}

// MARK: - Single nodes

extension Lowering {
  private mutating func step(_ node: Graph.Node) throws(AdaptQError) -> Step {
    var step: Step
    switch node.operation {
    case .embedding(let site): step = Step(kind: .embedding, site: Int32(site.index))
    case .linear(let site): step = Step(kind: .linear, site: Int32(site.index))
    case .layerNorm(let epsilon): step = Step(kind: .layerNorm, number: epsilon)
    case .activation(let function):
      step = Step(kind: .unary)
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
      step = Step(kind: .binary)
      let operation: BinaryOperation =
        switch function {
        case .add: .add
        case .subtract: .subtract
        case .multiply: .multiply
        }
      step.function = operation.rawValue
    case .compare(let function):
      step = Step(kind: .compare)
      let operation: ComparisonOperation =
        switch function {
        case .equal: .equal
        case .less: .less
        case .greater: .greater
        }
      step.function = operation.rawValue
    case .attention(let heads, let scale): step = Step(kind: .attention, count: Int32(heads), number: scale)
    case .softmax: step = Step(kind: .softmax)
    case .range(let axis): step = Step(kind: .range, count: Int32(axis))
    case .maskedMean: step = Step(kind: .maskedMean)
    case .l2Normalize(let epsilon): step = Step(kind: .l2Normalize, number: epsilon)
    case .convolution1D(let site, let convolution):
      step = Step(kind: .convolution, site: Int32(site.index), count: Int32(convolutions.count))
      convolutions.append(try slot(convolution, node, site))
    case .gru(let input, let recurrent):
      step = Step(kind: .gru, site: Int32(input.index))
      step.site1 = Int32(recurrent.index)
      step.output1 = resolve(node.outputs[1])
    case .readState, .writeState, .appendState, .conditional, .loop:
      throw .internalError("operator \"\(node.operation.name)\" is no single step")
    }
    step.output = resolve(node.outputs[0])
    let inputs = node.inputs.map { resolve($0) }
    if inputs.count > 0 { step.input0 = inputs[0] }
    if inputs.count > 1 { step.input1 = inputs[1] }
    if inputs.count > 2 { step.input2 = inputs[2] }
    if inputs.count > 3 { step.input3 = inputs[3] }
    return step
  }

  private func slot(
    _ convolution: Convolution1D, _ node: Graph.Node, _ site: SiteID
  ) throws(AdaptQError) -> ConvolutionSlot {
    guard case .fixed(let channels)? = graph.type(of: node.inputs[0]).shape.last else {
      throw .internalError("convolution of an open number of channels")
    }
    let (n, groups) = (graph.sites[site.index].n, convolution.groups)
    let isDirect = Convolution1D.isDirect(outputs: n, groups: groups)
    return ConvolutionSlot(
      kernel: convolution.kernel, stride: convolution.stride, before: convolution.before,
      dilation: convolution.dilation, groups: groups, groupInputs: channels / groups, groupOutputs: n / groups,
      tapStride: Convolution1D.tapStride(groupInputs: channels / groups, isDirect: isDirect), isDirect: isDirect)
  }
}
