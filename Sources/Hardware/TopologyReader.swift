import Base
import Chwloc

extension MachineTopology {
  /// What hwloc finds below `root`. Never fails: a machine that shows nothing gives empty lists.
  ///
  /// Where hwloc cannot load, in a sandbox that hides the topology, the CPUs of `/sys/devices/system/cpu/online` are cores of
  /// one package and nothing else is known. Source: hwloc 2.9, "Topology Attributes" and "CPU Kinds"; the folder of events per
  /// kind of core is in Linux, Documentation/ABI/testing/sysfs-bus-event_source-devices.
  public static func read(_ root: RootFolder) -> MachineTopology {
    var reader = TopologyReader(root: root)
    return reader.read()
  }
}

/// Collects one machine; kept apart so that each step is short.
private struct TopologyReader {
  let root: RootFolder
  var result = MachineTopology()

  mutating func read() -> MachineTopology {
    var kinds: [MachineTopology.Kind]?
    // hwloc takes numbers as they come and would fill gigabytes, or end in an assertion.
    let online = list("/sys/devices/system/cpu/online", limit: CPUSet.limit)
    let nodes = list("/sys/devices/system/node/online", limit: 1024)
    let machine = online.isSensible && nodes.isSensible ? HwlocMachine(root) : nil
    if let machine {
      result.online = machine.online
      result.packages = machine.packages
      result.nodes = machine.nodes
      result.caches = machine.caches
      kinds = MachineTopology.Kind.announced(root, online: result.online) ?? measuredKinds(machine)
    } else {
      result.online = online.set ?? []
    }
    result.kinds = kinds ?? [.init(name: .uniform, cpus: result.online)]
    result.memoryByteCount = memory()
    claimTheRest()
    addCores(machine?.cores ?? [])
    return result
  }

  /// A list of numbers below `limit`. A missing file is sensible, an empty or malformed one is not.
  private func list(_ path: String, limit: Int) -> (set: CPUSet?, isSensible: Bool) {
    guard let text = root.text(path) else { return (nil, true) }
    guard let set = CPUSet(list: text), !set.isEmpty, (set.cpus.last ?? 0) < limit else { return (nil, false) }
    return (set, true)
  }

  /// CPUs that no package claims are one package.
  private mutating func claimTheRest() {
    let rest = result.packages.reduce(result.online) { $0.subtracting($1.cpus) }
    if rest.isEmpty { return }
    result.packages.append(.init(number: -1, cpus: rest))
    result.packages.sort { ($0.cpus.first ?? 0) < ($1.cpus.first ?? 0) }
  }

  /// The cores of hwloc, and one for each CPU that is in none.
  private mutating func addCores(_ known: [CPUSet]) {
    var unseen = result.online
    var cores: [CPUSet] = []
    for core in known {
      let cpus = core.intersection(unseen)
      if cpus.isEmpty { continue }
      unseen = unseen.subtracting(cpus)
      cores.append(cpus)
    }
    cores += unseen.cpus.map { [$0] }
    cores.sort { ($0.first ?? 0) < ($1.first ?? 0) }
    for cpus in cores {
      let first = cpus.first ?? -1
      let around = result.nodes.filter { $0.cpus.contains(first) }
      result.cores.append(
        .init(
          cpus: cpus, package: result.packages.firstIndex { $0.cpus.contains(first) } ?? 0,
          node: around.min { $0.cpus.count < $1.cpus.count }?.number,
          kind: result.kinds.firstIndex { $0.cpus.contains(first) } ?? 0))
    }
  }

  /// hwloc has the memory of the nodes, without what belongs to none.
  private func memory() -> Int? {
    var bytes: Int?
    root.forEachLine("/proc/meminfo") { line in
      if bytes != nil || !line.hasPrefix("MemTotal:") { return }
      guard let number = line.dropFirst("MemTotal:".count).split(separator: " ").first, let kibibytes = Int(number),
        kibibytes > 0
      else { return }
      let (product, overflow) = kibibytes.multipliedReportingOverflow(by: 1024)
      if !overflow { bytes = product }
    }
    return bytes
  }

  /// By what the scheduler thinks of them, else by base frequency, else by maximum frequency.
  private func measuredKinds(_ machine: HwlocMachine) -> [MachineTopology.Kind]? {
    for key in ["LinuxCapacity", "FrequencyBaseMHz", "FrequencyMaxMHz"] {
      if let kinds = MachineTopology.Kind.grouped(machine.speeds(key), online: result.online) { return kinds }
    }
    return nil
  }
}

extension MachineTopology.Kind {
  /// Intel hybrid CPUs have one performance monitoring device per kind. hwloc 2.9 would take kinds from the CPUID instruction,
  /// for which it binds the thread to every CPU in turn.
  static func announced(_ root: RootFolder, online: CPUSet) -> [MachineTopology.Kind]? {
    var kinds: [MachineTopology.Kind] = []
    let devices: [(String, Name)] = [
      ("cpu_core", .performance), ("cpu_atom", .efficiency), ("cpu_lowpower", .lowPower),
    ]
    for (device, name) in devices {
      guard let set = root.text("/sys/devices/\(device)/cpus").flatMap({ CPUSet(list: $0) }) else { continue }
      let cpus = set.intersection(online)
      if !cpus.isEmpty { kinds.append(.init(name: name, cpus: cpus)) }
    }
    return kinds.count > 1 ? kinds : nil
  }

  /// Kinds by speed; nil unless every CPU has one and they differ. Favoured cores of one kind differ by some percent: a kind
  /// begins where the next value is a sixth lower.
  static func grouped(_ groups: [Int: CPUSet], online: CPUSet) -> [MachineTopology.Kind]? {
    if !online.isSubset(of: groups.values.reduce(CPUSet()) { $0.union($1) }) { return nil }
    var kinds: [MachineTopology.Kind] = []
    var previous: Int?
    for value in groups.keys.sorted(by: >) {
      let cpus = groups[value] ?? []
      if let previous, Double(previous) < Double(value) * 1.2 {
        kinds[kinds.count - 1].cpus = kinds[kinds.count - 1].cpus.union(cpus)
      } else {
        kinds.append(.init(name: kinds.isEmpty ? .performance : .efficiency, cpus: cpus))
      }
      previous = value
    }
    return kinds.count > 1 ? kinds : nil
  }
}

/// A topology that hwloc has loaded; it goes away with this.
private final class HwlocMachine {
  private let topology: hwloc_topology_t

  init?(_ root: RootFolder) {
    let loaded = root.isLive ? chwloc_load(nil) : root.prefix.withCString { chwloc_load($0) }
    guard let loaded else { return nil }
    topology = loaded
  }

  deinit { hwloc_topology_destroy(topology) }

  /// CPUs that run, allowed to this process or not.
  var online: CPUSet { cpus(hwloc_topology_get_topology_cpuset(topology)) }

  var packages: [MachineTopology.Package] {
    objects(HWLOC_OBJ_PACKAGE).map { .init(number: number($0), cpus: cpus($0.cpuset)) }
      .sorted { ($0.cpus.first ?? 0) < ($1.cpus.first ?? 0) }
  }

  var cores: [CPUSet] { objects(HWLOC_OBJ_CORE).map { cpus($0.cpuset) } }

  /// Empty where the system says nothing of nodes: hwloc then makes one up.
  var nodes: [MachineTopology.Node] {
    guard let support = hwloc_topology_get_support(topology), support.pointee.discovery.pointee.numa != 0 else {
      return []
    }
    return objects(HWLOC_OBJ_NUMANODE)
      .map {
        .init(number: number($0), cpus: cpus($0.cpuset), memoryByteCount: size($0.attr?.pointee.numanode.local_memory))
      }
      .sorted { $0.number < $1.number }
  }

  var caches: [MachineTopology.Cache] {
    var result: [MachineTopology.Cache] = []
    let levels = [HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L4CACHE, HWLOC_OBJ_L5CACHE]
    for (index, type) in levels.enumerated() {
      for object in objects(type) {
        guard let cache = object.attr?.pointee.cache, let byteCount = size(cache.size) else { continue }
        result.append(
          .init(
            level: index + 1, isUnified: cache.type == HWLOC_OBJ_CACHE_UNIFIED, byteCount: byteCount,
            lineByteCount: cache.linesize == 0 ? nil : Int(cache.linesize), cpus: cpus(object.cpuset)))
      }
    }
    return result.sorted { ($0.level, $0.cpus.first ?? 0) < ($1.level, $1.cpus.first ?? 0) }
  }

  /// CPUs by the value that hwloc gives their kind under `key`; zero is no value.
  func speeds(_ key: String) -> [Int: CPUSet] {
    guard let set = hwloc_bitmap_alloc() else { return [:] }
    defer { hwloc_bitmap_free(set) }
    var result: [Int: CPUSet] = [:]
    for kind in 0..<max(0, hwloc_cpukinds_get_nr(topology, 0)) {
      var count: UInt32 = 0
      var infos: UnsafeMutablePointer<hwloc_info_s>?
      if hwloc_cpukinds_get_info(topology, UInt32(kind), set, nil, &count, &infos, 0) != 0 { continue }
      for info in UnsafeBufferPointer(start: infos, count: infos == nil ? 0 : Int(count)) {
        guard let name = info.name, let text = info.value, String(cString: name) == key,
          let value = Int(String(cString: text)), value > 0
        else { continue }
        result[value] = result[value, default: []].union(cpus(set))
      }
    }
    return result
  }

  private func objects(_ type: hwloc_obj_type_t) -> [hwloc_obj] {
    (0..<max(0, hwloc_get_nbobjs_by_type(topology, type))).compactMap {
      hwloc_get_obj_by_type(topology, type, UInt32($0))?.pointee
    }
  }

  /// -1 where the system gives none.
  private func number(_ object: hwloc_obj) -> Int { Int(Int32(bitPattern: object.os_index)) }

  private func size(_ bytes: UInt64?) -> Int? { bytes.flatMap { $0 == 0 ? nil : Int(exactly: $0) } }

  /// A set without an end, which only a broken file gives, is empty.
  private func cpus(_ bitmap: hwloc_const_bitmap_t?) -> CPUSet {
    guard let bitmap else { return [] }
    let count = min(hwloc_bitmap_nr_ulongs(bitmap), Int32(CPUSet.limit / 64))
    return CPUSet(words: (0..<max(0, count)).map { UInt64(hwloc_bitmap_to_ith_ulong(bitmap, UInt32($0))) })
  }
}
