import Base
import Graph
import Kernels
import NestedFormat
import Runtime
import TestSupport
import Testing

@testable import Tuning

/// Tuning a small model for real; times are whatever they are here.
@Suite struct TunerTests {
  static func model() throws -> Model {
    try Model(
      try ContainerWriter(builder: try SmallModel.builder(), keep: [.fp16, .fp32]).write(), source: "tuned")
  }

  static func session(_ model: Model, _ levels: [Level] = Level.allCases) throws -> Session {
    let session = try Session(model: model, allowed: levels, kernels: .portable, kernelOwner: nil)
    try session.prepare(maximumShapes: [[1, 9], [1, 9]])
    return session
  }

  static func samples(_ count: Int, rows: Int = 1) throws -> [CalibrationSample] {
    var random = SeededRandom("TunerTests")
    return try (0..<count).map { _ in
      let length = Int.random(in: 1...9, using: &random)
      let ids = (0..<(rows * length)).map { _ in Int64.random(in: 0..<Int64(SmallModel.vocabulary), using: &random) }
      return CalibrationSample(inputs: [
        try .init(shape: [rows, length], integers: ids),
        try .init(shape: [rows, length], integers: ids.map { _ in 1 }),
      ])
    }
  }

  @Test func findsPlansThatHold() throws {
    let model = try Self.model()
    let session = try Self.session(model)
    let samples = try Self.samples(21)
    var told: [Tuner.Phase: (done: Int, of: Int)] = [:]
    let result = try Tuner(session, samples).run { phase, done, total in
      #expect(done == (told[phase]?.done ?? 0) + 1 && done <= total)
      told[phase] = (done, total)
    }
    #expect(told.count == 3 && told.values.allSatisfy { $0.done == $0.of })
    #expect(result.reference == .fp32 && result.rows == 21)

    let plans = result.plans.plans
    #expect(plans.first?.quality == PlanQuality(meanCosine: 1, p5Cosine: 1))
    for level in Level.allCases { #expect(plans.contains { $0.uniformLevel == level }, "\(level.name)") }
    #expect(zip(plans, plans.dropFirst()).allSatisfy { $0.quality.meanCosine >= $1.quality.meanCosine })
    #expect(Set(plans.map(\.levels)).count == plans.count)
    // Each mix again, by itself: the quality is that of the plan, not a sum.
    let again = try QualityMeasurement(session, samples, reference: model.graph.sites.map { _ in .fp32 }) { _, _ in }
    for plan in plans {
      let levels = [Level.int8] + plan.levels
      let quality = QualityMeasurement.quality(try again.cosines(levels, samples: samples.indices))
      #expect(quality == plan.quality, "\(plan.levels)")
    }
    #expect(plans.contains { $0.uniformLevel == nil }, "no mix at all")

    // The file with them is a file with them.
    let file = try ContainerWriter(builder: try SmallModel.builder(), keep: [.fp16, .fp32]).write()
    let read = try Model(try model.file(file, replacingPlans: result.plans), source: "again")
    #expect(read.plans == result.plans)
    let rungs = try Self.session(read).ladder
    #expect(rungs.map { Array($0.levels.dropFirst()) } == plans.map(\.levels))
  }

  /// Shadow runs on the samples find the quality that tuning on them finds, and inputs of the sites as tuning saw them.
  @Test func shadowsMeasureTheSame() throws {
    let samples = try Self.samples(40)
    let result = try Tuner(try Self.session(try Self.model()), samples).run()
    let file = try ContainerWriter(builder: try SmallModel.builder(), keep: [.fp16, .fp32]).write()
    let model = try Model(
      try Self.model().file(file, replacingPlans: result.plans, ranges: result.ranges), source: "tuned")
    #expect(model.ranges == result.ranges)
    let session = try Session(
      model: model, allowed: Level.allCases, kernels: .portable, kernelOwner: nil, shadows: true)
    try session.prepare(maximumShapes: [[1, 9], [1, 9]])
    for sample in samples { try Self.shadow(session, sample, rungs: session.ladder.indices.dropFirst()) }
    for (index, rung) in session.ladder.enumerated().dropFirst() {
      let quality = session.fullQuality(rung: index)
      #expect(quality.known.meanSource == .shadowed && quality.shadowSamples == samples.count)
      // The file has six decimals.
      #expect(abs(quality.meanCosine - (rung.quality?.meanCosine ?? 0)) < 6e-7, "plan \(index)")
      #expect(abs(quality.p5Cosine - max(rung.quality?.p5Cosine ?? 0, 0)) < 6e-7, "plan \(index)")
    }
    #expect(session.drift(site: 0).calibrated == nil && session.drift(site: 0).observed == nil, "a table")
    for site in 1...2 {
      let drift = session.drift(site: site)
      let runs = session.ladder.count - 1
      #expect(drift.rowsOutside == 0 && abs(drift.ratio - 1) < 1e-9)
      #expect(drift.observed?.rows == (drift.calibrated?.rows ?? 0) * runs)
      #expect(
        drift.observed?.least == drift.calibrated?.least && drift.observed?.greatest == drift.calibrated?.greatest)
      #expect(abs((drift.observed?.deviation ?? 0) - (drift.calibrated?.deviation ?? 1)) < 1e-9)
    }
  }

  /// Inputs as tuning has not seen them show, where their sizes change.
  @Test func driftShows() throws {
    var builder = GraphBuilder()
    var random = SeededRandom("driftShows")
    let batch = builder.symbol("batch")
    let x = builder.input("x", .float32, [batch, .fixed(24)])
    let first = try builder.linearSite("first", try .random([40, 24], scale: 0.2, &random), bias: nil)
    let second = try builder.linearSite("second", try .random([16, 40], scale: 0.2, &random), bias: nil)
    let wide = try builder.add(.activation(.tanh), try builder.add(.linear(first), x))
    builder.output("y", try builder.add(.linear(second), wide))
    let file = try ContainerWriter(builder: builder, keep: [.fp32]).write()
    let plain = try Model(file, source: "plain")
    func sample(_ scale: Float) throws -> CalibrationSample {
      CalibrationSample(inputs: [try .init(shape: [8, 24], floats: (0..<192).map { _ in random.normal() * scale })])
    }
    let untuned = try Session(model: plain, allowed: Level.allCases, kernels: .portable, kernelOwner: nil)
    try untuned.prepare(maximumShapes: [[8, 24]])
    let result = try Tuner(untuned, try (0..<25).map { _ in try sample(1) }).run()
    let model = try Model(try plain.file(file, replacingPlans: result.plans, ranges: result.ranges), source: "tuned")
    // Largest of 24 normal numbers: 2 on average, with a spread of 0.4 or so.
    let range = try #require(model.ranges[0])
    #expect(range.rows == 200 && (1.5...2.6).contains(range.mean) && (0.2...0.8).contains(range.deviation))
    #expect(range.least < range.mean - range.deviation && range.greatest > range.mean + range.deviation)
    #expect((model.ranges[1]?.greatest ?? 2) <= 1, "behind tanh")

    for (scale, isDrifted) in [(Float(1), false), (4, true), (0.1, true)] {
      let session = try Session(
        model: model, allowed: Level.allCases, kernels: .portable, kernelOwner: nil, shadows: true)
      try session.prepare(maximumShapes: [[8, 24]])
      for _ in 0..<25 { try Self.shadow(session, try sample(scale), rungs: [1]) }
      let drift = session.drift(site: 0)
      #expect(drift.observed?.rows == 200 && abs(drift.ratio - Double(scale)) < 0.1 * Double(scale))
      #expect(isDrifted ? drift.rowsOutside > 150 : drift.rowsOutside < 10, "\(scale): \(drift.rowsOutside) rows")
      session.handle.forgetShadows()
      #expect(session.drift(site: 0).observed == nil && session.drift(site: 0).rowsOutside == 0)
      // Numbers that are not finite hide the figures, and nothing else breaks.
      let bad = try sample(1)
      bad.inputs[0].data.base.storeBytes(of: Float.infinity, as: Float.self)
      try Self.shadow(session, bad, rungs: [1])
      #expect(session.drift(site: 0).observed == nil)
      #expect(session.fullQuality(rung: 1).shadowed?.meanCosine ?? 1 < 1)
    }
    // An older file: observed, compared with nothing.
    let old = try Session(model: plain, allowed: Level.allCases, kernels: .portable, kernelOwner: nil, shadows: true)
    try old.prepare(maximumShapes: [[8, 24]])
    try Self.shadow(old, try sample(3), rungs: [1])
    let drift = old.drift(site: 0)
    #expect(drift.calibrated == nil && drift.observed?.rows == 8 && drift.ratio == 0 && drift.rowsOutside == 0)
  }

  /// The sample's inputs, given, compared at each of the rungs.
  private static func shadow(_ session: Session, _ sample: CalibrationSample, rungs: some Sequence<Int>) throws {
    let run = session.handle
    for (input, tensor) in sample.inputs.enumerated() {
      for (axis, size) in tensor.shape.enumerated() where run.inputLayout(input).sources[axis] < 0 {
        #expect(run.setSymbol(-1 - run.inputLayout(input).sources[axis], size))
      }
    }
    run.resolveShapes()
    for (input, tensor) in sample.inputs.enumerated() {
      run.bind(input, TensorBinding(data: tensor.data.base, byteCount: run.inputByteCount(input)))
    }
    var isGiven = true
    for rung in rungs {
      let report = run.shadow(rung: rung, isGiven: isGiven)
      #expect(report.outcome.kind == .done && report.rung == rung)
      isGiven = false
    }
  }

  /// A session of fewer levels is tuned over those.
  @Test func onlyTheSessionsLevels() throws {
    let session = try Self.session(try Self.model(), [.int8, .int4])
    let result = try Tuner(session, try Self.samples(3)).run()
    #expect(result.reference == .int8)
    #expect(Set(result.measured.flatMap(\.plan.levels)) == [.int8, .int4])
  }

  @Test func keepsWhatNothingBeats() {
    for seed in 0..<100 {
      var random = SeededRandom("pruning", seed)
      func number() -> Double { Double(Int.random(in: 0...6, using: &random)) }
      let plans = (0..<20).map { index in
        TunedPlan(
          plan: PrecisionPlan(
            levels: index % 7 == 0 ? [.int8, .int8] : [.int8, .int4],
            quality: PlanQuality(meanCosine: number() / 6, p5Cosine: 0)),
          nanoseconds: number(), byteCount: Int(number()))
      }.sorted { $0.plan.quality.meanCosine > $1.plan.quality.meanCosine }
      let kept = TuningResult.pruned(plans)
      func isAtLeast(_ a: TunedPlan, _ b: TunedPlan) -> Bool {
        a.plan.quality.meanCosine >= b.plan.quality.meanCosine && a.nanoseconds <= b.nanoseconds
          && a.byteCount <= b.byteCount
      }
      #expect(kept.count { $0.plan.uniformLevel != nil } == plans.count { $0.plan.uniformLevel != nil })
      for plan in plans { #expect(kept.contains { isAtLeast($0, plan) }, "seed \(seed): dropped without a better one") }
      let mixes = kept.indices.filter { kept[$0].plan.uniformLevel == nil }
      for mix in mixes {
        #expect(!kept.indices.contains { $0 != mix && isAtLeast(kept[$0], kept[mix]) }, "seed \(seed): beaten and kept")
      }
    }
  }

  @Test func cosines() {
    func cosine(_ a: [Float], _ b: [Float]) -> Double { RowDistance(a, b, a.count).cosine }
    #expect(cosine([3, 4], [6, 8]) == 1 && cosine([1, 0], [0, 1]) == 0 && cosine([3, 4], [-6, -8]) == -1)
    #expect(cosine([0, 0], [0, 0]) == 1 && cosine([0, 0], [0, 1]) == 0)
    #expect(cosine([.nan, 1], [1, 1]) == -1 && cosine([1, 1], [.infinity, 1]) == -1)
    #expect(abs(cosine([1, 1], [1, 0]) - 0.5.squareRoot()) < 1e-12)
    // 100 values 0.00 to 0.99: the fifth smallest is the 5th percentile.
    let quality = QualityMeasurement.quality((0..<100).reversed().map { Double($0) / 100 })
    #expect(quality == PlanQuality(meanCosine: 0.495, p5Cosine: 0.04))
    #expect(QualityMeasurement.quality([0.5]) == PlanQuality(meanCosine: 0.5, p5Cosine: 0.5))
  }

  @Test func samplesThatDoNotFit() throws {
    let session = try Self.session(try Self.model())
    let good = try Self.samples(1)[0]
    func refused(_ expected: String, _ change: (inout CalibrationSample) throws -> Void) throws {
      var sample = good
      try change(&sample)
      do throws(AdaptQError) {
        _ = try Tuner(session, [sample]).run()
        Issue.record("\(expected): accepted")
      } catch {
        #expect(error.message.contains(expected), "\(error)")
      }
    }
    try refused("inputs") { $0.inputs.removeLast() }
    try refused("rank") { $0.inputs[0].shape = [1] }
    try refused("elsewhere") { $0.inputs[0].shape[1] += 1 }
    try refused("allowed are 1 to 1") { sample in for index in 0..<2 { sample.inputs[index].shape[0] = 2 } }
    try refused("needs") { sample in
      for index in 0..<2 { sample.inputs[index] = try .init(shape: [1, 3], integers: [1]) }
    }
    try refused("words") { $0.inputs[0] = try .init(shape: good.inputs[0].shape, integers: (0..<9).map { _ in 99 }) }
    #expect(throws: AdaptQError.self) { try Tuner(session, []).run() }
    let unprepared = try Session(
      model: try Self.model(), allowed: Level.allCases, kernels: .portable, kernelOwner: nil)
    #expect(throws: AdaptQError.self) { try Tuner(unprepared, [good]) }
  }
}
