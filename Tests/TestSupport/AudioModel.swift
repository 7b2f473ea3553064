import Base
import Graph

/// The model of Tests/Golden/make_audio.py, built in memory: convolutions over steps, a GRU whose state the session keeps,
/// and two heads of which a flag takes one.
public enum AudioModel {
  public static let batch = 2
  public static let channels = 6
  public static let hidden = 40
  public static let classes = 10

  /// Inputs `x` [2, steps, 6] and `flag`; outputs `y` [2, outputSteps, 10] and `state` [2, 40].
  ///
  /// - Parameter file: the bytes of audio.bin.
  public static func builder(_ file: [UInt8]) throws(AdaptQError) -> GraphBuilder {
    let weights = try AudioWeights(file)
    var builder = GraphBuilder()
    let steps = builder.symbol("steps")
    let x = builder.input("x", .float32, [.fixed(batch), steps, .fixed(channels)])
    let flag = builder.input("flag", .int32, [])
    let memory = builder.state("memory", ValueType(.float32, [.fixed(batch), .fixed(hidden)]))

    func convolution(
      _ name: String, _ convolution: Convolution1D, _ x: ValueID
    ) throws(AdaptQError) -> ValueID {
      let site = try builder.convolutionSite(
        name, try weights.tensor(name + ".weight"), bias: try weights.tensor(name + ".bias"),
        groups: convolution.groups)
      return try builder.add(.convolution1D(site, convolution), x)
    }
    var y = try convolution("first", Convolution1D(kernel: 5, stride: 2, padding: 2), x)
    y = try builder.add(.activation(.gelu), y)
    y = try convolution("depthwise", Convolution1D(kernel: 3, padding: 2, dilation: 2, groups: 24), y)
    y = try builder.add(.activation(.relu), y)
    y = try convolution("grouped", Convolution1D(kernel: 3, padding: 1, groups: 2), y)
    y = try builder.add(.activation(.tanh), y)

    func site(_ name: String, _ weight: String, _ bias: String) throws(AdaptQError) -> SiteID {
      try builder.linearSite(name, try weights.tensor(weight), bias: try weights.tensor(bias))
    }
    let input = try site("gru.input", "gru.weight_ih_l0", "gru.bias_ih_l0")
    let recurrent = try site("gru.recurrent", "gru.weight_hh_l0", "gru.bias_hh_l0")
    let before = try builder.add(.readState(memory))
    let run = try builder.addAll(.gru(input: input, recurrent: recurrent), [y, before])
    let after = try builder.add(.writeState(memory), run[1])

    let classes = try site("classes", "classes.weight", "classes.bias")
    let inner = try site("inner", "inner.weight", "inner.bias")
    let scores = try site("scores", "scores.weight", "scores.bias")
    let head = try builder.addConditional(flag, [run[0]]) { (builder, values) throws(AdaptQError) in
      [try builder.add(.softmax, try builder.add(.linear(classes), values[0]))]
    } otherwise: { (builder, values) throws(AdaptQError) in
      let wide = try builder.add(.activation(.relu), try builder.add(.linear(inner), values[0]))
      return [try builder.add(.activation(.sigmoid), try builder.add(.linear(scores), wide))]
    }
    builder.output("y", head[0])
    builder.output("state", after)
    return builder
  }
}

/// Tensors by PyTorch's names; see make_audio.py for the format.
private struct AudioWeights {
  private let index: [JSON]
  private let data: [UInt8]

  init(_ file: [UInt8]) throws(AdaptQError) {
    var index: [JSON] = []
    var rest: [UInt8] = []
    do {
      try file.withUnsafeBytes { bytes in
        var reader = ByteReader(bytes)
        if try reader.readString(8, "magic") != "ADQAUDI1" { throw AdaptQError.invalidFile("audio.bin: magic") }
        let count = Int(try reader.readUInt32("length"))
        index = try JSON.parse(try reader.take(count, "index"), "audio.bin").asArray("audio.bin")
        rest = Array(try reader.take(reader.remaining, "data"))
      }
    } catch let error as AdaptQError { throw error } catch { throw .internalError("\(error)") }
    self.index = index
    data = rest
  }

  func tensor(_ name: String) throws(AdaptQError) -> TensorBytes {
    for item in index where try item.member("name", in: "tensor").asString("name") == name {
      var sizes: [Int] = []
      for size in try item.member("sizes", in: name).asArray("sizes") { sizes.append(try size.asInt("size")) }
      let offset = try item.member("offset", in: name).asInt("offset")
      let values = (0..<sizes.reduce(1, *)).map { position in
        data.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: (offset + position) * 4, as: Float.self) }
      }
      return try .of(sizes, values)
    }
    throw .invalidFile("audio.bin: no \"\(name)\"")
  }
}

/// One run of audio.chunks.
public struct AudioChunk: Sendable {
  public var steps: Int
  public var flag: Int
  public var isReset: Bool
  public var outputSteps: Int
  public var x: [Float]
  public var y: [Float]
  public var state: [Float]

  public static func read(_ file: [UInt8]) throws -> [AudioChunk] {
    try file.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      if try reader.readString(8, "magic") != "ADQCHUNK" { throw AdaptQError.invalidFile("audio.chunks: magic") }
      func floats(_ count: Int) throws -> [Float] {
        let bytes = try reader.take(count * 4, "floats")
        return (0..<count).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
      }
      return try (0..<Int(try reader.readUInt32("count"))).map { _ in
        let numbers = try (0..<4).map { _ in Int(Int32(bitPattern: try reader.readUInt32("number"))) }
        return AudioChunk(
          steps: numbers[0], flag: numbers[1], isReset: numbers[2] != 0, outputSteps: numbers[3],
          x: try floats(AudioModel.batch * numbers[0] * AudioModel.channels),
          y: try floats(AudioModel.batch * numbers[3] * AudioModel.classes),
          state: try floats(AudioModel.batch * AudioModel.hidden))
      }
    }
  }
}
