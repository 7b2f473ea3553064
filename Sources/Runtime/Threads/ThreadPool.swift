import CMachine
import Glibc

/// Threads of the library, in raw memory that ``Threads`` owns: words on cache lines of their own, touched with atomics.
///
/// A job is a count of calls. Its ticket holds generation (32 bits), count (16) and the next free index (16): taking an
/// index is one compare-and-exchange, and a thread that comes late finds nothing left and is waited for by nobody. So a
/// worker that the system does not let run costs nothing but its help.
///
/// Workers look for tickets in a bounded spin, then sleep on the generation; a publisher wakes as many as it lacks.
struct ThreadPool: BitwiseCopyable, @unchecked Sendable {
  let words: UnsafeMutablePointer<UInt64>

  static let maximumWidth = 1024
  /// How long a worker looks for work, in nanoseconds: inside a run, and after its end.
  static let spinInRun = 100_000
  static let spinAfterRun = 20_000
  /// How long a run looks at the last calls before it sleeps.
  static let spinForEnd = 50_000

  // One word per cache line, then a line of words that change once per job, then a record of four words per worker.
  @inline(__always) private var ticket: UnsafeMutablePointer<UInt64> { words }
  /// Calls that workers have finished in this job.
  @inline(__always) private var done: UnsafeMutablePointer<UInt64> { words + 8 }
  @inline(__always) private var sleepers: UnsafeMutablePointer<UInt64> { words + 16 }
  /// 1 while a run has the pool.
  @inline(__always) private var taken: UnsafeMutablePointer<UInt64> { words + 24 }
  /// 1 while the run sleeps until `done` changes.
  @inline(__always) private var waits: UnsafeMutablePointer<UInt64> { words + 32 }
  @inline(__always) private var body: UnsafeMutablePointer<UInt64> { words + 40 }
  @inline(__always) private var bodyContext: UnsafeMutablePointer<UInt64> { words + 41 }
  /// Fork generation of the workers times 2; plus 1 while they are being made.
  @inline(__always) private var generation: UnsafeMutablePointer<UInt64> { words + 48 }
  @inline(__always) private var stopping: UnsafeMutablePointer<UInt64> { words + 49 }
  @inline(__always) private var workers: UnsafeMutablePointer<UInt64> { words + 50 }
  /// Workers there should be.
  @inline(__always) private var wantedWorkers: UnsafeMutablePointer<UInt64> { words + 51 }
  /// Words of the affinity masks, and where the masks are: one per worker.
  @inline(__always) private var maskWords: UnsafeMutablePointer<UInt64> { words + 52 }
  @inline(__always) private var masks: UnsafeMutablePointer<UInt64> { words + 56 + Int(wantedWorkers.pointee) &* 4 }

  /// Record of worker `index`: the pool's address, its index, its pthread_t.
  private func record(_ index: Int) -> UnsafeMutablePointer<UInt64> { words + 56 + index &* 4 }

  static func byteCount(workers: Int, maskWords: Int) -> Int { (56 + workers * (4 + maskWords)) * 8 }

  // MARK: - Making and ending

  /// Starts the workers in zeroed memory of ``byteCount(workers:maskWords:)`` bytes.
  ///
  /// - Parameter masks: for each worker the CPUs it may use, a bit each; empty leaves it those of the calling thread.
  init(memory: UnsafeMutableRawPointer, workers count: Int, masks: [[UInt64]]) {
    words = memory.assumingMemoryBound(to: UInt64.self)
    wantedWorkers.pointee = UInt64(count)
    maskWords.pointee = UInt64(masks.first?.count ?? 0)
    for (index, mask) in masks.enumerated() {
      for (word, bits) in mask.enumerated() { self.masks[index * mask.count + word] = bits }
    }
    let now = cmachine_fork_generation() << 1
    start()
    cmachine_atomic_store(generation, now)
  }

  /// Threads that can work at once, the caller included.
  var width: Int { Int(cmachine_atomic_load(workers)) &+ 1 }

  /// Workers that sleep now.
  var sleepingCount: Int { Int(cmachine_atomic_load(sleepers)) }

  /// Fewer workers than wanted where the system refuses them: the result of a run does not depend on it.
  private func start() {
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    var attributes = pthread_attr_t()
    if pthread_attr_init(&attributes) != 0 { return }
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, 1 << 20)
    // A thread begins with its maker's mask: no signal of the host may arrive in a worker.
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    for index in 0..<Int(wantedWorkers.pointee) {
      let record = record(index)
      record[0] = UInt64(UInt(bitPattern: words))
      record[1] = UInt64(index)
      var thread = pthread_t()
      if pthread_create(&thread, &attributes, ThreadPool.entry, record) != 0 { return }
      record[2] = UInt64(thread)
      cmachine_atomic_store(workers, UInt64(index + 1))
    }
  }

  /// Ends and joins the workers; nobody uses the pool any more. In a forked child there are none.
  func stop() {
    if cmachine_atomic_load(generation) != cmachine_fork_generation() << 1 { return }
    cmachine_atomic_store(stopping, 1)
    publish(count: 0)
    cmachine_futex_wake(cmachine_upper_half(ticket), Int32.max)
    for index in 0..<Int(cmachine_atomic_load(workers)) { pthread_join(pthread_t(record(index)[2]), nil) }
  }

  // MARK: - A run

  /// False if another run has the pool. The first call in a forked child makes the workers anew.
  @inline(__always)
  func acquire() -> Bool {
    let now = cmachine_fork_generation() << 1
    let known = cmachine_atomic_load(generation)
    if known != now && !restart(known, now) { return false }
    var free: UInt64 = 0
    return cmachine_atomic_exchange_if(taken, &free, 1)
  }

  @inline(__always)
  func release() { cmachine_atomic_store(taken, 0) }

  @inline(never)
  private func restart(_ known: UInt64, _ now: UInt64) -> Bool {
    var known = known
    if known == now | 1 || !cmachine_atomic_exchange_if(generation, &known, now | 1) { return false }
    for word in [ticket, done, sleepers, taken, waits, workers, stopping] { cmachine_atomic_store(word, 0) }
    start()
    cmachine_atomic_store(generation, now)
    return true
  }

  /// A ``ParallelExecutor/ParallelFor``; the context is the pool's memory. Only between ``acquire()`` and ``release()``.
  static let parallelFor: ParallelExecutor.ParallelFor = { context, count, body, bodyContext in
    guard let context, let body else { return }
    ThreadPool(words: context.assumingMemoryBound(to: UInt64.self)).run(count, body, bodyContext)
  }

  private init(words: UnsafeMutablePointer<UInt64>) { self.words = words }

  private func run(_ count: Int, _ function: ParallelExecutor.Body, _ context: UnsafeMutableRawPointer?) {
    cmachine_atomic_store(body, UInt64(UInt(bitPattern: unsafeBitCast(function, to: UnsafeRawPointer.self))))
    cmachine_atomic_store(bodyContext, UInt64(UInt(bitPattern: context)))
    cmachine_atomic_store(done, 0)
    publish(count: count)
    let asleep = Int(cmachine_atomic_load_ordered(sleepers))
    if asleep > 0 {
      let missing = count &- 1 &- (Int(cmachine_atomic_load(workers)) &- asleep)
      if missing > 0 { cmachine_futex_wake(cmachine_upper_half(ticket), Int32(truncatingIfNeeded: missing)) }
    }
    var own = 0
    while true {
      let index = claim()
      if index < 0 { break }
      function(context, index)
      own &+= 1
    }
    waitForEnd(UInt64(count &- own))
  }

  private func waitForEnd(_ others: UInt64) {
    var spins = 0
    var begin = 0
    while cmachine_atomic_load(done) != others {
      cmachine_pause()
      spins &+= 1
      if spins & 63 != 0 { continue }
      let now = monotonicNanoseconds()
      if begin == 0 { begin = now }
      if now &- begin < ThreadPool.spinForEnd { continue }
      // A worker has been interrupted in the middle.
      _ = cmachine_atomic_exchange(waits, 1)
      let finished = cmachine_atomic_load_ordered(done)
      if finished != others {
        cmachine_futex_wait(cmachine_lower_half(done), UInt32(truncatingIfNeeded: finished))
      }
      cmachine_atomic_store(waits, 0)
    }
  }

  @inline(__always)
  private func publish(count: Int) {
    let generation = (cmachine_atomic_load(ticket) >> 32 &+ 1) << 32
    _ = cmachine_atomic_exchange(ticket, generation | UInt64(truncatingIfNeeded: count) << 16)
  }

  /// The next index of the job, or -1.
  @inline(__always)
  private func claim() -> Int {
    var now = cmachine_atomic_load(ticket)
    while ThreadPool.hasWork(now) {
      if cmachine_atomic_exchange_if(ticket, &now, now &+ 1) { return Int(truncatingIfNeeded: now & 0xFFFF) }
    }
    return -1
  }

  @inline(__always)
  private static func hasWork(_ ticket: UInt64) -> Bool { ticket & 0xFFFF < ticket >> 16 & 0xFFFF }

  // MARK: - A worker

  private static let entry: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
    guard let record = argument?.assumingMemoryBound(to: UInt64.self),
      let words = UnsafeMutablePointer<UInt64>(bitPattern: UInt(record[0]))
    else { return nil }
    ThreadPool(words: words).work(Int(record[1]))
    return nil
  }

  private func work(_ index: Int) {
    var outer = cmachine_floating()
    cmachine_enter_floating(&outer)
    "adaptq-\(index)".withCString { cmachine_name_thread($0) }
    let count = Int(maskWords.pointee)
    // Where it fails the worker keeps its maker's CPUs.
    if count > 0 { _ = cmachine_bind_to_cpus(masks + index &* count, count) }
    while cmachine_atomic_load(stopping) == 0 {
      if help() { continue }
      if !spin() { sleep() }
    }
  }

  /// Takes calls of the present job until there are none; false if there was none at all.
  private func help() -> Bool {
    var now = cmachine_atomic_load(ticket)
    var helped = false
    while ThreadPool.hasWork(now) {
      // They belong to this ticket if it still is there when an index is taken.
      let function = cmachine_atomic_load(body)
      let context = cmachine_atomic_load(bodyContext)
      if !cmachine_atomic_exchange_if(ticket, &now, now &+ 1) { continue }
      if let function = UnsafeRawPointer(bitPattern: UInt(function)) {
        unsafeBitCast(function, to: ParallelExecutor.Body.self)(
          UnsafeMutableRawPointer(bitPattern: UInt(context)), Int(truncatingIfNeeded: now & 0xFFFF))
      }
      helped = true
      _ = cmachine_atomic_add(done, 1)
      if cmachine_atomic_load_ordered(waits) != 0 { cmachine_futex_wake(cmachine_lower_half(done), 1) }
      now = cmachine_atomic_load(ticket)
    }
    return helped
  }

  /// True when there is work or an end.
  private func spin() -> Bool {
    var spins = 0
    let begin = monotonicNanoseconds()
    var idleSince = 0
    while true {
      if ThreadPool.hasWork(cmachine_atomic_load(ticket)) || cmachine_atomic_load(stopping) != 0 { return true }
      cmachine_pause()
      spins &+= 1
      if spins & 31 != 0 { continue }
      let now = monotonicNanoseconds()
      if now &- begin > ThreadPool.spinInRun { return false }
      if cmachine_atomic_load(taken) != 0 {
        idleSince = 0
      } else {
        if idleSince == 0 { idleSince = now }
        if now &- idleSince > ThreadPool.spinAfterRun { return false }
      }
    }
  }

  private func sleep() {
    _ = cmachine_atomic_add(sleepers, 1)
    let now = cmachine_atomic_load_ordered(ticket)
    if !ThreadPool.hasWork(now) && cmachine_atomic_load(stopping) == 0 {
      cmachine_futex_wait(cmachine_upper_half(ticket), UInt32(truncatingIfNeeded: now >> 32))
    }
    _ = cmachine_atomic_subtract(sleepers, 1)
  }
}
