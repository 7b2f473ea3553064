import Base
import Control
import Graph
import Kernels
import NestedFormat

/// What a plan costs on this machine, predicted from how long each step took at every uniform level: the sum over its steps,
/// each at the level of its site. Steps count by the least that they took, so that a mix is not made of lucky moments, and are
/// scaled so that the plan of one level costs exactly what whole runs of it were measured to cost.
///
/// Two things are no property of a single site. Projections of one input share its 8-bit codes: who makes them is followed
/// along the steps, as the executor does. An attention counts at the level of the site that makes its queries, an activation at that
/// of the site that may read its result as codes. Other steps
/// without weights take what they took on average, by the share of sites that each level has.
public final class PlanCosts: @unchecked Sendable {
  /// Work of each measured size, the largest first.
  public var works: [Int] { times.works }
  public let levels: [Level]
  let byteCount: Int

  private let plan: ExecutionPlan
  let times: StepTimes
  /// Nanoseconds of a run over the sum of what its steps took at least: `[size][level]`.
  private var scales: [[Double]] = []
  private let linearCount: Int
  private let memory: MemoryBlock
  /// For each product the step that makes the codes of its input when all sites have the same nested level.
  private let leader: UnsafeMutablePointer<Int32>
  /// How many products a step makes codes for.
  private let followers: UnsafeMutablePointer<Int32>

  /// - Parameter costs: medians of whole runs, one per level.
  init(
    _ plan: ExecutionPlan, _ times: StepTimes, _ costs: [LevelCost], calls: SystemCalls
  ) throws(AdaptQError) {
    self.plan = plan
    self.times = times
    levels = costs.map(\.level)
    linearCount = plan.model.graph.sites.count { $0.kind == .linear }
    var layout = BlockLayout()
    let leaderAt = try layout.reserve(Int32.self, times.stepCount)
    let followersAt = try layout.reserve(Int32.self, times.stepCount)
    memory = try MemoryBlock.allocate(byteCount: layout.byteCount, purpose: "step times", calls: calls)
    leader = (memory.base + leaderAt).assumingMemoryBound(to: Int32.self)
    followers = (memory.base + followersAt).assumingMemoryBound(to: Int32.self)
    byteCount = memory.byteCount + times.byteCount
    for (size, work) in times.works.enumerated() {
      scales.append(
        costs.indices.map { level in
          let sum = (0..<times.stepCount).reduce(0) {
            $0 + times.product($1, level: level, size: size) + times.coding($1, level: level, size: size)
          }
          let total = costs[level].points.first { $0.work == work }?.nanoseconds ?? 0
          return sum > 0 ? Double(total) / Double(sum) : 0
        })
    }
    findLeaders()
  }

  private func findLeaders() {
    followers.update(repeating: 0, count: times.stepCount)
    var coded: Int32 = -1
    var maker: Int32 = -1
    for step in 0..<times.stepCount {
      let (kind, input) = (plan.context.steps[step].kind, plan.context.steps[step].input0)
      leader[step] = Int32(step)
      switch kind {
      case .linear:
        if coded != input { (coded, maker) = (input, Int32(step)) }
        leader[step] = maker
        followers[Int(maker)] += 1
      case .convolution, .gru, .loopEnd: coded = -1
      default: break
      }
    }
  }

  /// Expected nanoseconds of a run at a measured size; 0 where a level was not measured.
  ///
  /// - Parameters:
  ///   - siteLevels: one per site of the graph.
  ///   - size: index into ``works``.
  public func nanoseconds(_ siteLevels: [Level], size: Int) -> Double {
    var sum = 0.0
    forEachStep(siteLevels, size: size) { sum += $1 }
    return sum
  }

  /// The same at every measured size, for the controller.
  func points(_ siteLevels: [Level]) -> [CostPoint] {
    works.indices.map { size in
      CostPoint(
        work: works[size],
        nanoseconds: clampedInt(
          nanoseconds(siteLevels, size: size).rounded(), in: 1...CostCurve.maximumNanoseconds))
    }.sorted { $0.work < $1.work }
  }

  /// What a plan does at a measured size, for models of energy.
  func effort(_ siteLevels: [Level], size: Int) -> RungEffort {
    var result = RungEffort(
      work: works[size],
      nanoseconds: clampedInt(nanoseconds(siteLevels, size: size), in: 1...CostCurve.maximumNanoseconds),
      multiplyAdds: 0, bytes: 0)
    for (step, effort) in times.efforts[size].enumerated() {
      result.multiplyAdds += effort.multiplyAdds
      result.bytes += effort.bytes
      let facts = plan.context.steps[step]
      if effort.weights > 0 { result.bytes += effort.weights * siteLevels[Int(facts.site)].bytesPerWeight }
      if effort.recurrentWeights > 0 {
        result.bytes += effort.recurrentWeights * siteLevels[Int(facts.site1)].bytesPerWeight
      }
    }
    return result
  }

  /// The sum of what the steps took at least: for comparing plans with each other where other programs disturb whole runs.
  public func leastNanoseconds(_ siteLevels: [Level], size: Int) -> Double {
    var sum = 0.0
    forEachStep(siteLevels, size: size, isScaled: false) { sum += $1 }
    return sum
  }

  /// What a site's products took at least, with its share of the codes that it has in common with others.
  public func siteNanoseconds(_ site: Int, _ level: Level, size: Int) -> Double {
    guard let index = levels.firstIndex(of: level) else { return 0 }
    var sum = 0.0
    for step in 0..<times.stepCount {
      let facts = plan.context.steps[step]
      let share = weight(of: site, facts)
      if share == 0 { continue }
      sum += share * Double(times.product(step, level: index, size: size))
      if facts.kind == .linear {
        let coding = times.coding(Int(leader[step]), level: index, size: size)
        sum += Double(coding) / Double(max(followers[Int(leader[step])], 1))
      }
    }
    return sum
  }

  /// Tells the expected nanoseconds of every step in turn.
  func forEachStep(
    _ siteLevels: [Level], size: Int, isScaled: Bool = true, _ body: (_ step: Int, _ nanoseconds: Double) -> Void
  ) {
    func product(_ step: Int, _ level: Int) -> Double {
      Double(times.product(step, level: level, size: size)) * (isScaled ? scales[size][level] : 1)
    }
    func coding(_ step: Int, _ level: Int) -> Double {
      Double(times.coding(Int(leader[step]), level: level, size: size)) * (isScaled ? scales[size][level] : 1)
    }
    let indices = siteLevels.map { level in levels.firstIndex(of: level) ?? 0 }
    let shares = levelShares(indices)
    var coded: Int32 = -1
    var codedLevel = Level.int8
    for step in 0..<times.stepCount {
      let facts = plan.context.steps[step]
      var time = 0.0
      switch facts.kind {
      case .linear, .convolution:
        let site = Int(facts.site)
        time = product(step, indices[site])
        if facts.kind == .convolution { coded = -1 }
        let level = siteLevels[site]
        let own = facts.kind == .linear ? coding(step, indices[site]) : 0
        // No time: at this level and size the floats themselves are read.
        if own > 0 && (coded != facts.input0 || !ProductInput.serves(level, madeFor: codedLevel)) {
          time += own
          (coded, codedLevel) = (facts.input0, level)
        }
      case .gru:
        for site in [facts.site, facts.site1] {
          time += weight(of: Int(site), facts) * product(step, indices[Int(site)])
        }
        coded = -1
      case .attention where facts.site >= 0, .unary where facts.site >= 0:
        time = product(step, indices[Int(facts.site)])
      default:
        if facts.kind == .loopEnd { coded = -1 }
        for (level, share) in shares.enumerated() where share > 0 { time += share * product(step, level) }
      }
      body(step, time)
    }
  }

  /// Share of the linear sites that each level has.
  private func levelShares(_ indices: [Int]) -> [Double] {
    var shares = [Double](repeating: 0, count: levels.count)
    for (site, index) in zip(plan.model.graph.sites, indices) where site.kind == .linear {
      shares[index] += 1 / Double(max(linearCount, 1))
    }
    // Without a linear site every level is the same.
    if linearCount == 0 { shares[0] = 1 }
    return shares
  }

  /// How much of a step's time is that of a site: a recurrent step multiplies with two, each as long as its rows.
  private func weight(of site: Int, _ facts: Step) -> Double {
    switch facts.kind {
    case .linear, .convolution: return Int(facts.site) == site ? 1 : 0
    case .gru:
      let (input, recurrent) = (Double(width(facts.site)), Double(width(facts.site1)))
      var share = 0.0
      if Int(facts.site) == site { share += input / (input + recurrent) }
      if Int(facts.site1) == site { share += recurrent / (input + recurrent) }
      return share
    default: return 0
    }
  }

  private func width(_ site: Int32) -> Int { plan.model.graph.sites[Int(site)].k }
}
