import NestedFormat

extension KernelTable {
  /// Puts generated kernels in their places.
  ///
  /// - Returns: why a kernel is not used, for those that are not.
  mutating func install(_ kernels: [GEMMSpec: Kernel]) -> [GEMMSpec: String] {
    var refused: [GEMMSpec: String] = [:]
    for (spec, kernel) in kernels {
      switch (spec.operation, spec.level) {
      case (.dense, .fp32): dense32 = kernel
      case (.dense, .fp16): dense16 = kernel
      case (.widen, _):
        widen = kernel
      default: refused[spec] = "no place in the table"
      }
    }
    return refused
  }
}
