import Base
import Hardware
import MachineCode
import NestedFormat

/// One thing that the machine cannot do faster, for one thread, at the time it was measured.
public struct MachineLimit: Equatable, Sendable {
  public var name: String
  /// "GB/s", "GFLOP/s" or "GOP/s"; a multiplication and its addition are two operations.
  public var unit: String
  public var median: Double
  public var best: Double
}

/// The limits that products are compared with; nil where this CPU has no code for it.
public struct MachineLimits: Equatable, Sendable {
  /// The fastest of several ways to read, from memory and out of buffers that fit each cache.
  public var memoryRead: MachineLimit?
  public var l3Read: MachineLimit?
  public var l2Read: MachineLimit?
  public var fp32: MachineLimit?
  /// `vdpbf16ps`, where the CPU has it.
  public var bfloat16: MachineLimit?
  /// Products of 16 bits, the way of CPUs without `vpdpbusd`: `vpmaddwd` with `vpaddd`, or half as many of them after
  /// additions.
  public var words: MachineLimit?
  /// `vpdpbusd`, or without it `vpmaddubsw` with `vpaddw`: byte products whose sums of two must fit 16 bits.
  public var bytes: MachineLimit?

  public init() {}

  /// Those that were measured.
  public var all: [MachineLimit] { [memoryRead, l3Read, l2Read, fp32, bfloat16, words, bytes].compactMap(\.self) }

  static let dotProductName = "vpdpbusd"

  /// What bounds a nested level when weights are at hand: without `vpdpbusd`, byte products overflow with 8-bit codes.
  public func integer(_ level: Level) -> MachineLimit? {
    level == .int8 && bytes?.name != MachineLimits.dotProductName ? words : bytes
  }

  /// What a product from warm caches is bound by. With one row every weight is used once, so reading them is the bound;
  /// with more, arithmetic. Weights somewhat larger than L2 may be there in part: then the bound is that of reading as much as
  /// L2 holds from there and the rest from L3.
  ///
  /// - Parameters:
  ///   - usesBFloat16: whether the product multiplies in bfloat16.
  ///   - byteCount: bytes of weights that are read over and over, which say where they come from.
  func bound(
    rows: Int, _ level: Level, usesBFloat16: Bool = false, byteCount: Int, _ machine: Machine
  ) -> MachineLimit? {
    if rows > 1 { return level.isNested ? integer(level) : usesBFloat16 ? bfloat16 : fp32 }
    if byteCount <= machine.l2ByteCount * 3 / 4 { return l2Read }
    if byteCount < machine.l2ByteCount * 8, byteCount <= machine.l3ByteCount * 3 / 4, let l2Read, let l3Read {
      let part = min(1, Double(machine.l2ByteCount) / Double(byteCount))
      func mixed(_ rate: (MachineLimit) -> Double) -> Double { 1 / (part / rate(l2Read) + (1 - part) / rate(l3Read)) }
      return MachineLimit(
        name: "read from L2 and L3", unit: l3Read.unit, median: mixed { max($0.median, 1e-9) },
        best: mixed { max($0.best, 1e-9) })
    }
    return byteCount <= machine.l3ByteCount * 3 / 4 ? l3Read : memoryRead
  }

  /// Measures all of them; about a second, some 256 MB.
  ///
  /// - Throws: `.outOfMemory`; `.unsupported` where the system refuses generated code.
  public static func measure(
    _ machine: Machine, _ features: KernelFeatures, rounds: Int
  ) throws(AdaptQError) -> MachineLimits {
    let cache = CodeCache<LimitCode>()
    let functions = try LimitCode.functions(features, cache)
    if functions.isEmpty { return MachineLimits() }

    let sizes = LimitSizes(machine)
    let buffer = try MemoryBlock.allocate(byteCount: sizes.memory, purpose: "read limit")
    // Written once: pages that were only read would all be the same page of zeros.
    var random = RandomNumbers(seed: 1)
    let words = buffer.base.assumingMemoryBound(to: UInt64.self)
    for index in 0..<(sizes.memory / 8) { words[index] = random.next() }

    let piece = 4 << 20
    let bytesName = LimitCode.hasDotProduct(features) ? dotProductName : "vpmaddubsw and vpaddw"
    var contestants: [Contestant] = []
    for (target, byteCount, name) in [
      (\MachineLimits.memoryRead, sizes.memory, "read from memory"), (\.l3Read, sizes.l3, "read from L3"),
      (\.l2Read, sizes.l2, "read from L2"),
    ] {
      for code in [LimitCode.read, .prefetchedRead, .fourStreamRead] {
        guard let function = functions[code]?.function else { continue }
        contestants.append(
          // Memory is read piece by piece, so that a sample is short.
          Contestant(
            target: target, name: name, unit: "GB/s", function: function, count: min(byteCount, piece),
            work: min(byteCount, piece), span: byteCount))
      }
    }
    for (target, code, name, unit) in [
      (\MachineLimits.fp32, LimitCode.fusedMultiplyAdd, "fp32 multiply-add", "GFLOP/s"),
      (\.bfloat16, .dotBFloat16, "vdpbf16ps", "GFLOP/s"),
      (\.words, .multiplyAddWords, "vpmaddwd and vpaddd", "GOP/s"),
      (\.words, .innerProductWords, "vpaddw and vpmaddwd", "GOP/s"), (\.bytes, .dotBytes, bytesName, "GOP/s"),
    ] {
      guard let (function, vectorByteCount) = functions[code] else { continue }
      let turns = 1000
      let work = turns * LimitCode.operationsPerTurn(code, vectorByteCount: vectorByteCount)
      contestants.append(
        Contestant(target: target, name: name, unit: unit, function: function, count: turns, work: work, span: 0))
    }
    let base = UnsafeRawPointer(buffer.base)
    // Each begins elsewhere: what one has read the next would find in the last cache.
    var positions = contestants.enumerated().map { index, contestant in
      contestant.count > 0 ? index * (contestant.span / contestants.count) / contestant.count * contestant.count : 0
    }
    let summaries = try InterleavedRounds(rounds: rounds, sampleNanoseconds: 300_000)
      .measure(contestants: contestants.count) { index, calls throws(AdaptQError) in
        let contestant = contestants[index]
        for _ in 0..<calls {
          contestant.function(base + positions[index], contestant.count)
          positions[index] += contestant.count
          if positions[index] + contestant.count > contestant.span { positions[index] = 0 }
        }
      }
    withExtendedLifetime(cache) {}
    return collect(contestants, summaries)
  }

  /// Of two ways to do the same thing the faster one is the limit.
  private static func collect(_ contestants: [Contestant], _ summaries: [Summary]) -> MachineLimits {
    var result = MachineLimits()
    for (contestant, summary) in zip(contestants, summaries) {
      let limit = MachineLimit(
        name: contestant.name, unit: contestant.unit, median: Double(contestant.work) / max(summary.median, 1),
        best: Double(contestant.work) / max(summary.minimum, 1))
      if let other = result[keyPath: contestant.target], other.median >= limit.median { continue }
      result[keyPath: contestant.target] = limit
    }
    return result
  }

  private struct Contestant {
    var target: WritableKeyPath<MachineLimits, MachineLimit?>
    var name: String
    var unit: String
    var function: LimitFunction
    var count: Int
    var work: Int
    /// Bytes that the calls walk through.
    var span: Int
  }
}

/// Bytes read by each loop, multiples of 1024.
struct LimitSizes {
  let memory: Int
  let l3: Int
  let l2: Int

  init(_ machine: Machine) {
    // Several times the last cache, as far as memory is there.
    let wanted = min(max(256 << 20, machine.l3ByteCount &* 4), 2 << 30)
    memory = max(min(wanted, (machine.availableMemory ?? wanted) / 4), 1 << 20) & ~1023
    l2 = min(max(machine.l2ByteCount / 2, 16 << 10), memory) & ~1023
    l3 = min(max(machine.l3ByteCount / 8, machine.l2ByteCount &* 2), 4 << 20, memory) & ~1023
  }
}
