import ArgumentParser
import Base
import Glibc
import NestedFormat
import Runtime
import Telemetry

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Embeds texts and prints one JSON line for each.")

  @Option(help: "The .adaptq file.")
  var model: String

  @Option(parsing: .singleValue, help: "A text; may be given several times.")
  var text: [String] = []

  @Option(help: "A UTF-8 file with one text per line.")
  var textFile: String?

  @Option(
    help: "int2, int4, int6, int8, fp16 or fp32; without it the best level in the file, or what the budget chooses.")
  var level: String?

  @Option(help: "Latency budget of a text in milliseconds.")
  var budgetMs: Double?

  @Option(help: "Share of the texts, in per cent, that are to stay within the budget: 50 to 99.9.")
  var percentile = 95.0

  @Option(help: "Time in milliseconds within which each text should be done; precision may go down on the way.")
  var deadlineMs: Double?

  @Option(name: .customLong("repeat"), help: "Go through the texts so many times; only the last time prints them.")
  var repeats = 1

  @Option(help: "Write what every run did to this file: JSON if it ends in .json, else CSV.")
  var trace: String?

  @Option(help: "Make a telemetry file there for adaptq watch, such as /dev/shm/run; removed at the end.")
  var telemetryFile: String?

  @Flag(
    help: """
      After each text run it again at the best plan and at another one, and show at the end, on standard error, how near the \
      plans came and how the sites' inputs differ from those that adaptq tune saw.
      """)
  var shadow = false
  @Option(
    help: "Take measured costs from this file, if it is there and was made here, and write them to it at the end.")
  var costs: String?

  func validate() throws {
    for (name, value) in [("--budget-ms", budgetMs), ("--deadline-ms", deadlineMs)] {
      if let value, !(value >= 1e-6 && value <= 1e9) {
        throw ValidationError("\(name) \(value): 0.000001 to 1000000000")
      }
    }
    if !(percentile >= 50 && percentile <= 99.9) { throw ValidationError("--percentile \(percentile): 50 to 99.9") }
    if repeats < 1 || repeats > 1_000_000_000 { throw ValidationError("--repeat \(repeats): 1 to 1000000000") }
    if level != nil && budgetMs != nil { throw ValidationError("--level fixes what --budget-ms would choose") }
    if trace != nil && telemetryFile != nil { throw ValidationError("--trace and --telemetry-file exclude each other") }
  }

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
    let recorder = try reporting { () throws(AdaptQError) in
      try TraceRecording(trace: trace, telemetryFile: telemetryFile)
    }
    let session = try reporting { () throws(AdaptQError) in
      try sentences.session(
        level.map { [$0] } ?? Level.allCases, telemetryFile: recorder.file, shadows: shadow)
    }
    if let costs { readCosts(costs, session) }
    try reporting { () throws(AdaptQError) in try embed(lines, sentences, session, level, recorder) }
    if let costs {
      let exported = try reporting { () throws(AdaptQError) in try session.exportedCosts() }
      var bytes = [UInt8](repeating: 0, count: exported.byteCount)
      bytes.withUnsafeMutableBytes { bytes in if let base = bytes.baseAddress { exported.write(to: base) } }
      try bytes.withUnsafeBytes { try writeFile(costs, $0) }
    }
    if let trace {
      var text = recorder.text(asJSON: trace.hasSuffix(".json"))
      try text.withUTF8 { try writeFile(trace, UnsafeRawBufferPointer($0)) }
    }
  }

  /// Costs that do not hold here are no failure: they are measured then.
  private func readCosts(_ path: String, _ session: Session) {
    do throws(AdaptQError) {
      try MemoryBlock.read(path: path).withBytes { bytes throws(AdaptQError) in try session.importCosts(bytes) }
    } catch {
      if error.status != .notFound { printError("\(path): \(error.message); measuring instead\n") }
    }
  }

  private func embed(
    _ lines: [String], _ sentences: SentenceModel, _ session: Session, _ level: Level?, _ recorder: TraceRecording
  ) throws(AdaptQError) {
    if let budgetMs {
      try session.setLatencyBudget(nanoseconds: nanoseconds(budgetMs), percentile: percentile)
    }
    var encoded: [[Int64]] = []
    for line in lines {
      encoded.append(try sentences.tokenizer.encode(line, maximumLength: sentences.maximumLength).ids)
    }
    let longest = encoded.map(\.count).max() ?? 1
    try session.prepare(maximumShapes: [[1, longest], [1, longest]])
    // Whoever has had enough still gets the trace, and the telemetry file goes.
    var signals = recorder.file == nil ? nil : WaitingSignals([SIGINT, SIGTERM, SIGHUP])
    for pass in 1...repeats {
      for (line, ids) in zip(lines, encoded) {
        if signals?.next(within: 0) != nil { return }
        let (vector, report) = try sentences.embed(
          session, ids: ids, level: level, deadline: deadlineMs.map(nanoseconds) ?? 0)
        try recorder.keepNewest()
        if shadow { _ = session.handle.shadow(rung: 0, isGiven: false) }
        if pass < repeats { continue }
        print(
          JSON.object([
            .init("text", .string(line)), .init("tokens", .integer(ids.count)),
            .init("level", .string(report.level.name)),
            .init("latency_us", .integer(report.latencyNanoseconds / 1000)),
            .init("threads", .integer(report.threads)),
            .init("vector", .array(vector.map { .number(Double($0)) })),
          ]).text)
      }
    }
    if shadow { printError(ShadowReportText.plans(session) + ShadowReportText.drift(session)) }
  }

  private func nanoseconds(_ milliseconds: Double) -> Int { clampedInt(milliseconds * 1e6, in: 1...(1 << 50) - 1) }
}

/// The lines of a UTF-8 file, without their ends.
func readLines(_ path: String) throws(AdaptQError) -> [String] {
  let text = try MemoryBlock.read(path: path).withBytes { bytes throws(AdaptQError) in
    var reader = ByteReader(bytes)
    return try reader.readString(bytes.count, path)
  }
  // By bytes: to a Swift string "\r\n" is one character.
  var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { line in
    String(Substring(line.last == UInt8(ascii: "\r") ? line.dropLast() : line))
  }
  if lines.last == "" { lines.removeLast() }
  return lines
}
