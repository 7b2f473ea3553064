import Base
import CMachine
import MachineCode

/// Calls a kernel as a hostile caller would: every register it may use holds garbage, every register it must keep a canary.
///
/// Leftovers that a kernel wrongly relies on are NaN as float, half and bfloat16, so they show in its result.
public enum KernelCaller {
  private static let calleeSaved: [GPR64] = [.rbx, .rbp, .r12, .r13, .r14, .r15]
  private static let canaries: [Int] = (1...6).map { 0x0BAD_F00D_0000_0000 | $0 &* 0x0101_0101 }
  private static let poison: UInt32 = 0x7FC1_7FC1

  private typealias Trampoline =
    @convention(c) (UnsafeRawPointer, UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>) -> Void

  /// Calls `void kernel(void *arguments)`.
  ///
  /// - Returns: the callee-saved registers that were not preserved; empty if the kernel is well behaved.
  public static func call(_ kernel: UnsafeRawPointer, _ arguments: UnsafeMutableRawPointer?) throws -> [String] {
    let trampoline = unsafeBitCast(try code.get().address, to: Trampoline.self)
    var after = [Int](repeating: 0, count: calleeSaved.count)
    let control = cmachine_mxcsr() & 0xFFC0
    after.withUnsafeMutableBufferPointer { buffer in
      if let base = buffer.baseAddress { trampoline(kernel, arguments, base) }
    }
    var clobbered = zip(calleeSaved, zip(after, canaries)).filter { $0.1.0 != $0.1.1 }.map { "\($0.0)" }
    if cmachine_mxcsr() & 0xFFC0 != control { clobbered.append("mxcsr") }
    return clobbered
  }

  private static let cache = CodeCache<Bool>()
  private static let code: Result<InstalledCode, AdaptQError> = Result { () throws(AdaptQError) in
    let hasAVX512 = hasAVX512BW
    return try cache.code(for: hasAVX512) { () throws(AdaptQError) in
      ("kernel_caller", try trampoline(withAVX512: hasAVX512))
    }
  }

  /// The processor and the system both: CPUID leaf 7 and XCR0 (Intel SDM volume 1, 15.2).
  public static let hasAVX512BW: Bool = {
    var leaf: (UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0)
    func cpuid(_ number: UInt32) -> [UInt32] {
      withUnsafeMutableBytes(of: &leaf) { bytes in
        let words = bytes.assumingMemoryBound(to: UInt32.self)
        cmachine_cpuid(number, 0, words.baseAddress)
        return Array(words)
      }
    }
    if cpuid(0)[0] < 7 || cpuid(1)[2] >> 27 & 1 == 0 { return false }
    return cpuid(7)[1] >> 30 & 1 == 1 && cmachine_xgetbv0() & 0xE6 == 0xE6
  }()

  /// (kernel, arguments, where to put the callee-saved registers) -> void
  private static func trampoline(withAVX512: Bool) throws(AdaptQError) -> [UInt8] {
    let asm = X64Assembler()
    for register in calleeSaved { asm.push(register) }
    asm.push(.rdx)  // seven pushes and the return address: rsp is a multiple of 16
    asm.mov(GPR64.rax, GPR64.rdi)
    asm.mov(GPR64.rdi, GPR64.rsi)
    let bits = asm.constant32(poison)
    if withAVX512 {
      for number in 0..<32 { asm.vbroadcastss(ZMM(number), bits) }
      asm.mov(.rcx as GPR64, Int(poison) << 32 | Int(poison))
      for number in 1..<8 { asm.kmovq(OpMask(number), GPR64.rcx) }
    } else {
      for number in 0..<16 { asm.vbroadcastss(YMM(number), bits) }
    }
    for register in [.rcx, .rdx, .rsi, .r8, .r9, .r10, .r11] as [GPR64] { asm.mov(register, 0x7FC1_7FC1_0BAD_0BAD) }
    for (register, canary) in zip(calleeSaved, canaries) { asm.mov(register, canary) }
    asm.call(.rax)
    asm.pop(.rdx)
    for (index, register) in calleeSaved.enumerated() { asm.mov(GPR64.rdx[8 * index], register) }
    for register in calleeSaved.reversed() { asm.pop(register) }
    asm.vzeroupper()
    asm.ret()
    return try asm.finish()
  }
}
