import Base
import Glibc
import MachineCode
import TestSupport
import Testing

typealias Kernel = @convention(c) (UnsafeMutableRawPointer) -> Void

/// args: two input pointers, the output pointer, the number of floats (a multiple of 8).
func addArraysCode() throws(AdaptQError) -> [UInt8] {
  let asm = X64Assembler()
  let (args, a, b, out, count) = (GPR64.rdi, GPR64.rsi, GPR64.rdx, GPR64.rcx, GPR64.r8)
  asm.mov(a, args[0])
  asm.mov(b, args[8])
  asm.mov(out, args[16])
  asm.mov(count, args[24])
  let done = asm.newLabel()
  asm.test(count, count)
  asm.jz(done)
  asm.align(16)
  let loop = asm.here()
  asm.vmovups(YMM(0), a[0])
  asm.vaddps(YMM(0), YMM(0), b[0])
  asm.vmovups(out[0], YMM(0))
  for pointer in [a, b, out] { asm.add(pointer, 32) }
  asm.sub(count, 8)
  asm.jnz(loop)
  asm.bind(done)
  asm.vzeroupper()
  asm.ret()
  return try asm.finish()
}

struct AddArguments {
  var a: UnsafeMutableRawPointer
  var b: UnsafeMutableRawPointer
  var out: UnsafeMutableRawPointer
  var count: Int
}

@Suite struct CodeCacheTests {
  @Test func generatedCodeRuns() throws {
    let cache = CodeCache<String>()
    let code = try cache.code(for: "add") { () throws(AdaptQError) in ("add_f32", try addArraysCode()) }
    let kernel = unsafeBitCast(code.address, to: Kernel.self)
    var random = SeededRandom("generatedCodeRuns")
    for count in [0, 8, 64, 200] {
      let a = GuardedBuffer<Float>((0..<count).map { _ in random.normal() })
      let b = GuardedBuffer<Float>((0..<count).map { _ in random.normal() })
      let out = GuardedBuffer<Float>(count: count)
      var arguments = AddArguments(a: a.base, b: b.base, out: out.base, count: count)
      kernel(&arguments)
      #expect(out.array == zip(a.array, b.array).map(+), "count \(count)")
    }
    #expect(cache.entries.map(\.name) == ["add_f32"])
    #expect(UInt(bitPattern: code.address) % 64 == 0)
  }

  @Test func constantsLieBehindTheCode() throws {
    let asm = X64Assembler()
    asm.vbroadcastss(XMM(0), asm.constant32(1.5 as Float))
    asm.vaddps(XMM(0), XMM(0), asm.constants32([1, 2, 3, 4].map { (value: Float) in value.bitPattern }))
    asm.vshufps(XMM(1), XMM(0), asm.constant128([UInt8](repeating: 0, count: 16)), 0b0101_1110)
    asm.vmovups(GPR64.rdi[0], XMM(0))
    asm.vmovups(GPR64.rdi[16], XMM(1))
    asm.ret()
    let cache = CodeCache<Int>()
    let code = try cache.install([("constants", try asm.finish())])
    let out = GuardedBuffer<Float>(count: 8)
    unsafeBitCast(code[0].address, to: Kernel.self)(out.base)
    #expect(out.array == [2.5, 3.5, 4.5, 5.5, 4.5, 5.5, 0, 0])
  }

  @Test func pagesAreNotWritable() throws {
    let cache = CodeCache<Int>()
    let code = try cache.install([("ret", [0xC3])])
    let address = UInt(bitPattern: code[0].address)
    let maps = try #require(readText("/proc/self/maps"))
    let line = try #require(
      maps.split(separator: "\n").first { line in
        let range = line.split(separator: " ")[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
        return range.count == 2 && range[0] <= address && address < range[1]
      })
    #expect(line.contains(" r-xp "), "\(line)")
  }

  @Test func refusalIsCached() {
    var calls = CodeCalls.live
    calls.makeExecutable = { _, _ in EACCES }
    let cache = CodeCache<Int>(calls: calls)
    var generated = 0
    for _ in 0..<3 {
      #expect(throws: AdaptQError(.unsupported, "machine code: the system refuses executable pages: Permission denied"))
      {
        _ = try cache.code(for: 1) { () throws(AdaptQError) in
          generated += 1
          return ("ret", [0xC3])
        }
      }
    }
    #expect(generated == 1)
    #expect(cache.entries.isEmpty)
    calls.mapWritable = { _ in nil }
    let second = CodeCache<Int>(calls: calls)
    #expect(throws: AdaptQError.self) { _ = try second.code(for: 1) { () throws(AdaptQError) in ("ret", [0xC3]) } }
  }

  @Test func generatorErrorIsCached() {
    let cache = CodeCache<Int>()
    var generated = 0
    let results = cache.prepare([1, 2, 1]) { key throws(AdaptQError) in
      generated += 1
      if key == 2 { throw .unsupported("no kernel 2") }
      return ("kernel \(key)", [0xC3])
    }
    #expect(generated == 2)
    #expect(results.map { (try? $0.get())?.name } == ["kernel 1", nil, "kernel 1"])
    #expect(throws: AdaptQError(.unsupported, "no kernel 2")) {
      _ = try cache.code(for: 2) { () throws(AdaptQError) in ("never", []) }
    }
  }

  @Test func batchSharesOneRegion() throws {
    let cache = CodeCache<Int>()
    let entries = try cache.install((0..<20).map { ("k\($0)", [UInt8](repeating: 0x90, count: $0 * 7) + [0xC3]) })
    let addresses = entries.map { UInt(bitPattern: $0.address) }
    #expect(addresses == addresses.sorted())
    #expect(addresses.allSatisfy { $0 % 64 == 0 })
    #expect(addresses.last! - addresses.first! < 4096)
    #expect(cache.byteCount == (0..<20).reduce(0) { $0 + $1 * 7 + 1 })
  }

  @Test func perfMapNamesEveryKernel() throws {
    let written = Box<String>("")
    var calls = CodeCalls.live
    calls.append = { path, bytes in
      written.value += "\(path):\n" + String(decoding: bytes, as: UTF8.self)
      return 0
    }
    let cache = CodeCache<Int>(calls: calls)
    let entries = try cache.install([("one", [0xC3]), ("two", [0x90, 0xC3])])
    try cache.writePerfMap(path: "perf.map")
    let addresses = entries.map { String(UInt(bitPattern: $0.address), radix: 16) }
    #expect(written.value == "perf.map:\n\(addresses[0]) 1 one\n\(addresses[1]) 2 two\n")
    #expect(throws: AdaptQError.self) { try CodeCache<Int>().writePerfMap(path: "/nonexistent/perf.map") }
  }

  /// Threads race for the same keys; each key is generated once and all see the same address.
  @Test func manyThreadsGenerateOnce() {
    let shared = Box(RaceState())
    var threads: [pthread_t] = []
    for _ in 0..<16 {
      var thread = pthread_t()
      let status = pthread_create(
        &thread, nil,
        { raw in
          let box = Unmanaged<Box<RaceState>>.fromOpaque(raw!).takeUnretainedValue()
          for key in 0..<50 {
            let code = try? box.value.cache.code(for: key) { () throws(AdaptQError) in
              box.value.generated[key] += 1  // under the cache's lock
              return ("k\(key)", [0xC3])
            }
            if code?.name != "k\(key)" { box.value.wrong = true }
          }
          return nil
        }, Unmanaged.passUnretained(shared).toOpaque())
      if status == 0 { threads.append(thread) }
    }
    for thread in threads { pthread_join(thread, nil) }
    #expect(threads.count == 16)
    #expect(shared.value.generated == [Int](repeating: 1, count: 50))
    #expect(!shared.value.wrong)
  }
}

final class Box<Value>: @unchecked Sendable {
  var value: Value
  init(_ value: Value) { self.value = value }
}

final class RaceState {
  let cache = CodeCache<Int>()
  var generated = [Int](repeating: 0, count: 50)
  var wrong = false
}

func readText(_ path: String) -> String? {
  guard let file = fopen(path, "r") else { return nil }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while true {
    let count = fread(&buffer, 1, buffer.count, file)
    if count == 0 { break }
    bytes += buffer[0..<count]
  }
  return String(decoding: bytes, as: UTF8.self)
}
