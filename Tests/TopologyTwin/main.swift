import Base
import Chwloc
import Foundation
import Hardware

// One machine as JSON, read by hwloc or by adaptq, in a process of its own: hwloc takes another root only through the
// environment (HWLOC_FSROOT, HWLOC_COMPONENTS, HWLOC_CPUID_PATH), and it maps plugins.
//
//   topology-twin hwloc           with whatever the environment says
//   topology-twin hwloc-xml FILE
//   topology-twin adaptq ROOT     and, at the end, the number of threads of this process

func sets(_ values: [CPUSet]) -> JSON { .array(values.map(\.text).sorted().map(JSON.string)) }

func report(packages: [CPUSet], nodes: [CPUSet], cores: [CPUSet], caches: [(Int, Int, CPUSet)], kinds: [CPUSet]) {
  let lines = caches.filter { !$0.2.isEmpty }.map { "L\($0.0) \($0.1) \($0.2.text)" }.sorted()
  let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count) ?? 0
  let json = JSON.object([
    .init("packages", sets(packages)), .init("nodes", sets(nodes.filter { !$0.isEmpty })), .init("cores", sets(cores)),
    .init("caches", .array(lines.map(JSON.string))),
    // Fastest first.
    .init("kinds", .array(kinds.map { .string($0.text) })), .init("threads", .integer(threads)),
  ])
  print(json.text)
}

func readWithHwloc(xml: String?) -> Bool {
  var handle: hwloc_topology_t?
  guard hwloc_topology_init(&handle) == 0, let topology = handle else { return false }
  defer { hwloc_topology_destroy(topology) }
  hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE)
  if let xml, hwloc_topology_set_xml(topology, xml) != 0 { return false }
  if hwloc_topology_load(topology) != 0 { return false }
  func objects(_ type: hwloc_obj_type_t) -> [hwloc_obj] {
    (0..<max(0, hwloc_get_nbobjs_by_type(topology, type))).compactMap {
      hwloc_get_obj_by_type(topology, type, UInt32($0))?.pointee
    }
  }
  func cpus(_ bitmap: hwloc_const_bitmap_t?) -> CPUSet {
    var set = CPUSet()
    var cpu = hwloc_bitmap_first(bitmap)
    while cpu >= 0 {
      set.insert(Int(cpu))
      cpu = hwloc_bitmap_next(bitmap, cpu)
    }
    return set
  }
  func cpus(_ object: hwloc_obj) -> CPUSet { cpus(object.cpuset) }
  var caches: [(Int, Int, CPUSet)] = []
  for (level, type) in [HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L4CACHE].enumerated() {
    for object in objects(type) { caches.append((level + 1, Int(object.attr.pointee.cache.size), cpus(object))) }
  }
  var kinds: [CPUSet] = []
  for index in 0..<max(0, hwloc_cpukinds_get_nr(topology, 0)) {
    guard let set = hwloc_bitmap_alloc() else { return false }
    defer { hwloc_bitmap_free(set) }
    if hwloc_cpukinds_get_info(topology, UInt32(index), set, nil, nil, nil, 0) == 0 { kinds.insert(cpus(set), at: 0) }
  }
  report(
    packages: objects(HWLOC_OBJ_PACKAGE).map(cpus), nodes: objects(HWLOC_OBJ_NUMANODE).map(cpus),
    cores: objects(HWLOC_OBJ_CORE).map(cpus), caches: caches, kinds: kinds)
  return true
}

let arguments = Array(CommandLine.arguments.dropFirst())
switch arguments.first {
case "hwloc": exit(readWithHwloc(xml: nil) ? 0 : 1)
case "hwloc-xml" where arguments.count == 2: exit(readWithHwloc(xml: arguments[1]) ? 0 : 1)
case "adaptq" where arguments.count == 2:
  let limits = ProcessorLimits(root: RootFolder(arguments[1]))
  let topology = limits.topology.restricted(to: limits.allowed)
  report(
    packages: topology.packages.map(\.cpus), nodes: topology.nodes.map(\.cpus), cores: topology.cores.map(\.cpus),
    caches: topology.caches.map { ($0.level, $0.byteCount, $0.cpus) }, kinds: topology.kinds.map(\.cpus))
default:
  FileHandle.standardError.write(Data("topology-twin hwloc | hwloc-xml FILE | adaptq ROOT\n".utf8))
  exit(2)
}
