import Base
import Control
import Glibc
import Hardware

/// Where a power figure comes from. Raw values are those of the C ABI.
public enum PowerSource: Int32, Sendable, BitwiseCopyable {
  case none = 0
  /// Energy counters of all packages.
  case packageCounters = 1
  /// What a driver calls the power of the processors.
  case packageSensor = 2
  /// What batteries give: the whole machine.
  case battery = 3
}

/// Why the source's last reading does not count. Raw values are those of the C ABI.
public enum PowerFault: Int32, Sendable {
  case none = 0
  case vanished = 1
  case outOfRange = 2
  case frozen = 3
  case jumped = 4
  case clock = 5
  case denied = 6

  init(_ fault: EnergyFault) { self = PowerFault(rawValue: Int32(fault.rawValue)) ?? .vanished }

  public var name: String {
    switch self {
    case .none: "none"
    case .vanished: "vanished"
    case .outOfRange: "out of range"
    case .frozen: "frozen"
    case .jumped: "jumped"
    case .clock: "the clock went back"
    case .denied: "permission denied"
    }
  }
}

/// What the sensors of a machine say, as of the last poll.
public struct PowerState: Hashable, Sendable {
  public var source = PowerSource.none
  public var fault = PowerFault.none
  /// Polls whose reading of the source did not count.
  public var faultCount: UInt64 = 0
  /// Mean over the last second, or the last poll if that is longer ago; nil if unknown.
  public var milliwatts: Double?
  /// What the source counted since the first poll.
  public var microjoules: UInt64 = 0
  public var sample = SensorSample()
  /// When it was taken, monotonic.
  public var timeNanoseconds = 0
  /// Throttle events since the first poll.
  public var throttleEvents = 0
  /// Of the processors' busy time between the last two polls, what was this process's; nil if unknown.
  public var processShare: Double?

  public init() {}
}

/// Processor time of this process.
private func processNanoseconds() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return time.tv_sec &* 1_000_000_000 &+ time.tv_nsec
}

/// The sensors of a machine and what to make of their readings. Any thread; one poll at a time, another one waits. Not for
/// the run path.
public final class PowerMonitor: @unchecked Sendable {
  static let windowNanoseconds = 1_000_000_000

  private let sensors: PowerSensors
  private let lock = ForkSafeLock()
  private var counters: [EnergyCounter]
  private var window = PowerWindow(nanoseconds: PowerMonitor.windowNanoseconds)
  private var state = PowerState()
  private var lastTime: Int?
  private var firstThrottleEvents: Int?
  private let packages: [Int]
  private let signal: PowerSignal?
  private var ledger = EnergyLedger()
  /// Microjoules and nanoseconds of the present poll, if it counts.
  private var counted: (microjoules: Int, nanoseconds: Int)?
  private var lastBusy: Int?
  private var lastProcess = 0

  /// - Parameter signal: where runs look for what polls have shown.
  public init(root: RootFolder = .live, signal: PowerSignal? = nil) {
    self.signal = signal
    let sensors = PowerSensors(root: root)
    self.sensors = sensors
    counters = sensors.zones.map { EnergyCounter(rangeMicrojoules: $0.rangeMicrojoules) }
    packages = sensors.zones.indices.filter { sensors.zones[$0].isPackage }
  }

  /// Reads every sensor.
  public func poll() -> PowerState { poll(time: monotonicNanoseconds(), processTime: processNanoseconds()) }

  /// For tests: times are arguments.
  func poll(time: Int, processTime: Int = 0) -> PowerState {
    lock.withLock {
      counted = nil
      let sample = sensors.sample()
      let elapsed = lastTime.map { time &- $0 } ?? 0
      lastTime = time
      state.sample = sample
      state.timeNanoseconds = time
      if let events = sample.throttleEvents {
        let first = firstThrottleEvents ?? events
        firstThrottleEvents = first
        state.throttleEvents = max(events &- first, 0)
      }
      readEnergy(sample, time, elapsed)
      state.milliwatts = window.milliwatts
      state.processShare = share(sample.busyNanoseconds, processTime)
      publish(time)
      return state
    }
  }

  /// Counters where there are any, also when they may not be read now: another source would be another quantity.
  private func readEnergy(_ sample: SensorSample, _ time: Int, _ elapsed: Int) {
    if !packages.isEmpty {
      state.source = .packageCounters
      var energy = 0
      var fault = PowerFault.none
      var isWhole = true
      for index in packages {
        let reading = sample.energies[index]
        let used = counters[index].observe(microjoules: reading.microjoules, time: time)
        if let used { energy &+= used } else { isWhole = false }
        if counters[index].fault != .none {
          fault = reading.fault == .denied ? .denied : PowerFault(counters[index].fault)
        }
      }
      note(fault)
      if isWhole { count(energy, elapsed) }
      return
    }
    let microwatts: Int?
    if let package = sample.packageMicrowatts {
      (state.source, microwatts) = (.packageSensor, package)
    } else if let battery = sample.batteryMicrowatts {
      (state.source, microwatts) = (.battery, battery)
    } else {
      microwatts = nil
    }
    guard let microwatts else {
      // On mains a battery says nothing: that is no fault, but also no figure.
      if state.source == .packageSensor { note(.vanished) }
      window.clear()
      return
    }
    if elapsed < 0 { return note(.clock) }
    if microwatts > EnergyCounter.mostMicrowatts { return note(.jumped) }
    note(.none)
    // A power is taken to have held since the poll before.
    count(clampedInt(Double(microwatts) * Double(elapsed) / 1e9, in: 0...(1 << 60)), elapsed)
  }

  /// The part of the processors' busy time since the last poll that was this process's.
  private func share(_ busy: Int?, _ process: Int) -> Double? {
    defer { (lastBusy, lastProcess) = (busy, process) }
    guard let busy, let lastBusy else { return nil }
    let (all, own) = (busy &- lastBusy, process &- lastProcess)
    // The system counts in hundredths of a second.
    if all <= 0 || own < 0 { return own == 0 && all == 0 ? 0 : nil }
    return min(Double(own) / Double(all), 1)
  }

  /// Adds the present poll to what runs look at.
  private func publish(_ time: Int) {
    guard let signal else { return }
    ledger.add(
      time: time, microjoules: counted?.microjoules, nanoseconds: counted?.nanoseconds ?? 0, share: state.processShare,
      modelledNanojoules: signal.handle.modelled)
    signal.handle.store(ledger.readings, PowerOrigin(source: state.source, hasShare: state.processShare != nil))
  }

  private func note(_ fault: PowerFault) {
    state.fault = fault
    if fault != .none { state.faultCount &+= 1 }
  }

  private func count(_ microjoules: Int, _ nanoseconds: Int) {
    if nanoseconds <= 0 { return }
    window.append(microjoules: microjoules, nanoseconds: nanoseconds)
    state.microjoules &+= UInt64(microjoules)
    counted = (microjoules, nanoseconds)
  }
}
