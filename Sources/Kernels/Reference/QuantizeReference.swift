import NestedFormat

/// ``QuantizeArguments`` in plain Swift.
func quantizeReference(_ a: QuantizeArguments) {
  let groups = (a.k &+ 63) / 64
  for row in 0..<a.rows {
    let x = UnsafeRawPointer(a.x) + row &* a.xRowStride
    let codes = UnsafeMutableRawPointer(a.codes) + row &* a.codeRowStride
    let output = UnsafeMutableRawPointer(a.groups) + row &* a.groupRowStride
    let isPerRow = a.form.activations == .perRow
    var scale = isPerRow ? CodeScale(x, count: a.k) : CodeScale(x, count: 0)
    for group in 0..<groups {
      let first = group &* 64
      let count = min(64, a.k &- first)
      if !isPerRow { scale = CodeScale(x + first &* 4, count: count) }
      var sum: Int32 = 0
      for k in 0..<count {
        let code = scale.code(x.load(fromByteOffset: (first &+ k) &* 4, as: Float.self))
        codes.storeBytes(of: code, toByteOffset: first &+ k, as: Int8.self)
        sum &+= Int32(code)
      }
      for k in count..<64 { codes.storeBytes(of: 0, toByteOffset: first &+ k, as: Int8.self) }
      var result = ActivationGroup(scale: scale.scale, offset: scale.scale * Float(sum))
      if isPerRow {
        result.groupSum = Float(sum)
        let leader = output + ((group &>> a.form.groupShift) &<< a.form.groupShift) &* 16
        if leader < output + group &* 16 {
          var led = leader.load(as: ActivationGroup.self)
          led.groupSum += result.groupSum
          leader.storeBytes(of: led, as: ActivationGroup.self)
          result.groupSum = 0
        }
      }
      output.storeBytes(of: result, toByteOffset: group &* 16, as: ActivationGroup.self)
    }
  }
}

/// Sums of the offsets of all groups of each row, see ``ActivationGroup/groupSum``.
func groupSumsReference(_ a: QuantizeArguments) {
  for row in 0..<a.rows {
    let groups = UnsafeMutableRawPointer(a.groups) + row &* a.groupRowStride
    var sum: Float = 0
    for group in 0..<((a.k &+ 63) / 64) {
      var entry = groups.load(fromByteOffset: group &* 16, as: ActivationGroup.self)
      sum += entry.offset
      entry.groupSum = 0
      groups.storeBytes(of: entry, toByteOffset: group &* 16, as: ActivationGroup.self)
    }
    if a.k == 0 { continue }
    var first = groups.load(as: ActivationGroup.self)
    first.groupSum = sum
    groups.storeBytes(of: first, as: ActivationGroup.self)
  }
}

/// Codes `count` floats with one scale, which is returned, and writes nothing else; plain Swift.
public func codeRow(_ x: UnsafePointer<Float>, count: Int, into codes: UnsafeMutablePointer<Int8>) -> Float {
  let x = UnsafeRawPointer(x)
  let scale = CodeScale(x, count: count)
  for k in 0..<count { codes[k] = scale.code(x.loadUnaligned(fromByteOffset: k &* 4, as: Float.self)) }
  return scale.scale
}

/// What `count` floats are coded with.
private struct CodeScale {
  let multiplier: Float
  let scale: Float

  init(_ x: UnsafeRawPointer, count: Int) {
    var largest: Float = 0
    // 0 · x is NaN for NaN and the infinities only.
    var poison: Float = 0
    for k in 0..<count {
      let value = x.loadUnaligned(fromByteOffset: k &* 4, as: Float.self)
      if value.magnitude > largest { largest = value.magnitude }
      poison += value * 0
    }
    let tiny = largest < QuantizedActivations.smallestMagnitude
    multiplier = tiny ? 0 : 127 / largest
    scale = (tiny ? 0 : largest / 127) + poison
  }

  /// Adding 1.5 · 2²³ rounds to nearest even and leaves the integer in the low bits of the significand.
  func code(_ value: Float) -> Int8 { Int8(truncatingIfNeeded: (value * multiplier + 0x1.8p23).bitPattern) }
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
