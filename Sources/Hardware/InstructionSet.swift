import Base

/// The rungs of x86-64 instruction sets that kernels are written for, as a name and as an upper limit.
///
/// Not a pure ladder: Cascade Lake has AVX-512 VNNI but neither AVX-VNNI nor GFNI, Alder Lake the reverse. So this says
/// how far up kernels may go; `KernelFeatures` says what there is.
public enum InstructionSet: Int, CaseIterable, Comparable, Hashable, Sendable {
  /// Plain Swift, baseline x86-64.
  case portable
  /// AVX2, FMA and F16C together.
  case avx2
  /// 256-bit `vpdpbusd` with VEX encoding.
  case avxvnni
  /// AVX-512 F, BW, DQ and VL.
  case avx512
  case avx512vnni
  case avx512bf16
  case avx512fp16
  /// Opt-in: needs a permission call per process and enlarges signal frames.
  case amx

  public var name: String {
    switch self {
    case .portable: "portable"
    case .avx2: "avx2"
    case .avxvnni: "avxvnni"
    case .avx512: "avx512"
    case .avx512vnni: "avx512vnni"
    case .avx512bf16: "avx512bf16"
    case .avx512fp16: "avx512fp16"
    case .amx: "amx"
    }
  }

  /// The environment variable that caps the instruction set of a process.
  public static let environmentName = "ADAPTQ_MAX_ISA"

  /// The highest one used unless somebody asks for more.
  public static let defaultMaximum = InstructionSet.avx512fp16

  public static func < (left: InstructionSet, right: InstructionSet) -> Bool { left.rawValue < right.rawValue }

  /// - Parameter field: where the text came from, named in the error.
  /// - Throws: `invalidArgument` listing the allowed values.
  public init(parsing text: String, field: String = InstructionSet.environmentName) throws(AdaptQError) {
    for candidate in Self.allCases where candidate.name == text {
      self = candidate
      return
    }
    let allowed = Self.allCases.map(\.name).joined(separator: ", ")
    throw .invalidArgument("\(field): \"\(text)\" is not an instruction set; allowed are \(allowed)")
  }

  /// The limit set by `ADAPTQ_MAX_ISA`, or `defaultMaximum` when it is unset or empty.
  public static func maximumFromEnvironment() throws(AdaptQError) -> InstructionSet {
    guard let text = environmentValue(environmentName), !text.isEmpty else { return defaultMaximum }
    return try InstructionSet(parsing: text)
  }
}
