import Base

extension KernelCheck {
  /// Rounds rows with both, then multiplies those of the twin with both.
  func halfDifference(_ table: KernelTable) -> String? {
    guard let kernels = table.half else { return "there is none" }
    let twin = KernelTable.portableHalf
    let most = HalfArguments.mostRows
    let p = parts(rows: most)
    var numbers = Numbers()
    // Odd: the last pair has one input.
    let k = KernelCheck.k - 1
    for index in 0..<(most * KernelCheck.k) { p.x[index] = numbers.float() * 3 }
    for index in 0..<(KernelCheck.n * k) {
      p.weights.storeBytes(of: Half(numbers.float()).bits, toByteOffset: 2 * index, as: UInt16.self)
    }
    let (got, expected) = (
      UnsafeMutableRawPointer(p.quantized.words), UnsafeMutableRawPointer(p.quantizedTwin.words)
    )
    let stride = HalfArguments.headerByteCount + 2 * (k + 1)
    for (round, output) in [(kernels.round, got), (twin.round, expected)] {
      var arguments = RoundArguments(
        x: p.x, xRowStride: 4 * KernelCheck.k, output: output, outputRowStride: stride, k: k,
        rows: most)
      round(&arguments)
    }
    for index in 0..<(most * stride / 2) {
      let a = got.load(fromByteOffset: 2 * index, as: UInt16.self)
      let b = expected.load(fromByteOffset: 2 * index, as: UInt16.self)
      if a != b { return "number \(index) of rounded rows has the bits \(a), expected \(b)" }
    }
    // Magnitudes are below 3 and 1.
    let bound = Float(
      2 * ErrorBound.half(k: k, magnitude: Double(3 * k), weights: Double(k), largest: 3))
    for rows in 1...most {
      for blocks in 1...BFloat16Arguments.mostBlocks {
        for (multiply, y) in [(kernels.multiply, p.got), (twin.multiply, p.expected)] {
          for lane in 0..<(16 * blocks) {
            p.scratch.storeBytes(of: 1, toByteOffset: 4 * lane, as: Float.self)
          }
          var arguments = HalfArguments(
            x: UnsafeRawPointer(expected), xRowStride: stride, w: UnsafeRawPointer(p.weights),
            blockStride: k * 32,
            start: UnsafePointer(p.scratch.assumingMemoryBound(to: Float.self)), startRowStride: 0,
            y: y,
            yRowStride: 64 * blocks, k: k, rows: rows, blocks: blocks)
          multiply(&arguments)
        }
        if let why = firstDifference(p, rows: rows, n: 16 * blocks, bound: bound) { return why }
      }
    }
    return nil
  }
}
