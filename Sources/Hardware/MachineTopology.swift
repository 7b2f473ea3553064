import Chwloc
import Glibc

/// Cores, memory nodes and cache sizes of a machine, as hwloc sees them. Facts only: no hwloc object outlives the read.
///
/// Unknown is nil, never 0. Where cores differ (hybrid CPUs) a cache size is the smallest, so that a block that is sized
/// by it fits everywhere.
public struct MachineTopology: Hashable, Sendable {
  public var cores: Int?
  /// Hardware threads that the operating system lets this process see.
  public var processingUnits: Int?
  public var numaNodes: Int?
  /// Bytes of one first-level data cache (or unified first-level cache).
  public var l1dByteCount: Int?
  /// Bytes of one second-level cache.
  public var l2ByteCount: Int?
  /// Bytes of one third-level cache; a machine may have several.
  public var l3ByteCount: Int?
  public var l3Count: Int?
  /// Hardware threads that the reading thread may run on: the default for a thread count. For a recorded machine, all.
  public var allowedProcessingUnits: Int?

  public init() {}

  /// Where to read from.
  public enum Source: Sendable {
    case thisMachine
    /// An hwloc XML file of some other machine.
    case xmlFile(path: String)
  }

  /// This machine, read once at the first use (some ten milliseconds); nil when hwloc cannot say. hwloc loads its
  /// installed plugins while it starts and unloads them before this returns; nothing of the environment is changed.
  public static let this: MachineTopology? = read(.thisMachine)

  /// Reads and lets go of the hwloc topology again. Nil when hwloc fails, for instance on a malformed file.
  public static func read(_ source: Source) -> MachineTopology? {
    var handle: hwloc_topology_t?
    guard hwloc_topology_init(&handle) == 0, let topology = handle else { return nil }
    defer { hwloc_topology_destroy(topology) }
    // Devices are not asked for: discovering them is slow and opens GPU drivers.
    if hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE) != 0 { return nil }
    if case .xmlFile(let path) = source, hwloc_topology_set_xml(topology, path) != 0 { return nil }
    if hwloc_topology_load(topology) != 0 { return nil }

    var result = MachineTopology()
    result.cores = count(topology, HWLOC_OBJ_CORE)
    result.processingUnits = count(topology, HWLOC_OBJ_PU)
    result.numaNodes = count(topology, HWLOC_OBJ_NUMANODE)
    result.l1dByteCount = smallestCache(topology, HWLOC_OBJ_L1CACHE)
    result.l2ByteCount = smallestCache(topology, HWLOC_OBJ_L2CACHE)
    result.l3ByteCount = smallestCache(topology, HWLOC_OBJ_L3CACHE)
    result.l3Count = count(topology, HWLOC_OBJ_L3CACHE)
    result.allowedProcessingUnits = allowed(topology, source) ?? result.processingUnits
    return result
  }

  private static func count(_ topology: hwloc_topology_t, _ type: hwloc_obj_type_t) -> Int? {
    let count = Int(hwloc_get_nbobjs_by_type(topology, type))
    return count > 0 ? count : nil
  }

  private static func smallestCache(_ topology: hwloc_topology_t, _ type: hwloc_obj_type_t) -> Int? {
    var smallest: Int?
    var index: UInt32 = 0
    while let object = hwloc_get_obj_by_type(topology, type, index) {
      index &+= 1
      guard let attributes = object.pointee.attr else { continue }
      let size = Int(clamping: attributes.pointee.cache.size)
      if size > 0 { smallest = min(smallest ?? size, size) }
    }
    return smallest
  }

  private static func allowed(_ topology: hwloc_topology_t, _ source: Source) -> Int? {
    guard case .thisMachine = source, let set = hwloc_bitmap_alloc() else { return nil }
    defer { hwloc_bitmap_free(set) }
    let thread = Int32(truncatingIfNeeded: HWLOC_CPUBIND_THREAD.rawValue)
    if hwloc_get_cpubind(topology, set, thread) != 0 { return nil }
    if hwloc_bitmap_and(set, set, hwloc_topology_get_topology_cpuset(topology)) != 0 { return nil }
    let weight = Int(hwloc_bitmap_weight(set))
    return weight > 0 ? weight : nil
  }

  /// Threads to use when nobody says: allowed hardware threads, else what the C library counts, at least 1.
  public static var defaultThreadCount: Int {
    if let allowed = this?.allowedProcessingUnits { return allowed }
    return max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
  }
}
