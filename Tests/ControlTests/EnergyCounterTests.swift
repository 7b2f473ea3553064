import Testing
import TestSupport

@testable import Control

@Suite struct EnergyCounterTests {
  static let second = 1_000_000_000

  /// Whatever the pace and the range, what comes out is what was used: the twin adds it up.
  @Test func wrapsAround() {
    var random = SeededRandom(#function)
    for _ in 0..<200 {
      let range = Int.random(in: 1_000_000...1 << 40, using: &random)
      var counter = EnergyCounter(rangeMicrojoules: range)
      var (value, time, used) = (
        Int.random(in: 0...range, using: &random), Int.random(in: 0...1 << 60, using: &random), 0
      )
      #expect(counter.observe(microjoules: value, time: time) == nil)
      #expect(counter.fault == .none)
      for _ in 0..<100 {
        let energy = Int.random(in: 1..<min(range, 1_000_000_000), using: &random)
        time += Self.second
        used += energy
        value += energy
        if value > range { value -= range }
        #expect(counter.observe(microjoules: value, time: time) == energy)
      }
      #expect(counter.totalMicrojoules == UInt64(used) && counter.faultCount == 0)
    }
  }

  @Test func faults() {
    var counter = EnergyCounter(rangeMicrojoules: 1 << 40)
    func observe(_ value: Int?, _ milliseconds: Int) -> (Int?, EnergyFault) {
      let used = counter.observe(microjoules: value, time: milliseconds * 1_000_000)
      return (used, counter.fault)
    }
    #expect(observe(1000, 0) == (nil, .none))
    #expect(observe(2000, 10) == (1000, .none))
    // Vanishing: what was used meanwhile is not invented.
    #expect(observe(nil, 20) == (nil, .vanished))
    #expect(observe(9000, 30) == (nil, .none))
    #expect(observe(9500, 40) == (500, .none))
    #expect(observe(-1, 50) == (nil, .outOfRange))
    #expect(observe((1 << 40) + 1, 60) == (nil, .outOfRange))
    #expect(observe(10_000, 70) == (nil, .none))
    // 25 kW.
    #expect(observe(10_000 + 250_000_000, 80) == (nil, .jumped))
    #expect(observe(10_500 + 250_000_000, 90) == (500, .none))
    // The clock goes back, and stands still.
    #expect(observe(11_000 + 250_000_000, 5) == (nil, .clock))
    #expect(observe(11_500 + 250_000_000, 5) == (nil, .clock))
    #expect(observe(12_000 + 250_000_000, 15) == (500, .none))
    // Standing still for a moment is how counters are; for seconds it is not.
    #expect(observe(12_000 + 250_000_000, 1000) == (0, .none))
    #expect(observe(12_000 + 250_000_000, 3000) == (nil, .frozen))
    #expect(observe(12_500 + 250_000_000, 4000) == (500, .none))
    #expect(counter.totalMicrojoules == 3000)

    var unknown = EnergyCounter(rangeMicrojoules: 0)
    _ = unknown.observe(microjoules: 1000, time: 0)
    #expect(unknown.observe(microjoules: 900, time: 1_000_000) == nil)
    #expect(unknown.fault == .jumped)
  }

  @Test func anyIntegersAreSafe() {
    let extremes = [Int.min, Int.max, -1, 0, 1, 1 << 62]
    for range in extremes {
      var counter = EnergyCounter(rangeMicrojoules: range)
      for a in extremes { for b in extremes { _ = counter.observe(microjoules: a, time: b) } }
    }
    for length in extremes {
      var window = PowerWindow(nanoseconds: length)
      for a in extremes { for b in extremes { window.append(microjoules: a, nanoseconds: b) } }
      #expect(window.milliwatts.map { $0 >= 0 } ?? false)
    }
  }

  @Test func windowLooksBackAsFarAsItShould() {
    var window = PowerWindow(nanoseconds: Self.second)
    #expect(window.milliwatts == nil)
    // 10 W for three seconds, then 20 W.
    for _ in 0..<30 { window.append(microjoules: 1_000_000, nanoseconds: Self.second / 10) }
    #expect(abs((window.milliwatts ?? 0) - 10_000) < 1e-6)
    for _ in 0..<5 { window.append(microjoules: 2_000_000, nanoseconds: Self.second / 10) }
    #expect(abs((window.milliwatts ?? 0) - 15_000) < 1e-6)
    for _ in 0..<5 { window.append(microjoules: 2_000_000, nanoseconds: Self.second / 10) }
    #expect(abs((window.milliwatts ?? 0) - 20_000) < 1e-6)
    window.append(microjoules: 90_000_000, nanoseconds: 3 * Self.second)
    #expect(abs((window.milliwatts ?? 0) - 30_000) < 1e-6)
  }
}
