import CMachine

/// A lock that a forked child finds open, whoever held it in the parent. Not for the run path.
///
/// What it protects must be whole between any two stores: the child sees what the holder had stored when the fork
/// happened, and no more comes. One word: fork generation (62 bits), 0 free, 1 held, 2 held and somebody waits.
/// After the second mutex of U. Drepper, "Futexes Are Tricky" (2011).
public final class ForkSafeLock: @unchecked Sendable {
  private let word: UnsafeMutablePointer<UInt64>

  public init() {
    word = .allocate(capacity: 1)
    word.initialize(to: 0)
  }

  deinit { word.deallocate() }

  public func withLock<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    lock()
    defer { unlock() }
    return try body()
  }

  private func lock() {
    let own = cmachine_fork_generation() << 2
    var now = cmachine_atomic_load(word)
    var wanted = own | 1
    while true {
      let isFree = now & ~3 != own || now & 3 == 0
      // Whoever has waited cannot know whether others still do.
      if isFree || now & 3 == 1 {
        let next = isFree ? wanted : own | 2
        if !cmachine_atomic_exchange_if(word, &now, next) { continue }
        if isFree { return }
        now = next
      }
      wanted = own | 2
      cmachine_futex_wait(cmachine_lower_half(word), UInt32(truncatingIfNeeded: now))
      now = cmachine_atomic_load(word)
    }
  }

  private func unlock() {
    let before = cmachine_atomic_exchange(word, cmachine_fork_generation() << 2)
    if before & 3 == 2 { cmachine_futex_wake(cmachine_lower_half(word), 1) }
  }
}
