/// VEX (Intel SDM volume 2, 2.3) and EVEX (2.7) encodings.

extension CodeBuffer {
  /// Emits one vector instruction, or keeps why it cannot be.
  ///
  /// - Parameters:
  ///   - operands: in the order they are written, without the immediate.
  ///   - immediate: the trailing byte, -128…255.
  ///   - vectorByteCount: the vector length where no operand has it.
  ///   - registerImmediate: a fourth register, which VEX keeps in the trailing byte.
  func emit(
    _ opcode: Opcode, _ mnemonic: String, _ order: OperandOrder, _ operands: [Operand], immediate: Int? = nil,
    registerImmediate: Int? = nil, masking: Masking = .none, vectorByteCount: Int = 0
  ) {
    func refuseThis(_ reason: String) {
      refuse(mnemonic, operands + (immediate.map { [.immediate($0)] } ?? []), reason)
    }
    var roles = VectorRoles()
    if let reason = roles.assign(operands, order, digit: Int(opcode.digit)) { return refuseThis(reason) }
    roles.byteCount = max(roles.byteCount, vectorByteCount)
    if let reason = roles.memory.flatMap({ complaint(about: $0) }) { return refuseThis(reason) }
    if let immediate, !(-128...255).contains(immediate) { return refuseThis("the immediate does not fit 8 bits") }
    var immediate = immediate
    if let registerImmediate {
      if !(0...15).contains(registerImmediate) { return refuseThis("register \(registerImmediate) does not exist") }
      immediate = registerImmediate << 4
    }
    if roles.broadcast != 0 && roles.broadcast != opcode.broadcastByteCount {
      return refuseThis("no broadcast of \(roles.broadcast * 8)-bit elements")
    }
    if masking.mask != nil && !opcode.maskable { return refuseThis("cannot be masked") }
    if roles.byteCount < opcode.leastByteCount && opcode.leastByteCount > 16 {
      return refuseThis("needs \(opcode.leastByteCount * 8)-bit vectors")
    }
    if let mask = masking.mask, !(1...7).contains(mask.number) { return refuseThis("\(mask) cannot be a write mask") }

    let needsEVEX = roles.highest > 15 || roles.byteCount == 64 || masking.mask != nil || roles.broadcast != 0
    let length: UInt8 = opcode.fixedL ?? (roles.byteCount == 64 ? 2 : roles.byteCount == 32 ? 1 : 0)
    let immediateBytes = immediate == nil ? 0 : 1
    if !needsEVEX && opcode.hasVEX {
      appendVEX(opcode, roles, length)
      appendOperands(roles, scale: 1, immediateBytes, mnemonic)
    } else if opcode.hasEVEX {
      appendEVEX(opcode, roles, length, masking)
      let scale = opcode.displacementScale(vectorByteCount: max(roles.byteCount, 16), broadcast: roles.broadcast)
      appendOperands(roles, scale: scale, immediateBytes, mnemonic)
    } else {
      return refuseThis("needs an EVEX form, which this instruction lacks")
    }
    if let immediate { append(UInt8(truncatingIfNeeded: immediate)) }
  }

  private func appendOperands(_ roles: VectorRoles, scale: Int, _ immediateBytes: Int, _ mnemonic: String) {
    if let memory = roles.memory {
      appendModRM(
        field: roles.reg, memory: memory, displacementScale: scale, immediateBytes: immediateBytes, mnemonic: mnemonic)
    } else {
      appendModRM(field: roles.reg, register: roles.rm)
    }
  }

  private func appendVEX(_ opcode: Opcode, _ roles: VectorRoles, _ length: UInt8) {
    let r: UInt8 = roles.reg & 8 == 0 ? 0x80 : 0
    let x: UInt8 = roles.indexBit(8) ? 0 : 0x40
    let b: UInt8 = roles.baseBit(8) ? 0 : 0x20
    let vvvv = (~UInt8(truncatingIfNeeded: roles.vvvv) & 15) << 3
    let tail = vvvv | length << 2 | opcode.prefix
    if x != 0 && b != 0 && opcode.map == 1 && opcode.vexW == 0 {
      append([0xC5, r | tail, opcode.byte])
    } else {
      append([0xC4, r | x | b | opcode.map, opcode.vexW << 7 | tail, opcode.byte])
    }
  }

  private func appendEVEX(_ opcode: Opcode, _ roles: VectorRoles, _ length: UInt8, _ masking: Masking) {
    let r: UInt8 = roles.reg & 8 == 0 ? 0x80 : 0
    // A register in ModRM.rm takes its fifth bit from X, which memory uses for the index.
    let x: UInt8 = (roles.memory == nil ? roles.rm & 16 != 0 : roles.indexBit(8)) ? 0 : 0x40
    let b: UInt8 = roles.baseBit(8) ? 0 : 0x20
    let rHigh: UInt8 = roles.reg & 16 == 0 ? 0x10 : 0
    let vvvv = (~UInt8(truncatingIfNeeded: roles.vvvv) & 15) << 3
    let vHigh: UInt8 = roles.vvvv & 16 == 0 ? 8 : 0
    let zeroing: UInt8 = masking.zeroing ? 0x80 : 0
    let broadcast: UInt8 = roles.broadcast == 0 ? 0 : 0x10
    let mask = UInt8(truncatingIfNeeded: masking.mask?.number ?? 0)
    append([
      0x62, r | x | b | rHigh | opcode.map, opcode.evexW << 7 | vvvv | 4 | opcode.prefix,
      zeroing | length << 5 | broadcast | vHigh | mask, opcode.byte,
    ])
  }
}

/// The operands of one vector instruction, sorted into the fields of the encoding.
struct VectorRoles {
  var reg = 0
  var vvvv = 0
  var rm = 0
  var memory: Mem?
  var broadcast = 0
  /// The widest vector operand; it decides the vector length.
  var byteCount = 0
  var highest = 0

  func indexBit(_ bit: Int) -> Bool { memory.flatMap(\.index).map { $0.number & bit != 0 } ?? false }
  func baseBit(_ bit: Int) -> Bool {
    guard let memory else { return rm & bit != 0 }
    if case .base(let base) = memory.place { return base.number & bit != 0 }
    return false
  }

  /// Returns why the operands do not fit, or nil.
  mutating func assign(_ operands: [Operand], _ order: OperandOrder, digit: Int) -> String? {
    for operand in operands {
      let (number, limit): (Int, Int)
      switch operand {
      case .vector(let n, let bytes):
        (number, limit) = (n, 31)
        byteCount = max(byteCount, bytes)
        highest = max(highest, n)
      case .opmask(let n), .tile(let n): (number, limit) = (n, 7)
      case .general(let n, _): (number, limit) = (n, 15)
      case .memory, .immediate: continue
      }
      if !(0...limit).contains(number) { return "\(operand.text) does not exist" }
    }
    let places: [WritableKeyPath<VectorRoles, Int>]
    switch order {
    case .rm: places = [\.reg, \.rm]
    case .mr: places = [\.rm, \.reg]
    case .rvm: places = [\.reg, \.vvvv, \.rm]
    case .rmv: places = [\.reg, \.rm, \.vvvv]
    case .mvr: places = [\.rm, \.vvvv, \.reg]
    case .vm:
      places = [\.vvvv, \.rm]
      reg = digit
    }
    if places.count != operands.count { return "\(operands.count) operands" }
    for (place, operand) in zip(places, operands) {
      switch operand {
      case .vector(let n, _), .opmask(let n), .tile(let n), .general(let n, _): self[keyPath: place] = n
      case .memory(let address, let element): (memory, broadcast) = (address, element)
      case .immediate: return "an immediate in a register's place"
      }
    }
    return nil
  }
}
