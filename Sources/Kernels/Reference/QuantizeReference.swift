/// ``QuantizeArguments`` in plain Swift; writes words too, so that it serves every panel kernel.
func quantizeReference(_ a: QuantizeArguments) {
  let groups = (a.k &+ 63) / 64
  for row in 0..<a.rows {
    let x = UnsafeRawPointer(a.x) + row &* a.xRowStride
    let codes = UnsafeMutableRawPointer(a.codes) + row &* a.codeRowStride
    let output = UnsafeMutableRawPointer(a.groups) + row &* a.groupRowStride
    for group in 0..<groups {
      let first = group &* 64
      let count = min(64, a.k &- first)
      var largest: Float = 0
      // 0 · x is NaN for NaN and the infinities only.
      var poison: Float = 0
      for k in 0..<count {
        let value = x.load(fromByteOffset: (first &+ k) &* 4, as: Float.self)
        if value.magnitude > largest { largest = value.magnitude }
        poison += value * 0
      }
      let tiny = largest < QuantizedActivations.smallestMagnitude
      let multiplier = tiny ? 0 : 127 / largest
      let scale = (tiny ? 0 : largest / 127) + poison
      var sum: Int32 = 0
      for k in 0..<count {
        // Adding 1.5 · 2²³ rounds to nearest even and leaves the integer in the low bits of the significand.
        let shifted = x.load(fromByteOffset: (first &+ k) &* 4, as: Float.self) * multiplier + 0x1.8p23
        let code = Int8(truncatingIfNeeded: shifted.bitPattern)
        codes.storeBytes(of: code, toByteOffset: first &+ k, as: Int8.self)
        sum &+= Int32(code)
      }
      for k in count..<64 { codes.storeBytes(of: 0, toByteOffset: first &+ k, as: Int8.self) }
      let words = UnsafeMutableRawPointer(a.words) + row &* a.wordRowStride
      for k in 0..<64 {
        // Of four inputs the second and the third change places.
        let place = k & ~3 | (k & 1) &<< 1 | (k & 2) &>> 1
        let code = Int16(codes.load(fromByteOffset: first &+ k, as: Int8.self))
        words.storeBytes(of: code, toByteOffset: (first &+ place) &* 2, as: Int16.self)
      }
      var pairs: Int32 = 0
      for k in stride(from: first, to: first &+ 64, by: 2) {
        let second = codes.load(fromByteOffset: k &+ 1, as: Int8.self)
        pairs &+= Int32(codes.load(fromByteOffset: k, as: Int8.self)) &* Int32(second)
      }
      let result = ActivationGroup(scale: scale, offset: scale * Float(sum), negativePairs: 0 &- pairs)
      output.storeBytes(of: result, toByteOffset: group &* 16, as: ActivationGroup.self)
    }
  }
}
