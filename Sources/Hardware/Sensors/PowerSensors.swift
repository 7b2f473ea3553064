import Base

/// What the machine says about power and heat, all of it from files below one root folder, so that a recorded tree can stand
/// for a machine. Finding the files happens once; ``sample()`` opens each of them, some tens of microseconds per file. Not for
/// the run path.
///
/// Source: Linux, Documentation/power/powercap/powercap.rst, Documentation/hwmon/sysfs-interface.rst,
/// Documentation/ABI/testing/sysfs-class-power, Documentation/admin-guide/pm/cpufreq.rst,
/// Documentation/driver-api/thermal/sysfs-api.rst; thermal throttle counters: arch/x86/kernel/cpu/mce/therm_throt.c.
public struct PowerSensors: Sendable {
  /// An energy counter of running average power limit (RAPL), of Intel or AMD.
  public struct EnergyZone: Hashable, Sendable {
    var folder: String
    /// "package-0", "core", "uncore", "dram", "psys".
    public var name: String
    /// Where the counter starts anew, in microjoules; 0 if the machine does not say.
    public var rangeMicrojoules: Int
    /// Whole packages: their sum is what processors use. Other zones are parts of one, or the whole machine.
    public var isPackage: Bool
  }

  static let maximumZones = 16
  static let maximumFiles = 64

  private let root: RootFolder
  public let zones: [EnergyZone]
  /// Files with microwatts of something that the kernel calls a processor or a package.
  private let powerFiles: [String]
  private let batteries: [String]
  private let mains: [String]
  private let temperatures: [String]
  private let throttleCounters: [String]
  private let policies: [String]

  public init(root: RootFolder = .live) {
    self.root = root
    zones = PowerSensors.energyZones(root)
    var powers: [String] = []
    var temperatures: [String] = []
    for name in root.names("/sys/class/hwmon").prefix(PowerSensors.maximumFiles) {
      let folder = "/sys/class/hwmon/\(name)"
      guard let driver = root.text("\(folder)/name") else { continue }
      if ["amd_energy", "fam15h_power", "zenpower"].contains(driver) {
        powers += ["power1_average", "power1_input"].map { "\(folder)/\($0)" }.filter { root.number($0).value != nil }
          .prefix(1)
      }
      if ["coretemp", "k10temp", "zenpower", "cpu_thermal"].contains(driver) {
        temperatures.append("\(folder)/temp1_input")
      }
    }
    powerFiles = powers
    for name in root.names("/sys/class/thermal").prefix(PowerSensors.maximumFiles) where name.hasPrefix("thermal_zone")
    {
      let folder = "/sys/class/thermal/\(name)"
      if ["x86_pkg_temp", "cpu-thermal", "cpu_thermal", "soc_thermal"].contains(root.text("\(folder)/type")) {
        temperatures.append("\(folder)/temp")
      }
    }
    self.temperatures = Array(temperatures.prefix(PowerSensors.maximumFiles))
    var batteries: [String] = []
    var mains: [String] = []
    for name in root.names("/sys/class/power_supply").prefix(PowerSensors.maximumFiles) {
      let folder = "/sys/class/power_supply/\(name)"
      // Batteries of mice and keyboards have the scope Device.
      switch root.text("\(folder)/type") {
      case "Battery": if root.text("\(folder)/scope") != "Device" { batteries.append(folder) }
      case "Mains", "USB": mains.append(folder)
      default: break
      }
    }
    self.batteries = batteries
    self.mains = mains
    let cpus = root.names("/sys/devices/system/cpu", limit: 16384).filter { name in
      name.hasPrefix("cpu") && name.dropFirst(3).allSatisfy(\.isNumber) && name.count > 3
    }
    // Each core's counter of its package is the same: the first one of all stands for it.
    throttleCounters = Array(
      cpus.flatMap { cpu in
        ["package_throttle_count", "core_throttle_count"].map {
          "/sys/devices/system/cpu/\(cpu)/thermal_throttle/\($0)"
        }
      }.filter { root.number($0).value != nil }.prefix(PowerSensors.maximumFiles))
    policies = root.names("/sys/devices/system/cpu/cpufreq").filter { $0.hasPrefix("policy") }
      .prefix(PowerSensors.maximumFiles).map { "/sys/devices/system/cpu/cpufreq/\($0)" }
  }

  private static func energyZones(_ root: RootFolder) -> [EnergyZone] {
    var result: [EnergyZone] = []
    // "intel-rapl:0" is a package or the platform, "intel-rapl:0:1" a part of it. The zones of intel-rapl-mmio count the same
    // energy a second time.
    for name in root.names("/sys/class/powercap") where name.hasPrefix("intel-rapl:") {
      let folder = "/sys/class/powercap/\(name)"
      guard let label = root.text("\(folder)/name"), result.count < maximumZones else { continue }
      let isTop = name.split(separator: ":").count == 2
      result.append(
        EnergyZone(
          folder: folder, name: label,
          rangeMicrojoules: max(root.number("\(folder)/max_energy_range_uj").value ?? 0, 0),
          isPackage: isTop && label.hasPrefix("package")))
    }
    return result
  }

  // MARK: - Sampling

  public func sample() -> SensorSample {
    var result = SensorSample()
    result.energies = zones.map { root.number("\($0.folder)/energy_uj") }.map {
      EnergyReading(microjoules: $0.value, fault: $0.fault)
    }
    for file in powerFiles {
      guard let microwatts = root.number(file).value, microwatts >= 0 else { continue }
      result.packageMicrowatts = (result.packageMicrowatts ?? 0) &+ min(microwatts, 1 << 50)
    }
    readBatteries(&result)
    for file in temperatures {
      guard let value = root.number(file).value else { continue }
      result.millidegrees = max(result.millidegrees ?? value, value)
    }
    for file in throttleCounters {
      guard let value = root.number(file).value, value >= 0 else { continue }
      result.throttleEvents = (result.throttleEvents ?? 0) &+ min(value, 1 << 50)
    }
    readFrequencies(&result)
    result.busyNanoseconds = busyNanoseconds()
    return result
  }

  /// User, nice, system, interrupts; in hundredths of a second. Linux, Documentation/filesystems/proc.rst.
  private func busyNanoseconds() -> Int? {
    guard let line = root.text("/proc/stat")?.split(separator: "\n").first, line.hasPrefix("cpu ") else { return nil }
    let fields = line.split(separator: " ").dropFirst().map { Int($0) }
    if fields.count < 7 { return nil }
    var ticks = 0
    for index in [0, 1, 2, 5, 6] {
      guard let value = fields[index], (0...1 << 48).contains(value) else { return nil }
      ticks &+= value
    }
    return ticks &* 10_000_000
  }

  private func readBatteries(_ result: inout SensorSample) {
    for folder in batteries {
      if let percent = root.number("\(folder)/capacity").value, (0...100).contains(percent) {
        result.batteryPercent = min(result.batteryPercent ?? percent, percent)
      }
      switch root.text("\(folder)/status") {
      case "Discharging":
        result.isOnBattery = true
        var microwatts = root.number("\(folder)/power_now").value.map(\.magnitude)
        if microwatts == nil, let current = root.number("\(folder)/current_now").value?.magnitude,
          let voltage = root.number("\(folder)/voltage_now").value?.magnitude
        {
          let (product, overflow) = current.multipliedReportingOverflow(by: voltage)
          microwatts = overflow ? nil : product / 1_000_000
        }
        if let microwatts, microwatts < 1 << 50 {
          result.batteryMicrowatts = (result.batteryMicrowatts ?? 0) &+ Int(microwatts)
        }
      case nil: break
      default: result.isOnBattery = result.isOnBattery ?? false
      }
    }
    if result.isOnBattery == nil, mains.contains(where: { root.number("\($0)/online").value == 1 }) {
      result.isOnBattery = false
    }
  }

  private func readFrequencies(_ result: inout SensorSample) {
    var (sum, highest, count) = (0, 0, 0)
    for folder in policies {
      guard let now = root.number("\(folder)/scaling_cur_freq").value,
        let most = root.number("\(folder)/cpuinfo_max_freq").value, (1...1 << 40).contains(now),
        (1...1 << 40).contains(most)
      else { continue }
      sum &+= now
      highest &+= most
      count &+= 1
      if let allowed = root.number("\(folder)/scaling_max_freq").value, allowed > 0, allowed < most {
        result.isCapped = true
      }
    }
    if count > 0 {
      result.kilohertz = sum / count
      result.maximumKilohertz = highest / count
    }
  }
}

/// One energy counter at one moment.
public struct EnergyReading: Hashable, Sendable, BitwiseCopyable {
  public var microjoules: Int?
  public var fault: SensorFault

  public init(microjoules: Int?, fault: SensorFault) {
    self.microjoules = microjoules
    self.fault = fault
  }
}

/// What the sensors say at one moment; nil is what the machine does not tell.
public struct SensorSample: Hashable, Sendable {
  /// In the order of ``PowerSensors/zones``.
  public var energies: [EnergyReading] = []
  /// What a driver calls the power of processors, without a counter.
  public var packageMicrowatts: Int?
  /// What all batteries give together, the whole machine; nil while none discharges.
  public var batteryMicrowatts: Int?
  /// The emptiest battery's charge.
  public var batteryPercent: Int?
  public var isOnBattery: Bool?
  /// The hottest processor's temperature.
  public var millidegrees: Int?
  /// How often processors have throttled since the machine started.
  public var throttleEvents: Int?
  /// Mean over the frequency domains.
  public var kilohertz: Int?
  public var maximumKilohertz: Int?
  /// Somebody has forbidden the highest frequency: a power saver, or the firmware.
  public var isCapped = false
  /// Time that all hardware threads were busy since the machine started.
  public var busyNanoseconds: Int?

  public init() {}
}
