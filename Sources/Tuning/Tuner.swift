import Base
import Control
import Graph
import NestedFormat
import Runtime

/// Finds mixed plans of a model: how much each site loses at each level, a search along the frontier of loss and cost, and an
/// end-to-end measurement of every plan that the search proposes.
///
/// There are two models of cost, because a file moves between machines: time on this one, and bytes of weights read, which is
/// what time follows where weights come from memory. A plan stays if nothing is at least as good and as cheap in both.
/// For given inputs, costs and machine the result is the same every time.
public struct Tuner {
  public struct Options: Sendable {
    /// Samples that sensitivities are measured on, spread over all; plans are measured on all of them.
    public var sensitivitySamples = 32
    /// Plans taken from each of the two searches, 2 to 29: with one per level that fits into a file.
    public var plansPerSearch = 29

    public init() {}
  }

  public enum Phase: String, Sendable {
    case reference, sensitivity, plans
  }

  let session: Session
  let samples: [CalibrationSample]
  let options: Options
  /// Sites with a choice.
  private let sites: [Int]
  private let levels: [Level]

  /// - Parameter session: prepared for the largest sample; its levels are those to choose from. Nothing else may use it meanwhile.
  public init(_ session: Session, _ samples: [CalibrationSample], _ options: Options = Options()) throws(AdaptQError) {
    self.session = session
    self.samples = samples
    self.options = options
    levels = session.levels
    sites = session.model.graph.sites.indices.filter { session.model.graph.sites[$0].kind == .linear }
    if sites.isEmpty { throw .unsupported("the model has no linear site: there is nothing to choose") }
    if !session.isPrepared { throw AdaptQError(.notPrepared, "the session has not been prepared") }
    if options.plansPerSearch < 2 || options.plansPerSearch > 29 {
      throw AdaptQError(.outOfRange, "plans per search: \(options.plansPerSearch), allowed are 2 to 29")
    }
  }

  /// - Parameter progress: told what is being measured, and how much of it is done.
  /// - Throws: `invalidArgument` or `outOfRange` for samples that do not suit the model.
  public func run(
    progress: (_ phase: Phase, _ done: Int, _ of: Int) -> Void = { _, _, _ in }
  ) throws(AdaptQError) -> TuningResult {
    defer { withExtendedLifetime(session) {} }
    guard let costs = session.planCosts, let best = levels.first else {
      throw AdaptQError(.notPrepared, "the session has not been prepared")
    }
    let measurement = try QualityMeasurement(session, samples, reference: full(sites.map { _ in best })) {
      progress(.reference, $0, $1)
    }
    let size = usualSize(costs)
    let losses = try sensitivities(measurement, progress)
    var wanted: [[Level]] = levels.map { level in sites.map { _ in level } }
    wanted += proposals(losses) { costs.siteNanoseconds($0, $1, size: size) }
    wanted += proposals(losses) { Double(TuningResult.byteCount(session.model, site: $0, $1)) }
    var seen: Set<[Level]> = []
    wanted = wanted.filter { seen.insert($0).inserted }

    var measured: [TunedPlan] = []
    var rows = 0
    for (index, plan) in wanted.enumerated() {
      let cosines = try measurement.cosines(full(plan), samples: samples.indices)
      rows = cosines.count
      measured.append(
        TunedPlan(
          plan: PrecisionPlan(levels: plan, quality: QualityMeasurement.quality(cosines)),
          nanoseconds: costs.leastNanoseconds(full(plan), size: size),
          byteCount: zip(sites, plan).reduce(0) { $0 + TuningResult.byteCount(session.model, site: $1.0, $1.1) }))
      progress(.plans, index + 1, wanted.count)
    }
    return TuningResult(
      reference: best, rows: rows, work: costs.works[size], ranges: measurement.ranges, measured: measured)
  }

  /// The measured size nearest to what a sample usually is.
  private func usualSize(_ costs: PlanCosts) -> Int {
    let works = samples.map { sample -> Int in
      var symbols: [Int: Int] = [:]
      for (input, tensor) in sample.inputs.enumerated() {
        let layout = session.handle.inputLayout(input)
        for axis in 0..<min(layout.rank, tensor.shape.count) where layout.sources[axis] < 0 {
          symbols[layout.sources[axis]] = tensor.shape[axis]
        }
      }
      return symbols.values.reduce(1) { $0.multipliedReportingOverflow(by: $1).partialValue }
    }.sorted()
    let usual = works[works.count / 2]
    return costs.works.indices.min { abs(costs.works[$0] - usual) < abs(costs.works[$1] - usual) } ?? 0
  }

  /// Loss of each site at each level while all others have the best one: `[site][level]`, 1 - mean cosine. What would be below
  /// the resolution if all sites lost as much is none.
  private func sensitivities(
    _ measurement: QualityMeasurement, _ progress: (Phase, Int, Int) -> Void
  ) throws(AdaptQError) -> [[Double]] {
    let count = min(max(options.sensitivitySamples, 1), samples.count)
    let chosen = (0..<count).map { $0 * samples.count / count }
    var losses: [[Double]] = []
    for position in sites.indices {
      var own = [0.0]
      for level in levels.dropFirst() {
        var plan = sites.map { _ in levels[0] }
        plan[position] = level
        let cosines = try measurement.cosines(full(plan), samples: chosen)
        let loss = 1 - cosines.reduce(0, +) / Double(max(cosines.count, 1))
        own.append(loss * Double(sites.count) < QualityMeasurement.resolution ? 0 : loss)
        progress(.sensitivity, position * (levels.count - 1) + own.count - 1, sites.count * (levels.count - 1))
      }
      losses.append(own)
    }
    return losses
  }

  /// The loss of a site comes from a measurement in which it alone is quantized, that of a plan is their sum, as ZeroQ (Cai et al.,
  /// CVPR 2020) searches its Pareto frontier. Here the sum only says where to look.
  private func proposals(_ losses: [[Double]], cost: (_ site: Int, Level) -> Double) -> [[Level]] {
    let choices = sites.indices.map { position in
      levels.indices.map { PlanChoice(cost: cost(sites[position], levels[$0]), loss: losses[position][$0]) }
    }
    let path = PlanFrontier.plans(choices)
    let totals = path.map { plan in zip(choices, plan).reduce(0) { $0 + $1.0[$1.1].cost } }
    return PlanFrontier.spread(totals, count: options.plansPerSearch).map { path[$0].map { levels[$0] } }
  }

  /// Levels of all sites of the graph from those of the linear ones.
  private func full(_ linear: [Level]) -> [Level] {
    var result = session.model.graph.sites.map { _ in Level.int8 }
    for (site, level) in zip(sites, linear) { result[site] = level }
    return result
  }
}
