import Foundation

/// The repository's files as these tests read them.
enum SourceText {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  static func text(_ path: String) throws -> String {
    String(decoding: try Data(contentsOf: root.appendingPathComponent(path)), as: UTF8.self)
  }

  static func folders(_ path: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(
      at: root.appendingPathComponent(path), includingPropertiesForKeys: [.isDirectoryKey]
    ).filter { try $0.resourceValues(forKeys: [.isDirectoryKey]).isDirectory == true }
      .map(\.lastPathComponent).sorted()
  }

  /// Paths of Swift files below `path`, relative to the root.
  static func swiftFiles(_ path: String) throws -> [String] {
    let folder = root.appendingPathComponent(path)
    let names = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
    return names.filter { $0.hasSuffix(".swift") }.sorted().map { "\(path)/\($0)" }
  }

  /// `source` with comments and the text of string literals blanked; code inside interpolations and all line ends stay.
  static func code(_ source: String) -> String {
    var scanner = Scanner(characters: Array(source.unicodeScalars))
    scanner.scanCode(untilParenthesis: false)
    return String(String.UnicodeScalarView(scanner.output))
  }

  private struct Scanner {
    let characters: [Unicode.Scalar]
    var index = 0
    var output: [Unicode.Scalar] = []

    func starts(_ text: String) -> Bool {
      let scalars = Array(text.unicodeScalars)
      return index + scalars.count <= characters.count
        && Array(characters[index..<(index + scalars.count)]) == scalars
    }

    mutating func keep() {
      output.append(characters[index])
      index += 1
    }

    mutating func blank(_ count: Int = 1) {
      for _ in 0..<count where index < characters.count {
        output.append(characters[index] == "\n" ? "\n" : " ")
        index += 1
      }
    }

    mutating func scanCode(untilParenthesis: Bool) {
      var depth = 0
      while index < characters.count {
        if starts("//") {
          while index < characters.count && characters[index] != "\n" { blank() }
        } else if starts("/*") {
          scanComment()
        } else if characters[index] == "\"" || characters[index] == "#" {
          let start = index
          var hashes = 0
          while start + hashes < characters.count && characters[start + hashes] == "#" { hashes += 1 }
          if start + hashes < characters.count && characters[start + hashes] == "\"" {
            scanString(hashes)
          } else {
            keep()
          }
        } else {
          if characters[index] == "(" { depth += 1 }
          if characters[index] == ")" {
            depth -= 1
            if untilParenthesis && depth < 0 { return }
          }
          keep()
        }
      }
    }

    mutating func scanComment() {
      var depth = 0
      repeat {
        if starts("/*") {
          depth += 1
          blank(2)
        } else if starts("*/") {
          depth -= 1
          blank(2)
        } else {
          blank()
        }
      } while depth > 0 && index < characters.count
    }

    mutating func scanString(_ hashes: Int) {
      let mark = String(repeating: "#", count: hashes)
      blank(hashes)
      let quote = starts("\"\"\"") ? "\"\"\"" : "\""
      blank(quote.count)
      while index < characters.count {
        if starts(quote + mark) {
          blank(quote.count + hashes)
          return
        }
        if starts("\\\(mark)(") {
          blank(2 + hashes)
          scanCode(untilParenthesis: true)
          blank()
        } else if starts("\\\(mark)") {
          blank(2 + hashes)
        } else {
          blank()
        }
      }
    }
  }

  /// Lines, counted from 1, on which `pattern` matches.
  static func lines(_ code: String, matching pattern: String) throws -> [(number: Int, text: String)] {
    let expression = try NSRegularExpression(pattern: pattern)
    var found: [(number: Int, text: String)] = []
    for (index, line) in code.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let text = String(line)
      if expression.firstMatch(in: text, range: NSRange(text.startIndex..., in: text)) != nil {
        found.append((index + 1, text.trimmingCharacters(in: .whitespaces)))
      }
    }
    return found
  }
}
