/// What kernel generators may emit: usable CPU features, grouped the way kernels need them, below a maximum.
///
/// Every field implies what it builds on, so a generator asks for one field. A higher maximum never takes a field away.
/// Fields are variable so that a test can switch one off and reach the path for CPUs without it.
public struct KernelFeatures: Hashable, Sendable, BitwiseCopyable {
  /// AVX2, FMA and F16C.
  public var avx2 = false
  /// BMI1 and BMI2, with `avx2`.
  public var bmi2 = false
  /// `vpdpbusd` on XMM and YMM, VEX encoding.
  public var avxvnni = false
  /// `vgf2p8affineqb`: VEX on YMM with `avx2`, EVEX on ZMM with `avx512`.
  public var gfni = false
  /// AVX-512 F, BW, DQ and VL, with `avx2`.
  public var avx512 = false
  /// `vpermb` and the like.
  public var vbmi512 = false
  /// `vpdpbusd` on ZMM and, EVEX-encoded, on YMM and XMM.
  public var vnni512 = false
  /// `vdpbf16ps`, `vcvtne2ps2bf16`.
  public var bf16 = false
  /// AVX512-FP16 arithmetic.
  public var fp16 = false
  /// Tiles with 8-bit products; permission still has to be asked for.
  public var amxInt8 = false
  /// Tiles with bfloat16 products; permission still has to be asked for.
  public var amxBF16 = false

  /// Nothing: portable code only.
  public init() {}

  public init(_ features: CPUFeatures, maximum: InstructionSet = .defaultMaximum) {
    func all(_ needed: CPUFeature...) -> Bool { needed.allSatisfy(features.has) }
    avx2 = maximum >= .avx2 && all(.avx2, .fma, .f16c)
    bmi2 = avx2 && all(.bmi1, .bmi2)
    avxvnni = avx2 && maximum >= .avxvnni && all(.avxVNNI)
    // No CPU has plain AVX2 and GFNI without more, so the plain AVX2 path is written for CPUs without it.
    gfni = avx2 && maximum >= .avxvnni && all(.gfni)
    avx512 = avx2 && maximum >= .avx512 && all(.avx512f, .avx512bw, .avx512dq, .avx512vl)
    vbmi512 = avx512 && all(.avx512vbmi)
    vnni512 = avx512 && maximum >= .avx512vnni && all(.avx512vnni)
    bf16 = avx512 && maximum >= .avx512bf16 && all(.avx512bf16)
    fp16 = avx512 && maximum >= .avx512fp16 && all(.avx512fp16)
    amxInt8 = avx512 && maximum >= .amx && all(.amxTile, .amxInt8)
    amxBF16 = avx512 && maximum >= .amx && all(.amxTile, .amxBF16)
  }

  /// The highest instruction set with something to use, for reports.
  public var highest: InstructionSet {
    if amxInt8 || amxBF16 { return .amx }
    if fp16 { return .avx512fp16 }
    if bf16 { return .avx512bf16 }
    if vnni512 { return .avx512vnni }
    if avx512 { return .avx512 }
    if avxvnni { return .avxvnni }
    return avx2 ? .avx2 : .portable
  }

  /// Whether kernels written for `set` may run.
  public func supports(_ set: InstructionSet) -> Bool {
    switch set {
    case .portable: true
    case .avx2: avx2
    case .avxvnni: avxvnni
    case .avx512: avx512
    case .avx512vnni: vnni512
    case .avx512bf16: bf16
    case .avx512fp16: fp16
    case .amx: amxInt8 || amxBF16
    }
  }
}
