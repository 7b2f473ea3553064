import CMachine

/// How the steps of a run reach several threads: one trivial value, whoever owns the threads.
///
/// ``parallelFor`` calls `body(bodyContext, index)` once for each index below `count`, on any threads and in any order, and
/// returns when all calls have returned; it may be called by several threads at once.
public struct ParallelExecutor: BitwiseCopyable, @unchecked Sendable {
  public typealias Body = @convention(c) (UnsafeMutableRawPointer?, Int) -> Void
  public typealias ParallelFor =
    @convention(c) (
      UnsafeMutableRawPointer?, Int, Body?, UnsafeMutableRawPointer?
    ) -> Void

  var context: UnsafeMutableRawPointer?
  var parallelFor: ParallelFor
  /// Threads that may work at once, the calling one included.
  var width: Int
  /// Nanoseconds of work for which a further thread is worth calling.
  var laneCost = 4_000
  /// The library's own pool, which a run takes for itself first; nil for the host's threads and for none.
  var pool: ThreadPool?

  /// The calling thread and no other.
  static var alone: ParallelExecutor {
    ParallelExecutor(
      context: nil,
      parallelFor: { _, count, body, bodyContext in
        for index in 0..<count { body?(bodyContext, index) }
      }, width: 1, laneCost: 0, pool: nil)
  }

  /// What a run uses that wants at most `maximum` threads (0: all): the pool, if no other run has it. To be given back with
  /// ``release()``.
  @inline(__always)
  func acquire(maximum: Int) -> ParallelExecutor {
    let wanted = maximum == 0 ? width : min(width, maximum)
    if wanted <= 1 { return .alone }
    if let pool, !pool.acquire() { return .alone }
    var own = self
    own.width = wanted
    return own
  }

  @inline(__always)
  func release() { pool?.release() }
}
