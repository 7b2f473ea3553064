import CMachine
import Glibc

/// The system calls that make and remove a telemetry file, as values that a test can replace to force a chosen failure. Each
/// returns what the call returns, or `-errno`; interrupted calls are repeated here.
public struct TelemetryFileCalls: Sendable {
  /// A new file for reading and writing, mode 0600 whatever the umask; fails when `path` exists, also as a symbolic link.
  public var create: @Sendable (_ path: String) -> Int
  /// Gives the file its size and every page of it its place on the disk.
  public var reserve: @Sendable (_ descriptor: Int32, _ byteCount: Int) -> Int
  /// Shared, readable and writable; nil with `errno` set.
  public var map: @Sendable (_ descriptor: Int32, _ byteCount: Int) -> UnsafeMutableRawPointer?
  /// Which file it is; nil with `errno` set.
  public var identify: @Sendable (_ descriptor: Int32) -> FileIdentity?
  /// The same for a path, without following a symbolic link.
  public var identifyPath: @Sendable (_ path: String) -> FileIdentity?
  public var remove: @Sendable (_ path: String) -> Void
  public var close: @Sendable (_ descriptor: Int32) -> Void
  public var unmap: @Sendable (_ base: UnsafeMutableRawPointer, _ byteCount: Int) -> Void

  public struct FileIdentity: Equatable, Sendable {
    public var device: UInt64
    public var inode: UInt64

    public init(device: UInt64, inode: UInt64) {
      self.device = device
      self.inode = inode
    }

    init(_ info: stat) { self.init(device: UInt64(info.st_dev), inode: UInt64(info.st_ino)) }
  }

  public static let live = TelemetryFileCalls(
    create: { path in
      while true {
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0o600)
        if descriptor < 0 {
          if cmachine_errno() != EINTR { return -Int(cmachine_errno()) }
          continue
        }
        // The umask may have taken bits away, a default ACL of the folder may have given some.
        if fchmod(descriptor, 0o600) == 0 { return Int(descriptor) }
        let code = cmachine_errno()
        _ = unlink(path)
        _ = Glibc.close(descriptor)
        return -Int(code)
      }
    },
    reserve: { descriptor, byteCount in
      // Above the limit for files the system would send SIGXFSZ, which ends a host that does not expect it.
      var limit = rlimit()
      if getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 && limit.rlim_cur < rlim_t(byteCount) {
        return -Int(EFBIG)
      }
      while true {
        // Returns the error and leaves errno alone.
        let code = posix_fallocate(descriptor, 0, off_t(byteCount))
        if code != EINTR { return -Int(code) }
      }
    },
    map: { descriptor, byteCount in
      // Pages are mapped now: a run's first record must not wait for one.
      let base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, 0)
      return base == UnsafeMutableRawPointer(bitPattern: -1) ? nil : base
    },
    identify: { descriptor in
      var info = stat()
      return fstat(descriptor, &info) == 0 ? FileIdentity(info) : nil
    },
    identifyPath: { path in
      var info = stat()
      return lstat(path, &info) == 0 ? FileIdentity(info) : nil
    },
    remove: { path in _ = unlink(path) },
    close: { descriptor in _ = Glibc.close(descriptor) },
    unmap: { base, byteCount in _ = munmap(base, byteCount) }
  )
}

/// The path from the root, so that the file is found again when the process has changed its folder.
func absolutePath(_ path: String) -> String {
  if path.hasPrefix("/") { return path }
  guard let folder = getcwd(nil, 0) else { return path }
  defer { free(folder) }
  return "\(String(cString: folder))/\(path)"
}

/// When a process began, in clock ticks since the machine did; 0 where `/proc` does not say, or where it has ended and nobody
/// has asked for its exit status yet. With the process's number it
/// tells a process from a later one of the same number.
package func processStart(_ processID: Int) -> UInt64 {
  guard let file = fopen("/proc/\(processID)/stat", "re") else { return 0 }
  defer { fclose(file) }
  return withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 1) { bytes in
    let text = bytes[..<fread(bytes.baseAddress, 1, bytes.count, file)]
    // The second field is the program's name in parentheses and may hold anything, parentheses as well.
    guard let end = text.lastIndex(of: UInt8(ascii: ")")) else { return 0 }
    var (field, value) = (2, UInt64(0))
    for byte in text[(end + 1)...] {
      if byte == UInt8(ascii: " ") {
        field += 1
        if field > 22 { return value }
        value = 0
      } else if field == 3 && (byte == UInt8(ascii: "Z") || byte == UInt8(ascii: "X")) {
        return 0
      } else if field == 22 {
        value = value &* 10 &+ UInt64(byte &- UInt8(ascii: "0"))
      }
    }
    return 0
  }
}

func clockNanoseconds(_ clock: clockid_t) -> UInt64 {
  var time = timespec()
  clock_gettime(clock, &time)
  return UInt64(truncatingIfNeeded: time.tv_sec &* 1_000_000_000 &+ time.tv_nsec)
}
