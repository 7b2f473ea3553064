/// One finished inference, as telemetry keeps it.
public struct InferenceRecord: Hashable, Sendable, BitwiseCopyable {
  /// Counts from 0 over the life of the ring.
  public var sequence: UInt64 = 0
  public var latencyNanoseconds: Int64 = 0
  /// 0 for no budget.
  public var budgetNanoseconds: Int64 = 0
  public var work: Int64 = 0
  public var rung: Int32 = 0
  public var reason = DecisionReason.initial
  public var missed = false
  /// What a budget of power had to say, if there was one.
  public var powerUnreachable = false
  public var energySource = EnergySource.none
  public var nanojoules: Float = 0
  public var recommendedIntervalNanoseconds: Int64 = 0
  /// That might work on it.
  public var threads: Int32 = 0

  public init() {}

  public init(
    latencyNanoseconds: Int, budgetNanoseconds: Int?, work: Int, rung: Int, reason: DecisionReason
  ) {
    self.latencyNanoseconds = Int64(latencyNanoseconds)
    self.budgetNanoseconds = Int64(budgetNanoseconds ?? 0)
    self.work = Int64(work)
    self.rung = Int32(truncatingIfNeeded: rung)
    self.reason = reason
    missed = budgetNanoseconds.map { latencyNanoseconds > $0 } ?? false
  }
}

/// The last inferences, in memory the caller provides and keeps alive. Not synchronized: whoever writes and reads holds
/// the session's lock.
public struct TelemetryRing: BitwiseCopyable {
  private let base: UnsafeMutablePointer<InferenceRecord>
  private let capacity: Int
  /// Records ever appended.
  public private(set) var total: UInt64 = 0

  /// - Parameters:
  ///   - base: initialized memory for `capacity` records (zero bytes will do).
  ///   - capacity: values below 1 mean that nothing is kept.
  public init(base: UnsafeMutablePointer<InferenceRecord>, capacity: Int) {
    self.base = base
    self.capacity = max(capacity, 0)
  }

  /// Records that can be read.
  public var count: Int { total >= UInt64(capacity) ? capacity : Int(truncatingIfNeeded: total) }

  /// Sets the record's sequence number and keeps it in place of the oldest.
  public mutating func append(_ record: InferenceRecord) {
    if capacity > 0 {
      let slot = Int(truncatingIfNeeded: total % UInt64(capacity))
      base[slot] = record
      base[slot].sequence = total
    }
    total &+= 1
  }

  /// Copies the newest records, oldest of them first; returns how many.
  public func copyLast(into target: UnsafeMutablePointer<InferenceRecord>, capacity limit: Int) -> Int {
    let copied = min(count, max(limit, 0))
    for index in 0..<copied {
      let sequence = total &- UInt64(copied) &+ UInt64(index)
      target[index] = base[Int(truncatingIfNeeded: sequence % UInt64(capacity))]
    }
    return copied
  }
}
