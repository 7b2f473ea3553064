import ArgumentParser
import Base
import Graph
import NestedFormat

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Shows what a .adaptq file holds: inputs, outputs, plans, sites, bytes, quality."
  )

  @Argument(help: "The .adaptq file.")
  var model: String

  func run() throws {
    let model = try reporting { () throws(AdaptQError) in
      try Model(try MemoryBlock.read(path: self.model), source: "\"\(self.model)\"")
    }
    let graph = model.graph
    print("inputs")
    for id in graph.inputs { print("  \(describe(graph, id))") }
    print("outputs")
    for id in graph.outputs { print("  \(describe(graph, id))") }
    print("levels  \(model.levels.map(\.name).joined(separator: " "))")
    print("tokenizer  \(model.tokenizer == nil ? "no" : "yes")")
    for item in model.metadata { print("metadata  \(item.key) = \(item.value)") }
    if let plans = model.plans { printPlans(plans) }
    print("")
    print(
      pad("site", 44) + left("n", 7) + left("k", 6) + left("nested B", 11) + left("fp16 B", 10) + left("fp32 B", 10)
        + left("input range", 19) + "  signal-to-noise in dB at 8 / 6 / 4 / 2 bits")
    var totals = (weights: 0, nested: 0, fp16: 0, fp32: 0)
    for (index, site) in graph.sites.enumerated() {
      let bytes = byteCounts(site, model.forms[index])
      totals.weights += site.n * site.k
      totals.nested += bytes.nested
      totals.fp16 += bytes.fp16
      totals.fp32 += bytes.fp32
      let quality = [Level.int8, .int6, .int4, .int2].map { level -> String in
        guard let member = model.signalToNoise[index].first(where: { $0.key == level.name }),
          let value = try? member.value.asDouble("snr")
        else { return "-" }
        return fixed(value, 1)
      }
      print(
        pad(site.name, 44) + left("\(site.n)", 7) + left("\(site.k)", 6) + left("\(bytes.nested)", 11)
          + left("\(bytes.fp16)", 10) + left("\(bytes.fp32)", 10)
          + left(ShadowReportText.summary(model.ranges[index]), 19) + "  " + quality.joined(separator: " / "))
    }
    print(
      pad("all \(graph.sites.count) sites", 44) + left("", 13) + left("\(totals.nested)", 11)
        + left("\(totals.fp16)", 10) + left("\(totals.fp32)", 10))
    let perWeight = Double(totals.nested) / Double(max(totals.weights, 1))
    print("")
    print("\(totals.weights) weights; INT8, INT6, INT4 and INT2 together take \(fixed(perWeight, 4)) bytes per weight")
    print("file  \(model.byteCount) bytes")
  }

  private func printPlans(_ plans: PlanSet) {
    print("")
    print(
      pad("plan", 6) + levelHeader(plans.plans) + left("mean cosine", 14) + left("5th perc.", 12) + "  against "
        + "\(plans.reference.name), \(plans.rows) output rows")
    for (index, plan) in plans.plans.enumerated() {
      print(
        pad("\(index)", 6) + levelCounts(plan, among: plans.plans) + left(fixed(plan.quality.meanCosine, 6), 14)
          + left(fixed(plan.quality.p5Cosine, 6), 12))
    }
  }

  private func byteCounts(_ site: Graph.Site, _ forms: SiteForms) -> (nested: Int, fp16: Int, fp32: Int) {
    let fp16 = forms.fp16.map { $0.nBlocks * 16 * $0.k * 2 } ?? 0
    let fp32 = forms.fp32.map { $0.nBlocks * 16 * $0.k * 4 } ?? 0
    return (forms.storedByteCount - fp16 - fp32, fp16, fp32)
  }

  private func describe(_ graph: Graph, _ id: ValueID) -> String {
    let value = graph.values[id.index]
    let sizes = value.type.shape.map { dimension -> String in
      switch dimension {
      case .fixed(let size): "\(size)"
      case .symbol(let symbol): graph.symbols[symbol]
      case .derived(let size): "(\(graph.symbols[size.symbol]) + \(size.plus)) / \(size.over)"
      case .length(let state): "length of \(graph.states[state].name)"
      case .dataDependent: "?"
      }
    }
    return "\(value.name)  \(value.type.element.name) [\(sizes.joined(separator: ", "))]"
  }
}

/// The levels that occur in some plan, best first, as the head of ``levelCounts(_:among:)``.
func levelHeader(_ plans: [PrecisionPlan]) -> String {
  levelsUsed(plans).map { left($0.name, 6) }.joined()
}

/// How many linear sites have each level.
func levelCounts(_ plan: PrecisionPlan, among plans: [PrecisionPlan]) -> String {
  levelsUsed(plans).map { level in
    let count = plan.levels.count { $0 == level }
    return left(count == 0 ? "." : "\(count)", 6)
  }.joined()
}

private func levelsUsed(_ plans: [PrecisionPlan]) -> [Level] {
  Level.allCases.sorted(by: >).filter { level in plans.contains { $0.levels.contains(level) } }
}

func pad(_ text: String, _ width: Int) -> String {
  text + String(repeating: " ", count: max(width - text.count, 1))
}

func left(_ text: String, _ width: Int) -> String {
  String(repeating: " ", count: max(width - text.count, 0)) + text
}
