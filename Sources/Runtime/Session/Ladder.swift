import Base
import Control
import Graph
import NestedFormat

/// What a budget may choose: a level for every site, with its measured quality where the file has one.
public struct Rung: Sendable {
  /// One per site of the graph; tables, which have no choice, read INT8.
  public var levels: [Level]
  /// The level of all linear sites, nil where they differ.
  public var uniformLevel: Level?
  /// The level that most of the weights have.
  public var mainLevel: Level
  public var quality: PlanQuality?

  init(_ graph: Graph, linear: [Level], quality: PlanQuality?) {
    var next = linear.makeIterator()
    var weights = [Level: Double]()
    levels = graph.sites.map { site in
      if site.kind == .embedding { return .int8 }
      let level = next.next() ?? .int8
      weights[level, default: 0] += Double(site.n) * Double(site.k)
      return level
    }
    uniformLevel = Set(linear).count > 1 ? nil : linear.first ?? .int8
    // Of two with as many weights, the better one.
    mainLevel = weights.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }?.key ?? .int8
    self.quality = quality
  }

  private init(_ graph: Graph, uniform level: Level) {
    levels = graph.sites.map { $0.kind == .embedding ? .int8 : level }
    (uniformLevel, mainLevel, quality) = (level, level, nil)
  }

  /// The plans stored in the file whose levels are all among `allowed`, best first; the levels themselves where the file has
  /// none.
  static func ladder(_ model: Model, _ allowed: [Level]) -> [Rung] {
    guard let plans = model.plans else { return allowed.map { Rung(model.graph, uniform: $0) } }
    return plans.plans.filter { $0.levels.allSatisfy(allowed.contains) }
      .map { Rung(model.graph, linear: $0.levels, quality: $0.quality) }
  }
}

extension Level {
  /// Bit of the level in a set: those of ADAPTQ_ALLOW_*.
  var setBit: UInt64 {
    switch self {
    case .int2: 1
    case .int4: 2
    case .int6: 4
    case .int8: 8
    case .fp16: 16
    case .fp32: 32
    }
  }
}

/// Which rungs the budget may choose from: a set of levels, and the quality below which a plan is not used. One word, so that
/// any thread can change a part of it while others read or change it.
struct RungLimits: Equatable, BitwiseCopyable {
  /// From bit 0: 6 bits of levels, 29 of the 5th percentile, 29 of the mean.
  var word: UInt64

  init(word: UInt64) { self.word = word }

  init(levels: UInt64, mean: UInt64, p5: UInt64) { word = mean << 35 | p5 << 6 | levels }

  /// A cosine as an integer; negative ones and NaN are 0.
  static func steps(_ cosine: Double) -> UInt64 { CosineSteps.steps(cosine) }

  var levels: UInt64 { word & 63 }
  var p5: UInt64 { word >> 6 & (1 << 29 - 1) }
  var mean: UInt64 { word >> 35 }
}

/// A rung as the run path and the setters see it.
struct RungSlot: BitwiseCopyable {
  /// Bits of the level of all linear sites; 0 where they differ.
  var uniform: UInt8
  var mainLevel: UInt8
  /// Set of the levels used.
  var levelSet: UInt64
  /// What the file says; where it says nothing, a floor counts on shadow runs: the best rung is the measure, others are not known.
  var calibrated: KnownQuality
  /// Nanoseconds expected at the measured sizes, 0 before the first preparation.
  var costs = InlineArray<4, Float>(repeating: 0)

  init(_ rung: Rung, _ graph: Graph, isBest: Bool) {
    uniform = rung.uniformLevel?.rawValue ?? 0
    mainLevel = rung.mainLevel.rawValue
    levelSet = 0
    for (site, level) in zip(graph.sites, rung.levels) where site.kind == .linear { levelSet |= level.setBit }
    if let level = rung.uniformLevel { levelSet |= level.setBit }
    let assumed = isBest ? 1.0 : 0
    calibrated = KnownQuality(
      mean: RungLimits.steps(rung.quality?.meanCosine ?? assumed),
      p5: RungLimits.steps(rung.quality?.p5Cosine ?? assumed),
      source: rung.quality == nil ? .unknown : .calibrated)
  }
}

/// All rungs in the session's memory. Fixed when the session is made, but for the costs and what is learned about quality.
struct LadderSlots: BitwiseCopyable {
  var rungs: UnsafeMutablePointer<RungSlot>
  var count: Int
  /// `[rung][site]`: bits of the level.
  var siteLevels: UnsafeMutablePointer<UInt8>
  var siteCount: Int
  var quality: QualityWords
  /// How many of ``RungSlot/costs`` count.
  var sizeCount = 0

  @inline(__always)
  func levels(_ rung: Int) -> UnsafeMutablePointer<UInt8> { siteLevels + rung &* siteCount }

  /// The rung with one level at all linear sites, or -1.
  @inline(__always)
  func uniform(_ level: UInt8) -> Int {
    for rung in 0..<count where rungs[rung].uniform == level { return rung }
    return -1
  }

  /// The quality of a rung that floors go by.
  @inline(__always)
  func known(_ rung: Int) -> KnownQuality {
    KnownQuality(
      calibrated: rungs[rung].calibrated, shadowed: quality.shadowed(rung), reported: quality.reported(rung))
  }

  /// Rungs within the limits.
  @inline(__always)
  func mask(_ limits: RungLimits) -> UInt64 {
    var mask: UInt64 = 0
    for rung in 0..<count where rungs[rung].levelSet & ~limits.levels == 0 {
      if known(rung).holds(mean: limits.mean, p5: limits.p5) { mask |= 1 << UInt64(truncatingIfNeeded: rung) }
    }
    return mask
  }

  /// Rungs that a run may use: as ``mask(_:)``, with the hysteresis of the gate, and never none.
  ///
  /// - Parameter isNew: the limits have changed.
  @inline(__always)
  func mask(_ limits: RungLimits, _ gate: inout QualityGate, isNew: Bool) -> UInt64 {
    var mask: UInt64 = 0
    for rung in 0..<count {
      if rungs[rung].levelSet & ~limits.levels == 0 { mask |= 1 << UInt64(truncatingIfNeeded: rung) }
      _ = gate.judge(rung: rung, known(rung), mean: limits.mean, p5: limits.p5, isNew: isNew)
    }
    return QualityGate.allowed(mask, below: gate.below)
  }

  /// Of `mask` those that the controller should see: a mix that no measured size promises to be clearly faster than a better
  /// rung is none. Uniform levels, which were measured themselves, stay: the controller skips them where they win nothing.
  @inline(__always)
  func steps(of mask: UInt64, minimumGain: Double) -> UInt64 {
    var kept: UInt64 = 0
    var fastest = InlineArray<4, Float>(repeating: .infinity)
    for rung in 0..<count where mask >> UInt64(truncatingIfNeeded: rung) & 1 == 1 {
      var isStep = rungs[rung].uniform != 0 || sizeCount == 0
      for size in 0..<sizeCount where rungs[rung].costs[size] < fastest[size] * Float(1 - minimumGain) { isStep = true }
      if !isStep { continue }
      kept |= 1 << UInt64(truncatingIfNeeded: rung)
      for size in 0..<sizeCount { fastest[size] = min(fastest[size], rungs[rung].costs[size]) }
    }
    return kept
  }
}
