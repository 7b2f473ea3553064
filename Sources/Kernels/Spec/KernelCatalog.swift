import Hardware
import NestedFormat

/// The one list of generated kernels: dispatch, tests, bench and probe iterate over it.
public enum KernelCatalog {
  /// What a CPU with `features` uses for products at `levels`: one kernel per place in a ``KernelTable``. Empty where
  /// nothing can be generated.
  public static func specs(for features: KernelFeatures, levels: some Collection<Level>) -> [GEMMSpec] {
    guard features.avx2 else { return [] }
    return floatSpecs(features, levels) + nestedSpecs(features, levels, .standard)
  }

  /// What products with nested weights of another form use instead of those of the standard form; empty where nothing can be
  /// generated.
  public static func specs(
    for features: KernelFeatures, levels: some Collection<Level>, form: NestedForm
  ) -> [GEMMSpec] {
    features.avx2 && form != .standard ? nestedSpecs(features, levels, form) : []
  }

  private static func floatSpecs(_ features: KernelFeatures, _ levels: some Collection<Level>) -> [GEMMSpec] {
    let float: InstructionSet = features.avx512 ? .avx512 : .avx2
    let floatRows = float == .avx512 ? 14 : 6
    var result: [GEMMSpec] = []
    // Attention multiplies FP32 activations whatever the weights' level is.
    result.append(GEMMSpec(.dense, isa: float, level: .fp32, activations: .float32, rows: floatRows))
    if levels.contains(.fp16) {
      result.append(GEMMSpec(.dense, isa: float, level: .fp16, activations: .float32, rows: floatRows))
    }
    if features.bf16 {
      func add(_ operation: GEMMSpec.Operation, isa: InstructionSet = .avx512bf16, rows: Int, columns: Int) {
        result.append(
          GEMMSpec(operation, isa: isa, level: .fp16, activations: .bfloat16, rows: rows, columns: columns))
      }
      add(.round, rows: 1, columns: 16)
      add(.bfloat16, rows: BFloat16Arguments.tileRows, columns: 32)
      if levels.contains(.fp16) {
        add(.bfloat16Half, rows: BFloat16Arguments.tileRows, columns: 32)
        if features.fp16 {
          // Fewer rows than it takes to make up for rounding the weights.
          for (operation, rows, columns) in [
            (GEMMSpec.Operation.roundHalf, 1, 16), (.half, HalfArguments.mostRows, 32),
          ] {
            result.append(
              GEMMSpec(
                operation, isa: .avx512fp16, level: .fp16, activations: .float16, rows: rows,
                columns: columns))
          }
        }
        // Beside those of AVX-512, which make the panels and serve fewer rows.
        if features.amxBF16 { add(.bfloat16, isa: .amx, rows: BFloat16Arguments.matrixRows, columns: 32) }
      }
    }
    return result
  }

  private static func nestedSpecs(
    _ features: KernelFeatures, _ levels: some Collection<Level>, _ form: NestedForm
  ) -> [GEMMSpec] {
    // Without dot products, 256-bit pairs do as well as 512-bit ones.
    let nested: InstructionSet = features.vnni512 ? .avx512vnni : features.avxvnni ? .avxvnni : .avx2
    let nestedRows = nested == .avx512vnni ? 12 : 6
    let gfni = nested != .avx2 && features.gfni
    let words = nested == .avx2
    let isStandard = form.groupSize == 64 && form.scaleKind == .stepAndMinimum
    let codes: GEMMSpec.Activations = form.activations == .perRow ? .int8PerRow : .int8PerRowAndGroup
    // Elsewhere products read the row's scale group by group.
    let multiplied = nested == .avx512vnni ? codes : .int8PerRowAndGroup
    var result: [GEMMSpec] = []
    let nestedLevels = Set(levels).filter(\.isNested).sorted(by: >)
    if nestedLevels.isEmpty { return [] }
    if form == .standard || codes == .int8PerRow {
      // Quantizing has no products.
      let quantize = nested == .avxvnni ? .avx2 : nested
      result.append(
        GEMMSpec(
          .quantize, isa: quantize, level: .fp32, activations: codes, rows: 1,
          groupSize: codes == .int8PerRow ? form.groupSize : 64))
    }
    if form.groupSize == NestedForm.allInputs && codes == .int8PerRowAndGroup && nested == .avx512vnni {
      result.append(
        GEMMSpec(.sums, isa: .avx2, level: .fp32, activations: codes, rows: 1, groupSize: form.groupSize))
    }
    if form != .standard && isStandard && multiplied == .int8PerRowAndGroup { return result }
    for level in nestedLevels {
      func add(_ operation: GEMMSpec.Operation, rows: Int, decodes: Bool = true) {
        result.append(
          GEMMSpec(
            operation, isa: nested, gfni: gfni && decodes, level: level, activations: multiplied, rows: rows,
            groupSize: form.groupSize, scaleKind: form.scaleKind))
      }
      // With two blocks as many as fit the registers beside the decoder.
      if nested == .avx512vnni { add(.leading, rows: 4) } else { add(.unpack, rows: 1) }
      if words && level == .int8 && form == .standard { add(.words, rows: 1) }
      add(.panel, rows: words && level.bits >= 6 ? 4 : nestedRows, decodes: false)
      if nested == .avx512vnni && features.amxInt8 && form == .standard {
        result.append(GEMMSpec(.panel, isa: .amx, level: level, activations: .int8PerRowAndGroup, rows: 16))
      }
      for rows in 1...(nested == .avx512vnni ? 8 : 4) { add(.vector, rows: rows) }
      // With VNNI and GFNI decoding hides behind reading. A CPU with AVX-VNNI and without GFNI is not known.
      if words && level == .int8 && form == .standard { add(.expanded, rows: 1) }
    }
    return result
  }

  /// Every kernel of every instruction set, each once.
  public static var all: [GEMMSpec] {
    var result: [GEMMSpec] = []
    var seen: Set<GEMMSpec> = []
    for features in interestingFeatures {
      let forms = otherForms.flatMap { specs(for: features, levels: Level.allCases, form: $0) }
      for spec in specs(for: features, levels: Level.allCases) + forms where seen.insert(spec).inserted {
        result.append(spec)
      }
    }
    return result
  }

  /// Every form but the standard one.
  public static var otherForms: [NestedForm] {
    var result: [NestedForm] = []
    for kind in ScaleKind.allCases {
      for groupSize in [64, 128, NestedForm.allInputs] {
        for activations in ActivationScales.allCases {
          guard let form = try? NestedForm(groupSize: groupSize, scaleKind: kind, activations: activations) else {
            continue
          }
          if form != .standard { result.append(form) }
        }
      }
    }
    return result
  }

  /// CPUs that differ in what they get.
  static var interestingFeatures: [KernelFeatures] {
    var avx2 = KernelFeatures()
    avx2.avx2 = true
    var avxvnni = avx2
    avxvnni.avxvnni = true
    var avxvnniGFNI = avxvnni
    avxvnniGFNI.gfni = true
    var avx512 = avx2
    avx512.avx512 = true
    var vnni = avx512
    vnni.vnni512 = true
    var gfni = vnni
    gfni.gfni = true
    var bf16 = gfni
    bf16.bf16 = true
    var fp16 = bf16
    fp16.fp16 = true
    var amx = fp16
    amx.amxInt8 = true
    amx.amxBF16 = true
    return [avx2, avxvnni, avxvnniGFNI, avx512, vnni, gfni, bf16, fp16, amx]
  }
}
