import Base
import Control
import NestedFormat
import Telemetry

/// What a telemetry file says at one moment. The bytes may be anything: every size and every number is checked, and a record that
/// cannot be is counted instead of shown.
///
/// The host writes while the bytes are copied, so they are copied three times. A record counts if its first word is the same run's
/// number in all three copies: then nothing wrote it while the second was made, and that one is taken.
public struct TelemetrySnapshot: Sendable {
  public struct Session: Sendable {
    /// Counts the sessions of the file, from 1.
    public var number: UInt64
    /// The host has destroyed it.
    public var hasEnded: Bool
    /// CLOCK_MONOTONIC.
    public var beginNanoseconds: UInt64
    /// How many sites the model has; ``sites`` are those that are recorded.
    public var modelSites: Int
    public var rungs: Int
    public var sites: [TelemetryFile.Site]
    /// Oldest first. There may be gaps: a record that was just being written is left out.
    public var records: [RunRecord]
    /// Records whose contents are impossible.
    public var damagedRecords: Int
    /// Of the plan of the newest run; nil where nothing is known, or where what stands there is impossible.
    public var quality: Quality?
    /// Rungs that are not chosen because they are below the floor of quality.
    public var rungsBelowFloor = 0
  }

  public struct Quality: Equatable, Sendable {
    public var rung: Int
    public var meanCosine: Double
    public var source: QualitySource
    public var p5Cosine: Double
    public var p5Source: QualitySource
  }

  public let layout: TelemetryLayout
  public let processID: Int
  /// Clock ticks from the machine's start to the process's; 0: unknown.
  public let processStart: UInt64
  public let createdRealtime: UInt64
  public let createdMonotonic: UInt64
  /// The host has closed the file; nothing comes any more.
  public let isClosed: Bool
  /// Sessions that found no free section.
  public let refusedSessions: UInt64
  /// The last poll of the sensors; nil: none, or one that makes no sense.
  public let sensors: SensorFacts?
  /// By number.
  public let sessions: [Session]

  /// - Throws: `invalidFile` or `unsupportedVersion`, naming the field.
  public init(_ bytes: UnsafeRawBufferPointer) throws(AdaptQError) {
    try self.init(before: bytes, bytes, after: bytes)
  }

  public init(
    before: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer, after: UnsafeRawBufferPointer
  ) throws(AdaptQError) {
    typealias Header = TelemetryLayout.Header
    if bytes.count < TelemetryLayout.headerByteCount || before.count != bytes.count || after.count != bytes.count {
      throw .invalidFile(
        "telemetry file: \(bytes.count) bytes; the header alone has \(TelemetryLayout.headerByteCount)")
    }
    let words = Words(bytes)
    layout = try TelemetrySnapshot.layout(words)
    processID = Int(truncatingIfNeeded: words[Header.processID] & 0x7FFF_FFFF)
    processStart = words[Header.processStart]
    createdRealtime = words[Header.createdRealtime]
    createdMonotonic = words[Header.createdMonotonic]
    isClosed = words[Header.state] == TelemetryLayout.FileState.closed
    refusedSessions = words[Header.refusedSessions]
    var sessions: [Session] = []
    let looks = (Words(before), words, Words(after))
    sensors = TelemetrySnapshot.sensors(looks)
    for index in 0..<layout.sessions {
      if let session = TelemetrySnapshot.session(layout, layout.sectionOffset(index), looks) {
        sessions.append(session)
      }
    }
    self.sessions = sessions.sorted { $0.number < $1.number }
  }

  /// 64-bit words at byte offsets that the caller has checked against the layout, and the layout against the count.
  private struct Words {
    let bytes: UnsafeRawBufferPointer
    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    subscript(offset: Int) -> UInt64 {
      offset >= 0 && offset <= bytes.count - 8 ? bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) : 0
    }
  }

  private static func layout(_ words: Words) throws(AdaptQError) -> TelemetryLayout {
    typealias Header = TelemetryLayout.Header
    if words[Header.magic] != TelemetryLayout.magic {
      throw .invalidFile("telemetry file: it does not begin with ADAPTQTM")
    }
    if words[Header.version] >> 32 != UInt64(TelemetryLayout.byteOrderMark) {
      throw .invalidFile("telemetry file: the byte order mark is \(words[Header.version] >> 32)")
    }
    let version = words[Header.version] & 0xFFFF_FFFF
    if version != UInt64(TelemetryLayout.version) {
      throw AdaptQError(
        .unsupportedVersion, "telemetry file: version \(version); this program knows \(TelemetryLayout.version)")
    }
    func count(_ offset: Int) -> Int { Int(exactly: words[offset]) ?? -1 }
    let layout: TelemetryLayout
    do throws(AdaptQError) {
      layout = try TelemetryLayout(
        sessions: count(Header.sessions), records: count(Header.records), sites: count(Header.sites))
    } catch {
      throw .invalidFile(error.message)
    }
    // All of these follow from the three above.
    for (name, offset, expected) in [
      ("header size", Header.headerByteCount, TelemetryLayout.headerByteCount), ("sites", Header.sites, layout.sites),
      ("record size", Header.recordByteCount, layout.recordByteCount),
      ("site size", Header.siteByteCount, TelemetryLayout.siteByteCount),
      ("section size", Header.sectionByteCount, layout.sectionByteCount),
      ("file size", Header.fileByteCount, layout.byteCount),
    ] where words[offset] != UInt64(expected) {
      throw .invalidFile("telemetry file: \(name) is \(words[offset]), expected \(expected)")
    }
    if words.bytes.count < layout.byteCount {
      throw .invalidFile("telemetry file: cut off after \(words.bytes.count) of \(layout.byteCount) bytes")
    }
    let state = words[Header.state]
    if state != TelemetryLayout.FileState.open && state != TelemetryLayout.FileState.closed {
      throw .invalidFile("telemetry file: state is \(state)")
    }
    return layout
  }

  /// Nil for one that is free, that has just been changed, or that makes no sense.
  private static func session(_ layout: TelemetryLayout, _ base: Int, _ looks: (Words, Words, Words)) -> Session? {
    typealias Section = TelemetryLayout.Section
    let words = looks.1
    let state = words[base + Section.state]
    if looks.0[base + Section.state] & ~3 != state & ~3 || looks.2[base + Section.state] & ~3 != state & ~3 {
      return nil
    }
    if state & 3 != TelemetryLayout.SectionState.inUse && state & 3 != TelemetryLayout.SectionState.ended { return nil }
    guard let recorded = Int(exactly: words[base + Section.recordedSites]), recorded <= layout.sites,
      let modelSites = Int(exactly: words[base + Section.modelSites]), modelSites >= recorded
    else { return nil }
    var session = Session(
      number: words[base + Section.sessionNumber], hasEnded: state & 3 == TelemetryLayout.SectionState.ended,
      beginNanoseconds: words[base + Section.begin], modelSites: modelSites,
      rungs: Int(exactly: words[base + Section.rungs]) ?? 0, sites: [], records: [], damagedRecords: 0)
    for index in 0..<recorded {
      session.sites.append(site(words, base + layout.sitesOffset + index * TelemetryLayout.siteByteCount))
    }
    for slot in 0..<layout.records {
      let offset = base + layout.recordsOffset + slot * layout.recordByteCount
      let mark = words[offset]
      if mark == 0 || looks.0[offset] != mark || looks.2[offset] != mark { continue }
      if (mark - 1) % UInt64(layout.records) == UInt64(slot), let facts = facts(words, offset) {
        let levels = words.bytes[(offset + TelemetryLayout.recordHeaderByteCount)...].prefix(recorded)
        session.records.append(RunRecord(facts: facts, siteLevels: Array(levels)))
      } else {
        session.damagedRecords += 1
      }
    }
    session.quality = quality(words, base)
    session.rungsBelowFloor = words[base + Section.rungsBelowFloor].nonzeroBitCount
    session.records.sort { $0.facts.sequence < $1.facts.sequence }
    return session
  }

  private static func sensors(_ looks: (Words, Words, Words)) -> SensorFacts? {
    typealias Header = TelemetryLayout.Header
    let words = looks.1
    let mark = words[Header.sensorMark]
    if mark == 0 || looks.0[Header.sensorMark] != mark || looks.2[Header.sensorMark] != mark { return nil }
    var facts = SensorFacts()
    let state = words[Header.sensorState]
    facts.source = UInt8(truncatingIfNeeded: state)
    facts.fault = UInt8(truncatingIfNeeded: state >> 8)
    facts.batteryPercent = Int8(truncatingIfNeeded: state >> 16)
    facts.isOnBattery = state >> 24 & 1 == 1
    facts.isCapped = state >> 25 & 1 == 1
    facts.millidegrees = Int32(truncatingIfNeeded: state >> 32)
    facts.milliwatts = Double(bitPattern: words[Header.sensorPower])
    facts.microjoules = words[Header.sensorEnergy]
    facts.faults = words[Header.sensorFaults]
    guard let time = Int64(exactly: words[Header.sensorTime]), time <= RunFacts.maximumCount,
      facts.milliwatts >= 0 && facts.milliwatts <= 1e12, facts.source <= 3 && facts.fault <= 6
    else { return nil }
    facts.timeNanoseconds = time
    return facts
  }

  private static func quality(_ words: Words, _ base: Int) -> Quality? {
    typealias Section = TelemetryLayout.Section
    let sources = words[base + Section.qualitySource]
    let mean = Double(bitPattern: words[base + Section.meanCosine])
    let p5 = Double(bitPattern: words[base + Section.p5Cosine])
    guard let source = QualitySource(rawValue: UInt8(truncatingIfNeeded: sources)), source != .unknown,
      let p5Source = QualitySource(rawValue: UInt8(truncatingIfNeeded: sources >> 8)), mean >= 0 && mean <= 1,
      p5 >= 0 && p5 <= 1
    else { return nil }
    return Quality(
      rung: Int(sources >> 16 & 0xFFFF), meanCosine: mean, source: source, p5Cosine: p5, p5Source: p5Source)
  }

  private static func site(_ words: Words, _ offset: Int) -> TelemetryFile.Site {
    let text = words.bytes[(offset + 9)..<(offset + TelemetryLayout.siteByteCount)].prefix { $0 != 0 }
    // Names are shown in terminals: no control characters.
    let name = String(decoding: text, as: UTF8.self).unicodeScalars.map { scalar in
      scalar.properties.generalCategory == .control ? "\u{FFFD}" : Character(scalar)
    }
    return TelemetryFile.Site(
      name: String(name), weights: Int(clamping: min(words[offset], 1 << 50)),
      isTable: words.bytes[offset + 8] == 1)
  }

  /// Nil if a number is impossible.
  private static func facts(_ words: Words, _ offset: Int) -> RunFacts? {
    typealias Record = TelemetryLayout.Record
    typealias Flag = TelemetryLayout.Flag
    func word(_ index: Int) -> UInt64 { words[offset + 8 * index] }
    func time(_ index: Int, below limit: Int64 = RunFacts.maximumNanoseconds) -> Int64 {
      Int64(exactly: word(index)).flatMap { $0 <= limit ? $0 : nil } ?? -1
    }
    var facts = RunFacts()
    facts.sequence = word(Record.mark)
    facts.timeNanoseconds = time(Record.time, below: RunFacts.maximumCount)
    facts.latencyNanoseconds = time(Record.latency)
    facts.budgetNanoseconds = time(Record.budget)
    facts.deadlineNanoseconds = time(Record.deadline)
    facts.work = time(Record.work, below: RunFacts.maximumCount)
    facts.predictedNanoseconds = time(Record.predicted)
    facts.movingPercentileNanoseconds = time(Record.movingPercentile)
    let times = [
      facts.timeNanoseconds, facts.latencyNanoseconds, facts.budgetNanoseconds, facts.deadlineNanoseconds, facts.work,
      facts.predictedNanoseconds, facts.movingPercentileNanoseconds,
    ]
    if times.contains(where: { $0 < 0 }) { return nil }
    let choice = word(Record.choice)
    facts.rung = UInt16(truncatingIfNeeded: choice)
    facts.level = UInt8(truncatingIfNeeded: choice >> 16)
    if facts.level != 0 && Level(rawValue: facts.level) == nil { return nil }
    let raw = UInt8(truncatingIfNeeded: choice >> 24)
    guard raw > 0, let reason = DecisionReason(rawValue: raw - 1) else { return nil }
    facts.reason = reason
    let flags = UInt32(truncatingIfNeeded: choice >> 32)
    facts.budgetMissed = flags & Flag.budgetMissed != 0
    facts.levelChanged = flags & Flag.levelChanged != 0
    facts.budgetUnreachable = flags & Flag.budgetUnreachable != 0
    facts.deadlineMissed = flags & Flag.deadlineMissed != 0
    facts.isFixed = flags & Flag.fixed != 0
    facts.qualitySource = QualitySource(rawValue: UInt8(flags >> Flag.qualityShift & 3)) ?? .unknown
    facts.percentileHundredths = UInt32(truncatingIfNeeded: word(Record.percentile))
    facts.droppedSites = UInt32(truncatingIfNeeded: word(Record.percentile) >> 32)
    facts.slowdown = Double(bitPattern: word(Record.slowdown))
    facts.multiplier = Double(bitPattern: word(Record.multiplier))
    // NaN lies in no range.
    let range = RunFacts.factorRange
    if facts.percentileHundredths > 10000 || !range.contains(facts.slowdown) || !range.contains(facts.multiplier) {
      return nil
    }
    facts.runs = word(Record.runs)
    facts.misses = word(Record.misses)
    facts.unavoidableMisses = word(Record.unavoidableMisses)
    facts.switches = word(Record.switches)
    facts.powerUnreachable = flags & Flag.powerUnreachable != 0
    facts.nanojoules = Double(bitPattern: word(Record.energy))
    facts.recommendedIntervalNanoseconds = time(Record.recommendedInterval)
    facts.waitedNanoseconds = time(Record.waited)
    facts.threads = UInt32(truncatingIfNeeded: word(Record.energySource) >> 32)
    let source = UInt8(exactly: word(Record.energySource) & 0xFFFF_FFFF).flatMap { EnergySource(rawValue: $0) }
    guard let source, facts.threads <= RunFacts.maximumThreads, facts.nanojoules >= 0 && facts.nanojoules <= 1e18,
      facts.recommendedIntervalNanoseconds >= 0, facts.waitedNanoseconds >= 0
    else { return nil }
    facts.energySource = source
    let counts = [facts.sequence, facts.runs, facts.misses, facts.unavoidableMisses, facts.switches]
    return counts.contains { $0 > UInt64(RunFacts.maximumCount) } ? nil : facts
  }
}
