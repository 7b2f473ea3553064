import Base
import CAdaptQ
import Runtime

// A session's states between runs. They mark the handle as running, so that no run sees half of a change.

@c @implementation public func adaptq_session_reset_state(_ session: OpaquePointer?) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      object.session.resetState()
    }
  }
}

@c @implementation public func adaptq_session_state_save(
  _ session: OpaquePointer?, _ buffer: UnsafeMutableRawPointer?, _ capacity: Int, _ size: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let size = try required(size, "size")
      try giveBytes(object.session.savedStateByteCount, buffer, capacity, size) { object.session.saveState(into: $0) }
    }
  }
}

@c @implementation public func adaptq_session_state_restore(
  _ session: OpaquePointer?, _ data: UnsafeRawPointer?, _ size: Int
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let data = try required(data, "data")
      let expected = object.session.savedStateByteCount
      if size != expected {
        throw .invalidArgument(
          "size is \(UInt(bitPattern: size)); states of this model are saved in \(expected) bytes")
      }
      try object.session.restoreState(from: UnsafeRawBufferPointer(start: data, count: size))
    }
  }
}
