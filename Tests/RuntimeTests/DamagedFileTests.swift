import Base
import Graph
import NestedFormat
import Runtime
import TestSupport
import Testing

/// Files cut short or changed in one byte: an error, or a model that runs. Never a crash, never a read outside.
@Suite struct DamagedFileTests {
  /// Convolutions, a state, a GRU and regions.
  private func audioFile() throws -> [UInt8] {
    let builder = try AudioModel.builder(Array(try ModelDirectory.golden("audio.bin")))
    return try ContainerWriter(builder: builder, keep: []).write().withBytes { Array($0) }
  }

  private func file() throws -> [UInt8] {
    let writer = ContainerWriter(builder: try SmallModel.builder(), keep: [.fp32], tokenizer: SmallModel.tokenizer)
    return try writer.write().withBytes { Array($0) }
  }

  /// Whether the bytes were a model; if so it has run where its sizes are small.
  private func loadAndRun(_ bytes: some Collection<UInt8>) throws -> Bool {
    let block = try ContainerFile.block(bytes)
    let model: Model
    do throws(AdaptQError) { model = try Model(block, source: "damaged") } catch {
      #expect(!error.message.isEmpty && error.status != .internalError, "\(error)")
      return false
    }
    let shapes = model.graph.inputs.map { id in
      model.graph.type(of: id).shape.map { dimension in if case .fixed(let size) = dimension { size } else { 2 } }
    }
    let sizes = model.graph.values.flatMap(\.type.shape).map { dimension in
      if case .fixed(let size) = dimension { size } else { 2 }
    }
    if sizes.contains(where: { $0 > 1000 }) { return true }
    do throws(AdaptQError) {
      let session = try Session(model: model, allowed: [.int8, .fp32], kernels: .portable, kernelOwner: nil)
      try session.prepare(maximumShapes: shapes)
      let inputs = zip(model.graph.inputs, shapes).map { id, shape -> Tensor in
        let count = shape.reduce(1, *)
        return model.graph.type(of: id).element == .float32
          ? .floats(shape, [Float](repeating: 1, count: count))
          : .integers(shape, [Int64](repeating: 1, count: count))
      }
      for level in session.levels {
        _ = try? session.run(symbols: [Int](repeating: 2, count: model.graph.symbols.count), inputs, level: level)
      }
    } catch {
      #expect(error.status != .internalError, "\(error)")
    }
    return true
  }

  @Test func whole() throws {
    #expect(try loadAndRun(try file()))
    #expect(try loadAndRun(try audioFile()))
  }

  @Test func headerBytesOfTheAudioModel() throws {
    let bytes = try audioFile()
    let header = 8 + Int(bytes[0]) + Int(bytes[1]) << 8
    #if DEBUG
      let cases = 400
    #else
      let cases = 6000
    #endif
    var loaded = 0
    for index in 0..<cases {
      var random = SeededRandom("headerBytesOfTheAudioModel", index)
      var changed = bytes
      for _ in 0..<(index % 3 + 1) {
        let digits = (8..<header).filter { $0 % 64 == index % 64 && (0x30...0x39).contains(bytes[$0]) }
        // Digits change digits, which leaves JSON whole; others change anything.
        if index % 4 > 0, let position = digits.randomElement(using: &random) {
          changed[position] = UInt8.random(in: 0x30...0x39, using: &random)
        } else {
          changed[Int.random(in: 8..<header, using: &random)] = [0x22, 0x39, 0x2D, 0x7B, 0x5D].randomElement(
            using: &random)!
        }
      }
      if try loadAndRun(changed) { loaded += 1 }
    }
    #expect(loaded > 0)
  }

  @Test func truncated() throws {
    let bytes = try file()
    let header = 8 + Int(bytes[0]) + Int(bytes[1]) << 8
    let lengths =
      Array(0..<min(header, bytes.count)) + Array(stride(from: header, to: bytes.count, by: 397))
      + [bytes.count - 1]
    for length in lengths { #expect(try !loadAndRun(bytes[..<length]), "\(length) of \(bytes.count) bytes") }
  }

  /// Bytes of the header; an unoptimized build takes a part of them, a different one for each value.
  @Test func headerBytes() throws {
    let bytes = try file()
    let header = 8 + Int(bytes[0]) + Int(bytes[1]) << 8
    var loaded = 0
    for (index, value) in [UInt8(ascii: "9"), UInt8(ascii: "0"), 0x22, 0x5C, 0xFF, 0x7D].enumerated() {
      #if DEBUG
        let (first, step) = (index, 11)
      #else
        let (first, step) = (0, 1)
      #endif
      for position in stride(from: first, to: header, by: step) where bytes[position] != value {
        var changed = bytes
        changed[position] = value
        if try loadAndRun(changed) { loaded += 1 }
      }
    }
    #expect(loaded > 0)
  }

  @Test func dataBytes() throws {
    let bytes = try file()
    let header = 8 + Int(bytes[0]) + Int(bytes[1]) << 8
    var random = SeededRandom("dataBytes")
    for _ in 0..<150 {
      var changed = bytes
      for _ in 0..<20 {
        changed[Int.random(in: header..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
      }
      _ = try loadAndRun(changed)
    }
  }
}
