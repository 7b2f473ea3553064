import Base
import Hardware
import MachineCode

// Loops that do one thing as fast as the CPU can: what kernels are compared with.

/// Takes a buffer and a count; see the emitters.
typealias LimitFunction = @convention(c) (UnsafeRawPointer, Int) -> Void

enum LimitCode: String, CaseIterable {
  /// All read `count` bytes, a multiple of 4096, once: in order, in order with software prefetch, and as four streams at
  /// once.
  case read
  case prefetchedRead
  case fourStreamRead
  /// The others do `count` turns of ``operationsPerTurn(_:_:)`` operations in registers.
  case fusedMultiplyAdd
  /// `vdpbf16ps`; only where the CPU has it.
  case dotBFloat16
  /// `vpmaddwd` and the `vpaddd` that adds its result.
  case multiplyAddWords
  /// Two `vpaddw`, `vpmaddwd` and `vpaddd`: two products with one multiplication (Winograd's inner product), as the INT8
  /// kernels of CPUs without `vpdpbusd` do.
  case innerProductWords
  /// `vpdpbusd`, or `vpmaddubsw` and the `vpaddw` that adds its result: see ``hasDotProduct(_:)``.
  case dotBytes

  static func hasDotProduct(_ features: KernelFeatures) -> Bool { features.vnni512 || features.avxvnni }

  static let chains = 12
  static let repeats = 2

  /// Multiplications and additions of one turn.
  static func operationsPerTurn(_ code: LimitCode, vectorByteCount: Int) -> Int {
    let perByte: Int
    switch code {
    case .read, .prefetchedRead, .fourStreamRead: return 0
    case .fusedMultiplyAdd: perByte = 4
    case .multiplyAddWords, .dotBFloat16: perByte = 8
    case .dotBytes, .innerProductWords: perByte = 16
    }
    // Two operations per product: elements of 4, 2 and 1 bytes.
    return vectorByteCount * perByte / 8 * chains * repeats
  }

  /// All that this CPU can do, ready to be called as long as `cache` lives.
  ///
  /// - Throws: `.unsupported` where the system refuses generated code.
  static func functions(
    _ features: KernelFeatures, _ cache: CodeCache<LimitCode>
  ) throws(AdaptQError) -> [LimitCode: (function: LimitFunction, vectorByteCount: Int)] {
    var functions: [LimitCode: (function: LimitFunction, vectorByteCount: Int)] = [:]
    for code in LimitCode.allCases {
      guard let generated = try code.generate(features) else { continue }
      let installed = try cache.code(for: code) { () throws(AdaptQError) in
        ("limit_\(code.rawValue)", generated.bytes)
      }
      functions[code] = (unsafeBitCast(installed.address, to: LimitFunction.self), generated.vectorByteCount)
    }
    return functions
  }

  /// - Returns: nil when the CPU cannot do it.
  func generate(_ features: KernelFeatures) throws(AdaptQError) -> (bytes: [UInt8], vectorByteCount: Int)? {
    if !features.avx2 { return nil }
    if self == .dotBFloat16 {
      if !features.bf16 { return nil }
      // A latency of 6 in 2 pipes: twelve chains are just enough, and a hiccup would show.
      let code = try LimitCode.turns(ZMM.self, chains: LimitCode.chains * LimitCode.repeats, repeats: 1) {
        $0.vdpbf16ps(ZMM($1), $2, $3)
      }
      return (code, 64)
    }
    switch self {
    case .dotBytes:
      if features.vnni512 { return (try LimitCode.dotBytes(ZMM.self) { $0.vpdpbusd($1, $2, $3) }, 64) }
      if features.avxvnni { return (try LimitCode.dotBytes(YMM.self) { $0.vpdpbusdVEX($1, $2, $3) }, 32) }
      fallthrough
    default:
      if features.avx512 { return (try emit(ZMM.self), 64) }
      return (try emit(YMM.self), 32)
    }
  }

  private func emit<V: WideRegister>(_: V.Type) throws(AdaptQError) -> [UInt8] {
    switch self {
    case .read: return try LimitCode.reading(V.self, prefetchDistance: nil)
    case .prefetchedRead: return try LimitCode.reading(V.self, prefetchDistance: 4096)
    case .multiplyAddWords:
      return try LimitCode.turns(V.self) { asm, chain, a, b in
        let product = V(LimitCode.chains + chain % 2)
        asm.vpmaddwd(product, a, b)
        asm.vpaddd(V(chain), V(chain), product)
      }
    case .innerProductWords:
      return try LimitCode.turns(V.self) { asm, chain, a, b in
        let (first, second) = (V(LimitCode.chains), V(LimitCode.chains + 1))
        asm.vpaddw(first, a, b)
        asm.vpaddw(second, b, a)
        asm.vpmaddwd(first, first, second)
        asm.vpaddd(V(chain), V(chain), first)
      }
    case .dotBytes:
      return try LimitCode.turns(V.self) { asm, chain, a, b in
        let product = V(LimitCode.chains + chain % 2)
        asm.vpmaddubsw(product, a, b)
        asm.vpaddw(V(chain), V(chain), product)
      }
    case .fourStreamRead: return try LimitCode.readingFourStreams(V.self)
    case .fusedMultiplyAdd, .dotBFloat16:
      return try LimitCode.turns(V.self) { asm, chain, a, b in asm.vfmadd231ps(V(chain), a, b) }
    }
  }

  private static func dotBytes<V: WideRegister>(
    _: V.Type, _ instruction: (borrowing X64Assembler, V, V, V) -> Void
  ) throws(AdaptQError) -> [UInt8] {
    try turns(V.self) { asm, chain, a, b in instruction(asm, V(chain), a, b) }
  }

  private static func reading<V: WideRegister>(_: V.Type, prefetchDistance: Int?) throws(AdaptQError) -> [UInt8] {
    let asm = X64Assembler()
    let (address, count) = (GPR64.rdi, GPR64.rsi)
    for register in 0..<8 { asm.vxorps(V(register), V(register), V(register)) }
    asm.align(32)
    let loop = asm.here()
    for position in stride(from: 0, to: 1024, by: V.byteCount) {
      if let prefetchDistance, position % 64 == 0 { asm.prefetcht0(address[position + prefetchDistance]) }
      let sum = V(position / V.byteCount % 8)
      asm.vorps(sum, sum, address[position])
    }
    asm.add(address, 1024)
    asm.sub(count, 1024)
    asm.jg(loop)
    asm.vzeroupper()
    asm.ret()
    return try asm.finish()
  }

  private static func readingFourStreams<V: WideRegister>(_: V.Type) throws(AdaptQError) -> [UInt8] {
    let asm = X64Assembler()
    let (count, quarter) = (GPR64.rsi, GPR64.rcx)
    let streams: [GPR64] = [.rdi, .rdx, .r8, .r9]
    for register in 0..<8 { asm.vxorps(V(register), V(register), V(register)) }
    asm.mov(quarter, count)
    asm.shr(quarter, 2)
    for (previous, next) in zip(streams, streams.dropFirst()) {
      asm.mov(next, previous)
      asm.add(next, quarter)
    }
    asm.align(32)
    let loop = asm.here()
    for position in stride(from: 0, to: 256, by: V.byteCount) {
      for (index, stream) in streams.enumerated() {
        let sum = V(index * 2 + position / V.byteCount % 2)
        asm.vorps(sum, sum, stream[position])
      }
    }
    for stream in streams { asm.add(stream, 256) }
    asm.sub(quarter, 256)
    asm.jg(loop)
    asm.vzeroupper()
    asm.ret()
    return try asm.finish()
  }

  /// Enough independent chains to hide a latency of 5 in 2 pipes, twice per turn so that the loop itself is free.
  private static func turns<V: WideRegister>(
    _: V.Type, chains: Int = LimitCode.chains, repeats: Int = LimitCode.repeats,
    _ body: (borrowing X64Assembler, _ chain: Int, _ a: V, _ b: V) -> Void
  ) throws(AdaptQError) -> [UInt8] {
    let asm = X64Assembler()
    let count = GPR64.rsi
    let (a, b) = chains > 14 ? (V(30), V(31)) : (V(14), V(15))
    asm.vbroadcastss(a, asm.constant32(Float(0.001)))
    asm.vbroadcastss(b, asm.constant32(Float(0.002)))
    for chain in 0..<chains { asm.vxorps(V(chain), V(chain), V(chain)) }
    asm.align(32)
    let loop = asm.here()
    for _ in 0..<repeats {
      for chain in 0..<chains { body(asm, chain, a, b) }
    }
    asm.sub(count, 1)
    asm.jg(loop)
    asm.vzeroupper()
    asm.ret()
    return try asm.finish()
  }
}
