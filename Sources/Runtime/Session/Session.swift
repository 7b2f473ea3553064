import Base
import CMachine
import Control
import Graph
import Kernels
import NestedFormat
import Telemetry

/// One stream of inferences on a model: owns plan, level choice and telemetry. Threads are shared with other sessions.
///
/// ``prepare(maximumShapes:)`` and runs through ``handle`` must not overlap on one session: the C ABI's handle table refuses a
/// second one. Setters may be called on any thread at any time.
public final class Session: @unchecked Sendable {
  public static let telemetryCapacity = 256

  public let model: Model
  /// Levels the budget may use, best first.
  public let levels: [Level]
  public private(set) var costs: [LevelCost] = []
  let kernels: KernelTable
  let state: UnsafeMutablePointer<SessionState>
  /// Where setters leave what they want; the state, which points there too, belongs to the run in progress.
  private let mailbox: UnsafeMutablePointer<UInt64>
  /// Only initialized when ``isPrepared``.
  let context: UnsafeMutablePointer<PlanContext>
  private let prepared: UnsafeMutablePointer<Bool>
  private let memory: MemoryBlock
  let states: StateMemory
  private let kernelOwner: AnyObject?
  private let threads: Threads
  /// Keeps what the state's writer points to.
  private let telemetry: TelemetrySection?
  /// What ``prepare(maximumShapes:)`` may spend on measuring; nil: no limit.
  private let measureNanoseconds: Int?
  private let calls: SystemCalls
  private var plan: ExecutionPlan?
  private var stepTimes: StepTimes?
  private var trace = TraceHook()

  /// - Parameters:
  ///   - allowed: levels to use, of those the model stores.
  ///   - kernelOwner: kept alive as long as the session: the code `kernels` points to.
  ///   - calls: where its memory comes from.
  ///   - threads: what runs and preparations may use.
  ///   - telemetryFile: where runs leave records that other processes can read; see ``isRecorded``.
  public init(
    model: Model, allowed: [Level], kernels: KernelTable, kernelOwner: AnyObject?, calls: SystemCalls = .live,
    threads: Threads = .alone, measureNanoseconds: Int? = nil, telemetryFile: TelemetryFile? = nil
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
    let preparedAt = try layout.reserve(Bool.self, 1)
    let isTableAt = try layout.reserve(UInt8.self, siteCount)
    let deadlineAt = try layout.reserve(DeadlineRun.self, 1)
    let mailboxAt = try layout.reserve(UInt64.self, 3 + RunControl.wordCount)
    memory = try MemoryBlock.allocate(byteCount: layout.byteCount, purpose: "session", calls: calls)
    states = try StateMemory(model.graph, calls: calls)
    let base = memory.base

    var rungs = InlineArray<8, UInt8>(repeating: 0)
    for (index, level) in levels.enumerated() { rungs[index] = level.rawValue }
    let mask = UInt64(1) << UInt64(levels.count) - 1
    context = (base + planAt).assumingMemoryBound(to: PlanContext.self)
    prepared = (base + preparedAt).assumingMemoryBound(to: Bool.self)
    prepared.initialize(to: false)
    state = (base + stateAt).assumingMemoryBound(to: SessionState.self)
    state.initialize(
      to: SessionState(
        mailbox: (base + mailboxAt).assumingMemoryBound(to: UInt64.self),
        control: RunControl(words: (base + mailboxAt).assumingMemoryBound(to: UInt64.self) + 3), appliedRungs: mask,
        plan: context,
        controller: try LatencyController(ControllerConfiguration(rungCount: levels.count)),
        ring: TelemetryRing(
          base: (base + recordsAt).assumingMemoryBound(to: InferenceRecord.self), capacity: Session.telemetryCapacity),
        siteLevels: (base + siteLevelsAt).assumingMemoryBound(to: UInt8.self), siteCount: siteCount, rungs: rungs,
        rungCount: levels.count, bindings: (base + bindingsAt).assumingMemoryBound(to: TensorBinding.self),
        isTable: (base + isTableAt).assumingMemoryBound(to: UInt8.self),
        deadlineRun: (base + deadlineAt).assumingMemoryBound(to: DeadlineRun.self)))
    mailbox = state.pointee.mailbox
    cmachine_atomic_store(mailbox + 2, mask)
    for (index, site) in model.graph.sites.enumerated() {
      state.pointee.isTable[index] = site.kind == .embedding ? 1 : 0
    }
    self.model = model
    self.levels = levels
    self.kernels = kernels
    self.kernelOwner = kernelOwner
    self.threads = threads
    self.measureNanoseconds = measureNanoseconds
    self.calls = calls
    telemetry = telemetryFile?.claim(
      sites: model.graph.sites.map { site in
        TelemetryFile.Site(
          name: site.name, weights: site.n &* site.k,
          isTable: site.kind == .embedding)
      }, rungs: levels.count)
    state.pointee.telemetry = telemetry?.writer
  }

  /// Whether runs go to a telemetry file: there is one, and a section of it was free.
  public var isRecorded: Bool { telemetry != nil }

  public var isPrepared: Bool { prepared.pointee }

  /// Bytes of intermediate values; 0 before ``prepare(maximumShapes:)``.
  public var workingByteCount: Int { plan?.byteCount ?? 0 }

  /// The parts of ``workingByteCount``, and what is kept besides.
  public var arenaByteCount: Int { plan?.arenaByteCount ?? 0 }
  public var scratchByteCount: Int { workingByteCount - arenaByteCount }
  public var stateByteCount: Int {
    memory.byteCount + states.byteCount + (plan?.tableByteCount ?? 0) + (stepTimes?.byteCount ?? 0)
  }

  // MARK: - Preparation

  /// Plans and measures for inputs up to the given shapes. What was prepared before stays if this throws.
  public func prepare(maximumShapes: [[Int]]) throws(AdaptQError) {
    state.pointee.control.begin()
    defer { state.pointee.control.end() }
    let symbols = try maximumSymbols(maximumShapes)
    let executor = try threads.executor()
    let plan = try ExecutionPlan(
      model: model, maximumSymbols: symbols, kernels: kernels, states: states.slots,
      control: state.pointee.control, lanes: executor.width, calls: calls)
    let stepTimes = try StepTimes(
      rungCount: levels.count, stepCount: plan.context.stepCount, sizeCount: CostMeasurement.shares.count, calls: calls)
    let costs = try CostMeasurement(plan, levels, state.pointee.isTable, executor, measureNanoseconds)
      .measure(stepTimes)
    var controller = try LatencyController(ControllerConfiguration(rungCount: levels.count))
    for (rung, cost) in costs.enumerated() { try controller.setCost(rung: rung, points: cost.points) }
    self.plan = plan
    self.stepTimes = stepTimes
    self.costs = costs
    state.pointee.shares = stepTimes.shares
    state.pointee.controller = controller
    // The mailbox is applied anew to the new controller.
    state.pointee.appliedBudget = 0
    state.pointee.appliedRungs = UInt64(1) << UInt64(levels.count) - 1
    state.pointee.lastRung = -1
    state.pointee.executor = executor
    context.initialize(to: plan.context)
    context.pointee.trace = trace
    prepared.pointee = true
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
        case .derived, .length, .dataDependent: break
        }
      }
    }
    return symbols
  }

  /// The session for the run path. Only one run at a time may use it; the session must outlive it.
  public var handle: RunHandle {
    RunHandle(state: state, context: context, prepared: prepared, session: Unmanaged.passUnretained(self))
  }

  /// Watches runs from the next one on; nil: no longer. Not while a run or prepare is in progress.
  public func setTrace(_ function: TraceFunction?, context: UnsafeMutableRawPointer?) {
    trace = TraceHook(function: function, context: context)
    if isPrepared { self.context.pointee.trace = trace }
  }

  // MARK: - Setters, any thread

  /// Stops the run or prepare in progress, if there is one.
  public func cancel() { state.pointee.control.stop() }

  /// - Parameter level: nil for automatic.
  public func setLevel(_ level: Level?) throws(AdaptQError) {
    if let level, !levels.contains(level) {
      throw .unsupported("level \(level.name) is not allowed in this session, which has \(levelNames)")
    }
    cmachine_atomic_store(mailbox + 1, UInt64(level?.rawValue ?? 0))
  }

  /// Which levels the budget may choose from. Allocates nothing, so that a host may call it between any two runs.
  ///
  /// - Parameter isAllowed: nil for all of the session.
  /// - Returns: false, and nothing changes, if a level outside the session is allowed or none of its own.
  public func setAllowed(_ isAllowed: ((Level) -> Bool)?) -> Bool {
    var mask = UInt64(1) << UInt64(levels.count) - 1
    if let isAllowed {
      mask = 0
      for rung in 0..<levels.count where isAllowed(levels[rung]) { mask |= 1 << UInt64(rung) }
      var wanted = 0
      for raw: UInt8 in 0...32 {
        if let level = Level(rawValue: raw), isAllowed(level) { wanted += 1 }
      }
      if mask == 0 || wanted != mask.nonzeroBitCount { return false }
    }
    cmachine_atomic_store(mailbox + 2, mask)
    return true
  }

  /// - Parameter nanoseconds: nil for no budget.
  public func setLatencyBudget(nanoseconds: Int?, percentile: Double) throws(AdaptQError) {
    guard let nanoseconds else {
      cmachine_atomic_store(mailbox + 0, 0)
      return
    }
    if nanoseconds < 1 || nanoseconds >= 1 << 50 {
      throw AdaptQError(.outOfRange, "latency_ns: \(nanoseconds), allowed are 1 to \(1 << 50 - 1)")
    }
    if !(percentile >= 50 && percentile <= 99.9) {
      throw AdaptQError(.outOfRange, "percentile: \(percentile), allowed are 50 to 99.9")
    }
    let hundredths = UInt64(clampedInt(percentile * 100, in: 5000...9990))
    cmachine_atomic_store(mailbox + 0, hundredths << 50 | UInt64(nanoseconds))
  }

  private var levelNames: String { levels.map(\.name).joined(separator: ", ") }

  // MARK: - Telemetry
  // What is copied while a run is in progress may be torn: callers look before and after, and throw it away then.

  /// At most `capacity` of the newest inferences, oldest of them first, with the level of their linear sites.
  public func lastInferences(_ capacity: Int) -> [(record: InferenceRecord, level: Level)] {
    let ring = state.pointee.ring
    let records = [InferenceRecord](unsafeUninitializedCapacity: Session.telemetryCapacity) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      count = ring.copyLast(into: base, capacity: min(capacity, Session.telemetryCapacity))
    }
    return records.map { record in
      let rung = Int(record.rung)
      return (record, levels.indices.contains(rung) ? levels[rung] : .int8)
    }
  }

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
