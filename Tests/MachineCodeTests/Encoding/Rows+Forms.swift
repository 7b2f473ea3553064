@testable import MachineCode

// One function per form: which operands it takes, as text and as a call.

extension Rows {
  private func each(_ widths: Widths, _ opcode: Opcode, _ body: (any VectorRegister.Type) -> Void) {
    if widths.contains(.x) { body(XMM.self) }
    if widths.contains(.y) { body(YMM.self) }
    if widths.contains(.z) && opcode.hasEVEX { body(ZMM.self) }
  }

  func vvv(_ widths: Widths, _ forms: [Get<VVV>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: R.self, widest: R.byteCount, count: 3,
          registers: { get($0)($1, R($2[1]), R($2[2])) }, memory: { get($0)($1, R($2[1]), $3) })
      }
      each(widths, form.opcode) { width($0) }
    }
  }

  func vvvVex(_ widths: Widths, _ forms: [Get<VVVVex>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VEXRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: R.self, widest: R.byteCount, count: 3,
          registers: { get($0)($1.register, R($2[1]), R($2[2])) },
          memory: { get($0)($1.register, R($2[1]), $3 as! Mem) })
      }
      if widths.contains(.x) { width(XMM.self) }
      if widths.contains(.y) { width(YMM.self) }
    }
  }

  func vvvi(_ widths: Widths, _ forms: [Get<VVVI>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: R.self, widest: R.byteCount, count: 3, suffix: ", 0x1B",
          registers: { get($0)($1, R($2[1]), R($2[2]), 0x1B) }, memory: { get($0)($1, R($2[1]), $3, 0x1B) })
      }
      each(widths, form.opcode) { width($0) }
    }
  }

  func vvviVex(_ widths: Widths, _ forms: [Get<VVVIVex>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VEXRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: R.self, widest: R.byteCount, count: 3, suffix: ", 0xA5",
          registers: { get($0)($1.register, R($2[1]), R($2[2]), 0xA5) },
          memory: { get($0)($1.register, R($2[1]), $3 as! Mem, 0xA5) })
      }
      if widths.contains(.x) { width(XMM.self) }
      if widths.contains(.y) { width(YMM.self) }
    }
  }

  func vvvvVex(_ forms: [Get<VVVVVex>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VEXRegister>(_ type: R.Type) {
        for select in [0, 7, 8, 15] {
          sweep(
            form.name, form.opcode, R.self, source: R.self, widest: R.byteCount, count: 3, suffix: ", \(R(select))",
            registers: { get($0)($1.register, R($2[1]), R($2[2]), R(select)) },
            memory: { get($0)($1.register, R($2[1]), $3 as! Mem, R(select)) })
        }
      }
      width(XMM.self)
      width(YMM.self)
    }
  }

  func vv(_ widths: Widths, _ forms: [Get<VV>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: R.self, widest: R.byteCount, count: 2,
          registers: { get($0)($1, R($2[1])) }, memory: { get($0)($1, $3) })
      }
      each(widths, form.opcode) { width($0) }
    }
  }

  func vvVex(_ forms: [Get<VVVex>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VEXRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: R.self, widest: R.byteCount, count: 2,
          registers: { get($0)($1.register, R($2[1])) }, memory: { get($0)($1.register, $3 as! Mem) })
      }
      width(XMM.self)
      width(YMM.self)
    }
  }

  func vvi(_ widths: Widths, _ forms: [Get<VVI>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: R.self, widest: R.byteCount, count: 2, suffix: ", 0x14",
          registers: { get($0)($1, R($2[1]), 0x14) },
          memory: { asm, target, _, source in get(asm)(target, source, 0x14) })
      }
      each(widths, form.opcode) { width($0) }
    }
  }

  func vviVex(_ forms: [Get<VVIVex>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VEXRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: R.self, widest: R.byteCount, count: 2, suffix: ", 11",
          registers: { get($0)($1.register, R($2[1]), 11) }, memory: { get($0)($1.register, $3 as! Mem, 11) })
      }
      width(XMM.self)
      width(YMM.self)
    }
  }

  func scalar(_ forms: [Get<Scalar>], maskable: Bool = true) {
    for get in forms {
      let form = get(X64Assembler())
      sweep(
        form.name, form.opcode, XMM.self, source: XMM.self, widest: 16, count: 3, maskable: maskable,
        registers: { get($0)($1, XMM($2[1]), XMM($2[2])) },
        memory: { get($0)($1, XMM($2[1]), $3 as! Mem) })
    }
  }

  func scalarI(_ forms: [Get<ScalarI>]) {
    for get in forms {
      let form = get(X64Assembler())
      sweep(
        form.name, form.opcode, XMM.self, source: XMM.self, widest: 16, count: 3, suffix: ", 3",
        registers: { get($0)($1, XMM($2[1]), XMM($2[2]), 3) },
        memory: { get($0)($1, XMM($2[1]), $3 as! Mem, 3) })
    }
  }

  func move(_ forms: [Get<VMove>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.load, R.self, source: R.self, widest: R.byteCount, count: 2,
          registers: { get($0)($1, R($2[1])) }, memory: { get($0)($1, $3 as! Mem) })
        sweepStores(form.name, form.store, R.self, maskable: true) { asm, target, source in
          if let plain = target as? Mem { get(asm)(plain, source) }
          if let masked = target as? MaskedMem { get(asm)(masked, source) }
        }
      }
      each(.all, form.load) { width($0) }
    }
  }

  func scalarMove(_ forms: [Get<ScalarMove>]) {
    for get in forms {
      let form = get(X64Assembler())
      sweep(
        form.name, form.opcode, XMM.self, source: XMM.self, widest: 16, count: 2, registers: nil,
        memory: { get($0)($1, $3 as! Mem) })
      sweep(
        form.name, form.opcode, XMM.self, source: XMM.self, widest: 16, count: 3,
        registers: { get($0)($1, XMM($2[1]), XMM($2[2])) }, memory: nil)
      sweepStores(form.name, form.opcode, XMM.self, maskable: true) { asm, target, source in
        if let plain = target as? Mem { get(asm)(plain, source) }
        if let masked = target as? MaskedMem { get(asm)(masked, source) }
      }
    }
  }

  func broadcast(_ widths: Widths, _ forms: [Get<VBroadcast>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: XMM.self, widest: R.byteCount, count: 2,
          registers: { get($0)($1, XMM($2[1])) }, memory: { get($0)($1, $3 as! Mem) })
      }
      each(widths, form.opcode) { width($0) }
    }
  }

  func broadcastInteger<G: GeneralRegister>(_ forms: [Get<VBroadcastInteger<G>>], _ general: (Int) -> G) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: XMM.self, widest: R.byteCount, count: 2,
          registers: { get($0)($1, XMM($2[1])) }, memory: { get($0)($1, $3 as! Mem) })
        for (d, s) in [(0, 0), (7, 12), (8, 3), (16, 15), (31, 8)] {
          let source = general(s)
          add("\(form.name) \(R(d)), \(source)", form.name) { get($0)(R(d), source) }
          add("\(form.name) \(R(d)){k2}{z}, \(source)", form.name) { get($0)(R(d).zeroed(.k2), source) }
        }
      }
      each(.all, form.opcode) { width($0) }
    }
  }

  func broadcastBlock(_ widths: Widths, _ forms: [Get<VBroadcastBlock>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: WideRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: XMM.self, widest: R.byteCount, count: 2, registers: nil,
          memory: { get($0)($1, $3 as! Mem) })
      }
      if widths.contains(.y) { width(YMM.self) }
      if widths.contains(.z) && form.opcode.hasEVEX { width(ZMM.self) }
    }
  }

  func widen2(_ forms: [Get<VWiden2>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: WideRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: R.Half.self, widest: R.byteCount, count: 2,
          registers: { get($0)($1, R.Half($2[1])) }, memory: { get($0)($1, $3) })
      }
      sweep(
        form.name, form.opcode, XMM.self, source: XMM.self, widest: 16, count: 2,
        registers: { get($0)($1, XMM($2[1])) }, memory: { get($0)($1, $3) })
      width(YMM.self)
      width(ZMM.self)
    }
  }

  func widen4(_ forms: [Get<VWiden4>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: XMM.self, widest: R.byteCount, count: 2,
          registers: { get($0)($1, XMM($2[1])) }, memory: { get($0)($1, $3 as! Mem) })
      }
      each(.all, form.opcode) { width($0) }
    }
  }

  func permuteLanes(immediateWidths: Widths, registerWidths: Widths, _ forms: [Get<VPermuteLanes>]) {
    for get in forms {
      let form = get(X64Assembler())
      func immediate<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.byImmediate, R.self, source: R.self, widest: R.byteCount, count: 2, suffix: ", 0x4E",
          registers: { get($0)($1, R($2[1]), 0x4E) },
          memory: { asm, target, _, source in get(asm)(target, source, 0x4E) })
      }
      func register<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.byRegister, R.self, source: R.self, widest: R.byteCount, count: 3,
          registers: { get($0)($1, R($2[1]), R($2[2])) }, memory: { get($0)($1, R($2[1]), $3) })
      }
      each(immediateWidths, form.byImmediate) { immediate($0) }
      each(registerWidths, form.byRegister) { register($0) }
    }
  }

  func shift(_ forms: [Get<VShift>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.byImmediate, R.self, source: R.self, widest: R.byteCount, count: 2, suffix: ", 5",
          registers: { get($0)($1, R($2[1]), 5) }, memory: nil)
        sweep(
          form.name, form.byImmediate.evexOnly, R.self, source: R.self, widest: R.byteCount, count: 2, suffix: ", 5",
          registers: nil, memory: { get($0)($1, $3, 5) })
        sweep(
          form.name, form.byVector, R.self, source: XMM.self, widest: R.byteCount, count: 3,
          registers: { get($0)($1, R($2[1]), XMM($2[2])) }, memory: { get($0)($1, R($2[1]), $3 as! Mem) })
      }
      each(.all, form.byImmediate) { width($0) }
    }
  }

  func shiftBytes(_ forms: [Get<VShiftBytes>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: R.self, widest: R.byteCount, count: 2, maskable: false, suffix: ", 4",
          registers: { get($0)($1.register, R($2[1]), 4) }, memory: nil)
        sweep(
          form.name, form.opcode.evexOnly, R.self, source: R.self, widest: R.byteCount, count: 2, maskable: false,
          suffix: ", 4", registers: nil, memory: { get($0)($1.register, $3 as! Mem, 4) })
      }
      each(.all, form.opcode) { width($0) }
    }
  }
}
