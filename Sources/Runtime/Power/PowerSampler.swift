import Base
import CMachine
import Glibc
import Hardware

/// The sensors of a runtime: read when somebody asks, by any thread, or now and then by one of its own (``PollThread``).
public final class PowerSampler: @unchecked Sendable {
  public let signal = PowerSignal()
  private let root: RootFolder
  private let lock = ForkSafeLock()
  private var monitor: PowerMonitor?
  /// Who looks at the last sample need not wait for the next one.
  private let latestLock = ForkSafeLock()
  private var last: PowerState?
  private var sink: (@Sendable (PowerState) -> Void)?

  public init(root: RootFolder) { self.root = root }

  /// Reads the sensors, which the first call finds. One call at a time, others wait.
  public func poll() -> PowerState {
    lock.withLock {
      let monitor = monitor ?? PowerMonitor(root: root, signal: signal)
      self.monitor = monitor
      let state = monitor.poll()
      latestLock.withLock { last = state }
      sink?(state)
      return state
    }
  }

  /// The last sample; nil before the first.
  public var latest: PowerState? { latestLock.withLock { last } }

  /// Gets every sample from here on; called with a lock held.
  public func setSink(_ sink: (@Sendable (PowerState) -> Void)?) { lock.withLock { self.sink = sink } }
}

/// A thread that does the same thing at fixed distances, until its owner lets go: then it is joined. It blocks all signals. A child of
/// fork() has none (``isOwn``).
public final class PollThread: @unchecked Sendable {
  private let loop: PollLoop
  private let thread: pthread_t
  private let generation = cmachine_fork_generation()

  /// - Returns: nil where the system refuses a thread.
  public init?(name: String, nanoseconds: Int, _ body: @escaping @Sendable () -> Void) {
    guard let loop = PollLoop(name: name, nanoseconds: nanoseconds, body) else { return nil }
    var attributes = pthread_attr_t()
    if pthread_attr_init(&attributes) != 0 { return nil }
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, 1 << 20)
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    var thread = pthread_t()
    let retained = Unmanaged.passRetained(loop)
    if pthread_create(&thread, &attributes, PollLoop.entry, retained.toOpaque()) != 0 {
      retained.release()
      return nil
    }
    self.loop = loop
    self.thread = thread
  }

  public var isOwn: Bool { cmachine_fork_generation() == generation }

  deinit {
    // In a child the thread is not there, and its lock may be held for ever.
    if !isOwn { return }
    loop.stop()
    // The last owner may let go on this very thread, in a callback.
    if pthread_equal(pthread_self(), thread) != 0 { pthread_detach(thread) } else { pthread_join(thread, nil) }
  }
}

/// What the thread and its owner share.
private final class PollLoop: @unchecked Sendable {
  private let name: String
  private let nanoseconds: Int
  private let body: @Sendable () -> Void
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  /// With the mutex.
  private var isStopping = false
  private let generation = cmachine_fork_generation()

  init?(name: String, nanoseconds: Int, _ body: @escaping @Sendable () -> Void) {
    self.name = name
    self.nanoseconds = max(nanoseconds, 1_000_000)
    self.body = body
    mutex = .allocate(capacity: 1)
    condition = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    condition.initialize(to: pthread_cond_t())
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    defer { pthread_condattr_destroy(&attributes) }
    // A step of the wall clock must not stretch a wait.
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    if pthread_mutex_init(mutex, nil) != 0 || pthread_cond_init(condition, &attributes) != 0 { return nil }
  }

  deinit {
    if cmachine_fork_generation() == generation {
      pthread_cond_destroy(condition)
      pthread_mutex_destroy(mutex)
    }
    condition.deallocate()
    mutex.deallocate()
  }

  func stop() {
    pthread_mutex_lock(mutex)
    isStopping = true
    pthread_cond_signal(condition)
    pthread_mutex_unlock(mutex)
  }

  static let entry: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
    guard let argument else { return nil }
    Unmanaged<PollLoop>.fromOpaque(argument).takeRetainedValue().run()
    return nil
  }

  private func run() {
    var outer = cmachine_floating()
    cmachine_enter_floating(&outer)
    name.withCString { cmachine_name_thread($0) }
    var next = monotonicNanoseconds()
    while true {
      body()
      // What took too long is not made up for.
      next = max(next &+ nanoseconds, monotonicNanoseconds())
      if waitUntil(next) { return }
    }
  }

  /// True when it is to end.
  private func waitUntil(_ time: Int) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    var end = timespec()
    end.tv_sec = time / 1_000_000_000
    end.tv_nsec = time % 1_000_000_000
    while !isStopping {
      if pthread_cond_timedwait(condition, mutex, &end) == ETIMEDOUT { break }
    }
    return isStopping
  }
}
