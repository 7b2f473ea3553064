import Testing

@testable import Bench

/// Medians, percentiles and the order in which contestants run.
@Suite struct SummaryTests {
  @Test func medianIsTheMiddle() {
    #expect(middle(sorted: []) == 0)
    #expect(middle(sorted: [3]) == 3)
    #expect(middle(sorted: [1, 2]) == 1.5)
    #expect(middle(sorted: [1, 2, 100]) == 2)
  }

  @Test func percentileIsTheNearestRank() {
    let values = (1...20).map(Double.init)
    #expect(percentile(95, sorted: values) == 19)
    #expect(percentile(100, sorted: values) == 20)
    #expect(percentile(0, sorted: values) == 1)
    #expect(percentile(95, sorted: [7]) == 7)
    #expect(percentile(95, sorted: []) == 0)
  }

  @Test func percentileMatchesItsDefinition() {
    for count in 1...40 {
      let values = (0..<count).map { Double($0 * $0) }
      for percent in stride(from: 5.0, through: 100, by: 5) {
        let needed = percent / 100 * Double(count)
        let slow = values.first { value in Double(values.filter { $0 <= value }.count) >= needed - 1e-9 }
        #expect(percentile(percent, sorted: values) == slow, "\(percent) % of \(count)")
      }
    }
  }

  @Test func summaryDoesNotNeedOrder() {
    let summary = Summary([5, 1, 4, 2, 3].map { Sample(nanoseconds: $0) }, callsPerSample: 7)
    #expect(summary.median == 3)
    #expect(summary.minimum == 1)
    #expect(summary.percentile95 == 5)
    #expect(summary.rounds == 5)
    #expect(summary.callsPerSample == 7)
  }

  @Test func disturbedSamplesAreLeftOut() {
    let good = [1.0, 2, 3].map { Sample(nanoseconds: $0) }
    let bad = [100.0, 200].map { Sample(nanoseconds: $0, isDisturbed: true) }
    let summary = Summary(good + bad, callsPerSample: 1)
    #expect(summary.median == 2)
    #expect(summary.percentile95 == 3)
    #expect(summary.rounds == 5)
    #expect(summary.disturbed == 2)
    // Two good ones are too few to judge by.
    #expect(Summary(good.prefix(2) + bad, callsPerSample: 1).median == 51)
  }

  @Test func contestantsTakeTurns() throws {
    var order: [Int] = []
    let summaries = try InterleavedRounds(rounds: 3, sampleNanoseconds: 0)
      .measure(contestants: 3) { contestant, calls in
        #expect(calls == 1)
        order.append(contestant)
      }
    #expect(order == [0, 0, 1, 1, 2, 2, 0, 1, 2, 1, 2, 0, 2, 0, 1])
    #expect(summaries.map(\.rounds) == [3, 3, 3])
  }

  @Test func aWarmCallComesFirst() throws {
    var order: [Int] = []
    _ = try InterleavedRounds(rounds: 1, sampleNanoseconds: 0, warms: true)
      .measure(contestants: 2) { contestant, _ in order.append(contestant) }
    #expect(order == [0, 0, 1, 1, 0, 0, 1, 1])
  }

  @Test func severalWarmCallsComeFirst() throws {
    var calls: [Int] = []
    _ = try InterleavedRounds(rounds: 1, sampleNanoseconds: 0, warms: true, warmCalls: 6)
      .measure(contestants: 1) { _, count in calls.append(count) }
    #expect(calls == [1, 1, 6, 1])
  }

  @Test func aSpentBudgetEndsTheRounds() throws {
    let rounds = InterleavedRounds(rounds: 50, sampleNanoseconds: 0, budgetNanoseconds: -1)
    let summaries = try rounds.measure(contestants: 1) { _, _ in }
    #expect(summaries[0].rounds == InterleavedRounds.minimumRounds)
  }
}
