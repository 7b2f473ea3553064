import Base

/// What the container allows: CPU time and memory of the control groups this process is in.
///
/// Finding the groups reads two files of `/proc` and happens once; `limits()` then opens one or two small files per group
/// above the process, cheap enough to call every second, and sees a quota that somebody changed meanwhile. Not for the run
/// path: it makes system calls and allocates.
/// Source: Linux, Documentation/admin-guide/cgroup-v1/{cgroups,memory}.rst, scheduler/sched-bwc.rst, cgroup-v2.rst and
/// proc_pid_mountinfo(5).
public struct ControlGroups: Sendable {
  public struct Limits: Hashable, Sendable {
    /// CPUs' worth of time per period, such as 1.5; the smallest on the way up. Nil without a quota.
    public var cpuQuota: Double?
    /// The folder whose quota is the smallest.
    public var cpuFolder: String?
    /// Bytes; the smallest on the way up. Nil without a limit.
    public var memoryByteCount: Int?
    public var memoryFolder: String?

    public init() {}

    /// Threads that the quota keeps busy all the time: rounded down, because one thread too many waits for the end of
    /// every period and the others wait for it; at least 1. Nil without a quota.
    public var cpuCount: Int? { cpuQuota.map { clampedInt($0.rounded(.down), in: 1...CPUSet.limit) } }
  }

  /// A group's folder, from the root.
  struct Folder: Hashable, Sendable {
    enum Version: Sendable { case v1, v2 }
    var path: String
    var version: Version
  }

  private let root: RootFolder
  /// From the process's own group up to the mount point.
  let cpuFolders: [Folder]
  let memoryFolders: [Folder]
  let cpusetFolders: [Folder]

  /// Finds the groups of the calling process, or of the one that a recorded root tells of.
  public init(root: RootFolder = .live) {
    self.root = root
    let groups = Self.groups(root)
    let mounts = Self.mounts(root)
    func folders(_ controller: String) -> [Folder] {
      var result: [Folder] = []
      for mount in mounts {
        let path: String?
        switch mount.version {
        case .v1: path = mount.controllers.contains(controller) ? groups.v1[controller] : nil
        case .v2: path = groups.v2
        }
        guard let path, !result.contains(where: { $0.version == mount.version }) else { continue }
        result += Self.wayUp(path, mount).map { Folder(path: $0, version: mount.version) }
      }
      return result
    }
    cpuFolders = folders("cpu")
    memoryFolders = folders("memory")
    cpusetFolders = folders("cpuset")
  }

  var isLive: Bool { root.isLive }

  /// Reads the limits as they are now. A limit that cannot be read is no limit.
  public func limits() -> Limits {
    var result = Limits()
    for folder in cpuFolders {
      guard let quota = quota(folder) else { continue }
      if quota < result.cpuQuota ?? .infinity {
        result.cpuQuota = quota
        result.cpuFolder = folder.path
      }
    }
    for folder in memoryFolders {
      let file = folder.version == .v1 ? "memory.limit_in_bytes" : "memory.max"
      // Version 1 says "unlimited" by the highest multiple of a page, version 2 by the word max.
      guard let bytes = root.integer("\(folder.path)/\(file)"), bytes >= 0, bytes < 1 << 62 else { continue }
      if bytes < result.memoryByteCount ?? .max {
        result.memoryByteCount = bytes
        result.memoryFolder = folder.path
      }
    }
    return result
  }

  /// CPUs that the groups allow; nil where nothing says. A live process asks the scheduler instead.
  public func allowedCPUs() -> CPUSet? {
    for folder in cpusetFolders {
      for file in ["cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"] {
        if let text = root.text("\(folder.path)/\(file)"), let set = CPUSet(list: text), !set.isEmpty { return set }
      }
    }
    return nil
  }

  private func quota(_ folder: Folder) -> Double? {
    let pair: (Int, Int)?
    switch folder.version {
    case .v1:
      if let quota = root.integer("\(folder.path)/cpu.cfs_quota_us"),
        let period = root.integer("\(folder.path)/cpu.cfs_period_us")
      {
        pair = (quota, period)
      } else {
        pair = nil
      }
    case .v2:
      // "max 100000", or "50000 100000".
      let words = root.text("\(folder.path)/cpu.max")?.split(separator: " ") ?? []
      if words.count == 2, let quota = Int(words[0]), let period = Int(words[1]) {
        pair = (quota, period)
      } else {
        pair = nil
      }
    }
    guard let (quota, period) = pair, quota > 0, period > 0 else { return nil }
    return Double(quota) / Double(period)
  }
}

// MARK: - Finding the groups

extension ControlGroups {
  private struct Mount {
    var version: Folder.Version
    var controllers: [String]
    /// The group that the mount shows at its top.
    var top: String
    var point: String
  }

  /// Lines of `/proc/self/cgroup`: `4:cpu,cpuacct:/path`, and `0::/path` for version 2.
  private static func groups(_ root: RootFolder) -> (v1: [String: String], v2: String?) {
    var v1: [String: String] = [:]
    var v2: String?
    root.forEachLine("/proc/self/cgroup") { line in
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      if parts.count != 3 || !parts[2].hasPrefix("/") { return }
      if parts[1].isEmpty {
        v2 = String(parts[2])
      } else {
        for controller in parts[1].split(separator: ",") { v1[String(controller)] = String(parts[2]) }
      }
    }
    // Old records have only this.
    if v1.isEmpty, v2 == nil, let path = root.text("/proc/self/cpuset"), path.hasPrefix("/") {
      v1["cpuset"] = path
      v2 = path
    }
    return (v1, v2)
  }

  private static func mounts(_ root: RootFolder) -> [Mount] {
    var mounts: [Mount] = []
    func add(_ type: Substring, _ top: String, _ point: String, _ options: Substring) {
      let list = options.split(separator: ",").map { String($0) }
      if type == "cgroup2" {
        mounts.append(Mount(version: .v2, controllers: [], top: top, point: point))
      } else if type == "cgroup" || type == "cpuset" {
        mounts.append(
          Mount(version: .v1, controllers: type == "cpuset" ? ["cpuset"] : list, top: top, point: point))
      }
    }
    let found = root.forEachLine("/proc/self/mountinfo") { line in
      // id parent device root point options [tags] - type source superoptions
      let fields = line.split(separator: " ")
      guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 3 else { return }
      add(fields[dash + 1], unescaped(fields[3]), unescaped(fields[4]), fields[dash + 3])
    }
    if !found {
      root.forEachLine("/proc/mounts") { line in
        let fields = line.split(separator: " ")
        if fields.count >= 4 { add(fields[2], "/", unescaped(fields[1]), fields[3]) }
      }
    }
    return mounts
  }

  /// The folders of `path` and of all groups above it that the mount shows. A group outside of what the mount shows (a
  /// process in a cgroup namespace sees `/..`) leaves the mount's own top.
  private static func wayUp(_ path: String, _ mount: Mount) -> [String] {
    var below: [Substring] = []
    let parts = path.split(separator: "/")
    let top = mount.top.split(separator: "/")
    if parts.starts(with: top), !parts.contains(".."), !top.contains("..") { below = Array(parts.dropFirst(top.count)) }
    var result: [String] = []
    let point = mount.point == "/" ? "" : mount.point
    while true {
      result.append(([Substring(point)] + below).joined(separator: "/"))
      if below.isEmpty { return result }
      below.removeLast()
    }
  }

  /// `\040` is a space, as in all of Linux's mount tables.
  private static func unescaped(_ field: Substring) -> String {
    let bytes = Array(field.utf8)
    var result: [UInt8] = []
    var index = 0
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "\\"), index + 3 < bytes.count,
        let code = UInt8(String(decoding: bytes[(index + 1)...(index + 3)], as: UTF8.self), radix: 8)
      {
        result.append(code)
        index += 4
      } else {
        result.append(bytes[index])
        index += 1
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
