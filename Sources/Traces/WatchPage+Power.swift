import Base
import Control
import Telemetry

// What `adaptq watch` shows of power and energy.

extension WatchPage {
  func page(_ sensors: SensorFacts) -> StyledLine {
    var line = StyledLine("power ", .dim)
    line.add(sensors.milliwatts > 0 ? "\(fixed(sensors.milliwatts / 1000, 1)) W" : "unknown")
    line.add("  \(["no sensor", "processors", "processors", "machine, of its batteries"][Int(min(sensors.source, 3))])")
    if sensors.fault != 0 { line.add("  sensor \(WatchPage.faults[Int(min(sensors.fault, 6))])", .bad) }
    if sensors.faults > 0 { line.add("  \(sensors.faults) faults", .warning) }
    if sensors.millidegrees != .min { line.add("  \(fixed(Double(sensors.millidegrees) / 1000, 0)) C") }
    if sensors.isOnBattery { line.add("  on battery", .warning) }
    if sensors.batteryPercent >= 0 { line.add("  \(sensors.batteryPercent) %") }
    if sensors.isCapped { line.add("  frequency capped", .warning) }
    return line
  }

  /// As ADAPTQ_SENSOR_*.
  private static let faults = [
    "", "vanished", "out of range", "frozen", "jumped", "disagrees with the clock", "denied",
  ]

  func energy(_ last: RunFacts) -> StyledLine {
    var line = StyledLine("  energy     ", .dim)
    line.add("\(WatchPage.energyText(last))  \(last.energySource.name)")
    if last.threads > 0 { line.add("  \(last.threads) thread\(last.threads == 1 ? "" : "s")") }
    if last.powerUnreachable {
      line.add("  power cannot hold", .bad)
      if last.recommendedIntervalNanoseconds > 0 {
        line.add(", every \(duration(last.recommendedIntervalNanoseconds)) could")
      }
    }
    if last.waitedNanoseconds > 0 { line.add("  waited \(duration(last.waitedNanoseconds))") }
    return line
  }

  static func energyText(_ facts: RunFacts) -> String {
    facts.nanojoules < 1e6 ? "\(fixed(facts.nanojoules / 1e3, 1)) uJ" : "\(fixed(facts.nanojoules / 1e6, 2)) mJ"
  }
}
