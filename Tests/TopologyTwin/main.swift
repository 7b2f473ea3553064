import Base
import CSystemHwloc
import Foundation

// One machine as JSON, read by the system's shared hwloc, in a process of its own: there hwloc takes another root only through
// the environment (HWLOC_FSROOT, HWLOC_COMPONENTS, HWLOC_CPUID_PATH), and it maps plugins.
//
//   topology-twin hwloc           with whatever the environment says
//   topology-twin hwloc-xml FILE

/// In the list format of Linux.
func text(_ bitmap: hwloc_const_bitmap_t?) -> String {
  var text: UnsafeMutablePointer<CChar>?
  guard hwloc_bitmap_list_asprintf(&text, bitmap) >= 0, let text else { return "" }
  defer { free(text) }
  return String(cString: text)
}

func sets(_ values: [String]) -> JSON { .array(values.sorted().map(JSON.string)) }

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
  func cpus(_ type: hwloc_obj_type_t) -> [String] { objects(type).map { text($0.cpuset) }.filter { !$0.isEmpty } }
  var caches: [String] = []
  for (level, type) in [HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L4CACHE].enumerated() {
    for object in objects(type) where hwloc_bitmap_iszero(object.cpuset) == 0 {
      caches.append("L\(level + 1) \(object.attr.pointee.cache.size) \(text(object.cpuset))")
    }
  }
  print(
    JSON.object([
      .init("packages", sets(cpus(HWLOC_OBJ_PACKAGE))), .init("nodes", sets(cpus(HWLOC_OBJ_NUMANODE))),
      .init("cores", sets(cpus(HWLOC_OBJ_CORE))), .init("caches", sets(caches)),
    ]).text)
  return true
}

let arguments = Array(CommandLine.arguments.dropFirst())
switch arguments.first {
case "hwloc": exit(readWithHwloc(xml: nil) ? 0 : 1)
case "hwloc-xml" where arguments.count == 2: exit(readWithHwloc(xml: arguments[1]) ? 0 : 1)
default:
  FileHandle.standardError.write(Data("topology-twin hwloc | hwloc-xml FILE\n".utf8))
  exit(2)
}
