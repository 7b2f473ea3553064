import ArgumentParser
import Base
import NestedFormat
import Runtime

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Embeds texts and prints one JSON line for each.")

  @Option(help: "The .adaptq file.")
  var model: String

  @Option(parsing: .singleValue, help: "A text; may be given several times.")
  var text: [String] = []

  @Option(help: "A UTF-8 file with one text per line.")
  var textFile: String?

  @Option(help: "int2, int4, int6, int8, fp16 or fp32; without it the best level in the file.")
  var level: String?

  func run() throws {
    if text.isEmpty && textFile == nil { throw ValidationError("give --text or --text-file") }
    var level: Level?
    if let name = self.level {
      level = Level(name: name.uppercased())
      if level == nil { throw ValidationError("--level \(name): expected int2, int4, int6, int8, fp16 or fp32") }
    }
    var lines = text
    if let textFile { lines += try reporting { () throws(AdaptQError) in try readLines(textFile) } }
    let sentences = try reporting { () throws(AdaptQError) in try SentenceModel(path: model) }
    try reporting { () throws(AdaptQError) in try embed(lines, sentences, level) }
  }

  private func embed(_ lines: [String], _ sentences: SentenceModel, _ level: Level?) throws(AdaptQError) {
    let session = try sentences.session(level.map { [$0] } ?? Level.allCases)
    var encoded: [[Int64]] = []
    for line in lines {
      encoded.append(try sentences.tokenizer.encode(line, maximumLength: sentences.maximumLength).ids)
    }
    let longest = encoded.map(\.count).max() ?? 1
    try session.prepare(maximumShapes: [[1, longest], [1, longest]])
    for (line, ids) in zip(lines, encoded) {
      let (vector, report) = try sentences.embed(session, ids: ids, level: level)
      print(
        JSON.object([
          .init("text", .string(line)), .init("tokens", .integer(ids.count)),
          .init("level", .string(report.level.name)),
          .init("latency_us", .integer(report.latencyNanoseconds / 1000)),
          .init("vector", .array(vector.map { .number(Double($0)) })),
        ]).text)
    }
  }
}

/// The lines of a UTF-8 file, without their ends.
func readLines(_ path: String) throws(AdaptQError) -> [String] {
  let text = try MemoryBlock.read(path: path).withBytes { bytes throws(AdaptQError) in
    var reader = ByteReader(bytes)
    return try reader.readString(bytes.count, path)
  }
  var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
    line.hasSuffix("\r") ? String(line.dropLast()) : String(line)
  }
  if lines.last == "" { lines.removeLast() }
  return lines
}
