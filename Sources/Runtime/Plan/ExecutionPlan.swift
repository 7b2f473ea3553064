import Base
import Graph
import Kernels
import NestedFormat

/// A graph made executable for inputs up to given sizes: steps, value slots and all memory a run needs.
///
/// Owns its memory; ``context`` points into it. Runs read and write that memory, so one plan serves one run at a time.
public final class ExecutionPlan: @unchecked Sendable {
  let context: PlanContext
  let model: Model
  /// Bytes of intermediate values and scratch.
  public let byteCount: Int
  /// The part of them that holds intermediate values.
  let arenaByteCount: Int
  var tableByteCount: Int { tables.byteCount }
  private let tables: MemoryBlock
  private let arena: MemoryBlock

  /// - Parameters:
  ///   - maximumSymbols: the largest size of each of the graph's symbols.
  ///   - states: one per state of the graph; outlives the plan.
  ///   - lanes: threads that may work on a run at once.
  init(
    model: Model, maximumSymbols: [Int], kernels: KernelTable, states: UnsafeMutablePointer<StateSlot>,
    control: RunControl, lanes: Int = 1, calls: SystemCalls = .live
  ) throws(AdaptQError) {
    let graph = model.graph
    let derived = try DerivedSizes(graph, maximumSymbols)
    let lowering = try Lowering(graph)
    let sizes = try PlanSizes(graph, lowering, maximumSymbols)

    var layout = BlockLayout()
    let stepsAt = try layout.reserve(Step.self, lowering.steps.count)
    let valuesAt = try layout.reserve(ValueSlot.self, graph.values.count)
    let symbolsAt = try layout.reserve(Int.self, graph.symbols.count + derived.slots.count + derived.lengths.count)
    let minimumAt = try layout.reserve(Int.self, graph.symbols.count)
    let derivedAt = try layout.reserve(DerivedSlot.self, derived.slots.count)
    let lengthsAt = try layout.reserve(LengthSlot.self, derived.lengths.count)
    let convolutionsAt = try layout.reserve(ConvolutionSlot.self, lowering.convolutions.count)
    let countersAt = try layout.reserve(Int64.self, lowering.loopCount)
    let maximumAt = try layout.reserve(Int.self, graph.symbols.count)
    let inputsAt = try layout.reserve(Int32.self, graph.inputs.count)
    let outputsAt = try layout.reserve(Int32.self, graph.outputs.count)
    let weightsAt = try layout.reserve(LinearWeights.self, graph.sites.count)
    let rowTablesAt = try layout.reserve(RowTable?.self, graph.sites.count)
    let levelsAt = try layout.reserve(UInt8.self, graph.sites.count)
    let tables = try MemoryBlock.allocate(
      byteCount: layout.byteCount, purpose: "plan of \(lowering.steps.count) steps", calls: calls)

    let values = try ArenaPlanner(lowering.requests(sizes))
    let quantizedAt = try roundedUp(values.byteCount, to: 64)
    let scratchAt = try roundedUp(try checkedSum(quantizedAt, sizes.quantizedByteCount, "scratch"), to: 64)
    let scratchStride = try roundedUp(sizes.scratchByteCount, to: 64)
    let attentionStride = try roundedUp(sizes.attentionByteCount, to: 64)
    let attentionAt = try checkedSum(scratchAt, try checkedProduct(scratchStride, lanes, "scratch"), "scratch")
    let total = try checkedSum(attentionAt, try checkedProduct(attentionStride, lanes, "scratch"), "scratch")
    let arena = try MemoryBlock.allocate(byteCount: total, purpose: "intermediate values", calls: calls)
    byteCount = total
    arenaByteCount = quantizedAt
    self.model = model
    self.tables = tables
    self.arena = arena

    func array<Element: BitwiseCopyable>(_ type: Element.Type, _ offset: Int) -> UnsafeMutablePointer<Element> {
      (tables.base + offset).assumingMemoryBound(to: Element.self)
    }
    let slots = array(ValueSlot.self, valuesAt)
    let steps = array(Step.self, stepsAt)
    // Where the regions met so far end: a region's steps follow the one that leads past them.
    var regionEnd = 0
    for (index, step) in lowering.steps.enumerated() {
      steps[index] = step
      let hasWeights = step.kind == .linear || step.kind == .convolution || step.kind == .gru
      steps[index].isCheckpoint = hasWeights && index >= regionEnd
      regionEnd = max(regionEnd, Int(step.target))
    }
    for (index, value) in graph.values.enumerated() {
      var slot = ValueSlot(
        data: arena.base + values.offsets[lowering.storage[index]], rank: value.type.rank,
        elementByteCount: value.type.element.byteCount, elementType: value.type.element.rawValue,
        dims: InlineArray(repeating: 1),
        sources: InlineArray(repeating: 1))
      if let state = lowering.stateRead[index] { slot.data = states[state].current }
      if let constant = value.constant { slot.data = UnsafeMutableRawPointer(mutating: model.constants[constant]) }
      for (axis, dimension) in value.type.shape.enumerated() {
        switch dimension {
        case .fixed(let size): slot.sources[axis] = size
        case .symbol(let symbol): slot.sources[axis] = -1 - symbol
        case .derived(let size): slot.sources[axis] = -1 - graph.symbols.count - (derived.index[size] ?? 0)
        case .length(let state):
          slot.sources[axis] = -1 - graph.symbols.count - derived.slots.count - (derived.lengthIndex[state] ?? 0)
        case .dataDependent:
          throw .unsupported("value \"\(value.name)\": sizes that depend on data cannot be run yet")
        }
      }
      slots[index] = slot
    }
    for (index, size) in maximumSymbols.enumerated() {
      array(Int.self, maximumAt)[index] = size
      array(Int.self, symbolsAt)[index] = size
      array(Int.self, minimumAt)[index] = derived.minima[index]
    }
    for (index, size) in derived.slots.enumerated() { array(DerivedSlot.self, derivedAt)[index] = size }
    for (index, length) in derived.lengths.enumerated() { array(LengthSlot.self, lengthsAt)[index] = length }
    for (index, convolution) in lowering.convolutions.enumerated() {
      array(ConvolutionSlot.self, convolutionsAt)[index] = convolution
    }
    for (index, input) in graph.inputs.enumerated() { array(Int32.self, inputsAt)[index] = Int32(input.index) }
    for (index, output) in graph.outputs.enumerated() { array(Int32.self, outputsAt)[index] = lowering.resolve(output) }
    for (index, site) in graph.sites.enumerated() {
      let forms = model.forms[index]
      array(LinearWeights.self, weightsAt)[index] = LinearWeights(
        n: site.n, k: site.k, nested: forms.nested, fp16: forms.fp16, fp32: forms.fp32, bias: forms.bias)
      array(RowTable?.self, rowTablesAt)[index] = forms.table
      array(UInt8.self, levelsAt)[index] = Level.int8.rawValue
    }
    context = PlanContext(
      steps: steps, stepCount: lowering.steps.count, values: slots, valueCount: graph.values.count,
      symbols: array(Int.self, symbolsAt), minimumSymbols: array(Int.self, minimumAt),
      maximumSymbols: array(Int.self, maximumAt), symbolCount: graph.symbols.count,
      derived: array(DerivedSlot.self, derivedAt), derivedCount: derived.slots.count,
      lengths: array(LengthSlot.self, lengthsAt), lengthCount: derived.lengths.count,
      inputs: array(Int32.self, inputsAt), inputCount: graph.inputs.count,
      outputs: array(Int32.self, outputsAt), outputCount: graph.outputs.count,
      weights: array(LinearWeights.self, weightsAt), tables: array(RowTable?.self, rowTablesAt),
      levels: array(UInt8.self, levelsAt), siteCount: graph.sites.count, quantized: arena.base + quantizedAt,
      scratch: arena.base + scratchAt, scratchStride: scratchStride,
      attention: (arena.base + attentionAt).assumingMemoryBound(to: Float.self),
      attentionStride: attentionStride, lanes: lanes, attentionMaskByteCount: sizes.attentionMaskByteCount,
      convolutions: array(ConvolutionSlot.self, convolutionsAt), counters: array(Int64.self, countersAt),
      states: states, stateCount: graph.states.count, kernels: kernels, control: control)
  }
}
