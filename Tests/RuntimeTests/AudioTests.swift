import Base
import Foundation
import Graph
import Hardware
import Kernels
import NestedFormat
import Runtime
import TestSupport
import Testing

/// A second kind of graph against PyTorch: Golden/audio.bin and audio.chunks, made by Golden/make_audio.py.
///
/// Outputs lie in 0...1, states in -1...1, so bounds are absolute. FP32: 1e-6, a few roundings of each layer. FP16: 1e-3,
/// eleven bits of weights through six layers and up to 23 recurrent steps; in bfloat16 eight bits, so eight times as much.
/// INT8: 0.02, weights and activations of 8 bits. INT6: 0.06. Measured: 1.2e-7, 1.8e-4 (bfloat16 1.8e-3), 5.4e-3, 1.6e-2.
@Suite struct AudioTests {
  static let bounds: [(level: Level, largest: Float)] = [(.fp32, 1e-6), (.fp16, 1e-3), (.int8, 0.02), (.int6, 0.06)]

  static func model() throws -> Model {
    try Model(try AudioModel.builder(Array(try ModelDirectory.golden("audio.bin"))))
  }

  static func chunks() throws -> [AudioChunk] { try AudioChunk.read(Array(try ModelDirectory.golden("audio.chunks"))) }

  static func session(_ model: Model, _ levels: [Level], kernels: KernelSet? = nil) throws -> Session {
    let session = try Session(
      model: model, allowed: levels, kernels: kernels?.table ?? .portable, kernelOwner: kernels)
    try session.prepare(maximumShapes: [[AudioModel.batch, 24, AudioModel.channels], []])
    return session
  }

  static func run(_ session: Session, _ chunk: AudioChunk) throws -> [[Float]] {
    let inputs = [
      Tensor.floats([AudioModel.batch, chunk.steps, AudioModel.channels], chunk.x),
      Tensor.integers([], [Int64(chunk.flag)]),
    ]
    let (outputs, report) = try session.run(symbols: [chunk.steps], inputs)
    #expect(report.outcome.kind == .done)
    #expect(outputs[0].shape == [AudioModel.batch, chunk.outputSteps, AudioModel.classes])
    return outputs.map(\.floats)
  }

  private func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
    if a.count != b.count { return .infinity }
    return zip(a, b).reduce(0) { $1.0.isNaN ? .infinity : max($0, ($1.0 - $1.1).magnitude) }
  }

  @Test(arguments: [false, true]) func equalsPyTorch(_ generated: Bool) throws {
    let model = try AudioTests.model()
    let maximum = try InstructionSet.maximumFromEnvironment()
    let kernels = generated ? KernelSet(features: KernelFeatures(CPUFeatures.live(), maximum: maximum)) : nil
    for (level, limit) in AudioTests.bounds {
      let usesBFloat16 = kernels?.table.usesBFloat16(level, rows: .max) ?? false
      let bound = usesBFloat16 ? 8 * limit : limit
      let session = try AudioTests.session(model, [level], kernels: kernels)
      var worst: Float = 0
      for (index, chunk) in try AudioTests.chunks().enumerated() {
        if chunk.isReset { session.resetState() }
        let found = try AudioTests.run(session, chunk)
        let error = max(largestDifference(found[0], chunk.y), largestDifference(found[1], chunk.state))
        #expect(error <= bound, "\(level.name), chunk \(index): \(error)")
        worst = max(worst, error)
      }
      print("audio model at \(level.name), \(generated ? "generated" : "portable") kernels: largest error \(worst)")
    }
  }

  /// What depends on the past does: without the state the second chunk differs.
  @Test func stateMatters() throws {
    let session = try AudioTests.session(try AudioTests.model(), [.fp32])
    let chunks = try AudioTests.chunks()
    let first = try AudioTests.run(session, chunks[0])
    let second = try AudioTests.run(session, chunks[1])
    session.resetState()
    #expect(try largestDifference(AudioTests.run(session, chunks[1])[1], second[1]) > 0.01)
    session.resetState()
    #expect(try AudioTests.run(session, chunks[0]) == first)
    // Preparing measures with made-up inputs, and keeps the state.
    try session.prepare(maximumShapes: [[AudioModel.batch, 16, AudioModel.channels], []])
    #expect(try AudioTests.run(session, chunks[1]) == second)
  }

  @Test func saveAndRestore() throws {
    let model = try AudioTests.model()
    let (session, other) = (try AudioTests.session(model, [.int8]), try AudioTests.session(model, [.int8]))
    let chunks = try AudioTests.chunks()
    for chunk in chunks[..<2] { _ = try AudioTests.run(session, chunk) }
    var saved = [UInt8](repeating: 0, count: session.savedStateByteCount + 1)
    // At any alignment.
    saved.withUnsafeMutableBytes { session.saveState(into: $0.baseAddress! + 1) }
    let expected = try AudioTests.run(session, chunks[2])
    func restore(_ session: Session, _ bytes: [UInt8]) throws(AdaptQError) {
      // Typed throws do not pass through the closure of withUnsafeBytes.
      let block = try MemoryBlock.allocate(byteCount: max(bytes.count, 1), purpose: "test")
      block.base.copyMemory(from: bytes, byteCount: bytes.count)
      try session.restoreState(from: UnsafeRawBufferPointer(start: block.base, count: bytes.count))
    }
    let bytes = Array(saved.dropFirst())
    for session in [session, other] {
      try restore(session, bytes)
      #expect(try AudioTests.run(session, chunks[2]) == expected)
    }
    // Anything else is refused and changes nothing.
    try restore(session, bytes)
    var random = SeededRandom("saveAndRestore")
    for position in 0..<bytes.count where position < 40 || Int.random(in: 0..<10, using: &random) == 0 {
      var damaged = bytes
      damaged[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      #expect(throws: AdaptQError.self, "byte \(position)") { try restore(session, damaged) }
    }
    for count in [0, 1, 31, 32, bytes.count - 1] {
      #expect(throws: AdaptQError.self) { try restore(session, Array(bytes[..<count])) }
    }
    #expect(throws: AdaptQError.self) { try restore(session, bytes + [0]) }
    #expect(try AudioTests.run(session, chunks[2]) == expected)
    let stateless = try Session(try Model(try SmallModel.builder()))
    #expect(throws: AdaptQError.self) { try restore(stateless, bytes) }
    #expect(stateless.savedStateByteCount == 32)
  }

  /// A window of a stride needs so many steps; fewer are refused before anything runs.
  @Test func inputsBelowOneWindow() throws {
    var random = SeededRandom("inputsBelowOneWindow")
    var builder = GraphBuilder()
    let steps = builder.symbol("steps")
    let x = builder.input("x", .float32, [.fixed(1), steps, .fixed(3)])
    let site = try builder.convolutionSite("wide", try .random([4, 3, 7], &random), bias: nil)
    let y = try builder.add(.convolution1D(site, Convolution1D(kernel: 7, stride: 4)), x)
    let last = try builder.convolutionSite("again", try .random([4, 4, 2], &random), bias: nil)
    builder.output("y", try builder.add(.convolution1D(last, Convolution1D(kernel: 2)), y))
    let session = try Session(try Model(builder), [.fp32])
    #expect(throws: AdaptQError.self) { try session.prepare(maximumShapes: [[1, 10, 3]]) }
    try session.prepare(maximumShapes: [[1, 30, 3]])
    #expect(session.handle.minimumSize(ofSymbol: 0) == 11)
    #expect(!session.handle.setSymbol(0, 10))
    for steps in 11...30 {
      let input = Tensor.floats([1, steps, 3], (0..<(steps * 3)).map { _ in random.normal() })
      let shape = try session.run(symbols: [steps], [input]).outputs[0].shape
      #expect(shape == [1, (steps - 7) / 4 + 1 - 1, 4])
    }
  }

  /// The branch that is not taken does not run: its index outside the table harms nobody. A run that fails leaves states
  /// as they were, though it had written them.
  @Test func failedRunsAndOtherBranches() throws {
    var random = SeededRandom("failedRunsAndOtherBranches")
    var builder = GraphBuilder()
    let x = builder.input("x", .float32, [.fixed(4)])
    let row = builder.input("row", .int64, [.fixed(1)])
    let flag = builder.input("flag", .int64, [.fixed(1)])
    let table = try builder.embeddingSite("table", try .random([3, 4], &random))
    let state = builder.state("sum", ValueType(.float32, [.fixed(4)]))
    let sum = try builder.add(.binary(.add), try builder.add(.readState(state)), x)
    let written = try builder.add(.writeState(state), sum)
    let taken = try builder.addConditional(flag) { (builder, _) throws(AdaptQError) in
      [try builder.add(.embedding(table), row)]
    } otherwise: { (builder, _) throws(AdaptQError) in
      // A scalar would broadcast; the shape must be that of the other branch.
      let wide = try builder.add(.embedding(table), try builder.add(.range(axis: 0), row))
      return [wide]
    }
    builder.output("taken", taken[0])
    builder.output("sum", written)
    let session = try Session(try Model(builder), [.fp32])
    try session.prepare(maximumShapes: [[4], [1], [1]])
    func run(_ row: Int64, _ flag: Int64) throws -> (kind: RunOutcome.Kind, sum: [Float]) {
      let (outputs, report) = try session.run(
        symbols: [], [.floats([4], [1, 2, 3, 4]), .integers([1], [row]), .integers([1], [flag])])
      return (report.outcome.kind, outputs[1].floats)
    }
    #expect(try run(2, 1) == (.done, [1, 2, 3, 4]))
    #expect(try run(99, 0) == (.done, [2, 4, 6, 8]))
    #expect(try run(99, 7).kind == .indexOutOfRange)
    #expect(try run(0, 1) == (.done, [3, 6, 9, 12]))
  }

  /// The committed file for the C tests is what the writer writes: ADAPTQ_WRITE_FIXTURES=1 makes it anew.
  @Test func fixtureOfTheCTests() throws {
    let builder = try AudioModel.builder(Array(try ModelDirectory.golden("audio.bin")))
    let bytes = try ContainerWriter(builder: builder, keep: [.fp32]).write().withBytes { Data($0) }
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("ABI/audio.adaptq")
    if ProcessInfo.processInfo.environment["ADAPTQ_WRITE_FIXTURES"] != nil { try bytes.write(to: url) }
    #expect(try Data(contentsOf: url) == bytes)
  }
}
