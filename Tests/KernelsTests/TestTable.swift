import Hardware

@testable import Kernels

/// The tables this machine can run, with a name for messages.
struct TestTable: Sendable, CustomStringConvertible {
  var name: String
  var kernels: KernelTable
  var description: String { name }

  /// Code lives as long as its set, so the sets live as long as the process.
  static let generated = KernelSet(features: KernelFeatures(CPUFeatures.live()))

  static let all: [TestTable] = [
    TestTable(name: "portable", kernels: .portable),
    TestTable(name: "generated", kernels: generated.table),
  ]

  /// Those for every form of nested weights but the standard one.
  static let forms: [TestTable] = KernelCatalog.otherForms.flatMap { form in
    var portable = KernelTable.portable
    portable.form = form
    let set = KernelSet(generated, form: form)
    formSets.append(set)
    let name = "\(form.groupSize) \(form.scaleKind) \(form.activations)"
    return [
      TestTable(name: "portable \(name)", kernels: portable), TestTable(name: "generated \(name)", kernels: set.table),
    ]
  }
  nonisolated(unsafe) static var formSets: [KernelSet] = []

  /// What products can be made with.
  static let linear =
    all + [
      TestTable(name: "portable words", kernels: .portableWords),
      TestTable(name: "portable bfloat16", kernels: bfloat16),
      TestTable(name: "portable tiles", kernels: tiles),
      TestTable(name: "portable half", kernels: half),
    ]

  private static var half: KernelTable {
    var table = bfloat16
    table.half = KernelTable.portableHalf
    return table
  }

  /// The way that products take with AMX, as far as that is not generated code.
  private static var tiles: KernelTable {
    var table = bfloat16
    table.tileBFloat16 = KernelTable.portableBFloat16
    return table
  }

  private static var bfloat16: KernelTable {
    var table = KernelTable.portable
    table.bfloat16Rows = KernelTable.leastBFloat16Rows
    return table
  }
}
