import Base
import CAdaptQ

// Models from elsewhere than a path or memory.

@c @implementation public func adaptq_model_open_fd(
  _ runtime: OpaquePointer?, _ descriptor: Int32, _ offset: UInt64, _ size: UInt64,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> adaptq_status {
  guardedNewHandle(out) { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (runtime) throws(AdaptQError) in
      if descriptor < 0 { throw .invalidArgument("fd is \(descriptor)") }
      guard let start = Int(exactly: offset) else { throw AdaptQError(.outOfRange, "offset: \(offset)") }
      guard let count = Int(exactly: size) else { throw AdaptQError(.outOfRange, "size: \(size)") }
      let block = try MemoryBlock.read(
        descriptor: descriptor, offset: start, byteCount: count == 0 ? nil : count, calls: runtime.calls)
      return try openModel(block, "descriptor \(descriptor)", runtime)
    }
  }
}

@c @implementation public func adaptq_model_open_callback(
  _ runtime: OpaquePointer?, _ read: adaptq_read_callback?, _ context: UnsafeMutableRawPointer?, _ size: UInt64,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> adaptq_status {
  guardedNewHandle(out) { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (runtime) throws(AdaptQError) in
      let read = try required(read, "read")
      guard let count = Int(exactly: size) else { throw AdaptQError(.outOfRange, "size: \(size)") }
      let block = try MemoryBlock.read(count, "read callback", runtime.calls) { target, count, done in
        Int(read(context, UInt64(done), target, count))
      }
      return try openModel(block, "model from a callback", runtime)
    }
  }
}

// MARK: - Metadata

@c @implementation public func adaptq_model_metadata_count(
  _ model: OpaquePointer?, _ out: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    let out = try required(out, "out")
    try withHandle(model, as: ModelObject.self) { (object) throws(AdaptQError) in
      out.pointee = object.texts.metadata.count
    }
  }
}

@c @implementation public func adaptq_model_metadata(
  _ model: OpaquePointer?, _ index: Int, _ key: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ value: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    let key = try required(key, "key")
    let value = try required(value, "value")
    try withHandle(model, as: ModelObject.self) { (object) throws(AdaptQError) in
      try requireIndex(index, object.texts.metadata.count, "metadata text")
      (key.pointee, value.pointee) = object.texts.metadata[index]
    }
  }
}

@c @implementation public func adaptq_model_metadata_find(
  _ model: OpaquePointer?, _ key: UnsafePointer<CChar>?, _ value: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    let key = try required(key, "key")
    let value = try required(value, "value")
    try withHandle(model, as: ModelObject.self) { (object) throws(AdaptQError) in
      guard let wanted = String(validatingCString: key) else { throw .invalidArgument("key is not UTF-8") }
      // Byte by byte: Swift calls different spellings of one character equal.
      guard let index = object.model.metadata.firstIndex(where: { $0.key.utf8.elementsEqual(wanted.utf8) }) else {
        throw AdaptQError(.notFound, "key \"\(wanted)\": the model has no such metadata")
      }
      value.pointee = object.texts.metadata[index].value
    }
  }
}
