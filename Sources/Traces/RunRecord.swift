import NestedFormat
import Telemetry

/// What one run did, as it is read again.
public struct RunRecord: Equatable, Sendable {
  public var facts: RunFacts
  /// Bits of each site's level, as far as they are recorded.
  public var siteLevels: [UInt8]

  public init(facts: RunFacts, siteLevels: [UInt8] = []) {
    self.facts = facts
    self.siteLevels = siteLevels
  }
}

extension RunFacts {
  static let mixedName = "mixed"
  /// Of numbers that count; one above is damaged.
  static let maximumCount: Int64 = 1 << 62
  static let factorRange = 0.0...1e6

  /// "INT8", or "mixed" for a rung that is no single level.
  public var levelName: String { Level(rawValue: level)?.name ?? RunFacts.mixedName }
}
