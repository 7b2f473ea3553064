import CMachine
import Control
import Graph

/// What was learned about the quality of the rungs, as words that any thread reads and changes with atomics: a count of changes, then
/// two words per rung, ``ReportedScores`` and ``ShadowedCosines``.
struct QualityWords: BitwiseCopyable {
  static func wordCount(rungs: Int) -> Int { 1 + 2 * rungs }

  var words: UnsafeMutablePointer<UInt64>

  /// Another number than before whenever something has changed.
  @inline(__always)
  var version: UInt64 { cmachine_atomic_load(words) }

  @inline(__always)
  func reported(_ rung: Int) -> ReportedScores {
    ReportedScores(word: cmachine_atomic_load(words + (1 &+ 2 &* rung)))
  }

  @inline(__always)
  func shadowed(_ rung: Int) -> ShadowedCosines {
    ShadowedCosines(word: cmachine_atomic_load(words + (2 &+ 2 &* rung)))
  }

  /// Any thread, several at once.
  func report(_ rung: Int, _ score: Double) {
    let word = words + 1 + 2 * rung
    var old = cmachine_atomic_load(word)
    while !cmachine_atomic_exchange_if(word, &old, ReportedScores(word: old).adding(score).word) {}
    _ = cmachine_atomic_add(words, 1)
  }

  /// Only who has the session to itself.
  func setShadowed(_ rung: Int, _ cosines: ShadowedCosines) {
    cmachine_atomic_store(words + 2 + 2 * rung, cosines.word)
    _ = cmachine_atomic_add(words, 1)
  }
}

/// All that is known about the quality of a rung.
public struct RungQuality: Sendable {
  /// What floors go by, in steps and as cosines; a source says how it is known.
  public var known: KnownQuality
  public var meanCosine: Double
  public var p5Cosine: Double
  /// Comparisons by shadow runs, rows of them that count, and their figures; nil before the first.
  public var shadowSamples = 0
  public var shadowRows = 0
  public var shadowed: (meanCosine: Double, p5Cosine: Double, noise: Double)?
  public var reports = 0
  /// Of the last reports; 0 before the first.
  public var reportedMean = 0.0
  /// Not chosen, because it is below the floor.
  public var isBelowFloor = false

  fileprivate init(_ known: KnownQuality, _ calibrated: PlanQuality?) {
    self.known = known
    meanCosine = CosineSteps.cosine(known.mean)
    p5Cosine = CosineSteps.cosine(known.p5)
    // As the file has it, to the last bit.
    if let calibrated, known.meanSource == .calibrated { meanCosine = calibrated.meanCosine }
    if let calibrated, known.p5Source == .calibrated { p5Cosine = calibrated.p5Cosine }
  }
}

extension Session {
  /// What the host thinks of the result of one run or of several. Any thread at any time.
  ///
  /// - Parameters:
  ///   - rung: of these runs; in the ladder.
  ///   - score: 0 to 1, comparable with the cosines that floors are set in.
  public func reportQuality(rung: Int, score: Double) { slots.quality.report(rung, score) }

  /// What can be known of it on any thread at any time.
  func quality(rung: Int) -> RungQuality {
    var quality = RungQuality(slots.known(rung), ladder[rung].quality)
    let scores = slots.quality.reported(rung)
    quality.reports = Int(truncatingIfNeeded: scores.count)
    quality.reportedMean = scores.mean
    return quality
  }

  /// All of it; not during a run.
  public func fullQuality(rung: Int) -> RungQuality {
    var quality = quality(rung: rung)
    quality.isBelowFloor = state.pointee.gate.below >> UInt64(truncatingIfNeeded: rung) & 1 == 1
    if let window = shadow?.windows[rung], window.count > 0 {
      quality.shadowSamples = Int(truncatingIfNeeded: window.samples)
      quality.shadowRows = window.count
      quality.shadowed = (window.meanCosine, window.p5Cosine, window.meanNoise)
    }
    return quality
  }
}
