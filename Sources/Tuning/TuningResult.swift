import Base
import Graph
import NestedFormat

/// A measured plan and what it costs.
public struct TunedPlan: Sendable, Equatable {
  public var plan: PrecisionPlan
  /// On this machine at ``TuningResult/work``: the sum of what the operators took at least.
  public var nanoseconds: Double
  /// Of weights that a run with few rows reads, scales included.
  public var byteCount: Int

  public init(plan: PrecisionPlan, nanoseconds: Double, byteCount: Int) {
    self.plan = plan
    self.nanoseconds = nanoseconds
    self.byteCount = byteCount
  }
}

/// All that was measured, best first.
public struct TuningResult: Sendable {
  public var reference: Level
  /// Output rows behind each quality.
  public var rows: Int
  /// Product of the sizes that the times are for.
  public var work: Int
  /// How large each site's inputs were at the reference.
  public var ranges: [SiteRange?]
  public private(set) var measured: [TunedPlan]
  /// The plans to store, best first: those of a single level, and the mixes that no other plan beats or equals in quality, time
  /// and bytes together.
  public private(set) var kept: [TunedPlan]

  init(reference: Level, rows: Int, work: Int, ranges: [SiteRange?], measured: [TunedPlan]) {
    self.ranges = ranges
    self.reference = reference
    self.rows = rows
    self.work = work
    self.measured = measured.sorted(by: TuningResult.isBefore)
    kept = TuningResult.pruned(self.measured)
  }

  public var plans: PlanSet { PlanSet(reference: reference, rows: rows, plans: kept.map(\.plan)) }

  /// Best first; of equal mean the better 5th percentile, then the one with more bits.
  private static func isBefore(_ a: TunedPlan, _ b: TunedPlan) -> Bool {
    let (p, q) = (a.plan.quality, b.plan.quality)
    if p.meanCosine != q.meanCosine { return p.meanCosine > q.meanCosine }
    if p.p5Cosine != q.p5Cosine { return p.p5Cosine > q.p5Cosine }
    return b.plan.levels.map(\.bits).lexicographicallyPrecedes(a.plan.levels.map(\.bits))
  }

  /// - Parameter plans: best first.
  static func pruned(_ plans: [TunedPlan]) -> [TunedPlan] {
    var kept: [TunedPlan] = []
    for (index, plan) in plans.enumerated() {
      let isBeaten = plans.indices.contains { other in
        let rival = plans[other]
        if other == index || rival.plan.quality.meanCosine < plan.plan.quality.meanCosine { return false }
        if rival.nanoseconds > plan.nanoseconds || rival.byteCount > plan.byteCount { return false }
        // Of two equals the first stays.
        return rival.plan.quality.meanCosine > plan.plan.quality.meanCosine || rival.nanoseconds < plan.nanoseconds
          || rival.byteCount < plan.byteCount || other < index
      }
      if plan.plan.uniformLevel != nil || !isBeaten { kept.append(plan) }
    }
    return kept
  }

  /// Bytes of a site's weights that a level reads.
  static func byteCount(_ model: Model, site: Int, _ level: Level) -> Int {
    let facts = model.graph.sites[site]
    let forms = model.forms[site]
    switch level {
    case .fp32: return forms.fp32.map { $0.nBlocks * 16 * $0.k * 4 } ?? 0
    case .fp16: return forms.fp16.map { $0.nBlocks * 16 * $0.k * 2 } ?? 0
    default:
      guard forms.nested != nil, let shape = try? NestedShape(n: facts.n, k: facts.k, form: facts.form) else {
        return 0
      }
      return clampedInt((shape.bytesPerWeight(level) * Double(facts.n) * Double(facts.k)).rounded(), in: 0...Int.max)
    }
  }
}
