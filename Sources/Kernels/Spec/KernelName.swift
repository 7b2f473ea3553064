import Base
import Hardware
import NestedFormat

/// A spec as text and back. The same name stands in perf maps, traces, benches and tests.
///
/// ```
/// gemm_f32_f32_f32b16_6x16_avx2           output, activations, weights, MR x NR, ISA
/// gemm_f32_s8g64_p4g64b16_6x16_avx2       panel of 4-bit codes in groups of 64, blocks of 16 outputs
/// gemv_f32_s8g64_n4g64b16x64_1x16_avx2    nested planes read at 4 bits, blocks of 16 outputs x 64 inputs
/// gemv_f32_s8g64_e8g64b16x64_1x16_avx2    expanded 8-bit codes in the same blocks
/// gemv_f32_s8g64_n4g64b16x64_1x16_avxvnnigfni
/// gemvp_f32_s8g64_n4g64b16x64_8x16_avx512vnnigfni  the same, which leaves a panel of what it decoded
/// unpack_p4g64b16_n4g64b16x64_avx2        result, source
/// quantize_s8g64_f32_avx2
/// sums_s8g64_g0_avx2                      of groups of activations, all inputs of weights sharing a scale
/// quantize_s8rg64_f32_avx2                a scale per row, sums of codes per 64 inputs
/// gemm_f32_s8rg128_p4g128sb16_12x16_avx512vnnigfni   the same, 128 inputs share a symmetric scale (s); z: step and zero
///                                         point per output. g0: all inputs share it
/// words_s16_s8g64_avx2
/// gemm_f32_bf16_bf16b16x2_12x32_avx512bf16    panel of pairs of inputs in blocks of 16 outputs, two blocks at once
/// gemm_f32_bf16_f16b16_12x32_avx512bf16       the same from FP16
/// gemm_f32_s8g64_p4g64b16_16x16_amx, gemm_f32_bf16_bf16b16x2_16x32_amx
/// round_bf16_f32_avx512bf16
/// gemm_f32_f16_f16b16_4x32_avx512fp16, round_f16_f32_avx512fp16
/// ```
public struct KernelName: Hashable, Sendable, CustomStringConvertible {
  public let spec: GEMMSpec

  public init(_ spec: GEMMSpec) { self.spec = spec }

  /// - Throws: `.invalidArgument` naming the text when it is not the name of any spec.
  public init(parsing text: String) throws(AdaptQError) {
    for spec in KernelName.grammar(text) where KernelName(spec).description == text {
      self.spec = spec
      return
    }
    throw .invalidArgument("kernel name: \"\(text)\" is not one")
  }

  public var description: String {
    let activations =
      switch spec.activations {
      case .float32: "f32"
      case .bfloat16: "bf16"
      case .float16: "f16"
      case .int8PerRowAndGroup: "s8g64"
      case .int8PerRow: "s8rg\(spec.groupSize)"
      }
    let kind =
      switch spec.scaleKind {
      case .stepAndMinimum: ""
      case .symmetric: "s"
      case .perOutput: "z"
      }
    let float = spec.level == .fp16 ? "f16b\(spec.columns)" : "f32b\(spec.columns)"
    let panel = "p\(spec.level.bits)g\(spec.groupSize)\(kind)b\(spec.columns)"
    let planes = "n\(spec.level.bits)g\(spec.groupSize)\(kind)b\(spec.columns)x64"
    let isa = spec.isa.name + (spec.gfni ? "gfni" : "")
    let block = "\(spec.rows)x\(spec.columns)"
    switch spec.operation {
    case .dense: return "gemm_f32_\(activations)_\(float)_\(block)_\(isa)"
    case .panel: return "gemm_f32_\(activations)_\(panel)_\(block)_\(isa)"
    case .vector: return "gemv_f32_\(activations)_\(planes)_\(block)_\(isa)"
    case .leading: return "gemvp_f32_\(activations)_\(planes)_\(block)_\(isa)"
    case .expanded: return "gemv_f32_\(activations)_e\(planes.dropFirst())_\(block)_\(isa)"
    case .unpack: return "unpack_\(panel)_\(planes)_\(isa)"
    case .quantize: return "quantize_\(activations)_f32_\(isa)"
    case .sums: return "sums_\(activations)_g\(spec.groupSize)_\(isa)"
    case .words: return "words_s16_\(activations)_\(isa)"
    case .bfloat16: return "gemm_f32_\(activations)_bf16b16x2_\(block)_\(isa)"
    case .bfloat16Half, .half: return "gemm_f32_\(activations)_f16b16_\(block)_\(isa)"
    case .round, .roundHalf: return "round_\(activations)_f32_\(isa)"
    }
  }

  /// Specs that `text` may name: every way to read its parts; the caller prints them and compares.
  private static func grammar(_ text: String) -> [GEMMSpec] {
    let parts = text.split(separator: "_", omittingEmptySubsequences: false).map(String.init)
    guard parts.count >= 4, let last = parts.last else { return [] }
    let gfni = last.hasSuffix("gfni")
    let isaName = gfni ? String(last.dropLast(4)) : last
    guard let isa = InstructionSet.allCases.first(where: { $0.name == isaName }) else { return [] }
    func spec(
      _ operation: GEMMSpec.Operation, _ level: Level, _ activations: GEMMSpec.Activations, _ rows: Int, _ columns: Int,
      _ group: Int = 64, _ kind: ScaleKind = .stepAndMinimum
    ) -> GEMMSpec {
      GEMMSpec(
        operation, isa: isa, gfni: gfni, level: level, activations: activations, rows: rows, columns: columns,
        groupSize: group, scaleKind: kind)
    }
    /// Every kind of scales, for both kinds of codes.
    func nested(
      _ operation: GEMMSpec.Operation, _ level: Level, _ rows: Int, _ columns: Int, _ group: Int
    ) -> [GEMMSpec] {
      ScaleKind.allCases.flatMap { kind in
        [GEMMSpec.Activations.int8PerRowAndGroup, .int8PerRow].map {
          spec(operation, level, $0, rows, columns, group, kind)
        }
      }
    }
    switch parts[0] {
    case "gemm", "gemv", "gemvp":
      guard parts.count == 6 else { return [] }
      let block = numbers(parts[4])
      let weights = numbers(parts[3])
      guard block.count == 2, weights.count >= 2 else { return [] }
      switch parts[3].first {
      case "f":
        guard let level = level(weights[0]) else { return [] }
        return [
          spec(.dense, level, .float32, block[0], block[1]),
          spec(.bfloat16Half, level, .bfloat16, block[0], block[1]),
          spec(.half, level, .float16, block[0], block[1]),
        ]
      case "b": return [spec(.bfloat16, .fp16, .bfloat16, block[0], block[1])]
      case "p", "n", "e":
        guard let level = level(weights[0]) else { return [] }
        let gemv: GEMMSpec.Operation = parts[3].first == "e" ? .expanded : parts[0] == "gemvp" ? .leading : .vector
        let operation = parts[0] == "gemm" ? .panel : gemv
        return nested(operation, level, block[0], block[1], weights[1])
      default: return []
      }
    case "unpack":
      let panel = numbers(parts[1])
      guard panel.count == 3, let level = level(panel[0]) else { return [] }
      return nested(.unpack, level, 1, panel[2], panel[1])
    case "quantize":
      let result = numbers(parts[1])
      return result.count == 2 ? nested(.quantize, .fp32, 1, 16, result[1]) : []
    case "sums":
      let result = numbers(parts[2])
      return result.count == 1 ? nested(.sums, .fp32, 1, 16, result[0]) : []
    case "words":
      let source = numbers(parts[2])
      return source.count == 2 ? [spec(.words, .int8, .int8PerRowAndGroup, 1, 16)] : []
    case "round":
      return [spec(.round, .fp16, .bfloat16, 1, 16), spec(.roundHalf, .fp16, .float16, 1, 16)]
    default: return []
    }
  }

  private static func level(_ bits: Int) -> Level? { UInt8(exactly: bits).flatMap(Level.init(rawValue:)) }

  /// The decimal numbers in `text`, in order; one with more than six digits ends the list.
  private static func numbers(_ text: String) -> [Int] {
    var result: [Int] = []
    var digits = 0
    for character in text.utf8 {
      if (48...57).contains(character) {
        let digit = Int(character) - 48
        if digits == 6 { return result }
        if digits == 0 { result.append(0) }
        result[result.count - 1] = result[result.count - 1] * 10 + digit
        digits += 1
      } else {
        digits = 0
      }
    }
    return result
  }
}
