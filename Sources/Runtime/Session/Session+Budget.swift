import Base
import CMachine
import Control
import NestedFormat

// All limits of a session at once, refused together where they cannot hold together.

/// What a host wants of a session's runs.
public struct SessionBudget: Sendable {
  /// Nil for no budget; below 2^50.
  public var nanoseconds: Int?
  /// 50 to 99.9.
  public var percentile = 95.0
  /// Cosines; 0 for no floor.
  public var mean = 0.0
  public var p5 = 0.0
  /// Set of levels, as ADAPTQ_ALLOW_*; 0 for all of the session.
  public var levels: UInt64 = 0

  public init() {}
}

extension Session {
  /// Sets all limits, or none of them: unless some plan is good enough, made of these levels, and typically fast enough at the largest
  /// prepared size, as measured. Latency is not looked at before the first preparation. Any thread; allocates nothing unless it throws.
  public func setBudget(_ budget: SessionBudget) throws(AdaptQError) -> LimitOutcome {
    let word = try packedBudget(nanoseconds: budget.nanoseconds, percentile: budget.percentile)
    let all = Session.set(levels)
    let wanted = budget.levels == 0 ? all : budget.levels
    if wanted & ~all != 0 { return .notInSession }
    let (mean, p5) = (RungLimits.steps(budget.mean), RungLimits.steps(budget.p5))
    if model.plans == nil && shadow == nil && (mean > 0 || p5 > 0) { return .unknownQuality }
    let limits = RungLimits(levels: wanted, mean: mean, p5: p5)
    let mask = slots.mask(limits)
    if mask == 0 { return refusal(limits) }
    if let nanoseconds = budget.nanoseconds {
      var fastest = UInt64.max
      for rung in ladder.indices where mask >> UInt64(rung) & 1 == 1 {
        let typical = cmachine_atomic_load(typicalNanoseconds + rung)
        // Not measured yet: nothing is known.
        if typical > 0 { fastest = min(fastest, typical) }
      }
      if fastest != .max && fastest > UInt64(nanoseconds) { return .latencyUnreachable(nearest: fastest) }
    }
    let outcome = powerRefusal(limits)
    if outcome != .set { return outcome }
    cmachine_atomic_store(mailbox + 2, limits.word)
    cmachine_atomic_store(mailbox + 0, word)
    return .set
  }

  /// For setters on other threads; after a preparation.
  func publishTypicalNanoseconds() {
    for rung in ladder.indices {
      cmachine_atomic_store(
        typicalNanoseconds + rung,
        UInt64(clampedInt(expectedNanoseconds(rung: rung), in: 0...CostCurve.maximumNanoseconds)))
    }
  }
}
