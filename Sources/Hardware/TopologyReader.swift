import Base

extension MachineTopology {
  /// Reads `/sys/devices/system` below `root`. Never fails: a machine that shows nothing gives empty lists.
  ///
  /// hwloc would find the same, and is the twin in the tests. It is not used here because `hwloc_topology_init` maps every
  /// plugin it finds installed, GPU libraries among them, and only the environment, which belongs to the host, can stop it.
  /// Source: Linux, Documentation/ABI/stable/sysfs-devices-system-cpu, .../testing/sysfs-devices-system-cpu, and
  /// .../stable/sysfs-devices-node.
  public static func read(_ root: RootFolder) -> MachineTopology {
    var reader = TopologyReader(root: root)
    return reader.read()
  }
}

/// Collects one machine; kept apart so that each step is short.
private struct TopologyReader {
  let root: RootFolder
  var result = MachineTopology()
  private let base = "/sys/devices/system/cpu"

  init(root: RootFolder) { self.root = root }

  mutating func read() -> MachineTopology {
    result.online = onlineCPUs()
    result.memoryByteCount = memory("/proc/meminfo", prefix: "MemTotal:")
    readPackagesAndCores()
    readNodes()
    readCaches()
    readKinds()
    return result
  }

  private func onlineCPUs() -> CPUSet {
    if let text = root.text("\(base)/online"), let set = CPUSet(list: text), !set.isEmpty { return set }
    // Some records lack the list: try numbers until a long gap.
    var found = CPUSet()
    var cpu = 0
    var missing = 0
    while missing < 64 && cpu < CPUSet.limit {
      if root.text("\(base)/cpu\(cpu)/topology/core_id") != nil {
        if root.text("\(base)/cpu\(cpu)/online") != "0" { found.insert(cpu) }
        missing = 0
      } else {
        missing += 1
      }
      cpu += 1
    }
    return found
  }

  private mutating func readPackagesAndCores() {
    var unseen = result.online
    for cpu in result.online.cpus {
      let folder = "\(base)/cpu\(cpu)/topology"
      // A CPU whose package says nothing is a package of its own only if no other takes it in.
      let number = root.integer("\(folder)/physical_package_id") ?? -1
      let around =
        root.cpus(list: "\(folder)/package_cpus_list", mask: "\(folder)/package_cpus")
        ?? root.cpus(list: "\(folder)/core_siblings_list", mask: "\(folder)/core_siblings")
      if !result.packages.contains(where: { $0.cpus.contains(cpu) }) {
        let cpus = around?.contains(cpu) == true ? around?.intersection(result.online) : nil
        if let cpus {
          result.packages.append(.init(number: number, cpus: cpus))
        } else if let index = result.packages.firstIndex(where: { $0.number == number }) {
          result.packages[index].cpus.insert(cpu)
        } else {
          result.packages.append(.init(number: number, cpus: [cpu]))
        }
      }
      if !unseen.contains(cpu) { continue }
      let siblings =
        root.cpus(list: "\(folder)/core_cpus_list", mask: "\(folder)/core_cpus")
        ?? root.cpus(list: "\(folder)/thread_siblings_list", mask: "\(folder)/thread_siblings") ?? [cpu]
      // Never a CPU in two cores, whatever the files say.
      var cpus = siblings.intersection(unseen)
      cpus.insert(cpu)
      unseen = unseen.subtracting(cpus)
      let package = result.packages.firstIndex { $0.cpus.contains(cpu) } ?? 0
      result.cores.append(.init(cpus: cpus, package: package, node: nil, kind: 0))
    }
  }

  private mutating func readNodes() {
    let base = "/sys/devices/system/node"
    var numbers = root.text("\(base)/online").flatMap { CPUSet(list: $0) }?.cpus ?? []
    if numbers.isEmpty { numbers = Array(0..<64) }
    for number in numbers {
      let folder = "\(base)/node\(number)"
      guard let cpus = root.cpus(list: "\(folder)/cpulist", mask: "\(folder)/cpumap") else { continue }
      let bytes = memory("\(folder)/meminfo", prefix: "Node \(number) MemTotal:")
      result.nodes.append(.init(number: number, cpus: cpus.intersection(result.online), memoryByteCount: bytes))
    }
    for index in result.cores.indices {
      let first = result.cores[index].cpus.first ?? -1
      let around = result.nodes.filter { $0.cpus.contains(first) }
      result.cores[index].node = around.min { $0.cpus.count < $1.cpus.count }?.number
    }
  }

  /// Bytes from a line such as `MemTotal:  16384 kB`.
  private func memory(_ path: String, prefix: String) -> Int? {
    var bytes: Int?
    root.forEachLine(path) { line in
      if bytes != nil || !line.hasPrefix(prefix) { return }
      guard let number = line.dropFirst(prefix.count).split(separator: " ").first, let kibibytes = Int(number),
        kibibytes > 0
      else { return }
      let (product, overflow) = kibibytes.multipliedReportingOverflow(by: 1024)
      if !overflow { bytes = product }
    }
    return bytes
  }

  private mutating func readCaches() {
    var caches: [MachineTopology.Cache] = []
    for cpu in result.online.cpus {
      for index in 0..<10 {
        let folder = "\(base)/cpu\(cpu)/cache/index\(index)"
        guard let type = root.text("\(folder)/type"), type != "Instruction",
          let level = root.integer("\(folder)/level"), (1...9).contains(level),
          let byteCount = root.text("\(folder)/size").flatMap(Self.size)
        else { continue }
        if caches.contains(where: { $0.level == level && $0.cpus.contains(cpu) }) { continue }
        var cpus = root.cpus(list: "\(folder)/shared_cpu_list", mask: "\(folder)/shared_cpu_map") ?? [cpu]
        cpus = cpus.intersection(result.online)
        cpus.insert(cpu)
        let line = root.integer("\(folder)/coherency_line_size").flatMap { $0 > 0 ? $0 : nil }
        caches.append(
          .init(level: level, isUnified: type == "Unified", byteCount: byteCount, lineByteCount: line, cpus: cpus))
      }
    }
    result.caches = caches.sorted { ($0.level, $0.cpus.first ?? 0) < ($1.level, $1.cpus.first ?? 0) }
  }

  /// `32K`, `24M`, or bytes.
  private static func size(_ text: String) -> Int? {
    let factor = text.hasSuffix("K") ? 1024 : text.hasSuffix("M") ? 1 << 20 : text.hasSuffix("G") ? 1 << 30 : 1
    guard let number = Int(factor == 1 ? text[...] : text.dropLast()), number > 0 else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: factor)
    return overflow ? nil : product
  }

  // MARK: Kinds of cores

  private mutating func readKinds() {
    result.kinds = announcedKinds() ?? measuredKinds() ?? [.init(name: .uniform, cpus: result.online)]
    for index in result.cores.indices {
      let first = result.cores[index].cpus.first ?? -1
      result.cores[index].kind = result.kinds.firstIndex { $0.cpus.contains(first) } ?? 0
    }
  }

  /// Intel hybrid CPUs have one performance monitoring device per kind.
  private func announcedKinds() -> [MachineTopology.Kind]? {
    var kinds: [MachineTopology.Kind] = []
    let devices: [(String, MachineTopology.Kind.Name)] = [
      ("cpu_core", .performance), ("cpu_atom", .efficiency), ("cpu_lowpower", .lowPower),
    ]
    for (device, name) in devices {
      guard let set = root.text("/sys/devices/\(device)/cpus").flatMap({ CPUSet(list: $0) }) else { continue }
      let cpus = set.intersection(result.online)
      if !cpus.isEmpty { kinds.append(.init(name: name, cpus: cpus)) }
    }
    return kinds.count > 1 ? kinds : nil
  }

  /// By what the scheduler thinks of them (`cpu_capacity`), else by base frequency, else by a maximum frequency that
  /// differs by more than favoured cores of one kind do.
  private func measuredKinds() -> [MachineTopology.Kind]? {
    grouped("cpu_capacity", ratio: 1) ?? grouped("cpufreq/base_frequency", ratio: 1)
      ?? grouped("cpufreq/cpuinfo_max_freq", ratio: 1.2)
  }

  private func grouped(_ file: String, ratio: Double) -> [MachineTopology.Kind]? {
    var groups: [Int: CPUSet] = [:]
    var last: (value: Int, cpu: Int)?
    for cpu in result.online.cpus {
      // All threads of a machine have the file or none: stop at the first without.
      guard let value = root.integer("\(base)/cpu\(cpu)/\(file)"), value > 0 else {
        if last == nil { return nil }
        continue
      }
      groups[value, default: []].insert(cpu)
      last = (value, cpu)
    }
    guard groups.count > 1, let low = groups.keys.min(), let high = groups.keys.max(),
      Double(high) >= Double(low) * ratio
    else { return nil }
    var kinds: [MachineTopology.Kind] = []
    for value in groups.keys.sorted(by: >) {
      if ratio > 1, !kinds.isEmpty, let top = kinds.last?.cpus.first.flatMap({ speed($0, file) }),
        Double(top) < Double(value) * ratio
      {
        kinds[kinds.count - 1].cpus = kinds[kinds.count - 1].cpus.union(groups[value] ?? [])
      } else {
        kinds.append(.init(name: kinds.isEmpty ? .performance : .efficiency, cpus: groups[value] ?? []))
      }
    }
    return kinds.count > 1 ? kinds : nil
  }

  private func speed(_ cpu: Int, _ file: String) -> Int? { root.integer("\(base)/cpu\(cpu)/\(file)") }
}
