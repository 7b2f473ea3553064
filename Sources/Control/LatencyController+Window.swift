extension LatencyController {
  /// What ``movingPercentileNanoseconds`` says, for the run path: a mutating call works in place, where another one through a
  /// pointer copies the whole controller first.
  public mutating func movingPercentileInPlace() -> Int { latencies.value(atPercentile: configuration.percentile) }
}
