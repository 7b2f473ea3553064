import NestedFormat

// Few rows at INT8 out of codes that were put together beforehand: one byte per weight once more, for CPUs whose time goes
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

/// Splits the codes of each row into magnitudes and signs, which take the place of its words, and leaves in each group what
/// accumulators start from. Only ``linearExpanded(_:_:_:x:y:yRowStride:firstBlock:blocks:scratch:)`` reads `x` afterwards.
public func prepareExpanded(_ x: QuantizedActivations) {
  // Rows follow each other without a gap.
  for group in 0..<(x.rows &* x.groups) {
    let codes = UnsafeRawPointer(x.codes + group &* 64)
    let target = UnsafeMutableRawPointer(x.words) + group &* 128
    // In 16 bits, even and odd bytes apart: sums of 8 codes and of 8 negative codes.
    var sums = SIMD8<Int16>(repeating: 0)
    var negatives = SIMD8<Int16>(repeating: 0)
    var part = 0
    while part < 64 {
      let q = codes.loadUnaligned(fromByteOffset: part, as: SIMD16<Int8>.self)
      let sign = q &>> 7
      target.storeBytes(of: (q ^ sign) &- sign, toByteOffset: part, as: SIMD16<Int8>.self)
      target.storeBytes(of: sign, toByteOffset: 64 &+ part, as: SIMD16<Int8>.self)
      let pairs = unsafeBitCast(q, to: SIMD8<Int16>.self)
      let (odd, even) = (pairs &>> 8, (pairs &<< 8) &>> 8)
      sums &+= odd &+ even
      negatives &+= (odd & (odd &>> 15)) &+ (even & (even &>> 15))
      part &+= 16
    }
    // 128 · Σ q − Σ min(q, 0)
    let start = Int32(sums.wrappedSum()) &* 128 &- Int32(negatives.wrappedSum())
    x.groupScales[group].expandedStart = start
  }
}

/// The INT8 product for `blocks` blocks of 16 outputs from `firstBlock` on: row by row over pieces of the codes that stay in
/// the level-1 cache meanwhile.
///
/// - Parameters:
///   - kernels: has ``KernelTable/expanded1``.
///   - expanded: what ``expandCodes(_:into:)`` made of `weights`.
///   - x: few rows, after ``prepareExpanded(_:)``.
///   - scratch: the thread's own, ``productScratchByteCount(maxRows:)`` bytes, 64-byte aligned.
public func linearExpanded(
  _ weights: LinearWeights, _ expanded: UnsafeRawPointer, _ kernels: KernelTable, x: QuantizedActivations,
  y: UnsafeMutablePointer<Float>, yRowStride: Int, firstBlock: Int, blocks: Int, scratch: UnsafeMutableRawPointer
) {
  guard let nested = weights.nested, let kernel = kernels.expanded1 else { return }
  let end = firstBlock &+ blocks
  let whole = end &* 16 > weights.n ? end &- 1 : end
  let groupByteCount = 1024
  let piece = x.rows == 1 ? blocks : max((16 << 10) / (nested.kBlocks &* groupByteCount), 2)
  var block = firstBlock
  while block < whole {
    let count = min(piece, whole &- block)
    for row in 0..<x.rows {
      let output = y + (row &* yRowStride &+ block &* 16)
      var start = UnsafePointer(output)
      if let bias = weights.bias { start = bias + block &* 16 } else { output.update(repeating: 0, count: count &* 16) }
      var arguments = ExpandedArguments(
        nested, expanded, x, row: row, block: block, blocks: count, start: start, y: output)
      kernel(&arguments)
    }
    block &+= count
  }
  if whole < end {
    let scratch = ProductScratch(scratch)
    for row in 0..<x.rows {
      let cursor = OutputCursor(
        block: whole, n: weights.n, firstInput: 0, bias: weights.bias, y: y, yRowStride: 0, scratch: scratch)
      var arguments = ExpandedArguments(
        nested, expanded, x, row: row, block: whole, blocks: 1, start: cursor.start, y: cursor.y)
      kernel(&arguments)
      storeTail(
        scratch.tile, rows: 1, firstOutput: whole &* 16, n: weights.n, y: y + row &* yRowStride, yRowStride: 0)
    }
  }
}

extension ExpandedArguments {
  @inline(__always)
  init(
    _ nested: NestedView, _ expanded: UnsafeRawPointer, _ x: QuantizedActivations, row: Int, block: Int, blocks: Int,
    start: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>
  ) {
    let group = block &* nested.kBlocks
    self.init(
      codes: expanded + group &* 1024, scales: nested.scales + group &* 64,
      x: UnsafeRawPointer(x.words + row &* x.rowStride), activations: UnsafePointer(x.groupScales + row &* x.groups),
      start: start, y: y, groups: x.groups, nBlocks: blocks, factor: nested.factor)
  }
}
