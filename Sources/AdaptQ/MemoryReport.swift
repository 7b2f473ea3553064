import Base
import CAdaptQ
import Graph
import Runtime

@c @implementation public func adaptq_model_memory(
  _ model: OpaquePointer?, _ memory: UnsafeMutablePointer<adaptq_memory>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(model, as: ModelObject.self) { (object) throws(AdaptQError) in
      let target = try OutStruct(required(memory, "memory"), "adaptq_memory")
      let stored = object.model.storedBytes
      let total = object.model.byteCount + object.texts.byteCount
      var value = adaptq_memory()
      value.nested_bytes = UInt64(stored.nested)
      value.fp16_bytes = UInt64(stored.fp16)
      value.fp32_bytes = UInt64(stored.fp32)
      value.table_bytes = UInt64(stored.tables)
      value.constant_bytes = UInt64(stored.constants)
      value.other_bytes = UInt64(total - stored.sum)
      value.total_bytes = UInt64(total)
      target.write(value)
    }
  }
}

@c @implementation public func adaptq_session_memory(
  _ session: OpaquePointer?, _ memory: UnsafeMutablePointer<adaptq_memory>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withRunningHandle(session, as: SessionObject.self) { (object) throws(AdaptQError) in
      let target = try OutStruct(required(memory, "memory"), "adaptq_memory")
      let session = object.session
      var value = adaptq_memory()
      value.arena_bytes = UInt64(session.arenaByteCount)
      value.scratch_bytes = UInt64(session.scratchByteCount)
      value.state_bytes = UInt64(session.stateByteCount)
      value.code_bytes = UInt64(object.model.runtime.codeByteCount)
      value.total_bytes = value.arena_bytes + value.scratch_bytes + value.state_bytes + value.code_bytes
      target.write(value)
    }
  }
}
