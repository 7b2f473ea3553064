import ArgumentParser
import Base
import Glibc
import Graph
import NestedFormat
import Pictures
import Runtime
import Tuning

struct TuneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tune",
    abstract: "Finds plans that mix levels, measures their quality and stores them in the file.",
    discussion: """
      Each line of the inputs is one calibration sample. A plan's quality is the cosine of its outputs with those of the best \
      level in the file, mean and 5th percentile over all output rows; it is stored. What plans cost is measured here to find \
      good ones and is shown, not stored: a session measures it anew on its own machine.
      """)

  @Argument(help: "The .adaptq file, of a model that takes texts.")
  var model: String

  @Option(help: "A UTF-8 file with one text per line.")
  var inputs: String

  @Option(name: .shortAndLong, help: "The file to write; without it MODEL is replaced.")
  var output: String?

  @Option(help: "Write a picture of quality over cost here (SVG).")
  var svg: String?

  func run() throws {
    let lines = try reporting { () throws(AdaptQError) in try readLines(inputs).filter { !$0.isEmpty } }
    if lines.isEmpty { throw CommandFailure("\"\(inputs)\": no text in it") }
    let block = try reporting { () throws(AdaptQError) in try MemoryBlock.read(path: model) }
    let sentences = try reporting { () throws(AdaptQError) in try SentenceModel(path: model) }
    let result = try reporting { () throws(AdaptQError) in try tune(sentences, lines) }
    let tuned = try reporting { () throws(AdaptQError) in
      try sentences.model.file(block, replacingPlans: result.plans, ranges: result.ranges)
    }
    if let svg {
      var text = TuneReport.picture(result, name: String(model.split(separator: "/").last ?? "")).svg
      try text.withUTF8 { try writeFile(svg, UnsafeRawBufferPointer($0)) }
    }
    print(TuneReport.table(result, sentences.model), terminator: "")
    try writeFile(output ?? model, tuned.bytes)
    print("\(output ?? model): \(result.kept.count) plans, \(tuned.byteCount) bytes")
  }

  private func tune(_ sentences: SentenceModel, _ lines: [String]) throws(AdaptQError) -> TuningResult {
    var samples: [CalibrationSample] = []
    var longest = 1
    for line in lines {
      let ids = try sentences.tokenizer.encode(line, maximumLength: sentences.maximumLength).ids
      longest = max(longest, ids.count)
      samples.append(
        CalibrationSample(inputs: [
          try .init(shape: [1, ids.count], integers: ids),
          try .init(shape: [1, ids.count], integers: ids.map { _ in 1 }),
        ]))
    }
    let session = try sentences.session(measureRounds: 25)
    try session.prepare(maximumShapes: [[1, longest], [1, longest]])
    let showsProgress = isatty(2) == 1
    return try Tuner(session, samples).run { phase, done, total in
      if showsProgress { printError("\r\(phase.rawValue) \(done) of \(total)\(done == total ? "\n" : "  ")") }
    }
  }
}

/// What tuning found, for a person.
enum TuneReport {
  static func table(_ result: TuningResult, _ model: Model) -> String {
    let plans = result.kept.map(\.plan)
    var text =
      pad("plan", 6) + levelHeader(plans) + left("time us", 12) + left("weights MB", 12) + left("mean cosine", 14)
      + left("5th perc.", 12) + "\n"
    for (index, item) in result.kept.enumerated() {
      text +=
        pad("\(index)", 6) + levelCounts(item.plan, among: plans) + left(fixed(item.nanoseconds / 1e3, 1), 12)
        + left(fixed(Double(item.byteCount) / 1e6, 2), 12) + left(fixed(item.plan.quality.meanCosine, 6), 14)
        + left(fixed(item.plan.quality.p5Cosine, 6), 12) + "\n"
    }
    text +=
      "times are the least that the operators took here, on one thread, for \(result.work) "
      + "\(model.graph.symbols.joined(separator: " x ")); weights are what a run reads of them\n"
    text += "cosines against \(result.reference.name), \(result.rows) output rows; "
    text += "\(result.measured.count) plans measured, those beaten in quality, time and bytes are left out\n"
    return text
  }

  static func picture(_ result: TuningResult, name: String) -> FrontierPicture {
    let kept = Set(result.kept.map(\.plan.levels))
    let points = result.measured.map { item in
      FrontierPicture.Point(
        loss: 1 - item.plan.quality.meanCosine, costs: [item.nanoseconds / 1e6, Double(item.byteCount) / 1e6],
        label: item.plan.uniformLevel?.name, isKept: kept.contains(item.plan.levels),
        tip: "\(fixed(item.plan.quality.meanCosine, 6)), \(fixed(item.nanoseconds / 1e6, 3)) ms")
    }
    return FrontierPicture(
      title: "Quality of plans over what they cost: \(name)",
      axes: ["time per run here, ms", "weights read, MB"], points: points)
  }
}
