import Base

/// Turns text into the token numbers a model was trained with, exactly as the Hugging Face `tokenizers` package would
/// from the same `tokenizer.json`: BertNormalizer, BertPreTokenizer, WordPiece, added tokens, template.
///
/// Immutable after `init`: any number of threads may encode at once. Encoding allocates no memory that grows with the
/// text. Start reading at `Tokenizer+Encoding.swift`, then `WordScanner`, then `WordPiece`.
public final class Tokenizer: Sendable {
  let settings: TokenizerSettings
  let vocabulary: Vocabulary
  let scanner: WordScanner
  let addedTokens: AddedTokenMatcher
  let unknownID: UInt32
  /// The continuing prefix as bytes, and the hash state behind it.
  let prefix: MemoryBlock
  let prefixHash: UInt64

  /// - Parameter huggingFaceJSON: a whole parsed `tokenizer.json`.
  /// - Throws: `.unsupported` naming field and value for anything this tokenizer would have to do differently,
  ///   `.invalidFile` for contradictions inside the file.
  public convenience init(huggingFaceJSON json: JSON) throws(AdaptQError) {
    try self.init(huggingFaceJSON: json, unicode: try UnicodeData())
  }

  convenience init(huggingFaceJSON json: JSON, unicode: UnicodeData) throws(AdaptQError) {
    let settings = try TokenizerSettings(json)
    let model = try json.member("model", in: "tokenizer")
    let members = try model.member("vocab", in: "model").asObject("model.vocab")
    var order = [Int](repeating: -1, count: members.count)
    for (index, member) in members.enumerated() {
      let id = try member.value.asInt("model.vocab[\"\(member.key)\"]")
      if id < 0 || id >= members.count {
        throw .unsupported("model.vocab[\"\(member.key)\"]: \(id), numbers must be 0..<\(members.count) without gaps")
      }
      if order[id] >= 0 {
        throw .invalidFile("model.vocab: \"\(members[order[id]].key)\" and \"\(member.key)\" both have number \(id)")
      }
      order[id] = index
    }
    let blob = try Vocabulary.pack(order.map { members[$0].key })
    let vocabulary = try blob.withUnsafeBytesTyped { bytes throws(AdaptQError) in try Vocabulary(bytes) }
    try self.init(settings: settings, vocabulary: vocabulary, unicode: unicode)
  }

  /// From what `serialized()` returned. Both parts are untrusted and checked completely.
  ///
  /// - Parameter vocabulary: only read during the call.
  public convenience init(
    settings: JSON, vocabulary: UnsafeRawBufferPointer, calls: SystemCalls = .live
  ) throws(AdaptQError) {
    try self.init(
      settings: try TokenizerSettings(settings), vocabulary: try Vocabulary(vocabulary, calls: calls),
      unicode: try UnicodeData(calls: calls), calls: calls)
  }

  init(
    settings: TokenizerSettings, vocabulary: Vocabulary, unicode: UnicodeData, calls: SystemCalls = .live
  ) throws(AdaptQError) {
    self.settings = settings
    self.vocabulary = vocabulary
    unknownID = vocabulary.find(settings.unknownToken)
    if unknownID == Vocabulary.notFound {
      throw .invalidFile("model.unk_token: \"\(settings.unknownToken)\" is not in the vocabulary")
    }
    try Tokenizer.check(settings, vocabulary)
    scanner = WordScanner(unicode, settings)
    addedTokens = try AddedTokenMatcher(settings.addedTokens, calls: calls)
    let prefixCount = settings.continuingPrefix.utf8.count
    prefix = try MemoryBlock.allocate(byteCount: prefixCount, purpose: "model.continuing_subword_prefix", calls: calls)
    var hash = vocabulary.seed
    for (index, byte) in settings.continuingPrefix.utf8.enumerated() {
      prefix.base.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
      hash = Vocabulary.hash(byte, into: hash)
    }
    prefixHash = hash
  }

  /// Numbers in the settings must agree with the vocabulary: the package warns and goes on, here two readers could
  /// disagree about a token.
  private static func check(_ settings: TokenizerSettings, _ vocabulary: Vocabulary) throws(AdaptQError) {
    var seen: Set<[UInt8]> = []
    var next = vocabulary.count
    for token in settings.addedTokens.sorted(by: { $0.id < $1.id }) {
      let bytes = Array(token.content.utf8)
      if !seen.insert(bytes).inserted {
        throw .invalidFile("added_tokens: content \"\(token.content)\" appears twice")
      }
      let known = vocabulary.find(token.content)
      if known != Vocabulary.notFound {
        if Int(known) != token.id {
          throw .invalidFile("added_tokens: \"\(token.content)\" has id \(token.id), in the vocabulary \(known)")
        }
      } else if token.id == next {
        next += 1
      } else {
        throw .invalidFile("added_tokens: \"\(token.content)\" has id \(token.id), expected \(next)")
      }
    }
    for piece in settings.single + settings.pair {
      if case .special(let id) = piece.kind, id >= next {
        throw .invalidFile("post_processor.special_tokens: id \(id) is not below the vocabulary size \(next)")
      }
    }
    if let padding = settings.padding, padding.tokenID >= next {
      throw .invalidFile("padding.pad_id: \(padding.tokenID) is not below the vocabulary size \(next)")
    }
  }

  /// The two parts a container stores. `settings` has the members of `tokenizer.json` without `decoder` and
  /// `model.vocab`; the form of `vocabulary` is described at `Vocabulary`.
  public func serialized() -> (settings: JSON, vocabulary: [UInt8]) {
    (settings.json, vocabulary.serialized())
  }
}

// MARK: - Facts

extension Tokenizer {
  /// Tokens of the model and added tokens behind them; every number that `encode` writes is below it.
  public var vocabularySize: Int {
    vocabulary.count + settings.addedTokens.reduce(0) { $0 + ($1.id >= vocabulary.count ? 1 : 0) }
  }

  /// The file's truncation setting, if any: pass its `maximumLength` to `encode` to apply it. Direction and strategy
  /// hold for every `maximumLength` (right and longest first if the file has none).
  public var truncation: Truncation? { settings.truncation }

  /// The file's padding setting, if any.
  public var padding: Padding? { settings.padding }

  /// The number to pad batches with: the padding setting's, else that of "[PAD]" or "<pad>"; nil if there is neither.
  public var padTokenID: Int? { settings.padding?.tokenID ?? id(of: "[PAD]") ?? id(of: "<pad>") }

  /// What words outside the vocabulary become.
  public var unknownTokenID: Int { Int(unknownID) }

  /// The number of exactly this token (continuing pieces with their prefix), or nil.
  public func id(of token: String) -> Int? {
    let known = vocabulary.find(token)
    if known != Vocabulary.notFound { return Int(known) }
    return settings.addedTokens.first { $0.content.utf8.elementsEqual(token.utf8) }?.id
  }

  /// The text of the token with this number, nil if there is none. Continuing pieces keep their prefix.
  public func token(_ id: Int) -> String? {
    if id >= 0 && id < vocabulary.count { return String(decoding: vocabulary.bytes(id), as: UTF8.self) }
    return settings.addedTokens.first { $0.id == id }?.content
  }

  /// Special tokens that the template puts around one sequence (or around two).
  public func specialTokenCount(pair: Bool = false) -> Int {
    (pair ? settings.pair : settings.single).reduce(0) { count, piece in
      if case .special = piece.kind { return count + 1 }
      return count
    }
  }
}

extension [UInt8] {
  /// `withUnsafeBytes` with a typed error.
  func withUnsafeBytesTyped<R>(
    _ body: (UnsafeRawBufferPointer) throws(AdaptQError) -> R
  ) throws(AdaptQError) -> R {
    let result = withUnsafeBytes { bytes -> Result<R, AdaptQError> in
      do throws(AdaptQError) { return .success(try body(bytes)) } catch { return .failure(error) }
    }
    return try result.get()
  }
}
