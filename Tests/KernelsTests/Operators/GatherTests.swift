import Kernels
import NestedFormat
import TestSupport
import Testing

@Suite struct GatherTests {
  @Test(arguments: bothEdges) func rowsOfBothTables(_ atEnd: Bool) throws {
    var random = SeededRandom("rowsOfBothTables")
    for width in 1...70 {
      let rows = 5
      let shape = try RowTableShape(rows: rows, k: width)
      let weights = guarded(normals(rows * width, &random), atEnd: atEnd)
      let codes = guarded(UInt8.self, shape.codeByteCount, atEnd: atEnd)
      let scales = guarded(UInt8.self, shape.scaleByteCount, atEnd: atEnd)
      let factor = try RowTable.encode(
        weights: weights.base, rowStride: width, shape: shape, codes: codes.base, scales: scales.base)
      let table = RowTable(codes: codes.base, scales: scales.base, factor: factor, shape: shape)
      let picks = [4, 0, 3, 3, 1]
      let long = GuardedBuffer(picks.map { Int64($0) })
      let short = GuardedBuffer(picks.map { Int32($0) })
      let stride = width + width % 3
      for kind in 0..<4 {
        let y = guarded(Float.self, (picks.count - 1) * stride + width, atEnd: atEnd)
        let bad =
          switch kind {
          case 0: Operators.gatherRows(table, ids: long.base, count: picks.count, y.base, yStride: stride)
          case 1: Operators.gatherRows(table, ids: short.base, count: picks.count, y.base, yStride: stride)
          case 2:
            Operators.gatherRows(
              weights.base, rows: rows, width: width, rowStride: width, ids: long.base, count: picks.count, y.base,
              yStride: stride)
          default:
            Operators.gatherRows(
              weights.base, rows: rows, width: width, rowStride: width, ids: short.base, count: picks.count, y.base,
              yStride: stride)
          }
        #expect(bad == -1)
        for (index, pick) in picks.enumerated() {
          for column in 0..<width {
            let expected = kind < 2 ? table.value(pick, column) : weights[pick * width + column]
            #expect(y[index * stride + column] == expected, "width \(width), kind \(kind)")
          }
        }
      }
    }
  }

  @Test func namesTheFirstBadNumberAndWritesNothing() throws {
    let weights = GuardedBuffer([Float](repeating: 1, count: 4 * 8))
    let y = GuardedBuffer<Float>(count: 3 * 8)
    for (bad, position) in [(Int64(4), 2), (-1, 0), (.max, 1), (.min, 2), (1 << 32, 1)] {
      var ids: [Int64] = [0, 1, 2]
      ids[position] = bad
      ids[2] = max(ids[2], 4)
      let found = Operators.gatherRows(
        weights.base, rows: 4, width: 8, rowStride: 8, ids: ids, count: 3, y.base, yStride: 8)
      #expect(found == position && y.array.allSatisfy { $0 == 0 })
    }
    let short: [Int32] = [3, -1]
    #expect(
      Operators.gatherRows(weights.base, rows: 4, width: 8, rowStride: 8, ids: short, count: 2, y.base, yStride: 8) == 1
    )
    #expect(
      Operators.gatherRows(weights.base, rows: 4, width: 8, rowStride: 8, ids: short, count: 0, y.base, yStride: 8)
        == -1)
  }
}
