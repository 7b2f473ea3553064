import Base
import Graph
import Text

/// Imports a Hugging Face model directory: `config.json`, `model.safetensors`, `tokenizer.json`, and the `modules.json` of
/// sentence-transformers with the pooling and normalization it names.
///
/// The architecture decides which importer reads the tensors; what no importer knows is an error that names it.
public struct HuggingFaceDirectory {
  let path: String

  public init(path: String) { self.path = path }

  public func load() throws(AdaptQError) -> ImportedModel {
    let config = try json("config.json")
    let architecture = try config.member("model_type", in: "config.json").asString("config.json model_type")
    let tensors = try FloatTensors(
      try Safetensors(try MemoryBlock.read(path: file("model.safetensors")), source: "model.safetensors"))
    let pipeline = try SentencePipeline(self)
    let builder: GraphBuilder
    switch architecture {
    case "bert": builder = try BERTImporter(config: config, tensors: tensors, pipeline: pipeline).build()
    default: throw .unsupported("config.json model_type \"\(architecture)\": only \"bert\" is supported")
    }
    return ImportedModel(
      builder: builder, tokenizer: try Tokenizer(huggingFaceJSON: try json("tokenizer.json")))
  }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  func json(_ name: String) throws(AdaptQError) -> JSON {
    try MemoryBlock.read(path: file(name)).withBytes { bytes throws(AdaptQError) in try JSON.parse(bytes, name) }
  }

  /// Nil when the file does not exist; any other failure is an error.
  func optionalJSON(_ name: String) throws(AdaptQError) -> JSON? {
    do throws(AdaptQError) {
      return try json(name)
    } catch {
      if error.status == .notFound { return nil }
      throw error
    }
  }
}

/// The float tensors of a file; FP16 and BF16 are widened.
struct FloatTensors {
  let file: Safetensors

  init(_ file: Safetensors) throws(AdaptQError) { self.file = file }

  func tensor(_ name: String, shape: [Int]) throws(AdaptQError) -> TensorBytes {
    guard let entry = file.tensors[name] else { throw .invalidFile("tensor \"\(name)\" is missing") }
    if entry.shape != shape {
      throw .invalidFile("tensor \"\(name)\": shape \(entry.shape), config.json asks for \(shape)")
    }
    switch entry.dtype {
    case .f32:
      return try TensorBytes(shape: shape, owner: file.owner, offset: entry.range.lowerBound).aligned()
    case .f16, .bf16:
      let count = entry.range.count / 2
      let block = try MemoryBlock.allocate(byteCount: count * 4, purpose: "tensor \"\(name)\"")
      for index in 0..<count {
        let bits = UInt16(
          littleEndian: file.owner.base.loadUnaligned(
            fromByteOffset: entry.range.lowerBound + index * 2, as: UInt16.self))
        let value = entry.dtype == .f16 ? Half(bits: bits).float : Float(bitPattern: UInt32(bits) << 16)
        block.base.storeBytes(of: value, toByteOffset: index * 4, as: Float.self)
      }
      return try TensorBytes(shape: shape, owner: block, offset: 0)
    default:
      throw .unsupported("tensor \"\(name)\": dtype \(entry.dtype.rawValue), expected F32, F16 or BF16")
    }
  }
}

/// What follows the encoder, as sentence-transformers' `modules.json` lists it.
struct SentencePipeline {
  var pools = false
  var normalizes = false

  init(_ directory: HuggingFaceDirectory) throws(AdaptQError) {
    guard let modules = try directory.optionalJSON("modules.json") else { return }
    for module in try modules.asArray("modules.json") {
      let type = try module.member("type", in: "modules.json").asString("modules.json type")
      let name = type.split(separator: ".").last.map(String.init) ?? type
      switch name {
      case "Transformer": break
      case "Pooling":
        let path = try module.member("path", in: "modules.json").asString("modules.json path")
        let config = try directory.json("\(path)/config.json")
        for member in try config.asObject("\(path)/config.json") where member.key.hasPrefix("pooling_mode_") {
          let wanted = member.key == "pooling_mode_mean_tokens"
          if try member.value.asBool(member.key) != wanted {
            throw .unsupported("\(path)/config.json \(member.key): only mean pooling is supported")
          }
        }
        pools = true
      case "Normalize":
        if !pools { throw .unsupported("modules.json: Normalize without Pooling before it") }
        normalizes = true
      default: throw .unsupported("modules.json type \"\(type)\"")
      }
    }
  }
}
