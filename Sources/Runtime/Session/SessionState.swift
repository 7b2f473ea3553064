import CMachine
import Control
import NestedFormat
import Telemetry

/// What a session keeps between runs, in raw memory: the run path reads and writes it through one pointer.
///
/// Three words are written by setters on any thread at any time and read once when a run begins (the mailbox), and so are
/// ``QualityWords``; the ladder does not change but for its costs; everything else belongs to the one run or prepare in progress.
struct SessionState: BitwiseCopyable {
  /// The mailbox, in memory of its own and touched with atomics only: latency in nanoseconds (low 50 bits) and percentile
  /// times 100 (high 14 bits), 0 for no budget; bits of the fixed level, 0 for automatic; ``RungLimits``.
  var mailbox: UnsafeMutablePointer<UInt64>
  var control: RunControl

  // MARK: Owned by the run in progress
  var appliedBudget: UInt64 = 0
  var appliedLimits: UInt64 = 0
  /// Of ``QualityWords``.
  var appliedQuality: UInt64 = 0
  var gate = QualityGate()
  /// The limits must be applied, whatever they are: the controller is new.
  var limitsAreNew = true
  /// Rungs within the limits, also those that are no steps.
  var withinLimits = UInt64.max
  /// Uninitialized until the first preparation succeeds; the session checks.
  var plan: UnsafeMutablePointer<PlanContext>
  var controller: LatencyController
  var ring: TelemetryRing
  /// Levels per site of each kept inference: `[telemetryCapacity][siteCount]`.
  var siteLevels: UnsafeMutablePointer<UInt8>
  var siteCount: Int
  /// Best first.
  var ladder: LadderSlots
  var lastRung = -1
  var bindings: UnsafeMutablePointer<TensorBinding>
  /// Memory for the run in progress, if it has a deadline.
  var deadlineRun: UnsafeMutablePointer<DeadlineRun>
  /// How the time of a run is spread over its steps; nil before the first preparation.
  var shares = DeadlineShares()
  /// The threads of the preparation.
  var executor = ParallelExecutor.alone
  /// What sessions of the runtime know of the load.
  var load: LoadView
  /// Where each run leaves a record for other processes; nil without a telemetry file.
  var telemetry: TelemetryWriter?
  var power: PowerControl
  /// Nil where shadow runs are not allowed, and before the first preparation.
  var shadow: UnsafeMutablePointer<ShadowSlots>?
}

/// What one run did.
public struct RunReport: BitwiseCopyable, Sendable {
  public var outcome = RunOutcome()
  public var sequence: UInt64 = 0
  public var latencyNanoseconds = 0
  public var budgetNanoseconds = 0
  /// Of the linear sites; where they differ, of most of the weights.
  public var level = Level.int8
  /// Index into ``Session/ladder``; -1: the levels were given with the call.
  public var rung = -1
  public var reason = DecisionReason.initial
  public var isFixed = false
  public var levelChanged = false
  public var budgetMissed = false
  public var budgetUnreachable = false
  /// What was expected at the budget's percentile; 0 where nobody asked or knows.
  public var predictedNanoseconds = 0
  public var deadlineMissed = false
  /// Sites that ran at a lower level than the run began with.
  public var droppedSites = 0
  public var power = PowerOutcome()
  /// That might work on the run, the calling one among them.
  public var threads = 0
  /// Of the rung, as floors see it; nothing is known where there is none.
  public var quality = KnownQuality(mean: 0, p5: 0, source: .unknown)

  public init() {}
}
