import Base
import TestSupport
import Testing

@testable import Text

@Suite struct TokenizerTests {
  private func small() throws -> Tokenizer { try Tokenizer(huggingFaceJSON: try TextTestFiles.smallJSON()) }

  /// Worked out by hand; the template is [CLS] A [SEP] [PAD].
  @Test(arguments: [
    ("", ["[CLS]", "[SEP]", "[PAD]"]),
    ("unaffable", ["[CLS]", "un", "##aff", "##able", "[SEP]", "[PAD]"]),
    ("The the!", ["[CLS]", "the", "the", "!", "[SEP]", "[PAD]"]),
    ("worlding", ["[CLS]", "wor", "##ld", "##ing", "[SEP]", "[PAD]"]),
    // No piece starts with z: the whole word is unknown. Eleven letters are one too many.
    ("zebra aaaaaaaaaaa", ["[CLS]", "[UNK]", "[UNK]", "[SEP]", "[PAD]"]),
    ("\u{C9} e\u{301}", ["[CLS]", "e", "e", "[SEP]", "[PAD]"]),
    ("a中b", ["[CLS]", "a", "中", "b", "[SEP]", "[PAD]"]),
    // <x> takes the space behind it, <xy> is longer and wins, "[SEP]!" is an added token of its own.
    ("a<x> b<xy>c", ["[CLS]", "a", "<x>", "b", "<xy>", "c", "[SEP]", "[PAD]"]),
    ("[SEP]! [SEP] !", ["[CLS]", "[SEP]!", "[SEP]", "!", "[SEP]", "[PAD]"]),
    // The added token is matched before normalizing, so only as written.
    ("Éa éa", ["[CLS]", "Éa", "e", "##a", "[SEP]", "[PAD]"]),
  ]) func handChecked(_ text: String, _ tokens: [String]) throws {
    let tokenizer = try small()
    let result = try tokenizer.encode(text)
    #expect(result.ids.map { tokenizer.token(Int($0)) ?? "none" } == tokens)
  }

  @Test func facts() throws {
    let tokenizer = try small()
    #expect(tokenizer.vocabularySize == 69)
    #expect(tokenizer.padTokenID == 0 && tokenizer.unknownTokenID == 1)
    #expect(tokenizer.specialTokenCount() == 3 && tokenizer.specialTokenCount(pair: true) == 4)
    #expect(tokenizer.truncation == nil && tokenizer.padding == nil)
    for id in 0..<tokenizer.vocabularySize {
      let token = try #require(tokenizer.token(id))
      #expect(tokenizer.id(of: token) == id)
    }
    #expect(tokenizer.token(-1) == nil && tokenizer.token(69) == nil)
    #expect(tokenizer.id(of: "nothing") == nil && tokenizer.id(of: "") == nil)
  }

  @Test func readsTruncationAndPadding() throws {
    let truncation = "{\"max_length\":128,\"strategy\":\"OnlyFirst\",\"stride\":7,\"direction\":\"Left\"}"
    let padding = """
      {"strategy":{"Fixed":64},"direction":"Left","pad_to_multiple_of":8,"pad_id":4,"pad_type_id":1,"pad_token":"[MASK]"}
      """
    let json = try TextTestFiles.smallJSON().setting("truncation", try JSON.parse(truncation, "test"))
      .setting("padding", try JSON.parse(padding, "test"))
    let tokenizer = try Tokenizer(huggingFaceJSON: json)
    #expect(tokenizer.truncation == Truncation(maximumLength: 128, direction: .left, strategy: .onlyFirst))
    #expect(
      tokenizer.padding
        == Padding(fixedLength: 64, multipleOf: 8, direction: .left, tokenID: 4, typeID: 1))
    #expect(tokenizer.padTokenID == 4)
    // Neither is applied by itself.
    let long = try tokenizer.encode(String(repeating: "the ", count: 300))
    #expect(long.ids.count == 303)
    #expect(try tokenizer.encode("a").ids.count == 4)
  }

  @Test func serializedFormIsStable() throws {
    let (settings, blob) = try small().serialized()
    let again = try blob.withUnsafeBytes { try Tokenizer(settings: settings, vocabulary: $0) }.serialized()
    #expect(again.settings == settings && again.vocabulary == blob)
    #expect(settings["decoder"] == nil && settings["model"]?["vocab"] == nil)
    let parsed = try JSON.parse(settings.text, "settings")
    #expect(parsed == settings)
  }

  @Test func namesTheInvalidByte() throws {
    let tokenizer = try small()
    for (bytes, offset) in [([0xFF], 0), ([0x61, 0xC3], 1), (Array("the 中".utf8) + [0xED, 0xA0, 0x80, 0x61], 7)]
      as [([UInt8], Int)]
    {
      let error = #expect(throws: AdaptQError.self) { try tokenizer.encodeBytes(bytes, maximumLength: 3) }
      #expect(error == .invalidArgument("text: byte \(offset) is not UTF-8"))
      let second = #expect(throws: AdaptQError.self) { try tokenizer.encodeBytes([], pair: bytes) }
      #expect(second == .invalidArgument("pair: byte \(offset) is not UTF-8"))
    }
  }

  @Test func refusesLengthsBelowTheSpecialTokens() throws {
    let tokenizer = try small()
    for length in [Int.min, -1, 0, 2] {
      #expect(throws: AdaptQError.self) { try tokenizer.encode("a", maximumLength: length) }
    }
    #expect(try tokenizer.encode("a", maximumLength: 3).ids == [2, 3, 0])
    #expect(try tokenizer.encode("a", maximumLength: 0, addSpecialTokens: false).ids == [])
    #expect(throws: AdaptQError.self) { try tokenizer.encode("a", maximumLength: -1, addSpecialTokens: false) }
    #expect(try tokenizer.encode("a b c", maximumLength: .max).ids.count == 6)
  }

  @Test func writesNothingWithoutRoom() throws {
    let tokenizer = try small()
    let ids = GuardedBuffer<Int64>([9, 9, 9, 9])
    let text = Array("a b c".utf8)
    for capacity in [Int.min, -1, 0, 3, 4] {
      let count = try text.withUnsafeBytes {
        try tokenizer.encode($0, maximumLength: nil, ids: ids.base, capacity: capacity)
      }
      #expect(count == 6 && ids.array == [9, 9, 9, 9], "capacity \(capacity)")
    }
  }

  /// Swift calls both spellings of é the same string; the vocabulary must not.
  @Test func keepsCanonicallyEqualTokensApart() throws {
    let json = try TextTestFiles.smallJSON()
    let text = json.setting(["model", "vocab", "zz"], .integer(65)).setting("added_tokens", .array([]))
      .text.replacing("\"zz\"", with: "\"e\u{301}\"")
    let tokenizer = try Tokenizer(huggingFaceJSON: try JSON.parse(text, "test"))
    let composed = try #require(tokenizer.id(of: "\u{E9}"))
    #expect(tokenizer.id(of: "e\u{301}") == 65 && composed < 65)
  }

  /// The twin: the longest match looked up in a dictionary of strings, one length after another.
  @Test func piecesEqualTheObviousSearch() throws {
    var random = SeededRandom("pieces")
    let units = ["a", "b", "é", "中", "x"]
    for round in 0..<20 {
      var tokens = ["[UNK]", "##"]
      for _ in 0..<40 {
        let text = (0..<Int.random(in: 1...4, using: &random)).map { _ in units.randomElement(using: &random) ?? "" }
        let token = (Bool.random(using: &random) ? "##" : "") + text.joined()
        if !tokens.contains(token) { tokens.append(token) }
      }
      let vocabulary = JSON.object(tokens.enumerated().map { JSON.Member($1, .integer($0)) })
      let json = try TextTestFiles.smallJSON().setting("added_tokens", .array([])).setting("post_processor", .null)
        .setting(["model", "vocab"], vocabulary).setting(["normalizer", "strip_accents"], .bool(false))
        .setting(["normalizer", "handle_chinese_chars"], .bool(false))
      let tokenizer = try Tokenizer(huggingFaceJSON: json)
      for _ in 0..<200 {
        let word = (0..<Int.random(in: 1...12, using: &random)).map { _ in units.randomElement(using: &random) ?? "" }
        let found = try tokenizer.encode(word.joined()).ids.map { tokens[Int($0)] }
        #expect(found == obviousPieces(word, tokens), "round \(round): \(word.joined()) with \(tokens)")
      }
    }
  }

  private func obviousPieces(_ word: [String], _ tokens: [String]) -> [String] {
    if word.count > 10 { return ["[UNK]"] }
    var pieces: [String] = []
    var start = 0
    while start < word.count {
      let candidates = (start + 1...word.count).reversed()
      let prefix = start == 0 ? "" : "##"
      guard let end = candidates.first(where: { tokens.contains(prefix + word[start..<$0].joined()) }) else {
        return ["[UNK]"]
      }
      pieces.append(prefix + word[start..<end].joined())
      start = end
    }
    return pieces
  }
}
