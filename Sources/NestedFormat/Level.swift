/// A precision at which a site's weights can be read. The raw value is the number of bits per weight and also the value
/// that the C ABI uses.
public enum Level: UInt8, CaseIterable, Hashable, Sendable, Comparable, BitwiseCopyable {
  case int2 = 2
  case int4 = 4
  case int6 = 6
  case int8 = 8
  case fp16 = 16
  case fp32 = 32

  /// Bits per weight, scales not counted.
  @inlinable public var bits: Int { Int(rawValue) }

  /// Whether the level is read out of the nested bit planes.
  @inlinable public var isNested: Bool { rawValue <= 8 }

  /// How many 2-bit planes the level reads: 1 to 4, and 0 for the levels that are not nested.
  @inlinable public var planes: Int { isNested ? Int(rawValue) / 2 : 0 }

  /// The levels read out of the planes, coarsest first.
  public static let nested: [Level] = [.int2, .int4, .int6, .int8]

  /// "INT8", "FP16", ...: the spelling of files, reports and the command line.
  public var name: String {
    switch self {
    case .int2: "INT2"
    case .int4: "INT4"
    case .int6: "INT6"
    case .int8: "INT8"
    case .fp16: "FP16"
    case .fp32: "FP32"
    }
  }

  /// The level spelled `name`, exactly as ``name`` spells it.
  public init?(name: String) {
    guard let level = Level.allCases.first(where: { $0.name == name }) else { return nil }
    self = level
  }

  @inlinable public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
}
