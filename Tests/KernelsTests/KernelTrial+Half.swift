import Base
import NestedFormat
import TestSupport

@testable import Kernels

extension KernelTrial {
  /// - Parameter kind: 0: normal numbers; 1: weights of any finite bits; 2: also infinities and NaN.
  static func half(
    _ spec: GEMMSpec, rows: Int, k: Int, blocks: Int, kind: Int, atStart: Bool,
    _ random: inout SeededRandom
  ) -> KernelTrial {
    let edge: GuardedBuffer<UInt16>.Edge = atStart ? .start : .end
    // Bytes of a row, more than needed; inputs of a block's weights in memory, more than the kernel reads.
    let (rowBytes, yStride, held) = (
      HalfArguments.headerByteCount + 2 * (k + 1) + 8, 16 * blocks + 3, k + 2
    )
    let floats = GuardedBuffer<Float>((0..<(rows * k)).map { _ in random.normal() * 100 })
    if kind == 2 { floats[rows * k / 2] = k % 2 == 0 ? .nan : .infinity }
    // Ends with the last number that a kernel may read.
    let x = GuardedBuffer<UInt16>(
      count: (rows - 1) * rowBytes / 2 + HalfArguments.headerByteCount / 2 + (k + 1) & ~1,
      edge: edge)
    roundHalfReference(
      RoundArguments(
        x: floats.base, xRowStride: k * 4, output: UnsafeMutableRawPointer(x.base),
        outputRowStride: rowBytes, k: k,
        rows: rows))
    let w = GuardedBuffer<UInt16>(
      (0..<(((blocks - 1) * held + k) * 16)).map { _ in
        let bits = UInt16.random(in: 0...(.max), using: &random)
        return kind == 0
          ? Half(random.normal()).bits : bits & 0x7C00 == 0x7C00 ? bits & 0xFBFF : bits
      }, edge: edge)
    let start = GuardedBuffer<Float>(
      (0..<(16 * blocks)).map { _ in random.normal() }, edge: atStart ? .start : .end)
    let count = (rows - 1) * yStride + 16 * blocks
    let ys = (0..<2).map { _ in
      GuardedBuffer<Float>(Array(repeating: 7, count: count), edge: atStart ? .start : .end)
    }
    func arguments(_ index: Int) -> HalfArguments {
      HalfArguments(
        x: UnsafeRawPointer(x.base), xRowStride: rowBytes, w: UnsafeRawPointer(w.base),
        blockStride: held * 32,
        start: start.base, startRowStride: 0, y: ys[index].base, yRowStride: yStride * 4, k: k,
        rows: rows,
        blocks: blocks)
    }
    halfReference(arguments(1))
    return KernelTrial(
      "\(KernelName(spec)) rows \(rows) k \(k) blocks \(blocks) kind \(kind)", arguments(0),
      [
        .init(x, isWritable: false), .init(w, isWritable: false), .init(start, isWritable: false),
        .init(ys[0]),
      ],
      keep: [floats, x, w, start] + ys,
      difference: {
        for index in 0..<count {
          let (a, b) = (ys[0][index], ys[1][index])
          let (row, lane) = (index / yStride, index % yStride)
          if lane >= 16 * blocks || !b.isFinite {
            if a != b && !(a.isNaN && b.isNaN) { return "element \(index) is \(a), expected \(b)" }
            continue
          }
          var (magnitude, weights, largest) = (Double(start[lane].magnitude), 0.0, 0.0)
          for input in 0..<k {
            let weight = Double(
              Half(bits: w[(lane / 16 * held + input) * 16 + lane % 16]).float.magnitude)
            let number = Double(floats[row * k + input].magnitude)
            magnitude += weight * number
            weights += weight
            largest = max(largest, number)
          }
          let bound =
            2 * ErrorBound.half(k: k, magnitude: magnitude, weights: weights, largest: largest)
          if !(Double(a - b).magnitude <= bound) {
            return "element \(index) is \(a), expected \(b) ± \(bound)"
          }
        }
        return nil
      })
  }

  /// - Parameters:
  ///   - kind: 0: normal numbers, 1: bits of all kinds but NaN and infinities, 2: one of these, 3: zeros and subnormals.
  ///   - inPlace: rows are rounded where they are.
  static func roundHalf(
    _ spec: GEMMSpec, rows: Int, k: Int, kind: Int, inPlace: Bool, _ random: inout SeededRandom
  ) -> KernelTrial {
    // Rounded rows may be longer than floats only where K is 1.
    let stride = max(4 * k, HalfArguments.headerByteCount + 2 * ((k + 1) & ~1))
    let numbers = (0..<(rows * stride / 4)).map { _ -> Float in
      let bits = UInt32.random(in: 0...(.max), using: &random)
      switch kind {
      case 0, 2: return random.normal()
      case 1:
        return Float(bitPattern: bits & 0x7F80_0000 == 0x7F80_0000 ? bits & 0xBFFF_FFFF : bits)
      default: return Float(bitPattern: bits & 0x8000_FFFF)
      }
    }
    let x = (0..<2).map { _ in GuardedBuffer<Float>(numbers) }
    if kind == 2 {
      for side in 0..<2 {
        x[side][stride / 4 * (rows / 2) + k / 2] = k % 2 == 0 ? .nan : -.infinity
      }
    }
    let outputs = (0..<2).map { _ in
      GuardedBuffer<UInt16>(Array(repeating: 9, count: inPlace ? 2 : rows * stride / 2))
    }
    func output(_ side: Int) -> UnsafeMutableRawPointer {
      inPlace ? UnsafeMutableRawPointer(x[side].base) : UnsafeMutableRawPointer(outputs[side].base)
    }
    func arguments(_ side: Int) -> RoundArguments {
      RoundArguments(
        x: x[side].base, xRowStride: stride, output: output(side), outputRowStride: stride, k: k,
        rows: rows)
    }
    roundHalfReference(arguments(1))
    return KernelTrial(
      "\(KernelName(spec)) rows \(rows) k \(k) kind \(kind) in place \(inPlace)", arguments(0),
      [.init(x[0], isWritable: inPlace), .init(outputs[0])], keep: x + outputs,
      difference: {
        for index in 0..<(rows * stride / 2) {
          let a = output(0).load(fromByteOffset: 2 * index, as: UInt16.self)
          let b = output(1).load(fromByteOffset: 2 * index, as: UInt16.self)
          // Which NaN it is does not matter.
          let isNumber = index % (stride / 2) >= 2 && index % (stride / 2) < 2 + k
          if a != b && !(isNumber && Half(bits: a).float.isNaN && Half(bits: b).float.isNaN) {
            return "half \(index) has the bits \(a), expected \(b)"
          }
        }
        return nil
      })
  }
}
