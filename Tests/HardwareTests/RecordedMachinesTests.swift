import Base
import Foundation
import Testing

@testable import Hardware

/// Machines that hwloc's authors recorded, which lie beside the package. What must come out is derived from their own text
/// (Fixtures/recorded/expected.py), never from this code's output.
@Suite(.serialized) struct RecordedMachinesTests {
  static let linux = Recorded.names(in: Recorded.linux, suffix: ".tar.bz2")
  static let x86 = Recorded.names(in: Recorded.x86, suffix: ".tar.bz2")

  @Test(arguments: linux) func readsRecordedLinux(_ name: String) throws {
    let machine = try UnpackedMachine(Recorded.linux, name)
    let limits = ProcessorLimits(root: RootFolder(machine.folder.path))
    try check(limits.topology.restricted(to: limits.allowed), Recorded.expected("linux", name), name)
    #expect(limits.placement.count == limits.topology.restricted(to: limits.allowed).cores.count, "\(name)")
    #expect(
      limits.placement.first.map { limits.topology.kinds[0].cpus.contains($0) } == true, "\(name): fast cores first")
    // hwloc takes another root through HWLOC_FSROOT only, which is read in a process of its own.
    let theirs = try Twin.run(
      ["hwloc"],
      ["HWLOC_FSROOT": machine.folder.path, "HWLOC_COMPONENTS": "linux,stop", "HWLOC_HIDE_ERRORS": "2"])
    try compare(theirs, Recorded.expected("linux", name), ["cores", "caches"], name)
  }

  @Test(arguments: x86) func readsRecordedLeaves(_ name: String) throws {
    let machine = try UnpackedMachine(Recorded.x86, name)
    let tables = try Recorded.hwlocTables(machine)
    let expected = try Recorded.expected("x86", name)
    try check(MachineTopology(cpuid: tables), expected, name)
    let table = try #require(tables.first { $0.cpu == 0 }?.table)
    let features = CPUFeatures(table: table, xcr0: table.registers(0xD).eax64)
    let letters = ["Intel": "GenuineIntel", "AMD": "AuthenticAMD", "Hygon": "HygonGenuine"]
    #expect(letters[features.vendor.name].map(JSON.string) == expected["vendor"], "\(name)")
    #expect(.string("\(features.family)") == expected["family"], "\(name)")
    #expect(.string("\(features.model)") == expected["model"], "\(name)")
    #expect(.string("\(features.stepping)") == expected["stepping"], "\(name)")
    #expect(features.brand.map(JSON.string) == expected["brand"], "\(name)")
  }

  private func check(_ topology: MachineTopology, _ expected: JSON, _ name: String) throws {
    func compare(_ key: String, _ sets: [String]) {
      guard let wanted = expected[key] else { return }
      #expect(.array(sets.sorted().map(JSON.string)) == wanted, "\(name): \(key)")
    }
    compare("packages", topology.packages.map(\.cpus.text))
    compare("nodes", topology.nodes.map(\.cpus.text).filter { !$0.isEmpty })
    compare("cores", topology.cores.map(\.cpus.text))
    compare("caches", topology.caches.map { "L\($0.level) \($0.byteCount) \($0.cpus.text)" })
    #expect(.string(topology.online.text) == expected["cpus"], "\(name)")
    let kinds = topology.kinds.count > 1 ? topology.kinds.map { JSON.string($0.cpus.text) } : []
    #expect(.array(kinds) == expected["kinds"], "\(name): kinds, fastest first")
  }

  /// The leaf tables have no XCR0: with none, nothing beyond SSE may be used, with AVX state only, no AVX-512.
  @Test(arguments: x86) func stateDecides(_ name: String) throws {
    let table = try Recorded.hwlocTable(name)
    #expect(KernelFeatures(CPUFeatures(table: table, xcr0: 0)) == KernelFeatures(), "\(name)")
    let avxOnly = KernelFeatures(CPUFeatures(table: table, xcr0: 0x7), maximum: .amx)
    #expect(!avxOnly.avx512 && !avxOnly.amxInt8, "\(name)")
    let all = KernelFeatures(CPUFeatures(table: table, xcr0: 0x6_02E7), maximum: .amx)
    #expect((all.highest == .amx) == name.contains("SapphireRapids"), "\(name): \(all.highest)")
  }

  /// Every feature of the AMD cores whose list is public, and no other.
  @Test func amdFeaturesAreThoseOfThePublicLists() throws {
    if Recorded.x86 == nil { return }
    let file = Recorded.fixtures.appendingPathComponent("amd-features.json")
    let lists = try JSON.parse(String(contentsOf: file, encoding: .utf8), "amd-features.json")
    let unlisted = Set(try strings(lists.member("unlisted", in: "lists")))
    var has: Set<String> = []
    let names = try strings(lists.member("order", in: "lists"))
    for (name, adds) in zip(names, try lists.member("adds", in: "lists").asArray("adds")) {
      has.formUnion(try strings(adds))
      let table = try Recorded.hwlocTable(name)
      let features = CPUFeatures(table: table, xcr0: table.registers(0xD).eax64)
      let usable = Set(features.usable.features.map(\.name)).subtracting(unlisted)
      #expect(usable == has, "\(name): \(usable.symmetricDifference(has))")
    }
  }

  private func strings(_ json: JSON) throws -> [String] {
    var result: [String] = []
    for item in try json.asArray("list") { result.append(try item.asString("item")) }
    return result
  }

  // MARK: hwloc on the same records, in processes of its own

  /// hwloc takes recorded leaves through HWLOC_CPUID_PATH only.
  @Test(arguments: x86) func hwlocReadsTheSameLeaves(_ name: String) throws {
    let machine = try UnpackedMachine(Recorded.x86, name)
    let result = try Twin.run(
      ["hwloc"],
      ["HWLOC_CPUID_PATH": machine.folder.path, "HWLOC_COMPONENTS": "x86,stop", "HWLOC_HIDE_ERRORS": "2"])
    // The installed hwloc is older than the record, and numbers this CPU's cores differently.
    if name.hasPrefix("Hygon") { return }
    try compare(result, Recorded.expected("x86", name), ["packages", "cores", "caches"], name)
  }

  /// Its XML files, whose format 3.0 hwloc 2 refuses unread; the part looked at is the same in 2.0.
  @Test(arguments: [("linux", Recorded.linux), ("x86", Recorded.x86)]) func hwlocReadsItsXML(
    _ folder: String, _ source: URL?
  ) throws {
    for name in Recorded.names(in: source, suffix: ".xml") {
      guard let source else { return }
      let xml = try String(contentsOf: source.appendingPathComponent(name + ".xml"), encoding: .utf8)
      let older = FileManager.default.temporaryDirectory.appendingPathComponent("adaptq-\(UUID().uuidString).xml")
      defer { try? FileManager.default.removeItem(at: older) }
      try xml.replacingOccurrences(of: "<topology version=\"3.0\">", with: "<topology version=\"2.0\">")
        .write(to: older, atomically: false, encoding: .utf8)
      let result = try Twin.run(["hwloc-xml", older.path])
      try compare(result, Recorded.expected(folder, name), ["cores", "caches"], name)
    }
  }

  private func compare(_ result: Twin.Result, _ expected: JSON, _ keys: [String], _ name: String) throws {
    #expect(result.status == 0, "\(name): \(result.errors)")
    for key in keys { #expect(result.json[key] == expected[key], "\(name): hwloc's \(key)") }
  }
}
