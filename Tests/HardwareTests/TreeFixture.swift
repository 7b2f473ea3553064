import Base
import Foundation
import Hardware
import Testing

/// A tree of files made by hand (Fixtures/machines/README.md), unpacked into a folder of its own that goes away with it.
final class TreeFixture {
  let folder: URL
  let expected: JSON

  static let names = Recorded.names(in: Recorded.fixtures.appendingPathComponent("machines"), suffix: ".tree")

  init(_ name: String) throws {
    let base = Recorded.fixtures.appendingPathComponent("machines/\(name)")
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("adaptq-tree-\(UUID().uuidString)")
    expected = try JSON.parse(String(contentsOf: base.appendingPathExtension("json"), encoding: .utf8), name)
    let text = try String(contentsOf: base.appendingPathExtension("tree"), encoding: .utf8)
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let parts = line.components(separatedBy: " = ")
      let content = parts.dropFirst().joined(separator: " = ").replacingOccurrences(of: "\\n", with: "\n")
      for path in Self.expanded(parts[0]) { try write(path, content + "\n") }
    }
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  var root: RootFolder { RootFolder(folder.path) }

  func write(_ path: String, _ text: String) throws {
    let file = folder.appendingPathComponent(path)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: file)
  }

  private static func expanded(_ path: String) -> [String] {
    guard let open = path.firstIndex(of: "{"), let close = path.firstIndex(of: "}") else { return [path] }
    let numbers = CPUSet(list: path[path.index(after: open)..<close])?.cpus ?? []
    return numbers.map { path[..<open] + "\($0)" + path[path.index(after: close)...] }
  }
}
