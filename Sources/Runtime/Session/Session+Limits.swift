import Base
import CMachine
import Control
import Graph
import NestedFormat

// What a host wants of a session, set on any thread at any time: each setter changes one word of the mailbox.

extension Session {
  /// Stops the run or prepare in progress, if there is one.
  public func cancel() { state.pointee.control.stop() }

  /// - Parameter level: nil for automatic.
  public func setLevel(_ level: Level?) throws(AdaptQError) {
    if let level, !levels.contains(level) {
      let names = levels.map(\.name).joined(separator: ", ")
      throw .unsupported("level \(level.name) is not allowed in this session, which has \(names)")
    }
    cmachine_atomic_store(mailbox + 1, UInt64(level?.rawValue ?? 0))
  }

  /// - Parameter nanoseconds: nil for no budget.
  public func setLatencyBudget(nanoseconds: Int?, percentile: Double) throws(AdaptQError) {
    cmachine_atomic_store(mailbox + 0, try packedBudget(nanoseconds: nanoseconds, percentile: percentile))
  }

  // MARK: - Limits on quality

  /// What became of a change of limits. Nothing has changed but for `.set`.
  public enum LimitOutcome: Equatable, Sendable {
    case set
    /// A level is not one of the session's, or there is none.
    case notInSession
    /// The file stores no plans and shadow runs are not allowed, so nothing is known about quality.
    case unknownQuality
    /// With these levels no plan reaches the mean; the best one has this.
    case meanUnreachable(nearest: Double)
    /// Of the plans that reach the mean none reaches the 5th percentile; the best one has this.
    case p5Unreachable(nearest: Double)
    /// No plan that is left takes so little at the largest prepared size; the cheapest one takes this many millijoules.
    case energyUnreachable(nearest: Double)
    /// What the machine takes anyway is as much.
    case powerUnreachable(nearest: Double)
    /// No plan within the other limits typically takes so little; the fastest takes this.
    case latencyUnreachable(nearest: UInt64)
  }

  /// Which levels the budget may choose from. Allocates nothing, so that a host may call it between any two runs.
  ///
  /// - Parameter isAllowed: nil for all of the session.
  public func setAllowed(_ isAllowed: ((Level) -> Bool)?) -> LimitOutcome {
    let all = Session.set(levels)
    var wanted = all
    if let isAllowed {
      wanted = 0
      for raw: UInt8 in 0...32 {
        if let level = Level(rawValue: raw), isAllowed(level) { wanted |= level.setBit }
      }
      if wanted == 0 || wanted & ~all != 0 { return .notInSession }
    }
    return change { $0 = RungLimits(levels: wanted, mean: $0.mean, p5: $0.p5) }
  }

  /// The quality that plans must have for the budget to choose them: cosines, to within 2^-29; 0 for no floor. A fixed level is
  /// not looked at. Allocates nothing.
  public func setQualityFloor(mean: Double, p5: Double) -> LimitOutcome {
    let (mean, p5) = (RungLimits.steps(mean), RungLimits.steps(p5))
    if model.plans == nil && shadow == nil && (mean > 0 || p5 > 0) { return .unknownQuality }
    return change { $0 = RungLimits(levels: $0.levels, mean: mean, p5: p5) }
  }

  /// Changes a part of the limits, unless no rung would be left; several threads may do so at once.
  private func change(_ body: (inout RungLimits) -> Void) -> LimitOutcome {
    var old = cmachine_atomic_load(mailbox + 2)
    while true {
      var limits = RungLimits(word: old)
      body(&limits)
      if slots.mask(limits) == 0 { return refusal(limits) }
      let outcome = powerRefusal(limits)
      if outcome != .set { return outcome }
      if cmachine_atomic_exchange_if(mailbox + 2, &old, limits.word) { return .set }
    }
  }

  /// - Parameter mask: rungs that count.
  func refusal(_ limits: RungLimits, of mask: UInt64 = .max) -> LimitOutcome {
    var best = (mean: -1.0, p5: -1.0)
    for rung in ladder.indices where slots.rungs[rung].levelSet & ~limits.levels == 0 && mask >> UInt64(rung) & 1 == 1 {
      let quality = quality(rung: rung)
      best.mean = max(best.mean, quality.meanCosine)
      if quality.known.mean >= limits.mean { best.p5 = max(best.p5, quality.p5Cosine) }
    }
    return RungLimits.steps(best.mean) < limits.mean
      ? .meanUnreachable(nearest: max(best.mean, 0)) : .p5Unreachable(nearest: max(best.p5, 0))
  }

  static func set(_ levels: [Level]) -> UInt64 { levels.reduce(0) { $0 | $1.setBit } }

  // MARK: - Steps

  /// Whether each level is a step: faster than every better one at the largest prepared size.
  public func isStep(_ index: Int) -> Bool {
    guard costs.indices.contains(index) else { return false }
    let own = Double(costs[index].nanoseconds)
    return costs[..<index].allSatisfy { own < Double($0.nanoseconds) * (1 - minimumGain) }
  }

  /// Whether each rung is a step at the largest prepared size: clearly faster than every better rung that is one, as the
  /// controller walks down the ladder where all of it is allowed.
  public var rungSteps: [Bool] {
    var fastest = Double.infinity
    return ladder.indices.map { rung in
      let own = expectedNanoseconds(rung: rung)
      if own >= fastest * (1 - minimumGain) { return false }
      fastest = own
      return true
    }
  }

  /// What a rung is expected to take at the largest prepared size; 0 before the first preparation.
  public func expectedNanoseconds(rung: Int) -> Double {
    guard let planCosts, ladder.indices.contains(rung) else { return 0 }
    return planCosts.nanoseconds(ladder[rung].levels, size: 0)
  }

  private var minimumGain: Double { state.pointee.controller.configuration.minimumGain }
}
