import Base
import CAdaptQ

// Texts that live as long as the process: string literals are zero-terminated in read-only memory.

@c @implementation public func adaptq_version_number() -> Int32 {
  ADAPTQ_VERSION_MAJOR * 1_000_000 + ADAPTQ_VERSION_MINOR * 1_000 + ADAPTQ_VERSION_PATCH
}

@c @implementation public func adaptq_version_string() -> UnsafePointer<CChar>? {
  staticText("0.2.0")
}

@c @implementation public func adaptq_status_name(_ status: adaptq_status) -> UnsafePointer<CChar>? {
  guard let known = Status(rawValue: status) else { return staticText("ADAPTQ_UNKNOWN_STATUS") }
  switch known {
  case .ok: return staticText("ADAPTQ_OK")
  case .invalidArgument: return staticText("ADAPTQ_INVALID_ARGUMENT")
  case .invalidHandle: return staticText("ADAPTQ_INVALID_HANDLE")
  case .busy: return staticText("ADAPTQ_BUSY")
  case .outOfMemory: return staticText("ADAPTQ_OUT_OF_MEMORY")
  case .cancelled: return staticText("ADAPTQ_CANCELLED")
  case .notFound: return staticText("ADAPTQ_NOT_FOUND")
  case .ioError: return staticText("ADAPTQ_IO_ERROR")
  case .invalidFile: return staticText("ADAPTQ_INVALID_FILE")
  case .unsupportedVersion: return staticText("ADAPTQ_UNSUPPORTED_VERSION")
  case .unsupported: return staticText("ADAPTQ_UNSUPPORTED")
  case .notPrepared: return staticText("ADAPTQ_NOT_PREPARED")
  case .outOfRange: return staticText("ADAPTQ_OUT_OF_RANGE")
  case .bufferTooSmall: return staticText("ADAPTQ_BUFFER_TOO_SMALL")
  case .internalError: return staticText("ADAPTQ_INTERNAL_ERROR")
  }
}

@c @implementation public func adaptq_level_name(_ level: adaptq_level) -> UnsafePointer<CChar>? {
  switch Int(level) {
  case ADAPTQ_LEVEL_AUTO: staticText("AUTO")
  case ADAPTQ_LEVEL_INT2: staticText("INT2")
  case ADAPTQ_LEVEL_INT4: staticText("INT4")
  case ADAPTQ_LEVEL_INT6: staticText("INT6")
  case ADAPTQ_LEVEL_INT8: staticText("INT8")
  case ADAPTQ_LEVEL_FP16: staticText("FP16")
  case ADAPTQ_LEVEL_FP32: staticText("FP32")
  default: staticText("UNKNOWN")
  }
}

/// The C text of a literal of more than one character (a single one would be stored as a scalar, not as a pointer).
@inline(__always)
func staticText(_ literal: StaticString) -> UnsafePointer<CChar> {
  UnsafeRawPointer(literal.utf8Start).assumingMemoryBound(to: CChar.self)
}
