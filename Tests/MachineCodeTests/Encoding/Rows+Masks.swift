@testable import MachineCode

// Forms whose destination is a mask, a narrower vector, or memory.

extension Rows {
  func toHalf(_ forms: [Get<VToHalf>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: WideRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.Half.self, source: R.self, widest: R.byteCount, count: 2, suffix: ", 4",
          registers: { get($0)($1, R($2[1]), 4) }, memory: nil)
        sweepStores(form.name, form.opcode, R.self, maskable: true, suffix: ", 4") { asm, target, source in
          if let plain = target as? Mem { get(asm)(plain, source, 4) }
          if let masked = target as? MaskedMem { get(asm)(masked, source, 4) }
        }
      }
      sweep(
        form.name, form.opcode, XMM.self, source: XMM.self, widest: 16, count: 2, suffix: ", 4",
        registers: { get($0)($1, XMM($2[1]), 4) }, memory: nil)
      width(YMM.self)
      width(ZMM.self)
    }
  }

  func extract<Part: VectorRegister>(_ widths: Widths, _ forms: [Get<VExtract<Part>>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: WideRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, Part.self, source: R.self, widest: R.byteCount, count: 2, suffix: ", 1",
          registers: { get($0)($1, R($2[1]), 1) }, memory: nil)
        sweepStores(form.name, form.opcode, R.self, maskable: true, suffix: ", 1") { asm, target, source in
          if let plain = target as? Mem { get(asm)(plain, source, 1) }
          if let masked = target as? MaskedMem { get(asm)(masked, source, 1) }
        }
      }
      if widths.contains(.y) { width(YMM.self) }
      if widths.contains(.z) { width(ZMM.self) }
    }
  }

  func insert<Part: VectorRegister>(_ widths: Widths, _ forms: [Get<VInsert<Part>>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: WideRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: Part.self, widest: R.byteCount, count: 3, suffix: ", 1",
          registers: { get($0)($1, R($2[1]), Part($2[2]), 1) }, memory: { get($0)($1, R($2[1]), $3 as! Mem, 1) })
      }
      if widths.contains(.y) { width(YMM.self) }
      if widths.contains(.z) { width(ZMM.self) }
    }
  }

  func narrow2(_ forms: [Get<VNarrow2>]) {
    for get in forms {
      let form = get(X64Assembler())
      func stores<R: VectorRegister>(_ type: R.Type) {
        sweepStores(form.name, form.opcode, R.self, maskable: true) { asm, target, source in
          if let plain = target as? Mem { get(asm)(plain, source) }
          if let masked = target as? MaskedMem { get(asm)(masked, source) }
        }
      }
      func width<R: WideRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.Half.self, source: R.self, widest: R.byteCount, count: 2,
          registers: { get($0)($1, R($2[1])) }, memory: nil)
      }
      sweep(
        form.name, form.opcode, XMM.self, source: XMM.self, widest: 16, count: 2,
        registers: { get($0)($1, XMM($2[1])) }, memory: nil)
      width(YMM.self)
      width(ZMM.self)
      stores(XMM.self)
      stores(YMM.self)
      stores(ZMM.self)
    }
  }

  func narrow4(_ forms: [Get<VNarrow4>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, XMM.self, source: R.self, widest: R.byteCount, count: 2,
          registers: { get($0)($1, R($2[1])) }, memory: nil)
        sweepStores(form.name, form.opcode, R.self, maskable: true) { asm, target, source in
          if let plain = target as? Mem { get(asm)(plain, source) }
          if let masked = target as? MaskedMem { get(asm)(masked, source) }
        }
      }
      width(XMM.self)
      width(YMM.self)
      width(ZMM.self)
    }
  }

  func compress(_ forms: [Get<VCompress>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: R.self, widest: R.byteCount, count: 2,
          registers: { get($0)($1, R($2[1])) }, memory: nil)
        sweepStores(form.name, form.opcode, R.self, maskable: true) { asm, target, source in
          if let plain = target as? Mem { get(asm)(plain, source) }
          if let masked = target as? MaskedMem { get(asm)(masked, source) }
        }
      }
      width(XMM.self)
      width(YMM.self)
      width(ZMM.self)
    }
  }

  func convertNarrow(_ forms: [Get<VConvertNarrow>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: WideRegister>(_ type: R.Type, _ pointer: String) {
        sweep(
          form.name, form.opcode, R.Half.self, source: R.self, widest: R.byteCount, count: 2,
          registers: { get($0)($1, R($2[1])) }, memory: nil)
        for place in memoryCases(unit: R.byteCount) {
          add("\(form.name) \(R.Half(9)), \(pointer) \(place.text)", form.name) {
            get($0)(R.Half(9), place.operand, as: R.self)
          }
        }
        for place in memoryCases(unit: 4) {
          let text = "\(form.name) \(R.Half(17)){k1}{z}, dword ptr \(place.text){1to\(R.byteCount / 4)}"
          add(text, form.name) { get($0)(R.Half(17).zeroed(.k1), place.operand.broadcast32, as: R.self) }
        }
      }
      sweep(
        form.name, form.opcode, XMM.self, source: XMM.self, widest: 16, count: 2,
        registers: { get($0)($1, XMM($2[1])) }, memory: nil)
      width(YMM.self, "ymmword ptr")
      width(ZMM.self, "zmmword ptr")
    }
  }

  /// Comparisons to a mask; `plain` is called for k2, `masked` for k2 under k5.
  private func sweepMask<R: VectorRegister>(
    _ name: String, _ opcode: Opcode, _ type: R.Type, suffix: String,
    registers: (borrowing X64Assembler, MaskedOpMask, R, R) -> Void,
    memory: (borrowing X64Assembler, MaskedOpMask, R, any MemoryOperand) -> Void
  ) {
    for (k, a, b) in [(0, 1, 2), (7, 8, 15), (3, 16, 1), (4, 31, 30), (5, 9, 24)] {
      for mask in [nil, OpMask.k5] {
        let target = MaskedOpMask(opMask: OpMask(k), maskMasking: Masking(mask: mask, zeroing: false))
        let prefix = "\(name) k\(k)\(maskText(target.maskMasking)), \(R(a)), "
        add("\(prefix)\(R(b))\(suffix)", name) { registers($0, target, R(a), R(b)) }
        for place in memoryCases(unit: R.byteCount) {
          add("\(prefix)\(place.text)\(suffix)", name) { memory($0, target, R(a), place.operand) }
        }
        let element = opcode.broadcastByteCount
        if element == 0 { continue }
        let pointer = element == 4 ? "dword ptr" : "qword ptr"
        for place in memoryCases(unit: element) {
          let operand = element == 4 ? place.operand.broadcast32 : place.operand.broadcast64
          add("\(prefix)\(pointer) \(place.text){1to\(R.byteCount / element)}\(suffix)", name) {
            memory($0, target, R(a), operand)
          }
        }
      }
    }
  }

  func kvv(_ forms: [Get<KVV>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweepMask(
          form.name, form.opcode, R.self, suffix: "", registers: { get($0)($1, $2, $3) },
          memory: { get($0)($1, $2, $3) })
      }
      width(XMM.self)
      width(YMM.self)
      width(ZMM.self)
    }
  }

  func kvvi(_ forms: [Get<KVVI>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweepMask(
          form.name, form.opcode, R.self, suffix: ", 5", registers: { get($0)($1, $2, $3, 5) },
          memory: { get($0)($1, $2, $3, 5) })
      }
      width(XMM.self)
      width(YMM.self)
      width(ZMM.self)
    }
  }

  func compare(_ forms: [Get<VCompare>]) {
    for get in forms {
      let form = get(X64Assembler())
      func vex<R: VEXRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode.vexOnly, R.self, source: R.self, widest: R.byteCount, count: 3,
          registers: { get($0)($1.register, R($2[1]), R($2[2])) },
          memory: { get($0)($1.register, R($2[1]), $3 as! Mem) })
      }
      func width<R: VectorRegister>(_ type: R.Type) {
        sweepMask(
          form.name, form.opcode, R.self, suffix: "", registers: { get($0)($1, $2, $3) },
          memory: { get($0)($1, $2, $3) })
      }
      vex(XMM.self)
      vex(YMM.self)
      width(XMM.self)
      width(YMM.self)
      width(ZMM.self)
    }
  }

  func compareI(_ forms: [Get<VCompareI>]) {
    for get in forms {
      let form = get(X64Assembler())
      func vex<R: VEXRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode.vexOnly, R.self, source: R.self, widest: R.byteCount, count: 3, suffix: ", 17",
          registers: { get($0)($1.register, R($2[1]), R($2[2]), 17) },
          memory: { get($0)($1.register, R($2[1]), $3 as! Mem, 17) })
      }
      func width<R: VectorRegister>(_ type: R.Type) {
        sweepMask(
          form.name, form.opcode, R.self, suffix: ", 30", registers: { get($0)($1, $2, $3, 30) },
          memory: { get($0)($1, $2, $3, 30) })
      }
      vex(XMM.self)
      vex(YMM.self)
      width(XMM.self)
      width(YMM.self)
      width(ZMM.self)
    }
  }

  func kkk(_ forms: [Get<KKK>]) {
    for get in forms {
      let name = get(X64Assembler()).name
      for (d, a, b) in [(0, 1, 2), (7, 6, 5), (3, 3, 0)] {
        add("\(name) k\(d), k\(a), k\(b)", name) { get($0)(OpMask(d), OpMask(a), OpMask(b)) }
      }
    }
  }

  func kk(_ forms: [Get<KK>]) {
    for get in forms {
      let name = get(X64Assembler()).name
      for (d, a) in [(0, 1), (7, 6), (3, 3)] { add("\(name) k\(d), k\(a)", name) { get($0)(OpMask(d), OpMask(a)) } }
    }
  }

  func kki(_ forms: [Get<KKI>]) {
    for get in forms {
      let name = get(X64Assembler()).name
      for (d, a) in [(0, 1), (7, 6)] { add("\(name) k\(d), k\(a), 9", name) { get($0)(OpMask(d), OpMask(a), 9) } }
    }
  }

  func kMove<G: GeneralRegister>(_ forms: [Get<KMove<G>>], _ general: (Int) -> G) {
    for get in forms {
      let name = get(X64Assembler()).name
      for (k, r) in [(0, 0), (7, 15), (3, 4), (5, 8)] {
        let (mask, register) = (OpMask(k), general(r))
        add("\(name) \(mask), k2", name) { get($0)(mask, .k2) }
        add("\(name) \(mask), \(register)", name) { get($0)(mask, register) }
        add("\(name) \(register), \(mask)", name) { get($0)(register, mask) }
        for place in memoryCases(unit: 8) {
          add("\(name) \(mask), \(place.text)", name) { get($0)(mask, place.operand) }
          add("\(name) \(place.text), \(mask)", name) { get($0)(place.operand, mask) }
        }
      }
    }
  }

  func kFromVector(_ forms: [Get<KFromVector>]) {
    for get in forms {
      let name = get(X64Assembler()).name
      for (k, v) in [(0, 0), (7, 15), (3, 16), (5, 31)] {
        add("\(name) k\(k), xmm\(v)", name) { get($0)(OpMask(k), XMM(v)) }
        add("\(name) k\(k), ymm\(v)", name) { get($0)(OpMask(k), YMM(v)) }
        add("\(name) k\(k), zmm\(v)", name) { get($0)(OpMask(k), ZMM(v)) }
      }
    }
  }

  func vectorFromK(_ forms: [Get<VectorFromK>]) {
    for get in forms {
      let name = get(X64Assembler()).name
      for (k, v) in [(0, 0), (7, 15), (3, 16), (5, 31)] {
        add("\(name) xmm\(v), k\(k)", name) { get($0)(XMM(v), OpMask(k)) }
        add("\(name) ymm\(v), k\(k)", name) { get($0)(YMM(v), OpMask(k)) }
        add("\(name) zmm\(v), k\(k)", name) { get($0)(ZMM(v), OpMask(k)) }
      }
    }
  }
}
