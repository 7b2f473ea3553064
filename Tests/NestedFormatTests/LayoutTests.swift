import Base
import NestedFormat
import TestSupport
import Testing

@Suite struct LevelTests {
  @Test func namesAndValuesAreFixed() {
    #expect(Level.allCases.map(\.rawValue) == [2, 4, 6, 8, 16, 32])
    #expect(Level.allCases.map(\.name) == ["INT2", "INT4", "INT6", "INT8", "FP16", "FP32"])
    #expect(Level.allCases.map(\.planes) == [1, 2, 3, 4, 0, 0])
    #expect(Level.nested == Level.allCases.filter(\.isNested))
    for level in Level.allCases { #expect(Level(name: level.name) == level) }
    #expect(Level(name: "int8") == nil)
    #expect(Level.allCases == Level.allCases.sorted())
  }
}

@Suite struct NestedShapeTests {
  @Test func sizesOfEveryTail() throws {
    for n in 1...34 {
      for k in 1...130 {
        let shape = try NestedShape(n: n, k: k)
        #expect(shape.nBlocks == (n + 15) / 16 && shape.kBlocks == (k + 63) / 64 && shape.groups == shape.kBlocks)
        #expect(shape.planeByteCount == shape.nBlocks * shape.kBlocks * 256)
        #expect(shape.scaleByteCount == shape.nBlocks * shape.kBlocks * 64)
        #expect(shape.totalByteCount == shape.nBlocks * shape.kBlocks * (1024 + 64))
      }
    }
  }

  @Test func bytesPerWeight() throws {
    let shape = try NestedShape(n: 384, k: 1536)
    #expect(Level.nested.map(shape.bytesPerWeight) == [0.3125, 0.5625, 0.8125, 1.0625])
    #expect(shape.bytesPerWeight(.fp16) == 0)
  }

  @Test func refuses() {
    #expect(throws: AdaptQError(.unsupported, "group size: 32, only 64, 128 and 0 (all inputs) are supported")) {
      try NestedForm(groupSize: 32)
    }
    for size in [64, 128] {
      #expect(throws: AdaptQError.self) { try NestedForm(groupSize: size, scaleKind: .perOutput) }
    }
    for (n, k) in [(0, 1), (1, 0), (-1, 5), (Int.max, 1), (1, Int.max), (1 << 31, 1 << 31), (1 << 30, 1 << 31)] {
      #expect(throws: AdaptQError.self, "\(n) x \(k)") { try NestedShape(n: n, k: k) }
    }
  }
}

@Suite struct PlaneLayoutTests {
  /// The layout written down a second time, bit by bit, from `docs/nested-format.md`.
  func expectedPlaneByte(_ codes: [[UInt8]], plane p: Int, vector q: Int, byte i: Int) -> UInt8 {
    var byte: UInt8 = 0
    for r in 0..<4 {
      let code = codes[i / 4][4 * (4 * q + r) + i % 4]
      for bit in 0..<2 where code & (1 << UInt8(6 - 2 * p + bit)) != 0 {
        byte |= 1 << UInt8((6 - 2 * p + 2 * r) % 8 + bit)
      }
    }
    return byte
  }

  /// Weights whose codes are `codes`: with 0 and 256 in the group, `lo` = 0 and `s` = 1 times a power of two.
  func weights(for codes: [[UInt8]]) -> [Float] {
    codes.flatMap { row in row.map { $0 == 255 ? 256 : Float($0) + ($0 == 0 ? 0 : 0.5) } }
  }

  /// Every code in every position of a block. Each row carries a 0 and a 255 so that its codes are what was asked for;
  /// the second round puts them elsewhere, so that no pair of code and position is left out.
  @Test func everyCodeInEveryPosition() throws {
    var seen = [Set<UInt8>](repeating: [], count: 1024)
    for round in 0..<512 {
      var codes = [[UInt8]](repeating: [UInt8](repeating: 0, count: 64), count: 16)
      for row in 0..<16 {
        for column in 0..<64 { codes[row][column] = UInt8(truncatingIfNeeded: 7 * column + 16 * row + round) }
        let fixed = round + row + round / 256 * 32
        codes[row][fixed % 64] = 0
        codes[row][(fixed + 1) % 64] = 255
        for column in 0..<64 { seen[row * 64 + column].insert(codes[row][column]) }
      }
      let encoded = try Encoded(GuardedBuffer(weights(for: codes)), n: 16, k: 64)
      var wrong = 0
      for row in 0..<16 {
        for column in 0..<64 where encoded.view.code(row, column) != codes[row][column] { wrong += 1 }
      }
      for p in 0..<4 {
        for q in 0..<4 {
          for i in 0..<64 {
            let expected = expectedPlaneByte(codes, plane: p, vector: q, byte: i)
            if encoded.planes[p][64 * q + i] != expected { wrong += 1 }
          }
        }
      }
      #expect(wrong == 0, "round \(round)")
    }
    #expect(seen.allSatisfy { $0.count == 256 })
  }

  /// All 256 codes read through every number of planes from one position per field: level `b` sees the `b` top bits.
  @Test func everySplitOfEveryCode() throws {
    let shape = try NestedShape(n: 16, k: 64)
    let planes = (0..<4).map { _ in GuardedBuffer<UInt8>(count: 256) }
    let scales = GuardedBuffer<UInt8>(count: 64)
    for row in 0..<16 {
      scales[2 * row + 1] = 0x3C  // s = 1
    }
    for code in 0..<256 {
      for r in 0..<4 {
        for plane in planes { for index in 0..<256 { plane[index] = 0 } }
        let column = 4 * (4 * 2 + r) + 3
        for p in 0..<4 {
          let field = UInt8(code >> (6 - 2 * p)) & 3
          planes[p][64 * 2 + 4 * 5 + 3] = field << UInt8((6 - 2 * p + 2 * r) % 8)
        }
        for level in Level.nested {
          let raw = (0..<4).map { $0 < level.planes ? UnsafeRawPointer(planes[$0].base) : nil }
          let view = NestedView(
            plane0: raw[0], plane1: raw[1], plane2: raw[2], plane3: raw[3], scales: scales.base, factor: 2,
            shape: shape)
          let width = 1 << (8 - level.bits)
          #expect(Int(view.code(5, column)) == code / width * width)
          #expect(view.value(5, column, level) == 2 * Float(width) * (Float(code / width) + 0.5))
          #expect(view.holds(level))
          if let finer = Level.nested.first(where: { $0 > level }) { #expect(!view.holds(finer)) }
        }
      }
    }
  }

  @Test func blockOrder() throws {
    // Only one weight is not 0: its block, and no other, has plane bytes.
    for (row, column) in [(0, 0), (17, 0), (0, 64), (40, 130), (47, 191)] {
      var weights = [Float](repeating: 0, count: 48 * 192)
      weights[row * 192 + column] = 1
      let encoded = try Encoded(GuardedBuffer(weights), n: 48, k: 192)
      let block = (row / 16) * 3 + column / 64
      for p in 0..<4 {
        let used = Set((0..<encoded.planes[p].count).filter { encoded.planes[p][$0] != 0 }.map { $0 / 256 })
        #expect(used == [block])
      }
      #expect(Set((0..<encoded.scales.count).filter { encoded.scales[$0] != 0 }.map { $0 / 64 }) == [block])
    }
  }

  /// The example of `docs/nested-format.md`.
  @Test func workedExample() throws {
    var weights = [Float](repeating: 0, count: 32 * 128)
    for column in 64..<128 { weights[21 * 128 + column] = -1 }
    weights[21 * 128 + 127] = 1
    weights[21 * 128 + 105] = 0.3
    let encoded = try Encoded(GuardedBuffer(weights), n: 32, k: 128)
    #expect(encoded.view.factor == 0x1p-13)
    #expect(encoded.view.code(21, 105) == 166)
    #expect(Level.nested.map { encoded.view.value(21, 105, $0) } == [0.25, 0.3125, 0.296875, 0.30078125])
    #expect(encoded.planes.map { $0[917] } == [0x08, 0x02, 0x40, 0x20])
    #expect([202, 203, 234, 235].map { encoded.scales[$0] } == [0x00, 0x54, 0x00, 0xF0])
  }
}
