import Base
import Foundation

@testable import Text

/// Files of these tests: golden files beside the sources, and the model's tokenizer, which is not committed.
enum TextTestFiles {
  static func golden(_ name: String) throws -> Data {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden")
    return try Data(contentsOf: folder.appendingPathComponent(name))
  }

  /// `ADAPTQ_MODEL_DIR`, else the place in the user's cache; nil if there is no tokenizer.json.
  static let modelTokenizer: URL? = {
    let environment = ProcessInfo.processInfo.environment
    let folder: String
    if let given = environment["ADAPTQ_MODEL_DIR"] {
      folder = given
    } else {
      let cache = environment["XDG_CACHE_HOME"] ?? (environment["HOME"] ?? "") + "/.cache"
      folder = cache + "/adaptq/models/all-MiniLM-L6-v2"
    }
    let file = URL(fileURLWithPath: folder).appendingPathComponent("tokenizer.json")
    return FileManager.default.isReadableFile(atPath: file.path) ? file : nil
  }()

  static let hasModel = modelTokenizer != nil

  static func json(_ data: Data, _ source: String) throws -> JSON {
    try JSON.parse(String(decoding: data, as: UTF8.self), source)
  }

  static func smallJSON() throws -> JSON { try json(try golden("small-tokenizer.json"), "small") }
}

extension JSON {
  /// The object with `key` set to `value`.
  func setting(_ key: String, _ value: JSON) -> JSON {
    guard case .object(var members) = self else { return self }
    if let index = members.firstIndex(where: { $0.key == key }) {
      members[index].value = value
    } else {
      members.append(JSON.Member(key, value))
    }
    return .object(members)
  }

  /// Sets a value at a path of keys.
  func setting(_ path: [String], _ value: JSON) -> JSON {
    guard let key = path.first else { return value }
    return setting(key, (self[key] ?? .object([])).setting(Array(path.dropFirst()), value))
  }
}

extension Tokenizer {
  func encodeBytes(
    _ text: [UInt8], pair: [UInt8]? = nil, maximumLength: Int? = nil, addSpecialTokens: Bool = true
  ) throws -> Encoding {
    try text.withUnsafeBytes { text in
      guard let pair else {
        return try encode(text, maximumLength: maximumLength, addSpecialTokens: addSpecialTokens)
      }
      return try pair.withUnsafeBytes {
        try encode(text, pair: $0, maximumLength: maximumLength, addSpecialTokens: addSpecialTokens)
      }
    }
  }
}
