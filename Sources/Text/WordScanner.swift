/// Takes the words of a text one by one.
protocol WordSink {
  /// True once further words cannot matter: scanning stops.
  var isFull: Bool { get }
  mutating func take(_ word: Word)
}

/// The word under construction, in scratch memory that the caller lends.
struct Word {
  /// Room for `maximumCharacters` scalars and one more.
  let bytes: UnsafeMutablePointer<UInt8>
  let maximumCharacters: Int
  private(set) var byteCount = 0
  /// Unicode scalars, also counted where they are no longer kept.
  private(set) var characterCount = 0
  /// The vocabulary hash of the bytes, kept up to date while they grow at the end.
  private(set) var hash: UInt64
  private let seed: UInt64
  /// How many scalars at the end are marks that a later mark of lower class must pass.
  private var markCount = 0

  init(bytes: UnsafeMutablePointer<UInt8>, maximumCharacters: Int, seed: UInt64) {
    self.bytes = bytes
    self.maximumCharacters = maximumCharacters
    self.seed = seed
    hash = seed
  }

  /// Bytes of scratch memory for words of this length.
  static func byteCapacity(maximumCharacters: Int) -> Int { 4 * (maximumCharacters + 1) }

  /// A longer word is one unknown token whatever its text, so the text beyond the limit is not kept.
  var isTooLong: Bool { characterCount > maximumCharacters }

  @inline(__always)
  mutating func reset() {
    byteCount = 0
    characterCount = 0
    hash = seed
    markCount = 0
  }

  @inline(__always)
  mutating func append(ascii byte: UInt8) {
    characterCount &+= 1
    markCount = 0
    if characterCount > maximumCharacters { return }
    bytes[byteCount] = byte
    byteCount &+= 1
    hash = Vocabulary.hash(byte, into: hash)
  }

  /// Appends well-formed bytes of one scalar.
  @inline(__always)
  mutating func append(_ source: UnsafePointer<UInt8>, _ count: Int) {
    characterCount &+= 1
    markCount = 0
    if characterCount > maximumCharacters { return }
    for index in 0..<count {
      bytes[byteCount &+ index] = source[index]
      hash = Vocabulary.hash(source[index], into: hash)
    }
    byteCount &+= count
  }

  @inline(__always)
  mutating func append(_ scalar: UInt32) {
    characterCount &+= 1
    markCount = 0
    if characterCount > maximumCharacters { return }
    let count = UTF8Text.encode(scalar, bytes + byteCount)
    for index in 0..<count { hash = Vocabulary.hash(bytes[byteCount &+ index], into: hash) }
    byteCount &+= count
  }

  /// A dropped starter still separates the marks before it from those behind it.
  @inline(__always)
  mutating func endMarkRun() { markCount = 0 }

  /// Appends a mark of class > 0 in canonical order (UAX #15): before the kept marks of higher class at the end.
  mutating func append(mark scalar: UInt32, combiningClass: UInt32, _ data: UnicodeData) {
    let marks = markCount
    characterCount &+= 1
    markCount = marks &+ 1
    if characterCount > maximumCharacters { return }
    var place = byteCount
    var passed = 0
    while passed < marks {
      let start = UTF8Text.previousStart(UnsafePointer(bytes), place)
      var end = start
      let other = UTF8Text.decode(UnsafePointer(bytes), &end)
      if UnicodeData.combiningClass(data.attributes(other)) <= combiningClass { break }
      place = start
      passed &+= 1
    }
    var encoded: (UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0)
    withUnsafeMutableBytes(of: &encoded) { raw in
      guard let target = raw.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
      let count = UTF8Text.encode(scalar, target)
      var index = byteCount
      while index > place {
        index &-= 1
        bytes[index &+ count] = bytes[index]
      }
      for index in 0..<count { bytes[place &+ index] = target[index] }
      byteCount &+= count
    }
    hash = Vocabulary.hash(UnsafePointer(bytes), byteCount, from: seed)
  }
}

/// BertNormalizer and BertPreTokenizer in one pass: from validated UTF-8 to normalized words, one scalar at a time.
///
/// The order is that of the `tokenizers` package: clean, set off Chinese characters, decompose and drop nonspacing
/// marks, lower, then split at white space and around punctuation. None of these looks at a neighbour except canonical
/// reordering, which `Word.append(mark:)` does in place.
struct WordScanner: Sendable {
  /// What an ASCII byte does: itself or its lower case, or one of the codes below.
  private enum ASCII {
    static let removed: UInt8 = 0x80
    static let space: UInt8 = 0x81
    /// The byte is a word of its own.
    static let punctuation: UInt8 = 0x82
  }

  private let data: UnicodeData
  private let cleansText: Bool
  private let splitsChinese: Bool
  private let stripsAccents: Bool
  private let lowercases: Bool
  /// 128 bytes, by value: 16 words.
  private let ascii: InlineArray<128, UInt8>

  init(_ data: UnicodeData, _ settings: TokenizerSettings) {
    self.data = data
    cleansText = settings.cleansText
    splitsChinese = settings.splitsChinese
    stripsAccents = settings.stripsAccents
    lowercases = settings.lowercases
    var table = InlineArray<128, UInt8>(repeating: 0)
    for byte in 0..<128 {
      let attributes = data.attributes(UInt32(byte))
      if cleansText && attributes & UnicodeData.Attribute.removed != 0 {
        table[byte] = ASCII.removed
      } else if attributes & UnicodeData.Attribute.space != 0 {
        table[byte] = ASCII.space
      } else if attributes & UnicodeData.Attribute.punctuation != 0 {
        table[byte] = ASCII.punctuation
      } else {
        table[byte] = lowercases && byte >= 0x41 && byte <= 0x5A ? UInt8(byte) + 0x20 : UInt8(byte)
      }
    }
    ascii = table
  }

  /// White space as the pre-tokenizer sees it, which is Unicode's White_Space property.
  func isSpace(_ scalar: UInt32) -> Bool { data.isSpace(scalar) }

  /// - Precondition: `text` is well-formed UTF-8.
  func scan<Sink: WordSink>(
    _ text: UnsafePointer<UInt8>, _ count: Int, _ word: inout Word, into sink: inout Sink
  ) {
    var offset = 0
    while offset < count {
      let byte = text[offset]
      if byte < 0x80 {
        offset &+= 1
        let action = ascii[unchecked: Int(truncatingIfNeeded: byte)]
        if action < 0x80 {
          word.append(ascii: action)
          continue
        }
        if action == ASCII.removed { continue }
        finish(&word, into: &sink)
        if action == ASCII.punctuation {
          word.append(ascii: byte)
          finish(&word, into: &sink)
        }
        if sink.isFull { return }
        continue
      }
      let start = offset
      let scalar = UTF8Text.decodeWide(text, &offset)
      let attributes = data.attributes(scalar)
      if attributes == 0 {
        word.append(text + start, offset &- start)
      } else {
        take(scalar, attributes, &word, into: &sink)
        if sink.isFull { return }
      }
    }
    finish(&word, into: &sink)
  }

  @inline(__always)
  private func finish<Sink: WordSink>(_ word: inout Word, into sink: inout Sink) {
    if word.characterCount == 0 { return word.endMarkRun() }
    sink.take(word)
    word.reset()
  }

  /// A scalar that something may happen to: cleaning, Chinese, then decomposition.
  private func take<Sink: WordSink>(
    _ scalar: UInt32, _ attributes: UInt32, _ word: inout Word, into sink: inout Sink
  ) {
    typealias Attribute = UnicodeData.Attribute
    if cleansText && attributes & Attribute.removed != 0 { return }
    if attributes & Attribute.space != 0 { return finish(&word, into: &sink) }
    let isolated = splitsChinese && attributes & Attribute.chinese != 0
    if isolated { finish(&word, into: &sink) }
    if stripsAccents && attributes & Attribute.hangul != 0 {
      // The Unicode Standard, section 3.12: syllables decompose by arithmetic.
      let index = scalar &- UnicodeData.hangulSyllables.lowerBound
      word.append(0x1100 &+ index / 588)
      word.append(0x1161 &+ index % 588 / 28)
      if index % 28 != 0 { word.append(0x11A7 &+ index % 28) }
    } else if stripsAccents && attributes & Attribute.decomposes != 0 {
      let (parts, count) = data.decomposition(attributes)
      for index in 0..<count {
        lower(parts[index], data.attributes(parts[index]), &word, into: &sink)
      }
    } else {
      lower(scalar, attributes, &word, into: &sink)
    }
    if isolated { finish(&word, into: &sink) }
  }

  /// A scalar after decomposition: dropped if nonspacing, else lowered.
  private func lower<Sink: WordSink>(
    _ scalar: UInt32, _ attributes: UInt32, _ word: inout Word, into sink: inout Sink
  ) {
    typealias Attribute = UnicodeData.Attribute
    if stripsAccents {
      let combiningClass = UnicodeData.combiningClass(attributes)
      if attributes & Attribute.nonspacing != 0 {
        if combiningClass == 0 { word.endMarkRun() }
        return
      }
      if combiningClass != 0 { return word.append(mark: scalar, combiningClass: combiningClass, data) }
    }
    if lowercases && attributes & Attribute.lowers != 0 {
      let (parts, count) = data.lowercase(attributes)
      for index in 0..<count {
        split(parts[index], data.attributes(parts[index]), &word, into: &sink)
      }
    } else {
      split(scalar, attributes, &word, into: &sink)
    }
  }

  /// A normalized scalar: white space ends a word, punctuation is one.
  private func split<Sink: WordSink>(
    _ scalar: UInt32, _ attributes: UInt32, _ word: inout Word, into sink: inout Sink
  ) {
    typealias Attribute = UnicodeData.Attribute
    if attributes & Attribute.space != 0 { return finish(&word, into: &sink) }
    if attributes & Attribute.punctuation != 0 {
      finish(&word, into: &sink)
      word.append(scalar)
      finish(&word, into: &sink)
    } else {
      word.append(scalar)
    }
  }
}
