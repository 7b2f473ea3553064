@testable import MachineCode

extension Rows {
  private var pairs: [(Int, Int)] { [(0, 1), (3, 8), (9, 5), (15, 12), (4, 13), (7, 7)] }

  func general() {
    arithmetic([{ $0.add }, { $0.or }, { $0.and }, { $0.sub }, { $0.xor }, { $0.cmp }])
    for (a, b) in pairs {
      registerForms(GPR64(a), GPR64(b))
      registerForms(GPR32(a), GPR32(b))
    }
    for number in 0...15 { single(number) }
    addresses()
    jumps()
    for (text, emit) in [
      ("ret", { $0.ret() }), ("ud2", { $0.ud2() }), ("int3", { $0.int3() }), ("nop", { $0.nop() }),
      ("vzeroupper", { $0.vzeroupper() }),
    ] as [(String, (borrowing X64Assembler) -> Void)] {
      add(text, text, emit)
    }
  }

  private func arithmetic(_ forms: [Get<Arithmetic>]) {
    for get in forms {
      let name = get(X64Assembler()).name
      for (a, b) in pairs {
        add("\(name) \(GPR64(a)), \(GPR64(b))", name) { get($0)(GPR64(a), GPR64(b)) }
        add("\(name) \(GPR32(a)), \(GPR32(b))", name) { get($0)(GPR32(a), GPR32(b)) }
        for immediate in [0, 1, -1, 127, -128, 128, 4096, -129, 0x7FFF_FFFF, -0x8000_0000] {
          add("\(name) \(GPR64(a)), \(immediate)", name) { get($0)(GPR64(a), immediate) }
          add("\(name) \(GPR32(a)), \(immediate)", name) { get($0)(GPR32(a), immediate) }
        }
        for place in memoryCases(unit: 8) {
          add("\(name) \(GPR64(a)), \(place.text)", name) { get($0)(GPR64(a), place.operand) }
          add("\(name) \(place.text), \(GPR64(a))", name) { get($0)(place.operand, GPR64(a)) }
          add("\(name) \(GPR32(a)), \(place.text)", name) { get($0)(GPR32(a), place.operand) }
          add("\(name) \(place.text), \(GPR32(a))", name) { get($0)(place.operand, GPR32(a)) }
        }
      }
    }
  }

  private func registerForms<R: GeneralRegister>(_ a: R, _ b: R) {
    add("mov \(a), \(b)", "mov") { $0.mov(a, b) }
    add("test \(a), \(b)", "test") { $0.test(a, b) }
    add("test \(a), 15", "test") { $0.test(a, 15) }
    add("imul \(a), \(b), 24", "imul") { $0.imul(a, b, 24) }
    add("imul \(a), \(b), -4096", "imul") { $0.imul(a, b, -4096) }
    let forms: [Get<GeneralRM>] = [
      { $0.imul }, { $0.cmovb }, { $0.cmovae }, { $0.cmove }, { $0.cmovne }, { $0.cmova }, { $0.cmovl }, { $0.cmovge },
      { $0.cmovle }, { $0.cmovg },
    ]
    for get in forms {
      let name = get(X64Assembler()).name
      add("\(name) \(a), \(b)", name) { get($0)(a, b) }
      for place in memoryCases(unit: 8) { add("\(name) \(a), \(place.text)", name) { get($0)(a, place.operand) } }
    }
    let bmi: [Get<GeneralRMV>] = [{ $0.bzhi }, { $0.shlx }, { $0.shrx }, { $0.sarx }]
    for get in bmi {
      let name = get(X64Assembler()).name
      add("\(name) \(a), \(b), \(a)", name) { get($0)(a, b, a) }
      for place in memoryCases(unit: 8) {
        add("\(name) \(a), \(place.text), \(b)", name) { get($0)(a, place.operand, b) }
      }
    }
    let shifts: [Get<GeneralShift>] = [{ $0.shl }, { $0.shr }, { $0.sar }]
    for get in shifts {
      let name = get(X64Assembler()).name
      for count in [0, 1, 5, 31] { add("\(name) \(a), \(count)", name) { get($0)(a, count) } }
      add("\(name) \(a), cl", name) { get($0).byCL(a) }
    }
    let unary: [Get<Unary>] = [{ $0.inc }, { $0.dec }, { $0.neg }, { $0.not }]
    for get in unary {
      let name = get(X64Assembler()).name
      add("\(name) \(a)", name) { get($0)(a) }
    }
    for place in memoryCases(unit: 8) {
      add("mov \(a), \(place.text)", "mov") { $0.mov(a, place.operand) }
      add("mov \(place.text), \(a)", "mov") { $0.mov(place.operand, a) }
    }
  }

  private func single(_ number: Int) {
    let (wide, narrow) = (GPR64(number), GPR32(number))
    add("push \(wide)", "push") { $0.push(wide) }
    add("pop \(wide)", "pop") { $0.pop(wide) }
    add("call \(wide)", "call") { $0.call(wide) }
    for immediate in [0, 1, -1, 0x7FFF_FFFF, -0x8000_0000, 0x8000_0000, Int.min, 0x0123_4567_89AB_CDEF] {
      add("mov \(wide), \(immediate)", "mov") { $0.mov(wide, immediate) }
    }
    for immediate in [0, -1, 0x7FFF_FFFF, 0xFFFF_FFFF] {
      add("mov \(narrow), \(immediate)", "mov") { $0.mov(narrow, immediate) }
    }
    let bytes = ["al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"] + (8...15).map { "r\($0)b" }
    let words = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"] + (8...15).map { "r\($0)w" }
    for other in [0, 6, 9] {
      add("movzx \(GPR32(other)), \(bytes[number])", "movzx8") { $0.movzx8(GPR32(other), narrow) }
      add("movzx \(GPR32(other)), \(words[number])", "movzx16") { $0.movzx16(GPR32(other), narrow) }
      add("movsxd \(GPR64(other)), \(narrow)", "movsxd") { $0.movsxd(GPR64(other), narrow) }
    }
    for place in memoryCases(unit: 4) {
      add("mov \(place.text), \(bytes[number])", "mov8") { $0.mov8(place.operand, narrow) }
      add("mov \(place.text), \(words[number])", "mov16") { $0.mov16(place.operand, narrow) }
      add("movzx \(narrow), byte ptr \(place.text)", "movzx8") { $0.movzx8(narrow, place.operand) }
      add("movzx \(narrow), word ptr \(place.text)", "movzx16") { $0.movzx16(narrow, place.operand) }
      add("movsx \(narrow), byte ptr \(place.text)", "movsx8") { $0.movsx8(narrow, place.operand) }
      add("movsx \(narrow), word ptr \(place.text)", "movsx16") { $0.movsx16(narrow, place.operand) }
      add("movsxd \(wide), dword ptr \(place.text)", "movsxd") { $0.movsxd(wide, place.operand) }
      add("lea \(wide), \(place.text)", "lea") { $0.lea(wide, place.operand) }
    }
  }

  private func addresses() {
    let prefetches: [Get<Prefetch>] = [{ $0.prefetcht0 }, { $0.prefetcht1 }, { $0.prefetchnta }]
    for place in memoryCases(unit: 64) {
      for get in prefetches {
        let name = get(X64Assembler()).name
        add("\(name) \(place.text)", name) { get($0)(place.operand) }
      }
      for immediate in [0, 100, -1000] {
        add("mov dword ptr \(place.text), \(immediate)", "mov32") { $0.mov32(place.operand, immediate) }
        add("mov qword ptr \(place.text), \(immediate)", "mov64") { $0.mov64(place.operand, immediate) }
        add("cmp dword ptr \(place.text), \(immediate)", "cmp32") { $0.cmp32(place.operand, immediate) }
        add("cmp qword ptr \(place.text), \(immediate)", "cmp64") { $0.cmp64(place.operand, immediate) }
      }
    }
  }

  /// Backward jumps, near and far; forward ones always take four bytes, so `as` is told the same.
  private func jumps() {
    let forms: [Get<Jump>] = [
      { $0.jmp }, { $0.jb }, { $0.jae }, { $0.je }, { $0.jz }, { $0.jne }, { $0.jnz }, { $0.jbe }, { $0.ja }, { $0.js },
      { $0.jns }, { $0.jp }, { $0.jl }, { $0.jge }, { $0.jle }, { $0.jg },
    ]
    for get in forms {
      let name = get(X64Assembler()).name
      for padding in [0, 1, 125, 126, 127, 400] {
        add("1: .fill \(padding), 1, 0x90\n\(name) 1b", name) { asm in
          let start = asm.here()
          for _ in 0..<padding { asm.nop() }
          get(asm)(start)
        }
        add("{disp32} \(name) 1f\n.fill \(padding), 1, 0x90\n1:", name) { asm in
          let end = asm.newLabel()
          get(asm)(end)
          for _ in 0..<padding { asm.nop() }
          asm.bind(end)
        }
      }
    }
    add("lea rax, [rip + 1f]\nret\n1: vaddps ymm1, ymm2, [rip + 1b]\nvshufps xmm17, xmm2, [rip + 1b + 16], 3", "lea") {
      asm in
      let label = asm.newLabel()
      asm.lea(.rax, asm.address(of: label))
      asm.ret()
      asm.bind(label)
      asm.vaddps(YMM(1), YMM(2), asm.address(of: label))
      asm.vshufps(XMM(17), XMM(2), asm.address(of: label).offset(16), 3)
    }
  }
}
