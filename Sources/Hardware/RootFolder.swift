import Base

/// Where the files of a machine lie: `/` for this one, any folder for a recorded one.
///
/// Readers take their files from here and nowhere else. A file that is missing, unreadable or longer than it can sensibly be
/// is nil: machines differ in what they tell.
public struct RootFolder: Sendable {
  public static let live = RootFolder("/")

  /// Without a slash at the end.
  let prefix: String
  let calls: SystemCalls

  public init(_ path: String, calls: SystemCalls = .live) {
    var prefix = path[...]
    while prefix.last == "/" { prefix.removeLast() }
    self.prefix = String(prefix)
    self.calls = calls
  }

  public var isLive: Bool { prefix.isEmpty }

  /// The first 4096 bytes of a file, without white space at the ends.
  /// - Parameter path: from the root, starting with `/`.
  public func text(_ path: String) -> String? {
    open(path) { descriptor in
      withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 16) { buffer -> String? in
        guard let base = buffer.baseAddress else { return nil }
        var done = 0
        while done < buffer.count {
          let count = calls.read(descriptor, base + done, buffer.count - done)
          if count < 0 { return nil }
          if count == 0 { break }
          done += count
        }
        return String(decoding: UnsafeRawBufferPointer(start: base, count: done), as: UTF8.self).trimmedASCII
      }
    }
  }

  public func integer(_ path: String) -> Int? { text(path).flatMap { Int($0) } }

  /// A set in list format, or in mask format from the second file.
  func cpus(list: String, mask: String) -> CPUSet? {
    if let text = text(list) { return CPUSet(list: text) }
    return text(mask).flatMap { CPUSet(mask: $0) }
  }

  /// Calls `body` with each line, without its end, and stops after four megabytes. Lines above 16 KiB are skipped.
  /// False when the file cannot be opened.
  @discardableResult
  public func forEachLine(_ path: String, _ body: (String) -> Void) -> Bool {
    let limit = 16384
    return open(path) { descriptor in
      withUnsafeTemporaryAllocation(byteCount: limit, alignment: 16) { buffer -> Bool? in
        guard let base = buffer.baseAddress else { return nil }
        var filled = 0
        var skipping = false
        var total = 0
        while total < 4 << 20 {
          let count = calls.read(descriptor, base + filled, limit - filled)
          if count <= 0 { break }
          total += count
          filled += count
          var start = 0
          for index in 0..<filled where base.load(fromByteOffset: index, as: UInt8.self) == 0x0A {
            if !skipping {
              body(String(decoding: UnsafeRawBufferPointer(start: base + start, count: index - start), as: UTF8.self))
            }
            skipping = false
            start = index + 1
          }
          if start == 0 && filled == limit {
            skipping = true
            filled = 0
          } else {
            filled -= start
            base.copyMemory(from: base + start, byteCount: filled)
          }
        }
        if filled > 0 && !skipping {
          body(String(decoding: UnsafeRawBufferPointer(start: base, count: filled), as: UTF8.self))
        }
        return true
      }
    } ?? false
  }

  private func open<Result>(_ path: String, _ body: (Int32) -> Result?) -> Result? {
    let descriptor = calls.openForReading(prefix + path)
    if descriptor < 0 { return nil }
    defer { calls.close(Int32(truncatingIfNeeded: descriptor)) }
    return body(Int32(truncatingIfNeeded: descriptor))
  }
}
