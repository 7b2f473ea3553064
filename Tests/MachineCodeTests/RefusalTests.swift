import Base
import MachineCode
import Testing

/// Operands that no encoding has: the first one is thrown by `finish()`, with its mnemonic and text.
@Suite struct RefusalTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var message: String
    var emit: @Sendable (borrowing X64Assembler) -> Void
    var testDescription: String { message }
    init(_ message: String, _ emit: @escaping @Sendable (borrowing X64Assembler) -> Void) {
      (self.message, self.emit) = (message, emit)
    }
  }

  static let cases: [Case] = [
    Case("vaddps zmm32, zmm0, zmm1: zmm32 does not exist") { $0.vaddps(ZMM(32), ZMM(0), ZMM(1)) },
    Case("vaddps xmm0, xmm-1, xmm1: xmm-1 does not exist") { $0.vaddps(XMM(0), XMM(-1), XMM(1)) },
    Case("vhaddps ymm16, ymm0, ymm1: needs an EVEX form, which this instruction lacks") {
      $0.vhaddps(YMM(16), YMM(0), YMM(1))
    },
    Case("vpand ymm1, ymm0, ymm31: needs an EVEX form, which this instruction lacks") {
      $0.vpand(YMM(1), YMM(0), YMM(31))
    },
    Case("vmovdqu zmm1, [rdi]: needs an EVEX form, which this instruction lacks") { $0.vmovdqu(ZMM(1), GPR64.rdi[0]) },
    Case("vinserti128 zmm1, zmm2, xmm3, 1: needs an EVEX form, which this instruction lacks") {
      $0.vinserti128(ZMM(1), ZMM(2), XMM(3), 1)
    },
    Case("vmovups ymm1, [rdi + rsp*1]: rsp cannot be an index") { $0.vmovups(YMM(1), GPR64.rdi[.rsp, 1]) },
    Case("vmovups ymm1, [rdi + rax*3]: the scale 3 is not 1, 2, 4 or 8") { $0.vmovups(YMM(1), GPR64.rdi[.rax, 3]) },
    Case("vmovups ymm1, [rdi + 2147483648]: the displacement 2147483648 does not fit 32 bits") {
      $0.vmovups(YMM(1), GPR64.rdi[1 << 31])
    },
    Case("mov rax, [r16]: the base is no register") { $0.mov(GPR64.rax, GPR64(16)[0]) },
    Case("vpermq ymm0, ymm1, 256: the immediate does not fit 8 bits") { $0.vpermq(YMM(0), YMM(1), 256) },
    Case("vaddps zmm0, zmm1, zmm2: k0 cannot be a write mask") { $0.vaddps(ZMM(0).masked(.k0), ZMM(1), ZMM(2)) },
    Case("vmovups [rdi], zmm1: k8 cannot be a write mask") { $0.vmovups(GPR64.rdi[0].masked(OpMask(8)), ZMM(1)) },
    Case("vpsadbw zmm0, zmm1, zmm2: cannot be masked") { $0.vpsadbw(ZMM(0).masked(.k1), ZMM(1), ZMM(2)) },
    Case("vpaddb zmm0, zmm1, [rdi]{broadcast 32 bits}: no broadcast of 32-bit elements") {
      $0.vpaddb(ZMM(0), ZMM(1), GPR64.rdi[0].broadcast32)
    },
    Case("vaddps zmm0, zmm1, [rdi]{broadcast 64 bits}: no broadcast of 64-bit elements") {
      $0.vaddps(ZMM(0), ZMM(1), GPR64.rdi[0].broadcast64)
    },
    Case("vpermd xmm0, xmm1, xmm2: needs 256-bit vectors") { $0.vpermd(XMM(0), XMM(1), XMM(2)) },
    Case("vbroadcasti64x4 ymm0, [rdi]: needs 512-bit vectors") { $0.vbroadcasti64x4(YMM(0), GPR64.rdi[0]) },
    Case("vextracti64x4 ymm0, ymm1, 1: needs 512-bit vectors") { $0.vextracti64x4(YMM(0), YMM(1), 1) },
    Case("vblendvps ymm0, ymm1, ymm2: register 16 does not exist") { $0.vblendvps(YMM(0), YMM(1), YMM(2), YMM(16)) },
    Case("vaddph zmm0, zmm1, [rdi]{broadcast 32 bits}: no broadcast of 32-bit elements") {
      $0.vaddph(ZMM(0), ZMM(1), GPR64.rdi[0].broadcast32)
    },
    Case("tdpbssd tmm1, tmm1, tmm2: the tiles must differ") { $0.tdpbssd(TMM(1), TMM(1), TMM(2)) },
    Case("tdpbusd tmm1, tmm8, tmm2: tmm8 does not exist") { $0.tdpbusd(TMM(1), TMM(8), TMM(2)) },
    Case("tileloadd tmm0, [rdi + 64]: needs a row stride as index") { $0.tileloadd(TMM(0), GPR64.rdi[64]) },
    Case("tilestored [rdi], tmm0: needs a row stride as index") { $0.tilestored(GPR64.rdi[0], TMM(0)) },
    Case("kmovw k8, eax: k8 does not exist") { $0.kmovw(OpMask(8), .eax) },
    Case("add r16, rax: r16 does not exist") { $0.add(GPR64(16), .rax) },
    Case("add rax, 2147483648: no 32-bit immediate") { $0.add(.rax as GPR64, 1 << 31) },
    Case("mov eax, 4294967296: no 32-bit immediate") { $0.mov(GPR32.eax, 1 << 32) },
    Case("shl eax, 32: the count is out of range") { $0.shl(GPR32.eax, 32) },
    Case("push r16: r16 does not exist") { $0.push(GPR64(16)) },
    Case("bind: label 0 is bound twice") { $0.bind($0.here()) },
    Case("align 24: not a power of two up to 64") { $0.align(24) },
    Case("constant256: 3 bytes") { _ = $0.constant256([1, 2, 3]) },
    Case("GEMV: 33 registers") { $0.refuse("GEMV: 33 registers") },
  ]

  @Test(arguments: cases) func isRefused(_ refused: Case) {
    let asm = X64Assembler()
    asm.nop()
    refused.emit(asm)
    asm.vaddps(ZMM(99), ZMM(99), ZMM(99))
    #expect(throws: AdaptQError(.internalError, refused.message)) { _ = try asm.finish() }
  }

  @Test func unboundLabelIsRefused() {
    let asm = X64Assembler()
    asm.jmp(asm.newLabel())
    #expect(throws: AdaptQError(.internalError, "jmp: label 0 is never bound")) { _ = try asm.finish() }
  }

  @Test func foreignLabelsAreRefused() {
    let other = X64Assembler()
    for _ in 0..<3 { _ = other.newLabel() }
    let label = other.here()
    let constant = other.constant32(7 as UInt32)
    let jumping = X64Assembler()
    jumping.jmp(label)
    #expect(throws: AdaptQError.self) { _ = try jumping.finish() }
    let binding = X64Assembler()
    binding.bind(label)
    #expect(throws: AdaptQError.self) { _ = try binding.finish() }
    let loading = X64Assembler()
    loading.vmovups(XMM(0), constant)
    #expect(throws: AdaptQError.self) { _ = try loading.finish() }
  }
}
