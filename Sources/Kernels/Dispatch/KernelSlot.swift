import Hardware
import MachineCode
import NestedFormat

/// A place in a ``KernelTable``, filled by one kernel, or by those that only make sense together.
enum KernelSlot: Hashable {
  case quantize
  case sums
  case dense(Level)
  /// The unpacking and the panel kernel, which share a private layout, and the one that writes words if they read such.
  case panel(Level)
  /// Reads the panels of ``panel(_:)``.
  case tilePanel(Level)
  case vector(Level, rows: Int)
  case expanded
  case bfloat16
  case bfloat16Half
  /// Reads the panels of ``bfloat16Half``.
  case tileBFloat16
  case round
  /// The kernel that rounds rows to FP16 and the one that multiplies them.
  case half

  init(_ spec: GEMMSpec) {
    switch spec.operation {
    case .quantize: self = .quantize
    case .sums: self = .sums
    case .dense: self = .dense(spec.level)
    case .panel, .unpack, .leading, .words: self = spec.isa == .amx ? .tilePanel(spec.level) : .panel(spec.level)
    case .vector: self = .vector(spec.level, rows: spec.rows)
    case .expanded: self = .expanded
    case .bfloat16: self = spec.isa == .amx ? .tileBFloat16 : .bfloat16
    case .bfloat16Half: self = .bfloat16Half
    case .round: self = .round
    case .half, .roundHalf: self = .half
    }
  }
}

extension KernelTable {
  /// Puts a generated kernel in its place. A panel kernel and its unpacking kernel must both be put there.
  mutating func install(_ kernel: Kernel, for spec: GEMMSpec) {
    switch spec.operation {
    case .quantize: quantize = kernel
    case .sums: groupSums = kernel
    case .words: words = kernel
    case .dense:
      if spec.level == .fp16 { dense16 = kernel } else { dense32 = kernel }
      // Portable kernels take any number of blocks.
      if spec.isa >= .avx512 { densePairRows = DenseTile<ZMM>.pairRows }
      cutRows(by: spec.rows)
    case .unpack: change(spec.level) { $0.unpack = kernel }
    case .panel where spec.isa == .amx: change(spec.level) { $0.tilePanel = kernel }
    case .panel:
      change(spec.level) {
        $0.panel = kernel
        $0.readsWords = spec.hasWords
        $0.panelGroupByteCount = spec.hasWords ? 2048 : 1024
      }
      cutRows(by: spec.rows)
    case .leading:
      change(spec.level) {
        $0.leading = kernel
        $0.leadingRows = spec.rows
      }
    case .expanded: expanded1 = kernel
    case .bfloat16 where spec.isa == .amx: tileBFloat16 = kernel
    case .bfloat16:
      bfloat16 = kernel
      hasFastBFloat16 = true
    case .bfloat16Half:
      bfloat16Half = kernel
      bfloat16Rows = KernelTable.leastBFloat16Rows
    case .round: round = kernel
    case .half:
      // Both come together, and what stands in for the other one until it is there is never called.
      half = HalfKernels(multiply: kernel, round: half?.round ?? kernel)
    case .roundHalf: half = HalfKernels(multiply: half?.multiply ?? kernel, round: kernel)
    case .vector:
      change(spec.level) {
        $0.vectors[spec.rows &- 1] = kernel
        $0.vectorRows = max($0.vectorRows, spec.rows)
      }
    }
  }

  /// Makes `rowTile` a multiple of `rows` too.
  private mutating func cutRows(by rows: Int) {
    var common = rowTile
    while common % rows != 0 { common += rowTile }
    rowTile = common
  }

  private mutating func change(_ level: Level, _ body: (inout NestedKernels) -> Void) {
    switch level {
    case .int2: body(&int2)
    case .int4: body(&int4)
    case .int6: body(&int6)
    default: body(&int8)
    }
  }
}

extension GEMMSpec {
  /// Whether a panel is made of 16-bit words, and multiplied by such: AVX2 has no exact 8-bit dot product.
  var hasWords: Bool { isa == .avx2 && level == .int8 }
}
