import Base

/// A truncation setting of a tokenizer file: a default that the caller applies by passing `maximumLength`.
public struct Truncation: Equatable, Sendable {
  /// Which end of a sequence is cut off.
  public enum Direction: String, Sendable { case left = "Left", right = "Right" }
  /// Which sequence of a pair is cut: the longer one (down to equal lengths, then both), the first, the second.
  public enum Strategy: String, Sendable {
    case longestFirst = "LongestFirst"
    case onlyFirst = "OnlyFirst"
    case onlySecond = "OnlySecond"
  }

  /// In tokens, special tokens included.
  public var maximumLength: Int
  public var direction: Direction
  public var strategy: Strategy
}

/// A padding setting of a tokenizer file. `encode` never pads: whoever builds a batch does.
public struct Padding: Equatable, Sendable {
  public enum Direction: String, Sendable { case left = "Left", right = "Right" }

  /// The length to pad to; nil: the longest of the batch.
  public var fixedLength: Int?
  /// Lengths are rounded up to a multiple of this, if set.
  public var multipleOf: Int?
  public var direction: Direction
  public var tokenID: Int
  public var typeID: Int
}

/// A token matched in the raw text before anything else, with its number.
struct AddedToken: Equatable, Sendable {
  var id: Int
  var content: String
  /// The match also takes the white space before (after) it.
  var stripsLeft: Bool
  var stripsRight: Bool
  var isSpecial: Bool
}

/// One place of a post-processing template.
struct TemplatePiece: Equatable, Sendable {
  enum Kind: Equatable, Sendable { case special(Int), first, second }
  var kind: Kind
  var typeID: Int
}

/// Everything of a `tokenizer.json` but the vocabulary, checked. The same reader serves the file and the settings stored
/// in a container: the latter are the former without `decoder` and without `model.vocab`.
///
/// Field meanings: Hugging Face tokenizers, github.com/huggingface/tokenizers.
struct TokenizerSettings: Sendable {
  /// BERT's word scanner keeps scratch space of 20 bytes per character of the longest word.
  static let maximumWordLength = 2048
  static let maximumAddedTokenCount = 4096
  static let maximumAddedTokenByteCount = 1024

  var cleansText = true
  var splitsChinese = true
  var stripsAccents = true
  var lowercases = true
  var unknownToken = ""
  var continuingPrefix = ""
  var maximumWordCharacters = 100
  var addedTokens: [AddedToken] = []
  var single: [TemplatePiece] = [TemplatePiece(kind: .first, typeID: 0)]
  var pair: [TemplatePiece] = [
    TemplatePiece(kind: .first, typeID: 0), TemplatePiece(kind: .second, typeID: 1),
  ]
  var truncation: Truncation?
  var padding: Padding?
  /// What `Tokenizer.serialized()` stores: the checked members as they were read.
  let json: JSON

  init(_ file: JSON) throws(AdaptQError) {
    let members = try file.asObject("tokenizer")
    let known = [
      "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder",
      "model",
    ]
    try file.allowOnly(known, "tokenizer")
    var stored: [JSON.Member] = []
    for member in members where member.key != "decoder" {
      if member.key == "model" {
        let parts = try member.value.asObject("model").filter { $0.key != "vocab" }
        stored.append(JSON.Member("model", .object(parts)))
      } else {
        stored.append(member)
      }
    }
    json = .object(stored)
    if let version = file["version"], version != .string("1.0") { throw unsupported("version", version) }
    try readNormalizer(try file.member("normalizer", in: "tokenizer"))
    try readPreTokenizer(try file.member("pre_tokenizer", in: "tokenizer"))
    try readModel(try file.member("model", in: "tokenizer"))
    if let tokens = file["added_tokens"] { try readAddedTokens(tokens) }
    if let value = file["post_processor"], value != .null { try readTemplate(value) }
    if let value = file["truncation"], value != .null { try readTruncation(value) }
    if let value = file["padding"], value != .null { try readPadding(value) }
  }

  private mutating func readNormalizer(_ value: JSON) throws(AdaptQError) {
    try value.requireType("BertNormalizer", "normalizer")
    try value.allowOnly(["type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"], "normalizer")
    cleansText = try value.bool("clean_text", "normalizer")
    splitsChinese = try value.bool("handle_chinese_chars", "normalizer")
    lowercases = try value.bool("lowercase", "normalizer")
    switch value["strip_accents"] {
    case .none, .some(.null): stripsAccents = lowercases
    case .some(let given): stripsAccents = try given.asBool("normalizer.strip_accents")
    }
  }

  private func readPreTokenizer(_ value: JSON) throws(AdaptQError) {
    try value.requireType("BertPreTokenizer", "pre_tokenizer")
    try value.allowOnly(["type"], "pre_tokenizer")
  }

  private mutating func readModel(_ value: JSON) throws(AdaptQError) {
    try value.requireType("WordPiece", "model")
    try value.allowOnly(
      ["type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"], "model")
    unknownToken = try value.member("unk_token", in: "model").asString("model.unk_token")
    continuingPrefix = try value.member("continuing_subword_prefix", in: "model")
      .asString("model.continuing_subword_prefix")
    let limit = try value.member("max_input_chars_per_word", in: "model")
    maximumWordCharacters = try limit.asInt("model.max_input_chars_per_word")
    if maximumWordCharacters < 0 { throw .invalidFile("model.max_input_chars_per_word: \(maximumWordCharacters)") }
    if maximumWordCharacters > Self.maximumWordLength { throw unsupported("model.max_input_chars_per_word", limit) }
  }

  private mutating func readAddedTokens(_ value: JSON) throws(AdaptQError) {
    let items = try value.asArray("added_tokens")
    if items.count > Self.maximumAddedTokenCount {
      throw .unsupported("added_tokens: \(items.count) tokens, the limit is \(Self.maximumAddedTokenCount)")
    }
    for (index, item) in items.enumerated() {
      let field = "added_tokens[\(index)]"
      try item.allowOnly(["id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"], field)
      let content = try item.member("content", in: field).asString("\(field).content")
      if content.isEmpty || content.utf8.count > Self.maximumAddedTokenByteCount {
        throw .unsupported("\(field).content: \(content.utf8.count) bytes")
      }
      for name in ["single_word", "normalized"] where try item.bool(name, field) {
        throw unsupported("\(field).\(name)", .bool(true))
      }
      addedTokens.append(
        AddedToken(
          id: try item.count("id", field), content: content, stripsLeft: try item.bool("lstrip", field),
          stripsRight: try item.bool("rstrip", field), isSpecial: try item.bool("special", field)))
    }
  }

  private mutating func readTruncation(_ value: JSON) throws(AdaptQError) {
    let field = "truncation"
    try value.allowOnly(["direction", "max_length", "strategy", "stride"], field)
    // The stride only shapes the overflowing pieces, which are not returned.
    if value["stride"] != nil { _ = try value.count("stride", field) }
    let strategy = try value.member("strategy", in: field)
    guard let parsed = Truncation.Strategy(rawValue: try strategy.asString("truncation.strategy")) else {
      throw unsupported("truncation.strategy", strategy)
    }
    truncation = Truncation(
      maximumLength: try value.count("max_length", field),
      direction: try value.direction(field, Truncation.Direction.right), strategy: parsed)
  }

  private mutating func readPadding(_ value: JSON) throws(AdaptQError) {
    let field = "padding"
    try value.allowOnly(
      ["strategy", "direction", "pad_to_multiple_of", "pad_id", "pad_type_id", "pad_token"], field)
    let strategy = try value.member("strategy", in: field)
    var fixedLength: Int?
    if strategy != .string("BatchLongest") {
      guard case .object = strategy, strategy["Fixed"] != nil else { throw unsupported("padding.strategy", strategy) }
      try strategy.allowOnly(["Fixed"], "padding.strategy")
      fixedLength = try strategy.count("Fixed", "padding.strategy")
    }
    var multipleOf: Int?
    if let given = value["pad_to_multiple_of"], given != .null {
      let count = try value.count("pad_to_multiple_of", field)
      if count > 0 { multipleOf = count }
    }
    _ = try value.member("pad_token", in: field).asString("padding.pad_token")
    padding = Padding(
      fixedLength: fixedLength, multipleOf: multipleOf,
      direction: try value.direction(field, Padding.Direction.right),
      tokenID: try value.count("pad_id", field), typeID: try value.count("pad_type_id", field))
  }
}
