import Base
import CMachine
import Glibc
import Telemetry

/// Reads the telemetry file of another process. With `read`, not through a mapping: a file that somebody shortens meanwhile is an
/// error then, not a signal.
///
/// The file stays open, so that what the host last wrote can be read when it has removed the file.
public final class TelemetryReader {
  public enum Host: Sendable {
    case running
    /// It has closed the file.
    case closed
    /// It is no longer there, and did not close the file.
    case gone
  }

  private let path: String
  private let descriptor: Int32
  private var looks: [MemoryBlock] = []

  /// - Throws: `notFound` or `ioError` naming the path, also for anything but a regular file.
  public init(path: String) throws(AdaptQError) {
    var opened: Int32 = -1
    repeat {
      // Nobody waits here for the other end of a pipe.
      opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
    } while opened < 0 && cmachine_errno() == EINTR
    if opened < 0 {
      let code = cmachine_errno()
      throw AdaptQError(code == ENOENT ? .notFound : .ioError, "path \"\(path)\": \(systemErrorText(code))")
    }
    self.path = path
    descriptor = opened
  }

  deinit { close(descriptor) }

  public func read() throws(AdaptQError) -> (snapshot: TelemetrySnapshot, host: Host) {
    let calls = SystemCalls.live
    let status = calls.fileStatus(descriptor)
    if status.error != 0 { throw AdaptQError(.ioError, "path \"\(path)\": \(systemErrorText(status.error))") }
    if !status.isRegular { throw AdaptQError(.ioError, "path \"\(path)\": not a regular file") }
    if status.byteCount > TelemetryLayout.maximumByteCount {
      throw .invalidFile("path \"\(path)\": \(status.byteCount) bytes, more than a telemetry file has")
    }
    if looks.first?.byteCount != status.byteCount {
      looks = []
      for _ in 0..<3 { looks.append(try MemoryBlock.allocate(byteCount: status.byteCount, purpose: "telemetry file")) }
    }
    for look in looks { try fill(look) }
    defer { withExtendedLifetime(looks) {} }
    let snapshot = try TelemetrySnapshot(before: looks[0].bytes, looks[1].bytes, after: looks[2].bytes)
    if snapshot.isClosed { return (snapshot, .closed) }
    let isThere = snapshot.processStart != 0 && processStart(snapshot.processID) == snapshot.processStart
    return (snapshot, isThere ? .running : .gone)
  }

  private func fill(_ block: MemoryBlock) throws(AdaptQError) {
    var done = 0
    while done < block.byteCount {
      let count = SystemCalls.live.readAt(descriptor, block.base + done, block.byteCount - done, done)
      if count < 0 {
        throw AdaptQError(.ioError, "path \"\(path)\": \(systemErrorText(Int32(truncatingIfNeeded: 0 &- count)))")
      }
      if count == 0 {
        throw .invalidFile("path \"\(path)\": ended after \(done) of \(block.byteCount) bytes")
      }
      done += count
    }
  }
}
