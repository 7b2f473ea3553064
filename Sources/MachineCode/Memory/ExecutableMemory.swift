import Base

/// One batch of finished code in pages of its own: written once, then readable and executable, never writable again.
///
/// Private anonymous pages, because a shared mapping would let a forked child overwrite its parent's code.
public final class ExecutableMemory: @unchecked Sendable {
  public let base: UnsafeRawPointer
  public let byteCount: Int
  /// Where each piece starts, in the order given.
  public let offsets: [Int]
  private let mappedByteCount: Int
  private let calls: CodeCalls

  private init(
    base: UnsafeRawPointer, byteCount: Int, offsets: [Int], mappedByteCount: Int, calls: CodeCalls
  ) {
    self.base = base
    self.byteCount = byteCount
    self.offsets = offsets
    self.mappedByteCount = mappedByteCount
    self.calls = calls
  }

  /// Places every piece at a multiple of 64 and makes the pages executable. Gaps trap.
  ///
  /// - Throws: `unsupported` where the system refuses executable pages, `outOfMemory` where it has none.
  public static func install(_ pieces: [[UInt8]], calls: CodeCalls = .live) throws(AdaptQError) -> ExecutableMemory {
    var offsets: [Int] = []
    var total = 0
    for piece in pieces {
      offsets.append(total)
      total = try roundedUp(checkedSum(total, piece.count, "machine code size"), to: 64)
    }
    let mapped = try roundedUp(max(total, 1), to: 4096)
    guard let base = calls.mapWritable(mapped) else {
      throw .outOfMemory("machine code: no pages for \(total) bytes")
    }
    base.initializeMemory(as: UInt8.self, repeating: 0xCC, count: mapped)
    for (piece, offset) in zip(pieces, offsets) {
      piece.withUnsafeBytes { source in
        if let bytes = source.baseAddress { (base + offset).copyMemory(from: bytes, byteCount: source.count) }
      }
    }
    let error = calls.makeExecutable(base, mapped)
    if error != 0 {
      calls.unmap(base, mapped)
      throw .unsupported("machine code: the system refuses executable pages: \(systemErrorText(error))")
    }
    return ExecutableMemory(
      base: UnsafeRawPointer(base), byteCount: total, offsets: offsets, mappedByteCount: mapped, calls: calls)
  }

  deinit { calls.unmap(UnsafeMutableRawPointer(mutating: base), mappedByteCount) }
}
