import Base
import CMachine
import Glibc
import Hardware

/// Where the numbers come from.
public struct Machine: Sendable {
  public var cpu: String
  /// Logical CPUs that the process may run on.
  public var allowedCPUs: [Int]
  /// The one that the measuring thread is bound to; nil when the system refused.
  public var pinnedCPU: Int?
  public var l2ByteCount: Int
  public var l3ByteCount: Int
  /// What the system says it could give without swapping; nil when it does not say.
  public var availableMemory: Int?

  /// The one that the measuring thread is bound to and another one, the first: rarely a hardware thread of the same core.
  /// Empty where there are no two.
  var twoCPUs: [Int] {
    guard let pinnedCPU, let other = allowedCPUs.first(where: { $0 != pinnedCPU }) else { return [] }
    return [pinnedCPU, other]
  }

  /// Reads the facts, then binds the calling thread to the last CPU it may use.
  static func pinned() -> Machine {
    let topology = MachineTopology.this
    let allowed = Affinity.allowed()
    var pinned: Int?
    if let last = allowed.last, Affinity.bind(to: last) { pinned = last }
    return Machine(
      cpu: CPUFeatures.live().brand ?? "unknown CPU", allowedCPUs: allowed, pinnedCPU: pinned,
      l2ByteCount: topology.smallestCacheByteCount(level: 2) ?? 512 << 10,
      l3ByteCount: topology.smallestCacheByteCount(level: 3) ?? 32 << 20,
      availableMemory: readAvailableMemory())
  }

  /// `MemAvailable` of /proc/meminfo (proc(5)), in bytes.
  private static func readAvailableMemory() -> Int? {
    let descriptor = open("/proc/meminfo", O_RDONLY | O_CLOEXEC)
    if descriptor < 0 { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(descriptor, &bytes, bytes.count)
    if count <= 0 { return nil }
    for line in String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n")
    where line.hasPrefix("MemAvailable:") {
      let words = line.split(separator: " ")
      if words.count >= 2, let kibibytes = Int(words[1]), kibibytes < 1 << 50 { return kibibytes << 10 }
    }
    return nil
  }
}

/// Which CPUs the calling thread may use, as sched_setaffinity(2) has it.
enum Affinity {
  private static let words = 128

  /// Ascending; empty when the system does not say.
  static func allowed() -> [Int] {
    var mask = [UInt64](repeating: 0, count: words)
    if cmachine_allowed_cpus(&mask, words) < 0 { return [] }
    return (0..<(words * 64)).filter { mask[$0 / 64] >> UInt64($0 % 64) & 1 == 1 }
  }

  static func bind(to cpu: Int) -> Bool {
    if cpu < 0 || cpu >= words * 64 { return false }
    var mask = [UInt64](repeating: 0, count: words)
    mask[cpu / 64] = 1 << UInt64(cpu % 64)
    return cmachine_bind_to_cpus(&mask, words) == 0
  }
}
