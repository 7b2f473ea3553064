import Base
import NestedFormat

/// Everything that was measured.
public struct BenchReport: Sendable {
  /// What the caller chose.
  public struct Options: Equatable, Sendable {
    /// Of adaptq, for the report.
    public var version: String
    /// Rounds of products and of inferences; nil for ``Options/standardRounds`` or, when quick, ``Options/quickRounds``.
    public var rounds: Int?
    /// Fewer rounds and shorter samples: to see whether everything runs, not to compare.
    public var quick: Bool
    /// Of the nested weights of products; a model has its own.
    public var form: NestedForm

    public static let standardRounds = 21
    public static let quickRounds = 5

    public init(version: String, rounds: Int? = nil, quick: Bool = false, form: NestedForm = .standard) {
      self.version = version
      self.rounds = rounds
      self.quick = quick
      self.form = form
    }

    /// The rounds in effect.
    public var roundCount: Int { max(rounds ?? (quick ? Options.quickRounds : Options.standardRounds), 1) }
  }

  public var options: Options
  public var machine: Machine
  public var instructionSet: String
  /// Names of generated kernels in use.
  public var generatedKernels: [String]
  /// Why others are portable.
  public var portableKernels: [String]
  public var limits = MachineLimits()
  /// nil where there is one CPU only.
  public var region: RegionCost?
  public var matrices: [MatrixResult] = []
  public var model: ModelResult?
  public var profile: ProfileResult?
}

// MARK: - JSON, as docs/bench.md describes it

extension BenchReport {
  /// Changes when a field changes its meaning or goes away.
  public static let schema = 1

  public var json: JSON {
    .object([
      .init("schema", .integer(BenchReport.schema)), .init("adaptq", .string(options.version)),
      .init(
        "options",
        .object([
          .init("rounds", .integer(options.roundCount)), .init("quick", .bool(options.quick)),
          .init("threads", .integer(1)), .init("group", .integer(options.form.groupSize)),
          .init("scales", .string(options.form.scaleKind.name)),
          .init("activations", .string(options.form.activations.name)),
        ])),
      .init(
        "machine",
        .object([
          .init("cpu", .string(machine.cpu)), .init("instruction_set", .string(instructionSet)),
          .init("allowed_cpus", .array(machine.allowedCPUs.map { .integer($0) })),
          .init("pinned_cpu", machine.pinnedCPU.map { .integer($0) } ?? .null),
          .init("l2_bytes", .integer(machine.l2ByteCount)), .init("l3_bytes", .integer(machine.l3ByteCount)),
          .init("available_bytes", machine.availableMemory.map { .integer($0) } ?? .null),
        ])),
      .init(
        "kernels",
        .object([
          .init("generated", .array(generatedKernels.map { .string($0) })),
          .init("portable", .array(portableKernels.map { .string($0) })),
        ])),
      .init("limits", .array(limits.all.map(\.json))), .init("parallel_region", region?.json ?? .null),
      .init("matrices", .array(matrices.map(\.json))),
      .init("model", model?.json ?? .null), .init("profile", profile?.json ?? .null),
    ])
  }
}

extension MachineLimit {
  var json: JSON {
    .object([
      .init("name", .string(name)), .init("unit", .string(unit)), .init("median", .number(median)),
      .init("best", .number(best)),
    ])
  }
}

extension Summary {
  var members: [JSON.Member] {
    [
      .init("median_ns", .number(median)), .init("p95_ns", .number(percentile95)),
      .init("minimum_ns", .number(minimum)),
      .init("rounds", .integer(rounds)), .init("disturbed", .integer(disturbed)),
      .init("calls_per_sample", .integer(callsPerSample)),
    ]
  }
}

extension MatrixResult {
  var json: JSON {
    .object([
      .init("n", .integer(matrix.n)), .init("k", .integer(matrix.k)), .init("rows", .integer(matrix.rows)),
      .init("from_memory", .bool(matrix.fromMemory)), .init("copies", .array(copies.map { .integer($0) })),
      .init("copies_reduced", .bool(copiesReduced)), .init("levels", .array(rows.map(\.json))),
      .init("read", read?.json ?? .null), .init("read_pattern", readPattern.map { .string($0) } ?? .null),
    ])
  }
}

extension MatrixRow {
  var json: JSON {
    .object(
      [.init("level", .string(level.name))] + summary.members + [
        .init("bytes", .integer(byteCount)), .init("operations", .integer(operations)),
        .init("ratio_to_fp32", ratioToFP32.map { .number($0) } ?? .null),
        .init("limit", limit.map { .string($0.name) } ?? .null),
        .init("share", share.map { .number($0) } ?? .null), .init("checksum", .number(checksum)),
      ])
  }
}

extension ModelResult {
  var json: JSON {
    .object([
      .init("path", .string(path)), .init("bytes", .integer(byteCount)),
      .init("levels", .array(levels.map { .string($0.name) })), .init("reference", .string(reference.name)),
      .init("batch", .integer(1)), .init("points", .array(points.map(\.json))),
    ])
  }
}

extension ModelPoint {
  var json: JSON {
    .object([
      .init("tokens", .integer(length)),
      .init(
        "levels",
        .array(
          rows.map { row in
            .object(
              [.init("level", .string(row.level.name))] + row.summary.members + [
                .init("tokens_per_second", .number(row.tokensPerSecond)), .init("ratio", .number(row.ratio)),
                .init("checksum", .number(row.checksum)),
              ])
          })),
    ])
  }
}
