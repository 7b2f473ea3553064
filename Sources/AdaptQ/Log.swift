import CAdaptQ

/// Where a runtime's log lines go: the host's callback, or nowhere. The library itself never prints.
///
/// The host promises that the callback may be called on any thread that calls adaptq; it is never called inside a run.
struct Log: @unchecked Sendable {
  private let callback: adaptq_log_callback?
  private let context: UnsafeMutableRawPointer?
  private let maxLevel: Int

  init(callback: adaptq_log_callback?, context: UnsafeMutableRawPointer?, maxLevel: Int) {
    self.callback = callback
    self.context = context
    self.maxLevel = maxLevel
  }

  func warning(_ message: @autoclosure () -> String) { write(ADAPTQ_LOG_WARNING, message) }
  func info(_ message: @autoclosure () -> String) { write(ADAPTQ_LOG_INFO, message) }
  func debug(_ message: @autoclosure () -> String) { write(ADAPTQ_LOG_DEBUG, message) }

  private func write(_ level: Int, _ message: () -> String) {
    guard let callback, level <= maxLevel else { return }
    message().withCString { callback(context, Int32(level), $0) }
  }
}
