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
