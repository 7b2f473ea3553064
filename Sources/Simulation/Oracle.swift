import Base
import Control

/// The best that anybody could do who knows the distribution of every call's latency, of the past and of the future, but no
/// sample; who keeps every call's probability to miss within what the percentile tolerates, where some rung does (else the
/// rung least likely to miss is right); and who obeys the controller's dwell: down at once, up by one rung at a time, the
/// first one a dwell after going down, each further one a quarter of it later.
///
/// Among all plans that keep to this it is the one with the smallest sum of losses: a shortest path through the states
/// (call, rung, calls to wait before going up), found backwards (dynamic programming). Where a plan cannot keep to it, the
/// excess probability is weighed far above any loss. The cold first run after a switch is weighed, not forbidden, else a
/// rung that holds could be out of reach for ever: one miss uses up what the percentile tolerates in 1 / tolerated calls, and
/// costs as much as that many calls between the best rung and the worst.
///
/// The dwell lies on the load, not on the rung, in the controller: other work may get another rung at once. So calls of each
/// amount of work are planned on their own, while waiting counts all calls; a call after one of other work is taken for cold.
struct Oracle {
  /// Weight of a warm call's probability to miss above what is tolerated, against the loss of one level.
  static let weight = 1e6

  let dwell: Int
  /// What a call may miss with.
  let tolerated: Double

  init(dwell: Int, percentile: Double) {
    self.dwell = dwell
    tolerated = 1 - percentile / 100
  }

  /// Calls to wait before another rung up, after one.
  var quarter: Int { max(dwell / 4, 1) }

  /// What each rung costs at one call: its loss, and what it misses more often than it must.
  struct Row: Equatable {
    /// After a call on the same rung.
    var warm: [Double]
    /// After a call on another rung.
    var cold: [Double]
  }

  func row(_ machine: SimulatedMachine, _ moment: Moment, othersBefore: Bool = false) -> Row {
    let ladder = machine.ladder
    let losses = ladder.rungs.map(\.loss)
    let warm = losses.indices.map { machine.missProbability($0, moment, limit: ladder.budget) }
    let cold = losses.indices.map {
      machine.missProbability($0, moment, limit: ladder.budget / (1 + ladder.coldShare))
    }
    let allowed = max(tolerated, warm.min() ?? 0)
    let price = ((losses.max() ?? 0) - (losses.min() ?? 0)) / tolerated
    let coldCosts = losses.indices.map {
      losses[$0] + Self.weight * max(warm[$0] - allowed, 0) + price * max(cold[$0] - max(warm[$0], allowed), 0)
    }
    if othersBefore { return Row(warm: coldCosts, cold: coldCosts) }
    return Row(warm: losses.indices.map { losses[$0] + Self.weight * max(warm[$0] - allowed, 0) }, cold: coldCosts)
  }

  /// The rung for every call.
  func plan(_ machine: SimulatedMachine, _ trace: LoadTrace) -> [UInt8] {
    var result = [UInt8](repeating: 0, count: trace.moments.count)
    for work in Set(trace.moments.map(\.work)) {
      let calls = trace.moments.indices.filter { trace.moments[$0].work == work }
      let gaps = calls.indices.map { $0 == 0 ? 1 : calls[$0] - calls[$0 - 1] }
      var rows: [Row] = []
      for (index, call) in calls.enumerated() {
        // Most calls are like the one before.
        let repeats = index > 0 && trace.moments[call] == trace.moments[calls[index - 1]]
        if let last = rows.last, repeats, index > 1, (gaps[index] > 1) == (gaps[index - 1] > 1) {
          rows.append(last)
        } else {
          rows.append(row(machine, trace.moments[call], othersBefore: gaps[index] > 1))
        }
      }
      for (call, rung) in zip(calls, cheapest(rows, gaps: gaps)) { result[call] = rung }
    }
    return result
  }

  /// For every call the rung that would be right had its moment lasted for ever.
  func targets(_ machine: SimulatedMachine, _ trace: LoadTrace) -> [UInt8] {
    var result: [UInt8] = []
    for (call, moment) in trace.moments.enumerated() {
      if call > 0 && moment == trace.moments[call - 1] {
        result.append(result[call - 1])
        continue
      }
      let costs = row(machine, moment).warm
      result.append(UInt8(truncatingIfNeeded: costs.indices.min { costs[$0] < costs[$1] } ?? 0))
    }
    return result
  }

  /// The cheapest sequence of rungs that obeys the dwell.
  ///
  /// - Parameters:
  ///   - rows: costs of every rung, call by call.
  ///   - gaps: calls, of any work, from the call before to this one.
  func cheapest(_ rows: [Row], gaps: [Int]) -> [UInt8] {
    guard let rungCount = rows.first?.warm.count, rungCount > 0 else { return [] }
    let waits = dwell + 1
    // next[rung · waits + wait]: cheapest rest behind a call at this rung, with so many calls to wait before going up.
    var value = [Double](repeating: 0, count: rungCount * waits)
    var next = value
    var choices = [UInt8](repeating: 0, count: rows.count * rungCount * waits)
    var first: [Double] = []
    for call in rows.indices.reversed() {
      let row = rows[call]
      if call == 0 { first = (0..<rungCount).map { row.warm[$0] + next[$0 * waits] } }
      var down = (cost: Double.infinity, rung: 0)
      for rung in stride(from: rungCount - 1, through: 0, by: -1) {
        let up = rung > 0 ? row.cold[rung - 1] + next[(rung - 1) * waits + quarter] : .infinity
        for wait in 0..<waits {
          let left = max(wait - gaps[call], 0)
          var best = (cost: row.warm[rung] + next[rung * waits + left], rung: rung)
          if down.cost < best.cost { best = down }
          if left == 0 && up < best.cost { best = (up, rung - 1) }
          value[rung * waits + wait] = best.cost
          choices[(call * rungCount + rung) * waits + wait] = UInt8(truncatingIfNeeded: best.rung)
        }
        let cost = row.cold[rung] + next[rung * waits + dwell]
        // Of equal ones the nearest.
        if cost <= down.cost { down = (cost, rung) }
      }
      swap(&value, &next)
    }
    // The first call may be anywhere.
    var rung = 0
    for other in 0..<rungCount where first[other] < first[rung] { rung = other }
    var wait = 0
    var result = [UInt8(truncatingIfNeeded: rung)]
    for call in rows.indices.dropFirst() {
      let chosen = Int(choices[(call * rungCount + rung) * waits + wait])
      wait = waitAfter(from: rung, to: chosen, wait: wait, gap: gaps[call])
      rung = chosen
      result.append(UInt8(truncatingIfNeeded: rung))
    }
    return result
  }

  /// Calls to wait before going up, after a call at `to`.
  func waitAfter(from: Int, to: Int, wait: Int, gap: Int) -> Int {
    if to > from { return dwell }
    if to < from { return quarter }
    return max(wait - gap, 0)
  }
}
