import Base

/// The sizes of a table stored row by row: an embedding table, of which a run reads a few whole rows.
public struct RowTableShape: Hashable, Sendable {
  public let rows: Int
  public let k: Int
  public let groups: Int
  public let codeByteCount: Int
  public let scaleByteCount: Int
  public let totalByteCount: Int

  /// - Throws: `.outOfRange` for a size below 1 or byte counts that overflow, `.unsupported` for a group size other
  ///   than 64.
  public init(rows: Int, k: Int, groupSize: Int = 64) throws(AdaptQError) {
    if rows < 1 { throw AdaptQError(.outOfRange, "table rows: \(rows) is below 1") }
    if k < 1 { throw AdaptQError(.outOfRange, "table columns: \(k) is below 1") }
    if groupSize != 64 { throw .unsupported("group size: \(groupSize), only 64 is supported") }
    self.rows = rows
    self.k = k
    groups = try roundedUp(k, to: 64) / 64
    codeByteCount = try checkedProduct(rows, k, "bytes of the table's codes")
    scaleByteCount = try checkedProduct(rows, checkedProduct(groups, 4, "scales"), "bytes of the table's scales")
    totalByteCount = try checkedSum(codeByteCount, scaleByteCount, "bytes of the table")
    _ = try checkedProduct(codeByteCount, MemoryLayout<Float>.stride, "bytes of the weights")
  }

  /// Bytes per weight, scales included.
  public var bytesPerWeight: Double { Double(totalByteCount) / (Double(rows) * Double(k)) }
}

/// A table of 8-bit codes stored row by row, in memory that someone else owns. Trivial.
///
/// Codes are `[row][k]`, one byte each, without padding; scales are `[row][group]` pairs of f16 `s` and f16 `lo`. Meaning
/// and rounding are those of the nested matrix.
public struct RowTable: BitwiseCopyable, @unchecked Sendable {
  public var codes: UnsafeRawPointer
  public var scales: UnsafeRawPointer
  public var factor: Float
  public var rows: Int
  public var k: Int
  public var groups: Int

  @inlinable public init(codes: UnsafeRawPointer, scales: UnsafeRawPointer, factor: Float, shape: RowTableShape) {
    self.codes = codes
    self.scales = scales
    self.factor = factor
    rows = shape.rows
    k = shape.k
    groups = shape.groups
  }

  /// Encodes `shape.rows` rows of `shape.k` weights and returns the factor to store beside them.
  ///
  /// - Parameters:
  ///   - codes: `shape.codeByteCount` bytes, written completely.
  ///   - scales: `shape.scaleByteCount` bytes, written completely.
  /// - Throws: `.invalidArgument` naming row and column of a weight that is not finite; nothing is written then.
  public static func encode(
    weights: UnsafePointer<Float>, rowStride: Int, shape: RowTableShape, codes: UnsafeMutableRawPointer,
    scales: UnsafeMutableRawPointer
  ) throws(AdaptQError) -> Float {
    let factor = try siteFactor(weights, rows: shape.rows, columns: shape.k, rowStride: rowStride)
    let multiplier = 1 / factor
    withUnsafeTemporaryAllocation(byteCount: 256 + 64, alignment: 64) { scratch in
      guard let base = scratch.baseAddress else { return }
      let scaled = base.bindMemory(to: Float.self, capacity: 64)
      let coded = (base + 256).bindMemory(to: UInt8.self, capacity: 64)
      for row in 0..<shape.rows {
        for group in 0..<shape.groups {
          let count = min(64, shape.k - group * 64)
          scaleGroup(
            weights + (row &* rowStride &+ group &* 64), count: count, multiplier: multiplier, into: scaled)
          let scale = codeGroup(scaled, count: count, codes: coded)
          (codes + (row &* shape.k &+ group &* 64)).copyMemory(from: coded, byteCount: count)
          let pair = scales + (row &* shape.groups &+ group) &* 4
          pair.storeBytes(of: scale.step.bits.littleEndian, as: UInt16.self)
          pair.storeBytes(of: scale.minimum.bits.littleEndian, toByteOffset: 2, as: UInt16.self)
        }
      }
    }
    return factor
  }

  /// The weight at `row`, `column`: the plain twin of ``readRow(_:into:)``. Indices are not checked.
  public func value(_ row: Int, _ column: Int) -> Float {
    let pair = (row * groups + column / 64) * 4
    let step = Half(bits: UInt16(littleEndian: scales.loadUnaligned(fromByteOffset: pair, as: UInt16.self)))
    let minimum = Half(bits: UInt16(littleEndian: scales.loadUnaligned(fromByteOffset: pair + 2, as: UInt16.self)))
    return reconstruct(
      code: codes.load(fromByteOffset: row * k + column, as: UInt8.self), step: step.float, minimum: minimum.float,
      factor: factor, level: .int8)
  }

  /// Writes the `k` weights of `row`, bit for bit those of ``value(_:_:)``. The row is not checked.
  public func readRow(_ row: Int, into output: UnsafeMutablePointer<Float>) {
    let source = codes + row &* k
    let pairs = scales + (row &* groups) &* 4
    let target = UnsafeMutableRawPointer(output)
    let magic = SIMD16<Float>(repeating: 0x1p23)
    for group in 0..<groups {
      let stepBits = pairs.loadUnaligned(fromByteOffset: group &* 4, as: UInt16.self)
      let minimumBits = pairs.loadUnaligned(fromByteOffset: group &* 4 &+ 2, as: UInt16.self)
      let step = Half(bits: UInt16(littleEndian: stepBits)).float
      let minimum = Half(bits: UInt16(littleEndian: minimumBits)).float
      var column = group &* 64
      let end = min(column &+ 64, k)
      while column &+ 16 <= end {
        let bytes = source.loadUnaligned(fromByteOffset: column, as: SIMD16<UInt8>.self)
        // Integers below 2²³ become floats by writing them into the significand of 2²³.
        let bits = SIMD16<UInt32>(truncatingIfNeeded: bytes) | 0x4B00_0000
        let middle = (unsafeBitCast(bits, to: SIMD16<Float>.self) - magic) + 0.5
        let value = (middle * step + minimum) * factor
        target.storeBytes(of: value, toByteOffset: column &* 4, as: SIMD16<Float>.self)
        column &+= 16
      }
      while column < end {
        let middle = Float(source.load(fromByteOffset: column, as: UInt8.self)) + 0.5
        output[column] = (middle * step + minimum) * factor
        column &+= 1
      }
    }
  }
}
