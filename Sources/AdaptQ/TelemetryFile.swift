import Base
import CAdaptQ
import Telemetry

@c @implementation public func adaptq_runtime_telemetry_file(
  _ runtime: OpaquePointer?, _ path: UnsafePointer<CChar>?,
  _ options: UnsafePointer<adaptq_telemetry_file_options>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (object) throws(AdaptQError) in
      guard let path = String(validatingCString: try required(path, "path")) else {
        throw .invalidArgument("path is not UTF-8")
      }
      var wanted = adaptq_telemetry_file_options()
      try readOptions(options, "adaptq_telemetry_file_options", into: &wanted)
      try requireOption(Int64(wanted.max_sessions), .telemetrySessions)
      try requireOption(Int64(wanted.max_records), .telemetryRecords)
      try requireOption(Int64(wanted.max_sites), .telemetrySites)
      let layout = try TelemetryLayout(
        sessions: wanted.max_sessions == 0 ? TelemetryDefault.sessions : Int(wanted.max_sessions),
        records: wanted.max_records == 0 ? TelemetryDefault.records : Int(wanted.max_records),
        sites: wanted.max_sites == 0 ? TelemetryDefault.sites : Int(wanted.max_sites))
      try object.setTelemetryFile { () throws(AdaptQError) in try TelemetryFile(path: path, layout: layout) }
    }
  }
}

/// What 0 means in adaptq_telemetry_file_options.
enum TelemetryDefault {
  static let sessions = 8
  static let records = 512
  static let sites = 256
}
