@testable import MachineCode

// Forms between vectors and general registers or memory.

extension Rows {
  private var pairs: [(Int, Int)] { [(0, 1), (8, 3), (5, 12), (15, 15), (16, 7), (31, 8)] }

  func laneMove<G: GeneralRegister>(_ forms: [Get<LaneMove<G>>], _ general: (Int) -> G) {
    for get in forms {
      let name = get(X64Assembler()).name
      for (v, g) in pairs {
        let (vector, register) = (XMM(v), general(g))
        add("\(name) \(vector), \(register)", name) { get($0)(vector, register) }
        add("\(name) \(register), \(vector)", name) { get($0)(register, vector) }
        for place in memoryCases(unit: G.bitCount / 8) {
          add("\(name) \(vector), \(place.text)", name) { get($0)(vector, place.operand) }
          add("\(name) \(place.text), \(vector)", name) { get($0)(place.operand, vector) }
        }
      }
    }
  }

  func extractLane<G: GeneralRegister>(_ forms: [Get<VExtractLane<G>>], _ general: (Int) -> G) {
    for get in forms {
      let form = get(X64Assembler())
      let name = form.name
      for (v, g) in pairs {
        let (vector, register) = (XMM(v), general(g))
        add("\(name) \(register), \(vector), 1", name) { get($0)(register, vector, 1) }
        for place in memoryCases(unit: form.opcode.fixedByteCount) {
          add("\(name) \(place.text), \(vector), 1", name) { get($0)(place.operand, vector, 1) }
        }
      }
    }
  }

  func insertLane<G: GeneralRegister>(_ forms: [Get<VInsertLane<G>>], _ general: (Int) -> G) {
    for get in forms {
      let form = get(X64Assembler())
      let name = form.name
      for (v, g) in pairs {
        let (vector, register) = (XMM(v), general(g))
        add("\(name) \(vector), \(XMM(g)), \(register), 1", name) { get($0)(vector, XMM(g), register, 1) }
        for place in memoryCases(unit: form.opcode.fixedByteCount) {
          add("\(name) \(vector), \(XMM(g)), \(place.text), 1", name) { get($0)(vector, XMM(g), place.operand, 1) }
        }
      }
    }
  }

  func maskMove(_ forms: [Get<VMaskMove>]) {
    for get in forms {
      let name = get(X64Assembler()).name
      func width<R: VEXRegister>(_ type: R.Type) {
        for (a, b) in [(0, 1), (8, 2), (3, 9), (15, 14)] {
          for place in memoryCases(unit: 16) {
            add("\(name) \(R(a)), \(R(b)), \(place.text)", name) { get($0)(R(a), R(b), place.operand) }
            add("\(name) \(place.text), \(R(b)), \(R(a))", name) { get($0)(place.operand, R(b), R(a)) }
          }
        }
      }
      width(XMM.self)
      width(YMM.self)
    }
  }

  func store(_ forms: [Get<VStore>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweepStores(form.name, form.opcode, R.self, maskable: false) { asm, target, source in
          get(asm)(target.address, source)
        }
      }
      width(XMM.self)
      width(YMM.self)
      width(ZMM.self)
    }
  }

  func load(_ widths: Widths, _ forms: [Get<VLoad>]) {
    for get in forms {
      let form = get(X64Assembler())
      func width<R: VectorRegister>(_ type: R.Type) {
        sweep(
          form.name, form.opcode, R.self, source: R.self, widest: R.byteCount, count: 2, maskable: false,
          registers: nil, memory: { get($0)($1.register, $3 as! Mem) })
      }
      width(XMM.self)
      width(YMM.self)
      if widths.contains(.z) { width(ZMM.self) }
    }
  }

  func signMask(_ forms: [Get<VSignMask>]) {
    for get in forms {
      let name = get(X64Assembler()).name
      for (g, v) in [(0, 1), (8, 2), (3, 9), (15, 15)] {
        add("\(name) \(GPR32(g)), \(XMM(v))", name) { get($0)(GPR32(g), XMM(v)) }
        add("\(name) \(GPR32(g)), \(YMM(v))", name) { get($0)(GPR32(g), YMM(v)) }
      }
    }
  }

  func scalarCompare(_ forms: [Get<ScalarCompare>]) {
    for get in forms {
      let form = get(X64Assembler())
      sweep(
        form.name, form.opcode, XMM.self, source: XMM.self, widest: 16, count: 2, maskable: false,
        registers: { get($0)($1.register, XMM($2[1])) }, memory: { get($0)($1.register, $3 as! Mem) })
    }
  }

  func scalarToInteger(_ forms: [Get<ScalarToInteger>]) {
    for get in forms {
      let name = get(X64Assembler()).name
      for (v, g) in pairs {
        add("\(name) \(GPR32(g)), \(XMM(v))", name) { get($0)(GPR32(g), XMM(v)) }
        add("\(name) \(GPR64(g)), \(XMM(v))", name) { get($0)(GPR64(g), XMM(v)) }
        for place in memoryCases(unit: 4) {
          add("\(name) \(GPR32(g)), \(place.text)", name) { get($0)(GPR32(g), place.operand) }
          add("\(name) \(GPR64(g)), \(place.text)", name) { get($0)(GPR64(g), place.operand) }
        }
      }
    }
  }

  func scalarFromInteger(_ forms: [Get<ScalarFromInteger>]) {
    for get in forms {
      let name = get(X64Assembler()).name
      for (v, g) in pairs {
        add("\(name) \(XMM(v)), \(XMM(g)), \(GPR32(g))", name) { get($0)(XMM(v), XMM(g), GPR32(g)) }
        add("\(name) \(XMM(v)), \(XMM(g)), \(GPR64(g))", name) { get($0)(XMM(v), XMM(g), GPR64(g)) }
      }
    }
  }
}
