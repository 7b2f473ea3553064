import ArgumentParser
import Base
import Bench
import Glibc
import Graph

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measures products at every level, and a model if one is given, on this machine.")

  @Argument(
    help: ArgumentHelp(
      "A .adaptq file, best one that keeps several levels (convert --keep fp16,fp32); with --dump-code parts of kernel names.",
      valueName: "model"))
  var arguments: [String] = []

  @Option(help: "Also write everything as JSON to this file.")
  var json: String?

  @Option(help: "Rounds of each measurement (default: \(BenchReport.Options.standardRounds)).")
  var rounds: Int?

  @Flag(help: "Only what the machine gives: how fast it reads and computes, as one line of JSON.")
  var limits = false

  @Flag(help: "Only whole calls of small matrices, as the C API makes them.")
  var matrixCalls = false

  @Flag(help: "Only where the model's inferences spend their time, operator by operator.")
  var profile = false

  @Option(help: "With --profile: lengths, with commas between (default: 16,128).")
  var lengths: String?

  @Option(help: "Also draw it as SVG into this file: a roofline per level or, with --profile, where the time goes.")
  var svg: String?

  @Flag(help: "Measure nothing; print the generated kernels of this CPU, disassembled where objdump is on the PATH.")
  var dumpCode = false

  @OptionGroup var form: FormOptions

  @Flag(help: "Few rounds and short samples: to see whether it runs.")
  var quick = false

  func validate() throws {
    if let rounds, rounds < 1 || rounds > 100_000 { throw ValidationError("--rounds \(rounds): 1 to 100000") }
    if [limits, matrixCalls, profile, dumpCode].filter({ $0 }).count > 1 {
      throw ValidationError("--limits, --matrix-calls, --profile and --dump-code exclude each other")
    }
    if limits && (json != nil || !arguments.isEmpty) {
      throw ValidationError("--limits takes no model and writes its JSON to standard output")
    }
    if try form.form() != .standard && (limits || matrixCalls || profile) {
      throw ValidationError("--group-size, --scales and --activations are for products; a model has its own")
    }
    if arguments.count > 1 && !dumpCode { throw ValidationError("one model, not \(arguments.count)") }
    if profile && arguments.isEmpty { throw ValidationError("--profile wants a model") }
    if !profile && lengths != nil { throw ValidationError("--lengths belongs to --profile") }
    if svg != nil && (limits || matrixCalls || dumpCode) {
      throw ValidationError("--limits, --matrix-calls and --dump-code have no picture")
    }
    if let lengths, ProfileLengths(parsing: lengths) == nil {
      throw ValidationError("--lengths \(lengths): expected numbers up to \(ProfileLengths.maximum), commas between")
    }
  }

  func run() throws {
    if dumpCode { return try printCode() }
    let options = BenchReport.Options(
      version: AdaptQCommand.configuration.version, rounds: rounds, quick: quick, form: try form.form())
    if matrixCalls {
      try reporting { () throws(AdaptQError) in
        try MatrixCallBench.run(quick: quick, rounds: options.roundCount) { writeNow($0 + "\n") }
      }
      return
    }
    if limits {
      let report = try reporting { () throws(AdaptQError) in try Benchmark.limits(options) }
      print(report.json.text)
      return
    }
    let report = try reporting { () throws(AdaptQError) in
      var loaded: (model: Model, path: String)?
      if let path = arguments.first {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        loaded = (try Model(try MemoryBlock.read(path: path), source: "\"\(path)\""), name)
      }
      if profile, let loaded {
        let chosen = lengths.flatMap { ProfileLengths(parsing: $0) } ?? ProfileLengths.standard
        return try Benchmark.profile(options, model: loaded, lengths: chosen.values) { writeNow($0 + "\n") }
      }
      return try Benchmark.run(options, model: loaded) { writeNow($0 + "\n") }
    }
    if let json { try write(report.json.text + "\n", to: json) }
    if let svg { try write(report.picture, to: svg) }
  }

  private func write(_ text: String, to path: String) throws {
    var text = text
    try text.withUTF8 { try writeFile(path, UnsafeRawBufferPointer($0)) }
    print("written: \(path)")
  }

  private func printCode() throws {
    let kernels = try reporting { () throws(AdaptQError) in try KernelCode.ofThisCPU(arguments) }
    let objdump = getenv("PATH").flatMap { Disassembler(searchPath: String(cString: $0)) }
    if kernels.isEmpty { print("# no code is generated for this CPU") }
    for kernel in kernels {
      let text = objdump?.disassemble(kernel.code.bytes.prefix(kernel.code.instructionByteCount))
      if objdump != nil && text == nil { printError("objdump failed at \(kernel.name); here are the bytes\n") }
      for line in kernel.listing(disassembly: text) { print(line) }
      print("")
    }
  }
}

/// To standard output at once: measuring takes minutes, and `print` would keep lines back when a file or pipe reads them.
private func writeNow(_ text: String) {
  var text = text
  text.withUTF8 { bytes in _ = Glibc.write(1, bytes.baseAddress, bytes.count) }
}
