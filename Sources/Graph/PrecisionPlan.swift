import Base
import NestedFormat

/// How near the outputs of a plan come to those of the best level kept, measured end to end on a calibration set: the cosine
/// of each output row (all values along an output's last dimension) with the row that the reference gives.
public struct PlanQuality: Hashable, Sendable, BitwiseCopyable {
  /// Mean over all rows, -1 to 1.
  public var meanCosine: Double
  /// The 5th percentile, nearest rank: 95 % of the rows are at least as near.
  public var p5Cosine: Double

  public init(meanCosine: Double, p5Cosine: Double) {
    self.meanCosine = meanCosine
    self.p5Cosine = p5Cosine
  }
}

/// One level per linear site, with what it was measured to be worth. What it costs belongs to a machine and is in no file.
public struct PrecisionPlan: Hashable, Sendable {
  /// In the order of the graph's linear sites; tables have no choice.
  public var levels: [Level]
  public var quality: PlanQuality

  public init(levels: [Level], quality: PlanQuality) {
    self.levels = levels
    self.quality = quality
  }

  /// The level of all sites if they have the same one.
  public var uniformLevel: Level? { levels.allSatisfy { $0 == levels.first } ? levels.first : nil }
}

/// The plans that a file stores, best first.
public struct PlanSet: Hashable, Sendable {
  public static let maximumCount = 64

  /// The level that qualities are measured against.
  public var reference: Level
  /// Output rows that each quality is taken over.
  public var rows: Int
  public var plans: [PrecisionPlan]

  public init(reference: Level, rows: Int, plans: [PrecisionPlan]) {
    self.reference = reference
    self.rows = rows
    self.plans = plans
  }

  /// What a reader asks of plans, and a writer keeps: levels that the sites store, qualities that are cosines, best first,
  /// each plan once, and one plan for every level that all sites store.
  ///
  /// - Parameters:
  ///   - forms: one per site of the graph.
  ///   - uniform: levels that every linear site stores.
  func validate(_ graph: Graph, _ forms: [SiteForms], uniform: [Level]) throws(AdaptQError) {
    let sites = graph.sites.indices.filter { graph.sites[$0].kind == .linear }
    if sites.isEmpty { throw .invalidFile("plans: the model has no linear site") }
    if plans.isEmpty || plans.count > PlanSet.maximumCount {
      throw .invalidFile("plans: \(plans.count), allowed are 1 to \(PlanSet.maximumCount)")
    }
    if !uniform.contains(reference) {
      throw .invalidFile("plans reference: \(reference.name) is not stored by every linear site")
    }
    if rows < 1 { throw .invalidFile("plans rows: \(rows) is below 1") }
    var seen: Set<[Level]> = []
    var missing = Set(uniform)
    for (index, plan) in plans.enumerated() {
      if plan.levels.count != sites.count {
        throw .invalidFile("plan \(index): \(plan.levels.count) levels for \(sites.count) linear sites")
      }
      for (site, level) in zip(sites, plan.levels) where !forms[site].holds(level) {
        throw .invalidFile("plan \(index): site \"\(graph.sites[site].name)\" does not store \(level.name)")
      }
      if !seen.insert(plan.levels).inserted { throw .invalidFile("plan \(index): repeats the levels of another one") }
      for (name, value) in [("mean", plan.quality.meanCosine), ("p5", plan.quality.p5Cosine)]
      where !(value >= -1 && value <= 1) {
        throw .invalidFile("plan \(index): \(name) is \(value), a cosine is -1 to 1")
      }
      if index > 0 && plan.quality.meanCosine > plans[index - 1].quality.meanCosine {
        throw .invalidFile(
          "plan \(index): mean \(plan.quality.meanCosine) is above that of the plan before it, best comes first")
      }
      if let level = plan.uniformLevel { missing.remove(level) }
    }
    if let level = missing.max() { throw .invalidFile("plans: none has \(level.name) at all sites") }
  }
}

// MARK: - JSON

extension PlanSet {
  init(decoding json: JSON) throws(AdaptQError) {
    let bits = try json.member("reference", in: "plans").asInt("plans reference")
    reference = try PlanSet.level(bits, "plans reference")
    rows = try json.member("rows", in: "plans").asInt("plans rows")
    plans = []
    let items = try json.member("plans", in: "plans").asArray("plans")
    // Before anything is kept of them: a file may list any number.
    if items.count > PlanSet.maximumCount {
      throw .invalidFile("plans: \(items.count), allowed are 1 to \(PlanSet.maximumCount)")
    }
    for (index, item) in items.enumerated() {
      let what = "plan \(index)"
      var levels: [Level] = []
      for level in try item.member("levels", in: what).asArray("\(what) levels") {
        levels.append(try PlanSet.level(try level.asInt("\(what) levels"), "\(what) levels"))
      }
      plans.append(
        PrecisionPlan(
          levels: levels,
          quality: PlanQuality(
            meanCosine: try item.member("mean", in: what).asDouble("\(what) mean"),
            p5Cosine: try item.member("p5", in: what).asDouble("\(what) p5"))))
    }
  }

  private static func level(_ bits: Int, _ what: String) throws(AdaptQError) -> Level {
    guard let raw = UInt8(exactly: bits), let level = Level(rawValue: raw) else {
      throw .invalidFile("\(what): \(bits) is not the number of bits of a level")
    }
    return level
  }

  func encoded() -> JSON {
    .object([
      .init("reference", .integer(reference.bits)), .init("rows", .integer(rows)),
      .init(
        "plans",
        .array(
          plans.map { plan in
            .object([
              .init("mean", .number(plan.quality.meanCosine)), .init("p5", .number(plan.quality.p5Cosine)),
              .init("levels", .array(plan.levels.map { .integer($0.bits) })),
            ])
          })),
    ])
  }
}
