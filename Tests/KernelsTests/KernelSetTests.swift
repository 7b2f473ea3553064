import Hardware
import MachineCode
import NestedFormat
import Testing

@testable import Kernels

@Suite struct KernelSetTests {
  private let features = KernelFeatures(CPUFeatures.live())

  @Test func usesEveryKernelOfThisMachine() {
    let set = KernelSet(features: features)
    for entry in set.entries { #expect(entry.whyNot == nil, "\(entry)") }
    let names = Set(set.code.map(\.name))
    for entry in set.entries { #expect(names.contains(entry.name), "\(entry)") }
    #expect(features.avx2 == (set.whyNotGenerated == nil))
  }

  @Test func saysWhyNothingIsGenerated() {
    let switchedOff = KernelSet(features: features, allowCodeGeneration: false)
    #expect(switchedOff.whyNotGenerated == "code generation is switched off")
    let old = KernelSet(features: KernelFeatures())
    #expect(old.whyNotGenerated?.contains("AVX2") == true)
    #expect(old.entries.isEmpty && old.code.isEmpty)
  }

  @Test func refusedPagesLeaveThePortableKernels() {
    var calls = CodeCalls.live
    calls.makeExecutable = { _, _ in 13 }
    let set = KernelSet(features: features, calls: calls)
    for entry in set.entries { #expect(entry.whyNot?.contains("executable") == true, "\(entry)") }
    // Compared by what they are: two closures with the same body are one function.
    #expect(
      unsafeBitCast(set.table.dense32, to: Int.self) == unsafeBitCast(KernelTable.portable.dense32, to: Int.self))
  }

  @Test func onlyAllowedLevelsAreGenerated() {
    let set = KernelSet(features: features, levels: [.int4])
    #expect(set.entries.allSatisfy { !$0.spec.level.isNested || $0.spec.level == .int4 })
  }

  /// What each CPU multiplies nested weights with.
  @Test func dotProductsAreUsedWhereTheyAre() {
    for features in KernelCatalog.interestingFeatures {
      let specs = KernelCatalog.specs(for: features, levels: Level.allCases)
      let expected: InstructionSet = features.vnni512 ? .avx512vnni : features.avxvnni ? .avxvnni : .avx2
      let products = specs.filter { $0.level.isNested && $0.isa != .amx }
      #expect(products.allSatisfy { $0.isa == expected }, "\(features)")
      #expect(specs.allSatisfy { features.supports($0.isa) && (features.gfni || !$0.gfni) }, "\(features)")
      let decoding = products.filter { [.unpack, .leading, .vector].contains($0.operation) }
      let vectorRows = expected == .avx512vnni ? 8 : 4
      #expect(decoding.count == 4 * (vectorRows + 1) && decoding.allSatisfy { $0.gfni == features.gfni }, "\(features)")
      var table = KernelTable.portable
      for spec in specs { table.install({ _ in }, for: spec) }
      // Words and expanded codes stand in for a dot product.
      let words = expected == .avx2
      #expect(table.readsWords(.int8, rows: 9) == words && (table.expanded1 != nil) == words, "\(features)")
      #expect(table.usesBFloat16(.fp16, rows: 3) == features.bf16, "\(features)")
      #expect((table.half != nil) == features.fp16, "\(features)")
      #expect((table.tileBFloat16 != nil) == features.amxBF16, "\(features)")
      #expect(!table.usesBFloat16(.fp32, rows: 3) && !table.usesBFloat16(.fp16, rows: 1), "\(features)")
      #expect(table.int8.panelGroupByteCount == (words ? 2048 : 1024), "\(features)")
      for level in Level.nested {
        #expect(table.nested(level).vectorRows == vectorRows, "\(features)")
        #expect((table.nested(level).leading != nil) == (expected == .avx512vnni), "\(features)")
        #expect((table.nested(level).tilePanel != nil) == features.amxInt8, "\(features)")
        if level != .int8 { #expect(table.nested(level).panelGroupByteCount == 1024, "\(features)") }
      }
    }
  }

  @Test func refusedTilesAreLeftOut() throws {
    var features = features
    features.amxInt8 = features.vnni512
    features.amxBF16 = features.bf16
    let set = KernelSet(features: features, requestTiles: { 28 })
    #expect((set.whyNotTiles?.contains("28") == true) == features.needsTiles)
    #expect(!set.features.needsTiles && set.entries.allSatisfy { $0.spec.isa != .amx })
    #expect(set.table.tileBFloat16 == nil && set.table.int8.tilePanel == nil)
    for entry in set.entries { #expect(entry.whyNot == nil, "\(entry)") }
    var asked = false
    let plain = KernelSet(
      features: self.features,
      requestTiles: {
        asked = true
        return 0
      })
    #expect(!asked && plain.whyNotTiles == nil, "nobody asked for AMX")
  }

  /// Kernels of tiles replace others, so their checks must see those.
  @Test func wrongTileKernelsAreNoticed() throws {
    let check = try KernelCheck()
    var table = KernelTable.portable
    table.tileBFloat16 = KernelTable.portableBFloat16
    #expect(check.difference(table, .tileBFloat16) == nil)
    table.tileBFloat16 = { raw in
      KernelTable.portable.bfloat16(raw)
      raw.load(as: BFloat16Arguments.self).y[15] += 0.01
    }
    #expect(check.difference(table, .tileBFloat16) != nil)
    #expect(check.difference(.portable, .tilePanel(.int4)) != nil, "nothing makes panels")
    table = TestTable.generated.table
    if table.int4.leading == nil { return }
    table.int4.tilePanel = table.int4.panel
    #expect(check.difference(table, .tilePanel(.int4)) == nil)
    table.int4.tilePanel = { $0.load(as: PanelArguments.self).y[15] = 1 }
    #expect(check.difference(table, .tilePanel(.int4)) != nil)
  }

  @Test func wrongHalfKernelsAreNoticed() throws {
    let check = try KernelCheck()
    var table = KernelTable.portable
    #expect(check.difference(table, .half) != nil)
    table.half = KernelTable.portableHalf
    #expect(check.difference(table, .half) == nil)
    table.half?.round = { raw in
      KernelTable.portableHalf.round(raw)
      let a = raw.load(as: RoundArguments.self)
      if a.k & 1 == 1 {
        a.output.storeBytes(
          of: 1, toByteOffset: HalfArguments.headerByteCount + 2 * a.k, as: UInt16.self)
      }
    }
    #expect(check.difference(table, .half) != nil)
    table.half = KernelTable.portableHalf
    table.half?.multiply = { raw in
      KernelTable.portableHalf.multiply(raw)
      let a = raw.load(as: HalfArguments.self)
      a.y[15] += a.blocks == 2 && a.rows == 3 ? 10 : 0
    }
    #expect(check.difference(table, .half) != nil)
  }

  /// Each wrong table must be noticed by the check of the slot that is wrong.
  @Test func wrongKernelsAreNoticed() throws {
    let check = try KernelCheck()
    var table = KernelTable.portable
    for slot in [.quantize, .dense(.fp32), .dense(.fp16), .bfloat16, .bfloat16Half, .round] as [KernelSlot] {
      #expect(check.difference(table, slot) == nil, "\(slot)")
    }
    for level in Level.nested {
      #expect(check.difference(table, .panel(level)) == nil, "\(level)")
      for rows in 1...8 { #expect(check.difference(table, .vector(level, rows: rows)) == nil, "\(level) \(rows)") }
    }
    swap(&table.dense32, &table.dense16)
    #expect(check.difference(table, .dense(.fp32)) != nil)
    #expect(check.difference(table, .dense(.fp16)) != nil)
    table = .portable
    swap(&table.int8, &table.int6)
    #expect(check.difference(table, .panel(.int8)) != nil)
    #expect(check.difference(table, .vector(.int6, rows: 3)) != nil)
    table.quantize = { raw in
      KernelTable.portable.quantize(raw)
      raw.load(as: QuantizeArguments.self).codes[7] &+= 1
    }
    #expect(check.difference(table, .quantize) != nil)
    table.bfloat16 = { raw in
      KernelTable.portable.bfloat16(raw)
      raw.load(as: BFloat16Arguments.self).y[15] += 0.01
    }
    #expect(check.difference(table, .bfloat16) != nil)
    table.bfloat16Half = { raw in
      KernelTable.portable.bfloat16Half(raw)
      raw.load(as: BFloat16HalfArguments.self).panel?.storeBytes(of: 1, as: UInt16.self)
    }
    #expect(check.difference(table, .bfloat16Half) != nil)
    table.round = { raw in
      KernelTable.portable.round(raw)
      let a = raw.load(as: RoundArguments.self)
      if a.k & 1 == 1 { a.output.storeBytes(of: 1, toByteOffset: 2 * a.k, as: UInt16.self) }
    }
    #expect(check.difference(table, .round) != nil)
  }
}
