import CMachine
import Glibc

/// The system calls executable memory needs, as values that a test can replace to force a refusal.
///
/// Members that return an Int32 give 0 or the errno.
public struct CodeCalls: Sendable {
  /// New private anonymous pages, readable and writable; nil if the system refuses.
  public var mapWritable: @Sendable (_ byteCount: Int) -> UnsafeMutableRawPointer?
  /// Makes pages readable and executable, and no longer writable.
  public var makeExecutable: @Sendable (_ base: UnsafeMutableRawPointer, _ byteCount: Int) -> Int32
  public var unmap: @Sendable (_ base: UnsafeMutableRawPointer, _ byteCount: Int) -> Void
  /// Appends to a file that is created if missing, for its owner only; refuses symbolic links, what is no regular file and
  /// files of other users.
  public var append: @Sendable (_ path: String, _ bytes: [UInt8]) -> Int32

  public init(
    mapWritable: @escaping @Sendable (Int) -> UnsafeMutableRawPointer?,
    makeExecutable: @escaping @Sendable (UnsafeMutableRawPointer, Int) -> Int32,
    unmap: @escaping @Sendable (UnsafeMutableRawPointer, Int) -> Void,
    append: @escaping @Sendable (String, [UInt8]) -> Int32
  ) {
    self.mapWritable = mapWritable
    self.makeExecutable = makeExecutable
    self.unmap = unmap
    self.append = append
  }

  public static let live = CodeCalls(
    mapWritable: { byteCount in
      guard let base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
        base != UnsafeMutableRawPointer(bitPattern: -1)
      else { return nil }
      return base
    },
    makeExecutable: { base, byteCount in
      mprotect(base, byteCount, PROT_READ | PROT_EXEC) == 0 ? 0 : cmachine_errno()
    },
    unmap: { base, byteCount in _ = munmap(base, byteCount) },
    append: { path, bytes in
      // Without waiting: a FIFO that somebody put there would keep us until it is read.
      let flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
      let descriptor = open(path, flags, 0o600)
      if descriptor < 0 { return cmachine_errno() }
      defer { close(descriptor) }
      var facts = stat()
      if fstat(descriptor, &facts) != 0 { return cmachine_errno() }
      if facts.st_mode & S_IFMT != S_IFREG || facts.st_uid != geteuid() { return EPERM }
      return bytes.withUnsafeBytes { buffer -> Int32 in
        var done = 0
        while done < buffer.count, let base = buffer.baseAddress {
          let count = write(descriptor, base + done, buffer.count - done)
          if count < 0 {
            let code = cmachine_errno()
            if code == EINTR { continue }
            return code
          }
          done += count
        }
        return 0
      }
    }
  )
}
