import Base
import Control
import NestedFormat

/// How a session's last preparation came by its costs.
public struct PreparationInfo: Sendable {
  /// Runs made to measure; 0 where costs were imported.
  public var measurementRuns = 0
  /// What they took.
  public var measurementNanoseconds = 0
  public var costsAreImported = false
  /// Threads that may work on a run.
  public var threads = 0
  /// Numbers of threads that costs are known for: more than one where budgets of power may choose.
  public var threadCounts = 1

  public init() {}
}

/// Costs of a session, ready to be written; good until the session runs or prepares.
public struct ExportedCosts {
  let record: CostRecord
  let times: StepTimes
  let costs: [LevelCost]

  public var byteCount: Int { record.byteCount }

  /// - Parameter target: ``byteCount`` bytes, at any alignment.
  public func write(to target: UnsafeMutableRawPointer) {
    record.write(to: target, times) { size, level in
      costs[level].points.first { $0.work == record.works[size] }?.nanoseconds ?? 1
    }
  }
}

extension Session {
  /// What costs measured here hold for; no sizes yet.
  private func costKey(threads: Int) -> CostKey {
    CostKey(
      machine: machine, model: model.headerChecksum, threads: threads, levels: Session.set(levels),
      symbols: model.graph.symbols.map { _ in 0 })
  }

  /// Costs as measured or imported, with what runs have taught since. Not during a run.
  ///
  /// - Throws: `notPrepared`.
  public func exportedCosts() throws(AdaptQError) -> ExportedCosts {
    guard let times = planCosts?.times else { throw AdaptQError(.notPrepared, "the session is not prepared") }
    var key = costKey(threads: preparation.threads)
    for symbol in key.symbols.indices { key.symbols[symbol] = context.pointee.maximumSymbols[symbol] }
    let rungs = ladder.indices.compactMap { state.pointee.controller.knowledge(rung: $0) }
    return ExportedCosts(
      record: CostRecord(key: key, stepCount: times.stepCount, works: times.works, rungs: rungs), times: times,
      costs: costs)
  }

  /// Keeps exported costs for preparations with the same sizes, which then measure nothing. Nothing changes if this throws; see
  /// ``CostRecord``. Not during a run or prepare.
  public func importCosts(_ bytes: UnsafeRawBufferPointer) throws(AdaptQError) {
    importedCosts = try ImportedCosts(
      copying: bytes, for: costKey(threads: threads.count), rungCount: ladder.count, calls: calls)
  }

  /// What was imported, if it holds for this plan.
  func importedCosts(for plan: ExecutionPlan, threads: Int) -> ImportedCosts? {
    guard let imported = importedCosts, imported.record.key.threads == threads,
      imported.record.stepCount == plan.context.stepCount
    else { return nil }
    for (symbol, size) in imported.record.key.symbols.enumerated() where plan.context.maximumSymbols[symbol] != size {
      return nil
    }
    return imported
  }
}
