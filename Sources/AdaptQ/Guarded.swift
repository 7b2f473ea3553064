import Base
import CAdaptQ
import CMachine

// How an exported function is written. Inside `guarded` everything throws AdaptQError; outside there are only the status
// and the text of adaptq_last_error():
//
//     @c @implementation public func adaptq_model_levels(
//       _ model: OpaquePointer?, _ out: UnsafeMutablePointer<UInt32>?
//     ) -> adaptq_status {
//       guarded { () throws(AdaptQError) in
//         let out = try required(out, "out")
//         try withHandle(model, as: ModelObject.self) { (model) throws(AdaptQError) in out.pointee = model.levels }
//       }
//     }
//
// A function that makes a handle uses `guardedNewHandle`, which sets *out to NULL on every error; one that destroys a
// handle is a single call of `destroyHandle`. Check first, write the caller's memory last: on an error it must be untouched.

/// Runs an exported function's body and turns what it throws into a status and an error text. The body has the default
/// floating-point environment; the host has its own again afterwards.
@inline(__always)
func guarded(_ body: () throws(AdaptQError) -> Void) -> adaptq_status {
  var outer = cmachine_floating()
  cmachine_enter_floating(&outer)
  defer { cmachine_leave_floating(&outer) }
  do {
    try body()
    return Status.ok.rawValue
  } catch {
    return failed(error)
  }
}

/// Like `guarded` for a function that makes a handle: the object that `make` returns becomes `*out`.
func guardedNewHandle<Object: HandleObject>(
  _ out: UnsafeMutablePointer<OpaquePointer?>?, _ make: () throws(AdaptQError) -> Object
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    let out = try required(out, "out")
    out.pointee = nil
    out.pointee = try HandleTable.insert(make())
  }
}

@inline(never)
private func failed(_ error: AdaptQError) -> adaptq_status {
  setLastError(error.message)
  return error.status.rawValue
}

/// The pointer itself, or ADAPTQ_INVALID_ARGUMENT that names the parameter.
@inline(__always)
func required<Pointer>(_ pointer: Pointer?, _ name: StaticString) throws(AdaptQError) -> Pointer {
  guard let pointer else { throw .invalidArgument("\(name) is NULL") }
  return pointer
}

/// Bytes that the library writes into a host's buffer: `size` gets their number, also where `capacity` is too small for them.
func giveBytes(
  _ needed: Int, _ buffer: UnsafeMutableRawPointer?, _ capacity: Int, _ size: UnsafeMutablePointer<Int>,
  _ write: (UnsafeMutableRawPointer) -> Void
) throws(AdaptQError) {
  if UInt(bitPattern: capacity) < UInt(bitPattern: needed) {
    size.pointee = needed
    throw AdaptQError(.bufferTooSmall, "capacity is \(UInt(bitPattern: capacity)), needs \(needed)")
  }
  write(try required(buffer, "buffer"))
  size.pointee = needed
}
