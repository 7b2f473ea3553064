/// One named ability of an x86-64 CPU. `name` follows the flags line of /proc/cpuinfo, which people search for.
public enum CPUFeature: UInt8, CaseIterable, Sendable, Hashable {
  case sse3, ssse3, sse41, sse42, popcnt, aes, pclmulqdq, osxsave, hypervisor
  case avx, fma, f16c, avx2, bmi1, bmi2, lzcnt, erms, fsrm
  case gfni, vaes, vpclmulqdq, hybrid
  case avxVNNI, avxVNNIInt8, avxVNNIInt16, avxIFMA, avxNEConvert
  case avx512f, avx512dq, avx512ifma, avx512cd, avx512bw, avx512vl
  case avx512vbmi, avx512vbmi2, avx512vnni, avx512bitalg, avx512vpopcntdq, avx512bf16, avx512fp16
  case amxTile, amxInt8, amxBF16, amxFP16

  public var name: String { definition.name }
}

/// State that the operating system must save at a task switch before instructions may use it: bits of XCR0.
///
/// Source: Intel SDM volume 1, sections 13.1 "XSAVE-supported features", 14.3 (AVX), 15.2 (AVX-512), 18.2 (AMX).
enum RegisterState: Sendable {
  case none, avx, avx512, amx

  var mask: UInt64 {
    switch self {
    case .none: 0
    case .avx: 0x6  // XMM, YMM upper halves
    case .avx512: 0xE6  // and mask registers, ZMM upper halves, ZMM16-31
    case .amx: 0x6_0000  // tile configuration, tile data
    }
  }

  /// The feature that announces the registers themselves: virtual machines may hide it and forget what builds on it.
  var foundation: CPUFeature? {
    switch self {
    case .none: nil
    case .avx: .avx
    case .avx512: .avx512f
    case .amx: .amxTile
    }
  }
}

extension CPUFeature {
  /// Where CPUID announces the feature.
  struct Definition: Sendable {
    enum Register: Sendable { case eax, ebx, ecx, edx }

    var name: String
    var leaf: UInt32
    var subleaf: UInt32
    var register: Register
    var bit: UInt32
    var state: RegisterState

    init(
      _ name: String, _ leaf: UInt32, subleaf: UInt32 = 0, _ register: Register, _ bit: UInt32,
      _ state: RegisterState = .none
    ) {
      self.name = name
      self.leaf = leaf
      self.subleaf = subleaf
      self.register = register
      self.bit = bit
      self.state = state
    }

    func isSet(in table: CPUIDTable) -> Bool {
      // Subleaf 0 of leaf 7 says in EAX how many subleaves follow.
      if leaf == 7, subleaf > table.registers(7).eax { return false }
      let registers = table.registers(leaf, subleaf)
      let value =
        switch register {
        case .eax: registers.eax
        case .ebx: registers.ebx
        case .ecx: registers.ecx
        case .edx: registers.edx
        }
      return value >> bit & 1 == 1
    }
  }

  /// Source: Intel SDM volume 2A, CPUID, leaves 01H, 07H.0, 07H.1; AMD64 APM volume 3, appendix E, leaf 8000_0001H.
  var definition: Definition {
    switch self {
    case .sse3: Definition("pni", 1, .ecx, 0)
    case .pclmulqdq: Definition("pclmulqdq", 1, .ecx, 1)
    case .ssse3: Definition("ssse3", 1, .ecx, 9)
    case .fma: Definition("fma", 1, .ecx, 12, .avx)
    case .sse41: Definition("sse4_1", 1, .ecx, 19)
    case .sse42: Definition("sse4_2", 1, .ecx, 20)
    case .popcnt: Definition("popcnt", 1, .ecx, 23)
    case .aes: Definition("aes", 1, .ecx, 25)
    case .osxsave: Definition("osxsave", 1, .ecx, 27)
    case .avx: Definition("avx", 1, .ecx, 28, .avx)
    case .f16c: Definition("f16c", 1, .ecx, 29, .avx)
    case .hypervisor: Definition("hypervisor", 1, .ecx, 31)

    case .bmi1: Definition("bmi1", 7, .ebx, 3)
    case .avx2: Definition("avx2", 7, .ebx, 5, .avx)
    case .bmi2: Definition("bmi2", 7, .ebx, 8)
    case .erms: Definition("erms", 7, .ebx, 9)
    case .avx512f: Definition("avx512f", 7, .ebx, 16, .avx512)
    case .avx512dq: Definition("avx512dq", 7, .ebx, 17, .avx512)
    case .avx512ifma: Definition("avx512ifma", 7, .ebx, 21, .avx512)
    case .avx512cd: Definition("avx512cd", 7, .ebx, 28, .avx512)
    case .avx512bw: Definition("avx512bw", 7, .ebx, 30, .avx512)
    case .avx512vl: Definition("avx512vl", 7, .ebx, 31, .avx512)

    case .avx512vbmi: Definition("avx512vbmi", 7, .ecx, 1, .avx512)
    case .avx512vbmi2: Definition("avx512_vbmi2", 7, .ecx, 6, .avx512)
    // GFNI alone means the SSE encoding; VEX and EVEX forms also want AVX or AVX-512 (KernelFeatures asks for both).
    case .gfni: Definition("gfni", 7, .ecx, 8)
    case .vaes: Definition("vaes", 7, .ecx, 9, .avx)
    case .vpclmulqdq: Definition("vpclmulqdq", 7, .ecx, 10, .avx)
    case .avx512vnni: Definition("avx512_vnni", 7, .ecx, 11, .avx512)
    case .avx512bitalg: Definition("avx512_bitalg", 7, .ecx, 12, .avx512)
    case .avx512vpopcntdq: Definition("avx512_vpopcntdq", 7, .ecx, 14, .avx512)

    case .fsrm: Definition("fsrm", 7, .edx, 4)
    case .hybrid: Definition("hybrid_cpu", 7, .edx, 15)
    case .amxBF16: Definition("amx_bf16", 7, .edx, 22, .amx)
    case .avx512fp16: Definition("avx512_fp16", 7, .edx, 23, .avx512)
    case .amxTile: Definition("amx_tile", 7, .edx, 24, .amx)
    case .amxInt8: Definition("amx_int8", 7, .edx, 25, .amx)

    case .avxVNNI: Definition("avx_vnni", 7, subleaf: 1, .eax, 4, .avx)
    case .avx512bf16: Definition("avx512_bf16", 7, subleaf: 1, .eax, 5, .avx512)
    case .amxFP16: Definition("amx_fp16", 7, subleaf: 1, .eax, 21, .amx)
    case .avxIFMA: Definition("avx_ifma", 7, subleaf: 1, .eax, 23, .avx)
    case .avxVNNIInt8: Definition("avx_vnni_int8", 7, subleaf: 1, .edx, 4, .avx)
    case .avxNEConvert: Definition("avx_ne_convert", 7, subleaf: 1, .edx, 5, .avx)
    case .avxVNNIInt16: Definition("avx_vnni_int16", 7, subleaf: 1, .edx, 10, .avx)

    case .lzcnt: Definition("abm", 0x8000_0001, .ecx, 5)
    }
  }
}

/// A set of features in one word.
public struct CPUFeatureSet: Hashable, Sendable, BitwiseCopyable {
  private var bits: UInt64 = 0

  public init() {}

  public init(_ features: [CPUFeature]) {
    for feature in features { insert(feature) }
  }

  public func contains(_ feature: CPUFeature) -> Bool { bits >> UInt64(feature.rawValue) & 1 == 1 }

  public mutating func insert(_ feature: CPUFeature) { bits |= 1 << UInt64(feature.rawValue) }

  public mutating func remove(_ feature: CPUFeature) { bits &= ~(1 << UInt64(feature.rawValue)) }

  /// In the order of `CPUFeature.allCases`.
  public var features: [CPUFeature] { CPUFeature.allCases.filter(contains) }

  /// Names separated by one space, as in /proc/cpuinfo.
  public var text: String { features.map(\.name).joined(separator: " ") }
}
