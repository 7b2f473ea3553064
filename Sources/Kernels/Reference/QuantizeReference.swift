/// ``QuantizeArguments`` in plain Swift.
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
      let result = ActivationGroup(scale: scale, offset: scale * Float(sum))
      output.storeBytes(of: result, toByteOffset: group &* 16, as: ActivationGroup.self)
    }
  }
}

/// The same of an activation's result. The table of pieces is made anew for every call.
func activationCodesReference(_ a: QuantizeArguments, _ operation: UnaryOperation) {
  let pieces = ActivationPieces(operation, degree: 2)
  var group = InlineArray<64, Float>(repeating: 0)
  for row in 0..<a.rows {
    let x = UnsafeRawPointer(a.x) + row &* a.xRowStride
    for first in stride(from: 0, to: a.k, by: 64) {
      let count = min(64, a.k &- first)
      for k in 0..<count { group[k] = pieces.apply(x.load(fromByteOffset: (first &+ k) &* 4, as: Float.self)) }
      let codes = UnsafeMutableRawPointer(a.codes) + (row &* a.codeRowStride &+ first)
      let output = UnsafeMutableRawPointer(a.groups) + (row &* a.groupRowStride &+ first / 64 &* 16)
      withUnsafeBytes(of: &group) { memory in
        guard let base = memory.baseAddress else { return }
        quantizeReference(
          QuantizeArguments(
            x: base.assumingMemoryBound(to: Float.self), xRowStride: 256,
            codes: codes.assumingMemoryBound(to: Int8.self), codeRowStride: 64,
            groups: output.assumingMemoryBound(to: ActivationGroup.self), groupRowStride: 16, k: count, rows: 1))
      }
    }
  }
}
