import Base
import CMachine
import Glibc

/// The same loop on several CPUs at once: each thread in memory of its own, all rounds begun together.
struct ThreadedLimit {
  var function: LimitFunction
  /// Of one call.
  var count: Int
  var workPerCall: Int
  /// Bytes that the calls of one thread walk through; 0 for loops in registers.
  var span: Int

  static let rounds = 24
  static let roundNanoseconds = 2_000_000

  /// The work per nanosecond of all threads together in the best round. A limit is what the machine can do, so the round
  /// that was disturbed least counts. One thread per entry of `cpus`, bound to it.
  ///
  /// - Returns: nil where threads could not be started.
  func best(cpus: [Int], memory: MemoryBlock) -> Double? {
    let rates = UnsafeMutablePointer<Double>.allocate(capacity: cpus.count * Self.rounds)
    rates.initialize(repeating: 0, count: cpus.count * Self.rounds)
    defer { rates.deallocate() }
    let barrier = UnsafeMutablePointer<pthread_barrier_t>.allocate(capacity: 1)
    barrier.initialize(to: pthread_barrier_t())
    defer { barrier.deallocate() }
    pthread_barrier_init(barrier, nil, UInt32(cpus.count))
    defer { pthread_barrier_destroy(barrier) }
    // Whether all threads are there: 0 not yet, 1 yes, 2 they never will be.
    let gate = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
    gate.initialize(to: 0)
    defer { gate.deallocate() }
    var threads: [pthread_t] = []
    for (index, cpu) in cpus.enumerated() {
      let worker = Worker(
        limit: self, cpu: cpu, base: UnsafeRawPointer(memory.base + index * span), barrier: barrier, gate: gate,
        rates: rates + index * Self.rounds)
      var thread = pthread_t()
      let context = Unmanaged.passRetained(worker).toOpaque()
      let status = pthread_create(
        &thread, nil,
        { context in
          if let context { Unmanaged<Worker>.fromOpaque(context).takeRetainedValue().run() }
          return nil
        }, context)
      if status != 0 {
        Unmanaged<Worker>.fromOpaque(context).release()
        break
      }
      threads.append(thread)
    }
    let isComplete = threads.count == cpus.count
    cmachine_atomic_store(gate, isComplete ? 1 : 2)
    for thread in threads { pthread_join(thread, nil) }
    if !isComplete { return nil }
    let sums = (0..<Self.rounds).map { round in
      cpus.indices.reduce(0.0) { $0 + rates[$1 * Self.rounds + round] }
    }
    return sums.max()
  }

  private final class Worker {
    let limit: ThreadedLimit
    let cpu: Int
    let base: UnsafeRawPointer
    let barrier: UnsafeMutablePointer<pthread_barrier_t>
    let gate: UnsafeMutablePointer<UInt64>
    let rates: UnsafeMutablePointer<Double>

    init(
      limit: ThreadedLimit, cpu: Int, base: UnsafeRawPointer, barrier: UnsafeMutablePointer<pthread_barrier_t>,
      gate: UnsafeMutablePointer<UInt64>, rates: UnsafeMutablePointer<Double>
    ) {
      self.limit = limit
      self.cpu = cpu
      self.base = base
      self.barrier = barrier
      self.gate = gate
      self.rates = rates
    }

    func run() {
      _ = Affinity.bind(to: cpu)
      while cmachine_atomic_load(gate) == 0 { sched_yield() }
      if cmachine_atomic_load(gate) == 2 { return }
      var position = 0
      func call() {
        limit.function(base + position, limit.count)
        position += limit.count
        if position + limit.count > limit.span { position = 0 }
      }
      // Once through everything: pages are there, caches hold what fits.
      for _ in 0..<max(1, limit.span / max(limit.count, 1)) { call() }
      for round in 0..<ThreadedLimit.rounds {
        pthread_barrier_wait(barrier)
        let start = monotonicNanoseconds()
        var calls = 0
        var now = start
        repeat {
          call()
          calls += 1
          now = monotonicNanoseconds()
        } while now - start < ThreadedLimit.roundNanoseconds
        rates[round] = Double(calls) * Double(limit.workPerCall) / Double(max(now - start, 1))
      }
    }
  }
}
