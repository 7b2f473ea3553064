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

@Suite struct TopologyTwinTests {
  private func isGraphics(_ library: String) -> Bool {
    [
      "OpenCL", "cuda", "nvidia", "X11", "XNVCtrl", "libGL", "amdgpu", "rocm", "rsmi", "level_zero", "ze_loader",
      "hwloc_",
    ]
    .contains { library.contains($0) }
  }

  @Test func readingThisMachineIsQuiet() throws {
    let ours = try Twin.run(["adaptq", "/"])
    #expect(ours.status == 0 && ours.errors.isEmpty, "\(ours.errors)")
    #expect(ours.json["threads"] == .integer(1), "a thread was started")
    #expect(ours.libraries.contains { $0.contains("libc.so") }, "the log of the dynamic linker is empty")
    #expect(!ours.libraries.contains(where: isGraphics), "\(ours.libraries)")
    // The reason why hwloc is not used: with libhwloc-plugins installed it maps what the test looks for.
    let theirs = try Twin.run(["hwloc"])
    print("hwloc maps \(theirs.libraries.filter(isGraphics)) while it starts")
  }

  @Test func thisMachineIsWhatHwlocSees() throws {
    try compare(Twin.run(["adaptq", "/"]), Twin.run(["hwloc"]), "this machine")
  }

  /// hwloc on another root: only by its environment, and without the CPUID instruction of this machine.
  @Test(arguments: ["hybrid", "numa-smt"]) func handMadeMachineIsWhatHwlocSees(_ name: String) throws {
    let tree = try TreeFixture(name)
    let environment = ["HWLOC_FSROOT": tree.folder.path, "HWLOC_COMPONENTS": "linux,stop", "HWLOC_HIDE_ERRORS": "2"]
    let theirs = try Twin.run(["hwloc"], environment)
    // Allowed CPUs are not in what hwloc reads from a root.
    try tree.write("/proc/self/status", "Cpus_allowed_list:\t0-7\n")
    try compare(Twin.run(["adaptq", tree.folder.path]), theirs, name)
  }

  private func compare(_ ours: Twin.Result, _ theirs: Twin.Result, _ name: String) throws {
    #expect(ours.status == 0 && theirs.status == 0, "\(name): \(ours.errors) \(theirs.errors)")
    for key in ["packages", "nodes", "cores", "caches"] {
      #expect(try Twin.strings(ours.json, key) == Twin.strings(theirs.json, key), "\(name): \(key)")
    }
  }
}
