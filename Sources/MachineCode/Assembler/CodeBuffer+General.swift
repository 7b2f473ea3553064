/// Legacy encodings with a REX prefix (Intel SDM volume 2, 2.2.1) and jumps.

extension CodeBuffer {
  /// Emits `opcode` with a ModRM byte.
  ///
  /// - Parameters:
  ///   - field: a register number, or an opcode extension.
  ///   - wide: REX.W.
  ///   - forceREX: without a REX prefix, byte registers 4…7 would be ah, ch, dh, bh.
  ///   - immediate: already as bytes.
  ///   - operands: for the refusal's text.
  func emitGeneral(
    _ mnemonic: String, prefix: UInt8? = nil, _ opcode: [UInt8], field: Int, rm: Operand, wide: Bool,
    forceREX: Bool = false, immediate: [UInt8] = [], _ operands: [Operand]
  ) {
    for operand in operands {
      if case .general(let number, _) = operand, !(0...15).contains(number) {
        return refuse(mnemonic, operands, "\(operand.text) does not exist")
      }
      if case .memory(let address, _) = operand, let reason = complaint(about: address) {
        return refuse(mnemonic, operands, reason)
      }
    }
    var rex: UInt8 = wide ? 0x48 : forceREX ? 0x40 : 0
    if field & 8 != 0 { rex |= 0x44 }
    switch rm {
    case .general(let number, _):
      if number & 8 != 0 { rex |= 0x41 }
    case .memory(let address, _):
      if case .base(let base) = address.place, base.number & 8 != 0 { rex |= 0x41 }
      if let index = address.index, index.number & 8 != 0 { rex |= 0x42 }
    default: return refuse(mnemonic, operands, "neither register nor memory")
    }
    if let prefix { append(prefix) }
    if rex != 0 { append(rex) }
    append(opcode)
    if case .memory(let address, _) = rm {
      appendModRM(
        field: field, memory: address, displacementScale: 1, immediateBytes: immediate.count, mnemonic: mnemonic)
    } else if case .general(let number, _) = rm {
      appendModRM(field: field, register: number)
    }
    append(immediate)
  }

  /// A jump: one byte of distance where the target is already known and near, else four.
  func emitJump(_ mnemonic: String, short: UInt8, near: [UInt8], to label: Label) {
    if let distance = knownDistance(to: label, size: 2), let byte = Int8(exactly: distance) {
      return append([short, UInt8(bitPattern: byte)])
    }
    append(near)
    let here = position
    append32(0)
    addFixup(Fixup(position: here, end: here + 4, target: .label(label.number), addend: 0, mnemonic: mnemonic))
  }
}

/// The bytes of an integer, lowest first.
func littleEndianBytes<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
  (0..<(T.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> T($0 * 8)) }
}
