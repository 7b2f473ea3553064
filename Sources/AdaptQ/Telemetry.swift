import Base
import CAdaptQ
import Control
import NestedFormat
import Runtime

@c @implementation public func adaptq_session_telemetry(
  _ session: OpaquePointer?, _ entries: UnsafeMutablePointer<adaptq_telemetry>?, _ capacity: Int,
  _ count: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    let count = try required(count, "count")
    let wanted = min(capacity < 0 ? Int.max : capacity, Session.telemetryCapacity)
    let target = try StructArray(
      UnsafePointer(entries), count: wanted, "adaptq_telemetry", parameter: "entries",
      firstSize: FirstSize.telemetry, checkingAll: false)
    try withObservedHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      object.session.lastInferences(wanted)
    } finish: { (kept) throws(AdaptQError) in
      for (index, inference) in kept.enumerated() {
        var value = adaptq_telemetry()
        value.sequence = inference.record.sequence &+ 1
        value.latency_ns = inference.record.latencyNanoseconds
        value.budget_ns = inference.record.budgetNanoseconds
        value.work = inference.record.work
        value.level = Int32(inference.level.rawValue)
        value.reason = Int32(inference.record.reason.rawValue) &+ 1
        value.budget_missed = inference.record.missed ? 1 : 0
        value.plan = inference.record.rung
        value.power_unreachable = inference.record.powerUnreachable ? 1 : 0
        value.energy_source = Int32(inference.record.energySource.rawValue)
        value.energy_mj = Double(inference.record.nanojoules) * 1e-6
        value.recommended_interval_ns = inference.record.recommendedIntervalNanoseconds
        value.threads = inference.record.threads
        target.write(value, at: index)
      }
      count.pointee = kept.count
    }
  }
}

@c @implementation public func adaptq_session_telemetry_sites(
  _ session: OpaquePointer?, _ sequence: UInt64, _ levels: UnsafeMutablePointer<adaptq_level>?, _ count: Int
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    let levels = try required(levels, "levels")
    try withObservedHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let sites = object.session.model.graph.sites.count
      if count != sites { throw .invalidArgument("count is \(UInt(bitPattern: count)); the model has \(sites) sites") }
      return object.session.siteLevels(sequence: sequence)
    } finish: { (kept) throws(AdaptQError) in
      guard let kept else {
        throw AdaptQError(.notFound, "sequence \(sequence): not among the last \(Session.telemetryCapacity) inferences")
      }
      for (index, level) in kept.enumerated() { levels[index] = Int32(level.rawValue) }
    }
  }
}

@c @implementation public func adaptq_reason_name(_ reason: Int32) -> UnsafePointer<CChar>? {
  switch reason {
  case 1: staticText("initial")
  case 2: staticText("fixed")
  case 3: staticText("budget missed")
  case 4: staticText("predicted miss")
  case 5: staticText("headroom")
  case 6: staticText("ascent failed")
  case 7: staticText("levels changed")
  case 8: staticText("budget changed")
  case 9: staticText("no budget")
  case 10: staticText("work changed")
  case 11: staticText("deadline")
  case 12: staticText("probe")
  case 13: staticText("power")
  default: staticText("unknown")
  }
}
