import Base
import Foundation
import Graph
import Hardware
import Importers
import Kernels
import NestedFormat
import Runtime
import TestSupport
import Testing

/// all-MiniLM-L6-v2 against PyTorch (Golden/make_golden.py). An unoptimized build runs the shortest sentences only.
@Suite(
  .serialized,
  .enabled(
    if: ModelDirectory.exists,
    "needs all-MiniLM-L6-v2: set ADAPTQ_MODEL_DIR to its folder, or put it into the user's cache"))
struct MiniLMTests {
  /// Lowest mean cosine against FP32 in PyTorch.
  static let bars: [(level: Level, cosine: Double)] = [
    (.fp32, 0.99999), (.fp16, 0.9999), (.int8, 0.999), (.int6, 0.995), (.int4, 0.96),
  ]

  private func kernels() throws -> KernelSet {
    KernelSet(features: KernelFeatures(CPUFeatures.live(), maximum: try InstructionSet.maximumFromEnvironment()))
  }

  @Test func embeddings() throws {
    let imported = try HuggingFaceDirectory(path: ModelDirectory.path).load()
    let model = try Model(imported.builder, keep: [.fp16, .fp32])
    let tokenizer = try #require(imported.tokenizer)
    let sentences = String(decoding: try ModelDirectory.golden("sentences.txt"), as: UTF8.self).split(separator: "\n")
    let golden = try ModelDirectory.floats("embeddings.f32")
    let expectedTokens = String(decoding: try ModelDirectory.golden("sentences.tokens"), as: UTF8.self)
      .split(separator: "\n").map { $0.split(separator: " ").compactMap { Int64($0) } }
    #expect(sentences.count == 100 && golden.count == 100 * 384)
    var encoded: [(index: Int, ids: [Int64])] = []
    for (index, sentence) in sentences.enumerated() {
      let ids = try tokenizer.encode(String(sentence), maximumLength: 128).ids
      #expect(ids == expectedTokens[index], "sentence \(index)")
      encoded.append((index, ids))
    }
    let kernels = try kernels()
    for level in Level.allCases.sorted().reversed() {
      #if DEBUG
        let subset = encoded.sorted { $0.ids.count < $1.ids.count }.prefix(level.isNested ? 2 : 10)
      #else
        let subset = encoded[...]
      #endif
      let longest = subset.map(\.ids.count).max() ?? 1
      let session = try Session(model: model, allowed: [level], kernels: kernels.table, kernelOwner: kernels)
      try session.prepare(maximumShapes: [[1, longest], [1, longest]])
      var cosines: [Double] = []
      for (index, ids) in subset {
        let mask = Tensor.integers([1, ids.count], [Int64](repeating: 1, count: ids.count))
        let (outputs, report) = try session.run(
          symbols: [1, ids.count], [.integers([1, ids.count], ids), mask], level: level)
        #expect(report.outcome.kind == .done && report.level == level)
        let expected = golden[(index * 384)..<((index + 1) * 384)]
        cosines.append(zip(outputs[0].floats, expected).reduce(0) { $0 + Double($1.0) * Double($1.1) })
      }
      let mean = cosines.reduce(0, +) / Double(cosines.count)
      print("MiniLM \(level.name): \(cosines.count) sentences, cosine mean \(mean), lowest \(cosines.min() ?? 0)")
      // The bars are means over all sentences; of the few that an unoptimized build runs, each must only be near.
      #expect(cosines.allSatisfy { $0 > (level == .int2 ? 0 : 0.8) }, "\(level.name)")
      if subset.count == encoded.count, let bar = MiniLMTests.bars.first(where: { $0.level == level }) {
        #expect(mean >= bar.cosine, "\(level.name)")
      }
    }
  }

  /// Values inside the network, found by making them outputs: after the embedding layer and after layer 0.
  @Test func firstLayers() throws {
    let imported = try HuggingFaceDirectory(path: ModelDirectory.path).load()
    let graph = imported.builder.graph
    let norms = graph.nodes.filter { if case .layerNorm = $0.operation { true } else { false } }
    var file = try ContainerFile(try ContainerWriter(builder: imported.builder, keep: [.fp32]).write())
    let results = [norms[0].outputs[0].index, norms[2].outputs[0].index]
    try file.setModel(["graph", "regions", 0, "results"], .array(results.map { .integer($0) }))
    let model = try Model(try file.block(), source: "first layers")
    let kernels = try kernels()
    let session = try Session(model: model, allowed: [.fp32], kernels: kernels.table, kernelOwner: kernels)
    let ids = try #require(
      String(decoding: try ModelDirectory.golden("sentences.tokens"), as: UTF8.self).split(separator: "\n").first
    )
    .split(separator: " ").compactMap { Int64($0) }
    try session.prepare(maximumShapes: [[1, ids.count], [1, ids.count]])
    let mask = Tensor.integers([1, ids.count], [Int64](repeating: 1, count: ids.count))
    let (outputs, _) = try session.run(symbols: [1, ids.count], [.integers([1, ids.count], ids), mask])
    let golden = try ModelDirectory.floats("first.f32")
    let count = ids.count * 384
    #expect(golden.count == 2 * count)
    for (part, output) in outputs.enumerated() {
      let expected = golden[(part * count)..<((part + 1) * count)]
      let error = zip(output.floats, expected).reduce(0) { $0 + pow(Double($1.0 - $1.1), 2) }
      let size = expected.reduce(0) { $0 + Double($1 * $1) }
      let relative = (error / size).squareRoot()
      print("MiniLM FP32, \(part == 0 ? "after the embedding layer" : "after layer 0"): relative error \(relative)")
      // The tables are read at 8 bits at every level: 45 dB, of which the norm behind the sum keeps about 40.
      #expect(relative < (part == 0 ? 1.2e-2 : 8e-3), "part \(part)")
    }
  }

  @Test func bytesPerWeight() throws {
    let imported = try HuggingFaceDirectory(path: ModelDirectory.path).load()
    let model = try Model(imported.builder, keep: [])
    let weights = model.graph.sites.reduce(0) { $0 + $1.n * $1.k }
    let bytes = model.forms.reduce(0) { $0 + $1.storedByteCount }
    print("MiniLM: \(Double(bytes) / Double(weights)) bytes per weight, file \(model.byteCount) bytes")
    #expect(Double(bytes) / Double(weights) <= 1.15)
    #expect(Double(model.byteCount) / Double(weights) <= 1.15)
  }

  /// Regression: inputs are dead when pooled values are written, and may lie where those go.
  @Test func preparesWhereInputsAreOverwritten() throws {
    let imported = try HuggingFaceDirectory(path: ModelDirectory.path).load()
    let model = try Model(imported.builder, keep: [.fp32])
    let kernels = try kernels()
    let session = try Session(model: model, allowed: [.fp32], kernels: kernels.table, kernelOwner: kernels)
    try session.prepare(maximumShapes: [[1, 256], [1, 256]])
    #expect(throws: AdaptQError.self) { try session.prepare(maximumShapes: [[1, 513], [1, 513]]) }
  }
}

/// The model, which is not committed, and the golden files beside the sources.
enum ModelDirectory {
  static let path: String = {
    let environment = ProcessInfo.processInfo.environment
    if let given = environment["ADAPTQ_MODEL_DIR"] { return given }
    let cache = environment["XDG_CACHE_HOME"] ?? (environment["HOME"] ?? "") + "/.cache"
    return cache + "/adaptq/models/all-MiniLM-L6-v2"
  }()

  static let exists = FileManager.default.isReadableFile(atPath: path + "/model.safetensors")

  static func golden(_ name: String) throws -> Data {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return try Data(contentsOf: folder.appendingPathComponent("Golden").appendingPathComponent(name))
  }

  static func floats(_ name: String) throws -> [Float] {
    let bytes = Array(try golden(name))
    return bytes.withUnsafeBytes { bytes in
      (0..<(bytes.count / 4)).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
    }
  }
}
