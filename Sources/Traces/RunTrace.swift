import Base
import NestedFormat
import Telemetry

/// Runs of one session in the order they were made, for files: `adaptq run --trace` writes them, `adaptq plot` draws them.
public struct RunTrace: Equatable, Sendable {
  /// Those whose precision is chosen; tables are left out. Empty where the file does not say (CSV).
  public var sites: [TelemetryFile.Site]
  /// With the levels of these sites.
  public var records: [RunRecord]

  /// Version of the JSON text.
  static let version = 1

  public init(sites: [TelemetryFile.Site], records: [RunRecord]) {
    self.sites = sites
    self.records = records
  }

  /// What a telemetry file has of a session.
  public init(_ session: TelemetrySnapshot.Session) {
    let chosen = session.sites.indices.filter { !session.sites[$0].isTable }
    sites = chosen.map { session.sites[$0] }
    records = session.records.map { record in
      RunRecord(
        facts: record.facts,
        siteLevels: chosen.compactMap { record.siteLevels.indices.contains($0) ? record.siteLevels[$0] : nil })
    }
  }

  /// Reads CSV or JSON, whichever it is.
  ///
  /// - Parameter name: of the file, for errors.
  /// - Throws: `invalidFile` naming line or record, and field.
  public init(parsing text: String, name: String) throws(AdaptQError) {
    let first = text.utf8.first { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\n") }
    self = first == UInt8(ascii: "{") ? try RunTrace(json: text, name) : try RunTrace(csv: text, name)
  }
}

// MARK: - JSON

extension RunTrace {
  public var json: JSON {
    .object([
      .init("adaptq_trace", .integer(RunTrace.version)),
      .init(
        "sites",
        .array(
          sites.map { .object([.init("name", .string($0.name)), .init("weights", .integer($0.weights))]) })),
      .init(
        "records",
        .array(
          records.map { record in
            .object(
              TraceColumn.all.map { .init($0.name, $0.value(record.facts)) } + [
                .init("site_levels", .array(record.siteLevels.map { .integer(Int($0)) }))
              ])
          })),
    ])
  }

  private init(json text: String, _ name: String) throws(AdaptQError) {
    let root = try JSON.parse(text, name)
    let version = try root.member("adaptq_trace", in: name).asInt("\(name): adaptq_trace")
    if version != RunTrace.version {
      throw AdaptQError(.unsupportedVersion, "\(name): version \(version); this program knows \(RunTrace.version)")
    }
    sites = []
    for site in try root.member("sites", in: name).asArray("\(name): sites") {
      let weights = try site.member("weights", in: "\(name): site").asInt("\(name): weights")
      sites.append(
        TelemetryFile.Site(
          name: try site.member("name", in: "\(name): site").asString("\(name): name"), weights: max(weights, 0),
          isTable: false))
    }
    records = []
    for (index, object) in try root.member("records", in: name).asArray("\(name): records").enumerated() {
      let place = "\(name): record \(index)"
      var record = RunRecord(facts: RunFacts())
      for column in TraceColumn.all where !column.mayBeMissing || object[column.name] != nil {
        try column.set(&record.facts, try object.member(column.name, in: place), "\(place): \(column.name)")
      }
      for level in try object.member("site_levels", in: place).asArray("\(place): site_levels") {
        record.siteLevels.append(
          try RunTrace.level(try level.asInt("\(place): site_levels"), "\(place): site_levels"))
      }
      try RunTrace.checkCount(record.siteLevels.count, place)
      records.append(record)
    }
  }

  static func level(_ bits: Int, _ field: String) throws(AdaptQError) -> UInt8 {
    guard let raw = UInt8(exactly: bits), raw == 0 || Level(rawValue: raw) != nil else {
      throw .invalidFile("\(field): \(bits) is no level")
    }
    return raw
  }

  static func checkCount(_ count: Int, _ place: String) throws(AdaptQError) {
    if count > TelemetryLayout.maximumSites {
      throw .invalidFile("\(place): site_levels: \(count) levels, above \(TelemetryLayout.maximumSites)")
    }
  }
}
