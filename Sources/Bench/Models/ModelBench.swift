import Base
import Graph
import Kernels
import NestedFormat
import Runtime

/// One level at one length.
public struct ModelRow: Equatable, Sendable {
  public var level: Level
  public var summary: Summary
  public var tokensPerSecond: Double
  /// Times as fast as the reference level.
  public var ratio: Double
  public var checksum: Double
}

/// All levels at one length, batch 1.
public struct ModelPoint: Equatable, Sendable {
  public var length: Int
  public var rows: [ModelRow]
}

/// What a model costs on this machine.
public struct ModelResult: Equatable, Sendable {
  public var path: String
  public var byteCount: Int
  /// Stored, best first.
  public var levels: [Level]
  /// The best stored level, which ratios refer to.
  public var reference: Level
  public var points: [ModelPoint]
}

/// Times whole inferences through a session, as a host runs them.
struct ModelBench {
  static let lengths = [8, 16, 32, 64, 128, 256]

  let model: Model
  let path: String
  let kernels: KernelSet
  let rounds: InterleavedRounds

  func measure(_ progress: (ModelPoint) -> Void) throws(AdaptQError) -> ModelResult {
    let bound = ModelInputs.lengthBound(model.graph) ?? Int.max
    let lengths = ModelBench.lengths.filter { $0 <= bound }
    guard let longest = lengths.last, let reference = model.levels.first else {
      throw .unsupported("bench: the model has no level or no length to measure")
    }
    let kernels = kernels.serving(model.graph.form)
    let session = try Session(model: model, allowed: Level.allCases, kernels: kernels.table, kernelOwner: kernels)
    let inputs = try ModelInputs(model, maximumLength: longest)
    try session.prepare(maximumShapes: inputs.maximumShapes)
    var result = ModelResult(
      path: path, byteCount: model.byteCount, levels: session.levels, reference: reference, points: [])
    for length in lengths {
      let point = try measure(session, inputs, length)
      result.points.append(point)
      progress(point)
    }
    // Its handle is all that the runs hold on to.
    withExtendedLifetime((session, inputs)) {}
    return result
  }

  private func measure(_ session: Session, _ inputs: ModelInputs, _ length: Int) throws(AdaptQError) -> ModelPoint {
    let levels = session.levels
    let handle = session.handle
    try inputs.bind(session, length: length)
    func run(_ index: Int, _ calls: Int) throws(AdaptQError) {
      for _ in 0..<calls {
        let report = handle.run(callLevel: levels[index].rawValue)
        if report.outcome.kind != .done {
          throw .internalError("bench: index \(report.outcome.index) in a table of \(report.outcome.rows) rows")
        }
        if report.level != levels[index] {
          throw .internalError("bench: asked for \(levels[index].name), ran \(report.level.name)")
        }
      }
    }
    // A sample is one inference, so that the 95th percentile is that of inferences.
    let summaries = try rounds.measure(contestants: levels.count, run)
    var rows: [ModelRow] = []
    for (index, level) in levels.enumerated() {
      try run(index, 1)
      rows.append(
        ModelRow(
          level: level, summary: summaries[index],
          tokensPerSecond: Double(length) / max(summaries[index].median, 1) * 1e9,
          ratio: summaries[0].median / max(summaries[index].median, 1), checksum: try inputs.checksum(length: length)))
    }
    return ModelPoint(length: length, rows: rows)
  }
}
