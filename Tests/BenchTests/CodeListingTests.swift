import Base
import Hardware
import Kernels
import MachineCode
import NestedFormat
import Testing

@testable import Bench

/// Kernels as text: every byte once, in order, labels where they belong.
@Suite struct CodeListingTests {
  static var avx2: KernelFeatures {
    var features = KernelFeatures()
    features.avx2 = true
    return features
  }

  /// A loop, a label that is only jumped to from above, and a constant.
  static func tiny() throws -> KernelCode {
    let asm = X64Assembler()
    let done = asm.newLabel()
    asm.cmp(GPR64.rdi, 1)
    asm.jl(done)
    let loop = asm.here()
    asm.sub(GPR64.rdi, 1)
    asm.jne(loop)
    asm.bind(done)
    asm.vmovups(YMM(0), asm.constant256([UInt8](repeating: 7, count: 32)))
    asm.ret()
    return KernelCode(name: "tiny_avx2", code: try asm.finishMarked())
  }

  static func bytes(_ lines: [String]) -> [UInt8] {
    lines.filter { $0.hasPrefix("  .byte ") }.flatMap { line in
      line.dropFirst(8).prefix { $0 != " " }.split(separator: ",").compactMap { UInt8($0.dropFirst(2), radix: 16) }
    }
  }

  @Test func labelsAreKnown() throws {
    let code = try Self.tiny().code
    #expect(code.marks.map(\.isLoopHead) == [true, false])
    #expect(code.marks.map(\.offset) == code.marks.map(\.offset).sorted())
    #expect(code.bytes.count == (code.instructionByteCount + 31) / 32 * 32 + 32)
    #expect(code.bytes.suffix(32).allSatisfy { $0 == 7 })
  }

  @Test func listingHoldsEveryByte() throws {
    for kernel in try KernelCode.kernels(for: Self.avx2, []) + [Self.tiny()] {
      let lines = kernel.listing()
      #expect(Self.bytes(lines) == kernel.code.bytes, "\(kernel.name)")
      #expect(lines[0].hasPrefix("# \(kernel.name): \(kernel.code.bytes.count) bytes"))
      #expect(lines[1] == "\(kernel.name):")
      let labels = lines.filter { $0.hasPrefix("\(kernel.name).") && !$0.hasPrefix("\(kernel.name).constants") }
      #expect(labels.count == kernel.code.marks.count, "\(kernel.name)")
      for (number, mark) in kernel.code.marks.enumerated() {
        let before = lines.prefix { !$0.hasPrefix("\(kernel.name).\(mark.isLoopHead ? "loop" : "label")\(number):") }
        #expect(Self.bytes(Array(before)).count == mark.offset, "\(kernel.name) \(number)")
      }
    }
  }

  @Test func markedCodeIsTheGeneratedCode() throws {
    for spec in KernelCatalog.all {
      let marked = try KernelGenerator.marked(spec)
      #expect(try KernelGenerator.generate(spec) == marked.bytes)
      #expect(marked.marks.allSatisfy { $0.offset >= 0 && $0.offset <= marked.instructionByteCount })
      #expect(marked.instructionByteCount <= marked.bytes.count)
    }
    for spec in OperatorSpec.all {
      #expect(try KernelGenerator.generate(spec) == KernelGenerator.marked(spec).bytes)
    }
  }

  @Test func disassemblyGetsLabels() throws {
    let kernel = try Self.tiny()
    let offsets = kernel.code.marks.map { String($0.offset, radix: 16) }
    let text = """

      /dev/stdin:     file format binary

      Disassembly of section .data:

      0000000000000000 <.data>:
         0:\t48 83 ff 01          \tcmp    rdi,0x1
         4:\t7c 00                \tjl     0x\(offsets[1])
         \(offsets[0]):\t48 83 ef 01          \tsub    rdi,0x1
         a:\t75 00                \tjne    0x\(offsets[0])
         \(offsets[1]):\tc3                   \tret

      """
    let lines = kernel.listing(disassembly: text)
    #expect(lines.contains { $0.hasSuffix("  # loop0") && $0.contains("jne") })
    #expect(lines.contains { $0.hasSuffix("  # label1") && $0.contains("jl ") })
    let loop = try #require(lines.firstIndex(of: "tiny_avx2.loop0:"))
    #expect(lines[loop + 1].contains("sub"))
    let label = try #require(lines.firstIndex(of: "tiny_avx2.label1:"))
    #expect(lines[label + 1].contains("ret"))
    #expect(lines.contains("tiny_avx2.constants:"))
    #expect(!lines.contains { $0.contains("stdin") || $0.contains("Disassembly") })
  }

  @Test func namesChoose() throws {
    let all = try KernelCode.kernels(for: Self.avx2, [])
    #expect(all.count == KernelCatalog.specs(for: Self.avx2, levels: Level.allCases).count + 3)
    #expect(try KernelCode.kernels(for: Self.avx2, ["gelu"]).map(\.name) == ["gelu_f32_f32_avx2"])
    let some = try KernelCode.kernels(for: Self.avx2, ["gelu", "unpack"]).map(\.name)
    #expect(some == all.map(\.name).filter { $0.contains("gelu") || $0.contains("unpack") })
    #expect(throws: AdaptQError.self) { try KernelCode.kernels(for: Self.avx2, ["nonsense"]) }
    #expect(try KernelCode.kernels(for: KernelFeatures(), []).isEmpty)
  }
}
