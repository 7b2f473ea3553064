import Kernels

/// The tables this machine can run, with a name for messages.
struct TestTable: Sendable, CustomStringConvertible {
  var name: String
  var kernels: KernelTable
  var description: String { name }

  static let all: [TestTable] = [TestTable(name: "portable", kernels: .portable)]
}
