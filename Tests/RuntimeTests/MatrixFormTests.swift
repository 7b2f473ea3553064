import Base
import Hardware
import Kernels
import NestedFormat
import TestSupport
import Testing

@testable import Runtime

/// Matrices of every form of nested weights, against sums in Double over what the codes stand for.
@Suite struct MatrixFormTests {
  private static let generated = KernelSet(features: KernelFeatures(CPUFeatures.live()))
  static let forms = [NestedForm.standard] + KernelCatalog.otherForms

  private struct Made {
    let matrix: Matrix
    let set: KernelSet
  }

  private func make(_ source: MatrixSource) throws -> Made {
    let set = Self.generated.serving(source.form)
    return Made(
      matrix: try Matrix(source, options: MatrixOptions(), kernels: set.table, kernelOwner: set), set: set)
  }

  private func multiply(_ matrix: Matrix, _ level: Level, rows: Int, _ x: [Float]) -> [Float] {
    let input = GuardedBuffer<Float>(x)
    let y = GuardedBuffer<Float>(count: rows * matrix.n)
    var call = MatrixCall(level: level, rows: rows, y: y.base, yStride: matrix.n)
    call.x = UnsafePointer(input.base)
    call.xStride = matrix.k
    matrix.handle.multiply(call, workspace: matrix.handle.workspace)
    return (0..<y.count).map { y[$0] }
  }

  /// Codes of one row, and what they stand for.
  private func coded(_ x: ArraySlice<Float>, _ form: NestedForm) -> [Double] {
    let x = Array(x)
    let size = form.activations == .perRow ? max(x.count, 1) : 64
    return stride(from: 0, to: x.count, by: size).flatMap { start -> [Double] in
      let part = x[start..<min(start + size, x.count)]
      let largest = part.map(\.magnitude).max() ?? 0
      return part.map {
        largest == 0 ? 0 : Double(largest / 127) * Double(($0 * (127 / largest)).rounded(.toNearestOrEven))
      }
    }
  }

  @Test(arguments: MatrixFormTests.forms)
  func multipliesWhatItStores(form: NestedForm) throws {
    var random = SeededRandom("MatrixFormTests.multipliesWhatItStores")
    for (n, k) in [(1, 1), (17, 65), (40, 200), (33, 640)] {
      let weights = GuardedBuffer<Float>((0..<(n * k)).map { _ in random.normal() * 0.1 })
      var source = MatrixSource(n: n, k: k, weights: UnsafeRawPointer(weights.base))
      source.form = form
      let made = try make(source)
      #expect(made.matrix.form == form)
      let view = try #require(made.matrix.forms.nested)
      for rows in [1, 3, 7, 16] {
        let x = (0..<(rows * k)).map { _ in random.normal() }
        for level in Level.nested {
          let got = multiply(made.matrix, level, rows: rows, x)
          for row in 0..<rows {
            let input = coded(x[(row * k)..<((row + 1) * k)], form)
            for output in 0..<n {
              var (sum, magnitude) = (0.0, 0.0)
              for column in 0..<k {
                let weight = Double(view.value(output, column, level))
                sum += weight * input[column]
                magnitude += input[column].magnitude * (2 * weight.magnitude + 2.4)
              }
              var bound = ErrorBound.nested(groups: (k + 63) / 64, magnitude: magnitude)
              if made.set.table.readsWords(level, rows: rows) { bound += magnitude * 0x1p-9 }
              let value = Double(got[row * n + output])
              #expect(
                (value - sum).magnitude <= bound, "\(form) \(n) x \(k) \(level) rows \(rows): \(value), not \(sum)")
            }
          }
        }
      }
    }
  }

  /// What quantizing apart leaves gives the bits that multiplying floats gives.
  @Test(arguments: MatrixFormTests.forms)
  func codesGiveTheSameBits(form: NestedForm) throws {
    var random = SeededRandom("MatrixFormTests.codesGiveTheSameBits")
    let (n, k, rows) = (20, 200, 9)
    let weights = GuardedBuffer<Float>((0..<(n * k)).map { _ in random.normal() * 0.1 })
    var source = MatrixSource(n: n, k: k, weights: UnsafeRawPointer(weights.base))
    source.form = form
    let made = try make(source)
    var x = (0..<(rows * k)).map { _ in random.normal() }
    for column in 0..<k { x[2 * k + column] = 0 }
    x[4 * k + 190] = .infinity
    let input = GuardedBuffer<Float>(x)
    let handle = made.matrix.handle
    let codes = GuardedBuffer<Int8>(count: rows * k)
    let scales = GuardedBuffer<Float>(count: rows * handle.groups)
    handle.quantizeRows(
      UnsafePointer(input.base), xStride: k, rows: rows, codes: codes.base, codeStride: k, scales: scales.base,
      scaleStride: handle.groups)
    for level in Level.nested {
      let expected = multiply(made.matrix, level, rows: rows, x)
      let y = GuardedBuffer<Float>(count: rows * n)
      var call = MatrixCall(level: level, rows: rows, y: y.base, yStride: n)
      (call.codes, call.codeStride) = (UnsafePointer(codes.base), k)
      (call.scales, call.scaleStride) = (UnsafePointer(scales.base), handle.groups)
      handle.multiply(call, workspace: handle.workspace)
      for index in 0..<(rows * n) {
        let isPoisoned = index / n == 4
        #expect(
          isPoisoned ? y[index].isNaN && expected[index].isNaN : y[index] == expected[index],
          "\(form) \(level) at \(index): \(y[index]), expected \(expected[index])")
      }
    }
  }

  /// Codes of other libraries: every weight is exactly `step · (code − zero point)`, in any layout.
  @Test(arguments: [MatrixSource.Element.int8, .uint8], [false, true])
  func foreignCodesAreExact(element: MatrixSource.Element, transposed: Bool) throws {
    var random = SeededRandom("MatrixFormTests.foreignCodesAreExact")
    for activations in ActivationScales.allCases {
      for (n, k) in [(1, 1), (16, 64), (19, 130), (50, 333)] {
        let isSigned = element == .int8
        let values = (0..<(n * k)).map { _ in Int.random(in: isSigned ? -128...127 : 0...255, using: &random) }
        let bytes = GuardedBuffer<UInt8>(
          (0..<(n * k)).map { index in
            let (row, column) = transposed ? (index % n, index / n) : (index / k, index % k)
            return UInt8(truncatingIfNeeded: values[row * k + column])
          })
        let steps = GuardedBuffer<Float>((0..<n).map { $0 % 7 == 3 ? 0 : Float.random(in: 1e-6...3, using: &random) })
        let zeros = (0..<n).map { _ in Int32.random(in: isSigned ? -128...127 : 0...255, using: &random) }
        let zeroBuffer = GuardedBuffer<Int32>(zeros)
        var source = MatrixSource(n: n, k: k, weights: UnsafeRawPointer(bytes.base))
        source.element = element
        source.form = try NestedForm(
          groupSize: NestedForm.allInputs, scaleKind: .perOutput, activations: activations)
        (source.rowStride, source.columnStride) = transposed ? (1, n) : (k, 1)
        source.steps = UnsafeRawPointer(steps.base)
        source.zeroPoints = n == 16 ? nil : UnsafeRawPointer(zeroBuffer.base)
        let made = try make(source)
        let view = try #require(made.matrix.forms.nested)
        try view.validate("test")
        for row in 0..<n {
          for column in 0..<k {
            let zero = n == 16 ? 0 : Int(zeros[row])
            let expected = steps[row] * Float(values[row * k + column] - zero)
            #expect(view.value(row, column, .int8) == expected, "\(n) x \(k) at \(row), \(column)")
          }
        }
        let x = (0..<(2 * k)).map { _ in random.normal() }
        let got = multiply(made.matrix, .int8, rows: 2, x)
        let input = coded(x[k..<(2 * k)], source.form)
        for row in 0..<n {
          var (sum, magnitude) = (0.0, 0.0)
          for column in 0..<k {
            sum += Double(view.value(row, column, .int8)) * input[column]
            magnitude += input[column].magnitude * Double(steps[row]) * 512
          }
          let bound = ErrorBound.nested(groups: (k + 63) / 64, magnitude: magnitude)
          let words = made.set.table.readsWords(.int8, rows: 2) ? magnitude * 0x1p-9 : 0
          #expect((Double(got[n + row]) - sum).magnitude <= bound + words, "\(n) x \(k) output \(row)")
        }
      }
    }
  }

  @Test func refusesWhatCodesCannotBe() throws {
    let bytes = GuardedBuffer<UInt8>(count: 64)
    let steps = GuardedBuffer<Float>([1, 1])
    let zeros = GuardedBuffer<Int32>([0, 0])
    func refusal(_ message: String, _ change: (inout MatrixSource) throws -> Void) throws {
      var source = MatrixSource(n: 2, k: 32, weights: UnsafeRawPointer(bytes.base))
      source.element = .int8
      source.form = try NestedForm(groupSize: NestedForm.allInputs, scaleKind: .perOutput)
      source.steps = UnsafeRawPointer(steps.base)
      source.zeroPoints = UnsafeRawPointer(zeros.base)
      try change(&source)
      do {
        _ = try make(source)
        Issue.record("accepted: \(message)")
      } catch let error as AdaptQError {
        #expect(error.message.hasPrefix(message), "\(error.message)")
      }
    }
    try refusal("weight_scales is NULL") { $0.steps = nil }
    try refusal("weight_scales and zero_points are for") { $0.element = .bfloat16 }
    try refusal("scale_kind is 0") { $0.form = .standard }
    try refusal("keep is not 0") { $0.keep = [.fp16] }
    for bad: Float in [-1, .nan, .infinity, 1e-40] {
      steps[1] = bad
      try refusal("weight_scales: element 1 is") { _ in }
    }
    steps[1] = 1
    zeros[1] = 128
    try refusal("zero_points: element 1 is 128") { _ in }
    zeros[1] = -1
    try refusal("zero_points: element 1 is -1") { $0.element = .uint8 }
  }

  /// A form's kernels are those of its own, and nothing stays portable where the standard form has generated ones.
  @Test func everyFormHasItsKernels() throws {
    for form in KernelCatalog.otherForms {
      let set = Self.generated.serving(form)
      for entry in set.entries { #expect(entry.whyNot == nil, "\(form): \(entry)") }
      #expect(set.table.form == form)
      #expect(set.entries.isEmpty == KernelCatalog.specs(for: set.features, levels: Level.nested, form: form).isEmpty)
    }
  }
}
