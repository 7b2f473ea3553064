import Base
import Control
import NestedFormat
import Telemetry

/// One number of a run as CSV and JSON show it. The one list of them, ``all``, writes and reads both.
struct TraceColumn: Sendable {
  let name: String
  /// Traces of older versions do not have it; what it stands for is unknown then.
  var mayBeMissing = false
  let value: @Sendable (RunFacts) -> JSON
  /// - Throws: `invalidFile` naming `field`.
  let set: @Sendable (inout RunFacts, JSON, _ field: String) throws(AdaptQError) -> Void

  static let all: [TraceColumn] = [
    integer("run", \.sequence), integer("time_ns", \.timeNanoseconds),
    integer("latency_ns", \.latencyNanoseconds, below: RunFacts.maximumNanoseconds),
    integer("budget_ns", \.budgetNanoseconds, below: RunFacts.maximumNanoseconds),
    integer("deadline_ns", \.deadlineNanoseconds, below: RunFacts.maximumNanoseconds), percentile,
    integer("work", \.work), integer("rung", \.rung, below: Int64(UInt16.max)), level, reason,
    flag("budget_missed", \.budgetMissed), flag("level_changed", \.levelChanged),
    flag("budget_unreachable", \.budgetUnreachable), flag("deadline_missed", \.deadlineMissed),
    flag("fixed", \.isFixed), integer("dropped_sites", \.droppedSites, below: Int64(UInt32.max)),
    factor("slowdown", \.slowdown), factor("multiplier", \.multiplier),
    integer("predicted_ns", \.predictedNanoseconds, below: RunFacts.maximumNanoseconds),
    integer("moving_percentile_ns", \.movingPercentileNanoseconds, below: RunFacts.maximumNanoseconds),
    integer("runs", \.runs), integer("misses", \.misses), integer("unavoidable_misses", \.unavoidableMisses),
    integer("switches", \.switches), integer("threads", \.threads, below: RunFacts.maximumThreads).newer,
    energy.newer, energySource.newer, flag("power_unreachable", \.powerUnreachable).newer,
    integer("recommended_interval_ns", \.recommendedIntervalNanoseconds, below: RunFacts.maximumNanoseconds).newer,
    integer("paced_ns", \.waitedNanoseconds, below: RunFacts.maximumNanoseconds).newer, qualitySource.newer,
  ]

  private var newer: TraceColumn {
    var result = self
    result.mayBeMissing = true
    return result
  }

  private static func integer<Value: FixedWidthInteger & Sendable>(
    _ name: String, _ path: WritableKeyPath<RunFacts, Value> & Sendable, below limit: Int64 = RunFacts.maximumCount
  ) -> TraceColumn {
    TraceColumn(name: name) {
      .integer(Int(clamping: $0[keyPath: path]))
    } set: {
      (facts, json, field) throws(AdaptQError) in
      let number = try json.asInt(field)
      guard number >= 0 && number <= limit, let value = Value(exactly: number) else {
        throw .invalidFile("\(field): \(number) is not between 0 and \(limit)")
      }
      facts[keyPath: path] = value
    }
  }

  private static func factor(_ name: String, _ path: WritableKeyPath<RunFacts, Double> & Sendable) -> TraceColumn {
    TraceColumn(name: name) {
      .number($0[keyPath: path])
    } set: { (facts, json, field) throws(AdaptQError) in
      let number = try json.asDouble(field)
      if !RunFacts.factorRange.contains(number) { throw .invalidFile("\(field): \(number) is not between 0 and 1e6") }
      facts[keyPath: path] = number
    }
  }

  /// CSV has 0 and 1.
  private static func flag(_ name: String, _ path: WritableKeyPath<RunFacts, Bool> & Sendable) -> TraceColumn {
    TraceColumn(name: name) {
      .bool($0[keyPath: path])
    } set: { (facts, json, field) throws(AdaptQError) in
      switch json {
      case .integer(0): facts[keyPath: path] = false
      case .integer(1): facts[keyPath: path] = true
      default: facts[keyPath: path] = try json.asBool(field)
      }
    }
  }

  /// In per cent.
  private static let percentile = TraceColumn(name: "percentile") {
    .number(Double($0.percentileHundredths) / 100)
  } set: { (facts, json, field) throws(AdaptQError) in
    let number = try json.asDouble(field)
    if !(number >= 0 && number <= 100) { throw .invalidFile("\(field): \(number) is not between 0 and 100") }
    facts.percentileHundredths = UInt32(truncatingIfNeeded: clampedInt(number * 100, in: 0...10000))
  }

  private static let level = TraceColumn(name: "level") {
    .string($0.levelName)
  } set: {
    (facts, json, field) throws(AdaptQError) in
    let name = try json.asString(field)
    if name == RunFacts.mixedName {
      facts.level = 0
    } else if let level = Level(name: name) {
      facts.level = level.rawValue
    } else {
      throw .invalidFile("\(field): \"\(name)\" is no level")
    }
  }

  private static let reason = TraceColumn(name: "reason") {
    .string($0.reason.name)
  } set: {
    (facts, json, field) throws(AdaptQError) in
    let name = try json.asString(field)
    guard let reason = DecisionReason.allCases.first(where: { $0.name == name }) else {
      throw .invalidFile("\(field): \"\(name)\" is no reason")
    }
    facts.reason = reason
  }

  /// Null, or an empty cell, where nobody knows the energy.
  private static let energy = TraceColumn(name: "energy_nj") {
    $0.energySource == .none ? .null : .number($0.nanojoules)
  } set: { (facts, json, field) throws(AdaptQError) in
    if isUnknown(json) { return }
    let number = try json.asDouble(field)
    if !(number >= 0 && number <= 1e18) { throw .invalidFile("\(field): \(number) is not between 0 and 1e18") }
    facts.nanojoules = number
  }

  /// Without the commas of ``EnergySource/name``.
  private static func name(_ source: EnergySource) -> String {
    switch source {
    case .none: "none"
    case .modelled: "modelled"
    case .package: "packages"
    case .machine: "machine"
    case .process: "process"
    }
  }

  private static let energySource = TraceColumn(name: "energy_source") {
    .string(name($0.energySource))
  } set: { (facts, json, field) throws(AdaptQError) in
    let text = try json.asString(field)
    guard let source = EnergySource.allCases.first(where: { name($0) == text }) else {
      throw .invalidFile("\(field): \"\(text)\" is no source of an energy")
    }
    facts.energySource = source
  }

  private static let qualitySource = TraceColumn(name: "quality_source") {
    .string($0.qualitySource.name)
  } set: { (facts, json, field) throws(AdaptQError) in
    let text = try json.asString(field)
    guard let source = QualitySource.allCases.first(where: { $0.name == text }) else {
      throw .invalidFile("\(field): \"\(text)\" is no source of a quality")
    }
    facts.qualitySource = source
  }

  private static func isUnknown(_ json: JSON) -> Bool {
    switch json {
    case .null, .string(""): true
    default: false
    }
  }
}
