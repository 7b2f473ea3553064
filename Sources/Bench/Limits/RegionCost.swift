import Base
import Runtime

/// What the library's threads add to a step that several of them share: an empty parallel region inside a run, in
/// nanoseconds.
public struct RegionCost: Equatable, Sendable {
  public var threads: Int
  /// Fork and join: from the call to the return, with every thread in it at the same time.
  public var median: Double
  public var percentile95: Double
  /// Its two parts: until every thread is there, and from then on.
  public var fork: Double
  public var join: Double
  /// Where nobody is waited for: what it costs to offer work.
  public var offer: Double
  /// From the end of a run until the workers sleep.
  public var sleep: Double
  public var regions: Int

  static let runs = 24
  static let regionsPerRun = 65
  /// The caller's own work between two regions, nanoseconds: some microseconds, as a small step takes.
  static let gap = 3_000

  /// - Parameter cpus: of the caller, which is bound to it already, and of the others.
  /// - Returns: nil where there are no further threads.
  static func measure(cpus: [Int], runs: Int = runs) throws(AdaptQError) -> RegionCost? {
    if cpus.count < 2 { return nil }
    var options = ThreadOptions(count: cpus.count)
    options.cpus = cpus
    let threads = Threads(options, recommended: { 1 })
    let times = try threads.regionTimes(runs: runs, regionsPerRun: regionsPerRun, gap: gap)
    return RegionCost(times)
  }

  init?(_ times: RegionTimes) {
    if times.fork.isEmpty || times.fork.count != times.join.count { return nil }
    let whole = zip(times.fork, times.join).map { $0 + $1 }.sorted()
    threads = times.threads
    median = middle(sorted: whole)
    percentile95 = percentile(95, sorted: whole)
    fork = middle(sorted: times.fork.sorted())
    join = middle(sorted: times.join.sorted())
    offer = middle(sorted: times.empty.sorted())
    sleep = middle(sorted: times.sleep.sorted())
    regions = whole.count
  }

  var line: String {
    func microseconds(_ value: Double, _ digits: Int = 2) -> String { fixed(value / 1000, digits) }
    return
      "an empty parallel region, \(threads) threads: \(microseconds(median)) us (p95 \(microseconds(percentile95))); "
      + "\(microseconds(fork)) until all are there, \(microseconds(join)) to end; \(microseconds(offer)) where nobody is "
      + "waited for; workers sleep \(microseconds(sleep, 1)) us after a run"
  }

  var json: JSON {
    .object([
      .init("threads", .integer(threads)), .init("median_ns", .number(median)), .init("p95_ns", .number(percentile95)),
      .init("fork_ns", .number(fork)), .init("join_ns", .number(join)), .init("offer_ns", .number(offer)),
      .init("sleep_ns", .number(sleep)), .init("regions", .integer(regions)),
    ])
  }
}
