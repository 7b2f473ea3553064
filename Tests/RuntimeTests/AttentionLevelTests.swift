import Graph
import Hardware
import Kernels
import NestedFormat
import TestSupport
import Testing

@testable import Runtime

/// Attention follows the level of the linear site that makes its queries.
@Suite struct AttentionLevelTests {
  private static let generated = KernelSet(features: KernelFeatures(CPUFeatures.live()))
  private enum Queries: CaseIterable { case linear, twiceAdded, input }

  /// x [batch, steps, 40] → attention of four heads over projections of x, with a mask.
  private func model(_ queries: Queries) throws -> Model {
    var random = SeededRandom("AttentionLevelTests")
    var builder = GraphBuilder()
    let (batch, steps) = (builder.symbol("batch"), builder.symbol("steps"))
    let x = builder.input("x", .float32, [batch, steps, .fixed(40)])
    let keep = builder.input("keep", .int64, [batch, steps])
    func project(_ name: String) throws -> ValueID {
      let site = try builder.linearSite(name, try .random([40, 40], scale: 0.2, &random), bias: nil)
      return try builder.add(.linear(site), x)
    }
    let (k, v, made) = (try project("k"), try project("v"), try project("q"))
    let q =
      switch queries {
      case .linear: made
      case .twiceAdded: try builder.add(.binary(.add), made, made)
      case .input: x
      }
    builder.output("y", try builder.add(.attention(heads: 4, scale: 0.5), q, k, v, keep))
    return try Model(builder)
  }

  @Test func sitesOfQueriesAreFound() throws {
    for queries in Queries.allCases {
      let steps = try Lowering(try model(queries).graph).steps
      let step = try #require(steps.first { $0.kind == .attention })
      #expect(step.site == (queries == .linear ? 2 : -1))
    }
  }

  /// Random masks, kept keys at the end of few or none among them; every level, with generated kernels.
  @Test(arguments: Level.allCases) func masksAgreeWithTheReference(_ level: Level) throws {
    for queries in Queries.allCases {
      var random = SeededRandom("masksAgreeWithTheReference \(level.name)")
      let model = try model(queries)
      let session = try Session(model, [level], kernels: Self.generated.table)
      try session.prepare(maximumShapes: [[3, 150, 40], [3, 150]])
      var worst = 0.0
      for steps in [1, 7, 40, 150] {
        for kind in 0..<4 {
          let x = Tensor.floats([3, steps, 40], (0..<(3 * steps * 40)).map { _ in random.normal() })
          let keep = (0..<(3 * steps)).map { index -> Int64 in
            switch kind {
            case 0: 1
            case 1: index % steps < (steps + 1) / 2 ? 1 : 0
            case 2: index / steps == 1 ? 0 : 1
            default: Bool.random(using: &random) ? 1 : 0
            }
          }
          let inputs = [x, Tensor.integers([3, steps], keep)]
          var reference = ReferenceInterpreter(model, level)
          let expected = reference.run(inputs)[0].data
          let found = try session.run(symbols: [3, steps], inputs).outputs[0].floats
          let largest = expected.map(\.magnitude).max() ?? 1
          for (x, y) in zip(found, expected) { worst = max(worst, (Double(x) - y).magnitude / largest) }
        }
      }
      let isReduced = queries == .linear && level != .fp32 && Self.generated.table.attention != nil
      // Products with weights lose something, too, and scores are up to 20.
      #expect(worst < (level == .fp32 ? 2e-5 : 0.05), "\(queries): \(worst)")
      if isReduced { #expect(worst > 1e-4, "\(queries): \(worst)") }
    }
  }
}
