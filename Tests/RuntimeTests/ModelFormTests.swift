import Base
import Graph
import Hardware
import Kernels
import NestedFormat
import TestSupport
import Testing

@testable import Runtime

/// Whole models of every form of nested weights: through a file, in a session, at every level.
@Suite struct ModelFormTests {
  private static let generated = KernelSet(features: KernelFeatures(CPUFeatures.live()))

  private static func model(_ form: NestedForm) throws -> Model {
    var builder = try SmallModel.builder()
    builder.setForm(form)
    let file = try ContainerWriter(builder: builder, keep: [.fp32]).write()
    return try Model(file, source: "form")
  }

  /// Portable and generated kernels agree, INT8 is near FP32, and two threads give the bits of one.
  @Test(arguments: [NestedForm.standard] + KernelCatalog.otherForms)
  func runs(form: NestedForm) throws {
    let model = try Self.model(form)
    #expect(model.graph.form == form)
    let set = Self.generated.serving(form)
    var portable = KernelTable.portable
    portable.form = form
    var random = SeededRandom("ModelFormTests.runs")
    let ids = Tensor.integers([2, 9], (0..<18).map { _ in Int64.random(in: 0..<7, using: &random) })
    let mask = Tensor.integers([2, 9], (0..<18).map { _ in 1 })
    var results: [[Tensor]] = []
    let threads = Threads(ThreadOptions(count: 2), recommended: { 1 })
    for (kernels, threads) in [(portable, Threads.alone), (set.table, .alone), (set.table, threads)] {
      let session = try Session(model, kernels: kernels, threads: threads)
      try session.prepare(maximumShapes: [[2, 9], [2, 9]])
      results.append(
        try [Level.fp32, .int8, .int6, .int4, .int2].map { level in
          try session.run(symbols: [2, 9], [ids, mask], level: level).outputs[0]
        })
    }
    for level in 0..<results[0].count {
      let (plain, fast) = (results[0][level].floats, results[1][level].floats)
      #expect(fast == results[2][level].floats, "\(form) level \(level): threads change bits")
      for index in plain.indices {
        #expect((plain[index] - fast[index]).magnitude < 5e-3, "\(form) level \(level) at \(index)")
      }
    }
    for index in results[1][0].floats.indices {
      let (exact, coded) = (results[1][0].floats[index], results[1][1].floats[index])
      #expect((exact - coded).magnitude < 0.05, "\(form) at \(index): \(coded) for \(exact)")
    }
    withExtendedLifetime(set) {}
  }

  @Test func sessionsWantKernelsOfTheirForm() throws {
    let model = try Self.model(try NestedForm(groupSize: 128))
    #expect(throws: AdaptQError.self) { try Session(model, kernels: .portable) }
  }
}
