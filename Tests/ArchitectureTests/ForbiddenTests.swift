import Foundation
import Testing

/// What library rooms never contain: traps, hidden threads, Foundation.
@Suite struct ForbiddenTests {
  static let patterns: [(what: String, pattern: String)] = [
    ("try!", #"\btry!"#), ("as!", #"\bas!"#), ("fatalError", #"\bfatalError\s*\("#),
    ("precondition", #"\bprecondition(Failure)?\s*\("#), ("assert", #"\bassert(ionFailure)?\s*\("#),
    (
      "Foundation or Dispatch",
      #"\bimport\s+(struct\s+|class\s+|enum\s+|func\s+)?(Foundation|FoundationEssentials|Dispatch)\b"#
    ),
    ("async or await", #"\b(async|await)\b"#), ("Task", #"\b(Task|TaskGroup|MainActor)\b"#),
    ("actor", #"\b(actor|globalActor)\b"#),
    // A `!` directly behind an operand: forced unwrapping, or an implicitly unwrapped type.
    ("force unwrapping", #"[\w\)\]\}>\?`]!(?!=)"#), ("implicitly unwrapped", #"\]!(\s|$)"#),
  ]

  static let outside: Set<String> = ["CLI", "Bench", "CMachine"]

  static func violations(_ source: String) throws -> [String] {
    let code = SourceText.code(source)
    var found: [String] = []
    for (what, pattern) in patterns {
      for line in try SourceText.lines(code, matching: pattern) {
        found.append("\(line.number): \(what): \(line.text)")
      }
    }
    return found
  }

  @Test func libraryRooms() throws {
    var files = 0
    for room in try SourceText.folders("Sources") where !ForbiddenTests.outside.contains(room) {
      for file in try SourceText.swiftFiles("Sources/\(room)") {
        files += 1
        let found = try ForbiddenTests.violations(try SourceText.text(file))
        #expect(found.isEmpty, "\(file):\n\(found.joined(separator: "\n"))")
      }
    }
    #expect(files > 50)
  }

  @Test func filesStayShort() throws {
    for file in try SourceText.swiftFiles("Sources") + SourceText.swiftFiles("Tests") {
      let count = try SourceText.text(file).split(separator: "\n", omittingEmptySubsequences: false).count - 1
      #expect(count <= 600, "\(file): \(count) lines")
    }
  }

  @Test(arguments: [
    "let x = try! f()", "y = x as! Int", "fatalError(\"no\")", "precondition(x > 0)", "import Foundation",
    "public import Dispatch", "func f() async {}", "Task { }", "actor A {}", "let a = b!", "f()!.x", "a[0]! + 1",
    "var x: Int!", "\"\\(x!)\"", "await f()",
  ])
  func isFound(_ source: String) throws {
    #expect(try !ForbiddenTests.violations(source).isEmpty, "\(source)")
  }

  @Test(arguments: [
    "if a != b { }", "if !a { }", "a!=b", "f(!x, !y)", "// try! x as! y", "\"try! fatalError( \\\"x!\\\" \"",
    "/* a /* b! */ c! */ let x = 1", "#\"a!\"#", "\"\"\"\n  Task! \"quoted\" x!\n\"\"\"", "let task = taskCount",
    "[a, !b]",
  ])
  func isLeftAlone(_ source: String) throws {
    #expect(try ForbiddenTests.violations(source).isEmpty, "\(source)")
  }
}
