import Base

/// What a handle is a handle of. The raw value is part of the token.
enum HandleKind: UInt64 {
  case runtime = 1
  case model = 2
  case session = 3
  case tokenizer = 4
  case matrix = 8
  case matrixFile = 9
  case group = 10

  /// The C type's name, for error texts.
  var name: StaticString {
    switch self {
    case .runtime: "adaptq_runtime"
    case .model: "adaptq_model"
    case .session: "adaptq_session"
    case .tokenizer: "adaptq_tokenizer"
    case .matrix: "adaptq_matrix"
    case .matrixFile: "adaptq_matrix_file"
    case .group: "adaptq_group"
    }
  }
}

/// An object behind a handle: owned by the table until the handle is destroyed and the last call on it has returned.
protocol HandleObject: AnyObject, Sendable {
  static var handleKind: HandleKind { get }
}

/// The 64 bits of a handle: mark (16), generation (24), kind (4), slot (20).
///
/// The mark makes the pattern an address that no x86-64 process can have: a caller who dereferences a handle faults at once
/// instead of reading something. The generation tells apart the handles that used a slot one after the other.
struct HandleToken {
  static let mark: UInt64 = 0xADA5
  static let generationBits: UInt64 = 24
  static let slotBits: UInt64 = 20
  static let maxGeneration: UInt64 = (1 << generationBits) - 1

  var bits: UInt64

  @inline(__always)
  init(bits: UInt64) { self.bits = bits }

  @inline(__always)
  init(generation: UInt64, kind: HandleKind, slot: Int) {
    bits = HandleToken.mark << 48 | generation << 24 | kind.rawValue << 20 | UInt64(truncatingIfNeeded: slot)
  }

  @inline(__always) var hasMark: Bool { bits >> 48 == HandleToken.mark }
  /// Generation and kind, as a slot's state word holds them in its upper 28 bits.
  @inline(__always) var identity: UInt64 { bits >> 20 & 0xFFF_FFFF }
  @inline(__always) var kind: UInt64 { bits >> 20 & 0xF }
  @inline(__always) var slot: Int { Int(truncatingIfNeeded: bits & 0xF_FFFF) }
}

/// A slot's state word: generation (24), kind (4), unused (2), running (1), live (1), users (32).
///
/// One word, so that "is this handle alive, and count me as its user" is a single compare-and-exchange.
struct SlotState {
  static let usersMask: UInt64 = 0xFFFF_FFFF
  static let live: UInt64 = 1 << 32
  /// A run or prepare is in progress: no second one may start and destroy is refused.
  static let running: UInt64 = 1 << 33

  var bits: UInt64

  @inline(__always)
  init(bits: UInt64) { self.bits = bits }

  @inline(__always) var identity: UInt64 { bits >> 36 }
  @inline(__always) var generation: UInt64 { bits >> 40 }
  @inline(__always) var isLive: Bool { bits & SlotState.live != 0 }
  @inline(__always) var isRunning: Bool { bits & SlotState.running != 0 }
  @inline(__always) var hasUsers: Bool { bits & SlotState.usersMask != 0 }
}
