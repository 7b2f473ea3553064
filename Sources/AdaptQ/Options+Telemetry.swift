import CAdaptQ
import Telemetry

extension Option {
  var telemetryRule: OptionRule {
    func field(_ name: StaticString, _ maximum: Int, _ defaultValue: Int, _ description: StaticString) -> OptionRule {
      OptionRule(
        owner: "adaptq_telemetry_file_options", name: name, type: ADAPTQ_OPTION_INT32, maximum: Double(maximum),
        defaultValue: Double(defaultValue), description: description)
    }
    return switch self {
    case .telemetryRecords:
      field(
        "max_records", TelemetryLayout.recordRange.upperBound, TelemetryDefault.records,
        "inferences that are kept for each session; 1 to 15 are refused")
    case .telemetrySites:
      field(
        "max_sites", TelemetryLayout.maximumSites, TelemetryDefault.sites,
        "levels that are kept with each inference, one per site of the model")
    default:
      field(
        "max_sessions", TelemetryLayout.maximumSessions, TelemetryDefault.sessions,
        "sessions that the file has room for at a time")
    }
  }
}
