import Base
import CAdaptQ
import Runtime

/// Where a session's trace goes.
struct TraceTarget {
  var callback: adaptq_trace_callback?
  var context: UnsafeMutableRawPointer?
  /// Names of the model's sites.
  var sites: UnsafePointer<UnsafePointer<CChar>?>
}

/// Turns a run's event into the C one. On the run path: nothing but pointers.
@c func forwardTrace(_ target: UnsafeMutableRawPointer?, _ event: UnsafeRawPointer) {
  guard let target = target?.assumingMemoryBound(to: TraceTarget.self), let callback = target.pointee.callback else {
    return
  }
  let traced = event.assumingMemoryBound(to: TraceEvent.self)
  let site = traced.pointee.site
  var value = adaptq_trace_event()
  value.struct_size = MemoryLayout<adaptq_trace_event>.size
  value.operation = staticText(traced.pointee.operation)
  value.site = site < 0 ? nil : target.pointee.sites[site]
  value.site_index = Int64(site)
  value.step = UInt64(truncatingIfNeeded: traced.pointee.step)
  value.step_count = UInt64(truncatingIfNeeded: traced.pointee.stepCount)
  value.level = Int32(traced.pointee.level)
  value.begin_ns = Int64(traced.pointee.beginNanoseconds)
  value.end_ns = Int64(traced.pointee.endNanoseconds)
  callback(target.pointee.context, &value)
}

@c @implementation public func adaptq_session_set_trace(
  _ session: OpaquePointer?, _ callback: adaptq_trace_callback?, _ context: UnsafeMutableRawPointer?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      object.setTrace(callback, context)
    }
  }
}

@c @implementation public func adaptq_session_cancel(_ session: OpaquePointer?) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in object.session.cancel() }
  }
}
