import Base
import CMachine
import Control
import Graph
import Kernels
import NestedFormat

/// One stream of inferences on a model: owns plan, level choice and telemetry. No thread of its own.
///
/// ``prepare(maximumShapes:)`` and ``run(callLevel:)`` must not overlap on one session: the C ABI's handle table refuses a
/// second one. Setters may be called on any thread at any time.
public final class Session: @unchecked Sendable {
  public static let telemetryCapacity = 256

  public let model: Model
  /// Levels the budget may use, best first.
  public let levels: [Level]
  public private(set) var costs: [LevelCost] = []
  let kernels: KernelTable
  let state: UnsafeMutablePointer<SessionState>
  /// Only initialized when ``isPrepared``.
  let context: UnsafeMutablePointer<PlanContext>
  private let memory: MemoryBlock
  private let kernelOwner: AnyObject?
  private var plan: ExecutionPlan?

  /// - Parameters:
  ///   - allowed: levels to use, of those the model stores.
  ///   - kernelOwner: kept alive as long as the session: the code `kernels` points to.
  public init(
    model: Model, allowed: [Level], kernels: KernelTable, kernelOwner: AnyObject?
  ) throws(AdaptQError) {
    let levels = model.levels.filter { allowed.contains($0) }
    if levels.isEmpty {
      let stored = model.levels.map(\.name).joined(separator: ", ")
      throw .unsupported(
        "allowed_levels: none of \(allowed.map(\.name).joined(separator: ", ")) is stored; the model has \(stored)")
    }
    let siteCount = model.graph.sites.count
    var layout = BlockLayout()
    let stateAt = try layout.reserve(SessionState.self, 1)
    let recordsAt = try layout.reserve(InferenceRecord.self, Session.telemetryCapacity)
    let siteLevelsAt = try layout.reserve(
      UInt8.self, try checkedProduct(Session.telemetryCapacity, siteCount, "telemetry"))
    let bindingsAt = try layout.reserve(
      TensorBinding.self, model.graph.inputs.count + model.graph.outputs.count)
    let planAt = try layout.reserve(PlanContext.self, 1)
    let isTableAt = try layout.reserve(UInt8.self, siteCount)
    memory = try MemoryBlock.allocate(byteCount: layout.byteCount, purpose: "session")
    let base = memory.base

    var rungs = InlineArray<8, UInt8>(repeating: 0)
    for (index, level) in levels.enumerated() { rungs[index] = level.rawValue }
    let mask = UInt64(1) << UInt64(levels.count) - 1
    context = (base + planAt).assumingMemoryBound(to: PlanContext.self)
    state = (base + stateAt).assumingMemoryBound(to: SessionState.self)
    state.initialize(
      to: SessionState(
        wantedRungs: mask, appliedRungs: mask, plan: context,
        controller: try LatencyController(ControllerConfiguration(rungCount: levels.count)),
        ring: TelemetryRing(
          base: (base + recordsAt).assumingMemoryBound(to: InferenceRecord.self), capacity: Session.telemetryCapacity),
        siteLevels: (base + siteLevelsAt).assumingMemoryBound(to: UInt8.self), siteCount: siteCount, rungs: rungs,
        rungCount: levels.count, bindings: (base + bindingsAt).assumingMemoryBound(to: TensorBinding.self),
        isTable: (base + isTableAt).assumingMemoryBound(to: UInt8.self)))
    for (index, site) in model.graph.sites.enumerated() {
      state.pointee.isTable[index] = site.kind == .embedding ? 1 : 0
    }
    self.model = model
    self.levels = levels
    self.kernels = kernels
    self.kernelOwner = kernelOwner
  }

  public var isPrepared: Bool { plan != nil }

  /// Bytes of intermediate values; 0 before ``prepare(maximumShapes:)``.
  public var workingByteCount: Int { plan?.byteCount ?? 0 }

  // MARK: - Preparation

  /// Plans and measures for inputs up to the given shapes. What was prepared before stays if this throws.
  public func prepare(maximumShapes: [[Int]]) throws(AdaptQError) {
    let symbols = try maximumSymbols(maximumShapes)
    let plan = try ExecutionPlan(model: model, maximumSymbols: symbols, kernels: kernels)
    let costs = try CostMeasurement(plan, levels, state.pointee.isTable).measure()
    var controller = try LatencyController(ControllerConfiguration(rungCount: levels.count))
    for (rung, cost) in costs.enumerated() { try controller.setCost(rung: rung, points: cost.points) }
    self.plan = plan
    self.costs = costs
    state.pointee.controller = controller
    // The mailbox is applied anew to the new controller.
    state.pointee.appliedBudget = 0
    state.pointee.appliedRungs = UInt64(1) << UInt64(levels.count) - 1
    state.pointee.lastRung = -1
    context.initialize(to: plan.context)
  }

  private func maximumSymbols(_ shapes: [[Int]]) throws(AdaptQError) -> [Int] {
    let graph = model.graph
    if shapes.count != graph.inputs.count {
      throw .invalidArgument("n_inputs: \(shapes.count), the model has \(graph.inputs.count)")
    }
    var symbols = [Int](repeating: 0, count: graph.symbols.count)
    for (index, input) in graph.inputs.enumerated() {
      let value = graph.values[input.index]
      if shapes[index].count != value.type.rank {
        throw .invalidArgument("input \"\(value.name)\": rank \(shapes[index].count), expected \(value.type.rank)")
      }
      for (axis, dimension) in value.type.shape.enumerated() {
        let size = shapes[index][axis]
        switch dimension {
        case .fixed(let expected):
          if size != expected {
            throw .invalidArgument("input \"\(value.name)\": sizes[\(axis)] is \(size), expected \(expected)")
          }
        case .symbol(let symbol):
          if size < 1 { throw .invalidArgument("input \"\(value.name)\": sizes[\(axis)] is \(size), below 1") }
          if symbols[symbol] != 0 && symbols[symbol] != size {
            throw .invalidArgument(
              "input \"\(value.name)\": sizes[\(axis)] is \(size), but \(graph.symbols[symbol]) is \(symbols[symbol])")
          }
          symbols[symbol] = size
        case .dataDependent: break
        }
      }
    }
    return symbols
  }

  // MARK: - Running

  /// Sets the size of a symbol for the next run or shape question; false if it is above what was prepared, or below 1.
  /// Only after a successful prepare.
  @inline(__always)
  public func setSymbol(_ symbol: Int, _ size: Int) -> Bool {
    if size < 1 || size > context.pointee.maximumSymbols[symbol] { return false }
    context.pointee.symbols[symbol] = size
    return true
  }

  public func maximumSize(ofSymbol symbol: Int) -> Int { context.pointee.maximumSymbols[symbol] }

  /// Tensors of the next run: inputs, then outputs.
  @inline(__always)
  public func bind(_ index: Int, _ binding: TensorBinding) { state.pointee.bindings[index] = binding }

  /// Runs with what ``setSymbol(_:_:)`` and ``bind(_:_:)`` have set; only after a successful prepare.
  @inline(__always)
  public func run(callLevel: UInt8) -> RunReport { SessionState.run(state, callLevel: callLevel) }

  // MARK: - Setters, any thread

  /// - Parameter level: nil for automatic.
  public func setLevel(_ level: Level?) throws(AdaptQError) {
    if let level, !levels.contains(level) {
      throw .unsupported("level \(level.name) is not allowed in this session, which has \(levelNames)")
    }
    cmachine_atomic_store(SessionState.mailbox(state, 1), UInt64(level?.rawValue ?? 0))
  }

  /// - Parameter levels: nil for all of the session.
  public func setAllowed(_ wanted: [Level]?) throws(AdaptQError) {
    var mask = UInt64(1) << UInt64(levels.count) - 1
    if let wanted {
      if wanted.isEmpty { throw .invalidArgument("levels: none; the session has \(levelNames)") }
      mask = 0
      for level in wanted {
        guard let rung = levels.firstIndex(of: level) else {
          throw .unsupported("level \(level.name) is not allowed in this session, which has \(levelNames)")
        }
        mask |= 1 << UInt64(rung)
      }
    }
    cmachine_atomic_store(SessionState.mailbox(state, 2), mask)
  }

  /// - Parameter nanoseconds: nil for no budget.
  public func setLatencyBudget(nanoseconds: Int?, percentile: Double) throws(AdaptQError) {
    guard let nanoseconds else {
      cmachine_atomic_store(SessionState.mailbox(state, 0), 0)
      return
    }
    if nanoseconds < 1 || nanoseconds >= 1 << 50 {
      throw AdaptQError(.outOfRange, "latency_ns: \(nanoseconds), allowed are 1 to \(1 << 50 - 1)")
    }
    if !(percentile >= 50 && percentile <= 99.9) {
      throw AdaptQError(.outOfRange, "percentile: \(percentile), allowed are 50 to 99.9")
    }
    let hundredths = UInt64(clampedInt(percentile * 100, in: 5000...9990))
    cmachine_atomic_store(SessionState.mailbox(state, 0), hundredths << 50 | UInt64(nanoseconds))
  }

  private var levelNames: String { levels.map(\.name).joined(separator: ", ") }

  // MARK: - Telemetry, not during a run

  public func copyTelemetry(into records: UnsafeMutablePointer<InferenceRecord>, capacity: Int) -> Int {
    state.pointee.ring.copyLast(into: records, capacity: capacity)
  }

  public func level(ofRung rung: Int) -> Level { levels.indices.contains(rung) ? levels[rung] : .int8 }

  /// Levels of all sites in inference `sequence`, counted from 1; nil if it is not kept.
  public func siteLevels(sequence: UInt64) -> [Level]? {
    let total = state.pointee.ring.total
    if sequence < 1 || sequence > total || total - sequence >= UInt64(Session.telemetryCapacity) { return nil }
    let row = Int((sequence - 1) % UInt64(Session.telemetryCapacity))
    let count = state.pointee.siteCount
    return (0..<count).map { Level(rawValue: state.pointee.siteLevels[row * count + $0]) ?? .int8 }
  }

  /// Whether each level is a step: faster than every better one at the largest prepared size.
  public func isStep(_ index: Int) -> Bool {
    guard costs.indices.contains(index) else { return false }
    let margin = state.pointee.controller.configuration.minimumGain
    let own = Double(costs[index].nanoseconds)
    return costs[..<index].allSatisfy { own < Double($0.nanoseconds) * (1 - margin) }
  }
}
