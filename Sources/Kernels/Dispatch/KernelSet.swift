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
  /// Without that of the set which this one was made from.
  public var ownCode: [InstalledCode] { base == nil ? code : cache.entries }

  /// Appends names and places of the code to the file that perf(1) reads.
  public func writePerfMap(path: String) throws(AdaptQError) {
    if !cache.entries.isEmpty { try cache.writePerfMap(path: path) }
    if base == nil && !operators.cache.entries.isEmpty { try operators.cache.writePerfMap(path: path) }
  }

  /// Gives a debugger the names of the code, as long as the set lives. At most once.
  public func registerWithDebugger() throws(AdaptQError) {
    try cache.registerWithDebugger()
    if base == nil { try operators.cache.registerWithDebugger() }
  }

  private let cache: CodeCache<GEMMSpec>
  private let operators: OperatorSet
  /// Whose code the table also points to.
  private let base: KernelSet?
  private let calls: CodeCalls

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
    base = nil
    self.calls = calls
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
      let outcome = KernelSet.install(zip(specs, results).map { ($0, $1) }, form: .standard, into: &table)
      entries = specs.map { Entry(spec: $0, name: KernelName($0).description, whyNot: outcome[$0] ?? nil) }
    }
    operators = OperatorSet(features: features, allowCodeGeneration: allowCodeGeneration, calls: calls, into: &table)
    self.table = table
    self.entries = entries
  }

  /// The kernels of `base` for everything but products with nested weights, and those of another form for these, with the same
  /// promises.
  public init(_ base: KernelSet, form: NestedForm, levels: some Collection<Level> = Level.nested) {
    cache = CodeCache(calls: base.calls)
    calls = base.calls
    self.base = base
    whyNotTiles = base.whyNotTiles
    features = base.features
    whyNotGenerated = base.whyNotGenerated
    operators = base.operators
    let specs = whyNotGenerated == nil ? KernelCatalog.specs(for: features, levels: Array(levels), form: form) : []
    var table = base.table
    table.form = form
    table.expanded1 = nil
    table.int8.tilePanel = nil
    table.int6.tilePanel = nil
    table.int4.tilePanel = nil
    table.int2.tilePanel = nil
    let portable = KernelTable.portable
    if form.activations == .perRow { table.quantize = portable.quantize }
    // Products that read these sums need them from somebody.
    if specs.contains(where: { $0.operation == .sums }) { table.groupSums = KernelTable.portableGroupSums }
    // Without product kernels of its own a form is served by those of the standard form, or there are none.
    if form.groupSize != 64 || form.scaleKind != .stepAndMinimum || specs.contains(where: { $0.operation == .panel }) {
      (table.int8, table.int6, table.int4, table.int2) = (portable.int8, portable.int6, portable.int4, portable.int2)
    }
    let results = cache.prepare(specs) { spec throws(AdaptQError) in
      (KernelName(spec).description, try KernelGenerator.generate(spec))
    }
    let outcome = KernelSet.install(zip(specs, results).map { ($0, $1) }, form: form, into: &table)
    entries = specs.map { Entry(spec: $0, name: KernelName($0).description, whyNot: outcome[$0] ?? nil) }
    self.table = table
  }

  /// This set, or one made from it, with kernels for `form`.
  public func serving(_ form: NestedForm) -> KernelSet { form == table.form ? self : KernelSet(self, form: form) }

  /// Fills the table slot by slot, each after its check.
  ///
  /// - Returns: for every spec why it is not in use, or nil.
  private static func install(
    _ made: [(spec: GEMMSpec, code: Result<InstalledCode, AdaptQError>)], form: NestedForm,
    into table: inout KernelTable
  ) -> [GEMMSpec: String?] {
    var outcome: [GEMMSpec: String?] = [:]
    let check: KernelCheck
    do throws(AdaptQError) {
      check = try KernelCheck(form: form)
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
