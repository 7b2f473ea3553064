import Base
import CMachine
import Glibc

/// A telemetry file: made, mapped, and removed when the last owner lets go. `docs/telemetry-file.md` has the format.
///
/// The pages are shared with whoever has opened the file. Nothing here reads them again but the words that only this process
/// writes, and those it keeps beside as well: what others do to them changes no decision.
public final class TelemetryFile: @unchecked Sendable {
  public let layout: TelemetryLayout
  let base: UnsafeMutableRawPointer
  private let path: String?
  private let identity: TelemetryFileCalls.FileIdentity?
  private let calls: TelemetryFileCalls
  /// Memory in place of a file.
  private let block: MemoryBlock?
  let forkGeneration = cmachine_fork_generation()
  private let lock = ForkSafeLock()
  private var sections: [SectionUse]
  private var sessionsSoFar: UInt64 = 0
  private var refusedSessions: UInt64 = 0
  private var polls: UInt64 = 0

  /// What this process knows of a section; the file is not asked.
  private struct SectionUse {
    var isInUse = false
    var generation: UInt64 = 0
    /// Number of the session; 0 before the first.
    var session: UInt64 = 0
  }

  /// A site of a model, as the file describes it.
  public struct Site: Equatable, Sendable {
    public var name: String
    /// Number of weights: outputs times inputs.
    public var weights: Int
    /// A table keeps its own precision.
    public var isTable: Bool

    public init(name: String, weights: Int, isTable: Bool) {
      self.name = name
      self.weights = weights
      self.isTable = isTable
    }
  }

  /// Makes the file. Nothing is left behind if this throws.
  ///
  /// - Parameter path: must not exist; a relative one is meant from the present folder, now and when it is removed.
  /// - Throws: `notFound` (no such folder), `ioError` naming the path, also where the disk is full.
  public init(path: String, layout: TelemetryLayout, calls: TelemetryFileCalls = .live) throws(AdaptQError) {
    let path = absolutePath(path)
    let created = calls.create(path)
    if created < 0 { throw TelemetryFile.failure(path, created) }
    let descriptor = Int32(truncatingIfNeeded: created)
    defer { calls.close(descriptor) }
    let reserved = calls.reserve(descriptor, layout.byteCount)
    if reserved < 0 {
      calls.remove(path)
      throw TelemetryFile.failure(path, reserved)
    }
    guard let identity = calls.identify(descriptor), let base = calls.map(descriptor, layout.byteCount) else {
      let code = cmachine_errno()
      calls.remove(path)
      throw TelemetryFile.failure(path, -Int(code))
    }
    self.layout = layout
    self.base = base
    self.path = path
    self.identity = identity
    self.calls = calls
    block = nil
    sections = [SectionUse](repeating: SectionUse(), count: layout.sessions)
    writeHeader()
  }

  /// The same in memory that nobody else sees, for traces.
  public init(inMemory layout: TelemetryLayout, calls: SystemCalls = .live) throws(AdaptQError) {
    let block = try MemoryBlock.allocate(byteCount: layout.byteCount, purpose: "telemetry", calls: calls)
    self.layout = layout
    self.block = block
    self.calls = .live
    base = block.base
    path = nil
    identity = nil
    sections = [SectionUse](repeating: SectionUse(), count: layout.sessions)
    writeHeader()
  }

  private static func failure(_ path: String, _ result: Int) -> AdaptQError {
    let code = Int32(truncatingIfNeeded: 0 &- result)
    return AdaptQError(code == ENOENT ? .notFound : .ioError, "path \"\(path)\": \(systemErrorText(code))")
  }

  deinit {
    // In a child of fork() file and pages are the parent's.
    if isOwn, let path, let identity {
      cmachine_atomic_store(headerWord(TelemetryLayout.Header.state), TelemetryLayout.FileState.closed)
      // What has been put into its place is somebody else's.
      if calls.identifyPath(path) == identity { calls.remove(path) }
    }
    if path != nil { calls.unmap(base, layout.byteCount) }
  }

  /// False in a child of fork(), which writes nothing into the file and does not remove it.
  public var isOwn: Bool { cmachine_fork_generation() == forkGeneration }

  /// The bytes as they are, for a reader in this process.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: layout.byteCount) }

  private func headerWord(_ offset: Int) -> UnsafeMutablePointer<UInt64> {
    (base + offset).assumingMemoryBound(to: UInt64.self)
  }

  private func writeHeader() {
    typealias Header = TelemetryLayout.Header
    let processID = getpid()
    let version = UInt64(TelemetryLayout.version) | UInt64(TelemetryLayout.byteOrderMark) << 32
    for (offset, value) in [
      (Header.version, version), (Header.headerByteCount, UInt64(TelemetryLayout.headerByteCount)),
      (Header.sessions, UInt64(layout.sessions)), (Header.records, UInt64(layout.records)),
      (Header.sites, UInt64(layout.sites)), (Header.recordByteCount, UInt64(layout.recordByteCount)),
      (Header.siteByteCount, UInt64(TelemetryLayout.siteByteCount)),
      (Header.sectionByteCount, UInt64(layout.sectionByteCount)), (Header.fileByteCount, UInt64(layout.byteCount)),
      (Header.processID, UInt64(truncatingIfNeeded: processID)), (Header.processStart, processStart(Int(processID))),
      (Header.createdRealtime, clockNanoseconds(CLOCK_REALTIME)),
      (Header.createdMonotonic, clockNanoseconds(CLOCK_MONOTONIC)),
      (Header.state, TelemetryLayout.FileState.open),
    ] { cmachine_atomic_store_relaxed(headerWord(offset), value) }
    // Last: a reader that finds it finds the rest.
    cmachine_atomic_store(headerWord(Header.magic), TelemetryLayout.magic)
  }

  /// A section for a new session, or nil where none is free (the file then counts it) or where the file is a parent's.
  ///
  /// - Parameter rungs: of the session's ladder.
  public func claim(sites: [Site], rungs: Int) -> TelemetrySection? {
    if !isOwn { return nil }
    return lock.withLock {
      // One that was never used, else the one that has been over for longest.
      let free = sections.indices.filter { !sections[$0].isInUse }
      guard let index = free.min(by: { sections[$0].session < sections[$1].session }) else {
        refusedSessions += 1
        cmachine_atomic_store(headerWord(TelemetryLayout.Header.refusedSessions), refusedSessions)
        return nil
      }
      sessionsSoFar += 1
      sections[index].isInUse = true
      sections[index].generation += 1
      sections[index].session = sessionsSoFar
      cmachine_atomic_store(headerWord(TelemetryLayout.Header.sessionsSoFar), sessionsSoFar)
      return TelemetrySection(
        file: self, index: index, generation: sections[index].generation, session: sessionsSoFar, sites: sites,
        rungs: rungs)
    }
  }

  /// Keeps what a poll of the sensors found, in place of the one before. Guarded like a record.
  public func record(_ facts: SensorFacts) {
    typealias Header = TelemetryLayout.Header
    if !isOwn { return }
    lock.withLock {
      polls += 1
      cmachine_atomic_store_relaxed(headerWord(Header.sensorMark), 0)
      cmachine_atomic_write_fence()
      var state = UInt64(facts.source) | UInt64(facts.fault) << 8
      state |= UInt64(UInt8(bitPattern: facts.batteryPercent)) << 16
      state |= (facts.isOnBattery ? 1 << 24 : 0) | (facts.isCapped ? 1 << 25 : 0)
      state |= UInt64(UInt32(bitPattern: facts.millidegrees)) << 32
      for (offset, value) in [
        (Header.sensorTime, UInt64(bitPattern: facts.timeNanoseconds)),
        (Header.sensorPower, facts.milliwatts.bitPattern), (Header.sensorEnergy, facts.microjoules),
        (Header.sensorFaults, facts.faults), (Header.sensorState, state),
      ] { cmachine_atomic_store_relaxed(headerWord(offset), value) }
      cmachine_atomic_store(headerWord(Header.sensorMark), polls)
    }
  }

  fileprivate func release(_ index: Int) { lock.withLock { sections[index].isInUse = false } }
}

/// A session's part of a ``TelemetryFile``: given back when the session goes. Its records stay readable until another session
/// needs the place.
public final class TelemetrySection: @unchecked Sendable {
  /// For the run path.
  public let writer: TelemetryWriter
  private let file: TelemetryFile
  private let index: Int
  private let generation: UInt64

  fileprivate init(
    file: TelemetryFile, index: Int, generation: UInt64, session: UInt64, sites: [TelemetryFile.Site], rungs: Int
  ) {
    typealias Section = TelemetryLayout.Section
    let layout = file.layout
    let base = file.base + layout.sectionOffset(index)
    let words = base.assumingMemoryBound(to: UInt64.self)
    let recorded = min(sites.count, layout.sites)
    self.file = file
    self.index = index
    self.generation = generation
    writer = TelemetryWriter(
      section: words, records: (base + layout.recordsOffset).assumingMemoryBound(to: UInt64.self),
      capacity: UInt64(layout.records), recordWords: layout.recordByteCount / 8, siteCount: recorded,
      forkGeneration: file.forkGeneration)
    // Not in use while it is changed: what the session before left is gone from here on.
    cmachine_atomic_store(words, generation << 2 | TelemetryLayout.SectionState.free)
    cmachine_atomic_write_fence()
    for word in 1..<layout.sectionByteCount / 8 { cmachine_atomic_store_relaxed(words + word, 0) }
    for (offset, value) in [
      (Section.sessionNumber, session), (Section.modelSites, UInt64(sites.count)),
      (Section.recordedSites, UInt64(recorded)), (Section.rungs, UInt64(truncatingIfNeeded: rungs)),
      (Section.begin, clockNanoseconds(CLOCK_MONOTONIC)),
    ] { cmachine_atomic_store_relaxed(words + offset / 8, value) }
    for (index, site) in sites.prefix(recorded).enumerated() {
      TelemetrySection.write(site, words + (layout.sitesOffset + index * TelemetryLayout.siteByteCount) / 8)
    }
    cmachine_atomic_store(words, generation << 2 | TelemetryLayout.SectionState.inUse)
  }

  /// Weights, then a byte that says whether it is a table, then the name.
  private static func write(_ site: TelemetryFile.Site, _ words: UnsafeMutablePointer<UInt64>) {
    var name = Array(site.name.utf8)
    if name.count >= TelemetryLayout.siteNameByteCount {
      // Not in the middle of a character.
      var end = TelemetryLayout.siteNameByteCount - 1
      while end > 0 && name[end] & 0xC0 == 0x80 { end -= 1 }
      name.removeSubrange(end...)
    }
    cmachine_atomic_store_relaxed(words, UInt64(max(site.weights, 0)))
    let bytes = [site.isTable ? 1 : 0] + name
    for start in stride(from: 0, to: bytes.count, by: 8) {
      var word: UInt64 = 0
      for (offset, byte) in bytes[start..<min(start + 8, bytes.count)].enumerated() {
        word |= UInt64(byte) << UInt64(8 * offset)
      }
      cmachine_atomic_store_relaxed(words + 1 + start / 8, word)
    }
  }

  deinit {
    if file.isOwn {
      let words = writer.section
      cmachine_atomic_store_relaxed(words + TelemetryLayout.Section.end / 8, clockNanoseconds(CLOCK_MONOTONIC))
      cmachine_atomic_store(words, generation << 2 | TelemetryLayout.SectionState.ended)
    }
    file.release(index)
  }
}
