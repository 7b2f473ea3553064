/// ModRM, SIB and displacement, shared by legacy, VEX and EVEX encodings (Intel SDM volume 2, 2.1.5 and 2.7.5).

extension CodeBuffer {
  /// Why `address` cannot be encoded, or nil.
  func complaint(about address: Mem) -> String? {
    if case .base(let base) = address.place, !(0...15).contains(base.number) { return "the base is no register" }
    if let index = address.index {
      if !(0...15).contains(index.number) { return "the index is no register" }
      if index.number == 4 { return "rsp cannot be an index" }
      if ![1, 2, 4, 8].contains(address.scale) { return "the scale \(address.scale) is not 1, 2, 4 or 8" }
    }
    if Int32(exactly: address.displacement) == nil {
      return "the displacement \(address.displacement) does not fit 32 bits"
    }
    return nil
  }

  /// `field` and the registers are taken modulo 8; the high bits are in the prefix. `displacementScale` is the N of disp8*N,
  /// 1 outside EVEX. `immediateBytes` follow, which a RIP-relative distance counts from behind.
  func appendModRM(
    field: Int, memory address: Mem, displacementScale: Int, immediateBytes: Int, mnemonic: String
  ) {
    let field = UInt8(truncatingIfNeeded: field & 7) << 3
    let base: Int
    switch address.place {
    case .base(let register): base = register.number
    case .constant(let number):
      return appendRelative(field, .constant(number), address, immediateBytes, mnemonic)
    case .label(let number):
      return appendRelative(field, .label(number), address, immediateBytes, mnemonic)
    }
    let displacement = Int32(truncatingIfNeeded: address.displacement)
    var mod: UInt8 = 2
    var short: Int8 = 0
    // Without a displacement, base rbp and r13 would mean "no base": they get a zero byte.
    if displacement == 0 && base & 7 != 5 {
      mod = 0
    } else if displacement % Int32(truncatingIfNeeded: displacementScale) == 0,
      let scaled = Int8(exactly: displacement / Int32(truncatingIfNeeded: displacementScale))
    {
      mod = 1
      short = scaled
    }
    if address.index != nil || base & 7 == 4 {
      append(mod << 6 | field | 4)
      let index = address.index.map { $0.number & 7 } ?? 4
      let scale: UInt8 = address.index == nil ? 0 : [1: 0, 2: 1, 4: 2, 8: 3][address.scale] ?? 0
      append(scale << 6 | UInt8(truncatingIfNeeded: index) << 3 | UInt8(truncatingIfNeeded: base & 7))
    } else {
      append(mod << 6 | field | UInt8(truncatingIfNeeded: base & 7))
    }
    if mod == 1 { append(UInt8(bitPattern: short)) }
    if mod == 2 { append32(displacement) }
  }

  private func appendRelative(
    _ field: UInt8, _ target: Fixup.Target, _ address: Mem, _ immediateBytes: Int, _ mnemonic: String
  ) {
    append(field | 5)
    let here = position
    append32(0)
    addFixup(
      Fixup(
        position: here, end: here + 4 + immediateBytes, target: target, addend: address.displacement, mnemonic: mnemonic
      ))
  }

  func appendModRM(field: Int, register: Int) {
    append(0xC0 | UInt8(truncatingIfNeeded: field & 7) << 3 | UInt8(truncatingIfNeeded: register & 7))
  }
}
