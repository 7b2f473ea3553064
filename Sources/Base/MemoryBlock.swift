import Glibc

/// A buffer that may be big: 64-byte aligned, zeroed, and its allocation can say no, which Swift's own heap cannot.
///
/// Everything above 64 KiB lives in one of these. The owner is responsible for access; freed on deinit.
public final class MemoryBlock: @unchecked Sendable {
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
    let block = try allocate(byteCount: status.byteCount, purpose: "path \"\(path)\"", calls: calls)
    var done = 0
    while done < status.byteCount {
      let count = calls.read(descriptor, block.base + done, status.byteCount - done)
      if count < 0 {
        throw AdaptQError(.ioError, "path \"\(path)\": \(systemErrorText(Int32(truncatingIfNeeded: -count)))")
      }
      if count == 0 {
        throw AdaptQError(.ioError, "path \"\(path)\": ended after \(done) of \(status.byteCount) bytes")
      }
      done += count
    }
    return block
  }
}
