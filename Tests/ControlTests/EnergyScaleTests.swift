import Testing
import TestSupport

@testable import Control

@Suite struct EnergyScaleTests {
  static let second = 1_000_000_000.0

  /// Readings of one second each: microjoules that count, or nil, and nanojoules that models say.
  struct Meter {
    var ledger = EnergyLedger()
    var time = 0
    var modelled: UInt64 = 0

    mutating func second(_ microjoules: Int?, model nanojoules: UInt64, share: Double? = nil) -> EnergyReadings {
      time += 1_000_000_000
      modelled += nanojoules
      ledger.add(
        time: time, microjoules: microjoules, nanoseconds: 1_000_000_000, share: share, modelledNanojoules: modelled)
      return ledger.readings
    }
  }

  /// 2 W static, 4 W of which the model says 2: the factor is 2, and what was charged too little is asked back once.
  @Test func findsTheUnit() {
    var (meter, scale) = (Meter(), EnergyScale())
    #expect(scale.update(meter.second(nil, model: 0), static: 2000, window: 1e10, isShared: false) == 0)
    for second in 0..<30 {
      let used = 2e9 * scale.value
      scale.charge(modelled: 2e9, charged: used)
      let readings = meter.second(6_000_000, model: 2_000_000_000)
      let correction = scale.update(readings, static: 2000, window: 1e10, isShared: false)
      #expect(abs(correction - (used - 4e9)) < 1, "second \(second)")
      #expect(abs(scale.value - 2) < 1e-9 && scale.isMeasured(time: meter.time, window: 1e10))
      // The same again changes nothing.
      #expect(scale.update(readings, static: 2000, window: 1e10, isShared: false) == 0)
    }
    #expect(!scale.isMeasured(time: meter.time + 11_000_000_000, window: 1e10) && abs(scale.value - 2) < 1e-9)
    // Half the power from here on: the factor follows within two windows.
    for _ in 0..<20 {
      _ = scale.update(meter.second(4_000_000, model: 2_000_000_000), static: 2000, window: 1e10, isShared: false)
    }
    #expect(scale.value > 1 && scale.value < 1.15)
  }

  @Test func shareOfTheProcess() {
    var (meter, scale) = (Meter(), EnergyScale())
    _ = scale.update(meter.second(nil, model: 0, share: 0.25), static: 2000, window: 1e10, isShared: true)
    scale.charge(modelled: 2e9, charged: 2e9)
    // A quarter of 4 W above the static power is 1 J, of which the model says 2.
    let readings = meter.second(6_000_000, model: 2_000_000_000, share: 0.25)
    #expect(abs(scale.update(readings, static: 2000, window: 1e10, isShared: true) - 1e9) < 1)
    #expect(scale.value == 0.5)
  }

  /// Two sessions: each is told its own part.
  @Test func sessionsShareWhatIsMeasured() {
    var meter = Meter()
    var (first, second) = (EnergyScale(), EnergyScale())
    let begin = meter.second(nil, model: 0)
    _ = first.update(begin, static: 0, window: 1e10, isShared: false)
    _ = second.update(begin, static: 0, window: 1e10, isShared: false)
    first.charge(modelled: 3e9, charged: 3e9)
    second.charge(modelled: 1e9, charged: 1e9)
    let readings = meter.second(2_000_000, model: 4_000_000_000)
    #expect(abs(first.update(readings, static: 0, window: 1e10, isShared: false) - 1.5e9) < 1)
    #expect(abs(second.update(readings, static: 0, window: 1e10, isShared: false) - 0.5e9) < 1)
    #expect(first.value == 0.5 && second.value == 0.5)
  }

  /// Ratios that no wrong unit explains, seconds without a run, and seconds that do not count leave the factor as it was.
  @Test func leavesOutWhatCannotBe() {
    var (meter, scale) = (Meter(), EnergyScale())
    _ = scale.update(meter.second(nil, model: 0), static: 1000, window: 1e10, isShared: false)
    for _ in 0..<5 {
      _ = scale.update(meter.second(4_000_000, model: 2_000_000_000), static: 1000, window: 1e10, isShared: false)
    }
    #expect(abs(scale.value - 1.5) < 1e-9)
    for microjoules in [1, 900_000, 1_000_000, 1_200_000, 18_000_000, 10_000_000_000, Int.max / 2] {
      scale.charge(modelled: 2e9, charged: 3e9)
      let readings = meter.second(microjoules, model: 2_000_000_000)
      #expect(scale.update(readings, static: 1000, window: 1e10, isShared: false) == 0)
      #expect(abs(scale.value - 1.5) < 1e-9)
    }
    #expect(scale.ignored == 7)
    for _ in 0..<5 {
      #expect(scale.update(meter.second(nil, model: 2_000_000_000), static: 1000, window: 1e10, isShared: false) == 0)
      #expect(scale.update(meter.second(500_000, model: 0), static: 1000, window: 1e10, isShared: false) == 0)
    }
    #expect(abs(scale.value - 1.5) < 1e-9)
  }

  /// A counter that stands still counts when it moves again; a fault in between throws it away.
  @Test func countersThatStandStill() {
    var meter = Meter()
    _ = meter.second(5, model: 0)
    let before = meter.ledger.readings
    #expect(meter.second(0, model: 1000).microjoules == before.microjoules)
    let moved = meter.second(4000, model: 1000)
    #expect(
      moved.microjoules == before.microjoules + 4000 && moved.modelledNanojoules == before.modelledNanojoules + 2000)
    #expect(moved.nanoseconds == before.nanoseconds + 2 * Self.second)
    _ = meter.second(0, model: 1000)
    _ = meter.second(nil, model: 1000)
    let after = meter.second(1000, model: 1000)
    #expect(
      after.nanoseconds == moved.nanoseconds + Self.second
        && after.modelledNanojoules == moved.modelledNanojoules + 1000)
    #expect(after.allModelledNanojoules == 5000 && after.number == 6)
  }

  /// Any numbers: no trap, the factor stays in its range.
  @Test func anyNumbers() {
    var random = SeededRandom(#function)
    var scale = EnergyScale()
    let odd = [0, -1, 1, 1e300, -1e300, .infinity, -.infinity, .nan, 1e9, 3e9]
    for _ in 0..<20_000 {
      func number() -> Double { odd.randomElement(using: &random) ?? 0 }
      var readings = EnergyReadings()
      readings.number = UInt64.random(in: 0...3, using: &random)
      readings.time = Int.random(in: Int.min...Int.max, using: &random)
      (readings.microjoules, readings.nanoseconds) = (number(), number())
      (readings.sharedMicrojoules, readings.sharedNanoseconds) = (number(), number())
      (readings.modelledNanojoules, readings.allModelledNanojoules) = (number(), number())
      scale.charge(modelled: number(), charged: number())
      _ = scale.update(readings, static: abs(number()), window: 1e9, isShared: Bool.random(using: &random))
      _ = scale.isMeasured(time: Int.random(in: Int.min...Int.max, using: &random), window: 1e9)
      #expect(EnergyScale.range.contains(scale.value))
    }
  }
}
