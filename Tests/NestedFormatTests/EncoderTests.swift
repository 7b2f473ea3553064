import Base
import NestedFormat
import TestSupport
import Testing

@Suite struct EncoderTests {
  /// The encoder's promise: every level is off by half its bin at most, plus rounding.
  func check(_ weights: GuardedBuffer<Float>, _ encoded: Encoded, rowStride: Int, _ what: String) throws {
    let view = encoded.view
    try view.validate("test")
    for row in 0..<view.n {
      for column in 0..<view.k {
        let weight = weights[row * rowStride + column]
        let step = view.storedStep(row, column: column) * view.factor
        for level in Level.nested {
          let value = view.value(row, column, level)
          let halfBin = step * Float(1 << (8 - level.bits)) / 2
          var bound = Double(halfBin) * (1 + 1e-6) + Double(weight.magnitude) * 0x1p-22
          if step == 0 { bound += Double(weight.magnitude) * 0x1p-11 + Double(view.factor) * 0x1p-14 }
          #expect(
            abs(Double(value) - Double(weight)) <= bound, "\(what), row \(row), column \(column), \(level.name)")
        }
      }
    }
    for row in 0..<(view.nBlocks * 16) {
      for column in 0..<(view.kBlocks * 64) where row >= view.n || column >= view.k {
        #expect(view.code(row, column) == 0, "\(what), padding \(row), \(column)")
      }
    }
  }

  @Test func staysWithinHalfABinForEveryTail() throws {
    var random = SeededRandom("staysWithinHalfABinForEveryTail")
    for n in 1...33 {
      let k = [1, 2, 3, 15, 16, 17, 31, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129][n % 17]
      let rowStride = k + n % 3
      let values = gaussianWeights((n - 1) * rowStride + k, &random)
      let weights = GuardedBuffer(values)
      try check(weights, Encoded(weights, n: n, k: k, rowStride: rowStride), rowStride: rowStride, "\(n) x \(k)")
    }
    for k in 1...130 {
      let weights = GuardedBuffer(gaussianWeights(2 * k, &random), edge: .start)
      try check(weights, Encoded(weights, n: 2, k: k), rowStride: k, "2 x \(k)")
    }
  }

  @Test func staysWithinHalfABinAtAnyMagnitude() throws {
    var random = SeededRandom("staysWithinHalfABinAtAnyMagnitude")
    for exponent in stride(from: -140, through: 126, by: 7) {
      let scale = Float(sign: .plus, exponent: exponent, significand: 1)
      let unit = (0..<(3 * 70)).map { _ in Float.random(in: -1...1, using: &random) }
      let weights = GuardedBuffer(unit.map { $0 * scale })
      let encoded = try Encoded(weights, n: 3, k: 70)
      #expect(encoded.view.factor.isNormal && encoded.view.factor.significand == 1)
      if exponent > -100 { try check(weights, encoded, rowStride: 70, "2^\(exponent)") }
      try encoded.view.validate("test")
    }
    let largest = Float.greatestFiniteMagnitude
    let weights = GuardedBuffer([largest, -largest, 0, 1] + [Float](repeating: -largest, count: 60))
    try check(weights, Encoded(weights, n: 1, k: 64), rowStride: 64, "largest")
  }

  @Test func groupsFarApart() throws {
    var random = SeededRandom("groupsFarApart")
    var values: [Float] = []
    for row in 0..<16 {
      let scale = Float(sign: .plus, exponent: -3 * row, significand: 1)
      for _ in 0..<64 { values.append((Float.random(in: -1...1, using: &random) + Float(row % 3)) * scale) }
    }
    let weights = GuardedBuffer(values)
    try check(weights, Encoded(weights, n: 16, k: 64), rowStride: 64, "groups far apart")
  }

  @Test func constantGroups() throws {
    let values: [Float] = [0, -0.0, 1, -1, 0.1, -0.1, 1e-3, 3.14159, -1e-4, 123]
    let weights = GuardedBuffer(values.flatMap { [Float](repeating: $0, count: 64) })
    let encoded = try Encoded(weights, n: values.count, k: 64)
    try check(weights, encoded, rowStride: 64, "constant groups")
    for row in 0..<values.count {
      #expect(encoded.view.storedStep(row, column: 0) == 0)
      for column in 0..<64 { #expect(encoded.view.code(row, column) == 0) }
    }
    // What f16 holds is exact at every level.
    for row in [0, 1, 2, 3, 9] {
      for level in Level.nested { #expect(encoded.view.value(row, 7, level) == values[row]) }
    }
    let zeros = GuardedBuffer([Float](repeating: 0, count: 64))
    #expect(try Encoded(zeros, n: 1, k: 64).view.factor == 1)
  }

  @Test func refusesWhatIsNotFinite() throws {
    for value in [Float.nan, .infinity, -.infinity, .signalingNaN] {
      for (row, column) in [(0, 0), (2, 15), (1, 16), (4, 99), (3, 64)] {
        let weights = GuardedBuffer([Float](repeating: 0.5, count: 5 * 100))
        weights[row * 100 + column] = value
        let error = #expect(throws: AdaptQError.self) { try Encoded(weights, n: 5, k: 100) }
        #expect(error?.status == .invalidArgument)
        #expect(error?.message == "weights: row \(row), column \(column) is \(value)")
      }
    }
    let weights = GuardedBuffer([Float](repeating: 0.5, count: 500))
    #expect(throws: AdaptQError.self) { try Encoded(weights, n: 5, k: 100, rowStride: 99) }
  }

  @Test func validationNamesTheOffence() throws {
    let weights = GuardedBuffer((0..<(3 * 100)).map { Float($0) })
    let encoded = try Encoded(weights, n: 3, k: 100)
    try encoded.view.validate("site")
    let offences: [(index: Int, bits: UInt16, text: String)] = [
      (32, 0x7C00, "step inf of row 0, group 1"), (33, 0xBC00, "step -1.0 of row 1, group 1"),
      (1, 0x0001, "row 1, group 0"), (16 + 2, 0x7E00, "minimum nan of row 2, group 0"),
      (16 + 2, 0x8001, "minimum"), (3, 0x3C00, "padding row 3, group 0"),
    ]
    for offence in offences {
      let kept = (encoded.scales[2 * offence.index], encoded.scales[2 * offence.index + 1])
      encoded.scales[2 * offence.index] = UInt8(offence.bits & 255)
      encoded.scales[2 * offence.index + 1] = UInt8(offence.bits >> 8)
      let error = #expect(throws: AdaptQError.self) { try encoded.view.validate("site") }
      #expect(error?.status == .invalidFile && error?.message.contains(offence.text) == true, "\(offence)")
      (encoded.scales[2 * offence.index], encoded.scales[2 * offence.index + 1]) = kept
    }
    for factor in [Float.nan, 0, -1, .infinity, .leastNonzeroMagnitude] {
      var view = encoded.view
      view.factor = factor
      #expect(throws: AdaptQError.self) { try view.validate("site") }
    }
  }

  /// The figures of the design, for Gaussian weights in groups of 64.
  @Test func signalToNoiseOfGaussianWeights() throws {
    var random = SeededRandom("signalToNoiseOfGaussianWeights")
    let values = gaussianWeights(64 * 512, &random)
    let matrix = try NestedMatrix(weights: values, shape: NestedShape(n: 64, k: 512))
    for (level, expected) in zip(Level.nested, [9.1, 21.1, 33.2, 45.2]) {
      let measured = signalToNoise(values, matrix.view, level)
      #expect(abs(measured - expected) <= 0.3, "\(level.name): \(measured) dB")
    }
    #expect(signalToNoise(values, matrix.view, .fp16).isNaN)
    let constant = [Float](repeating: 0.25, count: 64)
    let exact = try NestedMatrix(weights: constant, shape: NestedShape(n: 1, k: 64))
    #expect(signalToNoise(constant, exact.view, .int2) == .infinity)
  }

  @Test func decodesWithStride() throws {
    var random = SeededRandom("decodesWithStride")
    let values = gaussianWeights(5 * 70, &random)
    let matrix = try NestedMatrix(weights: values, shape: NestedShape(n: 5, k: 70))
    let output = GuardedBuffer<Float>(count: 4 * 80 + 70)
    matrix.view.decode(.int6, into: output.base, rowStride: 80)
    for row in 0..<5 {
      for column in 0..<70 { #expect(output[row * 80 + column] == matrix.view.value(row, column, .int6)) }
      if row < 4 { #expect(output[row * 80 + 70] == 0) }
    }
  }

  /// Stored bytes must not change between versions: files outlive them.
  @Test func bytesStayTheSame() throws {
    var random = SeededRandom("bytesStayTheSame")
    let values = (0..<(18 * 100)).map { _ in Float.random(in: -1...1, using: &random) }
    let matrix = try NestedMatrix(weights: values, shape: NestedShape(n: 18, k: 100))
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in matrix.storage.bytes.prefix(matrix.shape.totalByteCount) {
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
    }
    #expect(hash == 10_237_554_340_429_105_944)
    #expect(matrix.factor == 0x1p-14)
  }
}
