import Base

/// Where things are in a telemetry file, version 2; `docs/telemetry-file.md` defines it. Everything is 64-bit words in the byte
/// order of x86-64, so that each can be stored and loaded at once.
public struct TelemetryLayout: Sendable, BitwiseCopyable {
  public static let magic: UInt64 = 0x4D54_5154_5041_4441  // "ADAPTQTM"
  public static let version: UInt32 = 2
  public static let byteOrderMark: UInt32 = 0x0102_0304
  package static let pageSize = 4096
  package static let headerByteCount = 4096
  package static let sectionHeaderByteCount = 256
  package static let siteByteCount = 64
  /// Of a site's name in its entry, zero bytes at the end included.
  package static let siteNameByteCount = 55
  /// Of a record, without the levels of its sites.
  package static let recordHeaderByteCount = 160
  /// Of a file, so that whoever reads one knows what to expect.
  public static let maximumByteCount = 256 << 20

  public static let maximumSessions = 64
  public static let recordRange = 16...65536
  public static let maximumSites = 4096

  /// Sections, one for each session at a time.
  public let sessions: Int
  /// Records that a section keeps.
  public let records: Int
  /// Levels in each record; a multiple of 8.
  public let sites: Int

  /// - Throws: `outOfRange` naming the field, also for a file above ``maximumByteCount``.
  public init(sessions: Int, records: Int, sites: Int) throws(AdaptQError) {
    try TelemetryLayout.check("sessions", sessions, 1...TelemetryLayout.maximumSessions)
    try TelemetryLayout.check("records", records, TelemetryLayout.recordRange)
    try TelemetryLayout.check("sites", sites, 1...TelemetryLayout.maximumSites)
    self.sessions = sessions
    self.records = records
    self.sites = (sites + 7) & ~7
    if byteCount > TelemetryLayout.maximumByteCount {
      throw AdaptQError(
        .outOfRange,
        "telemetry file: \(sessions) sessions of \(records) records with \(self.sites) sites are \(byteCount) bytes, "
          + "above \(TelemetryLayout.maximumByteCount)")
    }
  }

  private static func check(_ field: String, _ value: Int, _ range: ClosedRange<Int>) throws(AdaptQError) {
    if !range.contains(value) {
      throw AdaptQError(
        .outOfRange, "telemetry file: \(field) is \(value); expected \(range.lowerBound) to \(range.upperBound)")
    }
  }

  // The bounds above keep all of these far below what an Int holds.
  package var recordByteCount: Int { TelemetryLayout.recordHeaderByteCount + sites }
  package var sitesOffset: Int { TelemetryLayout.sectionHeaderByteCount }
  package var recordsOffset: Int { sitesOffset + sites * TelemetryLayout.siteByteCount }
  package var sectionByteCount: Int {
    let page = TelemetryLayout.pageSize
    return (recordsOffset + records * recordByteCount + page - 1) / page * page
  }
  public var byteCount: Int { TelemetryLayout.headerByteCount + sessions * sectionByteCount }
  package func sectionOffset(_ index: Int) -> Int { TelemetryLayout.headerByteCount + index * sectionByteCount }

  /// Byte offsets in the header.
  package enum Header {
    package static let magic = 0
    /// Two 32-bit numbers: version, byte order mark.
    package static let version = 8
    package static let headerByteCount = 16
    package static let sessions = 24
    package static let records = 32
    package static let sites = 40
    package static let recordByteCount = 48
    package static let siteByteCount = 56
    package static let sectionByteCount = 64
    package static let fileByteCount = 72
    package static let processID = 80
    package static let processStart = 88
    package static let createdRealtime = 96
    package static let createdMonotonic = 104
    /// ``FileState``.
    package static let state = 112
    package static let refusedSessions = 120
    package static let sessionsSoFar = 128
    /// Number of the last poll of the sensors; 0: none, or being written. What follows belongs to it.
    package static let sensorMark = 136
    package static let sensorTime = 144
    package static let sensorPower = 152
    package static let sensorEnergy = 160
    package static let sensorFaults = 168
    /// Bits 0 to 7 source, 8 to 15 fault, 16 to 23 battery in per cent, 24 on battery, 25 capped, 32 to 63 temperature.
    package static let sensorState = 176
    package static let used = 184
  }

  package enum FileState {
    package static let open: UInt64 = 1
    package static let closed: UInt64 = 2
  }

  /// Byte offsets in a section.
  package enum Section {
    /// Generation times 4, plus ``SectionState``.
    package static let state = 0
    package static let sessionNumber = 8
    package static let modelSites = 16
    package static let recordedSites = 24
    package static let rungs = 32
    package static let lastSequence = 40
    package static let begin = 48
    package static let end = 56
    // Of the newest run; each word for itself.
    package static let meanCosine = 64
    package static let p5Cosine = 72
    /// Bits 0 to 7 source of the mean, 8 to 15 of the 5th percentile, 16 to 31 rung.
    package static let qualitySource = 80
    package static let rungsBelowFloor = 88
    package static let used = 96
  }

  package enum SectionState {
    package static let free: UInt64 = 0
    package static let inUse: UInt64 = 1
    package static let ended: UInt64 = 2
  }

  /// Numbers of words in a record.
  package enum Record {
    package static let mark = 0
    package static let time = 1
    package static let latency = 2
    package static let budget = 3
    package static let deadline = 4
    package static let work = 5
    /// Bits 0 to 15 rung, 16 to 23 level, 24 to 31 reason, 32 to 63 flags.
    package static let choice = 6
    /// Bits 0 to 31 percentile times 100, 32 to 63 sites that went down on the way.
    package static let percentile = 7
    package static let slowdown = 8
    package static let multiplier = 9
    package static let predicted = 10
    package static let movingPercentile = 11
    package static let runs = 12
    package static let misses = 13
    package static let unavoidableMisses = 14
    package static let switches = 15
    /// Nanojoules, binary64.
    package static let energy = 16
    package static let recommendedInterval = 17
    package static let waited = 18
    /// Bits 0 to 31 ``EnergySource``, 32 to 63 threads.
    package static let energySource = 19
  }

  package enum Flag {
    package static let budgetMissed: UInt32 = 1
    package static let levelChanged: UInt32 = 2
    package static let budgetUnreachable: UInt32 = 4
    package static let deadlineMissed: UInt32 = 8
    package static let fixed: UInt32 = 16
    package static let powerUnreachable: UInt32 = 32
    /// Two bits: where the rung's quality is known from.
    package static let qualityShift: UInt32 = 6
    package static let all: UInt32 = 255
  }
}
