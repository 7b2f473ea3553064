import Base
import Telemetry
import Traces

/// Keeps the record of every run of one session: what goes to a telemetry file, taken from memory that only this process sees.
final class TraceRecording {
  /// For the session; nil where nobody wants records.
  let file: TelemetryFile?
  private let keepsRecords: Bool
  private var trace = RunTrace(sites: [], records: [])

  /// - Parameters:
  ///   - trace: the path that the records will be written to; nil: none are kept.
  ///   - telemetryFile: a file for other processes.
  init(trace: String?, telemetryFile: String?) throws(AdaptQError) {
    keepsRecords = trace != nil
    if let telemetryFile {
      file = try TelemetryFile(path: telemetryFile, layout: TelemetryLayout(sessions: 1, records: 4096, sites: 512))
    } else if keepsRecords {
      // The least that there is: each run is taken before the next.
      file = try TelemetryFile(
        inMemory: TelemetryLayout(
          sessions: 1, records: TelemetryLayout.recordRange.lowerBound, sites: TelemetryLayout.maximumSites))
    } else {
      file = nil
    }
  }

  /// To be called behind every run.
  func keepNewest() throws(AdaptQError) {
    guard keepsRecords, let file, let session = try TelemetrySnapshot(file.bytes).sessions.first else { return }
    let newest = RunTrace(session)
    trace.sites = newest.sites
    if let record = newest.records.last { trace.records.append(record) }
  }

  func text(asJSON: Bool) -> String { asJSON ? trace.json.text + "\n" : trace.csv }
}
