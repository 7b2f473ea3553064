import Base

/// The tokens of a model, numbered from 0, and a hash index from bytes to number. Immutable; no Swift string per token.
///
/// **Serialized form** (little-endian, untrusted when read): "AQTV", u32 version 1, u32 token count, u32 byte count of
/// all texts, then a u16 length per token, then the UTF-8 texts one after another, and nothing behind them. Tokens are
/// distinct.
///
/// The index is built at load: open addressing with linear probing over FNV-1a (Fowler, Noll, Vo), whose
/// state after a prefix can be continued, so a word's prefixes are all hashed in one pass. A file made to collide is
/// refused: no probe is longer than `maximumProbeLength`.
struct Vocabulary: @unchecked Sendable {
  static let magic: UInt32 = 0x5654_5141
  static let version: UInt32 = 1
  static let maximumTokenCount = 1 << 24
  static let maximumTextByteCount = 1 << 30
  static let maximumTokenByteCount = Int(UInt16.max)
  static let maximumProbeLength = 512
  static let notFound = UInt32.max

  struct Slot {
    /// The upper half of the mixed hash: most misses end here without touching the text.
    var tag: UInt32
    /// The token's number + 1; 0 marks a free slot.
    var entry: UInt32
  }

  let count: Int
  let longestTokenByteCount: Int
  let textByteCount: Int
  private let storage: MemoryBlock
  private let offsets: UnsafePointer<UInt32>
  private let text: UnsafePointer<UInt8>
  private let slots: UnsafePointer<Slot>
  private let slotMask: Int
  /// The hash state of the empty text.
  let seed: UInt64

  init(_ blob: UnsafeRawBufferPointer, calls: SystemCalls = .live) throws(AdaptQError) {
    var reader = ByteReader(blob)
    let magic = try reader.readUInt32("vocabulary.magic")
    if magic != Self.magic { throw .invalidFile("vocabulary.magic: 0x\(String(magic, radix: 16))") }
    let version = try reader.readUInt32("vocabulary.version")
    if version != Self.version {
      throw AdaptQError(.unsupportedVersion, "vocabulary.version: \(version), this library reads \(Self.version)")
    }
    let count = Int(try reader.readUInt32("vocabulary.token_count"))
    if count == 0 || count > Self.maximumTokenCount {
      throw .invalidFile("vocabulary.token_count: \(count) is not within 1...\(Self.maximumTokenCount)")
    }
    let textByteCount = Int(try reader.readUInt32("vocabulary.text_bytes"))
    if textByteCount > Self.maximumTextByteCount {
      throw .invalidFile("vocabulary.text_bytes: \(textByteCount) is above \(Self.maximumTextByteCount)")
    }
    let lengths = try reader.take(try checkedProduct(count, 2, "vocabulary.lengths"), "vocabulary.lengths")
    let source = try reader.take(textByteCount, "vocabulary.text")
    if reader.remaining != 0 { throw .invalidFile("vocabulary: \(reader.remaining) bytes after the end") }
    if let offset = UTF8Text.firstInvalidOffset(source) {
      throw .invalidFile("vocabulary.text: byte \(offset) is not UTF-8")
    }

    var slotCount = 4
    while slotCount < 2 * count { slotCount *= 2 }
    let slotBytes = try checkedProduct(slotCount, MemoryLayout<Slot>.stride, "vocabulary index")
    let offsetBytes = try checkedProduct(count + 1, 4, "vocabulary offsets")
    let total = try checkedSum(try checkedSum(slotBytes, offsetBytes, "vocabulary"), textByteCount, "vocabulary")
    storage = try MemoryBlock.allocate(byteCount: total, purpose: "vocabulary", calls: calls)
    let slots = storage.base.bindMemory(to: Slot.self, capacity: slotCount)
    let offsets = (storage.base + slotBytes).bindMemory(to: UInt32.self, capacity: count + 1)
    let text = (storage.base + slotBytes + offsetBytes).bindMemory(to: UInt8.self, capacity: textByteCount)
    if let base = source.baseAddress, textByteCount > 0 {
      UnsafeMutableRawPointer(text).copyMemory(from: base, byteCount: textByteCount)
    }
    longestTokenByteCount = try Self.fillOffsets(offsets, count, lengths, UnsafePointer(text), textByteCount)
    self.count = count
    self.textByteCount = textByteCount
    self.offsets = UnsafePointer(offsets)
    self.text = UnsafePointer(text)
    self.slots = UnsafePointer(slots)
    slotMask = slotCount - 1
    var seed: UInt64 = 0xCBF2_9CE4_8422_2325
    var tries = 0
    while try !Self.fillSlots(slots, slotCount - 1, UnsafePointer(offsets), UnsafePointer(text), count, seed) {
      tries += 1
      if tries == 4 { throw .invalidFile("vocabulary.text: tokens chosen to collide in the index") }
      seed = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
    }
    self.seed = seed
  }

  private static func fillOffsets(
    _ offsets: UnsafeMutablePointer<UInt32>, _ count: Int, _ lengths: UnsafeRawBufferPointer,
    _ text: UnsafePointer<UInt8>, _ textByteCount: Int
  ) throws(AdaptQError) -> Int {
    var end = 0
    var longest = 0
    offsets[0] = 0
    for token in 0..<count {
      let length = Int(UInt16(littleEndian: lengths.loadUnaligned(fromByteOffset: 2 * token, as: UInt16.self)))
      end += length
      if end > textByteCount {
        throw .invalidFile("vocabulary.lengths[\(token)]: \(length) bytes end behind the text's \(textByteCount)")
      }
      if end < textByteCount && text[end] & 0xC0 == 0x80 {
        throw .invalidFile("vocabulary.lengths[\(token)]: \(length) bytes end inside a character")
      }
      longest = max(longest, length)
      offsets[token + 1] = UInt32(truncatingIfNeeded: end)
    }
    if end != textByteCount {
      throw .invalidFile("vocabulary.text_bytes: \(textByteCount), the tokens have \(end)")
    }
    return longest
  }

  /// False if a probe would be too long with this seed. Empty tokens are no part of the index: no text contains them.
  private static func fillSlots(
    _ slots: UnsafeMutablePointer<Slot>, _ mask: Int, _ offsets: UnsafePointer<UInt32>, _ text: UnsafePointer<UInt8>,
    _ count: Int, _ seed: UInt64
  ) throws(AdaptQError) -> Bool {
    slots.update(repeating: Slot(tag: 0, entry: 0), count: mask + 1)
    for token in 0..<count {
      let start = Int(offsets[token])
      let length = Int(offsets[token + 1]) - start
      if length == 0 { continue }
      let mixed = mix(hash(text + start, length, from: seed))
      let tag = UInt32(truncatingIfNeeded: mixed &>> 32)
      var index = Int(truncatingIfNeeded: mixed) & mask
      var probes = 0
      while slots[index].entry != 0 {
        let other = Int(slots[index].entry) - 1
        if slots[index].tag == tag, Int(offsets[other + 1] - offsets[other]) == length,
          equal(text + Int(offsets[other]), text + start, length)
        {
          throw .invalidFile("vocabulary.text: tokens \(other) and \(token) are the same")
        }
        probes += 1
        if probes == maximumProbeLength { return false }
        index = (index + 1) & mask
      }
      slots[index] = Slot(tag: tag, entry: UInt32(truncatingIfNeeded: token + 1))
    }
    return true
  }

  // MARK: - Lookup

  @inline(__always)
  static func hash(_ byte: UInt8, into state: UInt64) -> UInt64 { (state ^ UInt64(byte)) &* 0x100_0000_01B3 }

  @inline(__always)
  static func hash(_ bytes: UnsafePointer<UInt8>, _ count: Int, from state: UInt64) -> UInt64 {
    var state = state
    for index in 0..<count { state = hash(bytes[index], into: state) }
    return state
  }

  /// FNV's low bits depend on low bits only; one multiplication spreads them.
  @inline(__always)
  private static func mix(_ hash: UInt64) -> UInt64 {
    let product = hash &* 0x9E37_79B9_7F4A_7C15
    return product ^ product &>> 32
  }

  @inline(__always)
  private static func equal(_ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>, _ count: Int) -> Bool {
    for index in 0..<count where a[index] != b[index] { return false }
    return true
  }

  /// The token whose text is `prefix` followed by `bytes`, or `notFound`.
  ///
  /// - Parameter hash: the state over both parts, from `seed`.
  @inline(__always)
  func find(
    hash: UInt64, prefix: UnsafePointer<UInt8>, prefixCount: Int, bytes: UnsafePointer<UInt8>, count: Int
  ) -> UInt32 {
    let mixed = Self.mix(hash)
    let tag = UInt32(truncatingIfNeeded: mixed &>> 32)
    var index = Int(truncatingIfNeeded: mixed) & slotMask
    while true {
      let slot = slots[index]
      if slot.entry == 0 { return Self.notFound }
      if slot.tag == tag {
        let token = Int(truncatingIfNeeded: slot.entry &- 1)
        let start = Int(truncatingIfNeeded: offsets[token])
        if Int(truncatingIfNeeded: offsets[token &+ 1]) &- start == prefixCount &+ count,
          Self.equal(text + start, prefix, prefixCount), Self.equal(text + start + prefixCount, bytes, count)
        {
          return slot.entry &- 1
        }
      }
      index = (index &+ 1) & slotMask
    }
  }

  func find(_ token: UnsafeBufferPointer<UInt8>) -> UInt32 {
    guard let base = token.baseAddress, token.count > 0 else { return Self.notFound }
    let hash = Self.hash(base, token.count, from: seed)
    return find(hash: hash, prefix: base, prefixCount: 0, bytes: base, count: token.count)
  }

  func find(_ token: String) -> UInt32 {
    var token = token
    return token.withUTF8 { find($0) }
  }

  /// The text of `token`, which is below `count`. Valid while the vocabulary lives.
  func bytes(_ token: Int) -> UnsafeBufferPointer<UInt8> {
    let start = Int(offsets[token])
    return UnsafeBufferPointer(start: text + start, count: Int(offsets[token + 1]) - start)
  }

  // MARK: - Serialized form

  func serialized() -> [UInt8] {
    var blob: [UInt8] = []
    blob.reserveCapacity(16 + 2 * count + textByteCount)
    Self.appendHeader(to: &blob, tokenCount: count, textByteCount: textByteCount)
    for token in 0..<count { Self.append16(UInt16(truncatingIfNeeded: bytes(token).count), to: &blob) }
    blob.append(contentsOf: UnsafeBufferPointer(start: text, count: textByteCount))
    return blob
  }

  /// Packs the tokens in order. Only what the form cannot hold is refused here; `init` checks the rest.
  static func pack(_ tokens: [String]) throws(AdaptQError) -> [UInt8] {
    var total = 0
    for (index, token) in tokens.enumerated() {
      let length = token.utf8.count
      if length > maximumTokenByteCount {
        throw .unsupported("model.vocab: token \(index) has \(length) bytes, the limit is \(maximumTokenByteCount)")
      }
      total += length
    }
    if tokens.count > maximumTokenCount || total > maximumTextByteCount {
      throw .unsupported("model.vocab: \(tokens.count) tokens of \(total) bytes in all are too many")
    }
    var blob: [UInt8] = []
    blob.reserveCapacity(16 + 2 * tokens.count + total)
    appendHeader(to: &blob, tokenCount: tokens.count, textByteCount: total)
    for token in tokens { append16(UInt16(truncatingIfNeeded: token.utf8.count), to: &blob) }
    for token in tokens { blob.append(contentsOf: token.utf8) }
    return blob
  }

  private static func appendHeader(to blob: inout [UInt8], tokenCount: Int, textByteCount: Int) {
    append32(magic, to: &blob)
    append32(version, to: &blob)
    append32(UInt32(truncatingIfNeeded: tokenCount), to: &blob)
    append32(UInt32(truncatingIfNeeded: textByteCount), to: &blob)
  }

  private static func append16(_ value: UInt16, to blob: inout [UInt8]) {
    blob.append(UInt8(truncatingIfNeeded: value))
    blob.append(UInt8(truncatingIfNeeded: value >> 8))
  }

  private static func append32(_ value: UInt32, to blob: inout [UInt8]) {
    append16(UInt16(truncatingIfNeeded: value), to: &blob)
    append16(UInt16(truncatingIfNeeded: value >> 16), to: &blob)
  }
}
