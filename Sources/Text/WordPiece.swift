/// Where ids go: the caller's buffer from `position` on, or nowhere while only counting.
struct IDSink {
  let ids: UnsafeMutablePointer<Int64>?
  /// Index of the next id to write.
  var position: Int
  /// Ids seen so far; those below `skip` and from `limit` on are not written.
  private(set) var count = 0
  let skip: Int
  let limit: Int

  init(ids: UnsafeMutablePointer<Int64>?, position: Int, skip: Int = 0, limit: Int = .max) {
    self.ids = ids
    self.position = position
    self.skip = skip
    self.limit = limit
  }

  @inline(__always)
  mutating func put(_ id: UInt32) {
    if count >= limit { return }
    if count >= skip, let ids {
      ids[position] = Int64(id)
      position &+= 1
    }
    count &+= 1
  }

  var isFull: Bool { count >= limit }
}

/// The WordPiece model: a word becomes the longest known piece at its start, then the longest continuing piece, and so on;
/// if that gets stuck, or the word is too long, one unknown token.
///
/// Source: Wu et al., Google's Neural Machine Translation System, 2016, with BERT's greedy longest match.
struct WordPieceSink: WordSink {
  let vocabulary: Vocabulary
  let unknownID: UInt32
  let prefix: UnsafePointer<UInt8>
  let prefixCount: Int
  /// The hash state after `prefix`.
  let prefixHash: UInt64
  /// Scratch for one entry per character of a word: the hash up to its end, where it ends, the pieces found.
  let hashes: UnsafeMutablePointer<UInt64>
  let ends: UnsafeMutablePointer<UInt32>
  let pieces: UnsafeMutablePointer<UInt32>
  var ids: IDSink

  var isFull: Bool { ids.isFull }

  @inline(__always)
  mutating func take(_ word: Word) {
    if word.isTooLong { return ids.put(unknownID) }
    let bytes = UnsafePointer(word.bytes)
    if word.byteCount <= vocabulary.longestTokenByteCount {
      let whole = vocabulary.find(
        hash: word.hash, prefix: prefix, prefixCount: 0, bytes: bytes, count: word.byteCount)
      if whole != Vocabulary.notFound { return ids.put(whole) }
    }
    takePieces(bytes, word.byteCount)
  }

  /// Scratch never runs out: a word has at most `maximumWordCharacters` characters, so as many pieces and prefixes.
  private mutating func takePieces(_ bytes: UnsafePointer<UInt8>, _ count: Int) {
    var start = 0
    var pieceCount = 0
    while start < count {
      let before = start == 0 ? 0 : prefixCount
      let room = vocabulary.longestTokenByteCount &- before
      var hash = start == 0 ? vocabulary.seed : prefixHash
      var end = start
      var candidates = 0
      // All prefixes of the rest that could be tokens, then the longest that is one.
      while end < count {
        var next = end &+ 1
        while next < count && bytes[next] & 0xC0 == 0x80 { next &+= 1 }
        if next &- start > room { break }
        while end < next {
          hash = Vocabulary.hash(bytes[end], into: hash)
          end &+= 1
        }
        hashes[candidates] = hash
        ends[candidates] = UInt32(truncatingIfNeeded: end)
        candidates &+= 1
      }
      var found = Vocabulary.notFound
      while candidates > 0 {
        candidates &-= 1
        end = Int(truncatingIfNeeded: ends[candidates])
        found = vocabulary.find(
          hash: hashes[candidates], prefix: prefix, prefixCount: before, bytes: bytes + start, count: end &- start)
        if found != Vocabulary.notFound { break }
      }
      if found == Vocabulary.notFound { return ids.put(unknownID) }
      pieces[pieceCount] = found
      pieceCount &+= 1
      start = end
    }
    for index in 0..<pieceCount { ids.put(pieces[index]) }
  }
}
