import Base
import Graph
import NestedFormat
import TestSupport
import Testing

@testable import Runtime

/// What runs and what does not, seen through the trace; runs stopped behind every step.
@Suite struct RegionRunTests {
  final class Watcher {
    let session: Session
    var steps: [String] = []
    /// Steps after which the run is stopped.
    var limit = Int.max

    init(_ session: Session) {
      self.session = session
      session.setTrace(
        { context, event in
          guard let context else { return }
          let watcher = Unmanaged<Watcher>.fromOpaque(context).takeUnretainedValue()
          let event = event.load(as: TraceEvent.self)
          watcher.steps.append("\(event.operation)")
          if watcher.steps.count == watcher.limit { watcher.session.cancel() }
        }, context: Unmanaged.passUnretained(self).toOpaque())
    }
  }

  @Test func onlyTheTakenBranchRuns() throws {
    let session = try AudioTests.session(try AudioTests.model(), [.fp32])
    let watcher = Watcher(session)
    for chunk in try AudioTests.chunks() {
      watcher.steps = []
      _ = try AudioTests.run(session, chunk)
      let common = [
        "convolution", "activation", "convolution", "activation", "convolution", "activation", "gru", "writeState",
        "branch",
      ]
      // Results are made where the node's output lies: no copies.
      #expect(
        watcher.steps == common
          + (chunk.flag != 0 ? ["linear", "softmax", "jump"] : ["linear", "activation", "linear", "activation"]))
    }
  }

  /// A run that is stopped behind any step changes no state; the same chunk run again gives what it should.
  @Test func stoppedRuns() throws {
    let model = try AudioTests.model()
    let (session, other) = (try AudioTests.session(model, [.int8]), try AudioTests.session(model, [.int8]))
    let watcher = Watcher(session)
    for chunk in try AudioTests.chunks()[..<3] {
      let expected = try AudioTests.run(other, chunk)
      let inputs = [
        Tensor.floats([AudioModel.batch, chunk.steps, AudioModel.channels], chunk.x),
        Tensor.integers([], [Int64(chunk.flag)]),
      ]
      // A stop behind the last step comes too late.
      for limit in 1..<(chunk.flag != 0 ? 12 : 13) {
        (watcher.steps, watcher.limit) = ([], limit)
        let (outputs, report) = try session.run(symbols: [chunk.steps], inputs)
        #expect(report.outcome.kind == .cancelled || watcher.steps.last == "jump", "behind step \(limit)")
        #expect(watcher.steps.count == limit)
        if report.outcome.kind != .cancelled { continue }
        _ = outputs
      }
      watcher.limit = .max
      #expect(try AudioTests.run(session, chunk) == expected)
    }
  }
}
