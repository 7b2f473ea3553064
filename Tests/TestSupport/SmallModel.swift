import Base
import Graph

extension TensorBytes {
  /// Random normal values times `scale`.
  public static func random(
    _ shape: [Int], scale: Float = 1, _ random: inout SeededRandom
  ) throws(AdaptQError) -> TensorBytes {
    try of(shape, (0..<shape.reduce(1, *)).map { _ in random.normal() * scale })
  }

  public static func of(_ shape: [Int], _ values: [Float]) throws(AdaptQError) -> TensorBytes {
    let block = try MemoryBlock.allocate(byteCount: values.count * 4, purpose: "test tensor")
    for (index, value) in values.enumerated() {
      block.base.storeBytes(of: value, toByteOffset: index * 4, as: Float.self)
    }
    return try TensorBytes(shape: shape, owner: block, offset: 0)
  }
}

/// A small encoder: embedding, two linear sites, attention, layer norm, pooling.
public enum SmallModel {
  public static let vocabulary = 11
  public static let width = 24
  public static let inner = 40

  public static func builder(_ seed: String = "SmallModel") throws(AdaptQError) -> GraphBuilder {
    var random = SeededRandom(seed)
    var builder = GraphBuilder()
    let (batch, sequence) = (builder.symbol("batch"), builder.symbol("sequence"))
    let ids = builder.input("input_ids", .int64, [batch, sequence])
    let keep = builder.input("attention_mask", .int64, [batch, sequence])
    let table = try builder.embeddingSite("words", try .random([vocabulary, width], &random))
    let up = try builder.linearSite(
      "up", try .random([inner, width], scale: 0.2, &random), bias: try .random([inner], &random))
    let down = try builder.linearSite("down", try .random([width, inner], scale: 0.2, &random), bias: nil)
    let gamma = builder.constant("gamma", try .random([width], &random))
    let beta = builder.constant("beta", try .random([width], &random))
    let x = try builder.add(.embedding(table), ids)
    let a = try builder.add(.attention(heads: 2, scale: 0.25), x, x, x, keep)
    let wide = try builder.add(.activation(.gelu), try builder.add(.linear(up), a))
    let narrow = try builder.add(.linear(down), wide)
    let sum = try builder.add(.binary(.add), narrow, x)
    let normal = try builder.add(.layerNorm(epsilon: 1e-5), sum, gamma, beta)
    let mean = try builder.add(.maskedMean, normal, keep)
    builder.output("embedding", try builder.add(.l2Normalize(epsilon: 1e-12), mean))
    return builder
  }

  /// Settings and vocabulary that no one parses.
  public static let tokenizer: (settings: JSON, vocabulary: [UInt8]) = (
    .object([.init("type", .string("test"))]), Array("one\ntwo\nthree".utf8)
  )
}
