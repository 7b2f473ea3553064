import Base
import Foundation
import Glibc
import Telemetry
import Testing
@testable import Traces

@Suite struct TelemetryFileTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static func layout(sessions: Int = 2) throws -> TelemetryLayout {
    try TelemetryLayout(sessions: sessions, records: 16, sites: 8)
  }

  private static func status(_ path: String) -> stat? {
    var info = stat()
    return lstat(path, &info) == 0 ? info : nil
  }

  @Test func whatIsWrittenIsRead() throws {
    let path = folder.path()
    let file = try TelemetryFile(path: path, layout: Self.layout())
    let section = try #require(file.claim(sites: TelemetryFixture.sites, rungs: 6))
    let reader = try TelemetryReader(path: path)
    for sequence in UInt64(1)...40 {
      TelemetryFixture.append(section.writer, sequence)
      let (snapshot, host) = try reader.read()
      #expect(host == .running && snapshot.processID == Int(getpid()))
      let session = try #require(snapshot.sessions.first)
      #expect(session.sites == TelemetryFixture.sites && session.rungs == 6 && session.number == 1)
      #expect(session.damagedRecords == 0 && !session.hasEnded)
      let oldest = sequence < 17 ? 1 : sequence - 15
      #expect(session.records == (oldest...sequence).map { TelemetryFixture.record($0) })
    }
  }

  /// Of the newest run, in the section; what cannot be is nothing known.
  @Test func qualityOfTheNewestRun() throws {
    let file = try TelemetryFile(inMemory: try Self.layout())
    let section = try #require(file.claim(sites: TelemetryFixture.sites, rungs: 6))
    func read(_ mean: Double, _ p5: Double) throws -> TelemetrySnapshot.Session {
      var facts = TelemetryFixture.facts(3)
      (facts.qualitySource, facts.p5Source, facts.meanCosine, facts.p5Cosine) = (.reported, .shadowed, mean, p5)
      facts.rungsBelowFloor = 0b1011
      TelemetryFixture.levels(3).withUnsafeBufferPointer { levels in
        if let base = levels.baseAddress { section.writer.append(facts, levels: base) }
      }
      return try #require(try TelemetrySnapshot(file.bytes).sessions.first)
    }
    let session = try read(0.5, 0.25)
    #expect(
      session.quality
        == .init(rung: 3, meanCosine: 0.5, source: .reported, p5Cosine: 0.25, p5Source: .shadowed))
    #expect(session.rungsBelowFloor == 3 && session.records.first?.facts.qualitySource == .reported)
    for bad in [Double.nan, .infinity, -0.5, 1.5] {
      #expect(try read(bad, 0).quality == nil)
      #expect(try read(0, bad).quality == nil)
    }
  }

  @Test func goesWithItsLastOwner() throws {
    let path = folder.path()
    var file: TelemetryFile? = try TelemetryFile(path: path, layout: Self.layout())
    var section = file?.claim(sites: TelemetryFixture.sites, rungs: 1)
    let writer = try #require(section?.writer)
    let info = try #require(Self.status(path))
    let byteCount = try Self.layout().byteCount
    #expect(info.st_mode == S_IFREG | 0o600 && info.st_uid == getuid() && info.st_size == byteCount)
    // Every page has its place.
    #expect(Int(info.st_blocks) * 512 >= Int(info.st_size))
    let reader = try TelemetryReader(path: path)
    file = nil
    TelemetryFixture.append(writer, 1)
    #expect(Self.status(path) != nil)
    section = nil
    #expect(Self.status(path) == nil)
    // What was written last can still be read.
    let (snapshot, host) = try reader.read()
    #expect(host == .closed && snapshot.sessions.first?.hasEnded == true)
    #expect(snapshot.sessions.first?.records == [TelemetryFixture.record(1)])
  }

  @Test func leavesWhatSomebodyPutIntoItsPlace() throws {
    let path = folder.path()
    var file: TelemetryFile? = try TelemetryFile(path: path, layout: Self.layout())
    #expect(file != nil && rename(path, path + ".moved") == 0)
    try Data("other".utf8).write(to: URL(fileURLWithPath: path))
    file = nil
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data("other".utf8))
    #expect(Self.status(path + ".moved") != nil)
  }

  @Test func refusesWhatExists() throws {
    let path = folder.path()
    let url = URL(fileURLWithPath: path)
    let target = path + ".target"
    #expect(symlink(target, path) == 0)
    #expect { try TelemetryFile(path: path, layout: Self.layout()) } throws: {
      ($0 as? AdaptQError)?.status == .ioError && "\($0)".contains(path)
    }
    #expect(Self.status(target) == nil && Self.status(path) != nil)
    try FileManager.default.removeItem(at: url)
    try Data("kept".utf8).write(to: url)
    #expect(throws: AdaptQError.self) { try TelemetryFile(path: path, layout: Self.layout()) }
    #expect(try Data(contentsOf: url) == Data("kept".utf8))
    #expect(throws: AdaptQError.self) {
      try TelemetryFile(path: url.deletingLastPathComponent().path, layout: Self.layout())
    }
    #expect { try TelemetryFile(path: path + "/x/y", layout: Self.layout()) } throws: {
      ($0 as? AdaptQError)?.status == .ioError
    }
    #expect { try TelemetryFile(path: target + "/y", layout: Self.layout()) } throws: {
      ($0 as? AdaptQError)?.status == .notFound
    }
  }

  @Test(arguments: ["create", "reserve", "identify", "map"]) func failingCallLeavesNothing(_ call: String) throws {
    let path = folder.path()
    var calls = TelemetryFileCalls.live
    switch call {
    case "create": calls.create = { _ in -Int(ENOSPC) }
    case "reserve": calls.reserve = { _, _ in -Int(ENOSPC) }
    case "identify":
      calls.identify = { _ in
        errno = ENOSPC
        return nil
      }
    default:
      calls.map = { _, _ in
        errno = ENOSPC
        return nil
      }
    }
    #expect { try TelemetryFile(path: path, layout: Self.layout(), calls: calls) } throws: {
      ($0 as? AdaptQError)?.status == .ioError && "\($0)".contains("No space left")
    }
    #expect(Self.status(path) == nil)
  }

  /// A file of every size that is allowed has room for what the layout says, and no more.
  @Test func boundsOfTheLayout() throws {
    for wrong in [(0, 16, 8), (65, 16, 8), (1, 15, 8), (1, 65537, 8), (1, 16, 0), (1, 16, 4097), (64, 65536, 4096)] {
      #expect(throws: AdaptQError.self) { try TelemetryLayout(sessions: wrong.0, records: wrong.1, sites: wrong.2) }
    }
    #expect(try TelemetryLayout(sessions: 64, records: 16, sites: 4096).byteCount <= TelemetryLayout.maximumByteCount)
    #expect(try TelemetryLayout(sessions: 1, records: 65536, sites: 3).sites == 8)
  }

  @Test func sectionsAreUsedAgain() throws {
    let file = try TelemetryFile(inMemory: Self.layout(sessions: 2))
    var first = file.claim(sites: [], rungs: 1)
    let second = file.claim(sites: TelemetryFixture.sites, rungs: 2)
    #expect(first != nil && second != nil && file.claim(sites: [], rungs: 1) == nil)
    var snapshot = try TelemetrySnapshot(file.bytes)
    #expect(snapshot.refusedSessions == 1 && snapshot.sessions.map(\.number) == [1, 2])
    if let first { TelemetryFixture.append(first.writer, 5, sites: 0) }
    first = nil
    snapshot = try TelemetrySnapshot(file.bytes)
    #expect(
      snapshot.sessions.map(\.hasEnded) == [true, false]
        && snapshot.sessions[0].records == [TelemetryFixture.record(5, sites: 0)])
    let third = try #require(file.claim(sites: TelemetryFixture.sites, rungs: 3))
    TelemetryFixture.append(third.writer, 2)
    snapshot = try TelemetrySnapshot(file.bytes)
    #expect(snapshot.sessions.map(\.number) == [2, 3] && snapshot.sessions[1].rungs == 3)
    // Nothing of the first is left.
    #expect(snapshot.sessions[1].records == [TelemetryFixture.record(2)])
    #expect(second?.writer != nil)
  }

  @Test func longNamesAndManySites() throws {
    let name = String(repeating: "ü", count: 100)
    let sites = (0..<20).map { TelemetryFile.Site(name: "\($0)\(name)", weights: $0, isTable: false) }
    let file = try TelemetryFile(inMemory: Self.layout())
    let section = try #require(file.claim(sites: sites, rungs: 1))
    TelemetryFixture.append(section.writer, 3, sites: 20)
    let session = try #require(TelemetrySnapshot(file.bytes).sessions.first)
    #expect(session.modelSites == 20 && session.sites.count == 8)
    #expect(session.sites[0].name == "0" + String(repeating: "ü", count: 26))
    #expect(session.records == [TelemetryFixture.record(3, sites: 8)])
  }
}
