import ArgumentParser
import Base
import NestedFormat

/// How nested weights are scaled and activations coded, as options of commands that encode weights.
struct FormOptions: ParsableArguments {
  @Option(help: "Inputs that share a scale of nested weights: 64, 128 or all.")
  var groupSize: String?

  @Option(
    help: """
      Scales of nested weights: minimum (step and minimum), symmetric (a step) or output (a step and a zero point per output, \
      for all inputs).
      """)
  var scales: String = ScaleKind.stepAndMinimum.name

  @Option(help: "What shares a scale of 8-bit activations: group (64 inputs of a row) or row.")
  var activations: String = ActivationScales.perRowAndGroup.name

  func validate() throws { _ = try form() }

  func form() throws -> NestedForm {
    guard let kind = ScaleKind.allCases.first(where: { $0.name == scales }) else {
      let names = ScaleKind.allCases.map(\.name).joined(separator: ", ")
      throw ValidationError("--scales \(scales): expected one of \(names)")
    }
    guard let coding = ActivationScales.allCases.first(where: { $0.name == activations }) else {
      throw ValidationError("--activations \(activations): expected group or row")
    }
    let sizes = ["64": 64, "128": 128, "all": NestedForm.allInputs]
    let usual = kind == .perOutput ? "all" : "64"
    guard let size = sizes[groupSize ?? usual] else {
      throw ValidationError("--group-size \(groupSize ?? usual): expected 64, 128 or all")
    }
    guard let form = try? NestedForm(groupSize: size, scaleKind: kind, activations: coding) else {
      throw ValidationError("--group-size \(groupSize ?? usual): scales per output have one group, all")
    }
    return form
  }
}
