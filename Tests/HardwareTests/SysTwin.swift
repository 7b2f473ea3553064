import Base

@testable import Hardware

/// The slow twin of the reader that asks hwloc: `/sys/devices/system`, read by itself.
///
/// Source: Linux, Documentation/ABI/stable/sysfs-devices-system-cpu, .../testing/sysfs-devices-system-cpu, and
/// .../stable/sysfs-devices-node.
enum SysTwin {
  static func read(_ root: RootFolder) -> MachineTopology {
    var reader = Reader(root: root)
    return reader.read()
  }
}

/// Collects one machine; kept apart so that each step is short.
private struct Reader {
  let root: RootFolder
  var result = MachineTopology()
  private var computeUnits: [CPUSet] = []
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
      // Two cores of AMD's family 15H share a front end and count as siblings; their numbers differ.
      let coreNumber = root.integer("\(folder)/core_id")
      let alike = CPUSet(cpus.cpus.filter { root.integer("\(base)/cpu\($0)/topology/core_id") == coreNumber })
      if alike != cpus {
        computeUnits.append(cpus)
        cpus = alike
      }
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
    // Memory without CPUs belongs to those whose memory is nearest to it.
    let withCPUs = result.nodes.filter { !$0.cpus.isEmpty }
    for index in result.nodes.indices where result.nodes[index].cpus.isEmpty {
      let row = distances(result.nodes[index].number)
      let near = withCPUs.compactMap { node in row[node.number].map { (distance: $0, cpus: node.cpus) } }
      guard let nearest = near.map(\.distance).min() else { continue }
      for node in near where node.distance == nearest {
        result.nodes[index].cpus = result.nodes[index].cpus.union(node.cpus)
      }
    }
    for index in result.cores.indices {
      let first = result.cores[index].cpus.first ?? -1
      let around = result.nodes.filter { $0.cpus.contains(first) }
      result.cores[index].node = around.min { $0.cpus.count < $1.cpus.count }?.number
    }
  }

  /// From one node to each other one, by its number: the file has one column per online node.
  private func distances(_ number: Int) -> [Int: Int] {
    let columns = root.text("/sys/devices/system/node/node\(number)/distance")?.split(separator: " ") ?? []
    var result: [Int: Int] = [:]
    for (node, column) in zip(self.result.nodes, columns) { result[node.number] = Int(column) }
    return result
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
        // Kernels of their time did not know that such cores share this cache.
        if level == 2, let unit = computeUnits.first(where: { $0.contains(cpu) }) { cpus = cpus.union(unit) }
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

  /// The rule that makes kinds of speeds is the library's: what is compared here are the speeds, and whose they are.
  private mutating func readKinds() {
    let measured = ["cpu_capacity", "cpufreq/base_frequency", "cpufreq/cpuinfo_max_freq"].lazy
      .compactMap { [self] in MachineTopology.Kind.grouped(speeds($0), online: result.online) }
    result.kinds =
      MachineTopology.Kind.announced(root, online: result.online) ?? measured.first
      ?? [.init(name: .uniform, cpus: result.online)]
    for index in result.cores.indices {
      let first = result.cores[index].cpus.first ?? -1
      result.cores[index].kind = result.kinds.firstIndex { $0.cpus.contains(first) } ?? 0
    }
  }

  private func speeds(_ file: String) -> [Int: CPUSet] {
    var groups: [Int: CPUSet] = [:]
    for cpu in result.online.cpus {
      if let value = root.integer("\(base)/cpu\(cpu)/\(file)"), value > 0 { groups[value, default: []].insert(cpu) }
    }
    return groups
  }
}
