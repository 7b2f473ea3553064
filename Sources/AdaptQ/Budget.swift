import Base
import CAdaptQ
import NestedFormat
import Runtime

// All limits of a session in one call.

extension Option {
  /// Of a field of adaptq_budget.
  var budgetRule: OptionRule {
    func field(
      _ name: StaticString, _ type: Int = ADAPTQ_OPTION_DOUBLE, maximum: Double, defaultValue: Double = 0,
      _ description: StaticString
    ) -> OptionRule {
      OptionRule(
        owner: "adaptq_budget", name: name, type: type, maximum: maximum, defaultValue: defaultValue,
        status: .outOfRange, description: description)
    }
    return switch self {
    case .budgetLatency:
      field(
        "latency_ns", ADAPTQ_OPTION_INT64, maximum: Double((Int64(1) << 50) - 1), "latency in nanoseconds; 0: no budget"
      )
    case .budgetPercentile:
      field(
        "percentile", maximum: 99.9, defaultValue: 95,
        "share of runs that are to hold the latency, in per cent; below 50 is refused, but for 0")
    case .budgetMean: field("mean_cosine", maximum: 1, "least mean quality of plans; 0: no floor")
    case .budgetP5: field("p5_cosine", maximum: 1, "least 5th percentile of the quality of plans; 0: no floor")
    default:
      field(
        "allowed_levels", ADAPTQ_OPTION_UINT32, maximum: Double(ADAPTQ_ALLOW_ALL),
        defaultValue: Double(ADAPTQ_ALLOW_ALL),
        "set of ADAPTQ_ALLOW_* that the budget may choose from")
    }
  }
}

@c @implementation public func adaptq_session_set_budget(
  _ session: OpaquePointer?, _ budget: UnsafePointer<adaptq_budget>?,
  _ report: UnsafeMutablePointer<adaptq_limit_report>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let wanted = try sessionBudget(budget)
      var target: OutStruct<adaptq_limit_report>?
      if let report { target = try OutStruct(report, "adaptq_limit_report") }
      let outcome = try object.session.setBudget(wanted)
      if outcome == .notInSession {
        let levels = object.session.levels.reduce(UInt32(0)) { $0 | allowBit($1) }
        var answer = adaptq_limit_report()
        answer.limit = Int32(ADAPTQ_LIMIT_LEVELS)
        answer.nearest = Double(levels)
        if let target { target.write(answer) }
        throw .unsupported(
          "adaptq_budget.allowed_levels is \(wanted.levels): a level is not in this session, which has \(levels)")
      }
      try finish(outcome, target, "adaptq_budget: ")
    }
  }
}

/// NULL: no limits.
private func sessionBudget(_ budget: UnsafePointer<adaptq_budget>?) throws(AdaptQError) -> SessionBudget {
  var wanted = SessionBudget()
  guard let budget else { return wanted }
  var value = adaptq_budget()
  try readStruct(budget, "adaptq_budget", into: &value)
  try requireOption(value.latency_ns, .budgetLatency)
  try requireOption(value.percentile, .budgetPercentile)
  try requireOption(value.mean_cosine, .budgetMean)
  try requireOption(value.p5_cosine, .budgetP5)
  if value.reserved != 0 { throw .invalidArgument("adaptq_budget.reserved is \(value.reserved), not 0") }
  wanted.nanoseconds = value.latency_ns == 0 ? nil : Int(value.latency_ns)
  if value.percentile != 0 { wanted.percentile = value.percentile }
  wanted.mean = value.mean_cosine
  wanted.p5 = value.p5_cosine
  try requireOption(Int64(value.allowed_levels), .budgetLevels)
  wanted.levels = UInt64(value.allowed_levels)
  return wanted
}
