import Base
import CMachine
import Glibc

/// Why a sensor gives no number.
public enum SensorFault: UInt8, Sendable, CaseIterable, BitwiseCopyable {
  /// It gives one.
  case none = 0
  /// No such file, or no longer.
  case missing = 1
  /// The file is there, but not for this user: RAPL counters belong to root since Linux 5.10.
  case denied = 2
  /// Reading fails otherwise.
  case failed = 3
  /// What the file says is no number.
  case invalid = 4
}

extension RootFolder {
  /// A number out of a file that holds nothing else.
  func number(_ path: String) -> (value: Int?, fault: SensorFault) {
    let descriptor = calls.openForReading(prefix + path)
    if descriptor < 0 { return (nil, RootFolder.fault(-descriptor)) }
    defer { calls.close(Int32(truncatingIfNeeded: descriptor)) }
    return withUnsafeTemporaryAllocation(byteCount: 64, alignment: 16) { buffer in
      guard let base = buffer.baseAddress else { return (nil, .failed) }
      let count = calls.read(Int32(truncatingIfNeeded: descriptor), base, buffer.count)
      if count < 0 { return (nil, RootFolder.fault(-count)) }
      let text = String(decoding: UnsafeRawBufferPointer(start: base, count: count), as: UTF8.self).trimmedASCII
      guard let value = Int(text) else { return (nil, .invalid) }
      return (value, .none)
    }
  }

  private static func fault(_ code: Int) -> SensorFault {
    switch Int32(truncatingIfNeeded: code) {
    case ENOENT, ENODEV, ENOTDIR, ENXIO: .missing
    case EACCES, EPERM: .denied
    default: .failed
    }
  }

  /// Names in a folder, sorted, at most `limit`; none where it cannot be read.
  func names(_ path: String, limit: Int = 1024) -> [String] {
    guard let folder = opendir(prefix + path) else { return [] }
    defer { closedir(folder) }
    var result: [String] = []
    while result.count < limit, let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        String(cString: UnsafeRawPointer(tuple).assumingMemoryBound(to: CChar.self))
      }
      if name != "." && name != ".." { result.append(name) }
    }
    // A file system's order is nobody's promise.
    return result.sorted()
  }
}
