import Base
import CMachine
import Control

/// A budget of power or energy, and the model that says what an inference takes.
///
/// Energy of an inference = `activeMilliwatts` · its time on the idle machine + `picojoulesPerMAC` · multiply-adds +
/// `picojoulesPerByte` · bytes of weights read. Average power = `staticMilliwatts` + energy · rate of calls.
public struct PowerTerms: Hashable, Sendable, BitwiseCopyable {
  /// 0 for no cap.
  public var capMilliwatts = 0.0
  public var windowNanoseconds = 10_000_000_000.0
  /// Of one inference; 0 for no limit.
  public var maximumMillijoules = 0.0
  public var staticMilliwatts = 0.0
  public var activeMilliwatts = 0.0
  public var picojoulesPerMAC = 0.0
  public var picojoulesPerByte = 0.0

  public init() {}

  static let wordCount = 7

  var words: InlineArray<7, UInt64> {
    get {
      [
        capMilliwatts.bitPattern, windowNanoseconds.bitPattern, maximumMillijoules.bitPattern,
        staticMilliwatts.bitPattern, activeMilliwatts.bitPattern, picojoulesPerMAC.bitPattern,
        picojoulesPerByte.bitPattern,
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
    }
  }
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

/// What one rung does at one size.
struct RungEffort: BitwiseCopyable {
  var work: Int
  var nanoseconds: Int
  var multiplyAdds: Double
  var bytes: Double
}

/// A governor and what it needs on the run path. Plain memory.
struct PowerControl: BitwiseCopyable {
  var governor: PowerGovernor
  var mailbox: PowerMailbox
  private var seen: UInt64 = 0
  private var terms = PowerTerms()
  /// `[rungCount][sizeCount]`, sizes rising.
  private let efforts: UnsafeMutablePointer<RungEffort>
  private let rungCount: Int
  private let sizeCount: Int

  init(
    rungCount: Int, sizeCount: Int, efforts: UnsafeMutablePointer<RungEffort>, mailbox: UnsafeMutablePointer<UInt64>
  ) {
    governor = PowerGovernor(rungCount: rungCount)
    self.mailbox = PowerMailbox(memory: mailbox)
    self.efforts = efforts
    self.rungCount = rungCount
    self.sizeCount = sizeCount
  }

  /// Call before a decision: takes what a setter has left. Energies follow from the terms, so they are made anew.
  mutating func applyMailbox() {
    if !mailbox.load(&terms, &seen) { return }
    governor.setBudget(
      milliwatts: terms.capMilliwatts > 0 ? terms.capMilliwatts : nil,
      window: clampedInt(terms.windowNanoseconds, in: 1...CostCurve.maximumNanoseconds),
      staticMilliwatts: terms.staticMilliwatts,
      maximumNanojoules: terms.maximumMillijoules > 0 ? terms.maximumMillijoules * 1e6 : nil)
    for rung in 0..<rungCount {
      var curve = CostCurve()
      for size in 0..<sizeCount {
        let effort = efforts[rung &* sizeCount &+ size]
        // Milliwatts times nanoseconds are 10⁻³ nJ; picojoules too.
        let nanojoules =
          (terms.activeMilliwatts * Double(effort.nanoseconds) + terms.picojoulesPerMAC * effort.multiplyAdds
            + terms.picojoulesPerByte * effort.bytes) * 1e-3
        curve.append(
          CostPoint(work: effort.work, nanoseconds: clampedInt(nanojoules, in: 1...CostCurve.maximumNanoseconds)))
      }
      governor.setEnergy(rung: rung, curve: curve)
    }
  }
}
