import Base
import CMachine
import Glibc

/// What a host says about threads.
public struct ThreadOptions: Sendable {
  /// Threads that may work on one run, the calling one included; nil: what this machine recommends.
  public var count: Int?
  /// Worker `i` is bound to `cpus[i + 1]`; the first is for the calling thread, which is left alone. Empty: workers may
  /// use what the thread that makes ``Threads`` may use.
  public var cpus: [Int] = []
  /// The host's own threads instead of the library's.
  public var host: HostThreads?
  /// Nanoseconds of work for which a further thread is called: it gets its work, and gives it back, over a few cache misses.
  public var laneCost = 4_000

  public init(count: Int? = nil) { self.count = count }
}

/// The host's own way to call a function many times.
public struct HostThreads: @unchecked Sendable {
  public var parallelFor: ParallelExecutor.ParallelFor
  public var context: UnsafeMutableRawPointer?

  public init(parallelFor: @escaping ParallelExecutor.ParallelFor, context: UnsafeMutableRawPointer?) {
    self.parallelFor = parallelFor
    self.context = context
  }
}

/// The threads that the sessions of a runtime share. Workers are made by the first ``executor()`` that needs them and end
/// with this object.
public final class Threads: @unchecked Sendable {
  /// No threads but the calling one.
  public static let alone = Threads(ThreadOptions(count: 1), recommended: { 1 })

  /// CPUs that affinity masks can name.
  public static let maximumCPUs = 8192
  public static let maximumCount = ThreadPool.maximumWidth

  private let options: ThreadOptions
  private let recommended: @Sendable () -> Int
  private let allowed: [UInt64]
  private let lock = ForkSafeLock()
  private var executors: ParallelExecutor?
  private var memory: MemoryBlock?
  private var wanted: Int?

  /// - Parameter recommended: how many threads to use where the options leave it open; asked once, when first needed.
  public init(_ options: ThreadOptions, recommended: @escaping @Sendable () -> Int) {
    self.options = options
    self.recommended = recommended
    allowed = Threads.allowedCPUs()
    // From here on every child of a fork is noticed.
    _ = cmachine_fork_generation()
  }

  deinit { executors?.pool?.stop() }

  /// What a run uses. Makes the workers at the first call, if there are to be any.
  func executor() throws(AdaptQError) -> ParallelExecutor {
    try lock.withLock { () throws(AdaptQError) in
      if let executors { return executors }
      let made = try makeExecutor()
      executors = made
      return made
    }
  }

  /// Threads that may work on a run, the calling one included. Makes none; once they are made fewer than asked for where
  /// the system refused some.
  public var count: Int {
    lock.withLock {
      if let executors { return executors.width }
      return wantedCount()
    }
  }

  /// Threads asked for that the system refused; 0 before ``executor()``.
  public var refusedCount: Int {
    lock.withLock { executors.map { (wanted ?? $0.width) - $0.width } ?? 0 }
  }

  private func wantedCount() -> Int {
    if let wanted { return wanted }
    let count = min(max(options.count ?? recommended(), 1), Threads.maximumCount)
    wanted = count
    return count
  }

  private func makeExecutor() throws(AdaptQError) -> ParallelExecutor {
    let count = wantedCount()
    if count == 1 { return .alone }
    if let host = options.host {
      return ParallelExecutor(
        context: host.context, parallelFor: host.parallelFor, width: count, laneCost: options.laneCost, pool: nil)
    }
    let masks = (1..<count).map { worker -> [UInt64] in
      if options.cpus.isEmpty { return allowed }
      var mask = [UInt64](repeating: 0, count: Threads.maximumCPUs / 64)
      let cpu = options.cpus[worker % options.cpus.count]
      mask[cpu / 64] |= 1 << UInt64(cpu % 64)
      return mask
    }
    let memory = try MemoryBlock.allocate(
      byteCount: ThreadPool.byteCount(workers: count - 1, maskWords: masks[0].count), purpose: "\(count) threads")
    self.memory = memory
    let pool = ThreadPool(memory: memory.base, workers: count - 1, masks: masks)
    if pool.width == 1 { return .alone }
    return ParallelExecutor(
      context: memory.base, parallelFor: ThreadPool.parallelFor, width: pool.width, laneCost: options.laneCost,
      pool: pool)
  }

  /// A bit for each CPU that the calling thread may use; empty if the system does not say.
  public static func allowedCPUs() -> [UInt64] {
    var words = [UInt64](repeating: 0, count: maximumCPUs / 64)
    let bytes = words.withUnsafeMutableBufferPointer { buffer -> Int in
      guard let base = buffer.baseAddress else { return 0 }
      return cmachine_allowed_cpus(base, buffer.count)
    }
    if bytes <= 0 { return [] }
    return Array(words.prefix((bytes + 7) / 8))
  }

  /// Number of ``allowedCPUs()``, at least 1.
  public static var allowedCount: Int { max(1, allowedCPUs().reduce(0) { $0 + $1.nonzeroBitCount }) }
}
