import NestedFormat

extension KernelTable {
  /// Puts generated kernels in their places.
  ///
  /// - Returns: why a kernel is not used, for those that are not.
  mutating func install(_ kernels: [GEMMSpec: Kernel]) -> [GEMMSpec: String] {
    var refused: [GEMMSpec: String] = [:]
    for level in Level.nested {
      let panels = kernels.first { $0.key.operation == .panel && $0.key.level == level }
      let unpacks = kernels.first { $0.key.operation == .unpack && $0.key.level == level }
      if let panels, let unpacks {
        nested(level) {
          $0.panel = panels.value
          $0.unpack = unpacks.value
          $0.readsWords = panels.key.isa == .avx2 && level == .int8
          $0.panelGroupByteCount = $0.readsWords ? 2048 : 1024
        }
      }
    }
    for (spec, kernel) in kernels {
      switch (spec.operation, spec.level) {
      case (.dense, .fp32): dense32 = kernel
      case (.dense, .fp16): dense16 = kernel
      case (.widen, _): widen = kernel
      case (.quantize, _):
        quantize = kernel
        wantsWords = true
      case (.vector, let level):
        nested(level) {
          switch spec.rows {
          case 1: $0.vector1 = kernel
          case 2: $0.vector2 = kernel
          case 3: $0.vector3 = kernel
          default: $0.vector4 = kernel
          }
          $0.vectorRows = 4
        }
      case (.panel, _), (.unpack, _): break
      default: refused[spec] = "no place in the table"
      }
    }
    return refused
  }

  private mutating func nested(_ level: Level, _ change: (inout NestedKernels) -> Void) {
    switch level {
    case .int2: change(&int2)
    case .int4: change(&int4)
    case .int6: change(&int6)
    default: change(&int8)
    }
  }
}
