import Base
import Foundation
import Hardware
import Testing

/// Runs Tests/TopologyTwin, in a process of its own.
enum Twin {
  struct Result {
    var status: Int32
    var json: JSON
    var errors: String
    /// Every library that the process opened, even for a moment: what the dynamic linker logged.
    var libraries: [String]
  }

  private static var program: URL {
    // Beside the test bundle.
    URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("topology-twin")
  }

  static func run(_ arguments: [String], _ environment: [String: String] = [:]) throws -> Result {
    let process = Process()
    process.executableURL = program
    process.arguments = arguments
    let log = FileManager.default.temporaryDirectory.appendingPathComponent("adaptq-ld-\(UUID().uuidString)")
    var variables = ["PATH": "/usr/bin:/bin", "LD_DEBUG": "files", "LD_DEBUG_OUTPUT": log.path]
    if let path = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"] { variables["LD_LIBRARY_PATH"] = path }
    process.environment = variables.merging(environment) { $1 }
    let (output, errors) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    let file = log.appendingPathExtension("\(process.processIdentifier)")
    let logged = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
    try? FileManager.default.removeItem(at: file)
    let opened = logged.split(separator: "\n").filter { $0.contains("generating link map") }.compactMap { line in
      line.range(of: "file=").map { String(line[$0.upperBound...].prefix { $0 != " " }) }
    }
    return Result(
      status: process.terminationStatus, json: (try? JSON.parse(text, "topology-twin")) ?? .null, errors: complaint,
      libraries: opened)
  }

  static func strings(_ json: JSON, _ key: String) throws -> [String] {
    var result: [String] = []
    for item in try json.member(key, in: "topology-twin").asArray(key) { result.append(try item.asString(key)) }
    return result
  }
}

/// What hwloc inside of us sees, against two twins: the system's shared hwloc in a process of its own, and `/sys` read by hand.
@Suite(.serialized) struct TopologyTwinTests {
  private func isGraphics(_ library: String) -> Bool {
    [
      "OpenCL", "cuda", "nvidia", "X11", "XNVCtrl", "libGL", "amdgpu", "rocm", "rsmi", "level_zero", "ze_loader",
      "hwloc_",
    ]
    .contains { library.contains($0) }
  }

  @Test func thisMachineIsWhatHwlocSees() throws {
    let limits = ProcessorLimits()
    let theirs = try Twin.run(["hwloc"])
    try compare(limits.topology.restricted(to: limits.allowed), theirs, "this machine")
    // Why ours is asked with other settings: with libhwloc-plugins installed it maps what Tests/ABI looks for in ours.
    print("the system's hwloc maps \(theirs.libraries.filter(isGraphics)) while it starts")
  }

  /// The system's hwloc on another root: only by its environment, and without the CPUID instruction of this machine.
  @Test(arguments: ["hybrid", "numa-smt"]) func handMadeMachineIsWhatHwlocSees(_ name: String) throws {
    let tree = try TreeFixture(name)
    let environment = ["HWLOC_FSROOT": tree.folder.path, "HWLOC_COMPONENTS": "linux,stop", "HWLOC_HIDE_ERRORS": "2"]
    let theirs = try Twin.run(["hwloc"], environment)
    // Allowed CPUs are not in what hwloc reads from a root.
    try compare(.read(tree.root), theirs, name)
  }

  @Test func thisMachineIsWhatSysSays() throws {
    compare(.read(.live), SysTwin.read(.live), "this machine")
  }

  @Test(arguments: TreeFixture.names) func handMadeMachineIsWhatSysSays(_ name: String) throws {
    let tree = try TreeFixture(name)
    compare(.read(tree.root), SysTwin.read(tree.root), name)
  }

  @Test(arguments: RecordedMachinesTests.linux) func recordedMachineIsWhatSysSays(_ name: String) throws {
    let machine = try UnpackedMachine(Recorded.linux, name)
    let root = RootFolder(machine.folder.path)
    compare(.read(root), SysTwin.read(root), name)
  }

  private func compare(_ ours: MachineTopology, _ twin: MachineTopology, _ name: String) {
    #expect(ours.online == twin.online, "\(name)")
    #expect(ours.packages == twin.packages, "\(name)")
    #expect(ours.nodes == twin.nodes, "\(name)")
    #expect(ours.cores == twin.cores, "\(name)")
    #expect(ours.caches == twin.caches, "\(name)")
    #expect(ours.kinds == twin.kinds, "\(name)")
    #expect(ours.memoryByteCount == twin.memoryByteCount, "\(name)")
  }

  private func compare(_ ours: MachineTopology, _ theirs: Twin.Result, _ name: String) throws {
    #expect(theirs.status == 0, "\(name): \(theirs.errors)")
    let caches = ours.caches.map { "L\($0.level) \($0.byteCount) \($0.cpus.text)" }
    for (key, sets) in [
      ("packages", ours.packages.map(\.cpus.text)), ("nodes", ours.nodes.map(\.cpus.text)),
      ("cores", ours.cores.map(\.cpus.text)), ("caches", caches),
    ] {
      #expect(try sets.filter { !$0.isEmpty }.sorted() == Twin.strings(theirs.json, key), "\(name): \(key)")
    }
  }
}
