import Base
import Glibc
import Hardware
import NestedFormat
import TestSupport
import Testing

@testable import Kernels

/// Products of random shapes, strides, levels and forms with the kernels of every instruction set that this machine has, against the
/// portable ones: where scales are 1, integers equal; else within the bound. `make test-long` looks at thousands.
@Suite struct RandomShapeTests {
  private static let count = getenv("ADAPTQ_TEST_LONG") != nil ? 6000 : 240

  /// One set of kernels per instruction set that makes a difference, with those for every form that was asked for so far.
  private final class Kernels {
    let name: String
    private var sets: [NestedForm: KernelSet]

    init?(_ maximum: InstructionSet) {
      let features = KernelFeatures(CPUFeatures.live(), maximum: maximum)
      if features.highest != maximum { return nil }
      name = maximum.name
      sets = [.standard: KernelSet(features: features)]
    }

    func table(_ form: NestedForm) -> KernelTable {
      if let set = sets[form] { return set.table }
      guard let base = sets[.standard] else { return .portable }
      let set = base.serving(form)
      sets[form] = set
      return set.table
    }
  }

  private static func twin(_ table: KernelTable) -> KernelTable {
    var twin = KernelTable.portable
    twin.form = table.form
    // The same way of multiplying, since another one rounds otherwise.
    twin.bfloat16Rows = table.bfloat16Rows
    if table.half != nil { twin.half = KernelTable.portableHalf }
    if table.int8.readsWords {
      (twin.int8, twin.words) = (KernelTable.portableWords.int8, KernelTable.portable.words)
      twin.int8.vectorRows = table.int8.vectorRows
    }
    return twin
  }

  @Test func agreeWithTheirTwins() throws {
    let sets = InstructionSet.allCases.compactMap { Kernels($0) }
    let forms = [NestedForm.standard, .standard] + KernelCatalog.otherForms
    for index in 0..<Self.count {
      var random = SeededRandom("RandomShapeTests.agreeWithTheirTwins", index)
      guard let set = sets.randomElement(using: &random), let level = Level.allCases.randomElement(using: &random),
        let form = forms.randomElement(using: &random)
      else { return }
      let isExact = level.isNested && Bool.random(using: &random)
      let n = Int.random(in: 1...(Bool.random(using: &random) ? 40 : 200), using: &random)
      let k = Int.random(in: 1...(isExact ? 512 : Bool.random(using: &random) ? 200 : 1700), using: &random)
      // Float products cut more than some hundred rows.
      let mostRows = n * k < 4000 ? 700 : Bool.random(using: &random) ? 9 : 150
      let rows = Int.random(in: 1...mostRows, using: &random)
      let (xStride, yStride) = (k + Int.random(in: 0...3, using: &random), n + Int.random(in: 0...3, using: &random))
      let what = "\(index): \(set.name) \(level) \(form) \(n) x \(k), \(rows) rows"
      let table = set.table(form)
      let site = try RandomSite(n: n, k: k, form: form, isExact: isExact, &random)
      let weights = site.weights(level)
      let x = GuardedBuffer<Float>(
        (0..<((rows - 1) * xStride + k)).map { place in
          // With a scale of 1: whole numbers, and 127 in every group.
          isExact
            ? Float(place % xStride % 64 == 0 ? 127 : Int.random(in: -127...127, using: &random)) : random.normal()
        }, edge: index % 2 == 0 ? .end : .start)
      let results = [table, Self.twin(table)].map { kernels in
        let y = GuardedBuffer<Float>(
          Array(repeating: -77, count: (rows - 1) * yStride + n), edge: index % 2 == 0 ? .start : .end)
        let scratch = Scratch(byteCount: linearScratchByteCount(maxRows: rows, k: k))
        linear(
          weights, level, kernels, x: x.base, xRowStride: xStride, rows: rows, y: y.base, yRowStride: yStride,
          scratch: scratch.base)
        return y
      }
      let readsWords = table.readsWords(level, rows: rows)
      for row in 0..<rows {
        var sum = 0.0
        for column in 0..<k { sum += Double(x[row * xStride + column].magnitude) }
        let magnitude = sum * 2 * site.largest + 40
        var bound = 2 * ErrorBound.nested(groups: (k + 63) / 64, magnitude: magnitude)
        if !level.isNested {
          bound = 2 * ErrorBound.bfloat16(k: k, alpha: 1, magnitude: magnitude)
          if table.usesBFloat16(level, rows: rows) && table.usesHalf(rows: rows) {
            bound += 2 * ErrorBound.half(k: k, magnitude: magnitude, weights: Double(k) * site.largest, largest: 7)
          }
        }
        if isExact && !readsWords { bound = 0 }
        for output in 0..<n {
          let (got, expected) = (results[0][row * yStride + output], results[1][row * yStride + output])
          if !(Double(got - expected).magnitude <= bound) {
            Issue.record("\(what): row \(row) output \(output) is \(got), expected \(expected) ± \(bound)")
            return
          }
        }
        for gap in n..<yStride where row + 1 < rows && results[0][row * yStride + gap] != -77 {
          Issue.record("\(what): wrote beyond row \(row)")
          return
        }
      }
    }
  }
}

/// Weights of every form; `isExact` ones have random codes, steps of 1 and no minimum, zero point or bias.
private final class RandomSite {
  /// No weight, step or minimum is larger in what the codes stand for.
  let largest: Double
  private let site: Site
  private let isExact: Bool

  init(n: Int, k: Int, form: NestedForm, isExact: Bool, _ random: inout SeededRandom) throws {
    site = try Site(n: n, k: k, form: form, random: &random)
    self.isExact = isExact
    largest = isExact ? 255 : 2.4
    if !isExact { return }
    let shape = site.nested.shape
    let line = form.scaleKind.lineByteCount
    site.changeScales { place in
      let (index, at) = (place / line, place % line)
      let isStep = form.scaleKind == .perOutput ? at < 64 : at < 32
      let row = index / shape.groups * 16 + (form.scaleKind == .perOutput ? at % 64 / 4 : at % 32 / 2)
      if !isStep || row >= n { return 0 }
      // 1 in FP16 and FP32.
      return form.scaleKind == .perOutput ? [0, 0, 0x80, 0x3F][at % 4] : [0, 0x3C][at % 2]
    }
  }

  func weights(_ level: Level) -> LinearWeights {
    var weights = site.weights(level, withBias: !isExact)
    if isExact { weights.nested?.factor = 1 }
    return weights
  }
}
