import Base
import Graph
import Kernels
import NestedFormat
import Runtime

/// Times each operator of whole inferences, by the trace that hosts have, beside inferences that nobody watches.
struct ProfileBench {
  let model: Model
  let path: String
  let kernels: KernelSet
  let limits: MachineLimits
  let machine: Machine
  let rounds: InterleavedRounds

  /// - Throws: `.outOfRange` for a length beyond the model's positions; what ``ModelBench`` throws.
  func measure(_ lengths: [Int], _ progress: (ProfileResult, ProfilePoint) -> Void) throws(AdaptQError) -> ProfileResult
  {
    if let bound = ModelInputs.lengthBound(model.graph), let wrong = lengths.first(where: { $0 > bound }) {
      throw AdaptQError(.outOfRange, "length \(wrong): the model has \(bound) positions")
    }
    guard let longest = lengths.max(), !model.levels.isEmpty else {
      throw .unsupported("bench: the model has no level or no length to measure")
    }
    let kernels = kernels.serving(model.graph.form)
    let session = try Session(model: model, allowed: Level.allCases, kernels: kernels.table, kernelOwner: kernels)
    let inputs = try ModelInputs(model, maximumLength: longest)
    try session.prepare(maximumShapes: inputs.maximumShapes)
    var result = ProfileResult(
      path: path, byteCount: model.byteCount, clockNanoseconds: Bench.clockNanoseconds(), points: [])
    for length in lengths {
      let point = try measure(session, inputs, length, clock: result.clockNanoseconds)
      result.points.append(point)
      progress(result, point)
    }
    withExtendedLifetime((session, inputs)) {}
    return result
  }

  /// Contestant `2 · i` is level `i` as it is, `2 · i + 1` the same traced.
  private func measure(
    _ session: Session, _ inputs: ModelInputs, _ length: Int, clock: Double
  ) throws(AdaptQError) -> ProfilePoint {
    let levels = session.levels
    let handle = session.handle
    let recorder = try TraceRecorder()
    defer { recorder.detach(from: session) }
    var collectors = levels.map { _ in StepTimes.Collector(clock: clock) }
    try inputs.bind(session, length: length)
    func run(_ index: Int, _ calls: Int) throws(AdaptQError) {
      // Switching is two stores, in the time of both kinds.
      if index % 2 == 1 { recorder.attach(to: session) } else { recorder.detach(from: session) }
      for _ in 0..<calls {
        recorder.begin()
        let report = handle.run(callLevel: levels[index / 2].rawValue)
        if report.outcome.kind != .done || report.level != levels[index / 2] {
          throw .internalError("bench: a run at \(levels[index / 2].name) did not end well")
        }
      }
    }
    let summaries = try rounds.measure(
      contestants: 2 * levels.count,
      sampled: { (index, sample) throws(AdaptQError) in
        if index % 2 == 0 { return }
        if !recorder.isComplete {
          throw .unsupported("bench: more than \(TraceRecorder.capacity) operators in one inference")
        }
        collectors[index / 2].add(recorder.steps, whole: sample.nanoseconds, isDisturbed: sample.isDisturbed)
      }, run)
    let sites = LinearSites(model.graph, length: length)
    let rows = levels.indices.map { index in
      ProfileRow(
        level: levels[index], untraced: summaries[2 * index], traced: summaries[2 * index + 1],
        outside: collectors[index].outsideNanoseconds,
        steps: sites.steps(collectors[index].steps, limits, machine, kernels.table))
    }
    return ProfilePoint(length: length, rows: rows)
  }
}

/// What products of a model do at one length.
struct LinearSites {
  private let graph: Graph
  /// By site; none where it depends on data.
  private let rows: [Int: Int]

  init(_ graph: Graph, length: Int) {
    self.graph = graph
    var rows: [Int: Int] = [:]
    for region in graph.regions {
      for node in region.nodes {
        guard case .linear(let site) = node.operation, let input = node.inputs.first,
          let count = try? ModelInputs.count(graph, input, length: length)
        else { continue }
        rows[site.index] = count / max(graph.sites[site.index].k, 1)
      }
    }
    self.rows = rows
  }

  func steps(_ times: [StepTimes], _ limits: MachineLimits, _ machine: Machine, _ kernels: KernelTable) -> [ProfileStep]
  {
    // An inference reads the weights of all its sites before it reads one again.
    let all = times.filter { $0.operation == "linear" }.reduce(0) { sum, time in
      sum + (time.site.flatMap { site in time.level.map { byteCount(graph.sites[site], $0) } } ?? 0)
    }
    return times.map { time in
      var step = ProfileStep(
        step: time.step, operation: time.operation, nanoseconds: time.nanoseconds, calls: time.calls)
      guard let index = time.site, graph.sites.indices.contains(index) else { return step }
      let site = graph.sites[index]
      step.site = site.name
      step.shape = [site.n, site.k]
      guard time.operation == "linear", let level = time.level, let rows = rows[index],
        let limit = limits.bound(
          rows: rows, level, usesBFloat16: kernels.usesBFloat16(level, rows: rows), byteCount: all, machine)
      else { return step }
      let once = limit.unit == "GB/s" ? byteCount(site, level) : 2 * rows * site.n * site.k
      step.work = ProfileWork(rows: rows, amount: Double(once) * Double(time.calls), limit: limit)
      return step
    }
  }

  /// Weights and scales that one product reads.
  private func byteCount(_ site: Graph.Site, _ level: Level) -> Int {
    if !level.isNested { return (try? DenseShape(n: site.n, k: site.k, level: level).byteCount) ?? 0 }
    guard let shape = try? NestedShape(n: site.n, k: site.k, form: site.form) else { return 0 }
    return level.planes * shape.planeByteCount + shape.scaleByteCount
  }
}
