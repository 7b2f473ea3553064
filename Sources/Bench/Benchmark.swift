import Base
import Graph
import Hardware
import Kernels
import NestedFormat

/// Measures products and a model on this machine: one thread, bound to one CPU, everything interleaved, medians.
///
/// docs/bench.md says what each number means. Whoever calls this stays bound to that CPU.
public enum Benchmark {
  /// Lines, and an empty one behind them.
  private static func showBlock(_ lines: [String], _ print: (String) -> Void) {
    for line in lines { print(line) }
    print("")
  }

  /// - Parameters:
  ///   - model: a model to measure besides the products, and what to call it.
  ///   - print: takes lines as they become known.
  /// - Throws: what the machine refuses (memory, generated code), or a model that cannot be measured.
  public static func run(
    _ options: BenchReport.Options, model: (model: Model, path: String)?, cases: [MatrixCase]? = nil,
    print: (String) -> Void
  ) throws(AdaptQError) -> BenchReport {
    func show(_ lines: [String]) { showBlock(lines, print) }
    let begun = try begin(options, show)
    let kernels = begun.kernels
    var report = begun.report
    let machine = report.machine

    let products = kernels.serving(options.form)
    let bench = MatrixBench(
      machine: machine, limits: report.limits, kernels: products.table,
      rounds: InterleavedRounds(
        rounds: options.roundCount, sampleNanoseconds: options.quick ? 100_000 : 500_000,
        budgetNanoseconds: options.quick ? 500_000_000 : 5_000_000_000),
      reads: try ReadLoops(begun.features))
    for matrix in cases ?? (options.quick ? MatrixCase.quick : MatrixCase.standard) {
      let result = try bench.measure(matrix)
      report.matrices.append(result)
      show(result.lines)
    }

    if let (model, path) = model {
      let levels = model.levels.map(\.name).joined(separator: " ")
      print("model \(path), \(model.byteCount) bytes, levels \(levels), batch 1")
      let reference = model.levels.first ?? .int8
      let bench = ModelBench(
        model: model, path: path, kernels: kernels,
        rounds: InterleavedRounds(
          rounds: options.roundCount, sampleNanoseconds: 0, warms: true,
          budgetNanoseconds: options.quick ? 3_000_000_000 : 30_000_000_000))
      report.model = try bench.measure { point in show(point.lines(reference: reference)) }
    }
    withExtendedLifetime((kernels, products)) {}
    return report
  }

  /// Measures where a model's inferences spend their time, at every level it holds.
  ///
  /// - Parameters:
  ///   - lengths: at batch 1.
  ///   - print: takes lines as they become known.
  /// - Throws: as ``run(_:model:cases:print:)``; `.outOfRange` for a length beyond the model's positions.
  public static func profile(
    _ options: BenchReport.Options, model: (model: Model, path: String), lengths: [Int], print: (String) -> Void
  ) throws(AdaptQError) -> BenchReport {
    func show(_ lines: [String]) { showBlock(lines, print) }
    let begun = try begin(options, show)
    let kernels = begun.kernels
    var report = begun.report
    let bench = ProfileBench(
      model: model.model, path: model.path, kernels: kernels, limits: report.limits, machine: report.machine,
      rounds: InterleavedRounds(
        rounds: options.roundCount, sampleNanoseconds: 0, warms: true,
        budgetNanoseconds: options.quick ? 3_000_000_000 : 120_000_000_000))
    report.profile = try bench.measure(lengths) { result, point in
      if result.points.count == 1 { show(result.header) }
      for lines in point.tables { show(lines) }
    }
    withExtendedLifetime(kernels) {}
    return report
  }

  /// Measures what the machine gives, and nothing else.
  ///
  /// - Throws: as ``run(_:model:cases:print:)``.
  public static func limits(_ options: BenchReport.Options) throws(AdaptQError) -> BenchReport {
    try begin(options, { _ in }).report
  }

  /// What every measurement begins with: one CPU, its kernels, its limits.
  private static func begin(
    _ options: BenchReport.Options, _ show: ([String]) -> Void
  ) throws(AdaptQError) -> Begun {
    let machine = Machine.pinned()
    let features = KernelFeatures(CPUFeatures.live(), maximum: try InstructionSet.maximumFromEnvironment())
    let kernels = KernelSet(features: features)
    var report = BenchReport(
      options: options, machine: machine, instructionSet: features.highest.name,
      generatedKernels: kernels.entries.filter { $0.whyNot == nil }.map(\.name),
      portableKernels: kernels.entries.filter { $0.whyNot != nil }.map(\.description))
    if let why = kernels.whyNotGenerated { report.portableKernels.append("all, because \(why)") }
    show(report.header)
    report.limits = try MachineLimits.measure(machine, features, rounds: max(options.roundCount, 31))
    report.region = try RegionCost.measure(cpus: machine.twoCPUs)
    show(report.limits.lines + (report.region.map { [$0.line] } ?? []))
    return Begun(report: report, kernels: kernels, features: features)
  }

  private struct Begun {
    var report: BenchReport
    var kernels: KernelSet
    var features: KernelFeatures
  }
}
