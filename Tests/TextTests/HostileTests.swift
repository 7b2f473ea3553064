import Base
import Foundation
import TestSupport
import Testing

@testable import Text

/// Damaged and dishonest input: an `AdaptQError` or a working tokenizer, never a crash.
@Suite struct HostileTests {
  private static let sample = Array("The unaffable <x> [MASK] É\u{301}한 中! wor[SEP]!".utf8)

  private func vocabulary(_ blob: [UInt8]) throws -> Vocabulary {
    let guarded = GuardedBuffer<UInt8>(blob)
    return try Vocabulary(UnsafeRawBufferPointer(start: guarded.base, count: guarded.count))
  }

  @Test func everyTruncationOfTheVocabularyIsRefused() throws {
    let blob = try Tokenizer(huggingFaceJSON: try TextTestFiles.smallJSON()).serialized().vocabulary
    for count in 0..<blob.count {
      #expect(throws: AdaptQError.self, "\(count) bytes") { try vocabulary(Array(blob[..<count])) }
    }
    #expect(throws: AdaptQError.self) { try vocabulary(blob + [0]) }
  }

  @Test func everyFlippedByteOfTheVocabularyIsHarmless() throws {
    let (settings, blob) = try Tokenizer(huggingFaceJSON: try TextTestFiles.smallJSON()).serialized()
    let parsed = try TokenizerSettings(settings)
    let unicode = try UnicodeData()
    var random = SeededRandom("flip")
    var accepted = 0
    for index in blob.indices {
      for mask in [0x01, 0x80, UInt8.random(in: 1...255, using: &random)] as [UInt8] {
        var bytes = blob
        bytes[index] ^= mask
        do {
          let tokenizer = try Tokenizer(settings: parsed, vocabulary: try vocabulary(bytes), unicode: unicode)
          let result = try tokenizer.encodeBytes(Self.sample)
          #expect(result.ids.allSatisfy { $0 >= 0 && $0 < tokenizer.vocabularySize }, "byte \(index) ^ \(mask)")
          accepted += 1
        } catch is AdaptQError {
        }
      }
    }
    // Flips inside a text give another, valid vocabulary; flips of header and lengths do not.
    #expect(accepted > 0 && accepted < blob.count * 3)
  }

  @Test func everyFlippedByteOfTheFileIsHarmless() throws {
    let text = Array(try TextTestFiles.smallJSON().text.utf8)
    let unicode = try UnicodeData()
    var random = SeededRandom("flip json")
    for index in text.indices {
      var bytes = text
      bytes[index] ^= UInt8.random(in: 1...255, using: &random)
      do {
        let json = try bytes.withUnsafeBytes { try JSON.parse($0, "flipped") }
        let tokenizer = try Tokenizer(huggingFaceJSON: json, unicode: unicode)
        let result = try tokenizer.encodeBytes(Self.sample)
        #expect(result.ids.allSatisfy { $0 >= 0 && $0 < tokenizer.vocabularySize }, "byte \(index)")
      } catch is AdaptQError {
      }
    }
    for count in text.indices {
      #expect(throws: AdaptQError.self) { try text[..<count].withUnsafeBytes { try JSON.parse($0, "cut") } }
    }
  }

  /// Every member of the file removed, and every value replaced by each kind of value.
  @Test func everyReplacedValueIsHarmless() throws {
    let json = try TextTestFiles.smallJSON()
    let unicode = try UnicodeData()
    let replacements: [JSON?] = [
      nil, .null, .bool(true), .integer(-1), .integer(Int.max), .integer(Int.min), .number(0.5), .string(""),
      .string("x"), .array([]), .array([.null]), .object([]), .object([JSON.Member("x", .integer(1))]),
    ]
    for path in paths(json) {
      for replacement in replacements {
        do {
          let changed = try #require(replacing(json, path[...], replacement))
          let tokenizer = try Tokenizer(huggingFaceJSON: changed, unicode: unicode)
          _ = try tokenizer.encodeBytes(Self.sample, pair: Self.sample)
        } catch is AdaptQError {
        }
      }
    }
  }

  private func paths(_ value: JSON) -> [[Int]] {
    let children: [JSON]
    switch value {
    case .array(let items): children = items
    // Tokens are many and all alike: a few stand for them.
    case .object(let members): children = members.prefix(12).map(\.value)
    default: children = []
    }
    return [[]] + children.enumerated().flatMap { index, child in paths(child).map { [index] + $0 } }
  }

  private func replacing(_ value: JSON, _ path: ArraySlice<Int>, _ replacement: JSON?) -> JSON? {
    guard let index = path.first else { return replacement ?? .null }
    switch value {
    case .array(var items):
      if path.count == 1 && replacement == nil {
        items.remove(at: index)
      } else {
        items[index] = replacing(items[index], path.dropFirst(), replacement) ?? .null
      }
      return .array(items)
    case .object(var members):
      if path.count == 1 && replacement == nil {
        members.remove(at: index)
      } else {
        members[index].value = replacing(members[index].value, path.dropFirst(), replacement) ?? .null
      }
      return .object(members)
    default: return nil
    }
  }

  struct Refusal: CustomTestStringConvertible, Sendable {
    var path: [String]
    var value: JSON
    var status: Status
    /// The message contains this.
    var named: String
    var testDescription: String { "\(path.joined(separator: ".")) = \(value.text)" }
  }

  @Test(arguments: [
    Refusal(path: ["normalizer", "type"], value: .string("NFKC"), status: .unsupported, named: "\"NFKC\""),
    Refusal(path: ["normalizer"], value: .null, status: .unsupported, named: "normalizer: null"),
    Refusal(path: ["normalizer", "x"], value: .bool(true), status: .unsupported, named: "normalizer.x"),
    Refusal(path: ["pre_tokenizer", "type"], value: .string("ByteLevel"), status: .unsupported, named: "ByteLevel"),
    Refusal(path: ["model", "type"], value: .string("BPE"), status: .unsupported, named: "model.type: \"BPE\""),
    Refusal(path: ["model", "max_input_chars_per_word"], value: .integer(5000), status: .unsupported, named: "5000"),
    Refusal(path: ["model", "unk_token"], value: .string("<unk>"), status: .invalidFile, named: "<unk>"),
    Refusal(path: ["model", "vocab", "the"], value: .integer(0), status: .invalidFile, named: "\"the\""),
    Refusal(path: ["model", "vocab", "the"], value: .integer(999), status: .unsupported, named: "999"),
    Refusal(path: ["model", "vocab", "new"], value: .integer(65), status: .invalidFile, named: "added_tokens"),
    Refusal(path: ["post_processor", "type"], value: .string("Roberta"), status: .unsupported, named: "Roberta"),
    Refusal(path: ["post_processor", "single"], value: .array([]), status: .unsupported, named: "single"),
    Refusal(
      path: ["post_processor", "special_tokens", "[CLS]", "ids"], value: .array([.integer(400)]),
      status: .invalidFile, named: "400"),
    Refusal(path: ["truncation"], value: .bool(true), status: .invalidFile, named: "truncation"),
    Refusal(path: ["version"], value: .string("2.0"), status: .unsupported, named: "2.0"),
    Refusal(path: ["future"], value: .integer(1), status: .unsupported, named: "future: 1"),
  ]) func namesFieldAndValue(_ refusal: Refusal) throws {
    let json = try TextTestFiles.smallJSON().setting(refusal.path, refusal.value)
    let error = try #require(throws: AdaptQError.self) { try Tokenizer(huggingFaceJSON: json) }
    #expect(error.status == refusal.status && error.message.contains(refusal.named), "\(error)")
  }

  @Test(arguments: ["single_word", "normalized"]) func refusesAddedTokenOptions(_ option: String) throws {
    let json = try TextTestFiles.smallJSON()
    guard case .array(var tokens)? = json["added_tokens"] else { throw AdaptQError.internalError("test file") }
    tokens[5] = tokens[5].setting(option, .bool(true))
    let error = try #require(throws: AdaptQError.self) {
      try Tokenizer(huggingFaceJSON: json.setting("added_tokens", .array(tokens)))
    }
    #expect(error == .unsupported("added_tokens[5].\(option): true"))
  }

  /// Texts whose hashes all meet in one place of the index for the first seed.
  @Test func collidingTokensDoNotMakeLoadingQuadratic() throws {
    var random = SeededRandom("collisions")
    var tokens: [String] = []
    let mask: UInt64 = 0x7FF
    // Enough tokens for a long run in a table of 2,048 or 4,096 slots: same low bits of the mixed hash.
    while tokens.count < 700 {
      let text = "t\(UInt32.random(in: .min ... .max, using: &random))"
      var bytes = text
      let hash = bytes.withUTF8 { Vocabulary.hash($0.baseAddress!, $0.count, from: 0xCBF2_9CE4_8422_2325) }
      let product = hash &* 0x9E37_79B9_7F4A_7C15
      if (product ^ product >> 32) & mask < 4 { tokens.append(text) }
    }
    let blob = try Vocabulary.pack(Array(Set(tokens)).sorted())
    let vocabulary = try self.vocabulary(blob)
    #expect(vocabulary.seed != 0xCBF2_9CE4_8422_2325)
    for (index, token) in Set(tokens).sorted().enumerated() { #expect(vocabulary.find(token) == UInt32(index)) }
  }
}
