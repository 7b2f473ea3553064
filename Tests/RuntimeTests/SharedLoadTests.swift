import Base
import Control
import Graph
import NestedFormat
import TestSupport
import Testing

@testable import Runtime

/// What sessions of one runtime tell each other about the load.
@Suite struct SharedLoadTests {
  private static let second = 1_000_000_000

  private func session(_ load: SharedLoad, prepared: Bool = true) throws -> Session {
    let session = try Session(
      model: try Model(try SmallModel.builder()), allowed: [.fp32, .int8], kernels: .portable, kernelOwner: nil,
      load: load)
    if prepared { try session.prepare(maximumShapes: [[2, 9], [2, 9]]) }
    return session
  }

  /// As others would have left it: `before` until two seconds ago, `after` from then on.
  private func publish(_ load: SharedLoad, _ before: Double, _ after: Double, now: Int) {
    for time in stride(from: now - 20 * Self.second, through: now, by: 100_000_000) {
      let shared = SharedSlowdown(slowdown: time < now - 2 * Self.second ? before : after, time: time)
      load.words[0] = shared.word
      load.words[LoadHistory.word(at: time)] = shared.word
    }
  }

  private func run(_ session: Session) -> RunReport {
    let run = session.handle
    _ = run.setSymbol(0, 2) && run.setSymbol(1, 9)
    run.resolveShapes()
    var buffer = [UInt8](repeating: 0, count: 3 * 1024)
    return buffer.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return RunReport() }
      for index in 0..<3 { run.bind(index, TensorBinding(data: base + index * 1024, byteCount: 1024)) }
      return run.run(callLevel: 0)
    }
  }

  @Test func aRunPublishesAndAPauseIsNoticed() throws {
    let load = SharedLoad()
    let session = try session(load)
    #expect(run(session).outcome.kind == .done)
    #expect(SharedSlowdown(word: load.words[0]).isKnown)
    let now = monotonicNanoseconds()
    #expect((session.state.pointee.load.lastTime - now).magnitude < 60 * Self.second)
    publish(load, 1.5, 3, now: now)
    // No pause, no change.
    #expect(session.state.pointee.load.change(now) == 1)
    session.state.pointee.load.lastTime = now - 10 * Self.second
    #expect((session.state.pointee.load.change(now) - 2).magnitude < 0.01)
    // A run takes it over; a single one that is far too fast for it is no proof of the contrary.
    publish(load, 1, 500, now: now)
    session.state.pointee.load.lastTime = now - 10 * Self.second
    #expect(run(session).outcome.kind == .done && session.state.pointee.controller.slowdown > 50)
    #expect(session.state.pointee.load.lastTime > now)
  }

  /// Measured costs hold for the load under which they were measured; imported ones for an idle machine.
  @Test func imported() throws {
    let load = SharedLoad()
    let first = try session(SharedLoad())
    let exported = try first.exportedCosts()
    let kept = GuardedBuffer<UInt8>(count: exported.byteCount)
    exported.write(to: kept.base)
    publish(load, 2, 2, now: monotonicNanoseconds())
    let second = try session(load, prepared: false)
    try second.importCosts(UnsafeRawBufferPointer(start: kept.base, count: kept.count))
    try second.prepare(maximumShapes: [[2, 9], [2, 9]])
    #expect(second.preparation.costsAreImported)
    #expect((second.state.pointee.load.change(monotonicNanoseconds()) - 2).magnitude < 0.2)
    let third = try session(load)
    #expect(third.state.pointee.load.change(monotonicNanoseconds()) == 1)
  }
}
