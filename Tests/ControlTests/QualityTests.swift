import TestSupport
import Testing

@testable import Control

/// What is known about the quality of rungs, and what floors make of it.
@Suite struct QualityTests {
  @Test func scoresAreTheirMean() {
    var random = SeededRandom("scores")
    for _ in 0..<50 {
      var scores = ReportedScores(word: 0)
      var sum = 0.0
      for index in 1...Int(ReportedScores.window) {
        let score = Double.random(in: 0...1, using: &random)
        sum += score
        scores = scores.adding(score)
        #expect(scores.count == UInt64(index) && abs(scores.mean - sum / Double(index)) < 1e-9)
        #expect(scores.isEnough == (index >= 16))
      }
      // What was before fades.
      let target = Double.random(in: 0...1, using: &random)
      for _ in 0..<1000 { scores = scores.adding(target) }
      #expect(abs(scores.mean - target) < 1e-6)
    }
    let ends = ReportedScores(word: 0).adding(7).adding(-3).adding(.nan)
    #expect(abs(ends.mean - 1.0 / 3) < 1e-9 && ends.count == 3)
    let full = ReportedScores(word: 1 << 24 - 1).adding(1)
    #expect(full.count == 1 << 24 - 1 && full.mean > 0)
  }

  /// Mean and percentile of the last rows, as sorting them gives.
  @Test func windowIsExact() {
    var random = SeededRandom("window")
    let memory = UnsafeMutablePointer<ShadowWindow.Row>.allocate(capacity: ShadowWindow.capacity)
    defer { memory.deallocate() }
    var window = ShadowWindow(rows: memory)
    #expect(window.meanCosine == 1 && window.p5Cosine == 1 && window.meanNoise == 0 && !window.isEnough)
    var all: [Float] = []
    for sample in 1...60 {
      let rows = Int.random(in: 1...32, using: &random)
      for _ in 0..<rows {
        let loss = Float(Int.random(in: 0...200, using: &random)) / 1000
        all.append(loss)
        window.append(.init(loss: loss, noise: 2 * loss))
      }
      window.endSample()
      let last = all.suffix(ShadowWindow.capacity)
      let sum = last.reduce(0.0) { $0 + Double($1) }
      let sorted = last.sorted(by: >)
      #expect(window.count == last.count && window.samples == UInt64(sample))
      #expect(window.isEnough == (sample >= 16))
      #expect(abs(window.meanCosine - (1 - sum / Double(last.count))) < 1e-12)
      #expect(abs(window.meanNoise - 2 * sum / Double(last.count)) < 1e-7)
      #expect(window.p5Cosine == 1 - Double(sorted[nearestRank(5, last.count) - 1]))
    }
    for rows in [1, 31, 32, 33, 64, 65, 1000] {
      let kept = stride(from: 0, to: rows, by: ShadowWindow.stride(rows: rows)).map { $0 }.count
      #expect(kept <= 32 && kept >= min(rows, 17), "\(rows) rows")
    }
  }

  private func quality(_ mean: Double, _ p5: Double, _ source: QualitySource) -> KnownQuality {
    KnownQuality(mean: CosineSteps.steps(mean), p5: CosineSteps.steps(p5), source: source)
  }

  /// The host's word before shadow runs, these before the file, and each only when there is enough of it.
  @Test func strongestEvidence() {
    let calibrated = quality(0.9, 0.8, .calibrated)
    let shadowed = ShadowedCosines(mean: 0.7, p5: 0.6)
    var few = ReportedScores(word: 0)
    for _ in 1..<ReportedScores.enough { few = few.adding(0.5) }
    let none = ShadowedCosines(word: 0)
    #expect(KnownQuality(calibrated: calibrated, shadowed: none, reported: few) == calibrated)
    #expect(
      KnownQuality(calibrated: calibrated, shadowed: shadowed, reported: few) == quality(0.7, 0.6, .shadowed))
    let both = KnownQuality(calibrated: calibrated, shadowed: shadowed, reported: few.adding(0.5))
    #expect(both.meanSource == .reported && both.p5Source == .shadowed && both.p5 == CosineSteps.steps(0.6))
    #expect(abs(CosineSteps.cosine(both.mean) - 0.5) < 1e-8)
    let host = KnownQuality(calibrated: calibrated, shadowed: none, reported: few.adding(0.5))
    #expect(host.meanSource == .reported && host.p5Source == .calibrated && host.p5 == calibrated.p5)
    // Even the worst that was shadowed is something known.
    let worst = KnownQuality(calibrated: calibrated, shadowed: ShadowedCosines(mean: -1, p5: -1), reported: few)
    #expect(worst == quality(0, 0, .shadowed))
  }

  /// Any qualities and floors: what is below the floor is out at once; it is back when it has passed the margin, not before, and
  /// at once where floor or figure are not estimates; a quality that stays within the margin changes nothing more.
  @Test func gateHasHysteresis() {
    var random = SeededRandom("gate")
    for _ in 0..<200 {
      var gate = QualityGate()
      var wasBelow = false
      var floor = (mean: UInt64(0), p5: UInt64(0))
      for step in 0..<100 {
        let isNew = step == 0 || Int.random(in: 0..<20, using: &random) == 0
        if isNew {
          floor = (CosineSteps.steps(Double.random(in: -0.5...1, using: &random)), 0)
          if Bool.random(using: &random) { floor.p5 = CosineSteps.steps(Double.random(in: -0.5...1, using: &random)) }
        }
        let source: QualitySource = Bool.random(using: &random) ? .shadowed : .calibrated
        let near = CosineSteps.cosine(floor.mean)
        let mean = near + Double.random(in: -0.2...0.3, using: &random) * (1 - near)
        let known = quality(mean, Double.random(in: 0...1, using: &random), source)
        let rung = Int.random(in: 0..<64, using: &random)
        var one = gate
        let isBelow = gate.judge(rung: 7, known, mean: floor.mean, p5: floor.p5, isNew: isNew)
        #expect(isBelow == (gate.below >> 7 & 1 == 1))
        if !known.holds(mean: floor.mean, p5: floor.p5) { #expect(isBelow) }
        if isBelow && known.holds(mean: floor.mean, p5: floor.p5) {
          #expect(wasBelow && !isNew && source == .shadowed, "out without having been below")
          let far = known.mean < floor.mean + (1 << 29 - 1 - floor.mean) / 10
          let p5Far = known.p5 < floor.p5 + (1 << 29 - 1 - floor.p5) / 10
          #expect(far && floor.mean > 0 || p5Far && floor.p5 > 0, "out beyond the margin")
        }
        // The same again changes nothing.
        let before = gate
        let again = gate.judge(rung: 7, known, mean: floor.mean, p5: floor.p5, isNew: false)
        #expect(again == isBelow && gate == before)
        // Rungs do not touch each other.
        _ = one.judge(rung: rung, known, mean: floor.mean, p5: floor.p5, isNew: isNew)
        if rung != 7 { #expect(one.below >> 7 & 1 == (wasBelow ? 1 : 0)) }
        wasBelow = isBelow
      }
    }
  }

  /// Estimates that scatter by a tenth of what the floor allows: at most one change.
  @Test func scatterAtTheFloorDoesNotFlap() {
    var random = SeededRandom("scatter")
    for _ in 0..<100 {
      let floor = Double.random(in: 0.5...0.999, using: &random)
      var gate = QualityGate()
      var changes = 0
      var last = false
      for step in 0..<200 {
        let mean = floor + Double.random(in: -0.04...0.09, using: &random) * (1 - floor)
        let known = quality(mean, 1, .shadowed)
        let now = gate.judge(rung: 3, known, mean: CosineSteps.steps(floor), p5: 0, isNew: step == 0)
        if step > 0 && now != last { changes += 1 }
        last = now
      }
      #expect(changes <= 1)
    }
  }

  @Test func somethingIsAlwaysLeft() {
    var random = SeededRandom("left")
    for _ in 0..<1000 {
      let rungs = UInt64.random(in: 1...(.max), using: &random) >> UInt64.random(in: 0...60, using: &random)
      if rungs == 0 { continue }
      let below = UInt64.random(in: 0...(.max), using: &random) | (Bool.random(using: &random) ? rungs : 0)
      let left = QualityGate.allowed(rungs, below: below)
      #expect(left != 0 && left & ~rungs == 0)
      if rungs & ~below != 0 { #expect(left == rungs & ~below) } else { #expect(left.nonzeroBitCount == 1) }
      if rungs & ~below == 0 { #expect(left.trailingZeroBitCount == rungs.trailingZeroBitCount) }
    }
  }
}
