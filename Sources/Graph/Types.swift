import Base

/// What one element of a value is.
public enum ElementType: UInt8, Sendable, CaseIterable, Hashable {
  case float32 = 1
  case int64 = 2
  case int32 = 3

  public var byteCount: Int { self == .int64 ? 8 : 4 }

  public var name: String {
    switch self {
    case .float32: "float32"
    case .int64: "int64"
    case .int32: "int32"
    }
  }
}

/// One size of a shape.
public enum Dimension: Hashable, Sendable {
  case fixed(Int)
  /// A size that the caller chooses at each run: an index into ``Graph/symbols``. Equal symbols are equal sizes.
  case symbol(Int)
  /// A size that follows from one the caller chooses, as that of a convolution's output does.
  case derived(DerivedSize)
  /// The length of a growing state, an index into ``Graph/states``, once this run has appended to it.
  case length(Int)
  /// A size that depends on data: known only when the node that produces it has run.
  case dataDependent
}

/// `floor((symbol + plus) / over)`. Convolutions behind each other stay in this form, so equal sizes are equal values.
public struct DerivedSize: Hashable, Sendable {
  /// Bounds of `plus` and `over`; with them no size below 2^62 overflows.
  public static let maximumPlus = 1 << 40
  public static let maximumOver = 1 << 31

  /// Index into ``Graph/symbols``.
  public var symbol: Int
  public var plus: Int
  /// At least 1.
  public var over: Int

  public init(symbol: Int, plus: Int, over: Int) {
    self.symbol = symbol
    self.plus = plus
    self.over = over
  }

  /// The smallest value of the symbol for which the size is at least 1.
  public var smallestSymbol: Int { over &- plus }
}

/// Type and shape of a value: rank up to 8, row-major, dense. Rank 0 is a scalar.
public struct ValueType: Hashable, Sendable {
  public static let maximumRank = 8

  public var element: ElementType
  public var shape: [Dimension]

  public init(_ element: ElementType, _ shape: [Dimension]) {
    self.element = element
    self.shape = shape
  }

  public var rank: Int { shape.count }
}

/// Index into ``Graph/values``.
public struct ValueID: Hashable, Sendable {
  public var index: Int
  public init(_ index: Int) { self.index = index }
}

/// Index into ``Graph/sites``.
public struct SiteID: Hashable, Sendable {
  public var index: Int
  public init(_ index: Int) { self.index = index }
}

/// Index into ``Graph/regions``.
public struct RegionID: Hashable, Sendable {
  public var index: Int
  public init(_ index: Int) { self.index = index }
}

/// Index into ``Graph/states``.
public struct StateID: Hashable, Sendable {
  public var index: Int
  public init(_ index: Int) { self.index = index }
}
