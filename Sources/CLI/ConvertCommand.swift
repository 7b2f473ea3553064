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

  @OptionGroup var form: FormOptions

  @Option(name: .long, help: "A text of your own to keep in the file, as key=value. May be given several times.")
  var metadata: [String] = []

  func run() throws {
    let texts = try metadata.map { text in
      guard let equals = text.firstIndex(of: "=") else {
        throw ValidationError("--metadata \(text): expected key=value")
      }
      return (key: String(text[..<equals]), value: String(text[text.index(after: equals)...]))
    }
    var kept: Set<Level> = []
    for name in keep.split(separator: ",") {
      switch name.lowercased() {
      case "fp16": kept.insert(.fp16)
      case "fp32": kept.insert(.fp32)
      default: throw ValidationError("--keep \(name): expected fp16, fp32 or both, separated by a comma")
      }
    }
    let showsProgress = isatty(2) == 1
    let form = try self.form.form()
    let block = try reporting { () throws(AdaptQError) in
      let imported = try HuggingFaceDirectory(path: directory).load()
      var builder = imported.builder
      builder.setForm(form)
      var writer = ContainerWriter(
        builder: builder, keep: kept, tokenizer: imported.tokenizer?.serialized())
      writer.metadata = texts
      return try writer.write { done, total in
        if showsProgress { printError("\rencoding site \(done) of \(total)\(done == total ? "\n" : "")") }
      }
    }
    try writeFile(output, block.bytes)
    print("\(output): \(block.byteCount) bytes")
  }
}
