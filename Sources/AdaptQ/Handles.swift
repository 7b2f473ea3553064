import Base
import CAdaptQ
import CMachine

// What exported functions do with handles. The object handed to `body` stays alive until `body` returns, also when another
// thread destroys the handle meanwhile.

/// Any number of threads at once, also during a run: setters and questions that are safe at any time.
@inline(__always)
func withHandle<Object: HandleObject, Result>(
  _ handle: OpaquePointer?, as: Object.Type, _ body: (Object) throws(AdaptQError) -> Result
) throws(AdaptQError) -> Result {
  let slot = try HandleTable.enter(handle, Object.handleKind, running: false)
  defer { HandleTable.leave(slot, running: false) }
  return try body(object(in: slot, as: Object.self))
}

/// At most one thread at a time; a second one gets ADAPTQ_BUSY, as does destroying the handle: run and prepare.
@inline(__always)
func withRunningHandle<Object: HandleObject, Result>(
  _ handle: OpaquePointer?, as: Object.Type, _ body: (Object) throws(AdaptQError) -> Result
) throws(AdaptQError) -> Result {
  let slot = try HandleTable.enter(handle, Object.handleKind, running: true)
  defer { HandleTable.leave(slot, running: true) }
  return try body(object(in: slot, as: Object.self))
}

/// The same for the run path: only the part of the object that `part` names is handed on, a trivial value, so that no
/// reference is counted.
@inline(__always)
func withRunningHandle<Object: HandleObject, Part: BitwiseCopyable>(
  _ handle: OpaquePointer?, as: Object.Type, _ part: (Object) -> Part, _ body: (Part) throws(AdaptQError) -> Void
) throws(AdaptQError) {
  let slot = try HandleTable.enter(handle, Object.handleKind, running: true)
  defer { HandleTable.leave(slot, running: true) }
  guard let pointer = UnsafeRawPointer(bitPattern: UInt(slot.object.pointee)) else {
    throw .internalError("the handle has no object")
  }
  try body(Unmanaged<Object>.fromOpaque(pointer)._withUnsafeGuaranteedRef(part))
}

/// Reads what a run writes, without ever making a run wait or fail: ADAPTQ_BUSY if a run is in progress or begins before
/// `body` has returned. What `body` read may then be torn, so it copies into memory of its own (never into the caller's)
/// and `finish` hands out the copy.
@inline(__always)
func withObservedHandle<Object: HandleObject, Copy>(
  _ handle: OpaquePointer?, as: Object.Type, copying body: (Object) throws(AdaptQError) -> Copy,
  finish: (Copy) throws(AdaptQError) -> Void
) throws(AdaptQError) {
  let slot = try HandleTable.enter(handle, Object.handleKind, running: false)
  defer { HandleTable.leave(slot, running: false) }
  // A run marks the slot, then counts itself, works, and removes the mark. Count before mark here and mark before count
  // below see every run that touches the interval.
  let runs = cmachine_atomic_load(slot.runs)
  if SlotState(bits: cmachine_atomic_load(slot.state)).isRunning { throw HandleTable.busy(Object.handleKind) }
  let copy = try body(object(in: slot, as: Object.self))
  cmachine_atomic_read_fence()
  if SlotState(bits: cmachine_atomic_load(slot.state)).isRunning || cmachine_atomic_load(slot.runs) != runs {
    throw HandleTable.busy(Object.handleKind)
  }
  try finish(copy)
}

/// A whole destroy function. NULL does nothing.
func destroyHandle<Object: HandleObject>(_ handle: OpaquePointer?, as: Object.Type) -> adaptq_status {
  if handle == nil { return Status.ok.rawValue }
  return guarded { () throws(AdaptQError) in try HandleTable.destroy(handle, Object.handleKind) }
}

@inline(__always)
private func object<Object: HandleObject>(in slot: HandleSlot, as: Object.Type) throws(AdaptQError) -> Object {
  guard let pointer = UnsafeRawPointer(bitPattern: UInt(slot.object.pointee)) else {
    throw .internalError("\(Object.handleKind.name): the handle has no object")
  }
  // The kind in the slot's state is that of Object: `insert` wrote it from the same type.
  return Unmanaged<Object>.fromOpaque(pointer).takeUnretainedValue()
}
