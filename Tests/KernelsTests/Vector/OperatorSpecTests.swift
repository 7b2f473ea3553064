import Hardware
import Kernels
import Testing

@Suite struct OperatorSpecTests {
  @Test func everySpecHasItsOwnNameAndIsGenerated() throws {
    let names = Set(OperatorSpec.all.map(\.description))
    #expect(names.count == OperatorSpec.all.count)
    for spec in OperatorSpec.all {
      #expect(try !KernelGenerator.generate(spec).isEmpty)
      #expect(throws: (any Error).self) { try KernelGenerator.generate(OperatorSpec(spec.operation, isa: .portable)) }
    }
  }

  @Test func theSetSaysWhatItUses() {
    #expect(KernelSet(features: KernelFeatures()).operatorEntries.isEmpty)
    var avx2 = KernelFeatures()
    avx2.avx2 = true
    #expect(KernelSet(features: avx2, allowCodeGeneration: false).operatorEntries.isEmpty)
    let entries = KernelSet(features: avx2).operatorEntries
    #expect(entries.map(\.description) == ["gelu_f32_f32_avx2", "softmax_f32_f32_avx2", "layernorm_f32_f32_avx2"])
  }
}
