import Base
import Control

/// Chooses a rung before each call and sees the latency after it.
protocol Policy {
  mutating func choose(work: Int) -> Int
  mutating func observe(rung: Int, work: Int, nanoseconds: Int, waited: Int)
}

/// The code that ships.
struct ControllerPolicy: Policy {
  var controller: LatencyController
  /// Whether it is told which calls waited for the CPU, as the runtime tells it where the system does.
  var knowsWaits = true

  mutating func choose(work: Int) -> Int { controller.decide(work: work).rung }

  mutating func observe(rung: Int, work: Int, nanoseconds: Int, waited: Int) {
    controller.observe(
      rung: rung, work: work, latencyNanoseconds: nanoseconds, wasInterrupted: knowsWaits ? waited > 0 : nil)
  }
}

struct FixedPolicy: Policy {
  let rung: Int

  mutating func choose(work: Int) -> Int { rung }
  mutating func observe(rung: Int, work: Int, nanoseconds: Int, waited: Int) {}
}

/// A plain controller of the textbook: the rung is a number that follows the distance of the latency from a set point, in
/// proportion, by its sum and by its change, rounded when it is used. It knows neither costs nor percentiles.
///
/// Gains and set point are the best but one of 1,344 tried on the traces `steady` and `step` of all ladders, by excess loss plus
/// twenty times what is missed above 1 %; the best one, without a proportional part, is half a per cent better.
struct PIDPolicy: Policy {
  let rungCount: Int
  let budget: Double
  var proportional = 0.05
  var integral = 0.2
  var derivative = 0.0
  /// Share of the budget that latencies are led to.
  var setPoint = 0.65
  private var position = 0.0
  private var last = 0.0
  private var beforeLast = 0.0

  init(rungCount: Int, budget: Double) {
    self.rungCount = rungCount
    self.budget = budget
  }

  mutating func choose(work: Int) -> Int { clampedInt(position, in: 0...(rungCount - 1)) }

  mutating func observe(rung: Int, work: Int, nanoseconds: Int, waited: Int) {
    // Positive: too slow, so further down the ladder. The velocity form, whose sum cannot wind up.
    let error = Double(nanoseconds) / budget - setPoint
    let change = proportional * (error - last) + integral * error + derivative * (error - 2 * last + beforeLast)
    position = min(max(position + change * Double(rungCount - 1), 0), Double(rungCount - 1))
    beforeLast = last
    last = error
  }
}

/// Follows a list of rungs, such as the oracle's.
struct PlannedPolicy: Policy {
  let rungs: [UInt8]
  private var call = 0

  init(rungs: [UInt8]) { self.rungs = rungs }

  mutating func choose(work: Int) -> Int {
    defer { call += 1 }
    return call < rungs.count ? Int(rungs[call]) : 0
  }

  mutating func observe(rung: Int, work: Int, nanoseconds: Int, waited: Int) {}
}
