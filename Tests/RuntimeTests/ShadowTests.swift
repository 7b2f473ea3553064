import Base
import Control
import Graph
import Kernels
import NestedFormat
import TestSupport
import Testing

@testable import Runtime

/// Shadow runs: what they find, that they disturb nothing, and what floors make of it.
@Suite struct ShadowTests {
  private func session(_ model: Model, levels: [Level] = Level.allCases, threads: Threads = .alone) throws -> Session {
    let session = try Session(
      model: model, allowed: levels, kernels: .portable, kernelOwner: nil, threads: threads, shadows: true)
    try session.prepare(maximumShapes: [[3, 9], [3, 9]])
    return session
  }

  private func inputs(_ batch: Int, _ steps: Int, _ random: inout SeededRandom) -> [Tensor] {
    let ids = (0..<(batch * steps)).map { _ in Int64.random(in: 0..<Int64(SmallModel.vocabulary), using: &random) }
    return [.integers([batch, steps], ids), .integers([batch, steps], ids.map { _ in 1 })]
  }

  /// Every figure is what comparing two ordinary runs gives.
  @Test func figuresAreThoseOfRuns() throws {
    let model = try LadderTests.model()
    let session = try session(model)
    let plain = try Session(model)
    try plain.prepare(maximumShapes: [[3, 9], [3, 9]])
    var random = SeededRandom("figures")
    var losses = [[Float]](repeating: [], count: session.ladder.count)
    var noises = [[Float]](repeating: [], count: session.ladder.count)
    for step in 0..<60 {
      let (batch, steps) = (Int.random(in: 1...3, using: &random), Int.random(in: 1...9, using: &random))
      let given = inputs(batch, steps, &random)
      _ = try session.run(symbols: [batch, steps], given, level: step % 3 == 0 ? .int4 : nil)
      // The first shadow of a run is about its plan, others about the plans with the fewest.
      let wanted = step % 4 == 1 ? 1 + step % (session.ladder.count - 1) : 0
      let report = session.handle.shadow(rung: wanted, isGiven: false)
      #expect(report.outcome.kind == .done && report.rows == batch && report.rung > 0)
      if wanted > 0 {
        #expect(report.rung == wanted)
      } else if step % 3 == 0 {
        #expect(session.ladder[report.rung].uniformLevel == .int4)
      }

      func outputs(_ rung: Int) throws -> [Float] {
        try plain.outputs([batch, steps], given, levels: plain.ladder[rung].levels)
      }
      let (reference, other) = (try outputs(0), try outputs(report.rung))
      var (signal, noise, cosines) = (0.0, 0.0, 0.0)
      let width = SmallModel.width
      for row in 0..<batch {
        reference.withUnsafeBufferPointer { reference in
          other.withUnsafeBufferPointer { other in
            guard let a = other.baseAddress, let b = reference.baseAddress else { return }
            let distance = RowDistance(a + row * width, b + row * width, width)
            signal += distance.signal
            noise += distance.noise
            cosines += distance.cosine
            losses[report.rung].append(Float(1 - distance.cosine))
            noises[report.rung].append(Float(distance.ratio))
          }
        }
      }
      #expect(abs(report.meanCosine - cosines / Double(batch)) < 1e-12)
      #expect(abs(report.noise - noise / signal) < 1e-12)
      #expect(report.samples == UInt64(session.fullQuality(rung: report.rung).shadowSamples))
      #expect(report.nanoseconds >= report.referenceNanoseconds + report.rungNanoseconds)
    }
    for rung in session.ladder.indices {
      let quality = session.fullQuality(rung: rung)
      #expect(quality.shadowRows == losses[rung].count && (quality.shadowed == nil) == losses[rung].isEmpty)
      guard let shadowed = quality.shadowed else { continue }
      let sorted = losses[rung].sorted(by: >)
      #expect(abs(1 - shadowed.meanCosine - sorted.reduce(0) { $0 + Double($1) } / Double(sorted.count)) < 1e-9)
      #expect(1 - shadowed.p5Cosine == Double(sorted[max((sorted.count + 19) / 20 - 1, 0)]))
      #expect(abs(shadowed.noise - noises[rung].reduce(0) { $0 + Double($1) } / Double(sorted.count)) < 1e-9)
    }
    // Without a plan named, all get their turn.
    #expect(losses.dropFirst().allSatisfy { !$0.isEmpty })
    session.handle.forgetShadows()
    #expect(session.ladder.indices.allSatisfy { session.fullQuality(rung: $0).shadowed == nil })
  }

  /// Inputs that repeat with a period: every rung still meets several of them, and no rung gets ahead.
  @Test func rungsMeetDifferentInputs() throws {
    let session = try session(try LadderTests.model())
    var random = SeededRandom("different")
    let period = (0..<4).map { _ in inputs(1, 6, &random) }
    let count = session.ladder.count - 1
    var met = [Set<Int>](repeating: [], count: session.ladder.count)
    for step in 0..<(8 * count) {
      _ = try session.run(symbols: [1, 6], period[step % period.count])
      let report = session.handle.shadow(rung: 0, isGiven: false)
      met[report.rung].insert(step % period.count)
      let samples = (1...count).map { session.fullQuality(rung: $0).shadowSamples }
      #expect((samples.max() ?? 0) - (samples.min() ?? 0) <= 1)
    }
    #expect(met.dropFirst().allSatisfy { $0.count > 1 })
  }

  /// With shadow runs in between, runs give the same results, sequence and decisions as without; outputs of the host stay.
  @Test func disturbsNothing() throws {
    let model = try LadderTests.model()
    let (with, without) = (try session(model), try session(model))
    var random = SeededRandom("disturbs")
    for step in 0..<30 {
      let steps = Int.random(in: 1...9, using: &random)
      let given = inputs(2, steps, &random)
      let level: Level? = step % 5 == 0 ? .int6 : nil
      let a = try with.run(symbols: [2, steps], given, level: level)
      let b = try without.run(symbols: [2, steps], given, level: level)
      #expect(a.outputs.map(\.floats) == b.outputs.map(\.floats))
      #expect(a.report.sequence == b.report.sequence && a.report.rung == b.report.rung)
      let before = with.state.pointee.controller
      let (ring, kept) = (with.state.pointee.ring.total, with.state.pointee.lastRung)
      for _ in 0..<(step % 3) { #expect(with.handle.shadow(rung: 0, isGiven: false).outcome.kind == .done) }
      #expect(bytes(before) == bytes(with.state.pointee.controller))
      #expect(ring == with.state.pointee.ring.total && kept == with.state.pointee.lastRung)
    }
  }

  private func bytes<Value: BitwiseCopyable>(_ value: Value) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

  /// A stream that is shadowed after every chunk sounds like one that is not, and its states are the same bytes.
  @Test func statesStay() throws {
    let model = try AudioTests.model()
    func stream(shadowing: Bool) throws -> ([[Float]], [UInt8]) {
      let session = try Session(
        model: model, allowed: Level.allCases, kernels: .portable, kernelOwner: nil, shadows: shadowing)
      try session.prepare(maximumShapes: [[2, 20, 6], []])
      var random = SeededRandom("statesStay")
      var outputs: [[Float]] = []
      for chunk in 0..<6 {
        let x = (0..<(2 * 20 * 6)).map { _ in random.normal() }
        let given: [Tensor] = [.floats([2, 20, 6], x), .integers([], [Int64(chunk % 2)])]
        outputs += try session.run(symbols: [20], given, level: chunk % 2 == 0 ? .int4 : .int8).outputs.map(\.floats)
        if !shadowing { continue }
        for _ in 0..<3 {
          let report = session.handle.shadow(rung: 0, isGiven: false)
          #expect(report.outcome.kind == .done && report.rows > 0)
        }
      }
      var saved = [UInt8](repeating: 0, count: session.savedStateByteCount)
      saved.withUnsafeMutableBytes { if let base = $0.baseAddress { session.saveState(into: base) } }
      return (outputs, saved)
    }
    let (a, b) = (try stream(shadowing: true), try stream(shadowing: false))
    #expect(a.0 == b.0 && a.1 == b.1)
  }

  @Test func inputsThatAreKept() throws {
    let session = try session(try LadderTests.model())
    #expect(session.handle.allowsShadows && !session.handle.hasKeptInputs)
    var random = SeededRandom("kept")
    _ = try session.run(symbols: [1, 4], inputs(1, 4, &random))
    #expect(session.handle.hasKeptInputs)
    let bad = try session.run(
      symbols: [1, 4], [.integers([1, 4], [1, 99, 1, 1]), .integers([1, 4], [1, 1, 1, 1])])
    #expect(bad.report.outcome.kind == .indexOutOfRange && !session.handle.hasKeptInputs)
    #expect(session.handle.shadow(rung: 0, isGiven: false).rung == 0)
    _ = try session.run(symbols: [1, 4], inputs(1, 4, &random))
    try session.prepare(maximumShapes: [[3, 9], [3, 9]])
    #expect(!session.handle.hasKeptInputs, "of other buffers")
    let plain = try LadderTests.session()
    #expect(!plain.handle.allowsShadows)
    withExtendedLifetime(plain) {}
    let single = try self.session(try LadderTests.model(), levels: [.int8])
    _ = try single.run(symbols: [1, 4], inputs(1, 4, &random))
    let report = single.handle.shadow(rung: 0, isGiven: false)
    #expect(report.outcome.kind == .done && report.rung == 0 && report.rows == 0)
    #expect((single.drift(site: 1).observed?.rows ?? 0) == 4, "ranges are gathered all the same")
  }

  /// What shadows show moves plans below the floor and back; what hosts report counts before it; a plan is not chosen while below.
  @Test func floorsGoByEvidence() throws {
    let session = try session(try LadderTests.model())
    // Calibrated 0.96 and 0.5; the portable truth is better than that.
    let (int4, int2) = (7, 8)
    #expect(session.setQualityFloor(mean: 0.99, p5: 0) == .set)
    try session.setLatencyBudget(nanoseconds: 1, percentile: 95)
    var random = SeededRandom("floors")
    func run() throws -> RunReport { try session.run(symbols: [1, 6], inputs(1, 6, &random)).report }
    #expect(session.ladder[try run().rung].quality?.meanCosine ?? 0 >= 0.99)
    for _ in 0..<ShadowWindow.enough {
      _ = try run()
      for rung in [int4, int2] { #expect(session.handle.shadow(rung: rung, isGiven: false).outcome.kind == .done) }
    }
    let report = try run()
    for rung in [int4, int2] {
      let quality = session.fullQuality(rung: rung)
      #expect(quality.known.meanSource == .shadowed && quality.known.p5Source == .shadowed)
      #expect(abs(quality.meanCosine - (quality.shadowed?.meanCosine ?? 0)) < 1e-8)
      #expect(quality.isBelowFloor == (quality.meanCosine < 0.99))
    }
    #expect(!session.fullQuality(rung: report.rung).isBelowFloor)
    // The host likes the INT2 plan, then no longer.
    for _ in 0..<ReportedScores.enough { session.reportQuality(rung: int2, score: 1) }
    let liked = try run()
    #expect(
      session.fullQuality(rung: int2).known.meanSource == .reported && !session.fullQuality(rung: int2).isBelowFloor)
    #expect(liked.quality == session.fullQuality(rung: liked.rung).known)
    for _ in 0..<100 { session.reportQuality(rung: int2, score: 0.5) }
    #expect(try run().rung != int2)
    #expect(session.fullQuality(rung: int2).isBelowFloor)
    // Nothing is good enough any more: the best plan runs.
    for rung in session.ladder.indices { for _ in 0..<200 { session.reportQuality(rung: rung, score: 0.1) } }
    #expect(try run().rung == 0)
    let best = session.ladder.indices.map { session.fullQuality(rung: $0).meanCosine }.max() ?? 1
    #expect(session.setQualityFloor(mean: 0.98, p5: 0) == .meanUnreachable(nearest: best))
    // A fixed level is the host's own choice.
    #expect(try session.run(symbols: [1, 6], inputs(1, 6, &random), level: .int2).report.rung == int2)
  }

  /// A file without plans: the best level alone holds a floor, until shadows say that another one does.
  @Test func floorsWithoutCalibration() throws {
    let model = try Model(try SmallModel.builder())
    #expect(try Session(model).setQualityFloor(mean: 0.5, p5: 0) == .unknownQuality)
    let session = try session(model, levels: [.fp32, .int8])
    #expect(session.setQualityFloor(mean: 0.9, p5: 0) == .set)
    try session.setLatencyBudget(nanoseconds: 1, percentile: 95)
    var random = SeededRandom("without")
    for _ in 0..<ShadowWindow.enough {
      #expect(try session.run(symbols: [3, 9], inputs(3, 9, &random)).report.rung == 0)
      #expect(session.handle.shadow(rung: 0, isGiven: false).rung == 1)
    }
    _ = try session.run(symbols: [3, 9], inputs(3, 9, &random))
    #expect(session.state.pointee.gate.below == 0 && session.fullQuality(rung: 1).known.meanSource == .shadowed)
    #expect(session.fullQuality(rung: 0).known.meanSource == .unknown)
  }

  /// A session without the file's best level: what its own best one lost by calibration comes on top.
  @Test func lossOfThePlanComparedWith() throws {
    let session = try session(try LadderTests.model(), levels: [.int8, .int4])
    var random = SeededRandom("onTop")
    for _ in 0..<ShadowWindow.enough {
      _ = try session.run(symbols: [1, 6], inputs(1, 6, &random))
      #expect(session.handle.shadow(rung: 1, isGiven: false).rung == 1)
    }
    let quality = session.fullQuality(rung: 1)
    let shadowed = quality.shadowed?.meanCosine ?? 0
    #expect(abs(quality.meanCosine - (shadowed - (1 - 0.9996))) < 1e-8 && quality.known.meanSource == .shadowed)
  }

  /// Scores from several threads at once: none is lost, and runs see them.
  @Test func scoresFromAnyThread() async throws {
    let session = try session(try LadderTests.model())
    await withTaskGroup(of: Void.self) { group in
      for task in 0..<4 {
        group.addTask { for _ in 0..<1000 { session.reportQuality(rung: 2, score: task % 2 == 0 ? 0.25 : 0.75) } }
      }
    }
    #expect(session.fullQuality(rung: 2).reports == 4000)
    #expect((0.25...0.75).contains(session.fullQuality(rung: 2).reportedMean))
  }
}

extension Session {
  /// The first output at given levels.
  func outputs(_ symbols: [Int], _ inputs: [Tensor], levels: [Level]) throws -> [Float] {
    let handle = handle
    _ = try run(symbols: symbols, inputs)
    for (index, size) in symbols.enumerated() where !handle.setSymbol(index, size) {
      throw AdaptQError(.outOfRange, "symbol \(index): \(size)")
    }
    handle.resolveShapes()
    let buffers = inputs.map { input -> GuardedBuffer<Int64> in
      let buffer = GuardedBuffer<Int64>(count: input.count)
      for (index, value) in input.integers.enumerated() { buffer.base[index] = value }
      return buffer
    }
    let output = GuardedBuffer<Float>(count: handle.outputByteCount(0) / 4)
    for (index, buffer) in buffers.enumerated() {
      handle.bind(index, TensorBinding(data: buffer.base, byteCount: buffer.count * 8))
    }
    handle.bind(buffers.count, TensorBinding(data: output.base, byteCount: output.count * 4))
    let report = handle.run(siteLevels: levels.map(\.rawValue))
    if report.outcome.kind != .done { throw AdaptQError(.outOfRange, "\(report.outcome.kind)") }
    return withExtendedLifetime(buffers) { (0..<output.count).map { output.base[$0] } }
  }
}
