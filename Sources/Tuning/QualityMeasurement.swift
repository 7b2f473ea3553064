import Base
import Graph
import NestedFormat
import Runtime

/// Runs samples at any levels per site and compares the outputs with those of a reference. States begin as zeros in each sample.
struct QualityMeasurement {
  let session: Session
  let samples: [CalibrationSample]
  /// Outputs of floats, as indices into the model's.
  private let outputs: [Int]
  private let references: [[MemoryBlock]]
  /// How large the inputs of each site were in the runs of the reference; nil for sites that have none of their own.
  let ranges: [SiteRange?]

  /// - Parameters:
  ///   - session: prepared for the largest sample; no run of it is in progress.
  ///   - reference: one level per site.
  init(
    _ session: Session, _ samples: [CalibrationSample], reference: [Level],
    progress: (_ done: Int, _ of: Int) -> Void
  ) throws(AdaptQError) {
    self.session = session
    self.samples = samples
    let graph = session.model.graph
    outputs = graph.outputs.indices.filter { graph.type(of: graph.outputs[$0]).element == .float32 }
    if outputs.isEmpty { throw .unsupported("the model has no output of floats to compare") }
    if samples.isEmpty { throw .invalidArgument("calibration samples: none") }
    var references: [[MemoryBlock]] = []
    var sums = [RangeSums](repeating: RangeSums(), count: graph.sites.count)
    for index in samples.indices {
      references.append(try QualityMeasurement.run(session, samples[index], index, reference, &sums))
      progress(index + 1, samples.count)
    }
    self.references = references
    ranges = sums.map(\.range)
  }

  /// Cosines of all output rows of the chosen samples with the reference's.
  ///
  /// - Throws: what a run may throw.
  func cosines(_ levels: [Level], samples chosen: some Sequence<Int>) throws(AdaptQError) -> [Double] {
    defer { withExtendedLifetime(session) {} }
    var cosines: [Double] = []
    for index in chosen {
      var unused: [RangeSums] = []
      let own = try QualityMeasurement.run(session, samples[index], index, levels, &unused)
      for output in outputs {
        let run = session.handle
        let rank = run.outputLayout(output).rank
        let width = rank == 0 ? 1 : run.outputSize(output, rank - 1)
        let (a, b) = (own[output], references[index][output])
        let rows = width > 0 ? run.outputByteCount(output) / 4 / width : 0
        for row in 0..<rows {
          cosines.append(
            RowDistance(
              a.base.assumingMemoryBound(to: Float.self) + row * width,
              b.base.assumingMemoryBound(to: Float.self) + row * width, width
            ).cosine)
        }
      }
    }
    return cosines
  }

  /// What two cosines must differ by to be told apart: nobody can use less, and float products in another order are a tenth of
  /// it away.
  static let resolution = 1e-6

  /// Mean and 5th percentile (nearest rank) of cosines, rounded to the resolution: what a file keeps.
  static func quality(_ cosines: [Double]) -> PlanQuality {
    func rounded(_ value: Double) -> Double { (value / resolution).rounded() / (1 / resolution).rounded() }
    let sorted = cosines.sorted()
    let mean = sorted.reduce(0, +) / Double(max(sorted.count, 1))
    // The least value that at least 5 % do not exceed.
    let rank = clampedInt((0.05 * Double(sorted.count) - 1e-9).rounded(.up), in: 1...max(sorted.count, 1))
    return PlanQuality(
      meanCosine: min(max(rounded(mean), -1), 1), p5Cosine: sorted.isEmpty ? 0 : rounded(sorted[rank - 1]))
  }

  /// The outputs of one sample.
  ///
  /// - Parameter ranges: get the rows of the sites' inputs; empty: nobody wants to know.
  private static func run(
    _ session: Session, _ sample: CalibrationSample, _ index: Int, _ levels: [Level], _ ranges: inout [RangeSums]
  ) throws(AdaptQError) -> [MemoryBlock] {
    // The handle is pointers only and keeps nothing alive.
    defer { withExtendedLifetime(session) {} }
    let run = session.handle
    let graph = session.model.graph
    try setSizes(run, sample, index)
    run.resolveShapes()
    session.resetState()
    var blocks: [MemoryBlock] = []
    for (input, tensor) in sample.inputs.enumerated() {
      if tensor.data.byteCount < run.inputByteCount(input) {
        throw .invalidArgument(
          "sample \(index), input \(input): \(tensor.data.byteCount) bytes, needs \(run.inputByteCount(input))")
      }
      run.bind(input, TensorBinding(data: tensor.data.base, byteCount: run.inputByteCount(input)))
    }
    for output in 0..<run.outputCount {
      let byteCount = run.outputByteCount(output)
      let block = try MemoryBlock.allocate(byteCount: max(byteCount, 1), purpose: "calibration output")
      run.bind(sample.inputs.count + output, TensorBinding(data: block.base, byteCount: byteCount))
      blocks.append(block)
    }
    let outcome = ranges.withUnsafeMutableBufferPointer { ranges in
      run.run(siteLevels: levels.map(\.rawValue), ranges: ranges.isEmpty ? nil : ranges.baseAddress).outcome
    }
    if outcome.kind == .indexOutOfRange {
      throw .invalidArgument(
        "sample \(index): index \(outcome.index), site \"\(graph.sites[outcome.site].name)\" has \(outcome.rows) rows")
    }
    if outcome.kind != .done { throw .invalidArgument("sample \(index): the run ended with \(outcome.kind)") }
    return blocks
  }

  private static func setSizes(_ run: RunHandle, _ sample: CalibrationSample, _ index: Int) throws(AdaptQError) {
    if sample.inputs.count != run.inputCount {
      throw .invalidArgument("sample \(index): \(sample.inputs.count) inputs, the model has \(run.inputCount)")
    }
    var seen: [Int: Int] = [:]
    for (input, tensor) in sample.inputs.enumerated() {
      let layout = run.inputLayout(input)
      if tensor.shape.count != layout.rank {
        throw .invalidArgument("sample \(index), input \(input): rank \(tensor.shape.count), expected \(layout.rank)")
      }
      for axis in 0..<layout.rank {
        let (source, size) = (layout.sources[axis], tensor.shape[axis])
        if source >= 0 {
          if size == source { continue }
          throw .invalidArgument("sample \(index), input \(input): sizes[\(axis)] is \(size), expected \(source)")
        }
        let symbol = -1 - source
        if let other = seen[symbol], other != size {
          throw .invalidArgument("sample \(index), input \(input): sizes[\(axis)] is \(size), elsewhere \(other)")
        }
        seen[symbol] = size
        if !run.setSymbol(symbol, size) {
          throw AdaptQError(
            .outOfRange,
            "sample \(index), input \(input): sizes[\(axis)] is \(size), allowed are "
              + "\(run.minimumSize(ofSymbol: symbol)) to \(run.maximumSize(ofSymbol: symbol))")
        }
      }
    }
  }
}
