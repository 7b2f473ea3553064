import Base
import Control
import Foundation
import Hardware
import Testing

@testable import Runtime

/// Machines as trees of files in a folder of their own.
final class SensorTree {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("adaptq-sensors-\(UUID().uuidString)")
  deinit { try? FileManager.default.removeItem(at: folder) }

  func write(_ path: String, _ text: String) throws {
    let file = folder.appendingPathComponent(path)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data((text + "\n").utf8).write(to: file)
  }

  func remove(_ path: String) throws { try FileManager.default.removeItem(at: folder.appendingPathComponent(path)) }

  func zone(_ name: String, _ label: String, _ energy: Int, range: Int = 262_143_328_850) throws {
    try write("sys/class/powercap/\(name)/name", label)
    try write("sys/class/powercap/\(name)/energy_uj", "\(energy)")
    try write("sys/class/powercap/\(name)/max_energy_range_uj", "\(range)")
  }

  var monitor: PowerMonitor { PowerMonitor(root: RootFolder(folder.path)) }
}

@Suite struct PowerMonitorTests {
  static let second = 1_000_000_000

  @Test func packagesAreAddedUp() throws {
    let tree = SensorTree()
    try tree.zone("intel-rapl:0", "package-0", 1_000_000)
    try tree.zone("intel-rapl:0:0", "core", 500)
    try tree.zone("intel-rapl:1", "package-1", 262_143_000_000)
    try tree.zone("intel-rapl:2", "psys", 77)
    // The same packages a second time.
    try tree.zone("intel-rapl-mmio:0", "package-0", 1)
    let monitor = tree.monitor
    #expect(monitor.poll(time: 0).milliwatts == nil)
    try tree.zone("intel-rapl:0", "package-0", 16_000_000)
    try tree.zone("intel-rapl:1", "package-1", 9_671_150)  // wrapped: 10 J
    let state = monitor.poll(time: Self.second)
    #expect(state.source == .packageCounters && state.fault == .none)
    #expect(state.microjoules == 25_000_000)
    #expect(abs((state.milliwatts ?? 0) - 25_000) < 1e-6)
    // One vanishes: no figure is made of the other alone.
    try tree.remove("sys/class/powercap/intel-rapl:1/energy_uj")
    try tree.zone("intel-rapl:0", "package-0", 31_000_000)
    let without = monitor.poll(time: 2 * Self.second)
    #expect(without.fault == .vanished && without.faultCount == 1 && without.microjoules == 25_000_000)
    try tree.zone("intel-rapl:0", "package-0", 32_000_000)
    try tree.write("sys/class/powercap/intel-rapl:1/energy_uj", "no number")
    #expect(monitor.poll(time: 3 * Self.second).fault == .vanished)
  }

  @Test func deniedCountersAreSaidToBe() throws {
    let tree = SensorTree()
    try tree.zone("intel-rapl:0", "package-0", 1_000_000)
    var calls = SystemCalls.live
    let open = calls.openForReading
    calls.openForReading = { $0.hasSuffix("energy_uj") ? -13 : open($0) }
    let monitor = PowerMonitor(root: RootFolder(tree.folder.path, calls: calls))
    for poll in 1...3 {
      let state = monitor.poll(time: poll * Self.second)
      #expect(state.source == .packageCounters && state.fault == .denied && state.faultCount == UInt64(poll))
      #expect(state.milliwatts == nil)
    }
  }

  @Test func batteries() throws {
    let tree = SensorTree()
    try tree.write("sys/class/power_supply/AC/type", "Mains")
    try tree.write("sys/class/power_supply/AC/online", "1")
    try tree.write("sys/class/power_supply/BAT1/type", "Battery")
    try tree.write("sys/class/power_supply/BAT1/status", "Charging")
    try tree.write("sys/class/power_supply/BAT1/capacity", "81")
    try tree.write("sys/class/power_supply/mouse/type", "Battery")
    try tree.write("sys/class/power_supply/mouse/scope", "Device")
    try tree.write("sys/class/power_supply/mouse/status", "Discharging")
    try tree.write("sys/class/power_supply/mouse/power_now", "1000")
    let monitor = tree.monitor
    var state = monitor.poll(time: 0)
    #expect(state.sample.isOnBattery == false && state.sample.batteryPercent == 81 && state.source == .none)
    // Without power_now: 1.2 A at 11.5 V. Some drivers count discharging below 0.
    try tree.write("sys/class/power_supply/BAT1/status", "Discharging")
    try tree.write("sys/class/power_supply/BAT1/current_now", "-1200000")
    try tree.write("sys/class/power_supply/BAT1/voltage_now", "11500000")
    state = monitor.poll(time: Self.second)
    #expect(state.sample.isOnBattery == true && state.source == .battery)
    #expect(abs((state.milliwatts ?? 0) - 13_800) < 1)
  }

  @Test func heatAndFrequencies() throws {
    let tree = SensorTree()
    try tree.write("sys/class/hwmon/hwmon3/name", "k10temp")
    try tree.write("sys/class/hwmon/hwmon3/temp1_input", "61250")
    try tree.write("sys/class/thermal/thermal_zone0/type", "acpitz")
    try tree.write("sys/class/thermal/thermal_zone0/temp", "99000")
    for cpu in 0..<2 {
      try tree.write("sys/devices/system/cpu/cpu\(cpu)/thermal_throttle/core_throttle_count", "\(10 + cpu)")
      try tree.write("sys/devices/system/cpu/cpufreq/policy\(cpu)/scaling_cur_freq", "\(1_000_000 * (cpu + 1))")
      try tree.write("sys/devices/system/cpu/cpufreq/policy\(cpu)/cpuinfo_max_freq", "3000000")
      try tree.write("sys/devices/system/cpu/cpufreq/policy\(cpu)/scaling_max_freq", cpu == 1 ? "2000000" : "3000000")
    }
    let monitor = tree.monitor
    var state = monitor.poll(time: 0)
    #expect(state.sample.millidegrees == 61_250 && state.throttleEvents == 0)
    #expect(state.sample.kilohertz == 1_500_000 && state.sample.maximumKilohertz == 3_000_000 && state.sample.isCapped)
    try tree.write("sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "14")
    state = monitor.poll(time: Self.second)
    #expect(state.throttleEvents == 3)
  }

  /// Nothing there, and folders where files are expected.
  @Test func emptyMachines() throws {
    let tree = SensorTree()
    #expect(tree.monitor.poll(time: 0) == PowerState())
    try tree.write("sys/class/powercap/intel-rapl:0/name/x", "package-0")
    try tree.write("sys/class/power_supply/BAT0/type/x", "Battery")
    try tree.write("sys/class/hwmon/hwmon0/name/x", "k10temp")
    #expect(tree.monitor.poll(time: 0) == PowerState())
    _ = PowerMonitor().poll()
  }

  /// What runs get to see: energies that count beside what they took by their models, and the process's share.
  @Test func signal() throws {
    let tree = SensorTree()
    try tree.zone("intel-rapl:0", "package-0", 1_000_000)
    try tree.write("proc/stat", "cpu  100 0 100 5000 0 0 0 0 0 0\ncpu0 1 2 3 4")
    let signal = PowerSignal()
    let monitor = PowerMonitor(root: RootFolder(tree.folder.path), signal: signal)
    var (readings, origin, seen) = (EnergyReadings(), PowerOrigin(), UInt64(0))
    #expect(!signal.handle.load(&readings, &origin, &seen))
    _ = monitor.poll(time: 0, processTime: 0)
    #expect(signal.handle.load(&readings, &origin, &seen) && readings.number == 1 && readings.nanoseconds == 0)
    #expect(!signal.handle.load(&readings, &origin, &seen))
    #expect(origin.source == .packageCounters && !origin.hasShare)
    signal.handle.add(modelled: 2e9)
    try tree.zone("intel-rapl:0", "package-0", 7_000_000)
    // Two seconds busy, of which half a second was this process.
    try tree.write("proc/stat", "cpu  200 0 200 5000 0 0 0 0 0 0")
    let state = monitor.poll(time: Self.second, processTime: 500_000_000)
    #expect(state.processShare == 0.25)
    #expect(signal.handle.load(&readings, &origin, &seen) && origin.hasShare)
    #expect(readings.microjoules == 6_000_000 && readings.nanoseconds == 1e9 && readings.modelledNanojoules == 2e9)
    #expect(readings.sharedMicrojoules == 1_500_000 && readings.sharedNanoseconds == 2.5e8)
    #expect(origin.energySource(.process) == .process && origin.energySource(.packages) == .package)
    // What the meter did not count is not compared with what runs took meanwhile.
    signal.handle.add(modelled: 5e9)
    try tree.write("sys/class/powercap/intel-rapl:0/energy_uj", "x")
    _ = monitor.poll(time: 2 * Self.second, processTime: 0)
    #expect(signal.handle.load(&readings, &origin, &seen))
    #expect(readings.modelledNanojoules == 2e9 && readings.allModelledNanojoules == 7e9 && readings.number == 3)
    try tree.write("proc/stat", "cpu  x 0 200 5000 0 0 0 0 0 0")
    #expect(monitor.poll(time: 3 * Self.second, processTime: 0).processShare == nil)
  }

  /// Thousands of readers and a writer: never a mixture.
  @Test func signalIsNeverTorn() async {
    let signal = PowerSignal()
    await withTaskGroup(of: Int.self) { group in
      group.addTask {
        for number in 1...200_000 {
          var readings = EnergyReadings()
          let value = Double(number)
          readings.number = UInt64(number)
          (readings.microjoules, readings.nanoseconds, readings.allModelledNanojoules) = (value, value, value)
          signal.handle.store(readings, PowerOrigin())
        }
        return 0
      }
      for _ in 0..<2 {
        group.addTask {
          var (readings, origin, seen, torn) = (EnergyReadings(), PowerOrigin(), UInt64(0), 0)
          while readings.number < 200_000 {
            if !signal.handle.load(&readings, &origin, &seen) { continue }
            let value = Double(readings.number)
            if readings.microjoules != value || readings.nanoseconds != value || readings.allModelledNanojoules != value
            {
              torn += 1
            }
          }
          return torn
        }
      }
      for await torn in group { #expect(torn == 0) }
    }
  }
}

@Suite struct PollThreadTests {
  final class Counter: @unchecked Sendable {
    let lock = ForkSafeLock()
    var count = 0
    var value: Int { lock.withLock { count } }
    func add() { lock.withLock { count += 1 } }
  }

  /// It works at its distances, and not after its owner has let go.
  @Test func worksUntilItsOwnerLetsGo() throws {
    let counter = Counter()
    var thread = PollThread(name: "test", nanoseconds: 1_000_000) { counter.add() }
    #expect(thread?.isOwn == true)
    while counter.value < 5 { usleep(1000) }
    thread = nil
    let last = counter.value
    usleep(20_000)
    #expect(counter.value == last)
  }

  /// An owner that lets go in the middle of a long wait does not wait for it.
  @Test func endsAtOnce() throws {
    let counter = Counter()
    for _ in 0..<50 {
      let thread = PollThread(name: "test", nanoseconds: 3_600_000_000_000) { counter.add() }
      withExtendedLifetime(thread) {}
    }
    #expect(counter.value >= 50)
  }
}
