import Base

/// A parsed safetensors header over a block of memory.
///
/// Follows the format page of the safetensors project: 8 bytes length (little-endian), a JSON object, then the data, which the
/// tensors cover without hole or overlap.
public struct Safetensors {
  public enum DType: String, CaseIterable, Sendable {
    case bool = "BOOL"
    case u8 = "U8"
    case i8 = "I8"
    case i16 = "I16"
    case u16 = "U16"
    case f16 = "F16"
    case bf16 = "BF16"
    case i32 = "I32"
    case u32 = "U32"
    case f32 = "F32"
    case f64 = "F64"
    case i64 = "I64"
    case u64 = "U64"

    public var byteCount: Int {
      switch self {
      case .bool, .u8, .i8: 1
      case .i16, .u16, .f16, .bf16: 2
      case .i32, .u32, .f32: 4
      case .f64, .i64, .u64: 8
      }
    }
  }

  public struct Tensor: Sendable {
    public var name: String
    public var dtype: DType
    public var shape: [Int]
    /// Byte range in the whole file.
    public var range: Range<Int>
  }

  /// The format's own cap.
  public static let maximumHeaderByteCount = 100_000_000

  public let owner: MemoryBlock
  public let tensors: [String: Tensor]
  /// The strings of `__metadata__`.
  public let metadata: [String: String]

  public init(_ owner: MemoryBlock, source: String) throws(AdaptQError) {
    var reader = ByteReader(owner.bytes)
    let length = try reader.readUInt64("\(source): header length")
    guard length <= UInt64(Safetensors.maximumHeaderByteCount), let headerCount = Int(exactly: length) else {
      throw .invalidFile("\(source): header length \(length) is above \(Safetensors.maximumHeaderByteCount)")
    }
    let header = try reader.take(headerCount, "\(source): header")
    if header.first != UInt8(ascii: "{") { throw .invalidFile("\(source): the header does not begin with '{'") }
    let dataStart = reader.offset
    let dataCount = owner.byteCount - dataStart
    let members = try JSON.parse(header, "\(source): header").asObject("\(source): header")

    var metadata: [String: String] = [:]
    var tensors: [String: Tensor] = [:]
    var ordered: [Tensor] = []
    for member in members {
      if member.key == "__metadata__" {
        for entry in try member.value.asObject("\(source): __metadata__") {
          metadata[entry.key] = try entry.value.asString("\(source): __metadata__ \"\(entry.key)\"")
        }
        continue
      }
      let tensor = try Safetensors.tensor(member, source, dataStart: dataStart, dataCount: dataCount)
      tensors[member.key] = tensor
      ordered.append(tensor)
    }
    ordered.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
    var position = dataStart
    for tensor in ordered {
      if tensor.range.lowerBound < position {
        throw .invalidFile("\(source): tensor \"\(tensor.name)\" overlaps the one before it")
      }
      if tensor.range.lowerBound > position {
        throw .invalidFile("\(source): hole of \(tensor.range.lowerBound - position) bytes before \"\(tensor.name)\"")
      }
      position = tensor.range.upperBound
    }
    if position != owner.byteCount {
      throw .invalidFile("\(source): \(owner.byteCount - position) bytes after the last tensor")
    }
    self.owner = owner
    self.tensors = tensors
    self.metadata = metadata
  }

  private static func tensor(
    _ member: JSON.Member, _ source: String, dataStart: Int, dataCount: Int
  ) throws(AdaptQError) -> Tensor {
    let context = "\(source): tensor \"\(member.key)\""
    let dtypeName = try member.value.member("dtype", in: context).asString("\(context) dtype")
    guard let dtype = DType(rawValue: dtypeName) else { throw .unsupported("\(context): dtype \"\(dtypeName)\"") }
    var shape: [Int] = []
    for size in try member.value.member("shape", in: context).asArray("\(context) shape") {
      shape.append(try size.asInt("\(context) shape"))
    }
    let offsets = try member.value.member("data_offsets", in: context).asArray("\(context) data_offsets")
    if offsets.count != 2 { throw .invalidFile("\(context): data_offsets has \(offsets.count) entries, expected 2") }
    let begin = try offsets[0].asInt("\(context) data_offsets")
    let end = try offsets[1].asInt("\(context) data_offsets")
    if begin < 0 || end < begin || end > dataCount {
      throw .invalidFile("\(context): data_offsets \(begin), \(end) outside the \(dataCount) bytes of data")
    }
    let needed = try checkedProduct(try checkedElementCount(shape, context), dtype.byteCount, context)
    if needed != end - begin {
      throw .invalidFile("\(context): \(end - begin) bytes, but its shape needs \(needed)")
    }
    return Tensor(name: member.key, dtype: dtype, shape: shape, range: (dataStart + begin)..<(dataStart + end))
  }

  /// The address of a tensor that must exist with this dtype and at least this many bytes.
  public func pointer(
    _ name: String, _ dtype: DType, atLeast byteCount: Int, alignment: Int = 64
  ) throws(AdaptQError) -> UnsafeRawPointer {
    guard let tensor = tensors[name] else { throw .invalidFile("tensor \"\(name)\" is missing") }
    if tensor.dtype != dtype {
      throw .invalidFile("tensor \"\(name)\": dtype \(tensor.dtype.rawValue), expected \(dtype.rawValue)")
    }
    if tensor.range.count < byteCount {
      throw .invalidFile("tensor \"\(name)\": \(tensor.range.count) bytes, needs \(byteCount)")
    }
    if tensor.range.lowerBound % alignment != 0 {
      throw .invalidFile(
        "tensor \"\(name)\": begins at byte \(tensor.range.lowerBound), not a multiple of \(alignment)")
    }
    return UnsafeRawPointer(owner.base + tensor.range.lowerBound)
  }
}
