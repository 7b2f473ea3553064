import Base
import Graph
import Kernels
import NestedFormat
import Runtime
import TestSupport
import Testing

/// Single operators against PyTorch: Golden/operators.bin, made by Golden/make_golden.py, which tells the format.
@Suite struct OperatorGoldenTests {
  struct Case {
    var name: String
    var attributes: JSON
    var tensors: [(name: String, tensor: Tensor)]

    func tensor(_ name: String) throws -> Tensor { try #require(tensors.first { $0.name == name }).tensor }
  }

  static func cases() throws -> [Case] {
    let bytes = Array(try ModelDirectory.golden("operators.bin"))
    return try bytes.withUnsafeBytes { bytes in
      var reader = ByteReader(bytes)
      let magic = try reader.readString(8, "magic")
      #expect(magic == "ADQGOLD1")
      let count = Int(try reader.readUInt32("length"))
      let index = try JSON.parse(try reader.take(count, "index"), "operators.bin").asArray("operators.bin")
      let data = try reader.take(reader.remaining, "data")
      return try index.map { item in
        let tensors = try item.member("tensors", in: "case").asArray("tensors").map { entry in
          let shape = try entry.member("sizes", in: "tensor").asArray("sizes").map { try $0.asInt("size") }
          let offset = try entry.member("offset", in: "tensor").asInt("offset")
          let values = (0..<shape.reduce(1, *)).map {
            data.loadUnaligned(fromByteOffset: (offset + $0) * 4, as: Float.self)
          }
          return (try entry.member("name", in: "tensor").asString("name"), Tensor.floats(shape, values))
        }
        return Case(
          name: try item.member("name", in: "case").asString("name"),
          attributes: try item.member("attributes", in: "case"), tensors: tensors)
      }
    }
  }

  private func fixed(_ shape: [Int]) -> [Dimension] { shape.map { .fixed($0) } }

  /// Runs one operator with symbolic leading size, so that no graph is special.
  private func run(
    _ inputs: [(type: ValueType, tensor: Tensor)],
    _ build: (inout GraphBuilder, [ValueID]) throws -> ValueID
  ) throws -> [Float] {
    var builder = GraphBuilder()
    let ids = inputs.enumerated().map { builder.input("input \($0)", $1.type.element, $1.type.shape) }
    builder.output("y", try build(&builder, ids))
    let session = try Session(try Model(builder), [.fp32])
    try session.prepare(maximumShapes: inputs.map(\.tensor.shape))
    return try session.run(symbols: [], inputs.map(\.tensor)).outputs[0].floats
  }

  /// - Parameter perInput: added to the bound for each unit of the input's magnitude.
  private func compare(
    _ item: Case, _ found: [Float], absolute: Float, relative: Float = 2e-6, perInput: Float = 0
  ) throws {
    let expected = try item.tensor("y").floats
    let x = perInput > 0 ? try item.tensor("x").floats : [Float](repeating: 0, count: expected.count)
    try #require(found.count == expected.count, "\(item.name)")
    for (index, value) in expected.enumerated() {
      #expect(
        (found[index] - value).magnitude <= absolute + relative * value.magnitude + perInput * x[index].magnitude,
        "\(item.name) \(item.attributes.text), element \(index): \(found[index]), PyTorch has \(value)")
    }
  }

  @Test func operators() throws {
    var seen: Set<String> = []
    for item in try OperatorGoldenTests.cases() {
      seen.insert(item.name)
      switch item.name {
      case "gelu":
        let x = try item.tensor("x")
        try compare(
          item,
          run([(ValueType(.float32, fixed(x.shape)), x)]) { builder, ids in
            try builder.add(.activation(.gelu), ids[0])
          }, absolute: 3e-7, relative: 3e-7, perInput: 3e-7)
      case "layer_norm":
        let epsilon = Float(try item.attributes.member("epsilon", in: item.name).asDouble("epsilon"))
        let (x, gamma, beta) = (try item.tensor("x"), try item.tensor("weight"), try item.tensor("bias"))
        try compare(
          item,
          run([(ValueType(.float32, fixed(x.shape)), x)]) { builder, ids in
            let weight = builder.constant("weight", try .of(gamma.shape, gamma.floats))
            let bias = builder.constant("bias", try .of(beta.shape, beta.floats))
            return try builder.add(.layerNorm(epsilon: epsilon), ids[0], weight, bias)
          }, absolute: 4e-6)
      case "softmax":
        let x = try item.tensor("x")
        try compare(
          item,
          run([(ValueType(.float32, fixed(x.shape)), x)]) { builder, ids in try builder.add(.softmax, ids[0]) },
          absolute: 1e-9, relative: 1e-5)
      case "l2_normalize":
        let epsilon = Float(try item.attributes.member("epsilon", in: item.name).asDouble("epsilon"))
        let x = try item.tensor("x")
        try compare(
          item,
          run([(ValueType(.float32, fixed(x.shape)), x)]) { builder, ids in
            try builder.add(.l2Normalize(epsilon: epsilon), ids[0])
          }, absolute: 1e-8)
      case "linear":
        let (x, weight, bias) = (try item.tensor("x"), try item.tensor("weight"), try item.tensor("bias"))
        try compare(
          item,
          run([(ValueType(.float32, fixed(x.shape)), x)]) { builder, ids in
            let site = try builder.linearSite(
              "weight", try .of(weight.shape, weight.floats), bias: try .of(bias.shape, bias.floats))
            return try builder.add(.linear(site), ids[0])
          }, absolute: 3e-6)
      case "scaled_dot_product_attention": try compare(item, try attention(item), absolute: 2e-6)
      default: Issue.record("operators.bin has an operator without a test: \(item.name)")
      }
    }
    #expect(seen.count == 6)
  }

  /// PyTorch has [batch, heads, length, width]; graphs have [batch, length, heads · width].
  private func attention(_ item: Case) throws -> [Float] {
    let shape = try item.tensor("q").shape
    let (batch, heads, length, width) = (shape[0], shape[1], shape[2], shape[3])
    func index(_ b: Int, _ h: Int, _ l: Int, _ c: Int) -> Int { ((b * heads + h) * length + l) * width + c }
    func merged(_ name: String) throws -> Tensor {
      let values = try item.tensor(name).floats
      var result = Tensor.floats([batch, length, heads * width], [])
      for b in 0..<batch {
        for l in 0..<length {
          for h in 0..<heads { for c in 0..<width { result.floats.append(values[index(b, h, l, c)]) } }
        }
      }
      return result
    }
    let mask = Tensor.integers([batch, length], try item.tensor("mask").floats.map { Int64($0) })
    let scale = Float(try item.attributes.member("scale", in: item.name).asDouble("scale"))
    let type = ValueType(.float32, fixed([batch, length, heads * width]))
    let found = try run([
      (type, try merged("q")), (type, try merged("k")), (type, try merged("v")),
      (ValueType(.int64, fixed([batch, length])), mask),
    ]) { builder, ids in
      try builder.add(.attention(heads: heads, scale: scale), ids[0], ids[1], ids[2], ids[3])
    }
    var split = [Float](repeating: 0, count: found.count)
    for b in 0..<batch {
      for h in 0..<heads {
        for l in 0..<length {
          for c in 0..<width { split[index(b, h, l, c)] = found[(b * length + l) * heads * width + h * width + c] }
        }
      }
    }
    return split
  }
}
