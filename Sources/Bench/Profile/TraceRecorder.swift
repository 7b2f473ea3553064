import Base
import NestedFormat
import Runtime

/// One operator of one run.
struct TracedStep: BitwiseCopyable {
  var operation: StaticString
  /// -1: none.
  var site: Int
  var step: Int
  /// Bits of the site's level; 0 where there is none.
  var level: UInt8
  var nanoseconds: Int
}

/// Keeps the operators of the newest run, by the trace that hosts have, too.
final class TraceRecorder {
  /// Operators of one run that are kept; loops may make more.
  static let capacity = 1 << 16

  private struct Buffer: BitwiseCopyable {
    var steps: UnsafeMutablePointer<TracedStep>
    /// Operators of the run, also those that were not kept.
    var count = 0
  }

  private let memory: MemoryBlock
  private let buffer: UnsafeMutablePointer<Buffer>

  init() throws(AdaptQError) {
    memory = try MemoryBlock.allocate(
      byteCount: TraceRecorder.capacity * MemoryLayout<TracedStep>.stride, purpose: "trace")
    buffer = .allocate(capacity: 1)
    buffer.initialize(to: Buffer(steps: memory.base.assumingMemoryBound(to: TracedStep.self)))
  }

  deinit { buffer.deallocate() }

  /// Forgets the run before.
  func begin() { buffer.pointee.count = 0 }

  var steps: UnsafeBufferPointer<TracedStep> {
    UnsafeBufferPointer(start: buffer.pointee.steps, count: min(buffer.pointee.count, TraceRecorder.capacity))
  }

  var isComplete: Bool { buffer.pointee.count <= TraceRecorder.capacity }

  func attach(to session: Session) { session.setTrace(TraceRecorder.record, context: buffer) }
  func detach(from session: Session) { session.setTrace(nil, context: nil) }

  private static let record: TraceFunction = { context, event in
    guard let buffer = context?.assumingMemoryBound(to: Buffer.self) else { return }
    let index = buffer.pointee.count
    buffer.pointee.count &+= 1
    if index >= TraceRecorder.capacity { return }
    let traced = event.assumingMemoryBound(to: TraceEvent.self)
    (buffer.pointee.steps + index).initialize(
      to: TracedStep(
        operation: traced.pointee.operation, site: traced.pointee.site, step: traced.pointee.step,
        level: traced.pointee.level,
        nanoseconds: traced.pointee.endNanoseconds &- traced.pointee.beginNanoseconds))
  }
}

/// What one reading of the monotonic clock costs, in nanoseconds: the median of rounds of a thousand readings.
func clockNanoseconds() -> Double {
  let readings = 1000
  var rounds: [Double] = []
  for _ in 0..<31 {
    let start = monotonicNanoseconds()
    var last = start
    for _ in 0..<readings { last = monotonicNanoseconds() }
    rounds.append(Double(last - start) / Double(readings))
  }
  return middle(sorted: rounds.sorted())
}
