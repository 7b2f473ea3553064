import CMachine
import Control

/// What the sessions of a runtime know of the load: a ``LoadHistory``, which runs read when they begin and write when they end.
public final class SharedLoad: @unchecked Sendable {
  /// Touched with atomics only.
  let words: UnsafeMutablePointer<UInt64>

  public init() {
    words = .allocate(capacity: LoadHistory.wordCount)
    words.initialize(repeating: 0, count: LoadHistory.wordCount)
  }

  deinit { words.deallocate() }
}

/// A session's side of ``SharedLoad``, in the session's memory.
struct LoadView: BitwiseCopyable {
  var words: UnsafeMutablePointer<UInt64>
  /// When the last run ended, or the costs were measured; 0: never.
  var lastTime = 0

  /// By which factor the load has changed since, for a run that begins.
  @inline(__always)
  func change(_ time: Int) -> Double {
    LoadHistory.change(since: lastTime, at: time) { cmachine_atomic_load(words + $0) }
  }

  /// When a run has ended. Lost updates of threads that end at once do no harm: they saw the same load.
  @inline(__always)
  mutating func end(_ slowdown: Double, _ time: Int) {
    let shared = SharedSlowdown(word: cmachine_atomic_load(words)).merged(slowdown: slowdown, time: time)
    cmachine_atomic_store(words, shared.word)
    cmachine_atomic_store(words + LoadHistory.word(at: time), shared.word)
    lastTime = time
  }
}
