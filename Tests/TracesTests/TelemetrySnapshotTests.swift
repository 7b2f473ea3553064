import Base
import Foundation
import Glibc
import Telemetry
import TestSupport
import Testing
import Traces

@Suite struct TelemetrySnapshotTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static func file() throws -> (bytes: [UInt8], layout: TelemetryLayout) {
    let layout = try TelemetryLayout(sessions: 2, records: 16, sites: 8)
    let file = try TelemetryFile(inMemory: layout)
    let section = file.claim(sites: TelemetryFixture.sites, rungs: 3)
    if let writer = section?.writer { for sequence in UInt64(1)...20 { TelemetryFixture.append(writer, sequence) } }
    return (withExtendedLifetime(section) { Array(file.bytes) }, layout)
  }

  /// Reads; whatever comes out of it is within its bounds.
  private static func read(_ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { bytes in
      guard let snapshot = try? TelemetrySnapshot(bytes) else { return false }
      for session in snapshot.sessions {
        #expect(session.records.count + session.damagedRecords <= snapshot.layout.records)
        #expect(session.sites.count <= snapshot.layout.sites && session.modelSites >= session.sites.count)
        for record in session.records {
          #expect(record.siteLevels.count == session.sites.count && record.facts.latencyNanoseconds >= 0)
          #expect(record.facts.slowdown.isFinite && record.facts.percentileHundredths <= 10000)
        }
      }
      return true
    }
  }

  @Test func undamagedFileIsRead() throws { #expect(Self.read(try Self.file().bytes)) }

  /// Every byte of header, section header, site table and first records, with several other values.
  @Test func everyByteChanged() throws {
    let (original, layout) = try Self.file()
    var refused = 0
    for offset in 0..<(4096 + 256 + layout.sites * 64 + 3 * (160 + layout.sites)) {
      for value in [0, 1, 0x7F, 0x80, 0xFF, original[offset] ^ 1, original[offset] ^ 0x80] as [UInt8]
      where value != original[offset] {
        var bytes = original
        bytes[offset] = value
        if !Self.read(bytes) { refused += 1 }
      }
    }
    // Magic, version, byte order, eight sizes and the state, each of 8 bytes, have one right value.
    #expect(refused > 10 * 8 * 5)
  }

  /// The words of the layout all make each other: none may be another number.
  @Test func everySizeIsChecked() throws {
    let original = try Self.file().bytes
    for offset in stride(from: 0, to: 80, by: 8) + [112] {
      for value in [0, 1, 7, 4097, 1 << 31, 1 << 62, UInt64.max] as [UInt64] {
        var bytes = original
        let same = bytes.withUnsafeMutableBytes { bytes in
          let same = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) == value
          bytes.storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
          return same || offset == 112 && (value == 1 || value == 2)
        }
        #expect(Self.read(bytes) == same, "offset \(offset), value \(value)")
      }
    }
  }

  @Test func everyTruncation() throws {
    let original = try Self.file().bytes
    for count in Array(0...4200) + Array(stride(from: 4200, to: original.count, by: 97)) {
      #expect(!Self.read(Array(original.prefix(count))))
    }
    // What is behind the end does not matter.
    #expect(Self.read(original + [1, 2, 3]))
  }

  @Test func garbageBehindTheHeader() throws {
    let original = try Self.file().bytes
    var random = SeededRandom("garbageBehindTheHeader")
    for round in 0..<200 {
      var bytes = original
      for _ in 0..<(1 << (round % 12)) {
        bytes[4096 + Int.random(in: 0..<(bytes.count - 4096), using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      #expect(Self.read(bytes))
    }
  }

  @Test func versionAndKindAreNamed() throws {
    var bytes = try Self.file().bytes
    bytes[8] = 3
    #expect(throws: AdaptQError(.unsupportedVersion, "telemetry file: version 3; this program knows 2")) {
      try bytes.withUnsafeBytes { bytes in _ = try TelemetrySnapshot(bytes) }
    }
    bytes[0] = 0
    #expect(throws: AdaptQError(.invalidFile, "telemetry file: it does not begin with ADAPTQTM")) {
      try bytes.withUnsafeBytes { bytes in _ = try TelemetrySnapshot(bytes) }
    }
  }

  /// A record that is being written, as a killed host leaves it, is no record.
  @Test func halfWrittenRecordIsLeftOut() throws {
    var (bytes, layout) = try Self.file()
    let base = 4096 + 256 + layout.sites * 64
    // Run 20 lies in slot 3.
    for byte in 0..<8 { bytes[base + 3 * (160 + layout.sites) + byte] = 0 }
    let sequences = try bytes.withUnsafeBytes { bytes in
      try TelemetrySnapshot(bytes).sessions[0].records.map(\.facts.sequence)
    }
    #expect(sequences == Array(5...19))
  }

  /// No machine has so many threads, and no energy such a source.
  @Test func impossibleThreadsAreDamage() throws {
    for (offset, value, isDamaged) in [(156, 1024, false), (156, 1025, true), (156, .max, true), (152, 300, true)]
      as [(Int, UInt32, Bool)]
    {
      var (bytes, layout) = try Self.file()
      let record = 4096 + 256 + layout.sites * 64 + 3 * (160 + layout.sites)
      bytes.withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: record + offset, as: UInt32.self) }
      let session = try bytes.withUnsafeBytes { bytes in try TelemetrySnapshot(bytes).sessions[0] }
      #expect(session.damagedRecords == (isDamaged ? 1 : 0), "\(value) at \(offset)")
      if !isDamaged { #expect(session.records.last?.facts.threads == value) }
    }
  }

  /// Copies that differ: a record that changed meanwhile is left out, the others are taken.
  @Test func recordThatChangesMeanwhileIsLeftOut() throws {
    let (bytes, layout) = try Self.file()
    let mark = 4096 + 256 + layout.sites * 64 + 2 * (160 + layout.sites)
    var other = bytes
    other[mark] = 0
    for changed in 0..<3 {
      let looks = (0..<3).map { $0 == changed ? other : bytes }
      let sequences = try looks[0].withUnsafeBytes { first in
        try looks[1].withUnsafeBytes { second in
          try looks[2].withUnsafeBytes { third in
            try TelemetrySnapshot(before: first, second, after: third).sessions[0].records.map(\.facts.sequence)
          }
        }
      }
      #expect(sequences == Array(5...18) + [20])
    }
  }

  @Test func readerRefusesWhatIsNoFile() throws {
    let path = folder.path()
    #expect { try TelemetryReader(path: path) } throws: { ($0 as? AdaptQError)?.status == .notFound }
    #expect(mkfifo(path, 0o600) == 0)
    #expect { try TelemetryReader(path: path).read() } throws: { ($0 as? AdaptQError)?.status == .ioError }
    #expect { try TelemetryReader(path: "/").read() } throws: { ($0 as? AdaptQError)?.status == .ioError }
    #expect { try TelemetryReader(path: "/dev/zero").read() } throws: { ($0 as? AdaptQError)?.status == .ioError }
    let empty = folder.path("empty")
    try Data().write(to: URL(fileURLWithPath: empty))
    #expect { try TelemetryReader(path: empty).read() } throws: { ($0 as? AdaptQError)?.status == .invalidFile }
  }

  @Test func readerSeesAProcessThatIsGone() throws {
    var bytes = try Self.file().bytes
    // Our own number, but a process that began at another time.
    bytes.withUnsafeMutableBytes { $0.storeBytes(of: 12345, toByteOffset: 88, as: UInt64.self) }
    let path = folder.path()
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let reader = try TelemetryReader(path: path)
    #expect(try reader.read().host == .gone)
    // Shortened while it is open.
    #expect(truncate(path, 5000) == 0)
    #expect(throws: AdaptQError.self) { try reader.read() }
  }

  /// Records whose numbers all follow from the first, written as fast as a thread can: none that is read is torn.
  @Test func nothingIsTorn() throws {
    let path = folder.path()
    let file = try TelemetryFile(path: path, layout: TelemetryLayout(sessions: 1, records: 16, sites: 8))
    let section = try #require(file.claim(sites: TelemetryFixture.sites, rungs: 1))
    let flag = StopFlag()
    let writer = section.writer
    let thread = Thread {
      var sequence: UInt64 = 0
      while !flag.isSet {
        sequence += 1
        TelemetryFixture.append(writer, sequence)
      }
      flag.finish()
    }
    thread.start()
    let reader = try TelemetryReader(path: path)
    var read = 0
    for _ in 0..<3000 {
      for session in try reader.read().snapshot.sessions {
        #expect(session.damagedRecords == 0)
        for record in session.records {
          read += 1
          if record != TelemetryFixture.record(record.facts.sequence) {
            Issue.record("torn: \(record)")
            return
          }
        }
      }
    }
    flag.set()
    flag.wait()
    #expect(read > 1000)
    withExtendedLifetime(section) {}
  }
}

/// Tells a thread to end and waits for it.
private final class StopFlag: @unchecked Sendable {
  private let condition = NSCondition()
  private var stop = false
  private var done = false
  var isSet: Bool { condition.withLock { stop } }
  func set() { condition.withLock { stop = true } }
  func finish() {
    condition.withLock {
      done = true
      condition.broadcast()
    }
  }
  func wait() { condition.withLock { while !done { condition.wait() } } }
}
