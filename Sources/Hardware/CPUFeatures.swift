/// Who made the CPU, from the twelve letters of leaf 0.
public enum CPUVendor: Hashable, Sendable {
  case intel, amd, hygon, zhaoxin
  case other(String)

  init(letters: String) {
    switch letters {
    case "GenuineIntel": self = .intel
    case "AuthenticAMD": self = .amd
    case "HygonGenuine": self = .hygon
    case "CentaurHauls", "  Shanghai  ": self = .zhaoxin
    default: self = .other(letters)
    }
  }

  public var name: String {
    switch self {
    case .intel: "Intel"
    case .amd: "AMD"
    case .hygon: "Hygon"
    case .zhaoxin: "Zhaoxin"
    case .other(let letters): letters
    }
  }
}

/// What one CPU is and can do, derived from its CPUID answers and the register state its operating system enabled.
///
/// A feature counts as usable only with that state (XCR0): without it the instructions fault, whatever CPUID says.
public struct CPUFeatures: Hashable, Sendable {
  public var vendor: CPUVendor
  /// Family and model with their extensions added, as /proc/cpuinfo prints them.
  public var family: Int
  public var model: Int
  public var stepping: Int
  /// Nil where the CPU has no brand string.
  public var brand: String?
  /// What programs may use. AMX tiles need, on Linux, one further permission call per process.
  public var usable: CPUFeatureSet
  /// Announced by the CPU but unusable: register state not enabled, or the feature it builds on is hidden.
  public var withoutState: CPUFeatureSet

  public init(table: CPUIDTable, xcr0: UInt64) {
    let identity = table.registers(0)
    vendor = CPUVendor(letters: Self.text([identity.ebx, identity.edx, identity.ecx]))

    // Intel SDM volume 2A, figure "Version Information Returned by CPUID in EAX"; AMD adds the extended model only to
    // family 15, and its family 6 leaves these bits zero.
    let version = table.registers(1).eax
    let baseFamily = Int(version >> 8 & 0xF)
    family = baseFamily == 0xF ? baseFamily + Int(version >> 20 & 0xFF) : baseFamily
    let extendedModel = baseFamily == 0xF || baseFamily == 6 ? Int(version >> 16 & 0xF) : 0
    model = extendedModel << 4 | Int(version >> 4 & 0xF)
    stepping = Int(version & 0xF)

    if table.registers(0x8000_0000).eax >= 0x8000_0004 {
      var words: [UInt32] = []
      for leaf: UInt32 in 0x8000_0002...0x8000_0004 {
        let part = table.registers(leaf)
        words += [part.eax, part.ebx, part.ecx, part.edx]
      }
      let text = Self.trimmed(Self.text(words))
      brand = text.isEmpty ? nil : text
    }

    let enabled = table.registers(1).ecx & (1 << 27) != 0 ? xcr0 : 0
    usable = CPUFeatureSet()
    withoutState = CPUFeatureSet()
    for feature in CPUFeature.allCases {
      let definition = feature.definition
      if !definition.isSet(in: table) { continue }
      let hasState = definition.state.mask & ~enabled == 0
      let hasFoundation = definition.state.foundation.map { $0.definition.isSet(in: table) } ?? true
      if hasState && hasFoundation { usable.insert(feature) } else { withoutState.insert(feature) }
    }
  }

  /// The CPU the calling thread runs on. Cheap enough to call again; not for the run path.
  public static func live() -> CPUFeatures {
    let table = CPUIDTable.live()
    return CPUFeatures(table: table, xcr0: CPUIDTable.liveXCR0(table))
  }

  public func has(_ feature: CPUFeature) -> Bool { usable.contains(feature) }

  /// Little-endian letters up to the first NUL.
  private static func text(_ words: [UInt32]) -> String {
    var letters: [UInt8] = []
    for word in words {
      for byte in 0..<4 {
        let letter = UInt8(truncatingIfNeeded: word >> UInt32(8 * byte))
        if letter == 0 { return String(decoding: letters, as: UTF8.self) }
        letters.append(letter)
      }
    }
    return String(decoding: letters, as: UTF8.self)
  }

  private static func trimmed(_ text: String) -> String {
    var rest = text[...]
    while rest.first == " " { rest.removeFirst() }
    while rest.last == " " { rest.removeLast() }
    return String(rest)
  }
}
