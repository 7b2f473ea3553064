@testable import Simulation
import Testing

@Suite struct IntervalTests {
  /// Quantiles from printed tables.
  @Test(arguments: [
    (1, 12.706), (4, 2.776), (9, 2.262), (10, 2.228), (11, 2.201), (19, 2.093), (29, 2.045), (120, 1.980),
  ])
  func quantiles(_ degrees: Int, _ expected: Double) {
    #expect((Interval.quantile(degrees: degrees) - expected).magnitude < 0.001)
  }

  @Test func meanAndWidth() {
    let interval = Interval([1, 2, 3, 4, 5])
    #expect(interval.mean == 3)
    // s = 1.5811, divided by the root of 5, times 2.7764.
    #expect((interval.halfWidth - 1.9632).magnitude < 0.001)
    #expect(Interval([7, 7, 7]).halfWidth == 0)
    #expect(Interval([7]).halfWidth == .infinity && Interval([]).mean == 0)
  }

  /// Of many intervals about a known mean 95 in 100 hold it.
  @Test func covers() {
    var held = 0
    for trial in 0..<2000 {
      var random = SimulationRandom(seed: UInt64(trial), stream: 5)
      let interval = Interval((0..<10).map { _ in 3 + random.normal() })
      if interval.lower <= 3 && 3 <= interval.upper { held += 1 }
    }
    #expect((1860...1940).contains(held), "\(held) of 2000")
  }
}
