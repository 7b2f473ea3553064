import Base
import Hardware
import NestedFormat

extension Probe {
  /// docs/probe-json.md describes the fields. A new field does not change the number; a changed meaning does.
  public static let schemaVersion = 1

  public var json: JSON { .object(members) }

  /// The members of the object, for callers that add their own.
  public var members: [JSON.Member] {
    [
      .init("schema", .integer(Probe.schemaVersion)), .init("cpu", cpu), .init("instruction_sets", instructionSets),
      .init("topology", topology), .init("limits", limitsJSON),
      .init(
        "threads",
        .object([
          .init("recommended", .integer(limits.recommendedThreads)),
          .init("cpus", .array(limits.placement.map(JSON.integer))),
        ])), .init("levels", .array(levels.map(Probe.json))),
    ]
  }

  private var cpu: JSON {
    .object([
      .init("vendor", .string(features.vendor.name)), .init("family", .integer(features.family)),
      .init("model", .integer(features.model)), .init("stepping", .integer(features.stepping)),
      .init("brand", features.brand.map(JSON.string) ?? .null),
      .init("features", .array(features.usable.features.map { .string($0.name) })),
      .init("features_without_state", .array(features.withoutState.features.map { .string($0.name) })),
    ])
  }

  private var instructionSets: JSON {
    let usable = InstructionSet.allCases.filter { self.usable.supports($0) }
    return .object([
      .init("usable", .array(usable.map { .string($0.name) })), .init("highest", .string(highest.name)),
      .init("maximum", .string(maximum.name)),
    ])
  }

  private var topology: JSON {
    let machine = limits.topology
    return .object([
      .init("online", .string(machine.online.text)),
      .init("memory_bytes", Probe.optional(machine.memoryByteCount)),
      .init(
        "packages",
        .array(
          machine.packages.map {
            .object([.init("number", .integer($0.number)), .init("cpus", .string($0.cpus.text))])
          }
        )),
      .init(
        "nodes",
        .array(
          machine.nodes.map {
            .object([
              .init("number", .integer($0.number)), .init("cpus", .string($0.cpus.text)),
              .init("memory_bytes", Probe.optional($0.memoryByteCount)),
            ])
          })),
      .init(
        "kinds",
        .array(
          machine.kinds.map {
            .object([.init("name", .string($0.name.rawValue)), .init("cpus", .string($0.cpus.text))])
          })),
      .init(
        "cores",
        .array(
          machine.cores.map {
            .object([
              .init("cpus", .string($0.cpus.text)), .init("package", .integer($0.package)),
              .init("node", Probe.optional($0.node)), .init("kind", .integer($0.kind)),
            ])
          })),
      .init(
        "caches",
        .array(
          machine.caches.map {
            .object([
              .init("level", .integer($0.level)), .init("type", .string($0.isUnified ? "unified" : "data")),
              .init("bytes", .integer($0.byteCount)), .init("line_bytes", Probe.optional($0.lineByteCount)),
              .init("cpus", .string($0.cpus.text)),
            ])
          })),
    ])
  }

  private var limitsJSON: JSON {
    let found = limits.limits
    return .object([
      .init("allowed", .string(limits.allowed.text)),
      .init("cpu_quota", found.cpuQuota.map(JSON.number) ?? .null),
      .init("cpu_quota_group", found.cpuFolder.map(JSON.string) ?? .null),
      .init("memory_bytes", Probe.optional(found.memoryByteCount)),
      .init("memory_group", found.memoryFolder.map(JSON.string) ?? .null),
    ])
  }

  private static func json(_ level: LevelKernels) -> JSON {
    .object([
      .init("level", .string(level.level.name)), .init("instruction_set", .string(level.instructionSet.name)),
      .init("kernels", .array(level.kernels.map(JSON.string))),
      .init(
        "refused",
        .array(
          level.refused.map { .object([.init("kernel", .string($0.kernel)), .init("because", .string($0.because))]) })),
      .init(
        "not_used",
        .array(
          level.notUsed.map {
            .object([.init("instruction_set", .string($0.set.name)), .init("because", .string($0.because))])
          })),
    ])
  }

  private static func optional(_ value: Int?) -> JSON { value.map(JSON.integer) ?? .null }
}
