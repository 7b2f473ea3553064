import Base
import Hardware
import MachineCode

/// The generated operators of a ``KernelSet``.
public struct OperatorSet: Sendable {
  /// What became of one operator, for the probe.
  public struct Entry: Sendable, CustomStringConvertible {
    public let spec: OperatorSpec
    /// Why the portable operator is used instead; nil when the generated one is in use.
    public let whyNot: String?

    public var description: String { whyNot.map { "\(spec): portable, because \($0)" } ?? spec.description }
  }

  public let entries: [Entry]
  let cache: CodeCache<OperatorSpec>

  init(features: KernelFeatures, allowCodeGeneration: Bool, calls: CodeCalls, into table: inout KernelTable) {
    cache = CodeCache(calls: calls)
    var entries: [Entry] = []
    if allowCodeGeneration {
      let specs = OperatorSpec.specs(for: features)
      let results = cache.prepare(specs) { spec throws(AdaptQError) in
        (spec.description, try KernelGenerator.generate(spec))
      }
      for (spec, result) in zip(specs, results) {
        switch result {
        case .success(let code):
          table.install(spec.operation, unsafeBitCast(code.address, to: Kernel.self))
          entries.append(Entry(spec: spec, whyNot: nil))
        case .failure(let error): entries.append(Entry(spec: spec, whyNot: error.message))
        }
      }
    }
    self.entries = entries
  }
}
