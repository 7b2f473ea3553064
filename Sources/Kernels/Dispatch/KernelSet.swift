import Base
import Hardware
import MachineCode
import NestedFormat

/// Generated kernels for one CPU, checked and installed, and the table that the run path reads. Built when a session is
/// prepared; keep it as long as the table is used, because the code is freed with it.
public final class KernelSet: Sendable {
  /// What became of one kernel of the catalog, for the probe.
  public struct Entry: Sendable, CustomStringConvertible {
    public let spec: GEMMSpec
    public let name: String
    /// Why the portable kernel is used instead; nil when the generated one is in use.
    public let whyNot: String?

    public var description: String { whyNot.map { "\(name): portable, because \($0)" } ?? name }
  }

  /// Generated kernels where they are in use, portable ones elsewhere.
  public let table: KernelTable
  public let entries: [Entry]
  /// The same for the operators between the products.
  public var operatorEntries: [OperatorSet.Entry] { operators.entries }
  /// Why nothing at all was generated; nil when something was.
  public let whyNotGenerated: String?
  /// Names and places of the code, for perf maps.
  public var code: [InstalledCode] { cache.entries + operators.cache.entries }
  private let cache: CodeCache<GEMMSpec>
  private let operators: OperatorSet

  /// Never fails: what cannot be generated, is refused by the system or disagrees with its twin stays portable, and
  /// ``entries`` says why.
  ///
  /// - Parameters:
  ///   - allowCodeGeneration: false keeps everything portable.
  ///   - levels: the levels that will be run; others stay portable.
  public init(
    features: KernelFeatures, allowCodeGeneration: Bool = true, levels: some Sequence<Level> = Level.allCases,
    calls: CodeCalls = .live
  ) {
    cache = CodeCache(calls: calls)
    let specs = KernelCatalog.specs(for: features, levels: Array(levels))
    var table = KernelTable.portable
    var entries: [Entry] = []
    if !allowCodeGeneration {
      whyNotGenerated = "code generation is switched off"
    } else if specs.isEmpty {
      whyNotGenerated = "the CPU lacks AVX2, FMA or F16C, or the maximum instruction set excludes them"
    } else {
      whyNotGenerated = nil
      let results = cache.prepare(specs) { spec throws(AdaptQError) in
        (KernelName(spec).description, try KernelGenerator.generate(spec))
      }
      var good: [GEMMSpec: Kernel] = [:]
      for (spec, result) in zip(specs, results) {
        if case .success(let code) = result { good[spec] = unsafeBitCast(code.address, to: Kernel.self) }
      }
      let failures = table.install(good)
      for (spec, result) in zip(specs, results) {
        var why = failures[spec]
        if case .failure(let error) = result { why = error.message }
        entries.append(Entry(spec: spec, name: KernelName(spec).description, whyNot: why))
      }
    }
    operators = OperatorSet(features: features, allowCodeGeneration: allowCodeGeneration, calls: calls, into: &table)
    self.table = table
    self.entries = entries
  }
}
