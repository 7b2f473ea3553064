import Base
import NestedFormat
import TestSupport

@testable import Kernels

/// One call of one kernel on small guarded buffers, and its twin's result: the same for this CPU and for an emulated one.
final class KernelTrial {
  let label: String
  let argument: UnsafeMutableRawPointer
  let regions: [EmulatedCPU.Region]
  /// Compares what the kernel wrote with its twin; nil when they agree.
  let difference: () -> String?
  private let keep: [AnyObject]

  init<T: BitwiseCopyable>(
    _ label: String, _ arguments: T, _ regions: [EmulatedCPU.Region], keep: [AnyObject],
    difference: @escaping () -> String?
  ) {
    let block = GuardedBuffer<T>([arguments])
    argument = UnsafeMutableRawPointer(block.base)
    self.label = label
    self.regions = regions + [.init(block, isWritable: false)]
    self.keep = keep + [block]
    self.difference = difference
  }

  private static let portable = KernelTable.portable

  static func unequal(
    _ got: GuardedBuffer<Float>, _ expected: GuardedBuffer<Float>, bound: (Int) -> Double
  ) -> String? {
    for index in 0..<got.count {
      let (a, b) = (got[index], expected[index])
      if a == b || (a.isNaN && b.isNaN) { continue }
      if !(Double(a - b).magnitude <= bound(index)) {
        return "element \(index) is \(a), expected \(b) ± \(bound(index))"
      }
    }
    return nil
  }

  // MARK: float kernels

  static func dense(
    _ spec: GEMMSpec, rows: Int, k: Int, blocks: Int = 1, atStart: Bool, _ random: inout SeededRandom
  ) -> KernelTrial {
    let half = spec.level == .fp16
    let (xStride, yStride) = (k + 3, 16 * blocks + 3)
    // Inputs of a block's weights in memory: more than the kernel reads.
    let held = blocks > 1 ? k + 2 : k
    let x = GuardedBuffer<Float>(
      (0..<((rows - 1) * xStride + k)).map { _ in random.normal() }, edge: atStart ? .start : .end)
    let values = (0..<(((blocks - 1) * held + k) * 16)).map { _ in random.normal() }
    let w32 = GuardedBuffer<Float>(half ? [0] : values, edge: atStart ? .start : .end)
    let w16 = GuardedBuffer<UInt16>(half ? values.map { Half($0).bits } : [0], edge: atStart ? .start : .end)
    let start = GuardedBuffer<Float>((0..<(16 * blocks)).map { _ in random.normal() }, edge: atStart ? .start : .end)
    let count = (rows - 1) * yStride + 16 * blocks
    let y = GuardedBuffer<Float>(Array(repeating: 7, count: count), edge: atStart ? .start : .end)
    let expected = GuardedBuffer<Float>(Array(repeating: 7, count: count))
    func arguments(_ y: GuardedBuffer<Float>) -> DenseArguments {
      DenseArguments(
        x: x.base, xRowStride: xStride * 4, w: half ? UnsafeRawPointer(w16.base) : UnsafeRawPointer(w32.base),
        start: start.base, startRowStride: 0, y: y.base, yRowStride: yStride * 4, k: k, rows: rows,
        blocks: blocks, blockStride: held * (half ? 32 : 64), alpha: 0.75)
    }
    var twin = arguments(expected)
    if half { portable.dense16(&twin) } else { portable.dense32(&twin) }
    // |x| and |w| are at most 6.
    let bound = 2 * ErrorBound.dense(k: k, magnitude: Double(k) * 27 + 6)
    return KernelTrial(
      "\(KernelName(spec)) rows \(rows) k \(k) blocks \(blocks)", arguments(y),
      [
        .init(x, isWritable: false), .init(w32, isWritable: false), .init(w16, isWritable: false),
        .init(start, isWritable: false), .init(y),
      ],
      keep: [x, w32, w16, start, y, expected], difference: { unequal(y, expected) { _ in bound } })
  }

  static func quantize(_ spec: GEMMSpec, rows: Int, k: Int, _ random: inout SeededRandom) -> KernelTrial {
    let groups = (k + 63) / 64
    let x = GuardedBuffer<Float>((0..<(rows * k)).map { _ in random.normal() })
    x[rows * k - 1] = .nan
    if rows > 1 { for index in 0..<min(k, 64) { x[index] = 0x1p-130 } }
    let codes = (0..<2).map { _ in GuardedBuffer<Int8>(count: rows * groups * 64) }
    let scales = (0..<2).map { _ in GuardedBuffer<ActivationGroup>(count: rows * groups) }
    func arguments(_ index: Int) -> QuantizeArguments {
      QuantizeArguments(
        x: x.base, xRowStride: k * 4, codes: codes[index].base, codeRowStride: groups * 64,
        groups: scales[index].base, groupRowStride: groups * 16, k: k, rows: rows, form: spec.form)
    }
    var twin = arguments(1)
    portable.quantize(&twin)
    let perRow = spec.activations == .int8PerRow
    return KernelTrial(
      "\(KernelName(spec)) rows \(rows) k \(k)", arguments(0),
      [.init(x, isWritable: false), .init(codes[0]), .init(scales[0])], keep: [x] + codes + scales,
      difference: {
        // The last group is poisoned, or the last row: its codes may be anything.
        let sound = (rows * groups - (perRow ? groups : 1)) * 64
        for index in 0..<sound where codes[0][index] != codes[1][index] {
          return "code \(index) is \(codes[0][index]), expected \(codes[1][index])"
        }
        for index in 0..<(rows * groups) {
          let (a, b) = (scales[0][index], scales[1][index])
          if b.scale.isNaN {
            if !a.scale.isNaN || !a.offset.isNaN { return "group \(index) is not NaN" }
          } else if a.scale != b.scale || a.offset != b.offset || (perRow && a.groupSum != b.groupSum) {
            return "group \(index) is \(a), expected \(b)"
          }
        }
        return nil
      })
  }

  static func sums(_ spec: GEMMSpec, rows: Int, k: Int, _ random: inout SeededRandom) -> KernelTrial {
    let groups = (k + 63) / 64
    let scales = (0..<2).map { _ in GuardedBuffer<ActivationGroup>(count: rows * groups) }
    let unread = GuardedBuffer<Float>([0])
    let codes = GuardedBuffer<Int8>([0])
    for index in 0..<(rows * groups) {
      let offset = index == rows * groups - 1 ? .nan : random.normal()
      for side in 0..<2 {
        scales[side][index] = ActivationGroup(scale: 1, offset: offset)
        scales[side][index].groupSum = 5
      }
    }
    func arguments(_ index: Int) -> QuantizeArguments {
      QuantizeArguments(
        x: unread.base, xRowStride: 0, codes: codes.base, codeRowStride: 0, groups: scales[index].base,
        groupRowStride: groups * 16, k: k, rows: rows, form: spec.form)
    }
    groupSumsReference(arguments(1))
    return KernelTrial(
      "\(KernelName(spec)) rows \(rows) k \(k)", arguments(0), [.init(scales[0])], keep: [unread, codes] + scales,
      difference: {
        for index in 0..<(rows * groups) {
          let (a, b) = (scales[0][index], scales[1][index])
          if a.groupSum != b.groupSum && !(a.groupSum.isNaN && b.groupSum.isNaN) || a.scale != b.scale {
            return "group \(index) is \(a), expected \(b)"
          }
        }
        return nil
      })
  }

  /// - Parameter kind: what scales are like: 0 random, 1 far apart or zero, negative ones among them, 2 one NaN.
  static func words(
    _ spec: GEMMSpec, rows: Int, groups: Int, kind: Int, atStart: Bool, _ random: inout SeededRandom
  ) -> KernelTrial {
    let codes = GuardedBuffer<Int8>(
      (0..<(rows * groups * 64)).map { _ in Int8.random(in: kind == 1 ? -128...127 : -127...127, using: &random) },
      edge: atStart ? .start : .end)
    let words = (0..<2).map {
      GuardedBuffer<Int16>(count: rows * groups * 64, edge: $0 == 0 && atStart ? .start : .end)
    }
    let scales = (0..<2).map { _ in GuardedBuffer<ActivationGroup>(count: rows * groups) }
    for index in 0..<(rows * groups) {
      var scale = Float.random(in: 0..<2, using: &random)
      if kind == 1 {
        let far: [Float] = [0, 1, -3, 0x1p-120, 0x1p-60, 0x1p60, -0x1p90, 0x1p-149, 0x1p120]
        scale *= far[Int.random(in: 0..<far.count, using: &random)]
      }
      if kind == 2 && index == rows * groups / 2 { scale = .nan }
      for side in 0..<2 { scales[side][index] = ActivationGroup(scale: scale, offset: 0) }
    }
    func arguments(_ index: Int) -> WordsArguments {
      WordsArguments(
        codes: codes.base, codeRowStride: groups * 64, words: words[index].base, wordRowStride: groups * 128,
        groups: scales[index].base, groupRowStride: groups * 16, count: groups, rows: rows)
    }
    wordsReference(arguments(1))
    return KernelTrial(
      "\(KernelName(spec)) rows \(rows) groups \(groups) kind \(kind)", arguments(0),
      [.init(codes, isWritable: false), .init(words[0]), .init(scales[0])], keep: [codes] + words + scales,
      difference: {
        for row in 0..<rows {
          for group in 0..<groups {
            let first = row * groups + group / WordsArguments.groupCount * WordsArguments.groupCount
            let (a, b) = (scales[0][first], scales[1][first])
            if b.wordScale.isNaN {
              // The words of a poisoned chunk may be anything.
              if !a.wordScale.isNaN { return "chunk of row \(row) group \(group) is not NaN" }
              continue
            }
            if a.wordScale != b.wordScale || a.negativePairs != b.negativePairs {
              return "row \(row) group \(group) is \(a), expected \(b)"
            }
            let place = (row * groups + group) * 64
            for index in place..<(place + 64) where words[0][index] != words[1][index] {
              return "row \(row) word \(index) is \(words[0][index]), expected \(words[1][index])"
            }
          }
        }
        return nil
      })
  }

  // MARK: nested kernels

  /// The weights of `nBlocks` blocks by `groups` groups; every stream ends or starts at a guard page.
  final class Weights {
    let planes: [GuardedBuffer<UInt8>]
    let scales: GuardedBuffer<UInt8>
    let form: NestedForm
    let groups: Int
    let factor: Float

    /// Bytes of the lines of a row of blocks.
    var scaleRowByteCount: Int { ((groups - 1) >> form.groupShift + 1) * form.scaleKind.lineByteCount }

    /// - Parameter exact: scales 1 and minima 0, so that results are integers.
    init(
      _ form: NestedForm = .standard, nBlocks: Int, groups: Int, exact: Bool, extreme: Bool, atStart: Bool,
      _ random: inout SeededRandom
    ) {
      let blocks = nBlocks * groups
      self.form = form
      self.groups = groups
      factor = exact ? 1 : 0.5
      planes = (0..<4).map { _ in
        GuardedBuffer(
          (0..<(blocks * 256)).map { _ in extreme ? 0xFF : UInt8.random(in: 0...255, using: &random) },
          edge: atStart ? .start : .end)
      }
      var lines: [UInt8] = []
      func append<T>(_ value: T) { withUnsafeBytes(of: value) { lines += Array($0) } }
      for _ in 0..<(nBlocks * ((groups - 1) >> form.groupShift + 1)) {
        let steps = (0..<16).map { _ in exact ? 1 : Float.random(in: 0.01..<0.02, using: &random) }
        for step in steps { if form.scaleKind == .perOutput { append(step) } else { append(Half(step).bits) } }
        if form.scaleKind == .symmetric { continue }
        for _ in 0..<16 {
          if form.scaleKind == .perOutput {
            append(exact ? 0 : Float.random(in: 0..<255, using: &random).rounded())
          } else {
            append(Half(exact ? 0 : Float.random(in: -2..<0, using: &random)).bits)
          }
        }
      }
      scales = GuardedBuffer(lines, edge: atStart ? .start : .end)
    }

    func plane(_ index: Int, _ level: Level) -> UnsafeRawPointer {
      // A plane that the level does not read is not there.
      index < level.planes ? UnsafeRawPointer(planes[index].base) : UnsafeRawPointer(bitPattern: 64)!
    }

    func unpackArguments(
      _ level: Level, block: Int = 0, panel: UnsafeMutableRawPointer, scales out: UnsafeMutablePointer<Float>
    ) -> UnpackArguments {
      let place = block * groups * 256
      return UnpackArguments(
        plane0: plane(0, level) + place, plane1: plane(1, level) + place, plane2: plane(2, level) + place,
        plane3: plane(3, level) + place, scales: UnsafeRawPointer(scales.base) + block * scaleRowByteCount,
        panel: panel, panelScales: out, groups: groups, factor: factor, scaleKind: form.scaleKind,
        groupShift: form.groupShift)
    }

    /// The byte of a panel that holds codes at the top of bytes: byte `byte` of vector `vector` of a group.
    func code(_ level: Level, block: Int, group: Int, vector: Int, byte: Int) -> UInt8 {
      let place = (block * groups + group) * 256 + vector / 4 * 64 + byte
      var code: UInt8 = 0
      for plane in 0..<level.planes {
        let field = planes[plane][place] >> UInt8((6 - 2 * plane + 2 * (vector % 4) + 8) % 8)
        code |= (field & 3) << UInt8(6 - 2 * plane)
      }
      return code
    }

    func regions(_ level: Level) -> [EmulatedCPU.Region] {
      (0..<level.planes).map { .init(planes[$0], isWritable: false) } + [.init(scales, isWritable: false)]
    }
  }

  /// Rows of quantized activations; `exact` ones have scale 1 and no offset.
  final class Activations {
    let rows: Int
    let groups: Int
    let codes: GuardedBuffer<Int8>
    let words: GuardedBuffer<Int16>
    let scales: GuardedBuffer<ActivationGroup>

    init(
      _ spec: GEMMSpec, rows: Int, groups: Int, exact: Bool, extreme: Bool, atStart: Bool,
      _ random: inout SeededRandom
    ) {
      let form = spec.form
      self.rows = rows
      self.groups = groups
      let count = rows * groups * 64
      var values = (0..<count).map { _ in Int8.random(in: -127...127, using: &random) }
      if extreme { for index in 0..<count { values[index] = index / (groups * 64) % 2 == 0 ? 127 : -127 } }
      codes = GuardedBuffer(values, edge: atStart ? .start : .end)
      words = GuardedBuffer(count: count, edge: atStart ? .start : .end)
      scales = GuardedBuffer(count: rows * groups, edge: atStart ? .start : .end)
      for group in 0..<(rows * groups) {
        let scale: Float = exact ? 1 : Float.random(in: 0.01..<0.02, using: &random)
        let offset: Float = exact ? 0 : Float.random(in: -5..<5, using: &random)
        scales[group] = ActivationGroup(scale: scale, offset: offset)
      }
      wordsReference(
        WordsArguments(
          codes: codes.base, codeRowStride: groups * 64, words: words.base, wordRowStride: groups * 128,
          groups: scales.base, groupRowStride: groups * 16, count: groups, rows: rows))
      if form.activations == .perRow { shareScales(form, exact: exact, &random) }
      if form.activations == .perRowAndGroup && spec.appliesScalesLate {
        for row in 0..<rows {
          var sum: Float = 0
          for group in 0..<groups {
            sum += scales[row * groups + group].offset
            scales[row * groups + group].groupSum = 0
          }
          scales[row * groups].groupSum = sum
        }
      }
    }

    /// One scale per row, and sums as such rows have them.
    private func shareScales(_ form: NestedForm, exact: Bool, _ random: inout SeededRandom) {
      for row in 0..<rows {
        let scale = scales[row * groups].scale
        for group in 0..<groups {
          let sum = exact ? 0 : Float.random(in: -250..<250, using: &random).rounded()
          var entry = ActivationGroup(scale: scale, offset: scale * sum)
          entry.groupSum = 0
          scales[row * groups + group] = entry
          let leader = row * groups + ((group >> form.groupShift) << form.groupShift)
          scales[leader].groupSum += sum
        }
      }
    }

    var regions: [EmulatedCPU.Region] {
      [
        .init(codes, isWritable: false), .init(words, isWritable: false), .init(scales, isWritable: false),
      ]
    }
  }

  /// What unpacking wrote; read by the panel kernel of the same spec.
  final class Panel {
    let codes: GuardedBuffer<SIMD64<UInt8>>
    let scales: GuardedBuffer<Float>
    let weights: Weights
    let blocks: Int
    init(_ weights: Weights, blocks: Int = 1, groupByteCount: Int) {
      self.weights = weights
      self.blocks = blocks
      codes = GuardedBuffer(
        count: ((blocks - 1) * PanelArguments.panelBlockByteCount + weights.groups * groupByteCount) / 64)
      scales = GuardedBuffer(count: (blocks - 1) * PanelArguments.scaleBlockByteCount / 4 + weights.groups * 48)
    }
  }

  static func unpack(_ spec: GEMMSpec, into panel: Panel) -> KernelTrial {
    KernelTrial(
      "\(KernelName(spec))",
      panel.weights.unpackArguments(spec.level, panel: panel.codes.base, scales: panel.scales.base),
      panel.weights.regions(spec.level) + [.init(panel.codes), .init(panel.scales)], keep: [panel],
      difference: {
        // The panels of the other levels are compared by what is computed from them.
        guard spec.isa == .avx2, spec.level == .int8 else { return nil }
        let twin = Panel(panel.weights, groupByteCount: wordPanelGroupByteCount)
        unpackWordsReference(
          panel.weights.unpackArguments(
            .int8, panel: UnsafeMutableRawPointer(twin.codes.base), scales: twin.scales.base))
        for index in 0..<panel.codes.count where panel.codes[index] != twin.codes[index] {
          return "64 bytes at \(64 * index) are \(panel.codes[index]), expected \(twin.codes[index])"
        }
        for index in Array(0..<16) + Array(32..<48)
        where panel.scales[index].bitPattern != twin.scales[index].bitPattern {
          return "scale \(index) is \(panel.scales[index]), expected \(twin.scales[index])"
        }
        return nil
      })
  }

  /// - Parameter blocks: of the panel, which may hold more.
  static func panel(
    _ spec: GEMMSpec, _ panel: Panel, rows: Int, blocks: Int = 1, exact: Bool, extreme: Bool, atStart: Bool,
    _ random: inout SeededRandom
  ) -> KernelTrial {
    let groups = panel.weights.groups
    let x = Activations(
      spec, rows: rows, groups: groups, exact: exact, extreme: extreme, atStart: atStart, &random)
    let readsWords = spec.isa == .avx2 && spec.level == .int8
    let width = 16 * blocks
    let y = GuardedBuffer<Float>(count: rows * width, edge: atStart ? .start : .end)
    let start = GuardedBuffer<Float>((0..<width).map { Float($0) }, edge: atStart ? .start : .end)
    let expected = GuardedBuffer<Float>(count: rows * width)
    let nowhere = UnsafeRawPointer(bitPattern: 64) ?? UnsafeRawPointer(y.base)
    func arguments(
      _ panel: UnsafeRawPointer, _ scales: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>,
      start: UnsafePointer<Float>, blocks: Int
    ) -> PanelArguments {
      var arguments = PanelArguments(
        x: readsWords ? UnsafeRawPointer(x.words.base) : UnsafeRawPointer(x.codes.base),
        xRowStride: groups * 64 * (readsWords ? 2 : 1), panel: panel, panelScales: scales,
        activations: x.scales.base, activationRowStride: groups * 16, start: start, startRowStride: 0, y: y,
        yRowStride: width * 4, groups: groups, rows: rows, blocks: blocks)
      // Nothing is there: fetching must not be reading.
      for index in 0..<8 { arguments.ahead[index] = nowhere }
      return arguments
    }
    let kernels = readsWords ? KernelTable.portableWords.int8 : portable.nested(spec.level)
    let twinPanel = Panel(panel.weights, groupByteCount: kernels.panelGroupByteCount)
    for block in 0..<blocks {
      var unpacking = panel.weights.unpackArguments(
        spec.level, block: block, panel: twinPanel.codes.base, scales: twinPanel.scales.base)
      kernels.unpack(&unpacking)
      var twin = arguments(
        twinPanel.codes.base, twinPanel.scales.base, expected.base + 16 * block, start: start.base + 16 * block,
        blocks: 1)
      kernels.panel(&twin)
    }
    let bound = exact || readsWords ? 0 : 2 * ErrorBound.nested(groups: groups, magnitude: magnitude(groups))
    return KernelTrial(
      "\(KernelName(spec)) rows \(rows) blocks \(blocks) exact \(exact) extreme \(extreme)",
      arguments(panel.codes.base, panel.scales.base, y.base, start: start.base, blocks: blocks),
      x.regions + [
        .init(panel.codes, isWritable: false), .init(panel.scales, isWritable: false),
        .init(start, isWritable: false), .init(y),
      ],
      keep: [x, panel, start, y, expected], difference: { unequal(y, expected) { _ in bound } })
  }

  static func vector(
    _ spec: GEMMSpec, nBlocks: Int, groups: Int, exact: Bool, extreme: Bool, atStart: Bool,
    _ random: inout SeededRandom
  ) -> KernelTrial {
    let w = Weights(
      spec.form, nBlocks: nBlocks, groups: groups, exact: exact, extreme: extreme, atStart: atStart, &random)
    return vector(
      spec, w, nBlocks: nBlocks, panel: nil, exact: exact, extreme: extreme, atStart: atStart, &random)
  }

  /// Kernels of leading rows: the first blocks of the panel's weights, which are left in the panel.
  static func leading(
    _ spec: GEMMSpec, into panel: Panel, blocks: Int, exact: Bool, extreme: Bool, atStart: Bool,
    _ random: inout SeededRandom
  ) -> KernelTrial {
    vector(
      spec, panel.weights, nBlocks: blocks, panel: panel, exact: exact, extreme: extreme, atStart: atStart, &random)
  }

  private static func vector(
    _ spec: GEMMSpec, _ w: Weights, nBlocks: Int, panel: Panel?, exact: Bool, extreme: Bool, atStart: Bool,
    _ random: inout SeededRandom
  ) -> KernelTrial {
    let (rows, groups) = (spec.rows, w.groups)
    let x = Activations(
      spec, rows: rows, groups: groups, exact: exact, extreme: extreme, atStart: atStart, &random)
    let width = nBlocks * 16
    let y = GuardedBuffer<Float>(count: rows * width, edge: atStart ? .start : .end)
    let start = GuardedBuffer<Float>((0..<width).map { Float($0) }, edge: atStart ? .start : .end)
    let expected = GuardedBuffer<Float>(count: rows * width)
    func arguments(_ y: GuardedBuffer<Float>) -> VectorArguments {
      VectorArguments(
        plane0: w.plane(0, spec.level), plane1: w.plane(1, spec.level), plane2: w.plane(2, spec.level),
        plane3: w.plane(3, spec.level), scales: UnsafeRawPointer(w.scales.base), x: x.codes.base,
        xRowStride: groups * 64, activations: x.scales.base, activationRowStride: groups * 16, start: start.base,
        startRowStride: 0, y: y.base, yRowStride: width * 4, groups: groups, nBlocks: nBlocks,
        blockStride: groups * 256, panel: panel.map { UnsafeMutableRawPointer($0.codes.base) },
        panelScales: panel?.scales.base, factor: w.factor, scaleKind: w.form.scaleKind, groupShift: w.form.groupShift,
        scaleRowByteCount: w.scaleRowByteCount)
    }
    var twin = arguments(expected)
    portable.nested(spec.level).vectors[rows - 1](&twin)
    let bound = exact ? 0 : 2 * ErrorBound.nested(groups: groups, magnitude: magnitude(groups))
    let written: [EmulatedCPU.Region] = panel.map { [.init($0.codes), .init($0.scales)] } ?? []
    return KernelTrial(
      "\(KernelName(spec)) exact \(exact) extreme \(extreme)", arguments(y),
      w.regions(spec.level) + x.regions + [.init(start, isWritable: false), .init(y)] + written,
      keep: [w, x, start, y, expected] + (panel.map { [$0] } ?? []),
      difference: {
        for block in 0..<nBlocks {
          if let panel, let why = panelDifference(panel, spec.level, block: block) { return why }
        }
        return unequal(y, expected) { _ in bound }
      })
  }

  /// Codes that stand at the top of bytes, compared with the planes.
  private static func panelDifference(_ panel: Panel, _ level: Level, block: Int) -> String? {
    let codes = UnsafeRawPointer(panel.codes.base) + block * PanelArguments.panelBlockByteCount
    for group in 0..<panel.weights.groups {
      for vector in 0..<16 {
        for byte in 0..<64 {
          let got = codes.load(fromByteOffset: group * 1024 + vector * 64 + byte, as: UInt8.self)
          let expected = panel.weights.code(level, block: block, group: group, vector: vector, byte: byte)
          if got != expected { return "group \(group) vector \(vector) byte \(byte) is \(got), expected \(expected)" }
        }
      }
    }
    return nil
  }

  static func expanded(
    _ spec: GEMMSpec, nBlocks: Int, groups: Int, exact: Bool, extreme: Bool, atStart: Bool,
    _ random: inout SeededRandom
  ) throws -> KernelTrial {
    let w = Weights(nBlocks: nBlocks, groups: groups, exact: exact, extreme: extreme, atStart: atStart, &random)
    let x = Activations(spec, rows: 1, groups: groups, exact: exact, extreme: extreme, atStart: atStart, &random)
    // Foreign codes may hold -128 as well.
    if !extreme { x.codes[5] = -128 }
    let view = NestedView(
      plane0: w.plane(0, .int8), plane1: w.plane(1, .int8), plane2: w.plane(2, .int8), plane3: w.plane(3, .int8),
      scales: UnsafeRawPointer(w.scales.base), factor: w.factor,
      shape: try NestedShape(n: nBlocks * 16, k: groups * 64))
    let codes = GuardedBuffer<UInt8>(count: nBlocks * groups * 1024, edge: atStart ? .start : .end)
    expandCodes(view, into: UnsafeMutableRawPointer(codes.base))
    var quantized = QuantizedActivations(
      memory: UnsafeMutableRawPointer(x.words.base), rows: 1, k: groups * 64)
    (quantized.codes, quantized.words, quantized.groupScales) = (x.codes.base, x.words.base, x.scales.base)
    prepareExpanded(quantized)
    let y = GuardedBuffer<Float>(count: nBlocks * 16, edge: atStart ? .start : .end)
    let start = GuardedBuffer<Float>((0..<(nBlocks * 16)).map { Float($0) }, edge: atStart ? .start : .end)
    let expected = GuardedBuffer<Float>(count: nBlocks * 16)
    var twin = VectorArguments(
      plane0: w.plane(0, .int8), plane1: w.plane(1, .int8), plane2: w.plane(2, .int8), plane3: w.plane(3, .int8),
      scales: UnsafeRawPointer(w.scales.base), x: x.codes.base, xRowStride: groups * 64, activations: x.scales.base,
      activationRowStride: groups * 16, start: start.base, startRowStride: 0, y: expected.base,
      yRowStride: nBlocks * 64, groups: groups, nBlocks: nBlocks, factor: w.factor,
      scaleRowByteCount: w.scaleRowByteCount)
    portable.int8.vectors[0](&twin)
    let bound = exact ? 0 : 2 * ErrorBound.nested(groups: groups, magnitude: magnitude(groups))
    return KernelTrial(
      "\(KernelName(spec)) exact \(exact) extreme \(extreme)",
      ExpandedArguments(
        codes: UnsafeRawPointer(codes.base), scales: UnsafeRawPointer(w.scales.base),
        x: UnsafeRawPointer(x.words.base), activations: x.scales.base, start: start.base, y: y.base, groups: groups,
        nBlocks: nBlocks, factor: w.factor),
      x.regions + [.init(codes, isWritable: false), .init(w.scales, isWritable: false)]
        + [.init(start, isWritable: false), .init(y)],
      keep: [w, x, codes, start, y, expected], difference: { unequal(y, expected) { _ in bound } })
  }

  /// |start| and, per group, |a · s' · A| + |offset · lo'|, for the scales above.
  private static func magnitude(_ groups: Int) -> Double {
    32 + Double(groups) * (0.02 * 0.02 * 64 * 127 * 255 + 5 * (2 + 0.02 * 255))
  }
}

extension GEMMSpec {
  /// The form of weights and activations that the kernel reads.
  var form: NestedForm {
    let activations: ActivationScales = activations == .int8PerRow ? .perRow : .perRowAndGroup
    return (try? NestedForm(groupSize: groupSize, scaleKind: scaleKind, activations: activations)) ?? .standard
  }
}
