import Base

/// A kernel as it lies in memory. Valid while its cache lives.
public struct InstalledCode: @unchecked Sendable {
  /// The kernel's name, the same in perf, bench and tests.
  public let name: String
  public let address: UnsafeRawPointer
  public let byteCount: Int
}

/// Generated kernels by key: each key is generated once, however many threads ask, and a failure is remembered as a failure.
///
/// Looking up takes a lock and may allocate, so it belongs to preparing, never to a run. All code is freed with the cache: whoever
/// keeps an address keeps the cache.
public final class CodeCache<Key: Hashable & Sendable>: @unchecked Sendable {
  private let mutex = ForkSafeLock()
  private let calls: CodeCalls
  private var results: [Key: Result<InstalledCode, AdaptQError>] = [:]
  private var regions: [ExecutableMemory] = []
  private var listing: [InstalledCode] = []
  private var registrations: [DebuggerRegistration] = []

  public init(calls: CodeCalls = .live) { self.calls = calls }

  /// The code for one key; `generate` runs only if nobody asked before.
  ///
  /// - Parameter generate: called under the cache's lock, so it must not use the cache. Its error is kept and thrown again.
  public func code(
    for key: Key, generate: () throws(AdaptQError) -> (name: String, bytes: [UInt8])
  ) throws(AdaptQError) -> InstalledCode {
    let result = mutex.withLock { () -> Result<InstalledCode, AdaptQError> in
      if let known = results[key] { return known }
      let made = Result { () throws(AdaptQError) in try generate() }
      publish([(key, made)])
      return results[key] ?? .failure(.internalError("machine code: nothing was published"))
    }
    return try result.get()
  }

  /// Generates every key that is not there yet and publishes all of them in one region.
  ///
  /// - Returns: one result per key, in order; failures are kept.
  public func prepare(
    _ keys: [Key], generate: (Key) throws(AdaptQError) -> (name: String, bytes: [UInt8])
  ) -> [Result<InstalledCode, AdaptQError>] {
    mutex.withLock {
      var made: [(Key, Result<(name: String, bytes: [UInt8]), AdaptQError>)] = []
      var seen: Set<Key> = []
      for key in keys where results[key] == nil && seen.insert(key).inserted {
        made.append((key, Result { () throws(AdaptQError) in try generate(key) }))
      }
      publish(made)
      return keys.map { results[$0] ?? .failure(.internalError("machine code: nothing was published")) }
    }
  }

  /// Publishes finished code without keys, in one region.
  public func install(_ pieces: [(name: String, bytes: [UInt8])]) throws(AdaptQError) -> [InstalledCode] {
    let result = mutex.withLock { Result { () throws(AdaptQError) in try place(pieces) } }
    return try result.get()
  }

  /// What was decided for a key, without generating.
  public func cached(_ key: Key) -> Result<InstalledCode, AdaptQError>? { mutex.withLock { results[key] } }

  /// Everything installed, in the order of installation.
  public var entries: [InstalledCode] { mutex.withLock { listing } }

  /// Bytes of code installed, without page rounding.
  public var byteCount: Int { entries.reduce(0) { $0 &+ $1.byteCount } }

  /// Appends all entries in the format of `/tmp/perf-PID.map` (linux: tools/perf/Documentation/jit-interface.txt).
  public func writePerfMap(path: String) throws(AdaptQError) {
    var text = ""
    for entry in entries {
      let start = String(UInt(bitPattern: entry.address), radix: 16)
      text += "\(start) \(String(entry.byteCount, radix: 16)) \(entry.name)\n"
    }
    let error = calls.append(path, Array(text.utf8))
    if error != 0 { throw AdaptQError(.ioError, "perf map \"\(path)\": \(systemErrorText(error))") }
  }

  /// Gives a debugger the names of everything installed so far, as long as the cache lives. At most once.
  public func registerWithDebugger() throws(AdaptQError) {
    let result = mutex.withLock {
      Result { () throws(AdaptQError) in
        for region in regions {
          let end = region.base + region.byteCount
          let inside = listing.filter { $0.address >= region.base && $0.address < end }
          registrations.append(try DebuggerRegistration(region, inside))
        }
      }
    }
    try result.get()
  }

  private func publish(_ made: [(Key, Result<(name: String, bytes: [UInt8]), AdaptQError>)]) {
    var good: [(key: Key, piece: (name: String, bytes: [UInt8]))] = []
    for (key, result) in made {
      switch result {
      case .success(let piece): good.append((key, piece))
      case .failure(let error): results[key] = .failure(error)
      }
    }
    if good.isEmpty { return }
    do throws(AdaptQError) {
      for (pair, installed) in zip(good, try place(good.map(\.piece))) { results[pair.key] = .success(installed) }
    } catch {
      for pair in good { results[pair.key] = .failure(error) }
    }
  }

  private func place(_ pieces: [(name: String, bytes: [UInt8])]) throws(AdaptQError) -> [InstalledCode] {
    let region = try ExecutableMemory.install(pieces.map(\.bytes), calls: calls)
    let installed = zip(pieces, region.offsets).map { piece, offset in
      InstalledCode(name: piece.name, address: region.base + offset, byteCount: piece.bytes.count)
    }
    regions.append(region)
    listing.append(contentsOf: installed)
    return installed
  }
}
