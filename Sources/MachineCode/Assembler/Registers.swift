// Registers are unrelated structs: a YMM where a ZMM belongs does not compile. A number outside the register file is
// accepted here and refused, with the mnemonic, by the instruction that uses it.

/// A vector register of one width.
public protocol VectorRegister: VectorDestination, Hashable, Sendable, CustomStringConvertible where Register == Self {
  /// 0…31; numbers from 16 on need an EVEX form.
  var number: Int { get }
  init(_ number: Int)
  /// 16, 32 or 64.
  static var byteCount: Int { get }
}

/// A width that VEX encodings know: `XMM` and `YMM`.
public protocol VEXRegister: VectorRegister {}

/// A width that only some instructions lack: `YMM` and `ZMM`.
public protocol WideRegister: VectorRegister {
  /// The register of half the width, as source of widening and target of narrowing instructions.
  associatedtype Half: VectorRegister
}

/// What a vector instruction may write: a register, or a register under a mask.
public protocol VectorDestination {
  associatedtype Register: VectorRegister
  var register: Register { get }
  var masking: Masking { get }
}

/// How lanes whose mask bit is clear are treated.
public struct Masking: Hashable, Sendable {
  /// nil: all lanes are written.
  public var mask: OpMask?
  /// Clear lanes become zero instead of keeping their value.
  public var zeroing: Bool

  public static let none = Masking(mask: nil, zeroing: false)
}

/// A register whose lanes are written only where the mask bit is set.
public struct MaskedRegister<Register: VectorRegister>: VectorDestination, Hashable, Sendable {
  public let register: Register
  public let masking: Masking
}

extension VectorRegister {
  public var register: Self { self }
  public var masking: Masking { .none }

  /// Lanes with a clear bit in `mask` keep their value.
  public func masked(_ mask: OpMask) -> MaskedRegister<Self> {
    MaskedRegister(register: self, masking: Masking(mask: mask, zeroing: false))
  }
  /// Lanes with a clear bit in `mask` become zero.
  public func zeroed(_ mask: OpMask) -> MaskedRegister<Self> {
    MaskedRegister(register: self, masking: Masking(mask: mask, zeroing: true))
  }

  /// The low 128 bits of the same register.
  public var xmm: XMM { XMM(number) }
  /// The low 256 bits of the same register.
  public var ymm: YMM { YMM(number) }
  /// The whole 512-bit register.
  public var zmm: ZMM { ZMM(number) }
}

/// A 128-bit vector register.
public struct XMM: VEXRegister, CustomStringConvertible {
  public let number: Int
  public init(_ number: Int) { self.number = number }
  public static var byteCount: Int { 16 }
  public var description: String { "xmm\(number)" }
}

/// A 256-bit vector register.
public struct YMM: VEXRegister, WideRegister, CustomStringConvertible {
  public typealias Half = XMM
  public let number: Int
  public init(_ number: Int) { self.number = number }
  public static var byteCount: Int { 32 }
  public var description: String { "ymm\(number)" }
}

/// A 512-bit vector register.
public struct ZMM: WideRegister, CustomStringConvertible {
  public typealias Half = YMM
  public let number: Int
  public init(_ number: Int) { self.number = number }
  public static var byteCount: Int { 64 }
  public var description: String { "zmm\(number)" }
}

/// An AVX-512 mask register. `k0` cannot be used as a write mask.
public struct OpMask: Hashable, Sendable, CustomStringConvertible {
  public let number: Int
  public init(_ number: Int) { self.number = number }
  public var description: String { "k\(number)" }

  public static let k0 = OpMask(0)
  public static let k1 = OpMask(1)
  public static let k2 = OpMask(2)
  public static let k3 = OpMask(3)
  public static let k4 = OpMask(4)
  public static let k5 = OpMask(5)
  public static let k6 = OpMask(6)
  public static let k7 = OpMask(7)
}

/// An AMX tile register, `tmm0` to `tmm7`. Its rows and bytes per row are what `ldtilecfg` last said.
public struct TMM: Hashable, Sendable, CustomStringConvertible {
  public let number: Int
  public init(_ number: Int) { self.number = number }
  public var description: String { "tmm\(number)" }
}

/// A general register of one width.
public protocol GeneralRegister: Hashable, Sendable, CustomStringConvertible {
  /// 0…15, in encoding order: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8…r15.
  var number: Int { get }
  /// 32 or 64.
  static var bitCount: Int { get }
}

/// A 64-bit general register.
public struct GPR64: GeneralRegister {
  public let number: Int
  public init(_ number: Int) { self.number = number }
  public static var bitCount: Int { 64 }
  /// The low half of the same register.
  public var r32: GPR32 { GPR32(number) }
  public var description: String { GeneralNames.name(number, bits: 64) }

  public static let rax = GPR64(0)
  public static let rcx = GPR64(1)
  public static let rdx = GPR64(2)
  public static let rbx = GPR64(3)
  public static let rsp = GPR64(4)
  public static let rbp = GPR64(5)
  public static let rsi = GPR64(6)
  public static let rdi = GPR64(7)
  public static let r8 = GPR64(8)
  public static let r9 = GPR64(9)
  public static let r10 = GPR64(10)
  public static let r11 = GPR64(11)
  public static let r12 = GPR64(12)
  public static let r13 = GPR64(13)
  public static let r14 = GPR64(14)
  public static let r15 = GPR64(15)
}

/// The low 32 bits of a general register; writing them clears the high half.
public struct GPR32: GeneralRegister {
  public let number: Int
  public init(_ number: Int) { self.number = number }
  public static var bitCount: Int { 32 }
  /// The whole register.
  public var r64: GPR64 { GPR64(number) }
  public var description: String { GeneralNames.name(number, bits: 32) }

  public static let eax = GPR32(0)
  public static let ecx = GPR32(1)
  public static let edx = GPR32(2)
  public static let ebx = GPR32(3)
  public static let esp = GPR32(4)
  public static let ebp = GPR32(5)
  public static let esi = GPR32(6)
  public static let edi = GPR32(7)
  public static let r8d = GPR32(8)
  public static let r9d = GPR32(9)
  public static let r10d = GPR32(10)
  public static let r11d = GPR32(11)
  public static let r12d = GPR32(12)
  public static let r13d = GPR32(13)
  public static let r14d = GPR32(14)
  public static let r15d = GPR32(15)
}

enum GeneralNames {
  static func name(_ number: Int, bits: Int) -> String {
    let wide = bits == 64
    switch number {
    case 0: return wide ? "rax" : "eax"
    case 1: return wide ? "rcx" : "ecx"
    case 2: return wide ? "rdx" : "edx"
    case 3: return wide ? "rbx" : "ebx"
    case 4: return wide ? "rsp" : "esp"
    case 5: return wide ? "rbp" : "ebp"
    case 6: return wide ? "rsi" : "esi"
    case 7: return wide ? "rdi" : "edi"
    default: return wide ? "r\(number)" : "r\(number)d"
    }
  }
}
