import Base
@testable import Simulation
import Testing

@Suite struct LoadTraceTests {
  private let ladder: Ladder
  init() throws { ladder = try Ladder(named: "levels") }

  private func trace(_ name: String, calls: Int = 12_000, seed: UInt64 = 1) throws -> LoadTrace {
    try LoadTrace.generated(name, calls: calls, ladder: ladder, seed: seed)
  }

  @Test(arguments: LoadTrace.names) func sameSeedSameTrace(_ name: String) throws {
    let one = try trace(name)
    #expect(try one.moments == trace(name).moments)
    #expect(one.moments.count == 12_000)
    for moment in one.moments {
      #expect(moment.compute >= 1 && moment.compute <= 1000 && moment.memory >= 1 && moment.work > 0)
    }
    for chance in ["bursts", "wander", "interrupted", "sizes"] where chance == name {
      #expect(try one.moments != trace(name, seed: 2).moments)
    }
  }

  /// Some rung holds at every moment but where waits make it impossible.
  @Test(arguments: LoadTrace.names, Ladder.names) func theFastestRungBearsIt(_ name: String, _ which: String) throws {
    let ladder = try Ladder(named: which)
    let machine = SimulatedMachine(ladder: ladder)
    let trace = try LoadTrace.generated(name, calls: 12_000, ladder: ladder, seed: 1)
    for call in stride(from: 0, to: 12_000, by: 97) {
      let moment = trace.moments[call]
      let least = machine.missProbability(machine.fastest(moment), moment, limit: ladder.budget)
      #expect(least <= 0.01, "\(which) call \(call): \(least)")
    }
  }

  @Test func shapes() throws {
    let step = try trace("step").moments.map(\.compute)
    #expect(step[0] == 1 && step[999] == 1 && step[1000] == step[1999] && step[1000] > 1.3 && step[2000] == 1)
    #expect(try trace("step").steps == Array(stride(from: 1000, to: 12_000, by: 1000)))
    let ramp = try trace("ramp").moments.map(\.compute)
    #expect(
      zip(ramp[0..<2000], ramp[1...2000]).allSatisfy(<) && zip(ramp[2000..<3999], ramp[2001..<4000]).allSatisfy(>))
    let periodic = try trace("periodic").moments.map(\.compute)
    #expect((periodic[100] - periodic[600]).magnitude < 1e-9 && periodic[250] > 1.5 && periodic[0] == 1)
    let bursts = try trace("bursts").moments.map(\.compute)
    let busy = Double(bursts.count { $0 > 1 }) / 12_000
    #expect(busy > 0.05 && busy < 0.35)
    #expect(try Set(trace("sizes").moments.map(\.work)) == [16, 32, 64, 128])
    let thermal = try trace("thermal").moments
    #expect(thermal[1999].compute == 1 && thermal[3600].compute > 1.4 && thermal[3600].memory < thermal[3600].compute)
    let contention = try trace("contention").moments[2000]
    #expect(contention.memory > contention.compute)
  }

  @Test func unknownNamesAreRefused() throws {
    #expect(throws: AdaptQError.self) { try trace("no such") }
    #expect(throws: AdaptQError.self) { try Ladder(named: "no such") }
  }

  // MARK: Recorded traces

  @Test func replaysARecordedTrace() throws {
    let text = "seconds,slowdown\n# a comment\n10,1\n10.5,2\r\n\n11, 4\n"
    // Ten calls a second: five at 1, five at 2, and the last line as long as the one before it.
    let trace = try LoadTrace(name: "file", csv: text, calls: 32, period: 0.1e9)
    let levels: [Double] = [1, 2, 4, 1, 2, 4, 1]
    #expect(trace.moments.map(\.compute) == (0..<32).map { levels[$0 / 5] })
    #expect(trace.moments.map(\.memory) == trace.moments.map(\.compute))
    let two = try LoadTrace(name: "file", csv: "0,1,2\n1,3,4", calls: 2, period: 1e9)
    #expect(two.moments.map(\.compute) == [1, 3] && two.moments.map(\.memory) == [2, 4])
    let waits = try LoadTrace(name: "file", csv: "0,1,2,0,0\n1,3,4,4.25,4", calls: 2, period: 1e9)
    #expect(waits.moments.map(\.memory) == [2, 4])
    #expect(waits.moments.map(\.quotaRuns) == [0, 4.25e6] && waits.moments.map(\.quotaWaits) == [0, 4e6])
  }

  @Test(arguments: [
    "", "seconds,slowdown", "0,1", "0,1\n0,2", "1,1\n0,2", "0,1\n1,nan", "0,1\n1,inf", "0,1\nnan,1", "0,1\n1,-1",
    "0,1\n1,0", "0,1\n1,1001", "0,1\n2e6,1", "0,1\n1", "0,1\n1,2,3,4",
    "0,1,1,0,0\n1,1,1,4,0", "0,1,1,0,0\n1,1,1,-4,4", "0,1,1,0,0\n1,1,1,4,nan", "0,1,1,0,0\n1,1,1,4,2e6",
    "0,1,1,0,0\n1,1,1,4,4,4",
    "0,1\n1,x", "a,b\nc,d\n0,1\n1,1", "0,1\n1,,",
  ]) func refuses(_ text: String) {
    #expect(throws: AdaptQError.self) { try LoadTrace(name: "file", csv: text, calls: 10, period: 1e7) }
  }
}
