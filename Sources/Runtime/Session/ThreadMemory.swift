import Base
import Control

/// What rungs take with fewer threads than all, as a preparation has measured it: memory for a ``ThreadTable``.
final class ThreadMemory {
  let table: ThreadTable
  private let memory: MemoryBlock
  var byteCount: Int { memory.byteCount }

  /// - Parameters:
  ///   - counts: of threads, falling; the first are all.
  ///   - all: costs with all threads.
  ///   - times, measured: for each number of threads; without points where there was no time to measure.
  /// - Returns: nil where nothing has been measured with fewer threads.
  static func measured(
    _ ladder: [Rung], _ counts: [Int], _ plan: ExecutionPlan, _ all: PlanCosts, _ times: [StepTimes],
    _ measured: [[LevelCost]], calls: SystemCalls
  ) throws(AdaptQError) -> ThreadMemory? {
    var rows = [(threads: counts[0], costs: all)]
    for row in counts.indices.dropFirst() where measured[row].allSatisfy({ !$0.points.isEmpty }) {
      rows.append((counts[row], try PlanCosts(plan, times[row], measured[row], calls: calls)))
    }
    return rows.count < 2 ? nil : try ThreadMemory(ladder, rows.map(\.threads), rows.map(\.costs), calls: calls)
  }

  private init(
    _ ladder: [Rung], _ counts: [Int], _ costs: [PlanCosts], calls: SystemCalls
  ) throws(AdaptQError) {
    let count = try ThreadTable.curveCount(rows: counts.count, rungs: ladder.count)
    memory = try MemoryBlock.allocate(
      byteCount: try checkedProduct(count, MemoryLayout<CostCurve>.stride, "costs by threads"),
      purpose: "costs by threads", calls: calls)
    table = try ThreadTable(
      counts: counts, rungCount: ladder.count, curves: memory.base.assumingMemoryBound(to: CostCurve.self))
    for (row, costs) in costs.enumerated() {
      for (index, rung) in ladder.enumerated() {
        table.setTime(row: row, rung: index, curve: try CostCurve(points: costs.points(rung.levels)))
      }
    }
  }
}
