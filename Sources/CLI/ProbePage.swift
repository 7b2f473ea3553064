import Base
import Bench
import Hardware
import NestedFormat
import Runtime

/// The page of `adaptq probe`: at most 100 columns, no colour, readable in any UTF-8 terminal.
struct ProbePage {
  static let width = 100
  private(set) var lines: [String] = []
  private let probe: Probe
  private var topology: MachineTopology { probe.limits.topology }

  init(_ probe: Probe, _ measured: ProbeMeasurement?, version: String) {
    self.probe = probe
    let features = probe.features
    lines.append("adaptq \(version) on \(features.brand ?? features.vendor.name)")
    lines.append(
      "\(features.vendor.name) family \(features.family) model \(features.model) stepping \(features.stepping)")
    addCores()
    addCaches()
    addLimits()
    addFeatures()
    addKernels()
    if let measured { add(measured) }
  }

  private mutating func heading(_ text: String) { lines += ["", text] }

  /// Words in as many lines as they need.
  private mutating func add(_ label: String, _ words: [String]) {
    let indent = String(repeating: " ", count: 16)
    var line = "  " + label + String(repeating: " ", count: max(1, 14 - label.count))
    var isEmpty = true
    for word in words {
      if !isEmpty && line.count + 1 + word.count > Self.width {
        lines.append(line)
        line = indent
        isEmpty = true
      }
      line += (isEmpty ? "" : " ") + word
      isEmpty = false
    }
    lines.append(line)
  }

  private mutating func add(_ label: String, _ text: String) { add(label, text.split(separator: " ").map(String.init)) }

  // MARK: Cores

  private mutating func addCores() {
    var facts = [count(topology.cores.count, "core"), count(topology.online.count, "hardware thread")]
    if topology.packages.count > 1 { facts.append(count(topology.packages.count, "package")) }
    if topology.nodes.count > 1 { facts.append(count(topology.nodes.count, "memory node")) }
    if let bytes = topology.memoryByteCount { facts.append(Self.bytes(bytes) + " of memory") }
    heading("Cores: " + facts.joined(separator: ", "))
    let placed = CPUSet(probe.limits.placement)
    let digits = "\(topology.online.cpus.last ?? 0)".count
    for (index, package) in topology.packages.enumerated() {
      let nodes = Set(topology.cores.filter { $0.package == index }.map(\.node))
      for node in nodes.sorted(by: { ($0 ?? -1) < ($1 ?? -1) }) {
        var title = "package \(package.number < 0 ? index : package.number)"
        if let node {
          title += ", memory node \(node)"
          if let bytes = topology.nodes.first(where: { $0.number == node })?.memoryByteCount, topology.nodes.count > 1 {
            title += " (\(Self.bytes(bytes)))"
          }
        }
        lines.append("  " + title)
        for (kind, description) in topology.kinds.enumerated() {
          let cores = topology.cores.filter { $0.package == index && $0.node == node && $0.kind == kind }
          if cores.isEmpty { continue }
          if topology.kinds.count > 1 { lines.append("    \(Self.kindName(description.name)) cores") }
          addMap(cores, placed, digits)
        }
      }
    }
    var legend = ["■ gets a thread"]
    let free = probe.limits.allowed.subtracting(placed)
    if !free.intersection(topology.online).isEmpty { legend.append("□ allowed, gets none") }
    if !topology.online.subtracting(probe.limits.allowed).isEmpty { legend.append("· not allowed") }
    if topology.threadsPerCore > 1 { legend.append("[ ] one core") }
    lines.append("  " + legend.joined(separator: "   "))
  }

  private mutating func addMap(_ cores: [MachineTopology.Core], _ placed: CPUSet, _ digits: Int) {
    let cells = cores.map { core in
      let threads = core.cpus.cpus.map { cpu -> String in
        let mark = placed.contains(cpu) ? "■" : probe.limits.allowed.contains(cpu) ? "□" : "·"
        let number = "\(cpu)"
        return mark + String(repeating: " ", count: max(0, digits - number.count)) + number
      }
      return "[" + threads.joined(separator: " ") + "]"
    }
    let room = Self.width - 6
    let perLine = max(1, (room + 1) / ((cells.map(\.count).max() ?? 1) + 1))
    for start in stride(from: 0, to: cells.count, by: perLine) {
      lines.append("      " + cells[start..<min(start + perLine, cells.count)].joined(separator: " "))
    }
  }

  // MARK: Caches and limits

  private mutating func addCaches() {
    if topology.caches.isEmpty { return }
    heading("Caches")
    struct Group: Hashable {
      var level: Int
      var isUnified: Bool
      var byteCount: Int
      var sharing: Int
    }
    var counts: [(group: Group, count: Int)] = []
    for cache in topology.caches {
      let group = Group(
        level: cache.level, isUnified: cache.isUnified, byteCount: cache.byteCount, sharing: cache.cpus.count)
      if let index = counts.firstIndex(where: { $0.group == group }) {
        counts[index].count += 1
      } else {
        counts.append((group, 1))
      }
    }
    for (group, number) in counts {
      let what = group.isUnified || group.level > 1 ? "" : " data"
      let shared = group.sharing == 1 ? "one hardware thread" : "\(group.sharing) hardware threads"
      add("L\(group.level)\(what)", "\(number) × \(Self.bytes(group.byteCount)), each for \(shared)")
    }
  }

  private mutating func addLimits() {
    heading("Limits and threads")
    let limits = probe.limits.limits
    add("allowed CPUs", probe.limits.allowed.text)
    add("CPU quota", limits.cpuQuota.map { "\(fixed($0, 2)) CPUs, set in \(limits.cpuFolder ?? "?")" } ?? "none")
    add(
      "memory limit",
      limits.memoryByteCount.map { "\(Self.bytes($0)), set in \(limits.memoryFolder ?? "?")" } ?? "none")
    let cpus = probe.limits.placement
    add("threads", "\(cpus.count), on CPU \(cpus.map { "\($0)" }.joined(separator: ", "))")
  }

  private mutating func addFeatures() {
    heading("Features that kernels may use")
    add("usable", probe.features.usable.features.map(\.name))
    if !probe.features.withoutState.features.isEmpty {
      add("switched off", probe.features.withoutState.features.map(\.name))
    }
  }

  // MARK: Kernels

  private mutating func addKernels() {
    heading("Kernels in use, limit \(probe.maximum.name)")
    for level in probe.levels {
      let kernels = level.kernels.isEmpty ? ["portable code"] : level.kernels
      add("\(level.level.name)  \(level.instructionSet.name)", kernels)
    }
    for level in probe.levels {
      for item in level.refused { add("refused", "\(item.kernel): \(item.because)") }
    }
    // The same reason holds for many levels: once, with the levels it holds for.
    var reasons: [(set: InstructionSet, because: String, levels: [Level])] = []
    for level in probe.levels {
      for item in level.notUsed {
        // A reason that names its level holds for it alone.
        let because = item.because.replacing("\(level.level.name) ", with: "")
        if let index = reasons.firstIndex(where: { $0.set == item.set && $0.because == because }) {
          reasons[index].levels.append(level.level)
        } else {
          reasons.append((item.set, because, [level.level]))
        }
      }
    }
    if reasons.isEmpty { return }
    heading("Better ones that are not in use, and why")
    for reason in reasons.sorted(by: { $0.set < $1.set }) {
      let levels =
        reason.levels.count == probe.levels.count ? "" : " (\(reason.levels.map(\.name).joined(separator: ", ")))"
      add(reason.set.name, reason.because + levels)
    }
  }

  // MARK: Measurements

  private mutating func add(_ measured: ProbeMeasurement) {
    heading("Measured: reads, GB/s of all threads together")
    for read in measured.reads {
      add(
        "\(read.from)",
        "\(fixed(read.gigabytesPerSecond, 1)) with \(count(read.threads, "thread")), "
          + "\(Self.bytes(read.bytesPerThread)) each, \(read.pattern)")
    }
    heading("Measured: arithmetic, 10⁹ operations per second of all threads together")
    for item in measured.arithmetic {
      add(
        item.type,
        "\(fixed(item.gigaoperationsPerSecond, 0)) with \(count(item.threads, "thread")), \(item.instruction)")
    }
  }

  // MARK: Words

  private static func kindName(_ name: MachineTopology.Kind.Name) -> String {
    switch name {
    case .uniform: ""
    case .performance: "performance"
    case .efficiency: "efficiency"
    case .lowPower: "low-power"
    }
  }

  private func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

  static func bytes(_ count: Int) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where count >= size {
      return count % size == 0 ? "\(count / size) \(unit)" : "\(fixed(Double(count) / Double(size), 1)) \(unit)"
    }
    return "\(count) bytes"
  }
}
