import Base
import Control
import Graph
import Hardware
import Kernels
import NestedFormat
import Runtime
import Telemetry
import Text

/// A model with tokenizer that takes `input_ids` and `attention_mask` and gives one vector per text.
struct SentenceModel {
  let model: Model
  let tokenizer: Tokenizer
  let kernels: KernelSet
  /// What measured costs are kept for.
  let machine: CostMachine

  init(path: String) throws(AdaptQError) {
    model = try Model(try MemoryBlock.read(path: path), source: "\"\(path)\"")
    guard let stored = model.tokenizer else { throw AdaptQError(.notFound, "\"\(path)\": no tokenizer in the file") }
    tokenizer = try Tokenizer(settings: stored.settings, vocabulary: stored.vocabulary)
    let cpu = CPUFeatures.live()
    let features = KernelFeatures(cpu, maximum: try InstructionSet.maximumFromEnvironment())
    kernels = KernelSet(features: features).serving(model.graph.form)
    machine = CostMachine(cpu, features, kernels)
    let names = model.graph.inputs.map { model.graph.values[$0.index].name }
    let output = model.graph.outputs.first.map { model.graph.type(of: $0) }
    if names != ["input_ids", "attention_mask"] || model.graph.outputs.count != 1 || output?.rank != 2 {
      throw .unsupported("\"\(path)\": inputs \(names): this command needs input_ids and attention_mask")
    }
  }

  func session(
    _ levels: [Level] = Level.allCases, measureRounds: Int? = nil, telemetryFile: TelemetryFile? = nil,
    shadows: Bool = false
  ) throws(AdaptQError) -> Session {
    try Session(
      model: model, allowed: levels, kernels: kernels.table, kernelOwner: kernels, measureRounds: measureRounds,
      telemetryFile: telemetryFile, shadows: shadows, machine: machine)
  }

  /// Longest sequence: the tokenizer's bound, or what the position table has.
  var maximumLength: Int {
    let positions = model.graph.sites.filter { $0.kind == .embedding }.map(\.n).min() ?? 512
    return min(tokenizer.truncation?.maximumLength ?? positions, positions)
  }

  var width: Int {
    guard let output = model.graph.outputs.first, case .fixed(let size)? = model.graph.type(of: output).shape.last
    else { return 0 }
    return size
  }

  /// One text per call, so that no padding is computed.
  ///
  /// - Parameter deadline: nanoseconds; 0 for none.
  func embed(
    _ session: Session, ids: [Int64], level: Level?, deadline: Int = 0
  ) throws(AdaptQError) -> (vector: [Float], report: RunReport) {
    let run = session.handle
    guard run.setSymbol(0, 1), run.setSymbol(1, ids.count) else {
      throw AdaptQError(.outOfRange, "\(ids.count) tokens: prepared for \(run.maximumSize(ofSymbol: 1))")
    }
    var ids = ids
    var mask = [Int64](repeating: 1, count: ids.count)
    var vector = [Float](repeating: 0, count: width)
    var report = RunReport()
    let byteCount = ids.count * 8
    ids.withUnsafeMutableBytes { ids in
      mask.withUnsafeMutableBytes { mask in
        vector.withUnsafeMutableBytes { vector in
          guard let ids = ids.baseAddress, let mask = mask.baseAddress, let vector = vector.baseAddress else { return }
          run.bind(0, TensorBinding(data: ids, byteCount: byteCount))
          run.bind(1, TensorBinding(data: mask, byteCount: byteCount))
          run.bind(2, TensorBinding(data: vector, byteCount: width * 4))
          report = run.run(callLevel: level?.rawValue ?? 0, deadline: deadline)
        }
      }
    }
    if report.outcome.kind != .done {
      throw .invalidArgument("token \(report.outcome.index): the table has \(report.outcome.rows) rows")
    }
    return (vector, report)
  }
}
