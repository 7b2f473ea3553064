import CMachine

// How a run is watched and stopped from outside.

/// Two words in a session's memory, touched with atomics only: the number of the run or prepare in progress (odd while there
/// is one), and the number of the one that was asked to stop.
struct RunControl: BitwiseCopyable {
  static let wordCount = 2
  var words: UnsafeMutablePointer<UInt64>

  /// Only the thread that runs or prepares calls these two.
  @inline(__always)
  func begin() { cmachine_atomic_store(words, cmachine_atomic_load(words) &+ 1) }
  @inline(__always)
  func end() { cmachine_atomic_store(words, cmachine_atomic_load(words) &+ 1) }

  @inline(__always)
  var isStopped: Bool { cmachine_atomic_load(words + 1) == cmachine_atomic_load(words) }

  /// Any thread. Numbers only grow, so that a late call for an old run cannot undo one for a newer run.
  func stop() {
    let number = cmachine_atomic_load(words)
    if number % 2 == 0 { return }
    var asked = cmachine_atomic_load(words + 1)
    while asked < number && !cmachine_atomic_exchange_if(words + 1, &asked, number) {}
  }
}

/// One operator of a run, for whoever watches.
public struct TraceEvent: BitwiseCopyable {
  /// Zero-terminated.
  public var operation: StaticString
  /// -1: none.
  public var site: Int
  public var step: Int
  public var stepCount: Int
  /// Bits of the site's level; 0 where there is none.
  public var level: UInt8
  public var beginNanoseconds: Int
  public var endNanoseconds: Int
}

/// Called after each operator of a run, on the thread that runs; the second argument points to a ``TraceEvent``.
public typealias TraceFunction = @convention(c) (UnsafeMutableRawPointer?, UnsafeRawPointer) -> Void

struct TraceHook: BitwiseCopyable {
  var function: TraceFunction?
  var context: UnsafeMutableRawPointer?
}

extension Step.Kind {
  var name: StaticString {
    switch self {
    case .embedding: "embedding"
    case .linear: "linear"
    case .layerNorm: "layerNorm"
    case .unary: "activation"
    case .binary: "binary"
    case .attention: "attention"
    case .softmax: "softmax"
    case .range: "range"
    case .maskedMean: "maskedMean"
    case .l2Normalize: "l2Normalize"
    case .compare: "compare"
    case .convolution: "convolution"
    case .gru: "gru"
    case .writeState: "writeState"
    case .appendState: "appendState"
    case .copy: "copy"
    case .branch: "branch"
    case .jump: "jump"
    case .loopBegin: "loopBegin"
    case .loopEnd: "loopEnd"
    }
  }
}

extension PlanContext {
  /// An activation that makes codes has a name of its own: its time is also that of coding, which the next product does without.
  private func name(_ step: UnsafeMutablePointer<Step>) -> StaticString {
    step.pointee.kind == .unary && activationCodes(step) != nil ? "activation8" : step.pointee.kind.name
  }

  /// Tells the trace about a step that has just ended.
  @inline(never)
  func report(_ step: UnsafeMutablePointer<Step>, _ index: Int, begin: Int) {
    guard let function = trace.function else { return }
    // Other steps keep the number of a state or a counter there.
    let site =
      switch step.pointee.kind {
      case .embedding, .linear, .convolution, .gru: Int(step.pointee.site)
      default: -1
      }
    var event = TraceEvent(
      operation: name(step), site: site, step: index, stepCount: stepCount,
      level: site < 0 ? 0 : levels[site], beginNanoseconds: begin, endNanoseconds: monotonicNanoseconds())
    withUnsafePointer(to: &event) { function(trace.context, UnsafeRawPointer($0)) }
  }
}
