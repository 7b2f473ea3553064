extension JSON {
  /// Deeper nesting is refused, so that hostile text cannot exhaust the stack.
  public static let maximumDepth = 64

  /// Parses one JSON text; anything but white space after it is an error. Errors carry the byte offset.
  public static func parse(_ bytes: UnsafeRawBufferPointer, _ source: String) throws(AdaptQError) -> JSON {
    var parser = JSONParser(bytes: bytes, source: source)
    let value = try parser.parseValue(depth: 0)
    parser.skipWhiteSpace()
    if parser.offset != bytes.count { throw parser.error("unexpected text after the end") }
    return value
  }

  public static func parse(_ text: String, _ source: String) throws(AdaptQError) -> JSON {
    var text = text
    let result = text.withUTF8 { utf8 -> Result<JSON, AdaptQError> in
      do throws(AdaptQError) {
        return .success(try parse(UnsafeRawBufferPointer(utf8), source))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }
}

struct JSONParser {
  let bytes: UnsafeRawBufferPointer
  let source: String
  var offset = 0

  func error(_ what: String) -> AdaptQError { .invalidFile("\(source): \(what) at byte \(offset)") }

  func peek() -> UInt8? { offset < bytes.count ? bytes[offset] : nil }

  mutating func skipWhiteSpace() {
    while let byte = peek(), byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { offset += 1 }
  }

  mutating func expect(_ byte: UInt8) throws(AdaptQError) {
    guard peek() == byte else { throw error("expected '\(Character(UnicodeScalar(byte)))'") }
    offset += 1
  }

  mutating func parseValue(depth: Int) throws(AdaptQError) -> JSON {
    if depth > JSON.maximumDepth { throw error("nesting deeper than \(JSON.maximumDepth)") }
    skipWhiteSpace()
    switch peek() {
    case UInt8(ascii: "{"): return try parseObject(depth: depth)
    case UInt8(ascii: "["): return try parseArray(depth: depth)
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
    case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
    case UInt8(ascii: "n"): return try parseWord("null", .null)
    case .some(let byte) where byte == UInt8(ascii: "-") || (0x30...0x39).contains(byte): return try parseNumber()
    case .some: throw error("unexpected character")
    case .none: throw error("unexpected end")
    }
  }

  mutating func parseWord(_ word: StaticString, _ value: JSON) throws(AdaptQError) -> JSON {
    for index in 0..<word.utf8CodeUnitCount {
      try expect(word.utf8Start[index])
    }
    return value
  }

  mutating func parseObject(depth: Int) throws(AdaptQError) -> JSON {
    try expect(UInt8(ascii: "{"))
    var members: [JSON.Member] = []
    var seen: Set<ExactKey> = []
    skipWhiteSpace()
    if peek() == UInt8(ascii: "}") {
      offset += 1
      return .object([])
    }
    while true {
      skipWhiteSpace()
      let key = try parseString()
      if !seen.insert(ExactKey(text: key)).inserted { throw error("key \"\(key)\" appears twice") }
      skipWhiteSpace()
      try expect(UInt8(ascii: ":"))
      members.append(JSON.Member(key, try parseValue(depth: depth + 1)))
      skipWhiteSpace()
      if peek() == UInt8(ascii: ",") {
        offset += 1
        continue
      }
      try expect(UInt8(ascii: "}"))
      return .object(members)
    }
  }

  mutating func parseArray(depth: Int) throws(AdaptQError) -> JSON {
    try expect(UInt8(ascii: "["))
    var items: [JSON] = []
    skipWhiteSpace()
    if peek() == UInt8(ascii: "]") {
      offset += 1
      return .array([])
    }
    while true {
      items.append(try parseValue(depth: depth + 1))
      skipWhiteSpace()
      if peek() == UInt8(ascii: ",") {
        offset += 1
        continue
      }
      try expect(UInt8(ascii: "]"))
      return .array(items)
    }
  }

  mutating func parseNumber() throws(AdaptQError) -> JSON {
    let start = offset
    var isInteger = true
    if peek() == UInt8(ascii: "-") { offset += 1 }
    let firstDigit = offset
    try skipDigits()
    if bytes[firstDigit] == 0x30 && offset > firstDigit + 1 { throw error("number with a leading zero") }
    if peek() == UInt8(ascii: ".") {
      isInteger = false
      offset += 1
      try skipDigits()
    }
    if let byte = peek(), byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
      isInteger = false
      offset += 1
      if let sign = peek(), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { offset += 1 }
      try skipDigits()
    }
    let text = String(decoding: bytes[start..<offset], as: UTF8.self)
    if isInteger, let value = Int(text) { return .integer(value) }
    guard let value = Double(text), value.isFinite else { throw error("number out of range") }
    return .number(value)
  }

  mutating func skipDigits() throws(AdaptQError) {
    let start = offset
    while let byte = peek(), (0x30...0x39).contains(byte) { offset += 1 }
    if offset == start { throw error("expected a digit") }
  }

  mutating func parseString() throws(AdaptQError) -> String {
    try expect(UInt8(ascii: "\""))
    let start = offset
    // The common case has no escape and is validated in one go.
    while let byte = peek(), byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { offset += 1 }
    if peek() == UInt8(ascii: "\"") {
      let text = try validated(bytes[start..<offset])
      offset += 1
      return text
    }
    var buffer = Array(bytes[start..<offset])
    while true {
      guard let byte = peek() else { throw error("unterminated string") }
      offset += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: buffer, as: UTF8.self) else { throw error("string is not UTF-8") }
        return text
      case UInt8(ascii: "\\"):
        try parseEscape(into: &buffer)
      case 0..<0x20:
        throw error("control character in a string")
      default:
        buffer.append(byte)
      }
    }
  }

  func validated(_ slice: Slice<UnsafeRawBufferPointer>) throws(AdaptQError) -> String {
    guard let text = String(validating: UnsafeRawBufferPointer(rebasing: slice), as: UTF8.self) else {
      throw error("string is not UTF-8")
    }
    return text
  }

  mutating func parseEscape(into buffer: inout [UInt8]) throws(AdaptQError) {
    guard let byte = peek() else { throw error("unterminated escape") }
    offset += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): buffer.append(byte)
    case UInt8(ascii: "b"): buffer.append(0x08)
    case UInt8(ascii: "f"): buffer.append(0x0C)
    case UInt8(ascii: "n"): buffer.append(0x0A)
    case UInt8(ascii: "r"): buffer.append(0x0D)
    case UInt8(ascii: "t"): buffer.append(0x09)
    case UInt8(ascii: "u"):
      var value = try parseHex4()
      if (0xD800...0xDBFF).contains(value) {
        guard peek() == UInt8(ascii: "\\") else { throw error("lone surrogate") }
        offset += 1
        try expect(UInt8(ascii: "u"))
        let low = try parseHex4()
        guard (0xDC00...0xDFFF).contains(low) else { throw error("lone surrogate") }
        value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00)
      }
      guard let scalar = UnicodeScalar(value) else { throw error("lone surrogate") }
      buffer.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    default: throw error("unknown escape")
    }
  }

  mutating func parseHex4() throws(AdaptQError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = peek() else { throw error("unterminated escape") }
      let digit: UInt8
      switch byte {
      case 0x30...0x39: digit = byte - 0x30
      case 0x41...0x46: digit = byte - 0x41 + 10
      case 0x61...0x66: digit = byte - 0x61 + 10
      default: throw error("expected a hexadecimal digit")
      }
      value = value << 4 | UInt32(digit)
      offset += 1
    }
    return value
  }
}

/// A key compared byte by byte. Swift's string equality calls different spellings of one character the same, so two
/// distinct tokens of a vocabulary could pass for a repeated key.
struct ExactKey: Hashable {
  var text: String

  static func == (a: ExactKey, b: ExactKey) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

  func hash(into hasher: inout Hasher) {
    var copy = text
    copy.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}
