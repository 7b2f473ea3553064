import Base

/// A `.adaptq` file taken apart, so that tests can break one thing and put it together again.
public struct ContainerFile: Sendable {
  /// The members of the header, `__metadata__` among them.
  public var header: [JSON.Member]
  public var data: [UInt8]

  public init(_ block: MemoryBlock) throws {
    let bytes = block.bytes
    let count = Int(UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)))
    header = try JSON.parse(UnsafeRawBufferPointer(rebasing: bytes[8..<(8 + count)]), "header").asObject("header")
    data = Array(bytes[(8 + count)...])
    withExtendedLifetime(block) {}
  }

  /// Text of the header before padding.
  public var headerText: String { JSON.object(header).text }

  public subscript(metadata key: String) -> String? {
    get {
      guard case .string(let text)? = JSON.object(header)["__metadata__"]?[key] else { return nil }
      return text
    }
    set {
      guard let index = header.firstIndex(where: { $0.key == "__metadata__" }),
        case .object(var members) = header[index].value
      else { return }
      members.removeAll { $0.key == key }
      if let newValue { members.append(.init(key, .string(newValue))) }
      header[index].value = .object(members)
    }
  }

  /// The description of a tensor.
  public subscript(tensor name: String) -> JSON? {
    get { JSON.object(header)[name] }
    set {
      header.removeAll { $0.key == name }
      if let newValue { header.append(.init(name, newValue)) }
    }
  }

  /// Changes the model text at a path.
  public mutating func setModel(_ path: [JSONStep], _ value: JSON?) throws {
    let model = try JSON.parse(self[metadata: "adaptq.model"] ?? "", "model")
    self[metadata: "adaptq.model"] = model.replacing(path, with: value).text
  }

  public func model() throws -> JSON { try JSON.parse(self[metadata: "adaptq.model"] ?? "", "model") }

  public func block() throws -> MemoryBlock { try ContainerFile.block(headerText: headerText, data: data) }

  /// A file of this header and data; white space aligns the data to 64 bytes.
  public static func block(headerText: String, data: [UInt8]) throws -> MemoryBlock {
    var text = Array(headerText.utf8)
    while (text.count + 8) % 64 != 0 { text.append(0x20) }
    return try block(length: UInt64(text.count), rest: text + data)
  }

  public static func block(length: UInt64, rest: [UInt8]) throws -> MemoryBlock {
    let block = try MemoryBlock.allocate(byteCount: 8 + rest.count, purpose: "test file")
    block.base.storeBytes(of: length.littleEndian, as: UInt64.self)
    rest.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { (block.base + 8).copyMemory(from: base, byteCount: bytes.count) }
    }
    return block
  }

  public static func block(_ bytes: some Collection<UInt8>) throws -> MemoryBlock {
    let block = try MemoryBlock.allocate(byteCount: bytes.count, purpose: "test file")
    Array(bytes).withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { block.base.copyMemory(from: base, byteCount: bytes.count) }
    }
    return block
  }
}

/// One step of a path into a JSON value: a key or an index.
public enum JSONStep: Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
  case key(String)
  case index(Int)

  public init(stringLiteral value: String) { self = .key(value) }
  public init(integerLiteral value: Int) { self = .index(value) }
}

extension JSON {
  /// The value with what lies at `path` replaced; nil removes it. An index at the end of an array appends.
  public func replacing(_ path: some Collection<JSONStep>, with value: JSON?) -> JSON {
    guard let step = path.first else { return value ?? .null }
    let rest = Array(path.dropFirst())
    switch (self, step) {
    case (.object(var members), .key(let key)):
      let index = members.firstIndex { $0.key == key }
      if rest.isEmpty && value == nil {
        members.removeAll { $0.key == key }
      } else if let index {
        members[index].value = members[index].value.replacing(rest, with: value)
      } else {
        members.append(.init(key, JSON.null.replacing(rest, with: value)))
      }
      return .object(members)
    case (.array(var items), .index(let index)):
      if rest.isEmpty && value == nil {
        items.remove(at: index)
      } else if index == items.count {
        items.append(JSON.null.replacing(rest, with: value))
      } else {
        items[index] = items[index].replacing(rest, with: value)
      }
      return .array(items)
    default: return self
    }
  }
}
