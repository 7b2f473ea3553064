import Base
import CMachine
import Control

/// What one rung does at one size.
struct RungEffort: BitwiseCopyable {
  var work: Int
  /// On the idle machine.
  var nanoseconds: Int
  var multiplyAdds: Double
  /// Of weights.
  var bytes: Double
  /// That the time was taken with.
  var threads = 1
}

/// What a budget of power says about a run.
public struct PowerOutcome: BitwiseCopyable, Sendable {
  /// The budget of power or energy cannot be held at this rate of runs.
  public var isUnreachable = false
  /// Of this run; 0 without a budget of power or energy.
  public var nanojoules = 0.0
  /// See ``PowerDecision``.
  public var recommendedIntervalNanoseconds = 0
  public var source = EnergySource.none
  /// How long the run waited before it began.
  public var waitedNanoseconds = 0
  /// Of the session's table of thread counts: how many this run may have.
  var row = 0

  public init() {}
}

/// A governor and what it needs on the run path. Plain memory.
struct PowerControl: BitwiseCopyable {
  var governor: PowerGovernor
  var mailbox: PowerMailbox
  private var seen: UInt64 = 0
  private var terms = PowerTerms()
  /// `[rungCount][sizeCount]`, sizes rising.
  private let efforts: UnsafeMutablePointer<RungEffort>
  private let rungCount: Int
  private let sizeCount: Int
  private let signal: PowerSignalHandle?
  private var seenSignal: UInt64 = 0
  private var readings = EnergyReadings()
  private var origin = PowerOrigin()
  private var measured = EnergyScale()
  private var lastTime = 0

  /// - Parameters:
  ///   - signal: what sensors show; nil: the model alone counts.
  ///   - threads: what runs take with fewer threads; its energies are kept here. Nil where a run always has all.
  init(
    rungCount: Int, sizeCount: Int, efforts: UnsafeMutablePointer<RungEffort>, mailbox: UnsafeMutablePointer<UInt64>,
    signal: PowerSignalHandle? = nil, threads: ThreadTable? = nil
  ) {
    self.signal = signal
    governor = PowerGovernor(rungCount: rungCount)
    governor.threads = threads
    self.mailbox = PowerMailbox(memory: mailbox)
    self.efforts = efforts
    self.rungCount = rungCount
    self.sizeCount = sizeCount
  }

  var maximumWaitNanoseconds: Int { terms.maximumWaitNanoseconds }

  /// Call before a decision: takes what a setter has left. Energies follow from the terms, so they are made anew.
  mutating func applyMailbox() {
    let before = terms
    if !mailbox.load(&terms, &seen) { return }
    if !before.hasSameModel(as: terms) {
      measured = EnergyScale()
      governor.scale = 1
    }
    governor.setBudget(
      milliwatts: terms.capMilliwatts > 0 ? terms.capMilliwatts : nil,
      window: clampedInt(terms.windowNanoseconds, in: 1...CostCurve.maximumNanoseconds),
      staticMilliwatts: terms.staticMilliwatts,
      // Energies are whole nanojoules: a limit that is one of them must not be below it by a rounding.
      maximumNanojoules: terms.maximumMillijoules > 0 ? (terms.maximumMillijoules * 1e6).rounded(.up) : nil,
      prefersLeastEnergy: terms.prefersLeastEnergy)
    for rung in 0..<rungCount {
      governor.setEnergy(rung: rung, curve: energies(rung, row: 0))
      guard let threads = governor.threads else { continue }
      for row in 1..<max(threads.rowCount, 1) {
        threads.setEnergy(row: row, rung: rung, curve: energies(rung, row: row))
      }
    }
  }

  private func energies(_ rung: Int, row: Int) -> CostCurve {
    var curve = CostCurve()
    for size in 0..<sizeCount {
      var effort = efforts[rung &* sizeCount &+ size]
      if row > 0, let threads = governor.threads {
        effort.threads = threads.threads(row)
        effort.nanoseconds = clampedInt(
          threads.nanoseconds(row: row, rung: rung, work: effort.work), in: 1...CostCurve.maximumNanoseconds)
      }
      curve.append(
        CostPoint(
          work: effort.work,
          nanoseconds: clampedInt(terms.nanojoules(effort), in: 1...CostCurve.maximumNanoseconds)))
    }
    return curve
  }

  /// Call when a run begins, with the rung that latency leaves and those that are as good for latency. The outcome gets the row of
  /// threads.
  ///
  /// - Returns: the rung to use.
  mutating func choose(_ rung: Int, offer: RungOffer, time: Int, work: Int, _ outcome: inout PowerOutcome) -> Int {
    lastTime = time
    takeReadings()
    let decision = governor.decide(time: time, work: work, offer: offer)
    outcome.row = decision.row
    outcome.isUnreachable = decision.isUnreachable
    outcome.recommendedIntervalNanoseconds = decision.recommendedIntervalNanoseconds
    return max(decision.rung, rung)
  }

  /// Call when a run has ended, with the rung it used.
  mutating func observe(rung: Int, work: Int, _ outcome: inout PowerOutcome) {
    let modelled = governor.modelledNanojoules(rung: rung, work: work, row: outcome.row)
    outcome.nanojoules = modelled * governor.scale
    outcome.source = .modelled
    governor.observe(rung: rung, work: work, row: outcome.row)
    guard let signal else { return }
    signal.add(modelled: modelled)
    if terms.attribution == .model { return }
    measured.charge(modelled: modelled, charged: outcome.nanojoules)
    if measured.isMeasured(time: lastTime, window: terms.windowNanoseconds) {
      outcome.source = origin.energySource(terms.attribution)
    }
  }

  @inline(__always)
  private mutating func takeReadings() {
    guard let signal, terms.attribution != .model, signal.load(&readings, &origin, &seenSignal) else { return }
    let correction = measured.update(
      readings, static: terms.staticMilliwatts, window: terms.windowNanoseconds,
      isShared: terms.attribution == .process && origin.hasShare)
    governor.scale = measured.value
    governor.correct(nanojoules: correction)
  }
}
