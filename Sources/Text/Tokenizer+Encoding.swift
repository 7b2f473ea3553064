import Base

/// Token numbers and, alongside, which sequence (or special place) each belongs to.
public struct Encoding: Equatable, Sendable {
  public var ids: [Int64]
  public var typeIDs: [Int64]
}

extension Tokenizer {
  /// Encodes one text, or a pair, into the caller's buffers.
  ///
  /// Never pads, and cuts nothing off unless `maximumLength` is given; `truncation?.maximumLength` is what the file
  /// suggests. Attention masks are 1 for every id written.
  ///
  /// - Parameters:
  ///   - text: UTF-8, may be empty. Only read during the call, as is `pair`.
  ///   - pair: a second sequence, for models that compare two texts; nil for none.
  ///   - maximumLength: in tokens, special tokens included; nil: no limit.
  ///   - addSpecialTokens: whether the template's special tokens are written.
  ///   - ids, typeIDs: room for `capacity` numbers each, or nil to leave them out (`ids` nil: only count).
  /// - Returns: how many numbers the encoding has. If that is above `capacity` nothing has been written: call again with
  ///   more room. Else the first that many entries are written and the others untouched.
  /// - Throws: `.invalidArgument` for text that is not UTF-8 (naming the byte's offset), or a `maximumLength`
  ///   that the special tokens alone exceed, or that the file's truncation strategy cannot reach. Nothing is written.
  public func encode(
    _ text: UnsafeRawBufferPointer, pair: UnsafeRawBufferPointer? = nil, maximumLength: Int?,
    addSpecialTokens: Bool = true, ids: UnsafeMutablePointer<Int64>?, typeIDs: UnsafeMutablePointer<Int64>? = nil,
    capacity: Int
  ) throws(AdaptQError) -> Int {
    if let offset = UTF8Text.firstInvalidOffset(text) {
      throw .invalidArgument("text: byte \(offset) is not UTF-8")
    }
    if let pair, let offset = UTF8Text.firstInvalidOffset(pair) {
      throw .invalidArgument("pair: byte \(offset) is not UTF-8")
    }
    let capacity = max(capacity, 0)
    let specialCount = addSpecialTokens ? specialTokenCount(pair: pair != nil) : 0
    var room = Int.max
    if let maximumLength {
      if maximumLength < specialCount {
        throw .invalidArgument("maximumLength: \(maximumLength) is below the \(specialCount) special tokens")
      }
      room = maximumLength - specialCount
    }
    let cutsLeft = settings.truncation?.direction == .left
    var spans = (Span(skip: 0, limit: .max), Span(skip: 0, limit: .max))
    var needed: Int?
    if pair == nil && (settings.truncation?.strategy != .onlySecond || maximumLength == nil) && !cutsLeft {
      spans.0.limit = room
      // A token stands for at least one byte, so enough room for the bytes is enough: one pass does it.
      if ids == nil || min(room, text.count) > capacity - specialCount {
        needed = count(text, limit: room) + specialCount
      }
    } else {
      let lengths = (count(text, limit: .max), pair.map { count($0, limit: .max) } ?? 0)
      let kept = try truncated(lengths, room, isPair: pair != nil)
      spans.0 = Span(keeping: kept.0, of: lengths.0, cutsLeft: cutsLeft)
      spans.1 = Span(keeping: kept.1, of: lengths.1, cutsLeft: cutsLeft)
      needed = kept.0 + kept.1 + specialCount
    }
    if let needed, needed > capacity || ids == nil { return needed }
    return write(text, pair, spans, addSpecialTokens, ids, typeIDs)
  }

  /// The same, as arrays: for tools and tests.
  public func encode(
    _ text: UnsafeRawBufferPointer, pair: UnsafeRawBufferPointer? = nil, maximumLength: Int?,
    addSpecialTokens: Bool = true
  ) throws(AdaptQError) -> Encoding {
    let count = try encode(
      text, pair: pair, maximumLength: maximumLength, addSpecialTokens: addSpecialTokens, ids: nil, capacity: 0)
    var result = Encoding(ids: [Int64](repeating: 0, count: count), typeIDs: [Int64](repeating: 0, count: count))
    let error = result.ids.withUnsafeMutableBufferPointer { ids in
      result.typeIDs.withUnsafeMutableBufferPointer { typeIDs -> AdaptQError? in
        do throws(AdaptQError) {
          _ = try encode(
            text, pair: pair, maximumLength: maximumLength, addSpecialTokens: addSpecialTokens, ids: ids.baseAddress,
            typeIDs: typeIDs.baseAddress, capacity: count)
          return nil
        } catch {
          return error
        }
      }
    }
    if let error { throw error }
    return result
  }

  /// The same for a Swift string.
  public func encode(_ text: String, maximumLength: Int? = nil, addSpecialTokens: Bool = true)
    throws(AdaptQError) -> Encoding
  {
    try Array(text.utf8).withUnsafeBytesTyped { bytes throws(AdaptQError) in
      try encode(bytes, maximumLength: maximumLength, addSpecialTokens: addSpecialTokens)
    }
  }
}

// MARK: - Lengths

/// Which of a sequence's ids are written: from `skip` on, before `limit`.
struct Span {
  var skip: Int
  var limit: Int

  init(skip: Int, limit: Int) {
    self.skip = skip
    self.limit = limit
  }

  init(keeping kept: Int, of count: Int, cutsLeft: Bool) {
    skip = cutsLeft ? count - kept : 0
    limit = cutsLeft ? count : kept
  }
}

extension Tokenizer {
  /// How many ids each sequence keeps when both together may have `room`; the rules of the package's
  /// `truncate_encodings`.
  private func truncated(_ lengths: (Int, Int), _ room: Int, isPair: Bool) throws(AdaptQError) -> (Int, Int) {
    let total = lengths.0 + lengths.1
    if total <= room { return lengths }
    if room == 0 { return (0, 0) }
    switch settings.truncation?.strategy ?? .longestFirst {
    case .longestFirst:
      if !isPair { return (room, 0) }
      let shorter = min(lengths.0, lengths.1)
      let swapped = lengths.0 > lengths.1
      var first = shorter
      var second = shorter > room ? shorter : max(shorter, room - shorter)
      if first + second > room {
        first = room / 2
        second = first + room % 2
      }
      return swapped ? (second, first) : (first, second)
    case .onlyFirst:
      if lengths.0 <= total - room {
        throw .invalidArgument("maximumLength: the first sequence of \(lengths.0) tokens cannot lose \(total - room)")
      }
      return (lengths.0 - (total - room), lengths.1)
    case .onlySecond:
      if !isPair || lengths.1 <= total - room {
        throw .invalidArgument("maximumLength: the second sequence of \(lengths.1) tokens cannot lose \(total - room)")
      }
      return (lengths.0, lengths.1 - (total - room))
    }
  }

  private func count(_ text: UnsafeRawBufferPointer, limit: Int) -> Int {
    var sink = IDSink(ids: nil, position: 0, limit: limit)
    tokenize(text, &sink)
    return sink.count
  }

  private func write(
    _ text: UnsafeRawBufferPointer, _ pair: UnsafeRawBufferPointer?, _ spans: (Span, Span), _ addSpecialTokens: Bool,
    _ ids: UnsafeMutablePointer<Int64>?, _ typeIDs: UnsafeMutablePointer<Int64>?
  ) -> Int {
    var position = 0
    for piece in pair == nil ? settings.single : settings.pair {
      let start = position
      switch piece.kind {
      case .special(let id):
        if !addSpecialTokens { continue }
        if let ids { ids[position] = Int64(id) }
        position += 1
      case .first:
        var sink = IDSink(ids: ids, position: position, skip: spans.0.skip, limit: spans.0.limit)
        tokenize(text, &sink)
        position = sink.position
      case .second:
        guard let pair else { continue }
        var sink = IDSink(ids: ids, position: position, skip: spans.1.skip, limit: spans.1.limit)
        tokenize(pair, &sink)
        position = sink.position
      }
      if let typeIDs {
        for index in start..<position { typeIDs[index] = Int64(piece.typeID) }
      }
    }
    return position
  }
}

// MARK: - One sequence

extension Tokenizer {
  /// - Precondition: `text` is well-formed UTF-8.
  func tokenize(_ text: UnsafeRawBufferPointer, _ ids: inout IDSink) {
    guard let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self), !ids.isFull else { return }
    let characters = settings.maximumWordCharacters
    let wordCapacity = Word.byteCapacity(maximumCharacters: characters)
    withUnsafeTemporaryAllocation(byteCount: 16 * (characters + 1), alignment: 16) { raw in
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: wordCapacity) { bytes in
        guard let scratch = raw.baseAddress, let bytes = bytes.baseAddress else { return }
        let hashes = scratch.bindMemory(to: UInt64.self, capacity: characters + 1)
        let ends = (scratch + 8 * (characters + 1)).bindMemory(to: UInt32.self, capacity: 2 * (characters + 1))
        let word = Word(bytes: bytes, maximumCharacters: characters, seed: vocabulary.seed)
        let sink = WordPieceSink(
          vocabulary: vocabulary, unknownID: unknownID,
          prefix: UnsafePointer(prefix.base.assumingMemoryBound(to: UInt8.self)), prefixCount: prefix.byteCount,
          prefixHash: prefixHash, hashes: hashes, ends: ends,
          pieces: ends + (characters + 1), ids: ids)
        ids = tokenize(base, text.count, word, sink)
      }
    }
  }

  /// Added tokens first, in the raw text; what is between them is scanned piece by piece.
  private func tokenize(
    _ text: UnsafePointer<UInt8>, _ count: Int, _ word: Word, _ sink: WordPieceSink
  ) -> IDSink {
    var word = word
    var sink = sink
    var segment = 0
    var offset = 0
    while let match = addedTokens.next(text, from: offset, count: count) {
      var start = match.start
      var end = match.end
      if match.stripsLeft {
        while start > segment {
          var next = UTF8Text.previousStart(text, start)
          let before = next
          if !scanner.isSpace(UTF8Text.decode(text, &next)) { break }
          start = before
        }
      }
      if match.stripsRight {
        while end < count {
          var next = end
          if !scanner.isSpace(UTF8Text.decode(text, &next)) { break }
          end = next
        }
      }
      if segment < start { scanner.scan(text + segment, start - segment, &word, into: &sink) }
      sink.ids.put(match.id)
      if sink.isFull { return sink.ids }
      segment = end
      offset = match.end
    }
    if segment < count { scanner.scan(text + segment, count - segment, &word, into: &sink) }
    return sink.ids
  }
}
