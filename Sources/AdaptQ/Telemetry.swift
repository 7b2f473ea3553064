import Base
import CAdaptQ
import Control
import NestedFormat
import Runtime

// Both readers only observe: they never make a run wait or fail, and answer ADAPTQ_BUSY when one came in between. What they
// read lies in the session's own block, which no preparation replaces.

@c @implementation public func adaptq_session_telemetry(
  _ session: OpaquePointer?, _ entries: UnsafeMutablePointer<adaptq_telemetry>?, _ capacity: Int,
  _ count: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  withUnsafeTemporaryAllocation(of: InferenceRecord.self, capacity: Session.telemetryCapacity) { records in
    guarded { () throws(AdaptQError) in
      let wanted = min(capacity < 0 ? Int.max : capacity, Session.telemetryCapacity)
      try withObservedHandle(
        session, as: SessionObject.self,
        copying: { (object) throws(AdaptQError) in
          guard let base = records.baseAddress else { throw .internalError("no room for telemetry") }
          return (session: object.session, copied: object.session.copyTelemetry(into: base, capacity: wanted))
        },
        finish: { (copy) throws(AdaptQError) in
          let count = try required(count, "count")
          let target = try StructArray(
            UnsafePointer(entries), count: wanted, "adaptq_telemetry", parameter: "entries", checkingAll: false)
          for index in 0..<copy.copied { target.write(entry(records[index], copy.session), at: index) }
          count.pointee = copy.copied
        })
    }
  }
}

private func entry(_ record: InferenceRecord, _ session: Session) -> adaptq_telemetry {
  var value = adaptq_telemetry()
  value.sequence = record.sequence &+ 1
  value.latency_ns = record.latencyNanoseconds
  value.budget_ns = record.budgetNanoseconds
  value.work = record.work
  value.level = Int32(session.level(ofRung: Int(record.rung)).rawValue)
  value.reason = Int32(record.reason.rawValue) &+ 1
  value.budget_missed = record.missed ? 1 : 0
  return value
}

@c @implementation public func adaptq_session_telemetry_sites(
  _ session: OpaquePointer?, _ sequence: UInt64, _ levels: UnsafeMutablePointer<adaptq_level>?, _ count: Int
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withObservedHandle(
      session, as: SessionObject.self,
      copying: { (object) throws(AdaptQError) in
        (sites: object.session.model.graph.sites.count, kept: object.session.siteLevels(sequence: sequence))
      },
      finish: { (copy) throws(AdaptQError) in
        let levels = try required(levels, "levels")
        if count != copy.sites {
          throw .invalidArgument("count is \(UInt(bitPattern: count)); the model has \(copy.sites) sites")
        }
        guard let kept = copy.kept else {
          throw AdaptQError(
            .notFound, "sequence \(sequence): not among the last \(Session.telemetryCapacity) inferences")
        }
        for (index, level) in kept.enumerated() { levels[index] = Int32(level.rawValue) }
      })
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
  default: staticText("unknown")
  }
}
