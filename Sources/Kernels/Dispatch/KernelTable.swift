import NestedFormat

/// The kernels of one nested level.
public struct NestedKernels: BitwiseCopyable, Sendable {
  /// Takes ``UnpackArguments``.
  public var unpack: Kernel
  /// Takes ``PanelArguments``.
  public var panel: Kernel
  /// Take ``VectorArguments``; for one row, two rows and so on.
  public var vectors: InlineArray<8, Kernel>
  /// Takes ``VectorArguments`` for ``leadingRows`` rows and stands for `unpack`; the panel kernel then takes
  /// ``PanelArguments/wideBlocks`` blocks at once. nil where `unpack` is used.
  public var leading: Kernel?
  public var leadingRows = 0
  /// Takes what `panel` takes, from the same panels, with the same bits; nil where the CPU has no tiles or nobody asked for them.
  public var tilePanel: Kernel?
  /// Bytes of one unpacked group of 64 inputs by 16 outputs.
  public var panelGroupByteCount: Int
  /// Whether `panel` reads words instead of codes; then one call takes at most ``WordsArguments/groupCount`` groups.
  public var readsWords: Bool
  /// Up to this many rows the vector kernels are used, or up to ``leadingRows``.
  public var vectorRows: Int

  /// With fewer rows a tile is not worth what setting tiles up costs. Not measured: no CPU with tiles was there.
  static let leastTileRows = 4

  /// The kernel for `rows` rows that pass over a panel.
  @inline(__always)
  func panel(rows: Int) -> Kernel {
    if let tilePanel, rows >= NestedKernels.leastTileRows { return tilePanel }
    return panel
  }
}

/// The kernels of products in FP16.
public struct HalfKernels: BitwiseCopyable, Sendable {
  /// Takes ``HalfArguments``.
  public var multiply: Kernel
  /// Takes ``RoundArguments`` and leaves rows for `multiply`.
  public var round: Kernel
}

/// Function pointers for everything that runs on the run path; trivial. ``portable`` needs nothing, ``KernelSet`` builds
/// the table for a CPU. The code it points to lives as long as the process or its `KernelSet`.
public struct KernelTable: BitwiseCopyable, Sendable {
  /// The form of nested weights that the table serves, and how it codes activations.
  public var form = NestedForm.standard
  /// Takes ``QuantizeArguments``.
  public var quantize: Kernel
  /// Takes ``QuantizeArguments`` of rows that were coded; nil where products read no ``ActivationGroup/groupSum``, or coding leaves
  /// it.
  public var groupSums: Kernel?
  /// Takes ``WordsArguments``.
  public var words: Kernel
  /// Take ``DenseArguments`` with FP32 and FP16 weights.
  public var dense32: Kernel
  public var dense16: Kernel
  /// Rows up to which two blocks at once are one tile; 0 where kernels take no two blocks.
  public var densePairRows = 0
  /// Rows of a product may be cut after multiples of this, and at least as many before the end: then every row keeps the
  /// size of its tile, on which the order of its sum depends.
  public var rowTile = 1
  public var int8: NestedKernels
  public var int6: NestedKernels
  public var int4: NestedKernels
  public var int2: NestedKernels
  /// Takes ``ExpandedArguments``; nil where reading planes is as fast, and in the portable table.
  public var expanded1: Kernel?
  /// Takes ``BFloat16Arguments``.
  public var bfloat16: Kernel = KernelTable.portableBFloat16
  /// Takes ``BFloat16HalfArguments``.
  public var bfloat16Half: Kernel = KernelTable.portableBFloat16Half
  /// From so many rows on products at FP16 multiply in bfloat16.
  public var bfloat16Rows = Int.max
  /// Takes ``BFloat16Arguments`` for at least ``BFloat16Arguments/matrixRows`` rows, which it multiplies in another order; nil
  /// where the CPU has no tiles or nobody asked for them.
  public var tileBFloat16: Kernel?
  /// What few rows of FP16 products are multiplied with instead of bfloat16; nil where the CPU has no FP16 arithmetic.
  public var half: HalfKernels?
  /// Takes ``RoundArguments``.
  public var round: Kernel = KernelTable.portableRound
  /// Whether products in bfloat16 are faster than those in Float.
  public var hasFastBFloat16 = false
  /// Takes ``UnaryArguments``.
  public var gelu: Kernel = KernelTable.portableGelu
  /// Take ``QuantizeArguments``: codes of GELU, exact and by tanh, SiLU and ReLU, see ``activationCodes(_:)``.
  public var geluCodes: Kernel?
  public var geluTanhCodes: Kernel?
  public var siluCodes: Kernel?
  public var reluCodes: Kernel?
  /// Takes ``SoftmaxArguments``.
  public var softmaxRows: Kernel = KernelTable.portableSoftmaxRows
  /// Takes ``LayerNormArguments``.
  public var layerNorm: Kernel = KernelTable.portableLayerNorm
  /// Take ``AttentionPackArguments`` and ``AttentionArguments``; nil where the CPU has no bfloat16 products, and in the
  /// portable table.
  public var attentionPack: Kernel?
  public var attention: Kernel?
  /// The same with 8-bit codes of queries and keys.
  public var codedAttentionPack: Kernel?
  public var codedAttention: Kernel?

  /// What ``bfloat16Rows`` is where the CPU multiplies bfloat16. With fewer rows rounding the weights takes as long as multiplying
  /// them in Float, and nothing is to be had for the precision.
  static let leastBFloat16Rows = 3

  /// Whether the FP16 products that would multiply in bfloat16 do so in FP16 with `rows` rows: as long as rounding the weights
  /// takes more instructions than multiplying them. That is counted, not measured: no CPU with FP16 arithmetic was there.
  @inlinable public func usesHalf(rows: Int) -> Bool { half != nil && rows <= HalfArguments.mostRows }

  /// Whether a product of `rows` rows at `level` multiplies in bfloat16, or in FP16, see ``usesHalf(rows:)``.
  @inlinable public func usesBFloat16(_ level: Level, rows: Int) -> Bool { level == .fp16 && rows >= bfloat16Rows }

  /// Whether a product of `rows` rows at `level` reads its input in another form than floats.
  @inlinable public func preparesInput(_ level: Level, rows: Int) -> Bool {
    level.isNested || usesBFloat16(level, rows: rows)
  }

  /// Blocks of 16 outputs that kernels for `rows` rows at `level` take at once: threads had better not part them.
  @inlinable public func blocksAtOnce(_ level: Level, rows: Int) -> Int {
    if usesBFloat16(level, rows: rows) { return BFloat16Arguments.mostBlocks }
    if !level.isNested { return rows > 1 && densePairRows > 0 ? 2 : 1 }
    let set = nested(level)
    return set.leading != nil && rows > max(set.vectorRows, set.leadingRows) ? PanelArguments.wideBlocks : 1
  }

  /// Rows of a product may be cut after multiples of this, and at least as many before the end, without changing a bit.
  @inlinable public func rowCut(_ level: Level, rows: Int) -> Int {
    // Parts of fewer rows would be multiplied by other kernels than the whole.
    if usesBFloat16(level, rows: rows) {
      return tileBFloat16 == nil ? BFloat16Arguments.tileRows : BFloat16Arguments.matrixRows
    }
    // Their integers are exact, and every kernel adds groups in order.
    return level.isNested && nested(level).leading != nil ? 1 : rowTile
  }

  /// Into how many shares `blocks` blocks can be cut then.
  @inlinable public func shares(_ blocks: Int, _ level: Level, rows: Int) -> Int {
    let unit = blocksAtOnce(level, rows: rows)
    return (blocks &+ (unit &- 1)) / unit
  }

  /// Whether a product of `rows` rows at `level` reads words.
  @inlinable public func readsWords(_ level: Level, rows: Int) -> Bool {
    level == .int8 && int8.readsWords && rows > int8.vectorRows
  }

  /// The kernels of a nested level; those of INT8 for a level that is not nested.
  @inlinable public func nested(_ level: Level) -> NestedKernels {
    switch level {
    case .int2: int2
    case .int4: int4
    case .int6: int6
    default: int8
    }
  }
}
