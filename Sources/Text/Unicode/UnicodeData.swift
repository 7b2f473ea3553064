import Base

/// Per-scalar facts in a two-stage table: 8,704 page numbers, then pages of 128 attribute words, expanded from
/// `UnicodeTables` when a tokenizer is made (a fraction of a millisecond, some 200 KB).
///
/// An attribute word of 0 means: an ordinary word character that no normalizer changes.
struct UnicodeData: @unchecked Sendable {
  enum Attribute {
    static let removed: UInt32 = 1 << 0
    static let space: UInt32 = 1 << 1
    static let punctuation: UInt32 = 1 << 2
    static let chinese: UInt32 = 1 << 3
    static let nonspacing: UInt32 = 1 << 4
    static let hangul: UInt32 = 1 << 5
    static let decomposes: UInt32 = 1 << 6
    static let lowers: UInt32 = 1 << 7
    /// Bits 8...15: the canonical combining class. Bits 16...31: where the scalar's record starts in the pool.
    static let classShift: UInt32 = 8
    static let recordShift: UInt32 = 16
  }

  static let pageShift = 7
  static let pageSize = 1 << pageShift
  static let pageNumberCount = 0x110000 >> pageShift
  static let hangulSyllables: ClosedRange<UInt32> = 0xAC00...0xD7A3

  private let storage: MemoryBlock
  private let pageNumbers: UnsafePointer<UInt16>
  private let pages: UnsafePointer<UInt32>
  /// Records: a header (decomposition count, lower case count << 8), the decomposition, the lower case.
  private let pool: UnsafePointer<UInt32>

  init(calls: SystemCalls = .live) throws(AdaptQError) {
    let builder = try UnicodeDataBuilder(calls: calls)
    try builder.build()
    storage = builder.storage
    pageNumbers = UnsafePointer(builder.pageNumbers)
    pages = UnsafePointer(builder.pages)
    pool = UnsafePointer(builder.pool)
  }

  /// - Precondition: `scalar` < 0x110000, which decoding validated UTF-8 guarantees.
  @inline(__always)
  func attributes(_ scalar: UInt32) -> UInt32 {
    let page = Int(truncatingIfNeeded: pageNumbers[Int(truncatingIfNeeded: scalar >> UInt32(Self.pageShift))])
    return pages[page &<< Self.pageShift | Int(truncatingIfNeeded: scalar) & (Self.pageSize &- 1)]
  }

  @inline(__always)
  static func combiningClass(_ attributes: UInt32) -> UInt32 { attributes &>> Attribute.classShift & 0xFF }

  /// The canonical decomposition of a scalar whose attributes say `decomposes`; Hangul is computed, not stored.
  @inline(__always)
  func decomposition(_ attributes: UInt32) -> (UnsafePointer<UInt32>, Int) {
    let record = pool + Int(truncatingIfNeeded: attributes &>> Attribute.recordShift)
    return (record + 1, Int(truncatingIfNeeded: record[0] & 0xFF))
  }

  /// The lower case of a scalar whose attributes say `lowers`.
  @inline(__always)
  func lowercase(_ attributes: UInt32) -> (UnsafePointer<UInt32>, Int) {
    let record = pool + Int(truncatingIfNeeded: attributes &>> Attribute.recordShift)
    return (record + 1 + Int(truncatingIfNeeded: record[0] & 0xFF), Int(truncatingIfNeeded: record[0] &>> 8))
  }

  /// White space as Unicode's White_Space property has it, for `lstrip` and `rstrip` of added tokens.
  func isSpace(_ scalar: UInt32) -> Bool { attributes(scalar) & Attribute.space != 0 }
}

/// Expands the text tables. Sizes are generous constants, checked on use: the tables are our own.
final class UnicodeDataBuilder {
  static let maximumPageCount = 1024
  static let maximumPoolCount = 1 << 14

  let storage: MemoryBlock
  let pageNumbers: UnsafeMutablePointer<UInt16>
  let pages: UnsafeMutablePointer<UInt32>
  let pool: UnsafeMutablePointer<UInt32>
  private(set) var pageCount = 1
  private(set) var poolCount = 1
  /// Pages that several page numbers share: copied before a write.
  private var isShared = [Bool](repeating: false, count: maximumPageCount)

  init(calls: SystemCalls) throws(AdaptQError) {
    let pageNumberBytes = UnicodeData.pageNumberCount * 2
    let pageBytes = Self.maximumPageCount * UnicodeData.pageSize * 4
    storage = try MemoryBlock.allocate(
      byteCount: pageNumberBytes + pageBytes + Self.maximumPoolCount * 4, purpose: "Unicode tables",
      calls: calls)
    pageNumbers = storage.base.bindMemory(to: UInt16.self, capacity: UnicodeData.pageNumberCount)
    pages = (storage.base + pageNumberBytes).bindMemory(
      to: UInt32.self, capacity: Self.maximumPageCount * UnicodeData.pageSize)
    pool = (storage.base + pageNumberBytes + pageBytes).bindMemory(to: UInt32.self, capacity: Self.maximumPoolCount)
    isShared[0] = true
  }

  func build() throws(AdaptQError) {
    typealias Attribute = UnicodeData.Attribute
    try mark(UnicodeTables.removed, Attribute.removed)
    try mark(UnicodeTables.space, Attribute.space)
    try mark(UnicodeTables.punctuation, Attribute.punctuation)
    try mark(UnicodeTables.chinese, Attribute.chinese)
    try mark(UnicodeTables.nonspacing, Attribute.nonspacing)
    let syllables = UnicodeData.hangulSyllables
    try or(first: syllables.lowerBound, last: syllables.upperBound, step: 1, Attribute.hangul)
    var classes = UnicodeTableParser(UnicodeTables.combiningClass)
    while let item = try classes.next() {
      try or(first: item.first, last: item.last, step: item.step, item.targets.0 << Attribute.classShift)
    }
    var lowercase = UnicodeTableParser(UnicodeTables.lowercase)
    while let item = try lowercase.next() {
      for scalar in stride(from: item.first, through: item.last, by: Int(item.step)) {
        try addLowercase(scalar, item, advance: scalar - item.first)
      }
    }
    var decomposition = UnicodeTableParser(UnicodeTables.decomposition)
    while let item = try decomposition.next() { try addDecomposition(item) }
  }

  private func mark(_ table: StaticString, _ bits: UInt32) throws(AdaptQError) {
    var parser = UnicodeTableParser(table)
    while let item = try parser.next() { try or(first: item.first, last: item.last, step: item.step, bits) }
  }

  private func addLowercase(_ scalar: UInt32, _ item: UnicodeTableItem, advance: UInt32) throws(AdaptQError) {
    let record = poolCount
    try append(UInt32(item.targetCount) << 8)
    try append(item.targets.0 + advance)
    if item.targetCount > 1 { try append(item.targets.1) }
    try or(
      first: scalar, last: scalar, step: 1,
      UnicodeData.Attribute.lowers | UInt32(record) << UnicodeData.Attribute.recordShift)
  }

  private func addDecomposition(_ item: UnicodeTableItem) throws(AdaptQError) {
    let word = try writablePage(item.first) + Int(item.first) % UnicodeData.pageSize
    let old = Int(word.pointee >> UnicodeData.Attribute.recordShift)
    let loweredCount = old == 0 ? 0 : Int(pool[old] >> 8)
    let record = poolCount
    try append(UInt32(item.targetCount) | UInt32(loweredCount) << 8)
    for index in 0..<item.targetCount { try append(item.target(index)) }
    for index in 0..<loweredCount { try append(pool[old + 1 + index]) }
    word.pointee &= (1 << UnicodeData.Attribute.recordShift) - 1
    word.pointee |= UnicodeData.Attribute.decomposes | UInt32(record) << UnicodeData.Attribute.recordShift
  }

  private func append(_ word: UInt32) throws(AdaptQError) {
    if poolCount >= Self.maximumPoolCount { throw .internalError("Unicode tables: pool of \(poolCount) is full") }
    pool[poolCount] = word
    poolCount += 1
  }

  /// Sets `bits` for every scalar of the run. Whole untouched pages share one page.
  private func or(first: UInt32, last: UInt32, step: UInt32, _ bits: UInt32) throws(AdaptQError) {
    if first > last || last >= 0x110000 || step == 0 { throw .internalError("Unicode tables: run \(first)...\(last)") }
    var uniform = 0
    var scalar = first
    while scalar <= last {
      let pageNumber = Int(scalar) / UnicodeData.pageSize
      let pageEnd = UInt32((pageNumber + 1) * UnicodeData.pageSize)
      if step == 1, pageEnd <= last + 1, pageEnd == scalar + UInt32(UnicodeData.pageSize), pageNumbers[pageNumber] == 0
      {
        if uniform == 0 {
          uniform = try newPage()
          isShared[uniform] = true
          for index in 0..<UnicodeData.pageSize { pages[uniform * UnicodeData.pageSize + index] = bits }
        }
        pageNumbers[pageNumber] = UInt16(truncatingIfNeeded: uniform)
        scalar = pageEnd
        continue
      }
      let page = try writablePage(scalar)
      while scalar <= last && scalar < pageEnd {
        page[Int(scalar) % UnicodeData.pageSize] |= bits
        scalar += step
      }
    }
  }

  private func newPage() throws(AdaptQError) -> Int {
    if pageCount >= Self.maximumPageCount { throw .internalError("Unicode tables: \(pageCount) pages are full") }
    pageCount += 1
    return pageCount - 1
  }

  private func writablePage(_ scalar: UInt32) throws(AdaptQError) -> UnsafeMutablePointer<UInt32> {
    if scalar >= 0x110000 { throw .internalError("Unicode tables: scalar \(scalar)") }
    let pageNumber = Int(scalar) / UnicodeData.pageSize
    let old = Int(pageNumbers[pageNumber])
    if !isShared[old] { return pages + old * UnicodeData.pageSize }
    let fresh = try newPage()
    (pages + fresh * UnicodeData.pageSize).update(from: pages + old * UnicodeData.pageSize, count: UnicodeData.pageSize)
    pageNumbers[pageNumber] = UInt16(truncatingIfNeeded: fresh)
    return pages + fresh * UnicodeData.pageSize
  }
}

struct UnicodeTableItem {
  var first: UInt32 = 0
  var last: UInt32 = 0
  var step: UInt32 = 1
  var targets: (UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0)
  var targetCount = 0

  func target(_ index: Int) -> UInt32 {
    switch index {
    case 0: targets.0
    case 1: targets.1
    case 2: targets.2
    default: targets.3
    }
  }
}

/// Reads `first[-last][/step][>target[+target...]]` items, the grammar of `UnicodeTables`.
struct UnicodeTableParser {
  private let text: UnsafePointer<UInt8>
  private let count: Int
  private var offset = 0

  init(_ table: StaticString) {
    text = table.utf8Start
    count = table.utf8CodeUnitCount
  }

  mutating func next() throws(AdaptQError) -> UnicodeTableItem? {
    while offset < count && text[offset] <= 0x20 { offset += 1 }
    if offset == count { return nil }
    var item = UnicodeTableItem()
    item.first = try hexadecimal()
    item.last = skip(UInt8(ascii: "-")) ? try hexadecimal() : item.first
    if skip(UInt8(ascii: "/")) { item.step = try hexadecimal() }
    if skip(UInt8(ascii: ">")) {
      repeat {
        let value = try hexadecimal()
        switch item.targetCount {
        case 0: item.targets.0 = value
        case 1: item.targets.1 = value
        case 2: item.targets.2 = value
        case 3: item.targets.3 = value
        default: throw .internalError("Unicode tables: more than four targets at \(offset)")
        }
        item.targetCount += 1
      } while skip(UInt8(ascii: "+"))
    }
    return item
  }

  private mutating func skip(_ byte: UInt8) -> Bool {
    if offset < count && text[offset] == byte {
      offset += 1
      return true
    }
    return false
  }

  private mutating func hexadecimal() throws(AdaptQError) -> UInt32 {
    var value: UInt32 = 0
    let start = offset
    while offset < count {
      let byte = text[offset]
      let digit: UInt8
      switch byte {
      case 0x30...0x39: digit = byte - 0x30
      case 0x61...0x66: digit = byte - 0x57
      default: digit = 0xFF
      }
      if digit == 0xFF { break }
      value = value << 4 | UInt32(digit)
      offset += 1
    }
    if offset == start || value > 0x10FFFF { throw .internalError("Unicode tables: bad number at \(start)") }
    return value
  }
}
