import Base

/// Power evaluations as a table.
public struct PowerReport: Sendable {
  public static let header = [
    "Power: average over the cap in per cent; bar: 102, and 98 where power limits nearly all calls. Limited: per cent of the calls in",
    "which power asked for less than latency. Missed: as above; bar: 1. Measured: per cent of the calls. Means over seeds, 95 %.",
  ]

  public static var columns: String {
    row(["ladder", "trace", "meter"], ["power", "limited", "missed", "measured", "faults", "loss"])
  }

  static func row(_ names: [String], _ cells: [String]) -> String {
    var line = ""
    for name in names { line += name + String(repeating: " ", count: max(12 - name.count, 1)) }
    for cell in cells { line += String(repeating: " ", count: max(16 - cell.count, 1)) + cell }
    return line
  }

  static func percent(_ interval: Interval) -> String {
    let half = interval.halfWidth.isFinite ? " ± " + fixed(interval.halfWidth * 100, 2) : ""
    return fixed(interval.mean * 100, 2) + half
  }

  public static func line(_ one: PowerEvaluation) -> String {
    row(
      [one.ladder, one.trace, one.meter.rawValue],
      [
        percent(one.power), percent(one.limited), percent(one.missed), fixed(one.measured.mean * 100, 1),
        fixed(one.faults, 1), fixed(one.loss.mean, 2),
      ])
  }
}

// The number of threads as a choice, in two lines.

extension PowerReport {
  public static let threadHeader = [
    "Threads: the number of threads as a choice of the budget of power, beside all of four in every run. Average power over the cap and",
    "missed calls in per cent, loss in levels, threads per run. Means over seeds, 95 %.",
  ]

  public static var threadColumns: String {
    row(["ladder", "trace", ""], ["power", "missed", "loss", "threads", "gain"])
  }

  public static func lines(_ one: ThreadEvaluation) -> [String] {
    func cells(_ result: ThreadEvaluation.Result) -> [String] {
      [
        percent(result.power), percent(result.missed), fixed(result.loss.mean, 2), fixed(result.threads.mean, 2),
      ]
    }
    let gain = fixed(one.gain.mean, 2) + (one.gain.halfWidth.isFinite ? " ± " + fixed(one.gain.halfWidth, 2) : "")
    return [
      row([one.ladder, one.trace, "all"], cells(one.all)),
      row([one.ladder, one.trace, "choice"], cells(one.choice) + [gain]),
    ]
  }
}
