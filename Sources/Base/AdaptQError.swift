/// Status codes of the C ABI. The raw values are fixed for ever, with gaps; `include/adaptq.h` mirrors them and a test
/// compares both.
public enum Status: Int32, Sendable, CaseIterable, BitwiseCopyable {
  case ok = 0
  case invalidArgument = 1
  case invalidHandle = 2
  case busy = 3
  case outOfMemory = 4
  case cancelled = 5
  case notFound = 10
  case ioError = 11
  case invalidFile = 12
  case unsupportedVersion = 13
  case unsupported = 14
  case notPrepared = 20
  case outOfRange = 21
  case bufferTooSmall = 22
  case internalError = 90
}

/// The one error of all library rooms: what the C caller gets as status and as text.
///
/// The message names the field and the value, so that a log line is enough to find the mistake.
public struct AdaptQError: Error, Equatable, CustomStringConvertible, Sendable {
  public var status: Status
  public var message: String

  public init(_ status: Status, _ message: String) {
    self.status = status
    self.message = message
  }

  public var description: String { "\(status): \(message)" }

  public static func invalidArgument(_ message: String) -> AdaptQError { AdaptQError(.invalidArgument, message) }
  public static func invalidFile(_ message: String) -> AdaptQError { AdaptQError(.invalidFile, message) }
  public static func unsupported(_ message: String) -> AdaptQError { AdaptQError(.unsupported, message) }
  public static func outOfMemory(_ message: String) -> AdaptQError { AdaptQError(.outOfMemory, message) }
  /// A broken promise inside adaptq itself; reported, never trapped on.
  public static func internalError(_ message: String) -> AdaptQError { AdaptQError(.internalError, message) }
}
