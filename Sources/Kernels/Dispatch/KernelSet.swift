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
  /// What the kernels were made for: without AMX where the system refused it.
  public let features: KernelFeatures
  /// Why AMX was left out although it was asked for; nil when it was not.
  public let whyNotTiles: String?
  /// Names and places of the code.
  public var code: [InstalledCode] { cache.entries + operators.cache.entries }

  /// Appends names and places of the code to the file that perf(1) reads.
  public func writePerfMap(path: String) throws(AdaptQError) {
    if !cache.entries.isEmpty { try cache.writePerfMap(path: path) }
    if !operators.cache.entries.isEmpty { try operators.cache.writePerfMap(path: path) }
  }

  private let cache: CodeCache<GEMMSpec>
  private let operators: OperatorSet

  /// Never fails: what cannot be generated, is refused by the system or disagrees with its twin stays portable, and
  /// ``entries`` says why.
  ///
  /// - Parameters:
  ///   - allowCodeGeneration: false keeps everything portable.
  ///   - levels: the levels that will be run; others stay portable.
  ///   - requestTiles: asks for the permission to use AMX, where `features` has it.
  public init(
    features: KernelFeatures, allowCodeGeneration: Bool = true, levels: some Collection<Level> = Level.allCases,
    calls: CodeCalls = .live, requestTiles: () -> Int32 = KernelFeatures.requestTiles
  ) {
    cache = CodeCache(calls: calls)
    var features = features
    whyNotTiles = allowCodeGeneration ? features.askForTiles(requestTiles) : nil
    self.features = features
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
      let outcome = KernelSet.install(zip(specs, results).map { ($0, $1) }, into: &table)
      entries = specs.map { Entry(spec: $0, name: KernelName($0).description, whyNot: outcome[$0] ?? nil) }
    }
    operators = OperatorSet(features: features, allowCodeGeneration: allowCodeGeneration, calls: calls, into: &table)
    self.table = table
    self.entries = entries
  }

  /// Fills the table slot by slot, each after its check.
  ///
  /// - Returns: for every spec why it is not in use, or nil.
  private static func install(
    _ made: [(spec: GEMMSpec, code: Result<InstalledCode, AdaptQError>)], into table: inout KernelTable
  ) -> [GEMMSpec: String?] {
    var outcome: [GEMMSpec: String?] = [:]
    let check: KernelCheck
    do throws(AdaptQError) {
      check = try KernelCheck()
    } catch {
      for item in made { outcome[item.spec] = error.message }
      return outcome
    }
    var slots: [KernelSlot] = []
    for item in made where !slots.contains(KernelSlot(item.spec)) { slots.append(KernelSlot(item.spec)) }
    for slot in slots {
      var trial = table
      var why: String?
      let members = made.filter { KernelSlot($0.spec) == slot }
      for member in members {
        switch member.code {
        case .success(let code): trial.install(unsafeBitCast(code.address, to: Kernel.self), for: member.spec)
        case .failure(let error): why = why ?? error.message
        }
      }
      if why == nil, let difference = check.difference(trial, slot) {
        why = "it disagrees with its twin: \(difference)"
      }
      if why == nil { table = trial }
      for member in members { outcome[member.spec] = .some(why) }
    }
    return outcome
  }
}
