import Base
import Graph
import Kernels
import NestedFormat
import Runtime
import TestSupport
import Testing

/// Random graphs through a session against the reference interpreter.
///
/// The bound is relative to the largest element of an output. FP32 and FP16: 2e-4, because layer norms and differences
/// amplify the rounding of Float (6e-8 an operation) by up to a few hundred in a row. Nested levels: 0.08, because an
/// activation that lies within rounding of the border of two codes may get either, which moves a product by
/// 1/127 of its group's largest activation times one weight; and the mean over all outputs of all cases below 1e-5,
/// because that is rare.
@Suite struct DifferentialTests {
  #if DEBUG
    static let cases = 40
  #else
    static let cases = 300
  #endif

  private func relativeError(_ found: [Float], _ expected: [Double]) -> Double {
    let largest = expected.map(\.magnitude).max() ?? 0
    var worst = 0.0
    for (x, y) in zip(found, expected) {
      let error = (Double(x) - y).magnitude
      if !(error <= worst) { worst = error.isNaN ? .infinity : error }
    }
    return worst / max(largest, 1e-3)
  }

  @Test(arguments: [Level.fp32, .fp16, .int8, .int4]) func randomGraphs(_ level: Level) throws {
    var total = 0.0
    var outputs = 0
    var operators: Set<String> = []
    for index in 0..<DifferentialTests.cases {
      var random = try RandomGraph("DifferentialTests", index, count: 3 + index % 12)
      let model = try Model(random.builder)
      for region in model.graph.regions { for node in region.nodes { operators.insert(node.operation.name) } }
      let session = try Session(model, [level])
      let maximum = random.maximum
      try session.prepare(
        maximumShapes: [maximum, maximum, maximum + [random.width], [], [maximum[0]]])
      // States go on from run to run on both sides.
      var reference = ReferenceInterpreter(model, level)
      // The prepared sizes, then smaller ones in the same memory, then the prepared ones again.
      for sizes in [maximum, [1, 1], [maximum[0], (maximum[1] + 1) / 2], maximum] {
        let inputs = random.inputs(batch: sizes[0], steps: sizes[1])
        let expected = reference.run(inputs)
        let (found, report) = try session.run(symbols: sizes, inputs)
        #expect(report.outcome.kind == .done && report.level == level)
        for (position, output) in found.enumerated() {
          #expect(output.shape == expected[position].shape, "case \(index)")
          let error = relativeError(output.floats, expected[position].data)
          total += min(error, 1)
          outputs += 1
          if error > (level.isNested ? 0.08 : 2e-4) {
            Issue.record(
              "case \(index) \(level.name), sizes \(sizes), output \(position): error \(error)\n\(random.listing.joined(separator: "\n"))"
            )
          }
        }
      }
    }
    let mean = total / Double(outputs)
    print("random graphs at \(level.name): \(outputs) outputs, mean of the largest relative errors \(mean)")
    #expect(mean < 1e-5)
    for name in ["convolution1D", "gru", "less", "greater", "readState", "writeState", "conditional", "loop"] {
      #expect(operators.contains(name), "no graph has \(name)")
    }
  }
}
