import Hardware
import NestedFormat

/// The one list of generated kernels: dispatch, tests, bench and probe iterate over it.
public enum KernelCatalog {
  /// What a CPU with `features` uses for products at `levels`: one kernel per place in a ``KernelTable``. Empty where
  /// nothing can be generated.
  public static func specs(for features: KernelFeatures, levels: some Sequence<Level>) -> [GEMMSpec] {
    guard features.avx2 else { return [] }
    let float: InstructionSet = features.avx512 ? .avx512 : .avx2
    let rows = float == .avx512 ? 14 : 6
    var result: [GEMMSpec] = []
    // Attention multiplies FP32 activations whatever the weights' level is.
    result.append(GEMMSpec(.dense, isa: float, level: .fp32, activations: .float32, rows: rows))
    let nested: InstructionSet = .avx2
    if levels.contains(where: \.isNested) {
      result.append(GEMMSpec(.quantize, isa: nested, level: .fp32, activations: .int8PerRowAndGroup, rows: 1))
    }
    for level in Set(levels).sorted(by: >) {
      switch level {
      case .fp32: break
      case .fp16:
        result.append(GEMMSpec(.dense, isa: float, level: .fp16, activations: .float32, rows: rows))
        result.append(GEMMSpec(.widen, isa: float, level: .fp16, activations: .float32, rows: 1))
      default:
        result.append(GEMMSpec(.unpack, isa: nested, level: level, activations: .int8PerRowAndGroup, rows: 1))
        result.append(GEMMSpec(.panel, isa: nested, level: level, activations: .int8PerRowAndGroup, rows: 6))
        for rows in 1...4 {
          result.append(GEMMSpec(.vector, isa: nested, level: level, activations: .int8PerRowAndGroup, rows: rows))
        }
      }
    }
    return result
  }

  /// Every kernel of every instruction set, each once.
  public static var all: [GEMMSpec] {
    var result: [GEMMSpec] = []
    var seen: Set<GEMMSpec> = []
    for features in interestingFeatures {
      for spec in specs(for: features, levels: Level.allCases) where seen.insert(spec).inserted { result.append(spec) }
    }
    return result
  }

  /// CPUs that differ in what they get.
  static var interestingFeatures: [KernelFeatures] {
    var avx2 = KernelFeatures()
    avx2.avx2 = true
    var avx512 = avx2
    avx512.avx512 = true
    var vnni = avx512
    vnni.vnni512 = true
    var gfni = vnni
    gfni.gfni = true
    return [avx2, avx512, vnni, gfni]
  }
}
