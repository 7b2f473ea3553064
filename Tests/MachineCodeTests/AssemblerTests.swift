import Base
import MachineCode
import Testing

@Suite struct AssemblerTests {
  @Test func smoke() throws {
    let asm = X64Assembler()
    asm.vaddps(YMM(0), YMM(1), GPR64.rdi[64])
    asm.ret()
    #expect(try asm.finish() == [0xC5, 0xF4, 0x58, 0x47, 0x40, 0xC3])
  }
}
