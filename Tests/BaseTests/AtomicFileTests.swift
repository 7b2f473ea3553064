import Base
import Glibc
import Testing

@Suite struct AtomicFileTests {
  /// A folder of its own, removed at the end.
  private func withFolder(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/adaptq-atomic-XXXXXX".utf8CString)
    let path = template.withUnsafeMutableBufferPointer { buffer in
      mkdtemp(buffer.baseAddress!).map { String(cString: $0) }
    }
    let folder = try #require(path)
    defer {
      for name in names(folder) { unlink("\(folder)/\(name)") }
      rmdir(folder)
    }
    try body(folder)
  }

  private func names(_ folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  private func write(_ path: String, _ text: String, _ calls: FileWritingCalls = .live) throws {
    try Array(text.utf8).withUnsafeBytes { try writeFileAtomically(path, $0, calls: calls) }
  }

  private func content(_ path: String) throws -> String {
    try MemoryBlock.read(path: path).withBytes { String(decoding: $0, as: UTF8.self) }
  }

  @Test func writesAndReplaces() throws {
    try withFolder { folder in
      try write("\(folder)/a", "first")
      #expect(try content("\(folder)/a") == "first")
      try write("\(folder)/a", "")
      #expect(try content("\(folder)/a") == "")
      #expect(names(folder) == ["a"])
    }
  }

  /// Each call made to fail: an error, the old file untouched, nothing left behind.
  @Test func everyFailureLeavesTheOldFile() throws {
    try withFolder { folder in
      try write("\(folder)/a", "old")
      var failing: [(String, FileWritingCalls)] = []
      func add(_ name: String, _ change: (inout FileWritingCalls) -> Void) {
        var calls = FileWritingCalls.live
        change(&calls)
        failing.append((name, calls))
      }
      add("create") { $0.create = { _ in -Int(EACCES) } }
      add("exists") { $0.create = { _ in -Int(EEXIST) } }
      add("write") { $0.write = { _, _, _ in -Int(ENOSPC) } }
      add("short write") { $0.write = { _, _, _ in 0 } }
      add("synchronize") { $0.synchronize = { _ in -Int(EIO) } }
      add("close") {
        $0.close = {
          Glibc.close($0)
          return -Int(EIO)
        }
      }
      add("rename") { $0.rename = { _, _ in -Int(EACCES) } }
      for (name, calls) in failing {
        do {
          try write("\(folder)/a", "new", calls)
          Issue.record("\(name): accepted")
        } catch let error as AdaptQError {
          #expect(error.status == .ioError && error.message.contains(folder), "\(name): \(error)")
        }
        #expect(try content("\(folder)/a") == "old", "\(name)")
        #expect(names(folder) == ["a"], "\(name)")
      }
    }
  }

  @Test func missingFolder() {
    do {
      try write("/nonexistent-adaptq/a", "x")
      Issue.record("accepted")
    } catch let error as AdaptQError {
      #expect(error.status == .notFound)
    } catch {}
  }
}
