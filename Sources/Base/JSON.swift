/// A JSON value (RFC 8259). Objects keep the order of the text; a repeated key is an error, because two readers could
/// disagree about it.
public enum JSON: Equatable, Sendable {
  case null
  case bool(Bool)
  /// A number written without fraction and exponent that fits.
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSON])
  case object([Member])

  public struct Member: Equatable, Sendable {
    public var key: String
    public var value: JSON
    public init(_ key: String, _ value: JSON) {
      self.key = key
      self.value = value
    }
  }
}

// MARK: - Typed access with errors that name the field

extension JSON {
  public subscript(key: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key.utf8.elementsEqual(key.utf8) }?.value
  }

  public var kindName: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer, .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }

  public func member(_ key: String, in context: String) throws(AdaptQError) -> JSON {
    guard let value = self[key] else { throw .invalidFile("\(context): field \"\(key)\" is missing") }
    return value
  }

  public func asString(_ field: String) throws(AdaptQError) -> String {
    guard case .string(let text) = self else { throw .invalidFile("\(field): expected a string, found \(kindName)") }
    return text
  }

  public func asInt(_ field: String) throws(AdaptQError) -> Int {
    guard case .integer(let value) = self else {
      throw .invalidFile("\(field): expected an integer, found \(kindName)")
    }
    return value
  }

  public func asDouble(_ field: String) throws(AdaptQError) -> Double {
    switch self {
    case .integer(let value): return Double(value)
    case .number(let value): return value
    default: throw .invalidFile("\(field): expected a number, found \(kindName)")
    }
  }

  public func asBool(_ field: String) throws(AdaptQError) -> Bool {
    guard case .bool(let value) = self else { throw .invalidFile("\(field): expected a boolean, found \(kindName)") }
    return value
  }

  public func asArray(_ field: String) throws(AdaptQError) -> [JSON] {
    guard case .array(let items) = self else { throw .invalidFile("\(field): expected an array, found \(kindName)") }
    return items
  }

  public func asObject(_ field: String) throws(AdaptQError) -> [Member] {
    guard case .object(let members) = self else {
      throw .invalidFile("\(field): expected an object, found \(kindName)")
    }
    return members
  }
}
