import Base
import CAdaptQ
import Runtime

// What a session knows about costs, as bytes that a host keeps. They mark the handle as running, so that no run sees half of a
// change.

@c @implementation public func adaptq_session_prepare_info(
  _ session: OpaquePointer?, _ info: UnsafeMutablePointer<adaptq_prepare_info>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let target = try OutStruct(required(info, "info"), "adaptq_prepare_info", firstSize: FirstSize.prepareInfo)
      if !object.session.isPrepared { throw notPrepared() }
      let preparation = object.session.preparation
      var value = adaptq_prepare_info()
      value.measure_runs = UInt64(preparation.measurementRuns)
      value.measure_ns = Int64(preparation.measurementNanoseconds)
      value.costs_imported = preparation.costsAreImported ? 1 : 0
      value.threads = Int32(preparation.threads)
      value.thread_counts = Int32(preparation.threadCounts)
      target.write(value)
    }
  }
}

@c @implementation public func adaptq_session_export_costs(
  _ session: OpaquePointer?, _ buffer: UnsafeMutableRawPointer?, _ capacity: Int, _ size: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let size = try required(size, "size")
      if !object.session.isPrepared { throw notPrepared() }
      let exported = try object.session.exportedCosts()
      try giveBytes(exported.byteCount, buffer, capacity, size) { exported.write(to: $0) }
    }
  }
}

@c @implementation public func adaptq_session_import_costs(
  _ session: OpaquePointer?, _ data: UnsafeRawPointer?, _ size: Int
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let data = try required(data, "data")
      if size < 0 { throw .invalidArgument("size is \(UInt(bitPattern: size)): no exported costs have so many bytes") }
      try object.session.importCosts(UnsafeRawBufferPointer(start: data, count: size))
    }
  }
}
