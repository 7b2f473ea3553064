import Control

/// What one run did, without the levels of its sites. Trivial: the run path makes one.
public struct RunFacts: Equatable, Sendable, BitwiseCopyable {
  /// Number of the run in its session, from 1.
  public var sequence: UInt64 = 0
  /// When the run ended, CLOCK_MONOTONIC.
  public var timeNanoseconds: Int64 = 0
  public var latencyNanoseconds: Int64 = 0
  /// 0: none.
  public var budgetNanoseconds: Int64 = 0
  /// 0: none.
  public var deadlineNanoseconds: Int64 = 0
  /// Product of the sizes that the caller chose.
  public var work: Int64 = 0
  /// Index in the session's ladder, 0 is the best quality; 65535 for a fixed level that is no rung.
  public var rung: UInt16 = 0
  /// Bits of the level that the run began with; 0 where the rung mixes levels.
  public var level: UInt8 = 0
  public var reason = DecisionReason.initial
  public var budgetMissed = false
  public var levelChanged = false
  public var budgetUnreachable = false
  public var deadlineMissed = false
  /// The host had set the level.
  public var isFixed = false
  /// Per cent times 100; 0 where there is no budget.
  public var percentileHundredths: UInt32 = 0
  /// Sites that went to a lower level on the way.
  public var droppedSites: UInt32 = 0
  /// Observed over expected time, as the controller sees it behind this run; 1 is none.
  public var slowdown = 0.0
  /// From the typical time to the percentile, behind this run.
  public var multiplier = 0.0
  /// What the controller expected at the budget's percentile; 0 where it was not asked or does not know.
  public var predictedNanoseconds: Int64 = 0
  /// The budget's percentile over the controller's window, this run included.
  public var movingPercentileNanoseconds: Int64 = 0
  // Counted since the session was prepared.
  public var runs: UInt64 = 0
  public var misses: UInt64 = 0
  /// Those that the fastest rung would have missed, too.
  public var unavoidableMisses: UInt64 = 0
  public var switches: UInt64 = 0
  // What a budget of power or energy had to say; 0 without one.
  public var nanojoules = 0.0
  public var energySource = EnergySource.none
  public var powerUnreachable = false
  public var recommendedIntervalNanoseconds: Int64 = 0
  public var waitedNanoseconds: Int64 = 0
  /// That might work on the run, the calling one among them; 0: unknown.
  public var threads: UInt32 = 0

  // Of the rung, as floors see it behind this run. Sections have them of the newest run only, records the source.
  public var qualitySource = QualitySource.unknown
  public var p5Source = QualitySource.unknown
  /// Cosines; 0 where nothing is known.
  public var meanCosine = 0.0
  public var p5Cosine = 0.0
  /// Bit k: rung k is not chosen because its quality is below the floor.
  public var rungsBelowFloor: UInt64 = 0

  public init() {}

  /// No time is longer than this; a record that says so is damaged.
  package static let maximumNanoseconds: Int64 = 1 << 50
  /// The same of threads.
  package static let maximumThreads: Int64 = 1024
}

/// What one poll of the sensors found.
public struct SensorFacts: Equatable, Sendable, BitwiseCopyable {
  /// When, CLOCK_MONOTONIC.
  public var timeNanoseconds: Int64 = 0
  /// ADAPTQ_POWER_*.
  public var source: UInt8 = 0
  /// ADAPTQ_SENSOR_*.
  public var fault: UInt8 = 0
  /// 0: unknown.
  public var milliwatts = 0.0
  public var microjoules: UInt64 = 0
  public var faults: UInt64 = 0
  /// The smallest number: unknown.
  public var millidegrees = Int32.min
  /// -1: unknown.
  public var batteryPercent: Int8 = -1
  public var isOnBattery = false
  public var isCapped = false

  public init() {}
}
