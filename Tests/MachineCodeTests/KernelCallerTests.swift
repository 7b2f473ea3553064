import Base
import MachineCode
import TestSupport
import Testing

@Suite struct KernelCallerTests {
  private func install(_ emit: (borrowing X64Assembler) -> Void) throws -> (CodeCache<Int>, UnsafeRawPointer) {
    let asm = X64Assembler()
    emit(asm)
    let cache = CodeCache<Int>()
    let code = try cache.install([("test", try asm.finish())])
    return (cache, code[0].address)
  }

  @Test func wellBehavedKernelPasses() throws {
    let (cache, address) = try install { asm in
      asm.push(.rbx)
      asm.mov(.rbx as GPR64, 0)
      asm.vpxor(YMM(0), YMM(0), YMM(0))
      asm.vmovups(GPR64.rdi[0], YMM(0))
      asm.pop(.rbx)
      asm.vzeroupper()
      asm.ret()
    }
    let out = GuardedBuffer<UInt32>([1, 2, 3, 4, 5, 6, 7, 8])
    let clobbered = try withExtendedLifetime(cache) { try KernelCaller.call(address, out.base) }
    #expect(clobbered == [])
    #expect(out.array == [UInt32](repeating: 0, count: 8))
  }

  @Test func clobberedRegistersAreNamed() throws {
    for register in [.rbx, .rbp, .r12, .r13, .r14, .r15] as [GPR64] {
      let (cache, address) = try install { asm in
        asm.inc(register)
        asm.ret()
      }
      let clobbered = try withExtendedLifetime(cache) { try KernelCaller.call(address, nil) }
      #expect(clobbered == ["\(register)"])
    }
  }

  @Test func vectorRegistersStartAsNaN() throws {
    let (cache, address) = try install { asm in
      for number in 0..<16 { asm.vmovups(GPR64.rdi[32 * number], YMM(number)) }
      asm.ret()
    }
    let out = GuardedBuffer<Float>(count: 128)
    let clobbered = try withExtendedLifetime(cache) { try KernelCaller.call(address, out.base) }
    #expect(clobbered == [])
    #expect(out.array.filter { !$0.isNaN } == [])
  }
}
