import CMachine
import Glibc

/// The system calls that writing a file makes, as values that a test can replace to force a chosen failure. Each returns
/// what the call returns, or `-errno`; interrupted calls are repeated here.
public struct FileWritingCalls: Sendable {
  /// A new file for writing, close-on-exec; fails when `path` exists.
  public var create: @Sendable (_ path: String) -> Int
  public var write: @Sendable (_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int
  public var synchronize: @Sendable (_ descriptor: Int32) -> Int
  public var close: @Sendable (_ descriptor: Int32) -> Int
  public var rename: @Sendable (_ from: String, _ to: String) -> Int
  public var remove: @Sendable (_ path: String) -> Void

  public init(
    create: @escaping @Sendable (String) -> Int,
    write: @escaping @Sendable (Int32, UnsafeRawPointer, Int) -> Int,
    synchronize: @escaping @Sendable (Int32) -> Int, close: @escaping @Sendable (Int32) -> Int,
    rename: @escaping @Sendable (String, String) -> Int, remove: @escaping @Sendable (String) -> Void
  ) {
    self.create = create
    self.write = write
    self.synchronize = synchronize
    self.close = close
    self.rename = rename
    self.remove = remove
  }

  public static let live = FileWritingCalls(
    create: { path in
      while true {
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0o666)
        if descriptor >= 0 { return Int(descriptor) }
        if cmachine_errno() != EINTR { return -Int(cmachine_errno()) }
      }
    },
    write: { descriptor, bytes, count in
      while true {
        let done = Glibc.write(descriptor, bytes, count)
        if done >= 0 { return done }
        if cmachine_errno() != EINTR { return -Int(cmachine_errno()) }
      }
    },
    synchronize: { descriptor in
      while true {
        if fsync(descriptor) == 0 { return 0 }
        if cmachine_errno() != EINTR { return -Int(cmachine_errno()) }
      }
    },
    close: { descriptor in Glibc.close(descriptor) == 0 ? 0 : -Int(cmachine_errno()) },
    rename: { from, to in Glibc.rename(from, to) == 0 ? 0 : -Int(cmachine_errno()) },
    remove: { path in _ = unlink(path) }
  )
}

/// Writes a whole file so that `path` holds either what it held before or all of `bytes`: a new file beside it, flushed to
/// the disk, then renamed over it.
///
/// - Throws: `.ioError` or `.notFound` (no such folder) naming the path; nothing is left behind then.
public func writeFileAtomically(
  _ path: String, _ bytes: UnsafeRawBufferPointer, calls: FileWritingCalls = .live
) throws(AdaptQError) {
  func failure(_ result: Int) -> AdaptQError {
    let code = Int32(truncatingIfNeeded: -result)
    return AdaptQError(code == ENOENT ? .notFound : .ioError, "path \"\(path)\": \(systemErrorText(code))")
  }
  var temporary = ""
  var created = -Int(EEXIST)
  for attempt in 0..<100 where created == -Int(EEXIST) {
    temporary = "\(path).new-\(getpid())-\(attempt)"
    created = calls.create(temporary)
  }
  if created < 0 { throw failure(created) }
  let descriptor = Int32(truncatingIfNeeded: created)
  var result = 0
  var done = 0
  while done < bytes.count, let base = bytes.baseAddress {
    result = calls.write(descriptor, base + done, bytes.count - done)
    if result <= 0 { break }
    done += result
  }
  if done < bytes.count { result = result < 0 ? result : -Int(EIO) } else { result = calls.synchronize(descriptor) }
  let closed = calls.close(descriptor)
  if result >= 0 { result = closed }
  if result >= 0 { result = calls.rename(temporary, path) }
  if result < 0 {
    calls.remove(temporary)
    throw failure(result)
  }
}
