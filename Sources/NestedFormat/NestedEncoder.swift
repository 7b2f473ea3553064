import Base

/// Turns float weights into nested planes and scales. The rule is the one of `docs/nested-format.md`.
public enum NestedEncoder {
  public typealias Planes = (
    UnsafeMutableRawPointer, UnsafeMutableRawPointer, UnsafeMutableRawPointer, UnsafeMutableRawPointer
  )

  /// Encodes `shape.n` rows of `shape.k` weights and returns the factor to store beside them.
  ///
  /// - Parameters:
  ///   - weights: row-major; only the `k` first elements of each row are read.
  ///   - rowStride: distance of two rows in elements, at least `k`.
  ///   - planes: four buffers of `shape.planeByteCount` bytes, most significant plane first; written completely.
  ///   - scales: a buffer of `shape.scaleByteCount` bytes; written completely.
  /// - Throws: `.invalidArgument` naming row and column of a weight that is not finite; nothing is written then.
  public static func encode(
    weights: UnsafePointer<Float>, rowStride: Int, shape: NestedShape, planes: Planes,
    scales: UnsafeMutableRawPointer
  ) throws(AdaptQError) -> Float {
    let factor = try siteFactor(weights, rows: shape.n, columns: shape.k, rowStride: rowStride)
    let multiplier = 1 / factor
    let kind = shape.form.scaleKind
    let lineByteCount = kind.lineByteCount
    let shift = shape.form.groupShift
    withUnsafeTemporaryAllocation(byteCount: 1024 + 256 + 64 + 16 * MemoryLayout<GroupCoder>.stride, alignment: 64) {
      scratch in
      guard let base = scratch.baseAddress else { return }
      let tile = base.bindMemory(to: UInt32.self, capacity: 256)
      let scaled = (base + 1024).bindMemory(to: Float.self, capacity: 64)
      let codes = (base + 1280).bindMemory(to: UInt8.self, capacity: 64)
      // Of each row, for the group that the present block belongs to.
      let coders = (base + 1344).bindMemory(to: GroupCoder.self, capacity: 16)
      var line = scales
      for nBlock in 0..<shape.nBlocks {
        let rows = min(16, shape.n - nBlock * 16)
        for kBlock in 0..<shape.kBlocks {
          let block = nBlock &* shape.kBlocks &+ kBlock
          let count = min(64, shape.k - kBlock * 64)
          let isFirst = kBlock == 0 || (kBlock - 1) >> shift != kBlock >> shift
          if isFirst { line.initializeMemory(as: UInt8.self, repeating: 0, count: lineByteCount) }
          if rows < 16 { tile.update(repeating: 0, count: 256) }
          for row in 0..<rows {
            let source = weights + (nBlock &* 16 &+ row) &* rowStride
            if isFirst {
              var (lowest, highest) = (Float.infinity, -Float.infinity)
              var other = kBlock
              while other < shape.kBlocks && other >> shift == kBlock >> shift {
                let inputs = min(64, shape.k - other * 64)
                scaleGroup(source + other &* 64, count: inputs, multiplier: multiplier, into: scaled)
                let range = groupRange(scaled)
                (lowest, highest) = (min(lowest, range.lowest), max(highest, range.highest))
                other += 1
              }
              coders[row] = storeScale(kind, lowest: lowest, highest: highest, line, row)
            }
            scaleGroup(source + kBlock &* 64, count: count, multiplier: multiplier, into: scaled)
            coders[row].code(scaled, count: count, codes: codes)
            let words = UnsafeRawPointer(codes).assumingMemoryBound(to: UInt32.self)
            for vector in 0..<16 { tile[vector &* 16 &+ row] = words[vector] }
          }
          splitIntoPlanes(UnsafeRawPointer(base), planes, block &* 256)
          if kBlock + 1 == shape.kBlocks || (kBlock + 1) >> shift != kBlock >> shift { line += lineByteCount }
        }
      }
    }
    return factor
  }

  /// Puts codes that are there already into planes, which are written completely.
  public static func place(shape: NestedShape, planes: Planes, code: (_ row: Int, _ column: Int) -> UInt8) {
    withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 64) { scratch in
      guard let tile = scratch.baseAddress else { return }
      for nBlock in 0..<shape.nBlocks {
        for kBlock in 0..<shape.kBlocks {
          for byte in 0..<1024 {
            let (vector, place) = (byte / 64, byte % 64)
            let row = nBlock &* 16 &+ place / 4
            let column = kBlock &* 64 &+ vector &* 4 &+ place % 4
            let value = row < shape.n && column < shape.k ? code(row, column) : 0
            tile.storeBytes(of: value, toByteOffset: byte, as: UInt8.self)
          }
          splitIntoPlanes(UnsafeRawPointer(tile), planes, (nBlock &* shape.kBlocks &+ kBlock) &* 256)
        }
      }
    }
  }

  /// Stores the scale of a group of weights from `lowest` to `highest` in a line; returns what codes them.
  private static func storeScale(
    _ kind: ScaleKind, lowest: Float, highest: Float, _ line: UnsafeMutableRawPointer, _ row: Int
  ) -> GroupCoder {
    switch kind {
    case .stepAndMinimum:
      let scale = groupScale(lowest: lowest, highest: highest)
      line.storeBytes(of: scale.step.bits.littleEndian, toByteOffset: row &* 2, as: UInt16.self)
      line.storeBytes(of: scale.minimum.bits.littleEndian, toByteOffset: 32 &+ row &* 2, as: UInt16.self)
      return scale.coder
    case .symmetric:
      let step = halfRoundedUp(max(lowest.magnitude, highest.magnitude) / 127)
      line.storeBytes(of: step.bits.littleEndian, toByteOffset: row &* 2, as: UInt16.self)
      return GroupCoder(step: step.float, minimum: 0, zero: 128, roundsDown: false)
    case .perOutput:
      // The range with 0 in it, so that 0 has a code of its own. Both ends are below 2¹⁴: nothing overflows.
      let (low, high) = (min(lowest, 0), max(highest, 0))
      let width = (high - low) / 255
      let step = width < Float.leastNormalMagnitude ? 0 : width
      let zero = step == 0 ? 0 : (-low / step).rounded(.toNearestOrEven)
      line.storeBytes(of: step.bitPattern.littleEndian, toByteOffset: row &* 4, as: UInt32.self)
      line.storeBytes(of: zero.bitPattern.littleEndian, toByteOffset: 64 &+ row &* 4, as: UInt32.self)
      return GroupCoder(step: step, minimum: 0, zero: zero, roundsDown: false)
    }
  }

  /// Splits one block of codes, 16 vectors `v_j` of 64 bytes, into the 256 bytes it has in each plane.
  ///
  /// A code rotated left by `2r` has its plane `p` field at bit `(6 - 2p + 2r) mod 8`, which is where vector `4q + r`
  /// keeps it: one rotation per vector serves all four planes.
  static func splitIntoPlanes(_ tile: UnsafeRawPointer, _ planes: Planes, _ offset: Int) {
    // Eight bytes per lane: vectors of bytes have no shift instruction.
    let high = SIMD2<UInt64>(repeating: 0xC0C0_C0C0_C0C0_C0C0)
    let upper = SIMD2<UInt64>(repeating: 0x3030_3030_3030_3030)
    let lower = SIMD2<UInt64>(repeating: 0x0C0C_0C0C_0C0C_0C0C)
    let low = SIMD2<UInt64>(repeating: 0x0303_0303_0303_0303)
    for part in 0..<16 {
      let start: Int = (part >> 2) &* 256 &+ (part & 3) &* 16
      let source: UnsafeRawPointer = tile + start
      let v0 = source.load(as: SIMD2<UInt64>.self)
      let c1 = source.load(fromByteOffset: 64, as: SIMD2<UInt64>.self)
      let c2 = source.load(fromByteOffset: 128, as: SIMD2<UInt64>.self)
      let c3 = source.load(fromByteOffset: 192, as: SIMD2<UInt64>.self)
      let v1: SIMD2<UInt64> = ((c1 &<< 2) & ~low) | ((c1 &>> 6) & low)
      let v2: SIMD2<UInt64> = ((c2 &<< 4) & (high | upper)) | ((c2 &>> 4) & (lower | low))
      let v3: SIMD2<UInt64> = ((c3 &<< 6) & high) | ((c3 &>> 2) & ~high)
      let at = offset &+ part &* 16
      let p0: SIMD2<UInt64> = (v0 & high) | (v1 & low) | (v2 & lower) | (v3 & upper)
      let p1: SIMD2<UInt64> = (v0 & upper) | (v1 & high) | (v2 & low) | (v3 & lower)
      let p2: SIMD2<UInt64> = (v0 & lower) | (v1 & upper) | (v2 & high) | (v3 & low)
      let p3: SIMD2<UInt64> = (v0 & low) | (v1 & lower) | (v2 & upper) | (v3 & high)
      planes.0.storeBytes(of: p0, toByteOffset: at, as: SIMD2<UInt64>.self)
      planes.1.storeBytes(of: p1, toByteOffset: at, as: SIMD2<UInt64>.self)
      planes.2.storeBytes(of: p2, toByteOffset: at, as: SIMD2<UInt64>.self)
      planes.3.storeBytes(of: p3, toByteOffset: at, as: SIMD2<UInt64>.self)
    }
  }
}
