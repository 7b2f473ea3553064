extension InstructionSet {
  /// Every feature without which the set is not used, as `KernelFeatures` asks for them.
  public var neededFeatures: [CPUFeature] {
    let avx2: [CPUFeature] = [.avx2, .fma, .f16c]
    let avx512 = avx2 + [.avx512f, .avx512bw, .avx512dq, .avx512vl]
    switch self {
    case .portable: return []
    case .avx2: return avx2
    case .avxvnni: return avx2 + [.avxVNNI]
    case .avx512: return avx512
    case .avx512vnni: return avx512 + [.avx512vnni]
    case .avx512bf16: return avx512 + [.avx512bf16]
    case .avx512fp16: return avx512 + [.avx512fp16]
    case .amx: return avx512 + [.amxTile, .amxInt8]
    }
  }

  /// Why kernels of this set may not run on a CPU, or nil when they may: a sentence's end, after "because".
  public func whyNot(_ features: CPUFeatures, maximum: InstructionSet) -> String? {
    let missing = neededFeatures.filter { !features.has($0) }
    let withoutState = missing.filter(features.withoutState.contains)
    func names(_ list: [CPUFeature]) -> String { list.map(\.name).joined(separator: ", ") }
    if !withoutState.isEmpty { return "the system has not switched on the registers for \(names(withoutState))" }
    if !missing.isEmpty { return "the CPU has no \(names(missing))" }
    if self > maximum {
      return self == .amx && maximum == .defaultMaximum
        ? "AMX is used only when asked for" : "the limit is \(maximum.name)"
    }
    return nil
  }
}
