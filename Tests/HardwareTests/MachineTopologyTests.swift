import Foundation
import Hardware
import Testing

@Suite struct MachineTopologyTests {
  @Test func thisMachineIsPlausible() throws {
    let topology = try #require(MachineTopology.this)
    let units = try #require(topology.processingUnits)
    #expect((topology.cores ?? 1) <= units)
    #expect((1...units).contains(try #require(topology.allowedProcessingUnits)))
    if let l1 = topology.l1dByteCount, let l2 = topology.l2ByteCount { #expect(l1 < l2) }
    #expect(MachineTopology.defaultThreadCount >= 1)
    print("this machine: \(topology)")
  }

  @Test(arguments: Recorded.names(in: Recorded.x86, suffix: ".xml")) func readsX86(_ name: String) throws {
    try compare(Recorded.x86!.appendingPathComponent(name + ".xml"))
  }

  @Test(arguments: Recorded.names(in: Recorded.linux, suffix: ".xml")) func readsLinux(_ name: String) throws {
    try compare(Recorded.linux!.appendingPathComponent(name + ".xml"))
  }

  /// The twin counts words in the file.
  private func compare(_ file: URL) throws {
    let name = file.lastPathComponent
    let xml = try String(contentsOf: file, encoding: .utf8)
    let objects = xml.split(separator: "\n").filter { $0.contains("<object ") }
    func count(_ type: String) -> Int? {
      let count = objects.count { $0.contains("type=\"\(type)\"") }
      return count == 0 ? nil : count
    }
    func smallest(_ type: String) -> Int? {
      objects.filter { $0.contains("type=\"\(type)\"") }.compactMap { line in
        line.range(of: "cache_size=\"").flatMap { Int(line[$0.upperBound...].prefix { $0 != "\"" }) }
      }.filter { $0 > 0 }.min()
    }
    // The records say format 3.0, which hwloc 2 refuses unread; the part looked at here is the same in 2.0.
    let older = FileManager.default.temporaryDirectory.appendingPathComponent("adaptq-\(UUID().uuidString).xml")
    defer { try? FileManager.default.removeItem(at: older) }
    try xml.replacingOccurrences(of: "<topology version=\"3.0\">", with: "<topology version=\"2.0\">")
      .write(to: older, atomically: false, encoding: .utf8)
    let topology = try #require(MachineTopology.read(.xmlFile(path: older.path)), "\(name)")
    #expect(topology.cores == count("Core"), "\(name)")
    #expect(topology.processingUnits == count("PU"), "\(name)")
    #expect(topology.numaNodes == count("NUMANode"), "\(name)")
    #expect(topology.l1dByteCount == smallest("L1Cache"), "\(name)")
    #expect(topology.l2ByteCount == smallest("L2Cache"), "\(name)")
    #expect(topology.l3ByteCount == smallest("L3Cache"), "\(name)")
    #expect(topology.l3Count == count("L3Cache"), "\(name)")
    #expect(topology.allowedProcessingUnits == topology.processingUnits, "\(name)")
  }

  @Test func malformedFileIsNil() throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("adaptq-\(UUID().uuidString).xml")
    try Data("<topology version=\"2.0\"><object type=".utf8).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    #expect(MachineTopology.read(.xmlFile(path: file.path)) == nil)
    #expect(MachineTopology.read(.xmlFile(path: "/no/such/file.xml")) == nil)
  }
}
