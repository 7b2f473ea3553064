import Base
import NestedFormat
import TestSupport

@testable import Kernels

extension KernelTrial {
  /// - Parameter special: weights and activations at the ends of what Float and bfloat16 hold.
  static func bfloat16(
    _ spec: GEMMSpec, rows: Int, pairs: Int, blocks: Int, special: Bool, atStart: Bool, _ random: inout SeededRandom
  ) -> KernelTrial {
    func number() -> UInt16 {
      if special && Int.random(in: 0..<8, using: &random) == 0 {
        let all: [Float] = [.nan, .infinity, -.infinity, 1e30, -1e30, .leastNormalMagnitude, 0, -0.0]
        return Kernels.bfloat16(all[Int.random(in: 0..<all.count, using: &random)])
      }
      return Kernels.bfloat16(random.normal())
    }
    let edge: GuardedBuffer<UInt16>.Edge = atStart ? .start : .end
    // Rows of pairs at a stride that is larger, and blocks that are further apart than their size.
    let (xStride, yStride, held) = (2 * pairs + 6, 16 * blocks + 3, pairs + 1)
    let x = GuardedBuffer<UInt16>((0..<((rows - 1) * xStride + 2 * pairs)).map { _ in number() }, edge: edge)
    let w = GuardedBuffer<UInt16>((0..<(((blocks - 1) * held + pairs) * 32)).map { _ in number() }, edge: edge)
    let start = GuardedBuffer<Float>((0..<(16 * blocks)).map { _ in random.normal() }, edge: atStart ? .start : .end)
    let count = (rows - 1) * yStride + 16 * blocks
    let y = GuardedBuffer<Float>(Array(repeating: 7, count: count), edge: atStart ? .start : .end)
    let expected = GuardedBuffer<Float>(Array(repeating: 7, count: count))
    func arguments(_ y: GuardedBuffer<Float>) -> BFloat16Arguments {
      BFloat16Arguments(
        x: UnsafeRawPointer(x.base), xRowStride: xStride * 2, w: UnsafeRawPointer(w.base), blockStride: held * 64,
        start: start.base, startRowStride: 0, y: y.base, yRowStride: yStride * 4, pairs: pairs, rows: rows,
        blocks: blocks, alpha: 0.75)
    }
    bfloat16Reference(arguments(expected))
    // Magnitudes are at most 6. Special numbers tell only whether a sum is finite, which no order changes.
    let bound = 2 * ErrorBound.bfloat16(k: 2 * pairs, alpha: 0.75, magnitude: Double(2 * pairs) * 27 + 6)
    return KernelTrial(
      "\(KernelName(spec)) rows \(rows) pairs \(pairs) blocks \(blocks) special \(special)", arguments(y),
      [.init(x, isWritable: false), .init(w, isWritable: false), .init(start, isWritable: false), .init(y)],
      keep: [x, w, start, y, expected],
      difference: {
        if !special { return unequal(y, expected) { _ in bound } }
        for index in 0..<count where expected[index].isFinite != y[index].isFinite {
          return "element \(index) is \(y[index]), expected \(expected[index])"
        }
        return nil
      })
  }

  /// - Parameter keepsPanel: with ``BFloat16Arguments/tileRows`` rows or none.
  static func bfloat16Half(
    _ spec: GEMMSpec, rows: Int, k: Int, blocks: Int, keepsPanel: Bool, special: Bool, atStart: Bool,
    _ random: inout SeededRandom
  ) -> KernelTrial {
    let edge: GuardedBuffer<UInt16>.Edge = atStart ? .start : .end
    let pairs = (k + 1) / 2
    // Inputs of a block's weights in memory: more than the kernel reads.
    let (xStride, yStride, held, panelHeld) = (2 * pairs + 6, 16 * blocks + 3, k + 2, pairs + 1)
    let x = GuardedBuffer<UInt16>(
      (0..<(max(rows - 1, 0) * xStride + 2 * pairs)).map { index in
        index % xStride == k ? 0 : Kernels.bfloat16(random.normal())
      }, edge: edge)
    // Of FP16 numbers also infinities, NaN, subnormals and ties.
    let w = GuardedBuffer<UInt16>(
      (0..<(((blocks - 1) * held + k) * 16)).map { _ in
        special ? UInt16.random(in: 0...(.max), using: &random) : Half(random.normal()).bits
      }, edge: edge)
    let start = GuardedBuffer<Float>((0..<(16 * blocks)).map { _ in random.normal() }, edge: atStart ? .start : .end)
    let count = max(rows - 1, 0) * yStride + 16 * blocks
    let panelCount = keepsPanel ? ((blocks - 1) * panelHeld + pairs) * 32 : 1
    let ys = (0..<2).map { _ in
      GuardedBuffer<Float>(Array(repeating: 7, count: count), edge: atStart ? .start : .end)
    }
    let panels = (0..<2).map { _ in GuardedBuffer<UInt16>(Array(repeating: 9, count: panelCount), edge: edge) }
    func arguments(_ index: Int) -> BFloat16HalfArguments {
      BFloat16HalfArguments(
        product: BFloat16Arguments(
          x: UnsafeRawPointer(x.base), xRowStride: xStride * 2, w: UnsafeRawPointer(bitPattern: 64)!,
          blockStride: panelHeld * 64, start: start.base, startRowStride: 0, y: ys[index].base,
          yRowStride: yStride * 4, pairs: pairs, rows: rows, blocks: blocks, alpha: 0.75),
        halves: UnsafeRawPointer(w.base), halfBlockStride: held * 32, k: k,
        panel: keepsPanel ? UnsafeMutableRawPointer(panels[index].base) : nil,
        // Nothing is there: fetching must not be reading.
        ahead: UnsafeRawPointer(bitPattern: 64)!)
    }
    bfloat16HalfReference(arguments(1))
    // Magnitudes of x are at most 6, of w at most 6 or 2¹⁶.
    let magnitude = Double(k) * 6 * (special ? 65536 : 6) + 6
    let bound = 2 * ErrorBound.bfloat16(k: k, alpha: 0.75, magnitude: magnitude)
    return KernelTrial(
      "\(KernelName(spec)) rows \(rows) k \(k) blocks \(blocks) panel \(keepsPanel) special \(special)", arguments(0),
      [
        .init(x, isWritable: false), .init(w, isWritable: false), .init(start, isWritable: false), .init(ys[0]),
        .init(panels[0]),
      ],
      keep: [x, w, start] + ys + panels,
      difference: {
        for index in 0..<panelCount where panels[0][index] != panels[1][index] {
          return "weight \(index) has the bits \(panels[0][index]), expected \(panels[1][index])"
        }
        for index in 0..<count where !ys[1][index].isFinite {
          if ys[0][index].isFinite { return "element \(index) is \(ys[0][index]), expected \(ys[1][index])" }
          (ys[0][index], ys[1][index]) = (0, 0)
        }
        return unequal(ys[0], ys[1]) { _ in bound }
      })
  }

  static func round(_ spec: GEMMSpec, rows: Int, k: Int, atStart: Bool, _ random: inout SeededRandom) -> KernelTrial {
    // All kinds of bits: NaN, infinities, subnormals, ties.
    let x = GuardedBuffer<Float>(
      (0..<(rows * k)).map { index in
        let bits = UInt32.random(in: 0...(.max), using: &random)
        switch index % 4 {
        case 0: return Float(bitPattern: bits)
        case 1: return Float(bitPattern: bits & 0xFFFF_8000)
        case 2: return Float(bitPattern: bits & 0x80FF_FFFF)
        default: return Float(bitPattern: bits | 0x7F80_0000)
        }
      }, edge: atStart ? .start : .end)
    let stride = (k + 1) & ~1
    let outputs = (0..<2).map {
      GuardedBuffer<UInt16>(Array(repeating: 9, count: rows * stride), edge: $0 == 0 && atStart ? .start : .end)
    }
    func arguments(_ index: Int) -> RoundArguments {
      RoundArguments(
        x: x.base, xRowStride: k * 4, output: UnsafeMutableRawPointer(outputs[index].base), outputRowStride: stride * 2,
        k: k, rows: rows)
    }
    roundReference(arguments(1))
    return KernelTrial(
      "\(KernelName(spec)) rows \(rows) k \(k)", arguments(0), [.init(x, isWritable: false), .init(outputs[0])],
      keep: [x] + outputs,
      difference: {
        for index in 0..<(rows * stride) where outputs[0][index] != outputs[1][index] {
          return "number \(index) has the bits \(outputs[0][index]), expected \(outputs[1][index])"
        }
        return nil
      })
  }
}
