import Base
import CMachine
import Control

/// What sensors have shown, on its way from whoever polls to runs on any thread, and what runs have taken by their models, on the way
/// back. Belongs to a runtime; its sessions keep it alive.
public final class PowerSignal: @unchecked Sendable {
  let handle: PowerSignalHandle
  private let memory: UnsafeMutablePointer<UInt64>
  private static let wordCount = 32

  public init() {
    memory = .allocate(capacity: PowerSignal.wordCount)
    memory.initialize(repeating: 0, count: PowerSignal.wordCount)
    handle = PowerSignalHandle(memory: memory)
  }

  deinit { memory.deallocate() }
}

/// What stands behind readings.
struct PowerOrigin: Hashable, BitwiseCopyable {
  var source = PowerSource.none
  /// Whether the share of this process is known.
  var hasShare = false

  func energySource(_ attribution: PowerAttribution) -> EnergySource {
    if attribution == .process && hasShare { return .process }
    return source == .battery ? .machine : .package
  }
}

/// The signal for the run path: a sequence lock, so that a run never waits, and a sum on a cache line of its own. One thread at a
/// time may store.
struct PowerSignalHandle: BitwiseCopyable, @unchecked Sendable {
  /// Touched with atomics only.
  let memory: UnsafeMutablePointer<UInt64>

  /// Nanojoules of all runs, as models say.
  var modelled: UInt64 { cmachine_atomic_load(memory) }

  @inline(__always)
  func add(modelled nanojoules: Double) {
    _ = cmachine_atomic_add(memory, UInt64(clampedInt(nanojoules, in: 0...1_000_000_000_000_000)))
  }

  private var sequence: UnsafeMutablePointer<UInt64> { memory + 8 }

  func store(_ readings: EnergyReadings, _ origin: PowerOrigin) {
    let before = cmachine_atomic_load(sequence)
    cmachine_atomic_store(sequence, before &+ 1)
    let words: InlineArray<9, UInt64> = [
      readings.number, UInt64(bitPattern: Int64(readings.time)), readings.microjoules.bitPattern,
      readings.nanoseconds.bitPattern, readings.sharedMicrojoules.bitPattern, readings.sharedNanoseconds.bitPattern,
      readings.modelledNanojoules.bitPattern, readings.allModelledNanojoules.bitPattern,
      UInt64(origin.source.rawValue) | (origin.hasShare ? 256 : 0),
    ]
    for index in 0..<9 { cmachine_atomic_store(sequence + 1 + index, words[index]) }
    cmachine_atomic_store(sequence, before &+ 2)
  }

  /// - Parameter seen: the sequence number of the last readings taken; changed when there are new ones.
  /// - Returns: false if there are none, or somebody is just writing: the next run will find them.
  func load(_ readings: inout EnergyReadings, _ origin: inout PowerOrigin, _ seen: inout UInt64) -> Bool {
    let before = cmachine_atomic_load(sequence)
    if before == seen || before & 1 == 1 { return false }
    var words = InlineArray<9, UInt64>(repeating: 0)
    for index in 0..<9 { words[index] = cmachine_atomic_load(sequence + 1 + index) }
    if cmachine_atomic_load(sequence) != before { return false }
    readings.number = words[0]
    readings.time = Int(Int64(bitPattern: words[1]))
    readings.microjoules = Double(bitPattern: words[2])
    readings.nanoseconds = Double(bitPattern: words[3])
    readings.sharedMicrojoules = Double(bitPattern: words[4])
    readings.sharedNanoseconds = Double(bitPattern: words[5])
    readings.modelledNanojoules = Double(bitPattern: words[6])
    readings.allModelledNanojoules = Double(bitPattern: words[7])
    origin.source = PowerSource(rawValue: Int32(truncatingIfNeeded: words[8] & 255)) ?? .none
    origin.hasShare = words[8] & 256 != 0
    seen = before
    return true
  }
}
