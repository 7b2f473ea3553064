import Base
import Hardware
import Kernels
import NestedFormat
import Testing

@Suite struct KernelNameTests {
  @Test func roundTripsTheCatalog() throws {
    let all = KernelCatalog.all
    #expect(!all.isEmpty)
    var names: Set<String> = []
    for spec in all {
      let name = KernelName(spec).description
      #expect(try KernelName(parsing: name).spec == spec, "\(name)")
      #expect(names.insert(name).inserted, "two kernels are called \(name)")
    }
  }

  @Test(arguments: [
    "", "gemm", "gemm_f32_f32_f32b16_6x16", "gemm_f32_f32_f32b16_6x16_avx9", "gemm_f32_f32_f33b16_6x16_avx2",
    "gemm_f32_f32_f32b16_6x16_avx2_", "gemv_f32_s8g64_n5g64b16x64_1x16_avx2", "GEMM_f32_f32_f32b16_6x16_avx2",
    "gemm_f32_f32_f32b16_06x16_avx2", "gemv_f32_s8g64_n4g64b16x64_1x16_avxvnnigfn",
    "gemm_f32_f32_f32b16_99999999999999999999x16_avx2", "unpack_p4_n4_avx2",
  ])
  func refusesOtherTexts(text: String) {
    #expect(throws: AdaptQError.self) { try KernelName(parsing: text) }
  }

  @Test func everyKernelGenerates() throws {
    for spec in KernelCatalog.all {
      let bytes = try KernelGenerator.generate(spec)
      #expect(!bytes.isEmpty, "\(KernelName(spec))")
      let again = try KernelGenerator.generate(spec)
      #expect(bytes == again, "\(KernelName(spec)) is not the same twice")
    }
  }

  @Test func blocksThatDoNotFitAreRefused() {
    let spec = GEMMSpec(.dense, isa: .avx2, level: .fp32, activations: .float32, rows: 7)
    #expect(throws: AdaptQError.self) { try KernelGenerator.generate(spec) }
  }
}
