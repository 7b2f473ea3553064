import Base
import NestedFormat

/// The weights of one site in every form that is stored. Views into the model's memory; trivial.
public struct SiteForms: @unchecked Sendable, BitwiseCopyable {
  public var nested: NestedView?
  public var table: RowTable?
  public var fp16: DenseView?
  public var fp32: DenseView?
  /// `n` floats.
  public var bias: UnsafePointer<Float>?
  public var storedByteCount = 0

  public init() {}

  /// Levels at which the site can be read. A table is read at 8 bits whatever the level.
  public func holds(_ level: Level) -> Bool {
    if table != nil { return true }
    switch level {
    case .fp32: return fp32 != nil
    case .fp16: return fp16 != nil
    default: return nested?.holds(level) ?? false
    }
  }
}

/// Bytes of a model's file by what they are. What is in none of these is header, tokenizer and padding.
public struct StoredBytes: Sendable, Equatable {
  public var nested = 0
  public var fp16 = 0
  public var fp32 = 0
  public var tables = 0
  public var constants = 0

  public init() {}

  public var sum: Int { nested + fp16 + fp32 + tables + constants }
}

/// A graph with its weights, as read from a `.adaptq` file: everything points into one block of memory. Immutable, shared by
/// sessions and threads.
public final class Model: @unchecked Sendable {
  public let graph: Graph
  /// One per site.
  public let forms: [SiteForms]
  /// One per constant, 64-byte aligned.
  public let constants: [UnsafePointer<Float>]
  /// Signal-to-noise in decibels per site, as measured when the file was made; keys are level names.
  public let signalToNoise: [[JSON.Member]]
  /// The tokenizer's settings and vocabulary, if the model has one.
  public let tokenizer: (settings: JSON, vocabulary: UnsafeRawBufferPointer)?
  /// Texts of the user's own, by the bytes of their keys.
  public let metadata: [(key: String, value: String)]
  public let storedBytes: StoredBytes
  /// Plans with their quality, if `adaptq tune` has measured any.
  public let plans: PlanSet?
  /// How large each site's inputs were while `adaptq tune` measured; nil where it is not known, as in older files.
  public let ranges: [SiteRange?]
  private let owner: MemoryBlock

  init(
    graph: Graph, forms: [SiteForms], constants: [UnsafePointer<Float>], signalToNoise: [[JSON.Member]],
    tokenizer: (settings: JSON, vocabulary: UnsafeRawBufferPointer)?, metadata: [(key: String, value: String)],
    storedBytes: StoredBytes, plans: PlanSet?, ranges: [SiteRange?], owner: MemoryBlock
  ) {
    self.graph = graph
    self.forms = forms
    self.constants = constants
    self.signalToNoise = signalToNoise
    self.tokenizer = tokenizer
    self.metadata = metadata
    self.storedBytes = storedBytes
    self.plans = plans
    self.ranges = ranges
    self.owner = owner
  }

  public var byteCount: Int { owner.byteCount }

  /// Of everything in the file but the bytes of tensors: graph, sizes, stored forms, plans, texts.
  public var headerChecksum: UInt64 {
    var checksum = Checksum()
    let bytes = owner.bytes
    // The header's length stands before it; reading the file has checked it.
    let length = bytes.count < 8 ? 0 : Int(clamping: UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)))
    checksum.add(UnsafeRawBufferPointer(rebasing: bytes[..<min(length, bytes.count)]))
    return checksum.value
  }

  /// Levels that every linear site stores, best first.
  public var levels: [Level] { Model.levels(graph, forms) }

  static func levels(_ graph: Graph, _ forms: [SiteForms]) -> [Level] {
    let linear = zip(graph.sites, forms).filter { $0.0.kind == .linear }
    return Level.allCases.sorted { $0.rawValue > $1.rawValue }.filter { level in
      linear.allSatisfy { $0.1.holds(level) }
    }
  }
}
