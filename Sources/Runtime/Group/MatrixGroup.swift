import Base
import CMachine
import Control
import Glibc
import Kernels
import NestedFormat

/// One plan of a group: a level for every matrix.
public struct GroupPlan: Sendable {
  public var levels: [Level]
  /// Typical time of all products with the largest number of rows, one per matrix, as measured when the group was made.
  public var nanoseconds: Int
  /// Energy of the products' errors over that of the products, averaged over the matrices by importance: a model, see
  /// ``MatrixGroup``.
  public var noise: Double

  /// The inverse of ``noise`` in decibels; +infinity where nothing is lost.
  public var decibels: Double { noise > 0 ? -10 * log10(noise) : .infinity }
}

/// Matrices of a host that has its own graph, under one latency budget: the host marks where a frame begins and ends, and
/// between them every matrix has the level that the plan chosen for this frame gives it.
///
/// Plans come from ``PlanFrontier`` over measured times and modelled noise. What the products of a matrix lose is the energy
/// of its weights' rounding errors at the level (``NestedView/noiseModel()``) plus, at integer levels, that of rounding
/// activations to 8 bits, relative to the product: quantization noise of independent sources adds up. What a host's graph makes
/// of it nobody here knows; `importance` is how it can say that a matrix matters more.
public final class MatrixGroup: @unchecked Sendable {
  /// `E[max²] / 127² / 12` for 64 independent normal inputs of one scale, whose largest square is 6.6 on average.
  static let activationNoise = 6.6 / (127.0 * 127 * 12)
  /// FP16 has 10 bits behind a leading one: errors of `2⁻²⁰ / 12` to squares of 7/3 on average over a binade.
  static let halfNoise = 1 / (1_048_576.0 * 28)

  public let levels: [Level]
  public let plans: [GroupPlan]
  /// Bytes besides the matrices.
  public var byteCount: Int { memory.byteCount }
  private let matrices: [Matrix]
  private let state: UnsafeMutablePointer<GroupState>
  private let mailbox: UnsafeMutablePointer<UInt64>
  private let memory: MemoryBlock
  /// Setters of power wait for each other.
  private let powerLock = ForkSafeLock()
  /// Numbers of rows that are measured, at most.
  private static let mostSizes = 4

  /// Measures every matrix at every level.
  ///
  /// - Parameters:
  ///   - matrices: at least one; they may repeat.
  ///   - allowed: levels to use, of those that all matrices hold.
  ///   - rows: largest number of rows of a product, at least 1.
  ///   - importance: one positive finite number per matrix, or nil for all alike.
  ///   - measureNanoseconds: after which measuring begins no further round; nil: no limit.
  public init(
    _ matrices: [Matrix], allowed: [Level], rows: Int, importance: [Double]?, measureNanoseconds: Int?,
    calls: SystemCalls = .live
  ) throws(AdaptQError) {
    let held = Level.allCases.reversed().filter { level in matrices.allSatisfy { $0.forms.holds(level) } }
    let levels = held.filter { allowed.contains($0) }
    if matrices.isEmpty { throw .invalidArgument("count is 0: a group needs a matrix") }
    if levels.isEmpty {
      throw .unsupported(
        "allowed_levels: none of \(allowed.map(\.name).joined(separator: ", ")) is held by every matrix of the group, "
          + "which have \(held.map(\.name).joined(separator: ", ")) in common")
    }
    let handles = matrices.map(\.handle)
    var workspaceByteCount = 0
    var (inputs, outputs) = (0, 0)
    for handle in handles {
      workspaceByteCount = max(workspaceByteCount, handle.workspaceByteCount(rows: rows))
      inputs = max(inputs, try checkedProduct(rows, handle.k, "rows"))
      outputs = max(outputs, try checkedProduct(rows, handle.n, "rows"))
    }
    let limit = ControllerConfiguration.maximumRungs
    var layout = BlockLayout()
    let stateAt = try layout.reserve(GroupState.self, 1)
    let mailboxAt = try layout.reserve(UInt64.self, GroupState.mailboxWords)
    let effortsAt = try layout.reserve(RungEffort.self, limit * MatrixGroup.mostSizes)
    let columnsAt = try layout.reserve(UInt8.self, try checkedProduct(limit, handles.count, "count"))
    let costsAt = try layout.reserve(
      Float.self, try checkedProduct(MatrixGroup.mostSizes * levels.count, handles.count, "count"))
    let countsAt = try layout.reserve(UInt32.self, try checkedProduct(2, handles.count, "count"))
    let handlesAt = try layout.reserve(MatrixHandle.self, handles.count)
    let plansAt = try layout.reserve(UInt8.self, try checkedProduct(limit, handles.count, "count"))
    let levelsAt = try layout.reserve(UInt8.self, handles.count)
    let workspaceAt = try layout.reserve(UInt8.self, workspaceByteCount)
    memory = try MemoryBlock.allocate(
      byteCount: layout.byteCount, purpose: "group of \(handles.count) matrices, \(rows) rows", calls: calls)
    let base = memory.base

    // Costs, at the largest number of rows and at fewer.
    let measured = try MatrixGroup.measure(
      GroupMeasurement(
        matrices: handles, levels: levels, end: measureNanoseconds.map { monotonicNanoseconds() &+ $0 }),
      rows: rows, inputs: inputs, outputs: outputs, workspace: base + workspaceAt, calls: calls)
    let items = MatrixGroup.items(matrices, levels, measured.last?.times ?? [], importance)
    let all = PlanFrontier.plans(items)
    let costs = all.map { MatrixGroup.total(items, $0).cost }
    let picked = PlanFrontier.spread(costs, count: limit).map { all[$0] }
    var controller = try LatencyController(
      ControllerConfiguration(rungCount: picked.count, costError: CostMeasurement.error))
    for (rung, plan) in picked.enumerated() {
      let points = measured.map { size in
        CostPoint(
          work: size.rows,
          nanoseconds: min(
            plan.enumerated().reduce(0) { $0 &+ size.times[$1.offset][$1.element] }, CostCurve.maximumNanoseconds))
      }
      try controller.setCost(rung: rung, points: points)
    }
    plans = picked.map { plan in
      let sum = MatrixGroup.total(items, plan)
      return GroupPlan(
        levels: plan.map { levels[$0] }, nanoseconds: clampedInt(sum.cost, in: 1...CostCurve.maximumNanoseconds),
        noise: sum.loss)
    }

    let planLevels = (base + plansAt).assumingMemoryBound(to: UInt8.self)
    for (row, plan) in picked.enumerated() {
      for (index, level) in plan.enumerated() { planLevels[row * handles.count + index] = levels[level].rawValue }
    }
    let handlesMemory = (base + handlesAt).assumingMemoryBound(to: MatrixHandle.self)
    for (index, handle) in handles.enumerated() { (handlesMemory + index).initialize(to: handle) }
    let efforts = (base + effortsAt).assumingMemoryBound(to: RungEffort.self)
    for (rung, plan) in picked.enumerated() {
      for (column, size) in measured.enumerated() {
        (efforts + rung * measured.count + column).initialize(
          to: MatrixGroup.effort(matrices, levels, plan, size))
      }
    }
    let deadline = MatrixGroup.deadline(
      measured, picked, levelCount: levels.count, costs: base + costsAt, columns: base + columnsAt,
      counts: base + countsAt)
    var sizes = InlineArray<4, Int>(repeating: 0)
    for (column, size) in measured.enumerated() { sizes[column] = size.rows }
    mailbox = (base + mailboxAt).assumingMemoryBound(to: UInt64.self)
    state = (base + stateAt).assumingMemoryBound(to: GroupState.self)
    state.initialize(
      to: GroupState(
        mailbox: mailbox, controller: controller, matrices: handlesMemory, count: handles.count, plans: planLevels,
        planCount: picked.count, levels: (base + levelsAt).assumingMemoryBound(to: UInt8.self), maximumRows: rows,
        workspace: base + workspaceAt,
        power: PowerControl(
          rungCount: picked.count, sizeCount: measured.count, efforts: efforts, mailbox: mailbox + 2),
        deadline: deadline, sizes: sizes, sizeCount: measured.count))
    self.levels = levels
    self.matrices = matrices
  }

  /// For the run path; the group must outlive it, and one call at a time may use it.
  public var handle: GroupHandle { GroupHandle(state: state) }

  // MARK: - Setters, any thread

  /// - Parameter level: nil for automatic.
  public func setLevel(_ level: Level?) throws(AdaptQError) {
    if let level, !levels.contains(level) {
      throw .unsupported(
        "level \(level.name) is not allowed in this group, which has \(levels.map(\.name).joined(separator: ", "))")
    }
    cmachine_atomic_store(mailbox + 1, UInt64(level?.rawValue ?? 0))
  }

  /// - Parameter nanoseconds: nil for no budget.
  public func setLatencyBudget(nanoseconds: Int?, percentile: Double) throws(AdaptQError) {
    cmachine_atomic_store(mailbox, try packedBudget(nanoseconds: nanoseconds, percentile: percentile))
  }

  /// - Parameter nanoseconds: nil for none; below 2^50.
  public func setDeadline(nanoseconds: Int?) {
    cmachine_atomic_store(mailbox + GroupState.deadlineWord, UInt64(clamping: nanoseconds ?? 0))
  }

  /// - Parameter terms: finite numbers, none below 0, the window above 0.
  public func setPowerTerms(_ terms: PowerTerms) {
    powerLock.withLock { state.pointee.power.mailbox.store(terms) }
  }

  // MARK: - Making plans

  /// One number of rows, and what each matrix takes at each level.
  private struct Measured {
    var rows: Int
    var times: [[Int]]
  }

  /// - Returns: rising numbers of rows, the largest one always among them.
  private static func measure(
    _ measurement: GroupMeasurement, rows: Int, inputs: Int, outputs: Int, workspace: UnsafeMutableRawPointer,
    calls: SystemCalls
  ) throws(AdaptQError) -> [Measured] {
    let byteCount = try checkedProduct(try checkedSum(inputs, outputs, "rows"), 4, "rows")
    let buffers = try MemoryBlock.allocate(byteCount: byteCount, purpose: "measuring \(rows) rows", calls: calls)
    defer { withExtendedLifetime(buffers) {} }
    let x = buffers.base.assumingMemoryBound(to: Float.self)
    GroupMeasurement.fill(x, count: inputs)
    var result: [Measured] = []
    var last = 0
    // The largest first: it must be known.
    for count in [rows, max(rows / 2, 1), max(rows / 8, 1), 1] where count != last {
      if let end = measurement.end, last != 0, monotonicNanoseconds() > end { break }
      last = count
      result.append(
        Measured(rows: count, times: measurement.times(rows: count, x: x, y: x + inputs, workspace: workspace)))
    }
    return result.reversed()
  }

  private static func items(
    _ matrices: [Matrix], _ levels: [Level], _ times: [[Int]], _ importance: [Double]?
  ) -> [[PlanChoice]] {
    let weights = importance ?? matrices.map { _ in 1 }
    let sum = weights.reduce(0, +)
    return zip(matrices, times).enumerated().map { index, pair in
      let model = pair.0.forms.nested?.noiseModel() ?? (stepEnergy: 0, weightEnergy: 0)
      return zip(levels, pair.1).map { level, nanoseconds in
        let noise =
          switch level {
          case .fp32: 0.0
          case .fp16: halfNoise
          default: NestedView.relativeNoise(model, level) + activationNoise
          }
        return PlanChoice(cost: Double(nanoseconds), loss: noise * weights[index] / sum)
      }
    }
  }

  private static func effort(
    _ matrices: [Matrix], _ levels: [Level], _ plan: [Int], _ size: Measured
  ) -> RungEffort {
    var effort = RungEffort(work: size.rows, nanoseconds: 0, multiplyAdds: 0, bytes: 0)
    for (index, column) in plan.enumerated() {
      let weights = Double(matrices[index].n) * Double(matrices[index].k)
      effort.nanoseconds &+= size.times[index][column]
      effort.multiplyAdds += weights * Double(size.rows)
      effort.bytes += weights * levels[column].bytesPerWeight
    }
    return effort
  }

  /// The tables of a ``FrameDeadline``, in memory for as many matrices.
  private static func deadline(
    _ measured: [Measured], _ plans: [[Int]], levelCount: Int, costs: UnsafeMutableRawPointer,
    columns: UnsafeMutableRawPointer, counts: UnsafeMutableRawPointer
  ) -> FrameDeadline {
    let count = plans.first?.count ?? 0
    let costs = costs.assumingMemoryBound(to: Float.self)
    let columns = columns.assumingMemoryBound(to: UInt8.self)
    let counts = counts.assumingMemoryBound(to: UInt32.self)
    for (index, size) in measured.enumerated() {
      for matrix in 0..<count {
        for level in 0..<levelCount {
          costs[(index * count + matrix) * levelCount + level] = Float(size.times[matrix][level])
        }
      }
    }
    for (rung, plan) in plans.enumerated() {
      for (matrix, level) in plan.enumerated() {
        columns[matrix * plans.count + rung] = UInt8(truncatingIfNeeded: level)
      }
    }
    return FrameDeadline(
      FrameDeadline.Tables(
        costs: costs, columns: columns, expected: counts, done: counts + count, matrixCount: count,
        levelCount: levelCount,
        rungCount: plans.count))
  }

  private static func total(_ items: [[PlanChoice]], _ plan: [Int]) -> PlanChoice {
    plan.enumerated().reduce(PlanChoice(cost: 0, loss: 0)) { sum, entry in
      let choice = items[entry.offset][entry.element]
      return PlanChoice(cost: sum.cost + choice.cost, loss: sum.loss + choice.loss)
    }
  }
}
