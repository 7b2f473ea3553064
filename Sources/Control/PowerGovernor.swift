import Base

/// What a governor asks for.
public struct PowerDecision: Hashable, Sendable, BitwiseCopyable {
  /// Best rung that power and energy allow; 0 without a budget of either.
  public var rung = 0
  /// Row of the ``ThreadTable``: with how many threads. The first of the offer where nobody asks for fewer.
  public var row = 0
  /// Even the rung of least energy is too much at this rate of calls, or for one call; it was chosen all the same.
  public var isUnreachable = false
  /// Distance of two calls' begins with which the rung of least energy would hold the power; 0 where any does, or none.
  public var recommendedIntervalNanoseconds = 0
  /// Expected energy of the rung; 0 where unknown.
  public var nanojoules = 0.0

  public init() {}
}

/// Chooses how much energy an inference may take, so that average power stays below a cap at the rate at which the host
/// happens to call. Pure: time and readings are arguments.
///
/// Power is taken to be a static part and the energy of the inferences. What an inference may take follows from the
/// interval to the next call, by a moving average, and from a bank: energy saved or overspent so far against the cap; debts are
/// paid back within a quarter of the window. Between two rungs the bank makes the choice alternate, so that the average meets the
/// cap (pulse-width modulation of a power actuator; compare Hoffmann, "JouleGuard", SOSP 2015, which splits time between two
/// configurations). Where fewer threads are a choice, each rung counts with the number that takes the least energy of those that latency
/// leaves, the largest of equal ones. Savings are kept up to a twentieth of what the window holds, so that a pause does not allow a burst.
public struct PowerGovernor: BitwiseCopyable, Sendable {
  /// Nil for no cap.
  public private(set) var capMilliwatts: Double?
  public private(set) var windowNanoseconds = 10_000_000_000.0
  /// What the machine takes whatever is run.
  public private(set) var staticMilliwatts = 0.0
  /// Of one inference; nil for no limit.
  public private(set) var maximumNanojoules: Double?
  /// The rung of least energy instead of the best one that the limits allow.
  public private(set) var prefersLeastEnergy = false
  /// What an inference takes over what its rung's curve says: measured, see ``EnergyScale``; 1 where nothing measures.
  public var scale = 1.0
  /// Energies with fewer threads; nil where a run always has all.
  public var threads: ThreadTable?

  private var energies: InlineArray<64, CostCurve>
  private let rungCount: Int
  private var lastBegin = 0
  private var hasLast = false
  private var lastNanojoules = 0.0
  private var interval = 0.0
  /// In nanojoules: milliwatts times nanoseconds are 10⁻³ of them.
  private var bank = 0.0

  /// - Parameter rungCount: 1 to ``ControllerConfiguration/maximumRungs``.
  public init(rungCount: Int) {
    self.rungCount = min(max(rungCount, 1), ControllerConfiguration.maximumRungs)
    energies = InlineArray(repeating: CostCurve())
  }

  /// - Parameter points: nanojoules in place of nanoseconds.
  public mutating func setEnergy(rung: Int, points: [CostPoint]) throws(AdaptQError) {
    if rung < 0 || rung >= rungCount {
      throw AdaptQError(.outOfRange, "rung: \(rung), allowed are 0 to \(rungCount - 1)")
    }
    energies[rung] = try CostCurve(points: points)
  }

  /// The same with a curve of nanojoules; a rung that does not exist is ignored.
  public mutating func setEnergy(rung: Int, curve: CostCurve) {
    if rung >= 0 && rung < rungCount { energies[rung] = curve }
  }

  /// - Parameters:
  ///   - milliwatts: nil for no cap.
  ///   - window: nanoseconds over which the average counts, above 0.
  ///   - maximumNanojoules: of one inference, without static power; nil for no limit.
  ///   - prefersLeastEnergy: choose the rung of least energy, of equal ones the better.
  public mutating func setBudget(
    milliwatts: Double?, window: Int, staticMilliwatts: Double, maximumNanojoules: Double?,
    prefersLeastEnergy: Bool = false
  ) {
    self.prefersLeastEnergy = prefersLeastEnergy
    capMilliwatts = milliwatts
    windowNanoseconds = Double(max(window, 1))
    self.staticMilliwatts = max(staticMilliwatts, 0)
    self.maximumNanojoules = maximumNanojoules
    bank = 0
    hasLast = false
    interval = 0
  }

  public var hasBudget: Bool { capMilliwatts != nil || maximumNanojoules != nil || prefersLeastEnergy }

  /// Expected energy of a rung, 0 where unknown.
  ///
  /// - Parameter row: of ``threads``.
  @inline(__always)
  public func nanojoules(rung: Int, work: Int, row: Int = 0) -> Double {
    modelledNanojoules(rung: rung, work: work, row: row) * scale
  }

  /// The same without ``scale``.
  @inline(__always)
  public func modelledNanojoules(rung: Int, work: Int, row: Int = 0) -> Double {
    if row > 0, let threads { return threads.nanojoules(row: row, rung: rung, work: work) }
    return rung >= 0 && rung < rungCount ? energies[rung].nanoseconds(Double(max(work, 1))) : 0
  }

  /// The number of threads with which a rung takes the least energy, of those offered; 0 nJ where none is, or none is known.
  @inline(__always)
  private func least(_ rung: Int, _ work: Int, _ offer: RungOffer, _ end: Int) -> (row: Int, nanojoules: Double) {
    var best = (row: offer.firstRow, nanojoules: 0.0)
    for row in offer.firstRow..<end where offer[row] >> UInt64(truncatingIfNeeded: rung) & 1 == 1 {
      let own = nanojoules(rung: rung, work: work, row: row)
      if own > 0 && (best.nanojoules == 0 || own < best.nanojoules) { best = (row, own) }
    }
    return best
  }

  /// Energy that was saved (above 0) or overspent beyond what runs were charged, as measurements show.
  public mutating func correct(nanojoules: Double) {
    guard let cap = capMilliwatts, nanojoules.isFinite else { return }
    bank += nanojoules
    keepBank(cap)
  }

  /// How long a run at the rung of least energy must wait for the power to hold, counted from `time`; 0 where it need not, or
  /// where no wait helps. Asked before ``decide(time:work:offer:)``.
  public func wait(time: Int, work: Int, allowed: UInt64) -> Int {
    wait(time: time, work: work, offer: RungOffer(allowed))
  }

  /// The same where fewer threads are a choice.
  public func wait(time: Int, work: Int, offer: RungOffer) -> Int {
    guard let cap = capMilliwatts, hasLast, cap > staticMilliwatts else { return 0 }
    var least = Double.infinity
    let end = offer.endRow
    for rung in 0..<rungCount {
      let own = self.least(rung, work, offer, end).nanojoules
      if own > 0 { least = min(least, own) }
    }
    let (elapsed, overflow) = time.subtractingReportingOverflow(lastBegin)
    if !least.isFinite || overflow || elapsed < 0 { return 0 }
    // Not before the bank holds what it takes, but no slower than the power allows; a quarter slower while there are debts.
    let room = (cap - staticMilliwatts) * 1e-3
    let after = bank + room * Double(elapsed) - lastNanojoules
    let pace = least / room * (after < -least ? 1.25 : 1) - Double(elapsed)
    return clampedInt(min((least - after) / room, pace).rounded(.up), in: 0...CostCurve.maximumNanoseconds)
  }

  /// Call when a run begins.
  ///
  /// - Parameters:
  ///   - time: nanoseconds of a clock that should not go back.
  ///   - allowed: rungs that may be chosen, by bit.
  public mutating func decide(time: Int, work: Int, allowed: UInt64) -> PowerDecision {
    decide(time: time, work: work, offer: RungOffer(allowed))
  }

  /// The same where fewer threads are a choice.
  public mutating func decide(time: Int, work: Int, offer: RungOffer) -> PowerDecision {
    var decision = PowerDecision()
    decision.row = offer.firstRow
    account(time)
    if !hasBudget { return decision }
    var limit = maximumNanojoules ?? .infinity
    if let cap = capMilliwatts, interval > 0 {
      // Savings may be spent at once, debts are paid back bit by bit.
      let share = bank > 0 ? 1 : min(interval / (windowNanoseconds / 4), 1)
      limit = min(limit, (cap - staticMilliwatts) * interval * 1e-3 + bank * share)
    }
    let end = offer.endRow
    var isKnown = false
    for rung in 0..<rungCount {
      let (row, own) = least(rung, work, offer, end)
      if own <= 0 { continue }
      let fits = own <= limit && !prefersLeastEnergy
      if fits || !isKnown || own < decision.nanojoules {
        decision.rung = rung
        decision.row = row
        decision.nanojoules = own
      }
      if fits { return decision }
      isKnown = true
    }
    if !isKnown { return decision }
    if decision.nanojoules <= limit { return decision }
    if let maximum = maximumNanojoules, decision.nanojoules > maximum { decision.isUnreachable = true }
    if let cap = capMilliwatts {
      let room = cap - staticMilliwatts
      if room <= 0 {
        decision.isUnreachable = true
      } else if interval > 0 && decision.nanojoules > room * interval * 1e-3 {
        decision.isUnreachable = true
        decision.recommendedIntervalNanoseconds = clampedInt(
          decision.nanojoules / room * 1e3, in: 1...CostCurve.maximumNanoseconds)
      }
    }
    return decision
  }

  /// Call when a run has ended, with the rung it used, and the row of the threads.
  public mutating func observe(rung: Int, work: Int, row: Int = 0) {
    lastNanojoules = nanojoules(rung: rung, work: work, row: row)
  }

  private mutating func account(_ time: Int) {
    defer {
      lastBegin = time
      hasLast = true
      lastNanojoules = 0
    }
    if !hasLast { return }
    let (difference, overflow) = time.subtractingReportingOverflow(lastBegin)
    if overflow || difference <= 0 { return }
    let elapsed = Double(difference)
    // A pause is not yet another rate of calls.
    let seen = interval == 0 ? min(elapsed, windowNanoseconds) : min(elapsed, interval * 4)
    interval = interval == 0 ? seen : interval + (seen - interval) * 0.1
    guard let cap = capMilliwatts else { return }
    bank += (cap - staticMilliwatts) * elapsed * 1e-3 - lastNanojoules
    keepBank(cap)
  }

  private mutating func keepBank(_ cap: Double) {
    let whole = max(cap, staticMilliwatts) * windowNanoseconds * 1e-3
    bank = min(max(bank, -whole), whole / 20)
  }
}
