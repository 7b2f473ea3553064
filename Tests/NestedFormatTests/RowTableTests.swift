import Base
import NestedFormat
import TestSupport
import Testing

@Suite struct RowTableTests {
  @Test(arguments: [GuardedBuffer<Float>.Edge.start, .end])
  func everyWidthMatchesTheNestedMatrix(_ edge: GuardedBuffer<Float>.Edge) throws {
    var random = SeededRandom("everyWidthMatchesTheNestedMatrix")
    for k in 1...140 {
      let rows = 3
      let rowStride = k + k % 2
      let weights = GuardedBuffer(gaussianWeights((rows - 1) * rowStride + k, &random), edge: edge)
      let shape = try RowTableShape(rows: rows, k: k)
      #expect(shape.codeByteCount == rows * k && shape.scaleByteCount == rows * ((k + 63) / 64) * 4)
      let byteEdge: GuardedBuffer<UInt8>.Edge = edge == .end ? .end : .start
      let codes = GuardedBuffer<UInt8>(count: shape.codeByteCount, edge: byteEdge)
      let scales = GuardedBuffer<UInt8>(count: shape.scaleByteCount, edge: byteEdge)
      let factor = try RowTable.encode(
        weights: weights.base, rowStride: rowStride, shape: shape, codes: codes.base, scales: scales.base)
      let table = RowTable(codes: codes.base, scales: scales.base, factor: factor, shape: shape)
      let nested = try Encoded(weights, n: rows, k: k, rowStride: rowStride)
      let output = GuardedBuffer<Float>(count: k, edge: edge)
      for row in 0..<rows {
        table.readRow(row, into: output.base)
        for column in 0..<k {
          #expect(output[column] == table.value(row, column), "width \(k), row \(row), column \(column)")
          #expect(output[column] == nested.view.value(row, column, .int8), "width \(k), row \(row), column \(column)")
        }
      }
    }
  }

  @Test func bytesPerWeight() throws {
    #expect(try RowTableShape(rows: 30522, k: 384).bytesPerWeight == 1.0625)
    #expect(try RowTableShape(rows: 7, k: 312).bytesPerWeight < 1.07)
  }

  @Test func refuses() {
    for (rows, k) in [(0, 1), (1, 0), (Int.max, 2), (1, Int.max), (1 << 61, 1)] {
      #expect(throws: AdaptQError.self, "\(rows) x \(k)") { try RowTableShape(rows: rows, k: k) }
    }
    #expect(throws: AdaptQError(.unsupported, "group size: 128, only 64 is supported")) {
      try RowTableShape(rows: 1, k: 128, groupSize: 128)
    }
  }
}

@Suite struct DenseViewTests {
  @Test func packsEveryTail() throws {
    var random = SeededRandom("packsEveryTail")
    for n in 1...34 {
      for k in [1, 2, 5, 64, 65] {
        let rowStride = k + n % 2
        let weights = GuardedBuffer(gaussianWeights((n - 1) * rowStride + k, &random))
        for level in [Level.fp16, .fp32] {
          let shape = try DenseShape(n: n, k: k, level: level)
          #expect(shape.byteCount == (n + 15) / 16 * 16 * k * level.bits / 8)
          let bytes = GuardedBuffer<UInt8>(count: shape.byteCount)
          for index in 0..<bytes.count { bytes[index] = 0xA5 }
          try shape.pack(weights: weights.base, rowStride: rowStride, into: bytes.base)
          let view = DenseView(base: bytes.base, shape: shape)
          for row in 0..<(view.nBlocks * 16) {
            for column in 0..<k {
              let weight = row < n ? weights[row * rowStride + column] : 0
              let expected = level == .fp32 ? weight : Half(weight).float
              #expect(view.value(row, column) == expected, "\(n) x \(k), \(level.name), \(row), \(column)")
            }
          }
        }
      }
    }
  }

  @Test func byteOrder() throws {
    let weights = (0..<(17 * 3)).map { Float($0) }
    let shape = try DenseShape(n: 17, k: 3, level: .fp32)
    let packed = GuardedBuffer<Float>(count: shape.byteCount / 4)
    try shape.pack(weights: weights, rowStride: 3, into: packed.base)
    #expect(packed[2 * 16 + 5] == weights[5 * 3 + 2])
    #expect(packed[3 * 16 + 1 * 16 + 0] == weights[16 * 3 + 1])
  }

  @Test func refuses() throws {
    #expect(throws: AdaptQError.self) { try DenseShape(n: 1, k: 1, level: .int4) }
    #expect(throws: AdaptQError.self) { try DenseShape(n: Int.max, k: 1, level: .fp32) }
    #expect(throws: AdaptQError.self) { try DenseShape(n: 1 << 30, k: 1 << 31, level: .fp32) }
    let shape = try DenseShape(n: 1, k: 2, level: .fp16)
    let packed = GuardedBuffer<UInt8>(count: shape.byteCount)
    let error = #expect(throws: AdaptQError.self) {
      try shape.pack(weights: [1, 65520], rowStride: 2, into: packed.base)
    }
    #expect(error?.message.contains("row 0, column 1") == true)
  }
}
