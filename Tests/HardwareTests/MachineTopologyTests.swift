import Base
import Foundation
@testable import Hardware
import TestSupport
import Testing

@Suite struct MachineTopologyTests {
  @Test(arguments: TreeFixture.names) func readsHandMadeMachine(_ name: String) throws {
    let tree = try TreeFixture(name)
    let limits = ProcessorLimits(root: tree.root)
    let topology = limits.topology.restricted(to: limits.allowed)
    func expect(_ key: String, _ actual: JSON?) {
      guard let wanted = tree.expected[key] else { return }
      #expect(actual == wanted, "\(name): \(key)")
    }
    func sets(_ sets: [CPUSet]) -> JSON { .array(sets.map { .string($0.text) }) }
    expect("packages", sets(topology.packages.map(\.cpus)))
    expect("nodes", sets(topology.nodes.map(\.cpus)))
    expect("cores", sets(topology.cores.map(\.cpus)))
    let caches = topology.caches.map { "L\($0.level) \($0.byteCount) \($0.cpus.text)" }
    expect("caches", .array(caches.sorted().map(JSON.string)))
    expect("kinds", sets(topology.kinds.map(\.cpus)))
    expect("kindNames", .array(topology.kinds.map { .string($0.name.rawValue) }))
    expect("memory", topology.memoryByteCount.map(JSON.integer))
    expect("quota", limits.limits.cpuQuota.map(JSON.number))
    expect("quotaFolder", limits.limits.cpuFolder.map(JSON.string))
    expect("cpuCount", limits.limits.cpuCount.map(JSON.integer))
    expect("memoryLimit", limits.limits.memoryByteCount.map(JSON.integer))
    expect("memoryFolder", limits.limits.memoryFolder.map(JSON.string))
    expect("placement", .array(limits.placement.map(JSON.integer)))
    for core in topology.cores { #expect(topology.packages[core.package].cpus.contains(core.cpus.first ?? -1)) }
  }

  @Test func quotaIsReadAgain() throws {
    let tree = try TreeFixture("quota-v2-namespace")
    var limits = ProcessorLimits(root: tree.root)
    #expect(limits.recommendedThreads == 2)
    try tree.write("/sys/fs/cgroup/cpu.max", "100000 100000\n")
    limits.refresh()
    #expect(limits.limits.cpuQuota == 1 && limits.recommendedThreads == 1)
    try tree.write("/sys/fs/cgroup/cpu.max", "max 100000\n")
    limits.refresh()
    #expect(limits.limits.cpuQuota == nil && limits.recommendedThreads == 4)
    for broken in ["", "x", "100000", "0 0", "-5 100000", "100000 0", "99999999999999999999 1", "1 2 3"] {
      try tree.write("/sys/fs/cgroup/cpu.max", broken)
      limits.refresh()
      #expect(limits.limits.cpuQuota == nil, "\"\(broken)\"")
    }
  }

  @Test func thisMachineIsPlausible() throws {
    let limits = ProcessorLimits()
    let topology = limits.topology
    #expect(limits.allowed.count == ProcessInfo.processInfo.activeProcessorCount)
    #expect(limits.allowed.isSubset(of: topology.online))
    #expect(topology.cores.reduce(0) { $0 + $1.cpus.count } == topology.online.count)
    #expect((1...limits.allowed.count).contains(limits.recommendedThreads))
    #expect(MachineTopology.defaultThreadCount == limits.recommendedThreads)
    print("this machine: threads go to \(limits.placement), allowed \(limits.allowed.text), limits \(limits.limits)")
  }

  /// Whatever files say, nothing traps and a thread has a place.
  @Test func survivesNonsense() throws {
    let tree = try TreeFixture("hybrid")
    var random = SeededRandom("MachineTopology nonsense")
    let words = [
      "0-3", "-1", "", "99999999", "0-", "7,3,,", "x", "0x", "ffffffff,0", "4K", "99999999999G", "0:1", "5-2",
    ]
    var files: [String] = []
    let names = FileManager.default.enumerator(atPath: tree.folder.path)
    while let name = names?.nextObject() as? String {
      var isFolder: ObjCBool = false
      let path = tree.folder.appendingPathComponent(name).path
      if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue {
        files.append(name)
      }
    }
    files.sort()
    for index in 0..<100 {
      for _ in 0..<4 {
        let file = files[Int(random.next() % UInt64(files.count))]
        try tree.write("/" + file, words[Int(random.next() % UInt64(words.count))])
      }
      let limits = ProcessorLimits(root: tree.root)
      #expect(!limits.placement.isEmpty, "case \(index)")
      let inCores = limits.topology.cores.flatMap(\.cpus.cpus)
      #expect(Set(inCores).count == inCores.count, "case \(index): a CPU is in two cores")
    }
  }

  @Test func placementObeysEveryLimit() {
    var topology = MachineTopology()
    topology.online = CPUSet(0..<12)
    topology.kinds = [.init(name: .performance, cpus: CPUSet(8..<12)), .init(name: .efficiency, cpus: CPUSet(0..<8))]
    topology.cores = (0..<8).map { .init(cpus: [$0], package: 0, node: 0, kind: 1) }
    topology.cores += [
      .init(cpus: [8, 9], package: 0, node: 0, kind: 0), .init(cpus: [10, 11], package: 0, node: 0, kind: 0),
    ]
    #expect(threadPlacement(topology: topology, allowed: []) == [8, 10, 0, 1, 2, 3, 4, 5, 6, 7])
    #expect(threadPlacement(topology: topology, allowed: [], cpuCount: 3) == [8, 10, 0])
    #expect(threadPlacement(topology: topology, allowed: [9, 11, 5], cpuCount: 8) == [9, 11, 5])
    #expect(threadPlacement(topology: topology, allowed: [3], cpuCount: 0) == [3])
    #expect(threadPlacement(topology: topology, allowed: [40, 41]) == [40, 41], "plugged in since")
    #expect(threadPlacement(topology: MachineTopology(), allowed: []) == [0])
  }
}

@Suite struct CPUSetTests {
  @Test(arguments: [
    ("", ""), ("0", "0"), ("0-3,8", "0-3,8"), ("3,2,1", "1-3"), ("0-10:5\n", "0,5,10"), ("64-66", "64-66"),
  ]) func listsParse(_ text: String, _ expected: String) throws {
    let set = try #require(CPUSet(list: text))
    #expect(set.text == expected)
    #expect(CPUSet(list: set.text) == set)
  }

  @Test(arguments: ["x", "-", "1-", "-1", "3-1", "1,,2", "99999999999", "0-16384", "1:2:3", "0-3:0", "+1", "1 2"])
  func wrongListsAreNil(_ text: String) { #expect(CPUSet(list: text) == nil) }

  @Test func masksParse() throws {
    #expect(CPUSet(mask: "00000000,000000ff")?.text == "0-7")
    #expect(CPUSet(mask: "0x00000001,00000002")?.text == "1,32")
    for wrong in ["", "x", "1,,2", "123456789"] { #expect(CPUSet(mask: wrong) == nil, "\(wrong)") }
  }

  @Test func agreesWithSets() {
    var random = SeededRandom("CPUSet")
    for index in 0..<200 {
      let a = Set((0..<20).map { _ in Int(random.next() % 200) })
      let b = Set((0..<20).map { _ in Int(random.next() % 200) })
      let (x, y) = (CPUSet(a), CPUSet(b))
      #expect(x.cpus == a.sorted() && x.count == a.count && x.first == a.min(), "case \(index)")
      #expect(x.union(y).cpus == a.union(b).sorted(), "case \(index)")
      #expect(x.intersection(y).cpus == a.intersection(b).sorted(), "case \(index)")
      #expect(x.subtracting(y).cpus == a.subtracting(b).sorted(), "case \(index)")
      #expect(x.isSubset(of: y) == a.isSubset(of: b) && CPUSet(list: x.text) == x, "case \(index)")
    }
  }
}
