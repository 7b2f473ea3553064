import Foundation
import Glibc
import TestSupport
import Testing

@testable import Hardware

/// hwloc as a guest in this process: it answers for the root it is asked about, survives what lies there, and leaves nothing
/// changed.
@Suite(.serialized) struct HwlocTests {
  @Test func twoThreadsReadTwoRoots() throws {
    let trees = try ["hybrid", "numa-smt"].map { try TreeFixture($0) }
    let roots = trees.map(\.root)
    let alone = roots.map { MachineTopology.read($0) }
    #expect(alone[0].online.count == 8 && alone[1].online.count == 7)
    let lock = NSLock()
    nonisolated(unsafe) var wrong = 0
    DispatchQueue.concurrentPerform(iterations: 200) { index in
      if MachineTopology.read(roots[index % 2]) != alone[index % 2] { lock.withLock { wrong += 1 } }
    }
    #expect(wrong == 0)
    withExtendedLifetime(trees) {}
  }

  @Test func theThreadStaysAsItWas() throws {
    let tree = try TreeFixture("hybrid")
    let before = CPUSet.allowedForThisThread()
    let locale = uselocale(nil)
    _ = MachineTopology.read(tree.root)
    _ = MachineTopology.read(.live)
    #expect(CPUSet.allowedForThisThread() == before)
    #expect(uselocale(nil) == locale)
    // Other tests open files meanwhile: only what lies below this test's own folder is counted.
    #expect(descriptors(below: tree.folder.path) == 0)
    let open = try FileHandle(forReadingFrom: tree.folder.appendingPathComponent("sys/devices/system/cpu/online"))
    #expect(descriptors(below: tree.folder.path) == 1, "an open one is seen")
    try open.close()
  }

  /// hwloc asserts that a folder of nodes has a node in it.
  @Test func aBrokenAssertionIsAnUnknownTopology() throws {
    let tree = try TreeFixture("hybrid")
    let nodes = tree.folder.appendingPathComponent("sys/devices/system/node")
    try FileManager.default.removeItem(at: nodes)
    try FileManager.default.createDirectory(at: nodes, withIntermediateDirectories: false)
    let topology = MachineTopology.read(tree.root)
    #expect(topology.online.text == "0-7" && topology.caches.isEmpty && topology.nodes.isEmpty)
    #expect(topology.packages.map(\.cpus.text) == ["0-7"] && topology.cores.count == 8)
    #expect(topology.kinds.map(\.name) == [.uniform])
    let whole = try TreeFixture("hybrid")
    #expect(MachineTopology.read(whole.root).caches.count > 1, "the next one works")
  }

  @Test func listsThatLinuxCannotHaveAreNotBelieved() throws {
    for file in ["cpu/online", "node/online"] {
      let tree = try TreeFixture("hybrid")
      for list in ["", "x", "0-99999999999", "0-", "4294967295", "99999", "-1", "0-16383,99999999"] {
        try tree.write("/sys/devices/system/\(file)", list)
        let topology = MachineTopology.read(tree.root)
        #expect(topology.caches.isEmpty && topology.nodes.isEmpty, "\(file) = \(list)")
        #expect(topology.online == (file.hasPrefix("cpu") ? [] : CPUSet(0..<8)), "\(file) = \(list)")
      }
    }
  }

  /// Every file in turn empty, cut, a folder, unreadable text, huge numbers, or away.
  @Test(arguments: ["hybrid", "numa-smt"]) func survivesEveryFile(_ name: String) throws {
    let files = try TreeFixture(name)
    var names: [String] = []
    let walk = FileManager.default.enumerator(atPath: files.folder.path)
    while let path = walk?.nextObject() as? String {
      let values = try files.folder.appendingPathComponent(path).resourceValues(forKeys: [.isDirectoryKey])
      if values.isDirectory == false { names.append("/" + path) }
    }
    let hostile = [
      "", "0-", "ffffffff,", ",,,", "99999999999999999999", "-9223372036854775808", "%n%s%x", "\u{0}\u{1}\u{ff}",
      "0-99999999999", String(repeating: "ffffffff,", count: 20000) + "ffffffff",
      String(repeating: "9", count: 100_000),
      String(repeating: "f", count: 4096),
    ]
    // A fixture has one file for many CPUs: a few of each kind are enough.
    var seen: [String: Int] = [:]
    for file in names.sorted() {
      let kind = file.replacingOccurrences(of: "[0-9]+", with: "N", options: .regularExpression)
      seen[kind, default: 0] += 1
      if (seen[kind] ?? 0) > 2 && ProcessInfo.processInfo.environment["ADAPTQ_TEST_LONG"] == nil { continue }
      let url = files.folder.appendingPathComponent(file)
      let text = try String(contentsOf: url, encoding: .utf8)
      for content in hostile + [String(text.prefix(text.count / 2))] {
        try files.write(file, content)
        check(files.root, "\(file) with \(content.count) bytes \"\(content.prefix(20))\"")
      }
      try FileManager.default.removeItem(at: url)
      check(files.root, "without \(file)")
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
      check(files.root, "a folder \(file)")
      try FileManager.default.removeItem(at: url)
      try files.write(file, text)
    }
  }

  @Test(arguments: [
    "cpu/cpu99999999/topology/core_id", "cpu/cpu18446744073709551615/topology/core_id", "cpu/cpu-1/online",
    "cpu/cpu0x10/topology/core_cpus", "node/node99999999/cpumap", "node/node18446744073709551615/cpumap",
  ])
  func survivesStrangeNumbers(_ path: String) throws {
    let tree = try TreeFixture("numa-smt")
    for list in [true, false] {
      if !list {
        try FileManager.default.removeItem(at: tree.folder.appendingPathComponent("sys/devices/system/cpu/online"))
      }
      try tree.write("/sys/devices/system/\(path)", "1\n")
      check(tree.root, path)
    }
  }

  @Test func aFolderThatIsNotThereIsEmpty() {
    let topology = MachineTopology.read(RootFolder("/nonexistent/adaptq"))
    #expect(topology.online.isEmpty && topology.cores.isEmpty && topology.packages.isEmpty && topology.nodes.isEmpty)
  }

  /// What every topology must keep, whatever it was read from.
  private func check(_ root: RootFolder, _ what: String) {
    let limits = ProcessorLimits(root: root)
    let topology = limits.topology
    #expect(!limits.placement.isEmpty, "\(what)")
    let inCores = topology.cores.flatMap(\.cpus.cpus)
    #expect(Set(inCores).count == inCores.count && CPUSet(inCores) == topology.online, "\(what): cores")
    for core in topology.cores {
      let package = topology.packages.indices.contains(core.package) ? topology.packages[core.package].cpus : []
      #expect(core.cpus.first.map { package.contains($0) } == true, "\(what): package of \(core.cpus)")
      #expect(topology.kinds.indices.contains(core.kind), "\(what): kind of \(core.cpus)")
    }
    for cache in topology.caches { #expect(cache.byteCount > 0 && cache.cpus.isSubset(of: topology.online), "\(what)") }
  }

  private func descriptors(below folder: String) -> Int {
    (0..<4096).count { descriptor in
      let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(descriptor)")
      return target?.hasPrefix(folder) ?? false
    }
  }
}
