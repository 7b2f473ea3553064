import Base
import CMachine
import Control

/// A budget of power or energy, and the model that says what an inference takes.
///
/// Energy of an inference = (`activeMilliwatts` + `threadMilliwatts` · threads) · its time on the idle machine with so many threads +
/// `picojoulesPerMAC` · multiply-adds + `picojoulesPerByte` · bytes of weights read. Average power = `staticMilliwatts` + energy · rate of calls.
public struct PowerTerms: Hashable, Sendable, BitwiseCopyable {
  /// 0 for no cap.
  public var capMilliwatts = 0.0
  public var windowNanoseconds = 10_000_000_000.0
  /// Of one inference; 0 for no limit.
  public var maximumMillijoules = 0.0
  public var staticMilliwatts = 0.0
  public var activeMilliwatts = 0.0
  /// Of each thread that may work on the inference, all the time, waiting included.
  public var threadMilliwatts = 0.0
  public var picojoulesPerMAC = 0.0
  public var picojoulesPerByte = 0.0
  /// The rung of least energy that latency and quality leave, instead of the best one.
  public var prefersLeastEnergy = false
  public var attribution = PowerAttribution.packages
  /// How long a run may wait before it begins, so that the power holds; 0: not at all.
  public var maximumWaitNanoseconds = 0

  public init() {}

  public var isEmpty: Bool { capMilliwatts == 0 && maximumMillijoules == 0 && !prefersLeastEnergy }

  /// Whether what was measured of inferences under these terms holds under others.
  func hasSameModel(as other: PowerTerms) -> Bool {
    staticMilliwatts == other.staticMilliwatts && activeMilliwatts == other.activeMilliwatts
      && threadMilliwatts == other.threadMilliwatts
      && picojoulesPerMAC == other.picojoulesPerMAC && picojoulesPerByte == other.picojoulesPerByte
      && attribution == other.attribution
  }

  /// What a rung takes, in nanojoules: milliwatts times nanoseconds are 10⁻³ nJ, and so are picojoules.
  func nanojoules(_ effort: RungEffort) -> Double {
    ((activeMilliwatts + threadMilliwatts * Double(effort.threads)) * Double(effort.nanoseconds)
      + picojoulesPerMAC * effort.multiplyAdds + picojoulesPerByte * effort.bytes) * 1e-3
  }

  static let wordCount = 10

  var words: InlineArray<10, UInt64> {
    get {
      [
        capMilliwatts.bitPattern, windowNanoseconds.bitPattern, maximumMillijoules.bitPattern,
        staticMilliwatts.bitPattern, activeMilliwatts.bitPattern, picojoulesPerMAC.bitPattern,
        picojoulesPerByte.bitPattern, UInt64(maximumWaitNanoseconds),
        (prefersLeastEnergy ? 1 : 0) | UInt64(attribution.rawValue) << 1,
        threadMilliwatts.bitPattern,
      ]
    }
    set {
      capMilliwatts = Double(bitPattern: newValue[0])
      windowNanoseconds = Double(bitPattern: newValue[1])
      maximumMillijoules = Double(bitPattern: newValue[2])
      staticMilliwatts = Double(bitPattern: newValue[3])
      activeMilliwatts = Double(bitPattern: newValue[4])
      picojoulesPerMAC = Double(bitPattern: newValue[5])
      picojoulesPerByte = Double(bitPattern: newValue[6])
      maximumWaitNanoseconds = Int(truncatingIfNeeded: newValue[7])
      prefersLeastEnergy = newValue[8] & 1 == 1
      attribution = PowerAttribution(rawValue: UInt8(truncatingIfNeeded: newValue[8] >> 1)) ?? .packages
      threadMilliwatts = Double(bitPattern: newValue[9])
    }
  }
}

/// What of a measured power counts as that of inferences. Raw values are those of the C ABI.
public enum PowerAttribution: UInt8, Sendable, BitwiseCopyable {
  /// All that the sensors see.
  case packages = 0
  /// This process's share of it, by processor time.
  case process = 1
  /// Nothing: only the model counts.
  case model = 2
}

/// Terms on their way from a setter on any thread to the run path: a sequence lock, so that a run never waits. Setters wait
/// for each other elsewhere.
struct PowerMailbox: BitwiseCopyable {
  static let wordCount = 1 + PowerTerms.wordCount
  /// The sequence number, odd while a setter writes, then the words of the terms. Touched with atomics only.
  let memory: UnsafeMutablePointer<UInt64>

  func store(_ terms: PowerTerms) {
    let sequence = cmachine_atomic_load(memory)
    cmachine_atomic_store(memory, sequence &+ 1)
    let words = terms.words
    for index in 0..<PowerTerms.wordCount { cmachine_atomic_store(memory + 1 + index, words[index]) }
    cmachine_atomic_store(memory, sequence &+ 2)
  }

  /// - Parameter seen: the sequence number of the last terms taken; changed when there are new ones.
  /// - Returns: false if there are none, or a setter is just writing: the next run will find them.
  func load(_ terms: inout PowerTerms, _ seen: inout UInt64) -> Bool {
    let before = cmachine_atomic_load(memory)
    if before == seen || before & 1 == 1 { return false }
    var words = terms.words
    for index in 0..<PowerTerms.wordCount { words[index] = cmachine_atomic_load(memory + 1 + index) }
    if cmachine_atomic_load(memory) != before { return false }
    terms.words = words
    seen = before
    return true
  }
}
