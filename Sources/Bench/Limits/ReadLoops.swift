import Base
import Hardware
import MachineCode

/// Every way to read that this CPU has code for, as contestants beside what they limit.
final class ReadLoops {
  struct Loop {
    var function: LimitFunction
    var pattern: String
  }

  let loops: [Loop]
  private let cache = CodeCache<LimitCode>()

  /// - Throws: `.unsupported` where the system refuses generated code.
  init(_ features: KernelFeatures) throws(AdaptQError) {
    let functions = try LimitCode.functions(features, cache)
    loops = LimitCode.reads.compactMap { code, pattern in
      functions[code].map { Loop(function: $0.function, pattern: pattern) }
    }
  }
}

/// Calls that walk through one buffer, piece by piece.
struct ReadWalk {
  let bytes: UnsafeRawBufferPointer
  /// Bytes of one call.
  let count: Int
  private var position = 0

  /// - Parameters:
  ///   - bytes: written before: pages that were only read would all be the same page of zeros.
  ///   - piece: bytes of one call at most.
  ///   - begin: which part of the buffer comes first, in parts of one.
  /// - Returns: nil for less than a page.
  init?(_ bytes: UnsafeRawBufferPointer, piece: Int, begin: Double = 0) {
    count = min(bytes.count, piece) & ~4095
    if count <= 0 { return nil }
    self.bytes = bytes
    let pieces = bytes.count / count
    position = clampedInt((begin * Double(pieces)).rounded(.down), in: 0...(pieces - 1)) * count
  }

  mutating func call(_ function: LimitFunction, times: Int) {
    guard let base = bytes.baseAddress else { return }
    for _ in 0..<times {
      function(base + position, count)
      position += count
      if position + count > bytes.count { position = 0 }
    }
  }
}
