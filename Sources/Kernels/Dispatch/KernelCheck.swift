import Base
import NestedFormat

/// Compares generated kernels with their portable twins on one small shape before first use.
///
/// This catches wrong results, for instance of an emulated or broken CPU, not faults. Integers are compared through floats:
/// with all scales 1 a product with nested weights is an integer below 2²⁴, which every order of summation gives exactly.
struct KernelCheck {
  /// Two blocks, which some kernels take at once, and one.
  static let n = 48
  /// Of float products: a single row takes several blocks at once, more rows may take two, and one is left.
  private static let denseN = 16 * (DenseArguments.wideBlocks + 2)
  /// Three groups, the last one short.
  static let k = 150
  private static let groups = 3
  /// Enough for two tiles of the largest kernels without AMX.
  static let rows = 17
  /// Those that lead and a whole tile of AMX.
  static let mostRows = 20

  private let memory: MemoryBlock
  private let nested: NestedShape
  let twin: KernelTable

  /// - Throws: when there is no memory.
  init(form: NestedForm = .standard) throws(AdaptQError) {
    var twin = KernelTable.portable
    twin.form = form
    self.twin = twin
    nested = try NestedShape(n: KernelCheck.n, k: KernelCheck.k, form: form)
    memory = try MemoryBlock.allocate(byteCount: KernelCheck.byteCount, purpose: "kernel check")
  }

  /// nil when the kernels of `slot` in `table` agree with the portable ones; else what differs.
  func difference(_ table: KernelTable, _ slot: KernelSlot) -> String? {
    switch slot {
    case .quantize: quantizeDifference(table)
    case .sums: sumsDifference(table)
    case .dense(let level): denseDifference(table, level)
    case .tilePanel(let level): tilePanelDifference(table, level)
    case .panel(let level): nestedDifference(table, level, rows: KernelCheck.rows, vectorRows: 0)
    case .expanded: nestedDifference(table, .int8, rows: 1, vectorRows: 8, expanded: true)
    case .bfloat16: bfloat16Difference(table)
    case .bfloat16Half: bfloat16HalfDifference(table)
    case .tileBFloat16: tileBFloat16Difference(table)
    case .round: roundDifference(table)
    case .half: halfDifference(table)
    case .vector(let level, let rows): nestedDifference(table, level, rows: rows, vectorRows: 8)
    }
  }

  // MARK: memory

  /// Dense weights, or planes, scales and expanded codes.
  private static let weightByteCount = max(n * 192 * 6, denseN * k * 4)
  private static let inputByteCount = mostRows * k * 4
  private static let outputByteCount = mostRows * max(n, denseN) * 4
  private static let quantizedByteCount = QuantizedActivations.byteCount(rows: mostRows, k: k)
  private static let byteCount =
    (weightByteCount + inputByteCount + 2 * outputByteCount + 2 * quantizedByteCount + 64 * 8)
    + productScratchByteCount(maxRows: mostRows)

  /// Consecutive parts of the block, each at a multiple of 64.
  private struct Layout {
    var next: UnsafeMutableRawPointer
    mutating func take(_ byteCount: Int) -> UnsafeMutableRawPointer {
      let part = next
      next += (byteCount &+ 63) & ~63
      return part
    }
  }

  struct Parts {
    let weights: UnsafeMutableRawPointer
    let x: UnsafeMutablePointer<Float>
    let got: UnsafeMutablePointer<Float>
    let expected: UnsafeMutablePointer<Float>
    let quantized: QuantizedActivations
    let quantizedTwin: QuantizedActivations
    let scratch: UnsafeMutableRawPointer
  }

  func parts(rows: Int) -> Parts {
    var layout = Layout(next: memory.base)
    return Parts(
      weights: layout.take(KernelCheck.weightByteCount),
      x: layout.take(KernelCheck.inputByteCount).assumingMemoryBound(to: Float.self),
      got: layout.take(KernelCheck.outputByteCount).assumingMemoryBound(to: Float.self),
      expected: layout.take(KernelCheck.outputByteCount).assumingMemoryBound(to: Float.self),
      quantized: QuantizedActivations(
        memory: layout.take(KernelCheck.quantizedByteCount), rows: rows, k: KernelCheck.k),
      quantizedTwin: QuantizedActivations(
        memory: layout.take(KernelCheck.quantizedByteCount), rows: rows, k: KernelCheck.k),
      scratch: layout.take(productScratchByteCount(maxRows: rows)))
  }

  /// Marsaglia's xorshift: the same numbers in every process.
  struct Numbers {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    mutating func next() -> UInt64 {
      state ^= state &<< 13
      state ^= state &>> 7
      state ^= state &<< 17
      return state
    }
    /// -1 ..< 1 in steps of 2⁻²³.
    mutating func float() -> Float { Float(Int32(truncatingIfNeeded: next() &>> 40) &- (1 &<< 23)) * 0x1p-23 }
  }

  // MARK: checks

  private func quantizeDifference(_ table: KernelTable) -> String? {
    let p = parts(rows: KernelCheck.rows)
    var numbers = Numbers()
    for index in 0..<(KernelCheck.rows * KernelCheck.k) { p.x[index] = numbers.float() * 3 }
    p.x[5] = 100
    for index in 0..<64 { p.x[index + KernelCheck.k] = 0 }
    p.x[2 * KernelCheck.k + 3] = .infinity
    // A level without words: those are checked with the panels that read them.
    quantize(x: p.x, xRowStride: KernelCheck.k, into: p.quantized, .int4, table)
    quantize(x: p.x, xRowStride: KernelCheck.k, into: p.quantizedTwin, .int4, twin)
    let (got, expected) = (p.quantized, p.quantizedTwin)
    for group in 0..<(KernelCheck.rows * KernelCheck.groups) {
      let (a, b) = (got.groupScales[group], expected.groupScales[group])
      if b.scale.isNaN {
        if !a.scale.isNaN || !a.offset.isNaN { return "an infinity leaves no NaN" }
        continue
      }
      let sumsDiffer = nested.form.activations == .perRow && a.groupSum != b.groupSum
      if a.scale != b.scale || a.offset != b.offset || sumsDiffer {
        return "scale, offset or sum of group \(group) differs"
      }
      for index in (64 * group)..<(64 * group + 64) where got.codes[index] != expected.codes[index] {
        return "code \(index) is \(got.codes[index]), expected \(expected.codes[index])"
      }
    }
    return nil
  }

  private func denseDifference(_ table: KernelTable, _ level: Level) -> String? {
    let p = parts(rows: KernelCheck.rows)
    var numbers = Numbers()
    for index in 0..<(KernelCheck.rows * KernelCheck.k) { p.x[index] = numbers.float() }
    let count = KernelCheck.denseN * KernelCheck.k
    for index in 0..<count {
      if level == .fp16 {
        p.weights.storeBytes(of: Half(numbers.float()).bits, toByteOffset: 2 * index, as: UInt16.self)
      } else {
        p.weights.storeBytes(of: numbers.float(), toByteOffset: 4 * index, as: Float.self)
      }
    }
    guard let shape = try? DenseShape(n: KernelCheck.denseN, k: KernelCheck.k, level: level) else { return "no shape" }
    let view = DenseView(base: UnsafeRawPointer(p.weights), shape: shape)
    let weights = LinearWeights(
      n: KernelCheck.denseN, k: KernelCheck.k, fp16: level == .fp16 ? view : nil, fp32: level == .fp32 ? view : nil)
    // Magnitudes are below 1, so k bounds their sum; both sides may be off.
    let bound = Float(2 * ErrorBound.dense(k: KernelCheck.k, magnitude: Double(KernelCheck.k)))
    for rows in [1, 2, 3, KernelCheck.rows] {
      for (table, y) in [(table, p.got), (twin, p.expected)] {
        linearDense(
          weights, level, table, x: p.x, xRowStride: KernelCheck.k, rows: rows, y: y, yRowStride: KernelCheck.denseN,
          firstBlock: 0, blocks: KernelCheck.denseN / 16, scratch: p.scratch)
      }
      if let why = firstDifference(p, rows: rows, n: KernelCheck.denseN, bound: bound) { return why }
    }
    return nil
  }

  /// - Parameter expanded: the table's kernel for expanded codes instead of those for planes.
  private func nestedDifference(
    _ table: KernelTable, _ level: Level, rows: Int, vectorRows: Int, expanded: Bool = false
  ) -> String? {
    let p = parts(rows: rows)
    var numbers = Numbers()
    let table = table.withVectorRows(vectorRows, level)
    let readsWords = table.readsWords(level, rows: rows)
    let twin = readsWords ? KernelTable.portableWords : twin.withVectorRows(0, level)
    let size = nested.planeByteCount
    let base = UnsafeRawPointer(p.weights)
    let view = NestedView(
      plane0: base, plane1: base + size, plane2: base + 2 * size, plane3: base + 3 * size, scales: base + 4 * size,
      factor: 1, shape: nested)
    let weights = LinearWeights(n: KernelCheck.n, k: KernelCheck.k, nested: view)
    for pass in 0..<3 {
      // 0: random codes, integers; 1: extreme codes, integers; 2: random codes and scales.
      for index in 0..<(4 * size) {
        p.weights.storeBytes(
          of: pass == 1 ? 0xFF : UInt8(truncatingIfNeeded: numbers.next() &>> 32), toByteOffset: index, as: UInt8.self)
      }
      fillScales(p.weights + 4 * size, &numbers, random: pass == 2)
      let q = p.quantized
      for index in 0..<(rows * q.rowStride) {
        let random = Int8(truncatingIfNeeded: Int64(numbers.next() % 255) &- 127)
        let extreme: Int8 = index / q.rowStride % 2 == 0 ? 127 : -127
        let code = pass == 1 ? extreme : random
        q.codes[index] = code
      }
      for row in 0..<rows { fillGroups(q.groupScales + row * q.groups, q.groups, &numbers, random: pass == 2) }
      let qTwin = p.quantizedTwin
      qTwin.codes.update(from: q.codes, count: rows * q.rowStride)
      qTwin.groupScales.update(from: q.groupScales, count: rows * q.groups)
      if readsWords {
        writeWords(q, table, firstRow: 0, rowCount: rows)
        writeWords(qTwin, twin, firstRow: 0, rowCount: rows)
        for index in 0..<(rows * q.rowStride) where q.words[index] != qTwin.words[index] {
          return "pass \(pass): word \(index) is \(q.words[index]), expected \(qTwin.words[index])"
        }
      }
      linearQuantized(
        weights, level, twin, x: qTwin, y: p.expected, yRowStride: KernelCheck.n, firstBlock: 0,
        blocks: KernelCheck.n / 16,
        scratch: p.scratch)
      if expanded {
        let codes = p.weights + 5 * size
        expandCodes(view, into: codes)
        prepareExpanded(q)
        linearExpanded(
          weights, UnsafeRawPointer(codes), table, x: q, y: p.got, yRowStride: KernelCheck.n, firstBlock: 0,
          blocks: KernelCheck.n / 16,
          scratch: p.scratch)
      } else {
        linearQuantized(
          weights, level, table, x: q, y: p.got, yRowStride: KernelCheck.n, firstBlock: 0, blocks: KernelCheck.n / 16,
          scratch: p.scratch)
      }
      // Products of words are the same bits. Else, per group, |a · s' · A| ≤ 0.015 · 0.015 · 64 · 127 · 255 and
      // |offset · lo'| ≤ 10 · 4.
      let magnitude = Double(KernelCheck.groups) * (0.015 * 0.015 * 64 * 127 * 255 + 40)
      let bound =
        pass == 2 && !readsWords ? Float(2 * ErrorBound.nested(groups: KernelCheck.groups, magnitude: magnitude)) : 0
      if let why = firstDifference(p, rows: rows, n: KernelCheck.n, bound: bound) { return "pass \(pass): \(why)" }
    }
    return nil
  }

  /// Steps of 1 and nothing else, or random ones.
  private func fillScales(_ scales: UnsafeMutableRawPointer, _ numbers: inout Numbers, random: Bool) {
    let kind = nested.form.scaleKind
    let line = kind.lineByteCount
    for index in 0..<(nested.scaleByteCount / line * 16) {
      let target = scales + index / 16 * line
      let (step, other) = random ? (0.01 + 0.005 * numbers.float(), numbers.float()) : (1, 0)
      switch kind {
      case .stepAndMinimum:
        target.storeBytes(of: Half(step).bits, toByteOffset: index % 16 * 2, as: UInt16.self)
        target.storeBytes(of: Half(other).bits, toByteOffset: 32 + index % 16 * 2, as: UInt16.self)
      case .symmetric: target.storeBytes(of: Half(step).bits, toByteOffset: index % 16 * 2, as: UInt16.self)
      case .perOutput:
        target.storeBytes(of: step, toByteOffset: index % 16 * 4, as: Float.self)
        target.storeBytes(of: (other * 127).rounded() + 128, toByteOffset: 64 + index % 16 * 4, as: Float.self)
      }
    }
  }

  /// Scales of 1 and sums of 0, or random ones.
  private func fillGroups(
    _ groups: UnsafeMutablePointer<ActivationGroup>, _ count: Int, _ numbers: inout Numbers, random: Bool
  ) {
    let rowScale = 0.01 + 0.005 * numbers.float()
    let isPerRow = nested.form.activations == .perRow
    let shift = nested.form.groupShift
    for index in 0..<count {
      let scale = random ? (isPerRow ? rowScale : 0.01 + 0.005 * numbers.float()) : 1
      let sum = random ? (numbers.float() * 600).rounded() : 0
      groups[index] = ActivationGroup(scale: scale, offset: scale * sum)
      groups[index].groupSum = 0
      groups[(index >> shift) << shift].groupSum += isPerRow ? sum : scale * sum
    }
  }

  private func sumsDifference(_ table: KernelTable) -> String? {
    guard let sums = table.groupSums else { return "there are none" }
    let p = parts(rows: KernelCheck.rows)
    var numbers = Numbers()
    let count = KernelCheck.rows * KernelCheck.groups
    fillGroups(p.quantized.groupScales, count, &numbers, random: true)
    for index in 0..<count { p.quantized.groupScales[index].groupSum = 7 }
    p.quantizedTwin.groupScales.update(from: p.quantized.groupScales, count: count)
    for (kernel, target) in [(sums, p.quantized), (KernelTable.portableGroupSums, p.quantizedTwin)] {
      var arguments = QuantizeArguments(
        x: UnsafePointer(p.x), xRowStride: 0, codes: target.codes, codeRowStride: target.rowStride,
        groups: target.groupScales, groupRowStride: target.groups * MemoryLayout<ActivationGroup>.stride,
        k: KernelCheck.k, rows: KernelCheck.rows)
      kernel(&arguments)
    }
    for index in 0..<count {
      let (got, expected) = (p.quantized.groupScales[index].groupSum, p.quantizedTwin.groupScales[index].groupSum)
      if got != expected { return "sum of group \(index) is \(got), expected \(expected)" }
    }
    return nil
  }

  private func tilePanelDifference(_ table: KernelTable, _ level: Level) -> String? {
    if table.nested(level).leading == nil { return "the kernels that make its panels are not in use" }
    return nestedDifference(table, level, rows: KernelCheck.mostRows, vectorRows: 0)
  }

  func firstDifference(_ p: Parts, rows: Int, n: Int, bound: Float) -> String? {
    for index in 0..<(rows * n) {
      let (got, expected) = (p.got[index], p.expected[index])
      if !((got - expected).magnitude <= bound) {
        let place = "row \(index / n), output \(index % n)"
        return "\(place) is \(got), expected \(expected) ± \(bound)"
      }
    }
    return nil
  }
}

extension KernelTable {
  /// The same table with another limit up to which one level uses its vector kernels.
  fileprivate func withVectorRows(_ rows: Int, _ level: Level) -> KernelTable {
    var changed = self
    switch level {
    case .int2: changed.int2.vectorRows = rows
    case .int4: changed.int4.vectorRows = rows
    case .int6: changed.int6.vectorRows = rows
    default: changed.int8.vectorRows = rows
    }
    return changed
  }
}
