import Base
import Graph

/// BERT encoders (Devlin et al., 2018) with Hugging Face tensor names, to a graph of general operators.
///
/// Inputs are `input_ids` and `attention_mask`, both int64 [batch, sequence]. Token types are all 0, as for single sentences:
/// row 0 of their table is added to the position table. Output is `sentence_embedding` where a pooling module follows,
/// else `last_hidden_state`.
struct BERTImporter {
  let tensors: FloatTensors
  let pipeline: SentencePipeline
  let hidden: Int
  let intermediate: Int
  let layers: Int
  let heads: Int
  let positions: Int
  let vocabulary: Int
  let tokenTypes: Int
  let epsilon: Float
  let activation: Activation

  init(config: JSON, tensors: FloatTensors, pipeline: SentencePipeline) throws(AdaptQError) {
    func size(_ key: String) throws(AdaptQError) -> Int {
      let value = try config.member(key, in: "config.json").asInt("config.json \(key)")
      if value < 1 || value > 1 << 24 { throw .invalidFile("config.json \(key): \(value) is out of range") }
      return value
    }
    self.tensors = tensors
    self.pipeline = pipeline
    hidden = try size("hidden_size")
    intermediate = try size("intermediate_size")
    layers = try size("num_hidden_layers")
    heads = try size("num_attention_heads")
    positions = try size("max_position_embeddings")
    vocabulary = try size("vocab_size")
    tokenTypes = try size("type_vocab_size")
    epsilon = Float(try config.member("layer_norm_eps", in: "config.json").asDouble("config.json layer_norm_eps"))
    if hidden % heads != 0 { throw .invalidFile("config.json num_attention_heads: \(heads) does not divide \(hidden)") }
    let kind = try config["position_embedding_type"]?.asString("config.json position_embedding_type") ?? "absolute"
    if kind != "absolute" { throw .unsupported("config.json position_embedding_type \"\(kind)\"") }
    let name = try config.member("hidden_act", in: "config.json").asString("config.json hidden_act")
    switch name {
    case "gelu": activation = .gelu
    case "gelu_new", "gelu_pytorch_tanh": activation = .geluTanh
    case "relu": activation = .relu
    case "silu", "swish": activation = .silu
    default: throw .unsupported("config.json hidden_act \"\(name)\"")
    }
  }

  func build() throws(AdaptQError) -> GraphBuilder {
    var builder = GraphBuilder()
    let batch = builder.symbol("batch")
    let sequence = builder.symbol("sequence")
    let ids = builder.input("input_ids", .int64, [batch, sequence])
    let keep = builder.input("attention_mask", .int64, [batch, sequence])

    let words = try builder.embeddingSite(
      "embeddings.word_embeddings",
      try tensors.tensor("embeddings.word_embeddings.weight", shape: [vocabulary, hidden]))
    let places = try builder.embeddingSite("embeddings.position_embeddings", try positionTable())
    var x = try builder.add(.embedding(words), ids)
    let steps = try builder.add(.range(axis: 1), ids)
    x = try builder.add(.binary(.add), x, try builder.add(.embedding(places), steps))
    x = try layerNorm(&builder, "embeddings.LayerNorm", x)

    for layer in 0..<layers {
      let prefix = "encoder.layer.\(layer)"
      let scale = 1 / Float(hidden / heads).squareRoot()
      let q = try linear(&builder, "\(prefix).attention.self.query", hidden, hidden, x)
      let k = try linear(&builder, "\(prefix).attention.self.key", hidden, hidden, x)
      let v = try linear(&builder, "\(prefix).attention.self.value", hidden, hidden, x)
      let context = try builder.add(.attention(heads: heads, scale: scale), q, k, v, keep)
      let attended = try linear(&builder, "\(prefix).attention.output.dense", hidden, hidden, context)
      x = try layerNorm(
        &builder, "\(prefix).attention.output.LayerNorm", try builder.add(.binary(.add), attended, x))
      let wide = try builder.add(
        .activation(activation), try linear(&builder, "\(prefix).intermediate.dense", intermediate, hidden, x))
      let narrow = try linear(&builder, "\(prefix).output.dense", hidden, intermediate, wide)
      x = try layerNorm(&builder, "\(prefix).output.LayerNorm", try builder.add(.binary(.add), narrow, x))
    }
    guard pipeline.pools else {
      builder.output("last_hidden_state", x)
      return builder
    }
    x = try builder.add(.maskedMean, x, keep)
    if pipeline.normalizes { x = try builder.add(.l2Normalize(epsilon: 1e-12), x) }
    builder.output("sentence_embedding", x)
    return builder
  }

  private func linear(
    _ builder: inout GraphBuilder, _ name: String, _ n: Int, _ k: Int, _ x: ValueID
  ) throws(AdaptQError) -> ValueID {
    let site = try builder.linearSite(
      name, try tensors.tensor("\(name).weight", shape: [n, k]), bias: try tensors.tensor("\(name).bias", shape: [n]))
    return try builder.add(.linear(site), x)
  }

  private func layerNorm(_ builder: inout GraphBuilder, _ name: String, _ x: ValueID) throws(AdaptQError) -> ValueID {
    let gamma = builder.constant("\(name).weight", try tensors.tensor("\(name).weight", shape: [hidden]))
    let beta = builder.constant("\(name).bias", try tensors.tensor("\(name).bias", shape: [hidden]))
    return try builder.add(.layerNorm(epsilon: epsilon), x, gamma, beta)
  }

  private func positionTable() throws(AdaptQError) -> TensorBytes {
    let table = try tensors.tensor("embeddings.position_embeddings.weight", shape: [positions, hidden])
    let types = try tensors.tensor("embeddings.token_type_embeddings.weight", shape: [tokenTypes, hidden])
    let block = try MemoryBlock.allocate(byteCount: positions * hidden * 4, purpose: "position table")
    let output = block.base.assumingMemoryBound(to: Float.self)
    for index in 0..<(positions * hidden) { output[index] = table.floats[index] + types.floats[index % hidden] }
    return try TensorBytes(shape: [positions, hidden], owner: block, offset: 0)
  }
}
