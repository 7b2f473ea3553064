import Base

extension KernelCheck {
  /// Nothing is rounded twice, so the bits must be those of the twin.
  func roundDifference(_ table: KernelTable) -> String? {
    let p = parts(rows: KernelCheck.rows)
    // Odd, so that a zero belongs behind each row.
    let k = KernelCheck.k - 1
    var numbers = Numbers()
    for index in 0..<(KernelCheck.rows * KernelCheck.k) { p.x[index] = numbers.float() * 3 }
    let special: [Float] = [
      .nan, .infinity, -.infinity, 0x1p-127, -0x1p-149, .greatestFiniteMagnitude, 0x1.01p0, 0x1.03p0,
    ]
    for (index, value) in special.enumerated() { p.x[index * 17] = value }
    let (got, expected) = (UnsafeMutableRawPointer(p.quantized.words), UnsafeMutableRawPointer(p.quantizedTwin.words))
    let stride = 2 * (k + 1)
    for (table, output) in [(table, got), (twin, expected)] {
      roundToBFloat16(
        table, x: p.x, xRowStride: KernelCheck.k, rows: KernelCheck.rows, k: k, into: output, outputRowStride: stride)
    }
    for index in 0..<(KernelCheck.rows * (k + 1)) {
      let a = got.load(fromByteOffset: 2 * index, as: UInt16.self)
      let b = expected.load(fromByteOffset: 2 * index, as: UInt16.self)
      if a != b { return "number \(index) has the bits \(a), expected \(b)" }
    }
    return nil
  }

  func bfloat16HalfDifference(_ table: KernelTable) -> String? {
    let p = parts(rows: BFloat16Arguments.tileRows)
    var numbers = Numbers()
    // Odd: the last pair has one input.
    let k = KernelCheck.k - 1
    for index in 0..<(BFloat16Arguments.tileRows * KernelCheck.k) { p.x[index] = numbers.float() }
    for index in 0..<(KernelCheck.n * k) {
      p.weights.storeBytes(of: Half(numbers.float()).bits, toByteOffset: 2 * index, as: UInt16.self)
    }
    let x = UnsafeMutableRawPointer(p.quantized.words)
    let stride = 2 * KernelCheck.k
    roundToBFloat16(
      twin, x: p.x, xRowStride: KernelCheck.k, rows: BFloat16Arguments.tileRows, k: k, into: x, outputRowStride: stride)
    let bound = Float(2 * ErrorBound.bfloat16(k: k, alpha: 1, magnitude: Double(k)))
    let blockStride = (k + 1) * 32
    let panels = [p.weights + KernelCheck.n * k * 2, UnsafeMutableRawPointer(p.quantizedTwin.words)]
    for rows in [0, 1, 2, 4, 7, BFloat16Arguments.tileRows] {
      let keepsPanel = rows == 0 || rows == BFloat16Arguments.tileRows
      for blocks in 1...BFloat16Arguments.mostBlocks {
        for (index, (table, y)) in [(table, p.got), (twin, p.expected)].enumerated() {
          for lane in 0..<(16 * blocks) { p.scratch.storeBytes(of: 1, toByteOffset: 4 * lane, as: Float.self) }
          var arguments = BFloat16HalfArguments(
            product: BFloat16Arguments(
              x: UnsafeRawPointer(x), xRowStride: stride, w: UnsafeRawPointer(panels[index]), blockStride: blockStride,
              start: UnsafePointer(p.scratch.assumingMemoryBound(to: Float.self)), startRowStride: 0, y: y,
              yRowStride: 64 * blocks, pairs: (k + 1) / 2, rows: rows, blocks: blocks, alpha: 1),
            halves: UnsafeRawPointer(p.weights), halfBlockStride: k * 32, k: k,
            panel: keepsPanel ? panels[index] : nil, ahead: UnsafeRawPointer(p.weights))
          table.bfloat16Half(&arguments)
        }
        if let why = firstDifference(p, rows: rows, n: 16 * blocks, bound: bound) { return why }
        for index in 0..<(keepsPanel ? blocks * (k + 1) * 16 : 0) {
          let a = panels[0].load(fromByteOffset: 2 * index, as: UInt16.self)
          let b = panels[1].load(fromByteOffset: 2 * index, as: UInt16.self)
          if a != b { return "weight \(index) has the bits \(a), expected \(b)" }
        }
      }
    }
    return nil
  }

  func bfloat16Difference(_ table: KernelTable) -> String? {
    bfloat16Difference(table, rows: [1, 2, 4, 7, KernelCheck.rows])
  }

  func tileBFloat16Difference(_ table: KernelTable) -> String? {
    guard let kernel = table.tileBFloat16 else { return "there is none" }
    var changed = table
    changed.bfloat16 = kernel
    return bfloat16Difference(changed, rows: [BFloat16Arguments.matrixRows, KernelCheck.mostRows])
  }

  private func bfloat16Difference(_ table: KernelTable, rows all: [Int]) -> String? {
    let most = all.max() ?? 0
    let p = parts(rows: most)
    var numbers = Numbers()
    for index in 0..<(most * KernelCheck.k) { p.x[index] = numbers.float() }
    for index in 0..<(KernelCheck.n * KernelCheck.k) {
      p.weights.storeBytes(of: bfloat16(numbers.float()), toByteOffset: 2 * index, as: UInt16.self)
    }
    let x = UnsafeMutableRawPointer(p.quantized.words)
    roundToBFloat16(
      twin, x: p.x, xRowStride: KernelCheck.k, rows: most, k: KernelCheck.k, into: x,
      outputRowStride: 2 * KernelCheck.k)
    let bound = Float(2 * ErrorBound.bfloat16(k: KernelCheck.k, alpha: 1, magnitude: Double(KernelCheck.k)))
    for rows in all {
      // Two blocks and one, then one and a part of one.
      for n in [KernelCheck.n, 16, 5] {
        for (table, y) in [(table, p.got), (twin, p.expected)] {
          matmulBFloat16(
            table, x: x, xRowStride: 2 * KernelCheck.k, rows: rows, panel: p.weights, n: n, pairs: KernelCheck.k / 2,
            alpha: 1, y: y, yRowStride: n, scratch: p.scratch)
        }
        if let why = firstDifference(p, rows: rows, n: n, bound: bound) { return why }
      }
    }
    return nil
  }
}
