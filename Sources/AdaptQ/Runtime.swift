import Base
import CAdaptQ

/// What models and sessions share: the log and which code they may use.
final class RuntimeObject: HandleObject {
  static let handleKind = HandleKind.runtime

  let log: Log
  let generatesCode: Bool
  let maxISA: adaptq_isa

  init(log: Log, generatesCode: Bool, maxISA: adaptq_isa) {
    self.log = log
    self.generatesCode = generatesCode
    self.maxISA = maxISA
  }
}

@c @implementation public func adaptq_runtime_create(
  _ options: UnsafePointer<adaptq_runtime_options>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> adaptq_status {
  guardedNewHandle(out) { () throws(AdaptQError) in
    var wanted = adaptq_runtime_options()
    try readOptions(options, "adaptq_runtime_options", into: &wanted)
    return try makeRuntime(wanted)
  }
}

@c @implementation public func adaptq_runtime_destroy(_ runtime: OpaquePointer?) -> adaptq_status {
  destroyHandle(runtime, as: RuntimeObject.self)
}

private func makeRuntime(_ options: adaptq_runtime_options) throws(AdaptQError) -> RuntimeObject {
  try requireEnum(options.log_level, in: 0...ADAPTQ_LOG_DEBUG, "adaptq_runtime_options.log_level")
  try requireEnum(
    options.code_generation, in: 0...ADAPTQ_CODE_GENERATION_OFF, "adaptq_runtime_options.code_generation")
  try requireEnum(options.max_isa, in: 0...ADAPTQ_ISA_AVX512BF16, "adaptq_runtime_options.max_isa")
  let logLevel = options.log_level == 0 ? ADAPTQ_LOG_WARNING : Int(options.log_level)
  return RuntimeObject(
    log: Log(callback: options.log, context: options.log_context, maxLevel: logLevel),
    generatesCode: options.code_generation != ADAPTQ_CODE_GENERATION_OFF,
    maxISA: try effectiveMaxISA(options.max_isa))
}

/// The highest instruction set that code of this runtime may use: what the host asks for, else what ADAPTQ_MAX_ISA in the
/// environment says, else what the CPU has. The hook where Hardware reads the environment's name and the CPU's features.
private func effectiveMaxISA(_ wanted: adaptq_isa) throws(AdaptQError) -> adaptq_isa {
  wanted
}
