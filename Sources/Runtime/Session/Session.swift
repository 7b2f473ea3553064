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
  /// What the budget chooses from, best first.
  public let ladder: [Rung]
  /// Expected costs of plans, once prepared.
  public private(set) var planCosts: PlanCosts?
  let kernels: KernelTable
  let state: UnsafeMutablePointer<SessionState>
  /// What setters see of the ladder: nothing that changes.
  let slots: LadderSlots
  /// Where setters leave what they want; the state, which points there too, belongs to the run in progress.
  let mailbox: UnsafeMutablePointer<UInt64>
  /// What each rung is expected to take at the largest prepared size, for setters; 0: unknown. Touched with atomics only.
  let typicalNanoseconds: UnsafeMutablePointer<UInt64>
  /// Only initialized when ``isPrepared``.
  let context: UnsafeMutablePointer<PlanContext>
  /// Only initialized when prepared, and with ``shadow``.
  private let shadowSlots: UnsafeMutablePointer<ShadowSlots>
  private let prepared: UnsafeMutablePointer<Bool>
  let memory: MemoryBlock
  let states: StateMemory
  private let kernelOwner: AnyObject?
  let threads: Threads
  private let load: SharedLoad
  /// Keeps what the state's writer points to.
  private let telemetry: TelemetrySection?
  let power: SessionPower
  /// Nil where shadow runs are not allowed.
  let shadow: ShadowMemory?
  /// Whether budgets of power may choose fewer threads.
  private let choosesThreads: Bool
  /// What ``prepare(maximumShapes:)`` may spend on measuring; nil: no limit.
  private let measureNanoseconds: Int?
  private let measureRounds: Int
  let calls: SystemCalls
  /// What measured costs belong to.
  let machine: CostMachine
  var importedCosts: ImportedCosts?
  public private(set) var preparation = PreparationInfo()
  private var plan: ExecutionPlan?
  private var shareTable: ShareTable?
  /// Nil where runs always have all threads.
  private var threadMemory: ThreadMemory?
  private var trace = TraceHook()

  /// - Parameters:
  ///   - allowed: levels to use, of those the model stores.
  ///   - kernelOwner: kept alive as long as the session: the code `kernels` points to.
  ///   - calls: where its memory comes from.
  ///   - threads: what runs and preparations may use.
  ///   - measureNanoseconds: when preparing begins no further measurement; nil: after about 400 ms per size.
  ///   - measureRounds: how often each level is timed at each size, and in proportion how long that may take; nil: 5 times.
  ///   - powerSignal: what sensors show, for budgets of power; nil: their models alone count.
  ///   - telemetryFile: where runs leave records that other processes can read; see ``isRecorded``.
  ///   - shadows: allows shadow runs: memory for them, and a copy of the inputs in each run.
  ///   - choosesThreads: measures also with fewer threads, so that budgets of power may choose how many.
  ///   - load: what it shares with other sessions; nil: with none.
  ///   - machine: what exported costs are kept for.
  public init(
    model: Model, allowed: [Level], kernels: KernelTable, kernelOwner: AnyObject?, calls: SystemCalls = .live,
    threads: Threads = .alone, measureNanoseconds: Int? = nil, measureRounds: Int? = nil,
    telemetryFile: TelemetryFile? = nil, powerSignal: PowerSignal? = nil, shadows: Bool = false,
    choosesThreads: Bool = false, load: SharedLoad? = nil,
    machine: CostMachine = CostMachine(cpu: "", instructionSet: 0, features: 0, kernels: 0)
  ) throws(AdaptQError) {
    if kernels.form != model.graph.form {
      throw .internalError("kernels for \(kernels.form), the model has \(model.graph.form)")
    }
    let levels = model.levels.filter { allowed.contains($0) }
    if levels.isEmpty {
      let stored = model.levels.map(\.name).joined(separator: ", ")
      throw .unsupported(
        "allowed_levels: none of \(allowed.map(\.name).joined(separator: ", ")) is stored; the model has \(stored)")
    }
    let ladder = Rung.ladder(model, levels)
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
    let rungsAt = try layout.reserve(RungSlot.self, ladder.count)
    let rungLevelsAt = try layout.reserve(UInt8.self, try checkedProduct(ladder.count, siteCount, "levels of plans"))
    let deadlineAt = try layout.reserve(DeadlineRun.self, 1)
    let mailboxAt = try layout.reserve(UInt64.self, 3 + RunControl.wordCount)
    let power = try SessionPower(rungCount: ladder.count, &layout, signal: powerSignal)
    let qualityAt = try layout.reserve(UInt64.self, QualityWords.wordCount(rungs: ladder.count))
    let shadowAt = try layout.reserve(ShadowSlots.self, 1)
    let typicalAt = try layout.reserve(UInt64.self, ladder.count)
    memory = try MemoryBlock.allocate(byteCount: layout.byteCount, purpose: "session", calls: calls)
    shadow = shadows ? try ShadowMemory(model, rungs: ladder.count, calls: calls) : nil
    states = try StateMemory(model.graph, calls: calls)
    let base = memory.base
    let load = load ?? SharedLoad()
    self.load = load

    let slots = LadderSlots(
      rungs: (base + rungsAt).assumingMemoryBound(to: RungSlot.self), count: ladder.count,
      siteLevels: (base + rungLevelsAt).assumingMemoryBound(to: UInt8.self), siteCount: siteCount,
      quality: QualityWords(words: (base + qualityAt).assumingMemoryBound(to: UInt64.self)))
    for (index, rung) in ladder.enumerated() {
      (slots.rungs + index).initialize(to: RungSlot(rung, model.graph, isBest: index == 0))
      for (site, level) in rung.levels.enumerated() { slots.levels(index)[site] = level.rawValue }
    }
    context = (base + planAt).assumingMemoryBound(to: PlanContext.self)
    prepared = (base + preparedAt).assumingMemoryBound(to: Bool.self)
    prepared.initialize(to: false)
    state = (base + stateAt).assumingMemoryBound(to: SessionState.self)
    state.initialize(
      to: SessionState(
        mailbox: (base + mailboxAt).assumingMemoryBound(to: UInt64.self),
        control: RunControl(words: (base + mailboxAt).assumingMemoryBound(to: UInt64.self) + 3), plan: context,
        controller: try LatencyController(
          ControllerConfiguration(rungCount: ladder.count, costError: CostMeasurement.error)),
        ring: TelemetryRing(
          base: (base + recordsAt).assumingMemoryBound(to: InferenceRecord.self), capacity: Session.telemetryCapacity),
        siteLevels: (base + siteLevelsAt).assumingMemoryBound(to: UInt8.self), siteCount: siteCount, ladder: slots,
        bindings: (base + bindingsAt).assumingMemoryBound(to: TensorBinding.self),
        deadlineRun: (base + deadlineAt).assumingMemoryBound(to: DeadlineRun.self), load: LoadView(words: load.words),
        power: power.control(base)))
    self.power = power
    shadowSlots = (base + shadowAt).assumingMemoryBound(to: ShadowSlots.self)
    mailbox = state.pointee.mailbox
    typicalNanoseconds = (base + typicalAt).assumingMemoryBound(to: UInt64.self)
    self.model = model
    self.levels = levels
    self.ladder = ladder
    self.slots = slots
    cmachine_atomic_store(mailbox + 2, RungLimits(levels: Session.set(levels), mean: 0, p5: 0).word)
    self.kernels = kernels
    self.kernelOwner = kernelOwner
    self.threads = threads
    self.measureNanoseconds = measureNanoseconds
    self.measureRounds = max(measureRounds ?? CostMeasurement.rounds, 1)
    self.choosesThreads = choosesThreads
    self.calls = calls
    self.machine = machine
    telemetry = telemetryFile?.claim(
      sites: model.graph.sites.map { site in
        TelemetryFile.Site(
          name: site.name, weights: site.n &* site.k,
          isTable: site.kind == .embedding)
      }, rungs: ladder.count)
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
    memory.byteCount + (shadow?.byteCount ?? 0) + states.byteCount + (plan?.tableByteCount ?? 0)
      + (shareTable?.byteCount ?? 0) + (threadMemory?.byteCount ?? 0)
      + (planCosts?.byteCount ?? 0) + (importedCosts?.byteCount ?? 0)
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
    var preparation = PreparationInfo()
    preparation.threads = executor.width
    let imported = importedCosts(for: plan, threads: executor.width)
    let fewer = choosesThreads && imported == nil ? Array(ThreadTable.counts(upTo: executor.width).dropFirst()) : []
    var stepTimes: [StepTimes] = []
    for _ in 0...fewer.count {
      stepTimes.append(
        try StepTimes(
          levelCount: levels.count, stepCount: plan.context.stepCount, sizeCount: CostMeasurement.shares.count,
          calls: calls))
    }
    let costs: [[LevelCost]]
    if let imported {
      costs = [imported.costs(levels, stepTimes[0])]
      preparation.costsAreImported = true
    } else {
      let start = monotonicNanoseconds()
      costs = try CostMeasurement(
        plan, levels, executor, measureNanoseconds, rounds: measureRounds, fewerThreads: fewer
      ).measure(stepTimes)
      preparation.measurementRuns = stepTimes.reduce(0) { $0 + $1.runCount }
      preparation.measurementNanoseconds = monotonicNanoseconds() &- start
    }
    let planCosts = try PlanCosts(plan, stepTimes[0], costs[0], calls: calls)
    let threadMemory = try ThreadMemory.measured(
      ladder, [executor.width] + fewer, plan, planCosts, stepTimes, costs, calls: calls)
    preparation.threadCounts = threadMemory?.table.rowCount ?? 1
    let shareTable = try ShareTable(ladder, planCosts, stepCount: plan.context.stepCount, calls: calls)
    var controller = try LatencyController(
      ControllerConfiguration(rungCount: ladder.count, costError: CostMeasurement.error))
    for (index, rung) in ladder.enumerated() {
      try controller.setCost(rung: index, points: planCosts.points(rung.levels))
      if let imported { controller.setKnowledge(imported.record.rungs[index], rung: index) }
    }
    let shadowing = try shadow?.prepare(plan.context)
    self.plan = plan
    self.planCosts = planCosts
    self.shareTable = shareTable
    self.threadMemory = threadMemory
    self.costs = costs[0]
    self.preparation = preparation
    state.pointee.shares = shareTable.shares
    state.pointee.ladder.sizeCount = shareTable.shares.sizeCount
    for (index, rung) in ladder.enumerated() {
      for size in 0..<shareTable.shares.sizeCount {
        state.pointee.ladder.rungs[index].costs[size] = Float(planCosts.nanoseconds(rung.levels, size: size))
      }
    }
    state.pointee.controller = controller
    state.pointee.power = power.publish(
      ladder, planCosts, threads: executor.width, threadMemory?.table, memory.base)
    // The slow-down counts from what was measured, under whatever load there was.
    state.pointee.load.lastTime = imported == nil ? monotonicNanoseconds() : 0
    // The mailbox is applied anew to the new controller.
    state.pointee.appliedBudget = 0
    state.pointee.limitsAreNew = true
    state.pointee.lastRung = -1
    state.pointee.executor = executor
    context.initialize(to: plan.context)
    context.pointee.trace = trace
    if let shadow, let shadowing {
      shadow.adopt(shadowing.block)
      shadowSlots.initialize(to: shadowing.slots)
      state.pointee.shadow = shadowSlots
    }
    prepared.pointee = true
    publishTypicalNanoseconds()
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

  // MARK: - Telemetry
  // What is copied while a run is in progress may be torn: callers look before and after, and throw it away then.

  /// At most `capacity` of the newest inferences, oldest of them first, with the level of most of their weights.
  public func lastInferences(_ capacity: Int) -> [(record: InferenceRecord, level: Level)] {
    let ring = state.pointee.ring
    let records = [InferenceRecord](unsafeUninitializedCapacity: Session.telemetryCapacity) { buffer, count in
      guard let base = buffer.baseAddress else { return }
      count = ring.copyLast(into: base, capacity: min(capacity, Session.telemetryCapacity))
    }
    return records.map { record in
      let rung = Int(record.rung)
      return (record, ladder.indices.contains(rung) ? ladder[rung].mainLevel : .int8)
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
}
