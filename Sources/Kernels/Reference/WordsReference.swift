import Base
import NestedFormat

// The twins of the kernels of words: INT8 products as sums of 16-bit fixed-point products over a chunk of groups.

/// Bytes of one group in a panel of words.
let wordPanelGroupByteCount = 64 * 16 * 2

/// ``WordsArguments``.
func wordsReference(_ a: WordsArguments) {
  for row in 0..<a.rows {
    let codes = UnsafeRawPointer(a.codes) + row &* a.codeRowStride
    let words = UnsafeMutableRawPointer(a.words) + row &* a.wordRowStride
    let groups = UnsafeMutableRawPointer(a.groups) + row &* a.groupRowStride
    var first = 0
    while first < a.count {
      let count = min(WordsArguments.groupCount, a.count &- first)
      writeChunk(codes + first &* 64, words + first &* 128, groups + first &* 16, count)
      first &+= count
    }
  }
}

private func writeChunk(
  _ codes: UnsafeRawPointer, _ words: UnsafeMutableRawPointer, _ groups: UnsafeMutableRawPointer, _ count: Int
) {
  var sum: Float = 0
  var largest: Float = 0
  for group in 0..<count {
    var magnitudes: Int32 = 0
    for k in 0..<64 {
      magnitudes &+= Int32(codes.load(fromByteOffset: group &* 64 &+ k, as: Int8.self).magnitude)
    }
    let scale = groups.load(fromByteOffset: group &* 16, as: ActivationGroup.self).scale.magnitude
    sum += scale * Float(magnitudes)
    largest = max(largest, scale * 128)
  }
  // Exponents as they stand in the bits, 127 more than they are.
  let field = max(exponentField(sum * 1.01) &- 19, exponentField(largest) &- 13, 7)
  let multiplier = Float(bitPattern: UInt32(truncatingIfNeeded: (261 &- field) & 255) &<< 23)
  var pairs: Int32 = 0
  for group in 0..<count {
    let scale = groups.load(fromByteOffset: group &* 16, as: ActivationGroup.self).scale
    let factor = Int32(clampedInt(Double((scale * multiplier).rounded(.toNearestOrEven)), in: -32768...32767))
    var previous: Int32 = 0
    for k in 0..<64 {
      let code = Int32(codes.load(fromByteOffset: group &* 64 &+ k, as: Int8.self))
      let word = (code &* factor &+ 64) &>> 7
      // Of four inputs the second and the third change places.
      let place = k & ~3 | (k & 1) &<< 1 | (k & 2) &>> 1
      words.storeBytes(
        of: Int16(truncatingIfNeeded: word), toByteOffset: (group &* 64 &+ place) &* 2, as: Int16.self)
      if k % 2 == 1 { pairs &+= previous &* word }
      previous = word
    }
  }
  var output = groups.load(as: ActivationGroup.self)
  output.negativePairs = 0 &- pairs
  output.wordScale = Float(bitPattern: UInt32(truncatingIfNeeded: field & 255) &<< 23)
  if sum.isNaN { output.wordScale = .nan }
  groups.storeBytes(of: output, as: ActivationGroup.self)
}

private func exponentField(_ value: Float) -> Int { Int(truncatingIfNeeded: (value.bitPattern &>> 23) & 255) }

/// ``UnpackArguments`` at INT8 to words for up to ``WordsArguments/groupCount`` groups.
///
/// Per output, with `t` the largest magnitude that a code of any of the groups can stand for, a unit of the words is
/// `S = 2^(⌊log2 t⌋ − 10)` (at least 2⁻¹¹⁹). Per group `m = round(256 · s' / S)`, `b = round(lo' / S)`, and
/// `word = ⌊(U · m + 128) / 256⌋ + b`: within 1.5 units of `s' · U + lo'`, at most 2050.
///
/// The panel holds, per four inputs and for all outputs, words 0 and 2, then words 1 and 3. Of `panelScales` bytes 0 to 63 get
/// minus the sums of the products of neighbouring words (32-bit integers, modulo 2³²), bytes 128 to 191 the units `S`.
func unpackWordsReference(_ a: UnpackArguments) {
  let byteCount = a.groups &* panelScaleGroupByteCount &+ referencePanelGroupByteCount
  withUnsafeTemporaryAllocation(byteCount: byteCount, alignment: 64) { memory in
    guard let base = memory.baseAddress else { return }
    let codes = base.assumingMemoryBound(to: Float.self)
    let scales = (base + referencePanelGroupByteCount).assumingMemoryBound(to: Float.self)
    for group in 0..<a.groups {
      unpackScales(
        a.scales + (group &>> a.groupShift) &* a.scaleKind.lineByteCount, a.scaleKind, factor: a.factor, level: .int8,
        into: scales + group &* 48)
    }
    for output in 0..<16 {
      var largest: Float = 0
      for group in 0..<a.groups {
        let (step, minimum) = (scales[group &* 48 &+ output], scales[group &* 48 &+ 16 &+ output])
        largest = max(largest, minimum.magnitude, (minimum + step * 255).magnitude)
      }
      let field = max(exponentField(largest), 18)
      scales[32 &+ output] = Float(bitPattern: UInt32(truncatingIfNeeded: field))
    }
    var pairs: SIMD16<Int32> = .zero
    for group in 0..<a.groups {
      unpackGroup(a, group, .int8, codes)
      for output in 0..<16 {
        let field = UInt32(scales[32 &+ output].bitPattern)
        let step = scales[group &* 48 &+ output] * Float(bitPattern: (272 &- field) &<< 23)
        let minimum = scales[group &* 48 &+ 16 &+ output] * Float(bitPattern: (264 &- field) &<< 23)
        let m = Int32(clampedInt(Double(step.rounded(.toNearestOrEven)), in: 0...65535))
        let b = Int32(clampedInt(Double(minimum.rounded(.toNearestOrEven)), in: -32768...32767))
        var previous: Int32 = 0
        for k in 0..<64 {
          let code = Int32(clampedInt(Double(codes[k &* 16 &+ output]), in: 0...255))
          let word = Int32(Int16(truncatingIfNeeded: (code &* m &+ 128) &>> 8 &+ b))
          let place = group &* wordPanelGroupByteCount &+ k / 4 &* 128 &+ k % 2 &* 64 &+ output &* 4 &+ k % 4 / 2 &* 2
          a.panel.storeBytes(of: Int16(truncatingIfNeeded: word), toByteOffset: place, as: Int16.self)
          if k % 2 == 1 { pairs[output] &-= previous &* word }
          previous = word
        }
      }
    }
    for output in 0..<16 {
      a.panelScales[output] = Float(bitPattern: UInt32(bitPattern: pairs[output]))
      a.panelScales[32 &+ output] = Float(bitPattern: (scales[32 &+ output].bitPattern &- 10) &<< 23)
    }
  }
}

/// ``PanelArguments`` on words: the plain sum of products modulo 2³², so that sums of pairs are not needed.
func panelWordsReference(_ a: PanelArguments) {
  for row in 0..<a.rows {
    let x = a.x + row &* a.xRowStride
    let activations = UnsafeRawPointer(a.activations) + row &* a.activationRowStride
    let scale = activations.load(as: ActivationGroup.self).wordScale
    var sum: SIMD16<Int32> = .zero
    for four in 0..<(a.groups &* 16) {
      for part in 0..<2 {
        // Inputs 0 and 2 of all outputs, then inputs 1 and 3; the row has them in the same order.
        let weights = a.panel.loadUnaligned(fromByteOffset: four &* 128 &+ part &* 64, as: SIMD32<Int16>.self)
        let first = Int32(x.load(fromByteOffset: four &* 8 &+ part &* 4, as: Int16.self))
        let second = Int32(x.load(fromByteOffset: four &* 8 &+ part &* 4 &+ 2, as: Int16.self))
        sum &+= SIMD16<Int32>(truncatingIfNeeded: weights.evenHalf) &* first
        sum &+= SIMD16<Int32>(truncatingIfNeeded: weights.oddHalf) &* second
      }
    }
    let units = UnsafeRawPointer(a.panelScales + 32).loadUnaligned(as: SIMD16<Float>.self)
    let start = UnsafeRawPointer(a.start).loadUnaligned(fromByteOffset: row &* a.startRowStride, as: SIMD16<Float>.self)
    // Products with powers of two are exact: one rounding, as of a fused multiply-add.
    let y = start + SIMD16<Float>(sum) * (units * scale)
    UnsafeMutableRawPointer(a.y).storeBytes(of: y, toByteOffset: row &* a.yRowStride, as: SIMD16<Float>.self)
  }
}
