extension MachineTopology {
  /// Packages, cores, data caches and core kinds out of CPUID leaves alone, for machines whose `/sys` does not show them and
  /// for recorded ones. Pure. Memory nodes are not in CPUID.
  ///
  /// Source: Intel SDM volume 3, section 9.9 "Programming Considerations for Hardware Multi-Threading Capable Processors",
  /// and volume 2A, CPUID leaves 04H, 0BH, 1AH, 1FH; AMD64 APM volume 3, appendix E, leaves 8000_0008H, 8000_001DH,
  /// 8000_001EH, 8000_0026H.
  /// - Parameter tables: CPU number, and what the CPUID instruction answers on that CPU.
  public init(cpuid tables: [(cpu: Int, table: CPUIDTable)]) {
    self.init()
    // The cores of one machine answer the same questions.
    let limit = tables.map { $0.table.registers(0).eax }.max() ?? 0
    let threads = tables.sorted { $0.cpu < $1.cpu }.map { (cpu, table) in
      var table = table
      table.entries[.init(0)]?.eax = limit
      return (cpu, CPUIDIdentity(table))
    }
    online = CPUSet(threads.map(\.0))
    var packagesByID: [UInt32: Int] = [:]
    var coresByID: [UInt32: Int] = [:]
    var kindsByClass: [CPUIDIdentity.CoreClass: CPUSet] = [:]
    var cachesByID: [CacheKey: Int] = [:]
    let hasL3 = threads.contains { $0.1.caches.contains { $0.level == 3 } }
    var classes: [CPUIDIdentity.CoreClass] = []
    for (cpu, identity) in threads {
      let package = packagesByID[identity.package, default: packages.count]
      packagesByID[identity.package] = package
      if package == packages.count { packages.append(.init(number: Int(identity.package), cpus: [])) }
      packages[package].cpus.insert(cpu)

      // Intel's low-power cores are E cores outside of the last cache.
      var coreClass = identity.coreClass
      if coreClass == .efficiency, hasL3, !identity.caches.contains(where: { $0.level == 3 }) { coreClass = .lowPower }
      kindsByClass[coreClass, default: []].insert(cpu)
      let core = coresByID[identity.core, default: cores.count]
      coresByID[identity.core] = core
      if core == cores.count {
        cores.append(.init(cpus: [], package: package, node: nil, kind: 0))
        classes.append(coreClass)
      }
      cores[core].cpus.insert(cpu)

      for cache in identity.caches {
        let key = CacheKey(level: cache.level, shift: cache.shift, id: cache.id)
        let index = cachesByID[key, default: caches.count]
        cachesByID[key] = index
        if index == caches.count {
          caches.append(
            .init(
              level: cache.level, isUnified: cache.isUnified, byteCount: cache.byteCount,
              lineByteCount: cache.lineByteCount, cpus: []))
        }
        caches[index].cpus.insert(cpu)
      }
    }
    caches.sort { ($0.level, $0.cpus.first ?? 0) < ($1.level, $1.cpus.first ?? 0) }
    let order = CPUIDIdentity.CoreClass.allCases.filter { kindsByClass[$0] != nil }
    for coreClass in order {
      let name: Kind.Name =
        switch coreClass {
        case _ where order.count == 1: .uniform
        case .performance, .unknown: .performance
        case .efficiency: .efficiency
        case .lowPower: .lowPower
        }
      kinds.append(.init(name: name, cpus: kindsByClass[coreClass] ?? []))
    }
    for (index, coreClass) in classes.enumerated() { cores[index].kind = order.firstIndex(of: coreClass) ?? 0 }
  }

  private struct CacheKey: Hashable {
    var level: Int
    var shift: UInt32
    var id: UInt32
  }
}

/// Where one hardware thread is: parts of its APIC identifier.
struct CPUIDIdentity {
  enum CoreClass: CaseIterable { case performance, unknown, efficiency, lowPower }

  struct Cache {
    var level: Int
    var isUnified: Bool
    var byteCount: Int
    var lineByteCount: Int
    /// How far the APIC identifier is shifted, and the result, equal for all threads that share the cache. Kinds of cores
    /// shift differently.
    var shift: UInt32
    var id: UInt32
  }

  var package: UInt32
  var core: UInt32
  var coreClass: CoreClass
  var caches: [Cache]

  init(_ table: CPUIDTable) {
    let isAMD = table.registers(0x8000_0001).ecx >> 22 & 1 == 1  // TOPOEXT
    let (identifier, coreShift, packageShift) =
      Self.extended(table, 0x1F) ?? Self.extended(table, 0x8000_0026)
      ?? Self.extended(table, 0xB) ?? Self.legacy(table)
    core = Self.shifted(identifier, coreShift)
    package = Self.shifted(identifier, packageShift)
    coreClass = Self.coreClass(table)
    caches = []
    for subleaf in 0..<8 as Range<UInt32> {
      let answer = table.registers(isAMD ? 0x8000_001D : 4, subleaf)
      let type = answer.eax & 31
      if type == 0 { break }
      // 2 is an instruction cache.
      if type != 1 && type != 3 { continue }
      let line = Int(answer.ebx & 0xFFF) + 1
      let partitions = Int(answer.ebx >> 12 & 0x3FF) + 1
      let ways = Int(answer.ebx >> 22) + 1
      let sharing = answer.eax >> 14 & 0xFFF
      caches.append(
        Cache(
          level: Int(answer.eax >> 5 & 7), isUnified: type == 3,
          byteCount: line * partitions * ways * (Int(answer.ecx) + 1), lineByteCount: line,
          shift: Self.bits(sharing), id: Self.shifted(identifier, Self.bits(sharing))))
    }
  }

  /// Bits that tell `highest + 1` things apart.
  private static func bits(_ highest: UInt32) -> UInt32 { UInt32(32 - highest.leadingZeroBitCount) }

  private static func shifted(_ value: UInt32, _ shift: UInt32) -> UInt32 { shift < 32 ? value >> shift : 0 }

  /// Leaves that list levels: 0BH, 1FH and AMD's 8000_0026H. EAX is how far to shift the identifier, ECX bits 15:8 the kind
  /// of the level (1 is a core's threads, 0 the end), EDX the identifier.
  private static func extended(
    _ table: CPUIDTable, _ leaf: UInt32
  ) -> (identifier: UInt32, core: UInt32, package: UInt32)? {
    let first = table.registers(leaf)
    if first.ebx & 0xFFFF == 0 { return nil }
    var core: UInt32 = 0
    var package: UInt32 = 0
    for subleaf in 0..<8 as Range<UInt32> {
      let level = table.registers(leaf, subleaf)
      let kind = level.ecx >> 8 & 0xFF
      if kind == 0 { break }
      if kind == 1 { core = level.eax & 31 }
      package = max(package, level.eax & 31)
    }
    return (first.edx, core, package)
  }

  private static func legacy(_ table: CPUIDTable) -> (identifier: UInt32, core: UInt32, package: UInt32) {
    let identifier = table.registers(1).ebx >> 24
    let logical = max(table.registers(1).ebx >> 16 & 0xFF, 1)
    if table.registers(0x8000_0001).ecx >> 22 & 1 == 1 {
      let size = table.registers(0x8000_0008).ecx
      let package = size >> 12 & 15 != 0 ? size >> 12 & 15 : bits(size & 0xFF)
      return (identifier, bits(table.registers(0x8000_001E).ebx >> 8 & 0xFF), package)
    }
    let cores = (table.registers(4).eax >> 26) + 1
    let threads = max(logical / max(cores, 1), 1)
    return (identifier, bits(threads - 1), bits(logical - 1))
  }

  private static func coreClass(_ table: CPUIDTable) -> CoreClass {
    // Intel leaf 1AH, EAX bits 31:24, on CPUs that say they are hybrid.
    if table.registers(7).edx >> 15 & 1 == 1 {
      switch table.registers(0x1A).eax >> 24 {
      case 0x40: return .performance
      case 0x20: return .efficiency
      default: return .unknown
      }
    }
    // AMD leaf 8000_0026H, EAX bit 30 at the core level: cores differ; EBX bits 31:28: which.
    let amd = table.registers(0x8000_0026)
    if amd.eax >> 30 & 1 == 1 { return amd.ebx >> 28 == 0 ? .performance : .efficiency }
    return .unknown
  }
}
