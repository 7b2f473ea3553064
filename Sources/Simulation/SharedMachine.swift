import Base
import Control
import Glibc

/// Two budgeted sessions at once: each slows the other down by as much as it computes itself, so that what one chooses is the
/// other's load. Both take one call per budget, in turn.
public struct SharedMachine: Sendable {
  /// What one of the sessions did.
  public struct Result: Sendable {
    public var ladder: String
    /// Calls above the budget that the fastest rung would not have missed, as a share.
    public var missed: Interval
    public var loss: Interval
    /// Switches per 100 calls, and those later than 200 calls after a step of the load from outside: swinging.
    public var switches: Interval
    public var settledSwitches: Interval
    /// Misses that the fastest rung would not have had, in the ten calls after each pause; nil without pauses.
    public var missesAfterPause: Interval?
  }

  /// The second session makes `calls` calls and then pauses for as long as the first one needs for `length` calls.
  public struct Pauses: Sendable {
    public var calls: Int
    public var length: Int
    /// Whether the sessions belong to one runtime: after a pause a session begins at the slow-down that the other one saw last.
    public var isSharing: Bool

    public init(calls: Int = 60, length: Int = 350, isSharing: Bool) {
      self.calls = calls
      self.length = length
      self.isSharing = isSharing
    }
  }

  public var sessions: [Result]
  /// Slow-down by a neighbour that computes all the time.
  public static let coupling = 0.8

  /// - Parameters:
  ///   - ladders: of the two sessions.
  ///   - calls, seed, seeds: as in ``Evaluation``.
  ///   - pauses: of the second session; nil for none.
  public init(
    _ ladders: (Ladder, Ladder), calls: Int, seed: Int, seeds: Int, pauses: Pauses? = nil
  ) throws(AdaptQError) {
    try Simulation.checkSize(calls: calls, seeds: seeds)
    var all: [[Session]] = [[], []]
    for run in 0..<seeds {
      let both = try Self.run(ladders, calls: calls, seed: UInt64(truncatingIfNeeded: seed &+ run), pauses)
      all[0].append(both.0)
      all[1].append(both.1)
    }
    sessions = all.map { runs in
      func interval(_ value: (Session) -> Double) -> Interval { Interval(runs.map { value($0) / max($0.calls, 1) }) }
      return Result(
        ladder: runs.first?.machine.ladder.name ?? "", missed: interval { $0.missed }, loss: interval { $0.loss },
        switches: interval { $0.switches * 100 }, settledSwitches: interval { $0.settledSwitches * 100 * 5 / 4 },
        missesAfterPause: (runs.first?.pauses ?? 0) > 0
          ? Interval(runs.map { $0.missedAfterPause / max($0.pauses, 1) }) : nil)
    }
  }

  private struct Session {
    let machine: SimulatedMachine
    let seed: UInt64
    var controller: LatencyController
    var rung = 0
    var lastRung = -1
    var missed = 0.0
    var loss = 0.0
    var switches = 0.0
    var settledSwitches = 0.0
    var calls = 0.0
    var pauses = 0.0
    var missedAfterPause = 0.0
    var callsSincePause = Int.max / 2
    /// Virtual nanoseconds.
    var lastTime = 0

    init(_ ladder: Ladder, seed: UInt64) throws(AdaptQError) {
      machine = SimulatedMachine(ladder: ladder)
      self.seed = seed
      controller = try Evaluation.controller(ladder, seed: seed)
    }

    /// Share of the time between two calls that this session computes.
    var utilization: Double { min(machine.ladder.time(rung) / machine.ladder.budget, 1) }

    mutating func decide() { rung = controller.decide(work: Ladder.referenceWork).rung }

    /// - Parameter time: when the first call after the pause begins.
    mutating func resume(_ history: [UInt64]?, time: Int) {
      pauses += 1
      callsSincePause = 0
      if let history { controller.resume(change: LoadHistory.change(since: lastTime, at: time) { history[$0] }) }
    }

    mutating func take(_ call: Int, _ moment: Moment, isSettled: Bool) {
      calls += 1
      callsSincePause += 1
      let sample = CallSample(seed: seed, call: call)
      let time = machine.latency(rung, moment, sample, isCold: lastRung >= 0 && rung != lastRung)
      let fastest = machine.latency(machine.fastest(moment), moment, sample, isCold: false)
      controller.observe(
        rung: rung, work: moment.work, latencyNanoseconds: clampedInt(time, in: 1...Int.max), wasInterrupted: false)
      if time > machine.ladder.budget && fastest <= machine.ladder.budget {
        missed += 1
        if callsSincePause <= 10 { missedAfterPause += 1 }
      }
      loss += machine.ladder.rungs[rung].loss
      if lastRung >= 0 && rung != lastRung {
        switches += 1
        if isSettled { settledSwitches += 1 }
      }
      lastRung = rung
    }
  }

  /// Every 1000 calls another load from outside.
  private static let levels = [0, 0.3, 0, 0.5, 0.15]

  private static func run(
    _ ladders: (Ladder, Ladder), calls: Int, seed: UInt64, _ pauses: Pauses?
  ) throws(AdaptQError) -> (Session, Session) {
    var first = try Session(ladders.0, seed: seed &* 2)
    var second = try Session(ladders.1, seed: seed &* 2 &+ 1)
    var history = [UInt64](repeating: 0, count: LoadHistory.wordCount)
    func publish(_ slowdown: Double, _ time: Int) {
      let shared = SharedSlowdown(word: history[0]).merged(slowdown: slowdown, time: time)
      history[0] = shared.word
      history[LoadHistory.word(at: time)] = shared.word
    }
    let headroom = min(ladders.0.headroom, ladders.1.headroom) / (1 + coupling * 0.5)
    for call in 0..<calls {
      let time = clampedInt(Double(call + 1) * ladders.0.budget, in: 1...Int.max)
      var isActive = true
      if let pauses {
        let position = call % (pauses.calls + pauses.length)
        isActive = position < pauses.calls
        if position == 0 && call > 0 { second.resume(pauses.isSharing ? history : nil, time: time) }
      }
      first.decide()
      if isActive { second.decide() }
      let load = pow(max(headroom, 1), levels[call / 1000 % levels.count])
      func moment(_ other: Session, isActive: Bool) -> Moment {
        var moment = Moment()
        moment.compute = load * (1 + (isActive ? coupling * other.utilization : 0))
        moment.memory = pow(moment.compute, 0.8)
        return moment
      }
      let moments = (moment(second, isActive: isActive), moment(first, isActive: true))
      let isSettled = call % 1000 >= 200
      first.take(call, moments.0, isSettled: isSettled)
      publish(first.controller.slowdown, time)
      if !isActive { continue }
      second.take(call, moments.1, isSettled: isSettled)
      second.lastTime = time
      publish(second.controller.slowdown, time)
    }
    return (first, second)
  }
}
