import Foundation
import Testing

/// The room table of docs/architecture.md, held against Package.swift and every import line.
@Suite struct RoomTests {
  /// What a room may use besides Base; what those may use follows.
  static let table: [String: [String]] = [
    "CMachine": [], "Chwloc": [], "Base": ["CMachine"], "MachineCode": ["CMachine"],
    "Hardware": ["CMachine", "Chwloc"],
    "NestedFormat": [], "Kernels": ["MachineCode", "Hardware", "NestedFormat"], "Graph": ["NestedFormat"],
    "Control": [], "Text": [], "Telemetry": ["Control", "CMachine"],
    "Traces": ["Telemetry", "NestedFormat", "CMachine"],
    "Runtime": ["Graph", "Kernels", "Hardware", "Control", "Telemetry", "CMachine"],
    "Tuning": ["Runtime"], "Importers": ["Graph", "Text"], "Simulation": ["Control"], "Pictures": [],
    "Bench": ["Runtime", "CMachine", "Pictures"], "AdaptQ": ["Runtime", "Tuning", "Text", "CAdaptQ", "CMachine"],
    "CLI": [
      "Runtime", "Tuning", "Importers", "Simulation", "Pictures", "Bench", "Traces", "Text", "ArgumentParser",
    ],
  ]

  /// Modules of the system that every room may import.
  static let system: Set<String> = ["Swift", "Glibc", "Synchronization", "Builtin"]

  static func allowed(_ room: String) -> Set<String> {
    var result: Set<String> = ["CMachine", "Chwloc"].contains(room) ? [] : ["Base"]
    var open = table[room] ?? []
    while let next = open.popLast() {
      if !result.insert(next).inserted { continue }
      // C modules are for the rooms that name them: they do not spread.
      open += (table[next] ?? []).filter { !["CMachine", "Chwloc", "CAdaptQ"].contains($0) }
    }
    return result
  }

  struct Target {
    var name: String
    var folder: String
    var dependencies: Set<String>
  }

  /// The targets of Package.swift, read as text: arguments up to the parenthesis that closes each.
  static func targets() throws -> [Target] {
    let manifest = try SourceText.text("Package.swift")
    let expression = try NSRegularExpression(pattern: #"\.(target|executableTarget|testTarget)\("#)
    var result: [Target] = []
    for match in expression.matches(in: manifest, range: NSRange(manifest.startIndex..., in: manifest)) {
      guard let range = Range(match.range, in: manifest) else { continue }
      var depth = 1
      var body = ""
      for character in manifest[range.upperBound...] {
        if character == "(" { depth += 1 }
        if character == ")" { depth -= 1 }
        if depth == 0 { break }
        body.append(character)
      }
      let name = try #require(try first(#"name:\s*"([^"]+)""#, body))
      var dependencies: Set<String> = []
      if let list = try first(#"dependencies:\s*\[([^\]]*)\]"#, body) {
        let products = list.replacingOccurrences(
          of: #"package:\s*"[^"]+""#, with: "", options: .regularExpression)
        for item in try all(#""([^"]+)""#, products) { dependencies.insert(item) }
      }
      let path = try first(#"path:\s*"([^"]+)""#, body)
      let isTest = manifest[range].hasPrefix(".testTarget") || path?.hasPrefix("Tests/") == true
      if !isTest { result.append(Target(name: name, folder: path ?? "Sources/\(name)", dependencies: dependencies)) }
    }
    return result
  }

  private static func all(_ pattern: String, _ text: String) throws -> [String] {
    try NSRegularExpression(pattern: pattern).matches(in: text, range: NSRange(text.startIndex..., in: text))
      .compactMap { Range($0.range(at: 1), in: text).map { String(text[$0]) } }
  }

  private static func first(_ pattern: String, _ text: String) throws -> String? { try all(pattern, text).first }

  private static func room(_ target: Target) -> String { String(target.folder.dropFirst("Sources/".count)) }

  @Test func everyFolderIsARoom() throws {
    let targets = try RoomTests.targets()
    let rooms = Set(targets.map(RoomTests.room))
    #expect(rooms.count > 10)
    for folder in try SourceText.folders("Sources") {
      #expect(rooms.contains(folder), "Sources/\(folder) belongs to no target")
      #expect(RoomTests.table[folder] != nil, "Sources/\(folder) is not in the room table")
    }
  }

  @Test func manifestKeepsToTheTable() throws {
    for target in try RoomTests.targets() {
      let allowed = RoomTests.allowed(RoomTests.room(target))
      for dependency in target.dependencies.sorted() {
        #expect(allowed.contains(dependency), "Package.swift: \(target.name) may not use \(dependency)")
      }
    }
  }

  @Test func importsKeepToTheTable() throws {
    for target in try RoomTests.targets() {
      let allowed = RoomTests.allowed(RoomTests.room(target))
      let files = try SourceText.swiftFiles(target.folder)
      for file in files {
        for module in try RoomTests.imports(SourceText.code(try SourceText.text(file))) {
          if RoomTests.system.contains(module) { continue }
          #expect(allowed.contains(module), "\(file): \(target.name) may not import \(module)")
          #expect(target.dependencies.contains(module), "\(file): \(module) is not declared for \(target.name)")
        }
      }
    }
  }

  private static func imports(_ code: String) throws -> [String] {
    let kinds = "typealias|struct|class|enum|protocol|let|var|func"
    let pattern =
      #"(?m)^[^\S\n]*(?:(?:@\w+(?:\([^)]*\))?|public|package|internal|private|fileprivate)\s+)*"#
      + "import\\s+(?:(?:\(kinds))\\s+)?(\\w+)"
    return try all(pattern, code)
  }

  @Test func importLinesAreFound() throws {
    let code = SourceText.code(
      """
      import A
        @testable import B // import X
      public import struct C.D
      @_spi(Thing) import E
      /* import F */
      let text = "import G"
      @preconcurrency internal import H
      """)
    #expect(try RoomTests.imports(code) == ["A", "B", "C", "E", "H"])
    #expect(RoomTests.allowed("Runtime").contains("MachineCode"))
    #expect(!RoomTests.allowed("Graph").contains("Kernels"))
    #expect(!RoomTests.allowed("AdaptQ").contains("Chwloc"))
  }
}
