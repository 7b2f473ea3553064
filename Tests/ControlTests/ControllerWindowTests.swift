import Control
import TestSupport
import Testing

@Suite struct ControllerWindowTests {
  /// Against sorting the window anew.
  @Test func movingPercentile() throws {
    var random = SeededRandom(#function)
    for (length, percentile) in [(8, 90.0), (64, 95), (100, 99), (256, 99.9), (64, 50)] {
      var controller = try LatencyController(
        ControllerConfiguration(
          rungCount: 1, budgetNanoseconds: 1000, percentile: percentile, windowLength: length))
      let before = controller.movingPercentileNanoseconds()
      #expect(before == 0)
      var all: [Int] = []
      for _ in 0..<600 {
        all.append(Int.random(in: 1...5000, using: &random))
        controller.observe(rung: 0, work: 1, latencyNanoseconds: all[all.count - 1])
        let window = all.suffix(length).sorted()
        // The least value that at least so many per cent do not exceed.
        let expected = window.first { value in
          Double(window.count { $0 <= value }) >= percentile / 100 * Double(window.count) - 1e-9
        }
        let found = controller.movingPercentileNanoseconds()
        #expect(found == expected)
      }
    }
  }
}
