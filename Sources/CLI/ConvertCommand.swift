import ArgumentParser
import Base
import Graph
import Importers
import NestedFormat
import Glibc

struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert", abstract: "Turns a Hugging Face model directory into a .adaptq file.")

  @Argument(help: "Directory with config.json, model.safetensors and tokenizer.json.")
  var directory: String

  @Option(name: .shortAndLong, help: "The file to write.")
  var output: String

  @Option(help: "Also keep weights as fp16, fp32 or fp16,fp32 beside the nested form.")
  var keep: String = ""

  func run() throws {
    var kept: Set<Level> = []
    for name in keep.split(separator: ",") {
      switch name.lowercased() {
      case "fp16": kept.insert(.fp16)
      case "fp32": kept.insert(.fp32)
      default: throw ValidationError("--keep \(name): expected fp16, fp32 or both, separated by a comma")
      }
    }
    let showsProgress = isatty(2) == 1
    let block = try reporting { () throws(AdaptQError) in
      let imported = try HuggingFaceDirectory(path: directory).load()
      let writer = ContainerWriter(
        builder: imported.builder, keep: kept, tokenizer: imported.tokenizer?.serialized())
      return try writer.write { done, total in
        if showsProgress { printError("\rencoding site \(done) of \(total)\(done == total ? "\n" : "")") }
      }
    }
    try writeFile(output, block.bytes)
    print("\(output): \(block.byteCount) bytes")
  }
}
