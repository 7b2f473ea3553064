/// Packages, memory nodes, cores and caches of one machine. Facts only, as plain data.
///
/// Unknown is nil or empty, never 0. What it says is what the operating system shows: inside a virtual machine, the
/// virtual CPUs.
public struct MachineTopology: Hashable, Sendable {
  /// A socket.
  public struct Package: Hashable, Sendable {
    /// The operating system's number; -1 where it gives none.
    public var number: Int
    public var cpus: CPUSet
  }

  /// Memory and the CPUs that are near to it. Memory without CPUs of its own, such as an
  /// expander, has those of the nearest nodes.
  public struct Node: Hashable, Sendable {
    public var number: Int
    public var cpus: CPUSet
    public var memoryByteCount: Int?
  }

  /// A physical core with its one or several hardware threads.
  public struct Core: Hashable, Sendable {
    public var cpus: CPUSet
    /// Index in `packages`.
    public var package: Int
    /// The number of the smallest memory node around it.
    public var node: Int?
    /// Index in `kinds`: 0 is the fastest kind.
    public var kind: Int
  }

  /// A data or unified cache and who shares it.
  public struct Cache: Hashable, Sendable {
    public var level: Int
    public var isUnified: Bool
    public var byteCount: Int
    public var lineByteCount: Int?
    public var cpus: CPUSet
  }

  /// Cores of the same speed. A machine has one kind, or several: P and E cores, big and little ones.
  public struct Kind: Hashable, Sendable {
    public enum Name: String, Hashable, Sendable {
      /// The only kind of the machine.
      case uniform
      case performance
      case efficiency
      case lowPower = "low-power"
    }
    public var name: Name
    public var cpus: CPUSet
  }

  /// In the order of their lowest CPU, as are cores and caches; nodes are in that of their numbers.
  public var packages: [Package] = []
  public var nodes: [Node] = []
  public var cores: [Core] = []
  /// By level, then by lowest CPU.
  public var caches: [Cache] = []
  /// The fastest first.
  public var kinds: [Kind] = []
  /// CPUs that run, allowed to this process or not.
  public var online = CPUSet()
  public var memoryByteCount: Int?

  public init() {}

  public func caches(level: Int) -> [Cache] { caches.filter { $0.level == level } }

  /// Where cores differ, the smallest: a block sized by it fits everywhere.
  public func smallestCacheByteCount(level: Int) -> Int? { caches(level: level).map(\.byteCount).min() }

  /// Hardware threads of the core that has most.
  public var threadsPerCore: Int { cores.map(\.cpus.count).max() ?? 1 }

  /// Without the CPUs outside `allowed`, and without what has no CPU left. Memory nodes stay.
  public func restricted(to allowed: CPUSet) -> MachineTopology {
    var result = self
    result.online = online.intersection(allowed)
    result.packages = packages.map { .init(number: $0.number, cpus: $0.cpus.intersection(allowed)) }
    result.nodes = nodes.map {
      .init(number: $0.number, cpus: $0.cpus.intersection(allowed), memoryByteCount: $0.memoryByteCount)
    }
    var renumbered: [Int: Int] = [:]
    for (index, package) in result.packages.enumerated() where !package.cpus.isEmpty {
      renumbered[index] = renumbered.count
    }
    result.packages.removeAll { $0.cpus.isEmpty }
    result.cores = cores.compactMap { core in
      let left = core.cpus.intersection(allowed)
      guard !left.isEmpty, let package = renumbered[core.package] else { return nil }
      return Core(cpus: left, package: package, node: core.node, kind: core.kind)
    }
    result.caches = caches.compactMap { cache in
      var cache = cache
      cache.cpus = cache.cpus.intersection(allowed)
      return cache.cpus.isEmpty ? nil : cache
    }
    return result
  }

  /// This machine, read once at the first use (1.5 milliseconds for 2 CPUs, most of it for small files); CPUs plugged in
  /// later are not seen.
  public static let this = MachineTopology.read(.live)
}
