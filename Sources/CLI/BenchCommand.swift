import ArgumentParser
import Base
import Bench
import Glibc
import Graph

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measures products at every level, and a model if one is given, on this machine.")

  @Argument(help: "A .adaptq file; best one that keeps several levels (convert --keep fp16,fp32).")
  var model: String?

  @Option(help: "Also write everything as JSON to this file.")
  var json: String?

  @Option(help: "Rounds of each measurement (default: \(BenchReport.Options.standardRounds)).")
  var rounds: Int?

  @Flag(help: "Only whole calls of small matrices, as the C API makes them.")
  var matrixCalls = false

  @Flag(help: "Few rounds and short samples: to see whether it runs.")
  var quick = false

  func validate() throws {
    if let rounds, rounds < 1 || rounds > 100_000 { throw ValidationError("--rounds \(rounds): 1 to 100000") }
  }

  func run() throws {
    let options = BenchReport.Options(version: AdaptQCommand.configuration.version, rounds: rounds, quick: quick)
    if matrixCalls {
      try reporting { () throws(AdaptQError) in
        try MatrixCallBench.run(quick: quick, rounds: options.roundCount) { writeNow($0 + "\n") }
      }
      return
    }
    let report = try reporting { () throws(AdaptQError) in
      var loaded: (model: Model, path: String)?
      if let path = model {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        loaded = (try Model(try MemoryBlock.read(path: path), source: "\"\(path)\""), name)
      }
      return try Benchmark.run(options, model: loaded) { writeNow($0 + "\n") }
    }
    if let json {
      var text = report.json.text + "\n"
      try text.withUTF8 { try writeFile(json, UnsafeRawBufferPointer($0)) }
      print("written: \(json)")
    }
  }
}

/// To standard output at once: measuring takes minutes, and `print` would keep lines back when a file or pipe reads them.
private func writeNow(_ text: String) {
  var text = text
  text.withUTF8 { bytes in _ = write(1, bytes.baseAddress, bytes.count) }
}
