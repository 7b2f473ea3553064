import Base
import Hardware
import MachineCode

/// What `adaptq probe --measure` adds: how fast this machine reads from each place and computes with each type, for one
/// thread and for as many as are recommended.
public struct ProbeMeasurement: Sendable {
  public struct Read: Sendable {
    /// "L1", "L2", "L3" or "memory".
    public var from: String
    public var bytesPerThread: Int
    public var threads: Int
    /// All threads together, 10^9 bytes.
    public var gigabytesPerSecond: Double
    /// The fastest of several access patterns.
    public var pattern: String
  }

  public struct Arithmetic: Sendable {
    public var type: String
    public var instruction: String
    public var threads: Int
    /// All threads together; a multiplication and its addition are two.
    public var gigaoperationsPerSecond: Double
  }

  public var reads: [Read] = []
  public var arithmetic: [Arithmetic] = []

  /// Measures for some seconds. Empty where nothing can be generated.
  ///
  /// - Throws: `.outOfMemory`; `.unsupported` where the system refuses generated code.
  public static func measure(
    _ limits: ProcessorLimits, _ features: KernelFeatures
  ) throws(AdaptQError) -> ProbeMeasurement {
    var result = ProbeMeasurement()
    let cache = CodeCache<LimitCode>()
    let functions = try LimitCode.functions(features, cache)
    let cpus = limits.placement
    let counts = cpus.count > 1 ? [1, cpus.count] : [1]
    for threads in counts {
      let used = Array(cpus.prefix(threads))
      for (place, bytes) in places(limits, used) {
        let memory = try MemoryBlock.allocate(
          byteCount: try checkedProduct(bytes, threads, "read limit"), purpose: "read limit")
        // Written: pages that were only read would all be the same page of zeros.
        var random = RandomNumbers(seed: 1)
        let words = memory.base.assumingMemoryBound(to: UInt64.self)
        for index in 0..<(bytes * threads / 8) { words[index] = random.next() }
        var best: (rate: Double, pattern: String) = (0, "")
        for (code, pattern) in LimitCode.reads {
          guard let function = functions[code]?.function else { continue }
          let piece = min(bytes, 1 << 20)
          let limit = ThreadedLimit(function: function, count: piece, workPerCall: piece, span: bytes)
          if let rate = limit.best(cpus: used, memory: memory), rate > best.rate { best = (rate, pattern) }
        }
        if best.rate > 0 {
          result.reads.append(
            Read(
              from: place, bytesPerThread: bytes, threads: threads, gigabytesPerSecond: best.rate,
              pattern: best.pattern))
        }
        withExtendedLifetime(memory) {}
      }
      let nothing = try MemoryBlock.allocate(byteCount: 4096, purpose: "arithmetic limit")
      for (code, type, instruction) in [
        (LimitCode.fusedMultiplyAdd, "fp32", "vfmadd231ps"), (.dotBFloat16, "bf16", "vdpbf16ps"),
        (.multiplyAddWords, "int16", "vpmaddwd, vpaddd"), (.innerProductWords, "int16", "2 vpaddw, vpmaddwd, vpaddd"),
        (.dotBytes, "int8", LimitCode.hasDotProduct(features) ? "vpdpbusd" : "vpmaddubsw, vpaddw"),
      ] {
        guard let (function, vectorByteCount) = functions[code] else { continue }
        let turns = 1000
        let work = turns * LimitCode.operationsPerTurn(code, vectorByteCount: vectorByteCount)
        let limit = ThreadedLimit(function: function, count: turns, workPerCall: work, span: 0)
        if let rate = limit.best(cpus: used, memory: nothing), rate > 0 {
          // Of two ways to do the same thing the faster one is the limit.
          if let last = result.arithmetic.last, last.type == type, last.threads == threads {
            if last.gigaoperationsPerSecond >= rate { continue }
            result.arithmetic.removeLast()
          }
          result.arithmetic.append(
            Arithmetic(type: type, instruction: instruction, threads: threads, gigaoperationsPerSecond: rate))
        }
      }
    }
    withExtendedLifetime(cache) {}
    return result
  }

  /// Bytes for each of the threads that stay within a level and do not fit the one before, multiples of 4096.
  private static func places(_ limits: ProcessorLimits, _ cpus: [Int]) -> [(String, Int)] {
    let topology = limits.topology
    var result: [(String, Int)] = []
    var inner = 0
    for level in 1...3 {
      // The share of a thread where several use one cache, of the CPU for which it is smallest.
      var smallest: Int?
      for cpu in cpus {
        guard let cache = topology.caches(level: level).first(where: { $0.cpus.contains(cpu) }) else { continue }
        let share = cache.byteCount / max(1, cpus.filter(cache.cpus.contains).count)
        smallest = min(smallest ?? share, share)
      }
      guard let share = smallest else { continue }
      let bytes = max(share / 2, min(inner * 2, share * 3 / 4)) & ~4095
      if bytes >= 4096 && bytes > inner { result.append(("L\(level)", min(bytes, 64 << 20))) }
      inner = max(inner, share)
    }
    let room = min(limits.limits.memoryByteCount ?? .max, topology.memoryByteCount ?? 1 << 30) / 4
    let wanted = max(inner * 4, 64 << 20)
    result.append(("memory", max(min(wanted, 512 << 20, room / max(1, cpus.count)), 1 << 20) & ~((1 << 20) - 1)))
    return result
  }

  public var json: JSON {
    .object([
      .init(
        "reads",
        .array(
          reads.map {
            .object([
              .init("from", .string($0.from)), .init("bytes_per_thread", .integer($0.bytesPerThread)),
              .init("threads", .integer($0.threads)), .init("gigabytes_per_second", .number($0.gigabytesPerSecond)),
              .init("pattern", .string($0.pattern)),
            ])
          })),
      .init(
        "arithmetic",
        .array(
          arithmetic.map {
            .object([
              .init("type", .string($0.type)), .init("instruction", .string($0.instruction)),
              .init("threads", .integer($0.threads)),
              .init("gigaoperations_per_second", .number($0.gigaoperationsPerSecond)),
            ])
          })),
    ])
  }
}
