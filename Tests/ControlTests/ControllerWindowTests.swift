import Control
import TestSupport
import Testing

@Suite struct ControllerWindowTests {
  @Test func inPlaceSaysTheSame() throws {
    var random = SeededRandom("inPlaceSaysTheSame")
    var controller = try LatencyController(
      ControllerConfiguration(rungCount: 1, budgetNanoseconds: 1000, percentile: 90))
    #expect(controller.movingPercentileNanoseconds == 0)
    for _ in 0..<300 {
      controller.observe(rung: 0, work: 1, latencyNanoseconds: Int.random(in: 1...5000, using: &random))
      let inPlace = controller.movingPercentileInPlace()
      #expect(inPlace == controller.movingPercentileNanoseconds && inPlace > 0)
    }
  }
}
