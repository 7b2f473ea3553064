import ArgumentParser
import Base
import NestedFormat
import Pictures
import Telemetry
import Traces

struct PlotCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plot",
    abstract: "Draws a trace as SVG: latency and budget run by run, precision and slow-down below.")

  @Argument(help: "A trace (adaptq run --trace), as CSV or JSON, or a telemetry file, also one of a host that runs.")
  var trace: String

  @Option(name: .shortAndLong, help: "The SVG file to write.")
  var output: String

  @Option(help: "Which session of a telemetry file (default: the one with the newest run).")
  var session: Int?

  @Option(help: "Draw only so many of the newest runs.")
  var last: Int?

  func validate() throws {
    if let last, last < 1 { throw ValidationError("--last \(last): 1 or more") }
  }

  func run() throws {
    let (drawn, what) = try reporting { () throws(AdaptQError) in try load() }
    let chart = RunChart(drawn.suffix(last ?? drawn.records.count), file: trace, what: what)
    var text = chart.svg
    try text.withUTF8 { try writeFile(output, UnsafeRawBufferPointer($0)) }
    print("written: \(output), \(min(last ?? .max, drawn.records.count)) runs")
  }

  private func load() throws(AdaptQError) -> (trace: RunTrace, what: String) {
    if try isTelemetryFile() {
      let snapshot = try TelemetryReader(path: trace).read().snapshot
      let newest = snapshot.sessions.max {
        ($0.records.last?.facts.timeNanoseconds ?? -1) < ($1.records.last?.facts.timeNanoseconds ?? -1)
      }
      let wanted =
        self.session.map { number in snapshot.sessions.first { Int(clamping: $0.number) == number } } ?? newest
      guard let wanted else {
        let numbers = snapshot.sessions.map { "\($0.number)" }.joined(separator: ", ")
        throw AdaptQError(
          .notFound, "\"\(trace)\": " + (numbers.isEmpty ? "no session in it" : "--session: there are \(numbers)"))
      }
      return (RunTrace(wanted), "host \(snapshot.processID), session \(wanted.number)")
    }
    if session != nil { throw .invalidArgument("--session is for telemetry files; \"\(trace)\" is a trace") }
    let text = try MemoryBlock.read(path: trace).withBytes { bytes throws(AdaptQError) in
      var reader = ByteReader(bytes)
      return try reader.readString(bytes.count, "\"\(trace)\"")
    }
    return (try RunTrace(parsing: text, name: "\"\(trace)\""), "")
  }

  private func isTelemetryFile() throws(AdaptQError) -> Bool {
    try MemoryBlock.read(path: trace).withBytes { bytes in bytes.starts(with: "ADAPTQTM".utf8) }
  }
}

extension RunTrace {
  func suffix(_ count: Int) -> RunTrace { RunTrace(sites: sites, records: Array(records.suffix(count))) }
}

extension RunChart {
  /// - Parameter what: where the trace comes from, or "".
  init(_ trace: RunTrace, file: String, what: String) {
    let levels = Level.allCases.sorted(by: >).filter { level in
      trace.records.contains { $0.facts.level == level.rawValue || $0.siteLevels.contains(level.rawValue) }
    }
    let runs = trace.records.map { record in
      let facts = record.facts
      return Run(
        latency: Double(facts.latencyNanoseconds), budget: Double(facts.budgetNanoseconds),
        predicted: Double(facts.predictedNanoseconds), isMissed: facts.budgetMissed || facts.deadlineMissed,
        shares: levels.map { record.share(of: $0, trace.sites) }, factor: facts.slowdown)
    }
    var parts = what.isEmpty ? [] : [what]
    parts.append("\(runs.count) runs")
    if let percentile = trace.records.last(where: { $0.facts.budgetNanoseconds > 0 })?.facts.percentileHundredths {
      parts.append("budget for \(fixed(Double(percentile) / 100, percentile % 100 == 0 ? 0 : 1)) % of them")
    }
    if let first = trace.records.first?.facts, let last = trace.records.last?.facts {
      let changes = trace.records.dropFirst().filter(\.facts.levelChanged).count
      parts.append("\(changes) changes of precision")
      if last.timeNanoseconds > first.timeNanoseconds {
        parts.append("in \(duration(last.timeNanoseconds - first.timeNanoseconds))")
      }
    }
    let name = file.split(separator: "/").last.map(String.init) ?? file
    self.init(
      title: "Runs of \(name)", subtitle: parts.joined(separator: ", "),
      bands: levels.map { Band(name: $0.name, colour: $0.colour) }, runs: runs,
      firstNumber: Int(clamping: trace.records.first?.facts.sequence ?? 1))
  }
}

extension Level {
  /// Paul Tol, "Colour schemes" (SRON/EPS/TN/09-002, 2021): bright.
  fileprivate var colour: String {
    switch self {
    case .fp32: "#4477AA"
    case .fp16: "#66CCEE"
    case .int8: "#228833"
    case .int6: "#CCBB44"
    case .int4: "#EE6677"
    case .int2: "#AA3377"
    }
  }
}

extension RunRecord {
  /// By weights where they are known, else by sites, else by the level that the run began with.
  fileprivate func share(of level: Level, _ sites: [TelemetryFile.Site]) -> Double {
    if siteLevels.isEmpty { return facts.level == level.rawValue ? 1 : 0 }
    var (own, all) = (0.0, 0.0)
    for (index, site) in siteLevels.enumerated() {
      let weight = sites.count == siteLevels.count ? Double(max(sites[index].weights, 1)) : 1
      all += weight
      if site == level.rawValue { own += weight }
    }
    return own / all
  }
}
