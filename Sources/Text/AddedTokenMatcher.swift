import Base

/// Finds added tokens in raw text, leftmost first and the longest of those that start there, as the Aho-Corasick
/// automaton of the `tokenizers` package does. Added tokens are few and rarely share a first byte, so a bucket per first
/// byte replaces the automaton.
struct AddedTokenMatcher: @unchecked Sendable {
  struct Record {
    var textStart: UInt32
    var textCount: UInt32
    var id: UInt32
    var stripsLeft: Bool
    var stripsRight: Bool
  }

  struct Match {
    var start: Int
    var end: Int
    var id: UInt32
    var stripsLeft: Bool
    var stripsRight: Bool
  }

  let isEmpty: Bool
  private let storage: MemoryBlock
  /// Bucket b holds the records buckets[b]..<buckets[b + 1], longest first.
  private let buckets: UnsafePointer<UInt32>
  private let records: UnsafePointer<Record>
  private let text: UnsafePointer<UInt8>

  init(_ tokens: [AddedToken], calls: SystemCalls = .live) throws(AdaptQError) {
    let sorted = tokens.sorted { a, b in
      let first = (a.content.utf8.first ?? 0, b.content.utf8.first ?? 0)
      return first.0 != first.1 ? first.0 < first.1 : a.content.utf8.count > b.content.utf8.count
    }
    let textBytes = sorted.reduce(0) { $0 + $1.content.utf8.count }
    let recordBytes = max(sorted.count, 1) * MemoryLayout<Record>.stride
    storage = try MemoryBlock.allocate(
      byteCount: recordBytes + 257 * 4 + textBytes, purpose: "added tokens", calls: calls)
    let records = storage.base.bindMemory(to: Record.self, capacity: max(sorted.count, 1))
    let buckets = (storage.base + recordBytes).bindMemory(to: UInt32.self, capacity: 257)
    let text = (storage.base + recordBytes + 257 * 4).bindMemory(to: UInt8.self, capacity: textBytes)
    var end = 0
    for (index, token) in sorted.enumerated() {
      let start = end
      for byte in token.content.utf8 {
        text[end] = byte
        end += 1
      }
      records[index] = Record(
        textStart: UInt32(truncatingIfNeeded: start), textCount: UInt32(truncatingIfNeeded: end - start),
        id: UInt32(truncatingIfNeeded: token.id), stripsLeft: token.stripsLeft, stripsRight: token.stripsRight)
      buckets[Int(text[start]) + 1] += 1
    }
    for byte in 0..<256 { buckets[byte + 1] += buckets[byte] }
    isEmpty = sorted.isEmpty
    self.records = UnsafePointer(records)
    self.buckets = UnsafePointer(buckets)
    self.text = UnsafePointer(text)
  }

  /// The first match at or after `from`; nil if there is none before `count`.
  func next(_ source: UnsafePointer<UInt8>, from: Int, count: Int) -> Match? {
    if isEmpty { return nil }
    var offset = from
    while offset < count {
      let byte = Int(source[offset])
      var record = Int(truncatingIfNeeded: buckets[byte])
      let end = Int(truncatingIfNeeded: buckets[byte &+ 1])
      while record < end {
        let candidate = records[record]
        let length = Int(truncatingIfNeeded: candidate.textCount)
        if length <= count &- offset {
          let content = text + Int(truncatingIfNeeded: candidate.textStart)
          var index = 1
          while index < length && content[index] == source[offset &+ index] { index &+= 1 }
          if index == length {
            return Match(
              start: offset, end: offset &+ length, id: candidate.id, stripsLeft: candidate.stripsLeft,
              stripsRight: candidate.stripsRight)
          }
        }
        record &+= 1
      }
      offset &+= 1
    }
    return nil
  }
}
