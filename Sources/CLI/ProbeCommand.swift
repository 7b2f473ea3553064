import ArgumentParser
import Base
import Bench
import Hardware
import Kernels
import Runtime

struct ProbeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "probe",
    abstract: "Shows this machine as adaptq sees it: cores, caches, features, limits, and which kernels serve it.")

  @Flag(help: "One JSON object instead of a page; docs/probe-json.md describes it.")
  var json = false

  @Flag(help: "Also measure how fast the machine reads and computes; some seconds.")
  var measure = false

  @Option(help: ArgumentHelp("Cores and limits of a recorded machine.", visibility: .hidden))
  var root: String?

  func validate() throws {
    if measure && root != nil { throw ValidationError("--measure: a recorded machine cannot be measured") }
  }

  func run() throws {
    try reporting { () throws(AdaptQError) in
      let maximum = try InstructionSet.maximumFromEnvironment()
      let features = CPUFeatures.live()
      let usable = KernelFeatures(features, maximum: maximum)
      let probe = Probe(
        features: features, maximum: maximum, kernels: KernelSet(features: usable),
        limits: ProcessorLimits(root: root.map { RootFolder($0) } ?? .live))
      let measured = measure ? try ProbeMeasurement.measure(probe.limits, usable) : nil
      if json {
        print(JSON.object(probe.members + (measured.map { [.init("measured", $0.json)] } ?? [])).text)
      } else {
        let version = AdaptQCommand.configuration.version
        for line in ProbePage(probe, measured, version: version).lines { print(line) }
      }
    }
  }
}
