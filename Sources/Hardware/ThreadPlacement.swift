import CMachine
import Glibc

/// Which CPUs threads go to when nobody says: one per physical core of the allowed set, the fastest cores first, never more
/// than the quota. At least one.
///
/// Pure: the same arguments give the same answer. Second hardware threads of a core are left out: the kernels keep a core's
/// arithmetic units or its caches busy with one.
/// - Parameters:
///   - allowed: CPUs that the process may use. Empty means unknown: all that are online.
///   - cpuCount: whole CPUs that the quota pays for (`ControlGroups.Limits.cpuCount`); nil without a quota.
/// - Returns: CPU numbers, best first: a pool of n threads takes the first n.
public func threadPlacement(topology: MachineTopology, allowed: CPUSet, cpuCount: Int? = nil) -> [Int] {
  let usable = allowed.isEmpty ? topology.online : allowed
  var candidates: [(kind: Int, node: Int, cpu: Int)] = []
  var known = CPUSet()
  for core in topology.cores {
    known = known.union(core.cpus)
    guard let cpu = core.cpus.intersection(usable).first else { continue }
    candidates.append((core.kind, core.node ?? 0, cpu))
  }
  // CPUs that no core claims: a sandbox that hides the topology, or a CPU plugged in later.
  for cpu in usable.subtracting(known).cpus { candidates.append((topology.kinds.count, 0, cpu)) }
  let order = candidates.sorted { ($0.kind, $0.node, $0.cpu) < ($1.kind, $1.node, $1.cpu) }.map(\.cpu)
  if order.isEmpty { return [0] }
  return Array(order.prefix(max(1, cpuCount ?? order.count)))
}

extension CPUSet {
  /// CPUs that the calling thread may run on now, cpusets included; empty when the system does not say.
  public static func allowedForThisThread() -> CPUSet {
    let words = Self.limit / 64
    return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: words) { buffer in
      guard let base = buffer.baseAddress else { return CPUSet() }
      base.initialize(repeating: 0, count: words)
      if cmachine_allowed_cpus(base, words) < 0 { return CPUSet() }
      return CPUSet(words: Array(buffer))
    }
  }
}

/// What threads are decided by, read together.
public struct ProcessorLimits: Sendable {
  public var topology: MachineTopology
  public var allowed: CPUSet
  public var limits: ControlGroups.Limits
  private let groups: ControlGroups

  /// Reads this machine (its topology once per process) or a recorded one.
  public init(root: RootFolder = .live) {
    groups = ControlGroups(root: root)
    topology = root.isLive ? .this : .read(root)
    allowed = CPUSet()
    limits = groups.limits()
    allowed = Self.allowed(root, groups, topology)
  }

  /// Reads quota and memory limit again, and the calling thread's CPUs; a few system calls.
  public mutating func refresh() {
    limits = groups.limits()
    if groups.isLive { allowed = Self.allowed(.live, groups, topology) }
  }

  /// CPUs for threads, best first: ``threadPlacement(topology:allowed:cpuCount:)`` of what was read.
  public var placement: [Int] { threadPlacement(topology: topology, allowed: allowed, cpuCount: limits.cpuCount) }

  /// Threads to use when nobody says; at least 1.
  public var recommendedThreads: Int { placement.count }

  private static func allowed(_ root: RootFolder, _ groups: ControlGroups, _ topology: MachineTopology) -> CPUSet {
    if root.isLive { return .allowedForThisThread() }
    var line: CPUSet?
    root.forEachLine("/proc/self/status") { text in
      if text.hasPrefix("Cpus_allowed_list:") { line = CPUSet(list: text.dropFirst("Cpus_allowed_list:".count)) }
    }
    let set = (line ?? groups.allowedCPUs() ?? topology.online).intersection(topology.online)
    return set.isEmpty ? topology.online : set
  }
}

extension MachineTopology {
  /// Threads to use when nobody says: physical cores of the allowed set, within the quota; at least 1. Reads both anew.
  public static var defaultThreadCount: Int { ProcessorLimits().recommendedThreads }
}
