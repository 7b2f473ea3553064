import Base
import MachineCode
import TestSupport
import Testing

/// The emulator runs what this machine cannot; these tests say that it can be trusted with kernels.
@Suite(.enabled(if: EmulatedCPU.missing == nil, "needs bochscpu-python; see ADAPTQ_EMULATOR_PYTHON"))
struct EmulatedCPUTests {
  private func assemble(_ emit: (borrowing X64Assembler) -> Void) throws -> [UInt8] {
    let asm = X64Assembler()
    emit(asm)
    return try asm.finish()
  }

  /// Two planes, select, affine, dot product: the instructions of the nested kernels, against scalar loops.
  @Test func integerInstructionsMatchTheirTwins() throws {
    var random = SeededRandom("integerInstructionsMatchTheirTwins")
    func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
    let matrix: UInt64 = 0x0102_0408_1020_4080 &* 3 ^ random.next()
    let mask: UInt8 = 0x0C
    let code = try assemble { asm in
      let data = GPR64.rdi
      asm.vmovdqu64(ZMM(17), data[0])
      asm.vpternlogd(ZMM(17), ZMM(17), ZMM(17), 0xF0)
      asm.vmovdqu8(ZMM(18), data[64])
      asm.vpbroadcastb(ZMM(19), asm.constant(Array(repeating: mask, count: 1), alignment: 1))
      asm.vpternlogd(ZMM(17), ZMM(18), ZMM(19), 0xD8)
      asm.vgf2p8affineqb(ZMM(17), ZMM(17), asm.constant64(matrix).broadcast64, 0x5A)
      asm.vmovdqu32(ZMM(1), data[192])
      asm.vpdpbusd(ZMM(1), ZMM(17), data[128].broadcast32)
      asm.vmovdqu64(data[256], ZMM(17))
      asm.vmovdqu32(data[192], ZMM(1))
      asm.ret()
    }
    let buffers = (0..<20).map { _ in GuardedBuffer<UInt8>(bytes(256) + [UInt8](repeating: 0, count: 64)) }
    let before = buffers.map(\.array)
    let jobs = buffers.map { EmulatedCPU.Job(code: code, regions: [.init($0)], argument: $0.base) }
    for complaints in try EmulatedCPU.run(jobs, cpu: .sapphireRapids) { #expect(complaints == []) }

    for (buffer, input) in zip(buffers, before) {
      let codes = (0..<64).map { i in affine(input[i] & ~mask | input[64 + i] & mask, matrix, 0x5A) }
      let sums = (0..<16).map { lane -> Int32 in
        let start = Int32(bitPattern: word(input, 192 + 4 * lane))
        return (0..<4).reduce(start) { sum, k in
          sum &+ Int32(codes[4 * lane + k]) * Int32(Int8(bitPattern: input[128 + k]))
        }
      }
      let after = buffer.array
      #expect(Array(after[256..<320]) == codes)
      #expect((0..<16).map { Int32(bitPattern: word(after, 192 + 4 * $0)) } == sums)
    }
  }

  /// vdpbf16ps: the odd product is added first, each step rounded to nearest even (SDM).
  ///
  /// Only with registers: this emulator scales the memory form's 8-bit displacement by 4 instead of the vector's size.
  @Test func bfloatProductsMatchTheirTwin() throws {
    var random = SeededRandom("bfloatProductsMatchTheirTwin")
    let code = try assemble { asm in
      asm.vmovups(ZMM(16), GPR64.rdi[128])
      asm.vmovups(ZMM(17), GPR64.rdi[0])
      asm.vmovups(ZMM(18), GPR64.rdi[64])
      asm.vdpbf16ps(ZMM(16), ZMM(17), ZMM(18))
      asm.vmovups(GPR64.rdi[128], ZMM(16))
      asm.ret()
    }
    let buffer = GuardedBuffer<UInt32>(count: 48)
    for i in 0..<32 {
      buffer[i] = random.normal().bitPattern & 0xFFFF_0000 | random.normal().bitPattern >> 16
    }
    for i in 32..<48 { buffer[i] = random.normal().bitPattern }
    let input = buffer.array
    let complaints = try EmulatedCPU.run(
      code: code, regions: [.init(buffer)], argument: buffer.base, cpu: .sapphireRapids)
    #expect(complaints == [])
    for i in 0..<16 {
      func high(_ x: UInt32) -> Float { Float(bitPattern: x & 0xFFFF_0000) }
      func low(_ x: UInt32) -> Float { Float(bitPattern: x << 16) }
      let odd = Float(bitPattern: input[32 + i]).addingProduct(high(input[i]), high(input[16 + i]))
      let sum = odd.addingProduct(low(input[i]), low(input[16 + i]))
      #expect(Float(bitPattern: buffer[32 + i]) == sum, "lane \(i)")
    }
  }

  /// Tiles of all shapes that a product may have: 8-bit integers, and bfloat16 within the roundings of a sum.
  @Test func tileProductsMatchTheirTwins() throws {
    var random = SeededRandom("tileProductsMatchTheirTwins")
    for (rows, steps, columns) in [(16, 16, 16), (1, 1, 1), (5, 3, 16), (16, 16, 7), (3, 16, 2)] {
      let shapes = [(rows, 4 * columns), (rows, 4 * steps), (steps, 4 * columns)]
      var configuration = [UInt8](repeating: 0, count: 64)
      configuration[0] = 1
      for (tile, shape) in shapes.enumerated() {
        for place in [tile, tile + 3] {
          configuration[16 + 2 * place] = UInt8(shape.1)
          configuration[48 + place] = UInt8(shape.0)
        }
      }
      func bytes() -> [UInt8] { (0..<1024).map { _ in UInt8.random(in: 0...255, using: &random) } }
      func halves() -> [UInt8] {
        (0..<512).flatMap { _ -> [UInt8] in
          let bits = random.normal().bitPattern >> 16
          return [UInt8(bits & 255), UInt8(bits >> 8)]
        }
      }
      // Configuration, integer sums, two factors, float sums, two factors.
      let zeros = [UInt8](repeating: 0, count: 1024)
      let input = configuration + bytes() + bytes() + bytes() + zeros + halves() + halves()
      let buffer = GuardedBuffer<UInt8>(input)
      let code = try assemble { asm in
        let data = GPR64.rdi
        asm.ldtilecfg(data[0])
        asm.mov(GPR64.r9, 64)
        for tile in 0..<6 { asm.tileloadd(TMM(tile), data[.r9, 1, 64 + 1024 * tile]) }
        asm.tilezero(TMM(3))
        asm.tdpbsud(TMM(0), TMM(1), TMM(2))
        asm.tdpbf16ps(TMM(3), TMM(4), TMM(5))
        asm.tilestored(data[.r9, 1, 64], TMM(0))
        asm.tilestored(data[.r9, 1, 64 + 3072], TMM(3))
        asm.tilerelease()
        asm.ret()
      }
      let complaints = try EmulatedCPU.run(
        code: code, regions: [.init(buffer)], argument: buffer.base, cpu: .sapphireRapids)
      #expect(complaints == [])
      let after = buffer.array
      for row in 0..<rows {
        for column in 0..<columns {
          var sum = Int32(bitPattern: word(input, 64 + 64 * row + 4 * column))
          var (exact, magnitude) = (0.0, 0.0)
          for step in 0..<steps {
            for i in 0..<4 {
              let a = Int8(bitPattern: input[64 + 1024 + 64 * row + 4 * step + i])
              sum &+= Int32(a) * Int32(input[64 + 2048 + 64 * step + 4 * column + i])
            }
            for i in 0..<2 {
              func number(_ place: Int) -> Double {
                let bits = UInt32(input[place]) << 16 | UInt32(input[place + 1]) << 24
                return Double(Float(bitPattern: bits))
              }
              let product =
                number(64 + 4096 + 64 * row + 4 * step + 2 * i) * number(64 + 5120 + 64 * step + 4 * column + 2 * i)
              exact += product
              magnitude += product.magnitude
            }
          }
          #expect(Int32(bitPattern: word(after, 64 + 64 * row + 4 * column)) == sum, "row \(row) column \(column)")
          let got = Double(Float(bitPattern: word(after, 64 + 3072 + 64 * row + 4 * column)))
          #expect((got - exact).magnitude <= magnitude * 0x1p-19, "row \(row) column \(column)")
        }
      }
    }
  }

  @Test func wrongTilesAreReported() throws {
    let buffer = GuardedBuffer<UInt8>([1] + [UInt8](repeating: 0, count: 127))
    buffer[16] = 64
    buffer[48] = 2
    func complaints(_ emit: (borrowing X64Assembler) -> Void) throws -> String {
      let code = try assemble { asm in
        asm.mov(GPR64.rax, 64)
        asm.ldtilecfg(GPR64.rdi[0])
        emit(asm)
        asm.ret()
      }
      return try EmulatedCPU.run(
        code: code, regions: [.init(buffer)], argument: buffer.base, cpu: .sapphireRapids
      ).joined(separator: "; ")
    }
    #expect(try complaints { $0.tilerelease() } == "")
    #expect(try complaints { _ in } == "tiles are not released")
    let beyond = try complaints { $0.tileloadd(TMM(0), GPR64.rdi[.rax, 1, 64]) }
    #expect(beyond.contains("page fault at a tile instruction") && beyond.contains("read"))
    #expect(try complaints { $0.tilezero(TMM(1)) }.contains("tmm1 is not configured"))
    #expect(try complaints { $0.tdpbsud(TMM(0), TMM(1), TMM(2)) }.contains("tmm1 is not configured"))
  }

  /// The AVX2 kernel of the native tests gives the same bytes natively and emulated, also where AVX-512 is missing.
  @Test(arguments: EmulatedCPU.Model.allCases) func runsWhatTheMachineRuns(_ model: EmulatedCPU.Model) throws {
    var random = SeededRandom("runsWhatTheMachineRuns")
    let a = GuardedBuffer<Float>((0..<40).map { _ in random.normal() })
    let b = GuardedBuffer<Float>((0..<40).map { _ in random.normal() })
    let out = GuardedBuffer<Float>(count: 40)
    var arguments = AddArguments(a: a.base, b: b.base, out: out.base, count: 40)
    let code = try addArraysCode()
    let complaints = try withUnsafeMutablePointer(to: &arguments) { pointer in
      try EmulatedCPU.run(
        code: code, regions: [.init(a, isWritable: false), .init(b, isWritable: false), .init(out), .init(pointer)],
        argument: pointer, cpu: model)
    }
    #expect(complaints == [])
    #expect(out.array == zip(a.array, b.array).map(+))
  }

  @Test func modelsDiffer() throws {
    let avx512 = try assemble { asm in
      asm.vpxord(ZMM(16), ZMM(16), ZMM(16))
      asm.ret()
    }
    let vnni = try assemble { asm in
      asm.vpdpbusd(ZMM(16), ZMM(16), ZMM(16))
      asm.ret()
    }
    let bf16 = try assemble { asm in
      asm.vdpbf16ps(ZMM(16), ZMM(16), ZMM(16))
      asm.ret()
    }
    let avxVNNI = try assemble { asm in
      asm.vpdpbusdVEX(YMM(1), YMM(1), YMM(1))
      asm.ret()
    }
    let expected: [EmulatedCPU.Model: [Bool]] = [
      .haswell: [false, false, false, false], .skylakeX: [true, false, false, false],
      .icelake: [true, true, false, false],
      .sapphireRapids: [true, true, true, true], .arrowLake: [false, false, false, true],
    ]
    for (model, runs) in expected {
      let jobs = [avx512, vnni, bf16, avxVNNI].map { EmulatedCPU.Job(code: $0, regions: [], argument: nil) }
      let results = try EmulatedCPU.run(jobs, cpu: model)
      #expect(results.map(\.isEmpty) == runs, "\(model): \(results)")
    }
  }

  @Test func mistakesAreReported() throws {
    let buffer = GuardedBuffer<UInt8>([UInt8](repeating: 7, count: 64))
    func complaints(isWritable: Bool = true, _ emit: (borrowing X64Assembler) -> Void) throws -> String {
      try EmulatedCPU.run(
        code: try assemble(emit), regions: [.init(buffer, isWritable: isWritable)], argument: buffer.base, cpu: .icelake
      ).joined(separator: "; ")
    }
    let base = UInt(bitPattern: buffer.base)
    let behind = try complaints { $0.vmovups(ZMM(0), GPR64.rdi[1]) }
    #expect(behind == "page fault before code offset 0xa, address 0x\(String(base + 64, radix: 16)), read")
    let readOnly = try complaints(isWritable: false) { $0.vmovups(GPR64.rdi[0], ZMM(0)) }
    #expect(readOnly == "page fault before code offset 0x6, address 0x\(String(base, radix: 16)), write")
    let before = try complaints { asm in
      asm.mov32(GPR64.rdi[-4], 0)
      asm.ret()
    }
    #expect(before == "4 bytes written beside the regions, first at 0x\(String(base - 4, radix: 16))")
    let clobbering = try complaints { asm in
      asm.mov(.rbx as GPR64, 0)
      asm.mov(.r15 as GPR64, 0)
      asm.ret()
    }
    #expect(clobbering == "rbx is not preserved; r15 is not preserved")
    let invalid = try complaints { $0.ud2() }
    #expect(invalid == "invalid opcode before code offset 0x2")
  }

  private func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
  }

  /// GF(2) affine transform of one byte (SDM, GF2P8AFFINEQB): bit i is the parity of matrix byte 7-i and the source.
  private func affine(_ x: UInt8, _ matrix: UInt64, _ constant: UInt8) -> UInt8 {
    (0..<8).reduce(constant) { result, bit in
      let row = UInt8(truncatingIfNeeded: matrix >> UInt64(8 * (7 - bit)))
      return result ^ UInt8((row & x).nonzeroBitCount & 1) << UInt8(bit)
    }
  }
}
