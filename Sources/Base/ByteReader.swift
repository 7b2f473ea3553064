/// The one reader for foreign bytes: every access is checked, integers are little-endian, errors name the field.
///
/// Borrows the bytes; the owner outlives the reader.
public struct ByteReader {
  public let bytes: UnsafeRawBufferPointer
  public private(set) var offset: Int

  public init(_ bytes: UnsafeRawBufferPointer, offset: Int = 0) {
    self.bytes = bytes
    self.offset = min(max(offset, 0), bytes.count)
  }

  public var remaining: Int { bytes.count - offset }

  /// The next `count` bytes, without copying.
  public mutating func take(_ count: Int, _ field: @autoclosure () -> String) throws(AdaptQError)
    -> UnsafeRawBufferPointer
  {
    if count < 0 || count > remaining {
      throw .invalidFile("\(field()): needs \(count) bytes at offset \(offset), only \(remaining) are left")
    }
    let slice = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)])
    offset += count
    return slice
  }

  public mutating func readUInt8(_ field: @autoclosure () -> String) throws(AdaptQError) -> UInt8 {
    try take(1, field())[0]
  }

  public mutating func readUInt32(_ field: @autoclosure () -> String) throws(AdaptQError) -> UInt32 {
    UInt32(littleEndian: try take(4, field()).loadUnaligned(as: UInt32.self))
  }

  public mutating func readUInt64(_ field: @autoclosure () -> String) throws(AdaptQError) -> UInt64 {
    UInt64(littleEndian: try take(8, field()).loadUnaligned(as: UInt64.self))
  }

  /// `count` bytes that must be UTF-8.
  public mutating func readString(_ count: Int, _ field: @autoclosure () -> String) throws(AdaptQError) -> String {
    let slice = try take(count, field())
    guard let text = String(validating: slice, as: UTF8.self) else {
      throw .invalidFile("\(field()): the \(count) bytes before offset \(offset) are not UTF-8")
    }
    return text
  }
}
