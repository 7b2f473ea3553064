import Base

/// Strict UTF-8 (The Unicode Standard, table 3-7): what everything behind the entry point may rely on.
enum UTF8Text {
  /// The offset of the first byte that does not belong to a well-formed sequence, or nil.
  static func firstInvalidOffset(_ bytes: UnsafeRawBufferPointer) -> Int? {
    guard let base = bytes.baseAddress else { return nil }
    let count = bytes.count
    var offset = 0
    while offset < count {
      if offset &+ 8 <= count,
        (base + offset).loadUnaligned(as: UInt64.self) & 0x8080_8080_8080_8080 == 0
      {
        offset &+= 8
        continue
      }
      let lead = base.load(fromByteOffset: offset, as: UInt8.self)
      if lead < 0x80 {
        offset &+= 1
        continue
      }
      var low: UInt8 = 0x80
      var high: UInt8 = 0xBF
      let length: Int
      switch lead {
      case 0xC2...0xDF: length = 2
      case 0xE0...0xEF:
        length = 3
        if lead == 0xE0 { low = 0xA0 }
        if lead == 0xED { high = 0x9F }
      case 0xF0...0xF4:
        length = 4
        if lead == 0xF0 { low = 0x90 }
        if lead == 0xF4 { high = 0x8F }
      default: return offset
      }
      if offset &+ length > count { return offset }
      for index in 1..<length {
        let byte = base.load(fromByteOffset: offset &+ index, as: UInt8.self)
        if byte < low || byte > high { return offset }
        low = 0x80
        high = 0xBF
      }
      offset &+= length
    }
    return nil
  }

  /// Decodes the sequence that starts at `text[offset]`; advances past it.
  ///
  /// - Precondition: the bytes are well-formed and `text[offset]` is not ASCII.
  @inline(__always)
  static func decodeWide(_ text: UnsafePointer<UInt8>, _ offset: inout Int) -> UInt32 {
    let lead = UInt32(text[offset])
    let second = UInt32(text[offset &+ 1] & 0x3F)
    if lead < 0xE0 {
      offset &+= 2
      return (lead & 0x1F) &<< 6 | second
    }
    let third = UInt32(text[offset &+ 2] & 0x3F)
    if lead < 0xF0 {
      offset &+= 3
      return (lead & 0x0F) &<< 12 | second &<< 6 | third
    }
    let fourth = UInt32(text[offset &+ 3] & 0x3F)
    offset &+= 4
    return (lead & 0x07) &<< 18 | second &<< 12 | third &<< 6 | fourth
  }

  @inline(__always)
  static func decode(_ text: UnsafePointer<UInt8>, _ offset: inout Int) -> UInt32 {
    let lead = text[offset]
    if lead < 0x80 {
      offset &+= 1
      return UInt32(lead)
    }
    return decodeWide(text, &offset)
  }

  /// The start of the sequence that ends just before `offset`. Well-formed text only; `offset` > 0.
  @inline(__always)
  static func previousStart(_ text: UnsafePointer<UInt8>, _ offset: Int) -> Int {
    var start = offset &- 1
    while start > 0 && text[start] & 0xC0 == 0x80 { start &-= 1 }
    return start
  }

  /// Writes `scalar` (not a surrogate) to `target`, up to 4 bytes; returns how many.
  @inline(__always)
  static func encode(_ scalar: UInt32, _ target: UnsafeMutablePointer<UInt8>) -> Int {
    if scalar < 0x80 {
      target[0] = UInt8(truncatingIfNeeded: scalar)
      return 1
    }
    if scalar < 0x800 {
      target[0] = UInt8(truncatingIfNeeded: 0xC0 | scalar &>> 6)
      target[1] = UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F)
      return 2
    }
    if scalar < 0x10000 {
      target[0] = UInt8(truncatingIfNeeded: 0xE0 | scalar &>> 12)
      target[1] = UInt8(truncatingIfNeeded: 0x80 | scalar &>> 6 & 0x3F)
      target[2] = UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F)
      return 3
    }
    target[0] = UInt8(truncatingIfNeeded: 0xF0 | scalar &>> 18)
    target[1] = UInt8(truncatingIfNeeded: 0x80 | scalar &>> 12 & 0x3F)
    target[2] = UInt8(truncatingIfNeeded: 0x80 | scalar &>> 6 & 0x3F)
    target[3] = UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F)
    return 4
  }
}
