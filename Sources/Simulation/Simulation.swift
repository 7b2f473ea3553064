import Base
import Control

/// One ladder, one trace, one seed: what policies do with it.
struct Simulation {
  let machine: SimulatedMachine
  let trace: LoadTrace
  private let samples: [CallSample]
  /// Calls that even the fastest rung would have missed.
  let unavoidable: [Bool]

  init(_ ladder: Ladder, _ trace: LoadTrace, seed: UInt64) {
    let machine = SimulatedMachine(ladder: ladder)
    self.machine = machine
    self.trace = trace
    let samples = trace.moments.indices.map { CallSample(seed: seed, call: $0) }
    self.samples = samples
    var unavoidable: [Bool] = []
    for (call, moment) in trace.moments.enumerated() {
      let time = machine.latency(machine.fastest(moment), moment, samples[call], isCold: false)
      unavoidable.append(time > ladder.budget)
    }
    self.unavoidable = unavoidable
  }

  /// What every evaluation takes: 1000 to 1,000,000 calls, 1 to 1000 seeds.
  static func checkSize(calls: Int, seeds: Int) throws(AdaptQError) {
    if !(1000...1_000_000).contains(calls) {
      throw AdaptQError(.outOfRange, "calls: \(calls), allowed are 1000 to 1000000")
    }
    if !(1...1000).contains(seeds) { throw AdaptQError(.outOfRange, "seeds: \(seeds), allowed are 1 to 1000") }
  }

  /// What a policy did, call by call.
  struct Course {
    var rungs: [UInt8] = []
    var missed: [Bool] = []
    /// Nanoseconds that all calls ran, without waiting.
    var ran = 0.0
  }

  func run(_ policy: inout some Policy) -> Course {
    var course = Course()
    course.rungs.reserveCapacity(trace.moments.count)
    course.missed.reserveCapacity(trace.moments.count)
    var last = -1
    for (call, moment) in trace.moments.enumerated() {
      let rung = policy.choose(work: moment.work)
      let time = machine.time(rung, moment, samples[call], isCold: last >= 0 && rung != last)
      policy.observe(
        rung: rung, work: moment.work, nanoseconds: clampedInt(time.nanoseconds, in: 1...Int.max),
        waited: clampedInt(time.waited, in: 0...Int.max))
      course.rungs.append(UInt8(truncatingIfNeeded: rung))
      course.missed.append(time.nanoseconds > machine.ladder.budget)
      course.ran += time.nanoseconds - time.waited
      last = rung
    }
    return course
  }
}

extension Simulation {
  /// What one course shows, without comparison.
  struct Summary: Equatable {
    /// Shares of all calls.
    var missed = 0.0
    var avoidablyMissed = 0.0
    /// Mean loss per call.
    var loss = 0.0
    /// Switches per 100 calls.
    var switches = 0.0
    /// Time that the calls ran, as a share of the budget: energy, where computing and fetching draw the same power.
    var ran = 0.0
  }

  func summary(_ course: Course) -> Summary {
    var result = Summary()
    let count = Double(max(trace.moments.count, 1))
    for call in course.rungs.indices {
      if course.missed[call] {
        result.missed += 1 / count
        if !unavoidable[call] { result.avoidablyMissed += 1 / count }
      }
      result.loss += machine.ladder.rungs[Int(course.rungs[call])].loss / count
      if call > 0 && course.rungs[call] != course.rungs[call - 1] { result.switches += 100 / count }
    }
    result.ran = course.ran / count / machine.ladder.budget
    return result
  }

  /// How a course takes one step of the load.
  struct StepAnswer {
    var isUp: Bool
    /// Misses in the ten calls from the step on that the oracle does not have.
    var extraMisses: Int
    /// Calls until the rung is within one of the oracle's, and stays so for ten calls; up to the next step if never. On the
    /// way up this means the oracle's of the same call, on the way down the one that it ends with.
    var calls: Int
    /// Rungs between the one before the step and the oracle's after it.
    var rungsBetween: Int
    var dwell: Int
  }

  /// - Parameters:
  ///   - targets: for each call the rung that the oracle would use had the moment lasted for ever.
  ///   - dwell: the controller's.
  func answers(_ course: Course, _ oracle: Course, targets: [UInt8], dwell: Int) -> [StepAnswer] {
    trace.steps.enumerated().compactMap { index, step in
      let end = index + 1 < trace.steps.count ? trace.steps[index + 1] : trace.moments.count
      if end - step < 200 || step == 0 { return nil }
      let before = Int(targets[step - 1])
      let target = Int(targets[step])
      if before == target { return nil }
      func misses(_ course: Course) -> Int {
        (step..<step + 10).count { course.missed[$0] && !unavoidable[$0] }
      }
      var settled = end
      var inside = 0
      for call in step..<end {
        let right = target > before ? Int(oracle.rungs[call]) : target
        inside = abs(Int(course.rungs[call]) - right) <= 1 ? inside + 1 : 0
        if inside == 10 {
          settled = call - 9
          break
        }
      }
      return StepAnswer(
        isUp: target > before, extraMisses: max(misses(course) - misses(oracle), 0), calls: settled - step,
        rungsBetween: abs(target - Int(course.rungs[step - 1])), dwell: dwell)
    }
  }
}
