import Base
import NestedFormat
import TestSupport
import Testing

/// Forms besides the standard one: group sizes and kinds of scales, with the bytes read a second time.
@Suite struct FormTests {
  static let forms: [NestedForm] = ScaleKind.allCases.flatMap { kind in
    [64, 128, NestedForm.allInputs].compactMap { try? NestedForm(groupSize: $0, scaleKind: kind) }
  }
  static let shapes = [(1, 1), (16, 64), (17, 65), (3, 128), (20, 129), (33, 192), (5, 300), (48, 640), (2, 1030)]

  @Test(arguments: FormTests.forms)
  func sizes(form: NestedForm) throws {
    for (n, k) in Self.shapes {
      let shape = try NestedShape(n: n, k: k, form: form)
      let perGroup = form.groupSize == NestedForm.allInputs ? k : form.groupSize
      #expect(shape.groups == (k + perGroup - 1) / perGroup, "\(form) \(n) x \(k)")
      let line = [ScaleKind.stepAndMinimum: 64, .symmetric: 32, .perOutput: 128][form.scaleKind]
      #expect(shape.scaleByteCount == (n + 15) / 16 * shape.groups * (line ?? 0), "\(form) \(n) x \(k)")
    }
  }

  /// Every level is off by half its bin at most; the kinds without a minimum by half a step at 8 bits.
  @Test(arguments: FormTests.forms)
  func staysWithinHalfABin(form: NestedForm) throws {
    var random = SeededRandom("FormTests.staysWithinHalfABin")
    for (n, k) in Self.shapes {
      for scale: Float in [0.05, 3e20, 2e-20] {
        let values = gaussianWeights(n * k, &random, scale: scale)
        let matrix = try NestedMatrix(weights: values, shape: NestedShape(n: n, k: k, form: form))
        let view = matrix.view
        try view.validate("test")
        for row in 0..<n {
          for column in 0..<k {
            let weight = values[row * k + column]
            let (step, minimum, zero) = read(matrix, row, column)
            for level in Level.nested {
              let bin = Double(1 << (8 - level.bits))
              let code = Double(view.code(row, column) >> UInt8(8 - level.bits)) * bin
              let isExact = form.scaleKind != .stepAndMinimum && level == .int8
              let center = isExact ? 0 : bin / 2
              let expected = Double(matrix.factor) * (minimum + step * (code + center - zero))
              let got = Double(view.value(row, column, level))
              let rounding = Double(matrix.factor) * (minimum.magnitude + step * 512) * 0x1p-22
              #expect((got - expected).magnitude <= rounding, "\(form) \(n) x \(k) at \(row), \(column) \(level)")
              // Rounding codes instead of cutting them off moves what falls into a wider bin by up to half a step.
              let half = isExact ? 0.5 : bin / 2 + (form.scaleKind == .stepAndMinimum ? 0 : 0.5)
              var bound = Double(matrix.factor) * step * half * (1 + 1e-6) + rounding
              // A group of equal weights has its minimum rounded to nearest.
              if step == 0 { bound += Double(weight.magnitude) * 0x1p-11 + Double(matrix.factor) * 0x1p-14 }
              #expect(
                (Double(weight) - got).magnitude <= bound,
                "\(form) \(n) x \(k) at \(row), \(column) \(level): \(got) for \(weight)")
            }
          }
        }
        for row in 0..<(view.nBlocks * 16) {
          for column in 0..<(view.kBlocks * 64) where row >= n || column >= k {
            #expect(view.code(row, column) == 0, "\(form) \(n) x \(k): padding \(row), \(column)")
          }
        }
      }
    }
  }

  /// Step, minimum and zero point by `docs/nested-format.md`.
  private func read(_ matrix: NestedMatrix, _ row: Int, _ column: Int) -> (Double, Double, Double) {
    let shape = matrix.shape
    let group = shape.form.groupSize == NestedForm.allInputs ? 0 : column / shape.form.groupSize
    let bytes = matrix.storage.bytes
    let scales = 4 * shape.planeByteCount
    func half(_ at: Int) -> Double {
      Double(Half(bits: UInt16(bytes[scales + at]) | UInt16(bytes[scales + at + 1]) << 8).float)
    }
    func single(_ at: Int) -> Double {
      var bits: UInt32 = 0
      for byte in 0..<4 { bits |= UInt32(bytes[scales + at + byte]) << UInt32(8 * byte) }
      return Double(Float(bitPattern: bits))
    }
    let line = row / 16 * shape.groups + group
    switch shape.form.scaleKind {
    case .stepAndMinimum: return (half(line * 64 + row % 16 * 2), half(line * 64 + 32 + row % 16 * 2), 0)
    case .symmetric: return (half(line * 32 + row % 16 * 2), 0, 128)
    case .perOutput: return (single(line * 128 + row % 16 * 4), 0, single(line * 128 + 64 + row % 16 * 4))
    }
  }

  @Test func zerosAndConstantsSurvive() throws {
    for form in Self.forms {
      for value: Float in [0, 1, -3, 0x1p-130] {
        let values = [Float](repeating: value, count: 3 * 200)
        let view = try NestedMatrix(weights: values, shape: NestedShape(n: 3, k: 200, form: form))
        try view.view.validate("test")
        let got = view.view.value(1, 150, .int8)
        #expect((got - value).magnitude <= value.magnitude * 0x1p-7 + 0x1p-126, "\(form): \(got) for \(value)")
      }
    }
  }

  @Test func damagedScalesAreRefused() throws {
    var random = SeededRandom("FormTests.damagedScalesAreRefused")
    let values = gaussianWeights(20 * 200, &random)
    for form in Self.forms {
      func refused(_ at: Int, _ bytes: [UInt8], _ what: String) throws {
        let matrix = try NestedMatrix(weights: values, shape: NestedShape(n: 20, k: 200, form: form))
        for (index, byte) in bytes.enumerated() {
          matrix.storage.base.storeBytes(
            of: byte, toByteOffset: 4 * matrix.shape.planeByteCount + at + index, as: UInt8.self)
        }
        #expect(throws: AdaptQError.self, "\(form): \(what)") { try matrix.view.validate("test") }
      }
      let lines = try NestedShape(n: 20, k: 200, form: form).groups
      // Of the second row of blocks: outputs 20 to 31 are padding.
      let second = lines * form.scaleKind.lineByteCount
      if form.scaleKind == .perOutput {
        try refused(4, [0, 0, 0x80, 0xFF], "step -infinity")
        try refused(4, [1, 0, 0, 0], "subnormal step")
        try refused(64, [0, 0, 0x80, 0xBF], "negative zero point")
        try refused(64, [0, 0, 0x80, 0x43], "zero point 256")
        try refused(64, [0, 0, 0, 0x3F], "zero point 0.5")
        try refused(second + 4 * 6, [0, 0, 0x80, 0x3F], "step of padding")
      } else {
        try refused(2, [0, 0x7C], "step infinity")
        try refused(2, [1, 0], "subnormal step")
        try refused(2, [0, 0xC0], "negative step")
        try refused(second + 2 * 6, [0, 0x3C], "step of padding")
      }
    }
  }
}
