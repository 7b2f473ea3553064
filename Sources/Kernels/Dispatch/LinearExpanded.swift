import NestedFormat

// One row at INT8 out of codes that were put together beforehand: one byte per weight once more, for CPUs whose time goes
// into putting codes together from planes. The sums are the same integers and the same float operations, so results have
// the bits of ``linearQuantized(_:_:_:x:y:yRowStride:firstBlock:blocks:scratch:)``.
//
// `vpmaddubsw` multiplies unsigned by signed bytes and adds pairs in 16 bits, saturating. With w = U − 128 and an
// activation q it takes |q|, at most 128, by w where q ≥ 0, and by −w − 1, the complement, where q < 0: at most
// 2 · 128 · 127 and at least −2 · 128 · 128, so nothing saturates. Σ q·U is that sum plus Σ_{q<0} |q| + 128 · Σ q,
// which is the same for all outputs: the accumulators start from it.

/// Bytes of the expanded codes of a matrix.
public func expandedByteCount(_ nested: NestedView) -> Int { nested.nBlocks &* nested.kBlocks &* 1024 }

/// Writes every code minus 128 as a signed byte: per block and vector of four inputs, 16 outputs with their four inputs,
/// in the order of the planes' blocks.
///
/// - Parameters:
///   - nested: must hold INT8.
///   - output: ``expandedByteCount(_:)`` bytes.
public func expandCodes(_ nested: NestedView, into output: UnsafeMutableRawPointer) {
  for block in 0..<(nested.nBlocks &* nested.kBlocks) {
    for quarter in 0..<4 {
      let source = block &* 256 &+ quarter &* 64
      for byte in 0..<64 {
        var fields: SIMD4<UInt8> = .zero
        for plane in 0..<4 {
          guard let base = nested.plane(plane) else { continue }
          fields[plane] = base.load(fromByteOffset: source &+ byte, as: UInt8.self)
        }
        for field in 0..<4 {
          let r = UInt8(truncatingIfNeeded: 2 &* field)
          let code =
            ((fields[0] &>> ((6 &+ r) & 7)) & 3) &<< 6 | ((fields[1] &>> ((4 &+ r) & 7)) & 3) &<< 4
            | ((fields[2] &>> ((2 &+ r) & 7)) & 3) &<< 2 | ((fields[3] &>> (r & 7)) & 3)
          output.storeBytes(
            of: code ^ 0x80, toByteOffset: block &* 1024 &+ (quarter &* 4 &+ field) &* 64 &+ byte, as: UInt8.self)
        }
      }
    }
  }
}

/// Splits the codes of one row into magnitudes and signs, which take the place of its words, and leaves in each group what
/// accumulators start from. Only ``linearExpanded(_:_:_:x:y:firstBlock:blocks:scratch:)`` reads `x` afterwards.
public func prepareExpanded(_ x: QuantizedActivations) {
  for group in 0..<x.groups {
    let codes = UnsafeRawPointer(x.codes + group &* 64)
    let target = UnsafeMutableRawPointer(x.words) + group &* 128
    var start: Int32 = 0
    var part = 0
    while part < 64 {
      let q = codes.loadUnaligned(fromByteOffset: part, as: SIMD16<Int8>.self)
      let sign = q &>> 7
      target.storeBytes(of: (q ^ sign) &- sign, toByteOffset: part, as: SIMD16<Int8>.self)
      target.storeBytes(of: sign, toByteOffset: 64 &+ part, as: SIMD16<Int8>.self)
      // 128 · q − min(q, 0), in 16 bits for even and odd bytes apart.
      let pairs = unsafeBitCast(q, to: SIMD8<Int16>.self)
      let (odd, even) = (pairs &>> 8, (pairs &<< 8) &>> 8)
      let sums = odd &+ even
      let negatives = (odd & (odd &>> 15)) &+ (even & (even &>> 15))
      start &+= Int32(sums.wrappedSum()) &* 128 &- Int32(negatives.wrappedSum())
      part &+= 16
    }
    x.groupScales[group].expandedStart = start
  }
}

/// The INT8 product of one row for `blocks` blocks of 16 outputs from `firstBlock` on.
///
/// - Parameters:
///   - kernels: has ``KernelTable/expanded1``.
///   - expanded: what ``expandCodes(_:into:)`` made of `weights`.
///   - x: one row, after ``prepareExpanded(_:)``.
///   - scratch: the thread's own, ``productScratchByteCount(maxRows:)`` bytes, 64-byte aligned.
public func linearExpanded(
  _ weights: LinearWeights, _ expanded: UnsafeRawPointer, _ kernels: KernelTable, x: QuantizedActivations,
  y: UnsafeMutablePointer<Float>, firstBlock: Int, blocks: Int, scratch: UnsafeMutableRawPointer
) {
  guard let nested = weights.nested, let kernel = kernels.expanded1, blocks > 0 else { return }
  let hasTail = (firstBlock &+ blocks) &* 16 > weights.n
  let whole = hasTail ? blocks &- 1 : blocks
  let group = firstBlock &* nested.kBlocks
  let output = y + firstBlock &* 16
  var start = UnsafePointer(output)
  if let bias = weights.bias { start = bias + firstBlock &* 16 } else { output.update(repeating: 0, count: whole &* 16) }
  var arguments = ExpandedArguments(
    codes: expanded + group &* 1024, scales: nested.scales + group &* 64, x: UnsafeRawPointer(x.words),
    activations: UnsafePointer(x.groupScales), start: start, y: output, groups: x.groups, nBlocks: whole,
    factor: nested.factor)
  if whole > 0 { kernel(&arguments) }
  if hasTail {
    let scratch = ProductScratch(scratch)
    let block = firstBlock &+ whole
    let cursor = OutputCursor(
      block: block, n: weights.n, firstInput: 0, bias: weights.bias, y: y, yRowStride: 0, scratch: scratch)
    arguments.codes += whole &* nested.kBlocks &* 1024
    arguments.scales += whole &* nested.kBlocks &* 64
    arguments.start = cursor.start
    arguments.y = cursor.y
    arguments.nBlocks = 1
    kernel(&arguments)
    storeTail(scratch.tile, rows: 1, firstOutput: block &* 16, n: weights.n, y: y, yRowStride: 0)
  }
}
