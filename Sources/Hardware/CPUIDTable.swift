import CMachine

/// What the CPUID instruction answers, as data: the code that reads a live CPU is the code that reads a recorded one.
///
/// Source: Intel SDM volume 2A, "CPUID - CPU Identification"; AMD64 APM volume 3, appendix E.
public struct CPUIDTable: Hashable, Sendable {
  /// The four registers of one answer.
  public struct Registers: Hashable, Sendable, BitwiseCopyable {
    public var eax: UInt32
    public var ebx: UInt32
    public var ecx: UInt32
    public var edx: UInt32

    public init(_ eax: UInt32, _ ebx: UInt32, _ ecx: UInt32, _ edx: UInt32) {
      self.eax = eax
      self.ebx = ebx
      self.ecx = ecx
      self.edx = edx
    }

    public static let zero = Registers(0, 0, 0, 0)
  }

  /// The question: leaf in EAX, subleaf in ECX.
  public struct Key: Hashable, Sendable {
    public var leaf: UInt32
    public var subleaf: UInt32

    public init(_ leaf: UInt32, _ subleaf: UInt32 = 0) {
      self.leaf = leaf
      self.subleaf = subleaf
    }
  }

  public var entries: [Key: Registers]

  public init(entries: [Key: Registers] = [:]) { self.entries = entries }

  /// The recorded answer, or zeros where the CPU defines none: above the highest leaf an Intel CPU repeats the data of
  /// its last basic leaf, which must not be taken for features.
  public func registers(_ leaf: UInt32, _ subleaf: UInt32 = 0) -> Registers {
    let first = leaf & 0x8000_0000
    guard let limit = entries[Key(first)]?.eax, limit & 0x8000_0000 == first, leaf <= limit else { return .zero }
    return entries[Key(leaf, subleaf)] ?? .zero
  }

  /// Reads the leaves this room looks at from the CPU the calling thread runs on; empty on other architectures.
  public static func live() -> CPUIDTable {
    var table = CPUIDTable()
    #if arch(x86_64)
      func record(_ leaf: UInt32, _ subleaf: UInt32 = 0) {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 4) { out in
          guard let base = out.baseAddress else { return }
          base.initialize(repeating: 0, count: 4)
          cmachine_cpuid(leaf, subleaf, base)
          table.entries[Key(leaf, subleaf)] = Registers(base[0], base[1], base[2], base[3])
        }
      }
      record(0)
      record(0x8000_0000)
      let highestBasic = table.registers(0).eax
      for leaf: UInt32 in [1, 7, 0xD, 0x1A] where leaf <= highestBasic { record(leaf) }
      if table.registers(7).eax >= 1 { record(7, 1) }
      let highestExtended = table.registers(0x8000_0000).eax
      for leaf: UInt32 in [0x8000_0001, 0x8000_0002, 0x8000_0003, 0x8000_0004] where leaf <= highestExtended {
        record(leaf)
      }
    #endif
    return table
  }

  /// Extended control register 0 of the calling thread's CPU; 0 where the operating system has not enabled XSAVE, since
  /// reading it would fault there.
  public static func liveXCR0(_ table: CPUIDTable) -> UInt64 {
    #if arch(x86_64)
      if table.registers(1).ecx & (1 << 27) != 0 { return cmachine_xgetbv0() }
    #endif
    return 0
  }
}
