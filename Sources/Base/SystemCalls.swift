import CMachine
import Glibc

/// The system calls adaptq makes, as values that a test can replace to force a chosen failure.
///
/// Every member returns what the call returns, or `-errno`; interrupted calls are repeated here.
public struct SystemCalls: Sendable {
  public var openForReading: @Sendable (_ path: String) -> Int
  /// Size in bytes and whether it is a regular file, or nil with the error in `errno`'s place.
  public var fileStatus: @Sendable (_ descriptor: Int32) -> FileStatus
  public var read: @Sendable (_ descriptor: Int32, _ into: UnsafeMutableRawPointer, _ count: Int) -> Int
  /// Reads at an offset: the descriptor's own position stays where it is.
  public var readAt:
    @Sendable (_ descriptor: Int32, _ into: UnsafeMutableRawPointer, _ count: Int, _ offset: Int) -> Int
  public var close: @Sendable (_ descriptor: Int32) -> Void
  public var mapAnonymous: @Sendable (_ byteCount: Int) -> UnsafeMutableRawPointer?
  public var unmap: @Sendable (_ base: UnsafeMutableRawPointer, _ byteCount: Int) -> Void

  public struct FileStatus: Sendable {
    public var error: Int32
    public var byteCount: Int
    public var isRegular: Bool
    public init(error: Int32, byteCount: Int, isRegular: Bool) {
      self.error = error
      self.byteCount = byteCount
      self.isRegular = isRegular
    }
  }

  public init(
    openForReading: @escaping @Sendable (String) -> Int,
    fileStatus: @escaping @Sendable (Int32) -> FileStatus,
    read: @escaping @Sendable (Int32, UnsafeMutableRawPointer, Int) -> Int,
    readAt: @escaping @Sendable (Int32, UnsafeMutableRawPointer, Int, Int) -> Int,
    close: @escaping @Sendable (Int32) -> Void,
    mapAnonymous: @escaping @Sendable (Int) -> UnsafeMutableRawPointer?,
    unmap: @escaping @Sendable (UnsafeMutableRawPointer, Int) -> Void
  ) {
    self.openForReading = openForReading
    self.fileStatus = fileStatus
    self.read = read
    self.readAt = readAt
    self.close = close
    self.mapAnonymous = mapAnonymous
    self.unmap = unmap
  }

  public static let live = SystemCalls(
    openForReading: { path in
      while true {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
        if descriptor >= 0 { return Int(descriptor) }
        if cmachine_errno() != EINTR { return -Int(cmachine_errno()) }
      }
    },
    fileStatus: { descriptor in
      var info = stat()
      if fstat(descriptor, &info) != 0 { return FileStatus(error: cmachine_errno(), byteCount: 0, isRegular: false) }
      return FileStatus(error: 0, byteCount: Int(info.st_size), isRegular: info.st_mode & S_IFMT == S_IFREG)
    },
    read: { descriptor, target, count in
      while true {
        let done = Glibc.read(descriptor, target, count)
        if done >= 0 { return done }
        if cmachine_errno() != EINTR { return -Int(cmachine_errno()) }
      }
    },
    readAt: { descriptor, target, count, offset in
      while true {
        let done = pread(descriptor, target, count, offset)
        if done >= 0 { return done }
        if cmachine_errno() != EINTR { return -Int(cmachine_errno()) }
      }
    },
    close: { descriptor in _ = Glibc.close(descriptor) },
    mapAnonymous: { byteCount in
      guard let base = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
        base != UnsafeMutableRawPointer(bitPattern: -1)
      else { return nil }
      if byteCount >= 2 << 20 { _ = madvise(base, byteCount, MADV_HUGEPAGE) }
      return base
    },
    unmap: { base, byteCount in _ = munmap(base, byteCount) }
  )
}

extension SystemCalls {
  /// The same calls with memory from a host's allocator.
  ///
  /// - Parameters:
  ///   - allocate: memory of that many bytes, or nil; need not be zeroed. Its alignment is checked by ``MemoryBlock``.
  ///   - release: gets back what `allocate` gave, with the same size.
  public func withMemory(
    allocate: @escaping @Sendable (_ byteCount: Int) -> UnsafeMutableRawPointer?,
    release: @escaping @Sendable (_ base: UnsafeMutableRawPointer, _ byteCount: Int) -> Void
  ) -> SystemCalls {
    var calls = self
    calls.mapAnonymous = { byteCount in
      guard let base = allocate(byteCount) else { return nil }
      memset(base, 0, byteCount)
      return base
    }
    calls.unmap = release
    return calls
  }
}

/// The system's text for an errno value.
public func systemErrorText(_ code: Int32) -> String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
    guard let base = buffer.baseAddress else { return "error \(code)" }
    base.initialize(repeating: 0, count: buffer.count)
    return strerror_r(code, base, buffer.count) == 0 ? String(cString: base) : "error \(code)"
  }
}
