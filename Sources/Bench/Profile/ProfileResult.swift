import NestedFormat

/// A product's work: what was done, in what time a limit would let it be done.
public struct ProfileWork: Equatable, Sendable {
  /// Rows of the input in one call.
  public var rows: Int
  /// Per inference, in the unit of the limit times a second: bytes of weights, or multiplications and additions.
  public var amount: Double
  public var limit: MachineLimit

  /// Nanoseconds that the limit allows.
  var limitNanoseconds: Double { amount / max(limit.median, 1e-9) }
}

/// One step of the plan.
public struct ProfileStep: Equatable, Sendable {
  public var step: Int
  public var operation: String
  /// The site's name, and its outputs and inputs.
  public var site: String?
  public var shape: [Int] = []
  public var nanoseconds: Double
  public var calls: Int
  /// Of linear sites whose limit was measured.
  public var work: ProfileWork?

  /// What was reached, in the unit of the limit.
  public var rate: Double? { work.map { $0.amount / max(nanoseconds, 1e-9) } }
  public var shareOfLimit: Double? { work.map { $0.limitNanoseconds / max(nanoseconds, 1e-9) } }
}

/// All steps of one kind.
public struct ProfilePart: Equatable, Sendable {
  public var operation: String
  public var nanoseconds: Double
  public var calls: Int
  /// Of linear: nil unless all sites have one unit.
  public var rate: Double?
  public var unit: String?
  /// Time that the limits would allow, by time taken.
  public var shareOfLimit: Double?
  /// The limit's name, where all sites have the same.
  public var limit: String?
}

/// One level at one length.
public struct ProfileRow: Equatable, Sendable {
  public var level: Level
  /// Inferences that nobody watched, and those that were traced.
  public var untraced: Summary
  public var traced: Summary
  /// What a traced inference did beyond its own operators, the median: the part of ``rest`` that is not just medians that do
  /// not add up.
  public var outside: Double
  public var steps: [ProfileStep]

  /// The steps by kind, the longest first.
  public var parts: [ProfilePart] {
    var kinds: [String: [ProfileStep]] = [:]
    for step in steps { kinds[step.operation, default: []].append(step) }
    return kinds.map { ProfileRow.part($0, $1) }
      .sorted { $0.nanoseconds == $1.nanoseconds ? $0.operation < $1.operation : $0.nanoseconds > $1.nanoseconds }
  }

  /// What an inference takes beyond its operators. Below zero where the parts' medians are more than the whole's.
  public var rest: Double { untraced.median - steps.reduce(0) { $0 + $1.nanoseconds } }

  /// Whether too many samples waited for the CPU for the others to count alone.
  public var isSpoiled: Bool {
    [untraced, traced].contains {
      $0.disturbed > 0 && $0.rounds - $0.disturbed < InterleavedRounds.minimumRounds
    }
  }

  /// `nanoseconds` as a share of an inference.
  public func share(_ nanoseconds: Double) -> Double { nanoseconds / max(untraced.median, 1e-9) }

  private static func part(_ operation: String, _ steps: [ProfileStep]) -> ProfilePart {
    let time = steps.reduce(0) { $0 + $1.nanoseconds }
    var part = ProfilePart(
      operation: operation, nanoseconds: time, calls: steps.reduce(0) { $0 + $1.calls })
    let works = steps.compactMap(\.work)
    if works.isEmpty || works.count != steps.count { return part }
    part.shareOfLimit = works.reduce(0) { $0 + $1.limitNanoseconds } / max(time, 1e-9)
    if Set(works.map(\.limit.name)).count == 1 { part.limit = works[0].limit.name }
    if Set(works.map(\.limit.unit)).count == 1 {
      part.rate = works.reduce(0) { $0 + $1.amount } / max(time, 1e-9)
      part.unit = works[0].limit.unit
    }
    return part
  }
}

/// All levels at one length, batch 1.
public struct ProfilePoint: Equatable, Sendable {
  public var length: Int
  public var rows: [ProfileRow]
}

/// Where a model's time goes.
public struct ProfileResult: Equatable, Sendable {
  public var path: String
  public var byteCount: Int
  /// Nanoseconds of one reading of the clock; subtracted from each call of an operator.
  public var clockNanoseconds: Double
  public var points: [ProfilePoint]
}
