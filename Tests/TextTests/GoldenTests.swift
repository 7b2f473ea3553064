import Base
import Foundation
import TestSupport
import Testing

@testable import Text

/// Cases made by the `tokenizers` package (Golden/make_golden.py); every number must be the same.
@Suite struct GoldenTests {
  @Test func smallTokenizer() throws {
    try run("small.golden", try TextTestFiles.smallJSON(), minimum: 900)
  }

  @Test(
    .enabled(
      if: TextTestFiles.hasModel,
      "needs tokenizer.json of all-MiniLM-L6-v2: set ADAPTQ_MODEL_DIR to its folder, or put it into the user's cache"))
  func modelTokenizer() throws {
    let file = try #require(TextTestFiles.modelTokenizer)
    try run("minilm.golden", try TextTestFiles.json(try Data(contentsOf: file), "tokenizer.json"), minimum: 2000)
  }

  /// Every variant is built twice: from the file, and from what `serialized()` gave.
  private func run(_ name: String, _ file: JSON, minimum: Int) throws {
    let lines = String(decoding: try TextTestFiles.golden(name), as: UTF8.self).split(separator: "\n")
    #expect(lines.count > minimum)
    let variants = try JSON.parse(String(lines[0]), name).asArray(name)
    var tokenizers: [Tokenizer] = []
    var first: (settings: JSON, vocabulary: [UInt8])?
    for variant in variants {
      var settings = first?.settings ?? file
      for member in try variant.asObject(name) { settings = settings.setting(member.key, member.value) }
      if let first {
        tokenizers.append(try first.vocabulary.withUnsafeBytes { try Tokenizer(settings: settings, vocabulary: $0) })
      } else {
        let tokenizer = try Tokenizer(huggingFaceJSON: settings)
        tokenizers.append(tokenizer)
        first = tokenizer.serialized()
      }
    }
    for (number, line) in lines.enumerated().dropFirst() {
      let items = try JSON.parse(String(line), "\(name):\(number + 1)").asArray(name)
      let variant = try items[0].asInt("variant")
      try check(tokenizers[variant], items, "\(name):\(number + 1), variant \(variant)")
    }
  }

  private func check(_ tokenizer: Tokenizer, _ items: [JSON], _ place: String) throws {
    let options = items.count > 3 ? items[3] : .object([])
    let repeats = try options["r"]?.asInt("r") ?? 1
    let text = Array(String(repeating: try items[1].asString("text"), count: repeats).utf8)
    let pair = try options["p"].map { Array(try $0.asString("p").utf8) }
    let maximum = try options["m"]?.asInt("m")
    let special = options["s"] != .integer(0)
    guard case .string(let expected) = items[2] else {
      #expect(throws: AdaptQError.self, "\(place)") {
        try tokenizer.encodeBytes(text, pair: pair, maximumLength: maximum, addSpecialTokens: special)
      }
      return
    }
    let result = try tokenizer.encodeBytes(text, pair: pair, maximumLength: maximum, addSpecialTokens: special)
    var words = result.ids.map(String.init)
    if pair != nil {
      words.insert("|", at: result.typeIDs.firstIndex(of: 1) ?? words.count)
      #expect(result.typeIDs == result.typeIDs.sorted(), "\(place)")
    }
    let found = words.joined(separator: " ")
    #expect(found == expected, "\(place): \(items[1].text)")
    try checkBuffers(tokenizer, text, pair, maximum, special, result, place)
  }

  /// The pointer form: exact room in front of a guard page, one too little, and plenty (the one-pass way).
  private func checkBuffers(
    _ tokenizer: Tokenizer, _ text: [UInt8], _ pair: [UInt8]?, _ maximum: Int?, _ special: Bool, _ result: Encoding,
    _ place: String
  ) throws {
    let count = result.ids.count
    for capacity in [count, count - 1, text.count + (pair?.count ?? 0) + 8] where capacity >= 0 {
      let ids = GuardedBuffer<Int64>([Int64](repeating: -7, count: capacity))
      let typeIDs = GuardedBuffer<Int64>([Int64](repeating: -7, count: capacity))
      let source = GuardedBuffer<UInt8>(text)
      let second = pair.map { GuardedBuffer<UInt8>($0) }
      let written = try tokenizer.encode(
        UnsafeRawBufferPointer(start: source.base, count: source.count),
        pair: second.map { UnsafeRawBufferPointer(start: $0.base, count: $0.count) }, maximumLength: maximum,
        addSpecialTokens: special, ids: ids.base, typeIDs: typeIDs.base, capacity: capacity)
      #expect(written == count, "\(place), capacity \(capacity)")
      let used = capacity >= count ? count : 0
      let rest = [Int64](repeating: -7, count: capacity - used)
      #expect(ids.array == Array(result.ids.prefix(used)) + rest, "\(place), capacity \(capacity)")
      #expect(typeIDs.array == Array(result.typeIDs.prefix(used)) + rest, "\(place), capacity \(capacity)")
    }
  }
}
