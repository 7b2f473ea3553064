import NestedFormat

/// What one step of the plan did in all runs that were recorded.
struct StepTimes {
  /// Adds up what runs report, step by step.
  struct Collector {
    private struct Entry {
      var operation: String
      var site: Int
      var level: UInt8
      var samples: [(nanoseconds: Double, calls: Int, isDisturbed: Bool)] = []
    }

    private let clock: Double
    private var entries: [Int: Entry] = [:]
    private var outside: [Sample] = []

    /// - Parameter clock: nanoseconds of one reading of the clock, which each call of an operator contains.
    init(clock: Double) { self.clock = clock }

    /// One run. A step that loops counts with the sum of its calls; one that did not run counts in no median.
    ///
    /// - Parameter whole: nanoseconds of the run.
    mutating func add(_ run: some Sequence<TracedStep>, whole: Double, isDisturbed: Bool) {
      var rest = whole
      var sums: [Int: (nanoseconds: Double, calls: Int)] = [:]
      for step in run {
        if entries[step.step] == nil {
          entries[step.step] = Entry(operation: "\(step.operation)", site: step.site, level: step.level)
        }
        let sum = sums[step.step] ?? (0, 0)
        // Of an operator's two readings one lies in its time, the other outside.
        rest -= Double(step.nanoseconds) + clock
        sums[step.step] = (sum.nanoseconds + Double(step.nanoseconds) - clock, sum.calls + 1)
      }
      outside.append(Sample(nanoseconds: rest, isDisturbed: isDisturbed))
      for (step, sum) in sums {
        entries[step]?.samples.append((max(sum.nanoseconds, 0), sum.calls, isDisturbed))
      }
    }

    /// What runs did beyond their operators, without the clock.
    var outsideNanoseconds: Double { Summary(outside, callsPerSample: 1).median }

    /// Ascending by step.
    var steps: [StepTimes] {
      entries.sorted { $0.key < $1.key }.map { step, entry in
        let samples = entry.samples.map { Sample(nanoseconds: $0.nanoseconds, isDisturbed: $0.isDisturbed) }
        return StepTimes(
          step: step, operation: entry.operation, site: entry.site < 0 ? nil : entry.site,
          level: Level(rawValue: entry.level), nanoseconds: Summary(samples, callsPerSample: 1).median,
          calls: clampedMiddle(entry.samples.map(\.calls)))
      }
    }

    private func clampedMiddle(_ counts: [Int]) -> Int {
      let sorted = counts.sorted()
      return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    }
  }

  var step: Int
  var operation: String
  var site: Int?
  var level: Level?
  /// Median of the runs, all calls of a run together, without the clock.
  var nanoseconds: Double
  /// Per inference.
  var calls: Int
}
