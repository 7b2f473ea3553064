import Base
import Foundation
import Hardware

/// Where recorded machines lie: in this folder (hand-written), and beside the package (not part of it).
enum Recorded {
  static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")

  private static let shared = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("../shared/data").standardized

  /// Folders of hwloc's CPUID dumps (tar.bz2) with the topology expected from them (xml).
  static let x86 = existing(shared.appendingPathComponent("topology/x86"))
  /// hwloc's recorded Linux machines.
  static let linux = existing(shared.appendingPathComponent("topology/linux"))
  /// Feature names per CPU generation, as an emulator of these CPUs reported them.
  static let featureLists = existing(shared.appendingPathComponent("cpuid"))

  static func names(in folder: URL?, suffix: String) -> [String] {
    guard let folder else { return [] }
    let all = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return all.filter { $0.hasSuffix(suffix) }.map { String($0.dropLast(suffix.count)) }.sorted()
  }

  private static func existing(_ url: URL) -> URL? {
    if FileManager.default.fileExists(atPath: url.path) { return url }
    print("recorded machines: no \(url.lastPathComponent) beside the package, those cases are skipped")
    return nil
  }

  /// What a recorded machine must give: derived from hwloc's own record by Fixtures/recorded/expected.py.
  static func expected(_ folder: String, _ name: String) throws -> JSON {
    let file = fixtures.appendingPathComponent("recorded/\(folder)/\(name).json")
    return try JSON.parse(String(contentsOf: file, encoding: .utf8), name)
  }

  /// The leaf table of the first hardware thread in one of hwloc's archives.
  static func hwlocTable(_ name: String) throws -> CPUIDTable {
    guard x86 != nil else { return CPUIDTable() }
    let unpacked = try UnpackedMachine(x86, name)
    return try table(unpacked.folder.appendingPathComponent("pu0"))
  }

  /// The leaf tables of all hardware threads.
  static func hwlocTables(_ machine: UnpackedMachine) throws -> [(cpu: Int, table: CPUIDTable)] {
    let names = try FileManager.default.contentsOfDirectory(atPath: machine.folder.path)
    return try names.filter { $0.hasPrefix("pu") }.compactMap { name in
      guard let cpu = Int(name.dropFirst(2)) else { return nil }
      return (cpu, try table(machine.folder.appendingPathComponent(name)))
    }
  }

  private static func table(_ file: URL) throws -> CPUIDTable {
    var table = CPUIDTable()
    let text = try String(contentsOf: file, encoding: .utf8)
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      // mask of the inputs that matter, eax ebx ecx edx, =>, eax ebx ecx edx
      let fields = line.split(separator: " ")
      let numbers = fields.compactMap { UInt32($0, radix: 16) }
      if fields.count != 10 || numbers.count != 9 { continue }
      let subleaf = numbers[0] & 4 != 0 ? numbers[3] : 0
      table.entries[.init(numbers[1], subleaf)] = .init(numbers[5], numbers[6], numbers[7], numbers[8])
    }
    return table
  }
}

/// One of hwloc's archives, unpacked into a folder that goes away with this.
final class UnpackedMachine {
  /// The recorded root, or the folder of leaf tables.
  let folder: URL
  private let outer: URL

  init(_ source: URL?, _ name: String) throws {
    outer = FileManager.default.temporaryDirectory.appendingPathComponent("adaptq-record-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: outer, withIntermediateDirectories: true)
    let tar = Process()
    tar.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    let archive = source?.appendingPathComponent(name + ".tar.bz2").path ?? ""
    // Thousands of small files that nobody here reads.
    let skipped = [
      "class", "bus", "pci*", "power", "hugepages", "microcode", "cpuidle", "cpufreq/stats", "die_*", "cluster_*",
      "uevent", "*_policy", "number_of_sets", "physical_line_partition", "acpi_cppc", "perf_events", "kernel/mm",
    ].map { "--exclude=*/sys/*\($0)" }
    tar.arguments = ["tar", "-xjf", archive, "-C", outer.path] + skipped
    try tar.run()
    tar.waitUntilExit()
    // Some folders have other names than their archives.
    let inner = try FileManager.default.contentsOfDirectory(atPath: outer.path).sorted().first ?? ""
    folder = outer.appendingPathComponent(inner)
  }

  deinit { try? FileManager.default.removeItem(at: outer) }
}

/// One hand-written machine: leaves, XCR0 and what must come out.
struct Fixture {
  var table = CPUIDTable()
  var xcr0: UInt64 = 0
  var expected: [String: String] = [:]

  init(_ name: String) throws {
    let text = try String(contentsOf: Recorded.fixtures.appendingPathComponent(name + ".txt"), encoding: .utf8)
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let fields = line.split(separator: " ", maxSplits: 2)
      if fields[0] == "expect" {
        expected[String(fields[1])] = String(fields[2])
      } else if fields[0] == "xcr0" {
        xcr0 = UInt64(fields[1], radix: 16)!
      } else {
        let n = line.split(separator: " ").map { UInt32($0, radix: 16)! }
        table.entries[.init(n[0], n[1])] = .init(n[2], n[3], n[4], n[5])
      }
    }
  }
}
