/// Why the last reading of an energy counter counted for nothing.
public enum EnergyFault: UInt8, Sendable, CaseIterable, BitwiseCopyable {
  case none = 0
  /// No reading.
  case vanished = 1
  /// A reading below 0 or beyond the counter's range.
  case outOfRange = 2
  /// The counter has stood still for longer than a processor can.
  case frozen = 3
  /// More energy than any machine uses in that time, or a counter of unknown range that went back.
  case jumped = 4
  /// The clock went back, or stood still for more than a moment.
  case clock = 5
}

/// Turns readings of a counter that wraps around into energy, and finds out readings that cannot be true. Pure; time is told.
///
/// A reading that counts for nothing is where the next difference begins, so that a fault costs the energy between two
/// readings and never invents any.
public struct EnergyCounter: BitwiseCopyable, Sendable {
  /// More than any package or machine that runs one process takes: 20 kW.
  public static let mostMicrowatts = 20_000_000_000
  /// A processor takes at least a milliwatt; counters move every millisecond or so.
  public static let frozenNanoseconds = 2_000_000_000

  public private(set) var fault = EnergyFault.none
  /// Readings that counted for nothing, the first one apart.
  public private(set) var faultCount: UInt64 = 0
  /// Energy of all readings that counted.
  public private(set) var totalMicrojoules: UInt64 = 0

  private let range: Int
  private var last = 0
  private var lastTime = 0
  private var hasLast = false
  private var movedAt = 0

  /// - Parameter rangeMicrojoules: the reading behind which the counter starts at 0; 0 if unknown.
  public init(rangeMicrojoules: Int) { range = max(rangeMicrojoules, 0) }

  /// - Parameters:
  ///   - microjoules: nil if there is no reading.
  ///   - time: nanoseconds of a clock that should not go back.
  /// - Returns: microjoules used since the reading before; nil if this one counts for nothing. 0 may be true: the counter moves
  ///   in steps.
  public mutating func observe(microjoules: Int?, time: Int) -> Int? {
    guard let value = microjoules else { return failed(.vanished, rebase: false) }
    if value < 0 || (range > 0 && value > range) { return failed(.outOfRange, rebase: false) }
    if !hasLast {
      rebase(value, time)
      fault = .none
      return nil
    }
    let elapsed = time &- lastTime
    if elapsed <= 0 {
      rebase(value, time)
      return failed(.clock, rebase: true)
    }
    var difference = value &- last
    if difference < 0 {
      // One wrap; more than one between two readings cannot be seen, but would be told by a rate that is too low only.
      if range == 0 {
        rebase(value, time)
        return failed(.jumped, rebase: true)
      }
      difference = difference &+ range
    }
    // µJ per ns is 10⁹ µW. In floating point, because a long pause would overflow.
    if Double(difference) * 1e9 > Double(EnergyCounter.mostMicrowatts) * Double(elapsed) {
      rebase(value, time)
      return failed(.jumped, rebase: true)
    }
    if difference == 0 {
      if time &- movedAt > EnergyCounter.frozenNanoseconds {
        lastTime = time
        return failed(.frozen, rebase: true)
      }
    } else {
      movedAt = time
    }
    last = value
    lastTime = time
    fault = .none
    totalMicrojoules &+= UInt64(difference)
    return difference
  }

  private mutating func rebase(_ value: Int, _ time: Int) {
    last = value
    lastTime = time
    movedAt = time
    hasLast = true
  }

  private mutating func failed(_ why: EnergyFault, rebase isRebased: Bool) -> Int? {
    fault = why
    faultCount &+= 1
    // What was used meanwhile may be more than one round of the counter: begin anew with the next reading.
    if !isRebased { hasLast = false }
    return nil
  }
}

/// Mean power over the last moments, from energies and times. Trivial storage.
public struct PowerWindow: BitwiseCopyable, Sendable {
  private static let capacity = 64
  private var energies: InlineArray<64, Int>
  private var durations: InlineArray<64, Int>
  private var next = 0
  private var count = 0
  private let length: Int

  /// - Parameter nanoseconds: what the mean looks back at, at least the last entry.
  public init(nanoseconds: Int) {
    length = max(nanoseconds, 1)
    energies = InlineArray(repeating: 0)
    durations = InlineArray(repeating: 0)
  }

  public mutating func append(microjoules: Int, nanoseconds: Int) {
    if nanoseconds <= 0 || microjoules < 0 { return }
    energies[next] = microjoules
    durations[next] = nanoseconds
    next = (next &+ 1) % PowerWindow.capacity
    if count < PowerWindow.capacity { count &+= 1 }
  }

  public mutating func clear() { count = 0 }

  /// Nil before the first entry.
  public var milliwatts: Double? {
    if count == 0 { return nil }
    var (energy, time) = (0.0, 0.0)
    for age in 1...count {
      let slot = (next &- age &+ PowerWindow.capacity) % PowerWindow.capacity
      energy += Double(energies[slot])
      time += Double(durations[slot])
      if time >= Double(length) { break }
    }
    // µJ per ns is a kilowatt.
    return energy / time * 1e6
  }
}
