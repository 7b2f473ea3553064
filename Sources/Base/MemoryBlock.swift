import Glibc

/// A buffer that may be big: 64-byte aligned, zeroed, and its allocation can say no, which Swift's own heap cannot.
///
/// Everything above 64 KiB lives in one of these. The owner is responsible for access; freed on deinit.
public final class MemoryBlock: @unchecked Sendable {
  /// Of every block, in bytes.
  public static let alignment = 64

  public let base: UnsafeMutableRawPointer
  public let byteCount: Int
  private let mappedByteCount: Int
  private let calls: SystemCalls

  private init(base: UnsafeMutableRawPointer, byteCount: Int, mappedByteCount: Int, calls: SystemCalls) {
    self.base = base
    self.byteCount = byteCount
    self.mappedByteCount = mappedByteCount
    self.calls = calls
  }

  /// - Parameter purpose: named in the error.
  public static func allocate(
    byteCount: Int, purpose: @autoclosure () -> String, calls: SystemCalls = .live
  ) throws(AdaptQError) -> MemoryBlock {
    if byteCount < 0 { throw AdaptQError(.outOfRange, "\(purpose()): \(byteCount) bytes") }
    let mapped = try roundedUp(max(byteCount, 1), to: 4096)
    guard let base = calls.mapAnonymous(mapped) else {
      throw .outOfMemory("\(purpose()): no memory for \(byteCount) bytes")
    }
    if UInt(bitPattern: base) % UInt(alignment) != 0 {
      calls.unmap(base, mapped)
      throw .invalidArgument("\(purpose()): memory at \(base), which is not a multiple of \(alignment)")
    }
    return MemoryBlock(base: base, byteCount: byteCount, mappedByteCount: mapped, calls: calls)
  }

  deinit { calls.unmap(base, mappedByteCount) }

  /// For owners that keep the block; a temporary block is freed before its bytes are read: use ``withBytes(_:)`` there.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: byteCount) }

  /// Keeps the block alive while `body` reads it.
  public func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws(AdaptQError) -> Result
  ) throws(AdaptQError) -> Result {
    defer { withExtendedLifetime(self) {} }
    return try body(bytes)
  }
}

extension MemoryBlock {
  /// Reads a whole regular file. Truncation while reading is an error, not a shorter result.
  public static func read(
    path: String, calls: SystemCalls = .live
  ) throws(AdaptQError) -> MemoryBlock {
    let opened = calls.openForReading(path)
    if opened < 0 {
      let code = Int32(truncatingIfNeeded: -opened)
      throw AdaptQError(code == ENOENT ? .notFound : .ioError, "path \"\(path)\": \(systemErrorText(code))")
    }
    let descriptor = Int32(truncatingIfNeeded: opened)
    defer { calls.close(descriptor) }
    let status = calls.fileStatus(descriptor)
    if status.error != 0 { throw AdaptQError(.ioError, "path \"\(path)\": \(systemErrorText(status.error))") }
    if !status.isRegular { throw AdaptQError(.ioError, "path \"\(path)\": not a regular file") }
    return try read(status.byteCount, "path \"\(path)\"", calls) { target, count, _ in
      calls.read(descriptor, target, count)
    }
  }

  /// Reads part of a file that is open already. The descriptor is neither moved nor closed.
  ///
  /// - Parameter byteCount: nil for everything from `offset` on, which needs a regular file.
  public static func read(
    descriptor: Int32, offset: Int, byteCount: Int?, calls: SystemCalls = .live
  ) throws(AdaptQError) -> MemoryBlock {
    let what = "descriptor \(descriptor)"
    var wanted = byteCount ?? 0
    if byteCount == nil {
      let status = calls.fileStatus(descriptor)
      if status.error != 0 { throw AdaptQError(.ioError, "\(what): \(systemErrorText(status.error))") }
      if !status.isRegular { throw AdaptQError(.ioError, "\(what): not a regular file, and no size was given") }
      if offset > status.byteCount {
        throw AdaptQError(.outOfRange, "\(what): offset \(offset) is behind the end at \(status.byteCount)")
      }
      wanted = status.byteCount - offset
    }
    _ = try checkedSum(offset, wanted, "\(what): offset and size")
    return try read(wanted, what, calls) { target, count, done in
      calls.readAt(descriptor, target, min(count, 1 << 30), offset &+ done)
    }
  }

  /// Reads `byteCount` bytes from `next`, which may give fewer than it is asked for.
  ///
  /// - Parameters:
  ///   - what: named in errors.
  ///   - next: puts at most `count` bytes at `target`, those from position `done` on; returns how many, 0 at the end, or a
  ///     negative number: `-errno`.
  public static func read(
    _ byteCount: Int, _ what: String, _ calls: SystemCalls,
    next: (_ target: UnsafeMutableRawPointer, _ count: Int, _ done: Int) -> Int
  ) throws(AdaptQError) -> MemoryBlock {
    let block = try allocate(byteCount: byteCount, purpose: what, calls: calls)
    var done = 0
    while done < byteCount {
      let count = next(block.base + done, byteCount - done, done)
      if count < 0 {
        throw AdaptQError(.ioError, "\(what): \(systemErrorText(Int32(truncatingIfNeeded: 0 &- count)))")
      }
      if count == 0 { throw AdaptQError(.ioError, "\(what): ended after \(done) of \(byteCount) bytes") }
      if count > byteCount - done {
        throw AdaptQError(.ioError, "\(what): \(count) bytes read where \(byteCount - done) were asked for")
      }
      done += count
    }
    return block
  }
}
