// What kernels are called with. Every kernel is a C function of one pointer to one of these structs, so that generated
// code, portable code and an emulated CPU are called the same way. Generated code reads the fields at the offsets that
// `MemoryLayout.offset(of:)` gives. Strides are bytes. No kernel checks anything: the drivers in `Dispatch` do.

import NestedFormat

/// A kernel: portable Swift or generated code. The argument points to the struct that the kernel's family wants.
public typealias Kernel = @convention(c) (UnsafeRawPointer) -> Void

/// Float products over one block of 16 outputs:
/// `y[r][0..<16] = start[r][0..<16] + alpha · Σ_k x[r][k] · w[k][0..<16]` for `r` below `rows`.
///
/// `start` may be a bias (row stride 0), `y` itself (a further piece of K) or zeros.
///
/// With one row also over ``wideBlocks`` neighbouring blocks at once, and where a table has ``KernelTable/densePairRows`` over
/// two: `y` and `start` then go on behind the first 16. Every output has the same bits as in calls of single blocks.
public struct DenseArguments: BitwiseCopyable {
  /// A single row reads every weight once, and memory gives several streams at once more than one.
  public static let wideBlocks = 3

  public var x: UnsafePointer<Float>
  public var xRowStride: Int
  /// `[k][16]` FP32, or FP16, which is converted exactly.
  public var w: UnsafeRawPointer
  public var start: UnsafePointer<Float>
  public var startRowStride: Int
  public var y: UnsafeMutablePointer<Float>
  public var yRowStride: Int
  public var k: Int
  public var rows: Int
  /// 1, or ``wideBlocks`` with one row, or 2.
  public var blocks: Int
  /// From one block's weights to the next one's; unused with one block.
  public var blockStride: Int
  public var alpha: Float

  public init(
    x: UnsafePointer<Float>, xRowStride: Int, w: UnsafeRawPointer, start: UnsafePointer<Float>, startRowStride: Int,
    y: UnsafeMutablePointer<Float>, yRowStride: Int, k: Int, rows: Int, blocks: Int = 1, blockStride: Int = 0,
    alpha: Float
  ) {
    self.x = x
    self.xRowStride = xRowStride
    self.w = w
    self.start = start
    self.startRowStride = startRowStride
    self.y = y
    self.yRowStride = yRowStride
    self.k = k
    self.rows = rows
    self.blocks = blocks
    self.blockStride = blockStride
    self.alpha = alpha
  }
}

/// Symmetric 8-bit coding of activations, per row and group of 64, or per row.
///
/// `a = max|x| / 127`, `q = nearest even of x · (127 / max|x|)` held within ±127; `offset = a · Σ q`. A row that holds a
/// NaN or infinity gets scale and offset NaN in that group, whatever its codes; a group whose `max|x|` is below
/// ``QuantizedActivations/smallestMagnitude`` gets zeros.
///
/// Per row the maximum is that of the whole row, and every group gets the same scale, and a ``ActivationGroup/groupSum``.
public struct QuantizeArguments: BitwiseCopyable {
  public var x: UnsafePointer<Float>
  public var xRowStride: Int
  /// `[rows][codeRowStride]`, bytes beyond `k` up to the next multiple of 64 become 0.
  public var codes: UnsafeMutablePointer<Int8>
  public var codeRowStride: Int
  public var groups: UnsafeMutablePointer<ActivationGroup>
  public var groupRowStride: Int
  public var k: Int
  public var rows: Int
  /// Only portable kernels look at the form; generated ones are made for one.
  public var form: NestedForm

  public init(
    x: UnsafePointer<Float>, xRowStride: Int, codes: UnsafeMutablePointer<Int8>, codeRowStride: Int,
    groups: UnsafeMutablePointer<ActivationGroup>, groupRowStride: Int, k: Int, rows: Int,
    form: NestedForm = .standard
  ) {
    self.x = x
    self.xRowStride = xRowStride
    self.codes = codes
    self.codeRowStride = codeRowStride
    self.groups = groups
    self.groupRowStride = groupRowStride
    self.k = k
    self.rows = rows
    self.form = form
  }
}

/// Codes with a scale per group as words with a scale per chunk: fixed-point numbers whose products with words of weights
/// add up exactly over a whole chunk, so that scales are applied once per chunk instead of once per group.
///
/// A chunk is up to ``groupCount`` groups of one row. With `l = Σ |scale| · Σ|q|` over its groups, added in order in Float,
/// and `t` the largest `128 · |scale|`, a unit of the words stands for `2^e`,
/// `e = max(⌊log2(1.01 · l)⌋ − 19, ⌊log2 t⌋ − 13, −120)`: words stay below 2¹⁴, and their magnitudes add up to less than
/// 2²⁰, so that a sum of products with words of weights, at most 2050, fits 32 bits. Per group
/// `m = round(scale · 2^(7 − e))` and `word = ⌊(q · m + 64) / 128⌋`, which is within one unit of `q · scale`.
public struct WordsArguments: BitwiseCopyable {
  /// Groups of a chunk.
  public static let groupCount = 8

  /// `[rows][codeRowStride]`, padded to whole groups.
  public var codes: UnsafePointer<Int8>
  public var codeRowStride: Int
  /// As ``QuantizedActivations/words``.
  public var words: UnsafeMutablePointer<Int16>
  public var wordRowStride: Int
  /// Scales are read; `negativePairs` and `wordScale` of the first group of each chunk are written.
  public var groups: UnsafeMutablePointer<ActivationGroup>
  public var groupRowStride: Int
  /// Groups of a row.
  public var count: Int
  public var rows: Int

  public init(
    codes: UnsafePointer<Int8>, codeRowStride: Int, words: UnsafeMutablePointer<Int16>, wordRowStride: Int,
    groups: UnsafeMutablePointer<ActivationGroup>, groupRowStride: Int, count: Int, rows: Int
  ) {
    self.codes = codes
    self.codeRowStride = codeRowStride
    self.words = words
    self.wordRowStride = wordRowStride
    self.groups = groups
    self.groupRowStride = groupRowStride
    self.count = count
    self.rows = rows
  }
}

/// Unpacks `groups` groups of one block of 16 outputs from the planes into a panel that the panel kernel of the same
/// ISA and level reads, and its scales into floats.
public struct UnpackArguments: BitwiseCopyable {
  /// The first group's block in each plane; planes that the level does not read are not touched.
  public var plane0: UnsafeRawPointer
  public var plane1: UnsafeRawPointer
  public var plane2: UnsafeRawPointer
  public var plane3: UnsafeRawPointer
  /// The first group's line, see ``ScaleKind``.
  public var scales: UnsafeRawPointer
  /// 64-byte aligned.
  public var panel: UnsafeMutableRawPointer
  /// Per 64 inputs 16 floats `s' = s · factor · 2^(8-b)`, then 16 floats `lo' = (lo + s · 2^(7-b)) · factor`, then 64 bytes of
  /// the pair's own; the kinds without a minimum have ``ScaleKind/binCenter(_:)`` less the zero point, times `s`, for `lo`. A pair of kernels whose panel holds `U_b · 2^(8-b)` leaves that power out of `s'`. A pair of kernels of
  /// words leaves something else, see ``unpackWordsReference(_:)``.
  public var panelScales: UnsafeMutablePointer<Float>
  public var groups: Int
  /// What will be unpacked next lies so many groups further on and may be fetched meanwhile; 0 if nothing. Kernels of words
  /// leave its planes to the product, see ``PanelArguments/ahead``.
  public var groupsToNext: Int
  public var factor: Float
  /// As in ``NestedView``; only portable kernels look at these.
  public var scaleKind: ScaleKind
  public var groupShift: Int

  public init(
    plane0: UnsafeRawPointer, plane1: UnsafeRawPointer, plane2: UnsafeRawPointer, plane3: UnsafeRawPointer,
    scales: UnsafeRawPointer, panel: UnsafeMutableRawPointer, panelScales: UnsafeMutablePointer<Float>, groups: Int,
    groupsToNext: Int = 0, factor: Float, scaleKind: ScaleKind = .stepAndMinimum, groupShift: Int = 0
  ) {
    self.plane0 = plane0
    self.plane1 = plane1
    self.plane2 = plane2
    self.plane3 = plane3
    self.scales = scales
    self.panel = panel
    self.panelScales = panelScales
    self.groups = groups
    self.groupsToNext = groupsToNext
    self.factor = factor
    self.scaleKind = scaleKind
    self.groupShift = groupShift
  }
}

/// Products of quantized activations with one unpacked panel, over `groups` groups and one block of 16 outputs:
/// `y[r] = start[r] + Σ_g (scale[r][g] · (s'[g] · A[r][g]) + offset[r][g] · lo'[g])` with the exact integer
/// `A = Σ q · U_b` over the group's 64 inputs. Kernels of words compute `y[r] = start[r] + wordScale[r] · S · A[r]` with the
/// exact integer `A = Σ x · w` over all inputs, see ``WordsArguments`` and ``unpackWordsReference(_:)``.
///
/// Tables with ``NestedKernels/leading`` also take ``wideBlocks`` neighbouring blocks at once, whose panels and scales lie
/// ``panelBlockByteCount`` and ``scaleBlockByteCount`` apart; `start` and `y` then go on behind the first 16 outputs. Every output has the same bits as in calls of single blocks.
public struct PanelArguments: BitwiseCopyable {
  public static let wideBlocks = 2
  public static let panelBlockByteCount = WordsArguments.groupCount * 1024
  public static let scaleBlockByteCount = WordsArguments.groupCount * panelScaleGroupByteCount

  /// Codes, or words where the table says so; points at the first group's inputs.
  public var x: UnsafeRawPointer
  public var xRowStride: Int
  public var panel: UnsafeRawPointer
  public var panelScales: UnsafePointer<Float>
  public var activations: UnsafePointer<ActivationGroup>
  public var activationRowStride: Int
  public var start: UnsafePointer<Float>
  public var startRowStride: Int
  public var y: UnsafeMutablePointer<Float>
  public var yRowStride: Int
  public var groups: Int
  public var rows: Int
  /// 1 or ``wideBlocks``.
  public var blocks: Int
  /// What may be fetched meanwhile, any addresses: of 256 bytes per group from each of them kernels of words touch two in each
  /// of the first four tiles of rows, kernels that take ``wideBlocks`` blocks four in each of the first two.
  public var ahead: InlineArray<8, UnsafeRawPointer>

  /// With nothing to fetch.
  public init(
    x: UnsafeRawPointer, xRowStride: Int, panel: UnsafeRawPointer, panelScales: UnsafePointer<Float>,
    activations: UnsafePointer<ActivationGroup>, activationRowStride: Int, start: UnsafePointer<Float>,
    startRowStride: Int, y: UnsafeMutablePointer<Float>, yRowStride: Int, groups: Int, rows: Int, blocks: Int = 1
  ) {
    self.x = x
    self.xRowStride = xRowStride
    self.panel = panel
    self.panelScales = panelScales
    self.activations = activations
    self.activationRowStride = activationRowStride
    self.start = start
    self.startRowStride = startRowStride
    self.y = y
    self.yRowStride = yRowStride
    self.groups = groups
    self.rows = rows
    self.blocks = blocks
    ahead = InlineArray(repeating: panel)
  }
}

/// The same sum as ``PanelArguments`` at 8 bits for one row, from codes that ``expandCodes(_:into:)`` put together and
/// activations that ``prepareExpanded(_:)`` split.
public struct ExpandedArguments: BitwiseCopyable {
  /// The first block's codes: 1024 bytes per group, `nBlocks` blocks.
  public var codes: UnsafeRawPointer
  /// As in ``VectorArguments``.
  public var scales: UnsafeRawPointer
  /// Per group 64 magnitudes, then 64 sign bytes.
  public var x: UnsafeRawPointer
  public var activations: UnsafePointer<ActivationGroup>
  /// Advances by 16 floats per block, as `y` does.
  public var start: UnsafePointer<Float>
  public var y: UnsafeMutablePointer<Float>
  public var groups: Int
  public var nBlocks: Int
  public var factor: Float

  public init(
    codes: UnsafeRawPointer, scales: UnsafeRawPointer, x: UnsafeRawPointer,
    activations: UnsafePointer<ActivationGroup>, start: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>,
    groups: Int, nBlocks: Int, factor: Float
  ) {
    self.codes = codes
    self.scales = scales
    self.x = x
    self.activations = activations
    self.start = start
    self.y = y
    self.groups = groups
    self.nBlocks = nBlocks
    self.factor = factor
  }
}

/// The same sum as ``PanelArguments``, straight from the planes, for as many rows as the kernel was generated for and
/// `nBlocks` blocks of 16 outputs that follow each other in the planes.
///
/// Kernels of leading rows take one block or ``PanelArguments/wideBlocks``, whose planes are `blockStride` apart, and also
/// leave `groups` groups of their codes as panels with scales, laid out as ``PanelArguments`` says: 16 vectors of 64 bytes `U_b · 2^(8-b)` per group in the order of the blocks in planes.
public struct VectorArguments: BitwiseCopyable {
  public var plane0: UnsafeRawPointer
  public var plane1: UnsafeRawPointer
  public var plane2: UnsafeRawPointer
  public var plane3: UnsafeRawPointer
  public var scales: UnsafeRawPointer
  public var x: UnsafePointer<Int8>
  public var xRowStride: Int
  public var activations: UnsafePointer<ActivationGroup>
  public var activationRowStride: Int
  /// Advances by 16 floats per block, as `y` does.
  public var start: UnsafePointer<Float>
  public var startRowStride: Int
  public var y: UnsafeMutablePointer<Float>
  public var yRowStride: Int
  public var groups: Int
  public var nBlocks: Int
  /// Bytes from one block to the next in a plane; read by kernels of leading rows only, as are the next two.
  public var blockStride: Int
  /// 64-byte aligned.
  public var panel: UnsafeMutableRawPointer?
  public var panelScales: UnsafeMutablePointer<Float>?
  public var factor: Float
  /// As in ``NestedView``; only portable kernels look at the first two.
  public var scaleKind: ScaleKind
  public var groupShift: Int
  /// Bytes from one block's lines of scales to the next one's.
  public var scaleRowByteCount: Int

  public init(
    plane0: UnsafeRawPointer, plane1: UnsafeRawPointer, plane2: UnsafeRawPointer, plane3: UnsafeRawPointer,
    scales: UnsafeRawPointer, x: UnsafePointer<Int8>, xRowStride: Int, activations: UnsafePointer<ActivationGroup>,
    activationRowStride: Int, start: UnsafePointer<Float>, startRowStride: Int, y: UnsafeMutablePointer<Float>,
    yRowStride: Int, groups: Int, nBlocks: Int, blockStride: Int = 0, panel: UnsafeMutableRawPointer? = nil,
    panelScales: UnsafeMutablePointer<Float>? = nil, factor: Float, scaleKind: ScaleKind = .stepAndMinimum,
    groupShift: Int = 0, scaleRowByteCount: Int
  ) {
    self.plane0 = plane0
    self.plane1 = plane1
    self.plane2 = plane2
    self.plane3 = plane3
    self.scales = scales
    self.x = x
    self.xRowStride = xRowStride
    self.activations = activations
    self.activationRowStride = activationRowStride
    self.start = start
    self.startRowStride = startRowStride
    self.y = y
    self.yRowStride = yRowStride
    self.groups = groups
    self.nBlocks = nBlocks
    self.blockStride = blockStride
    self.panel = panel
    self.panelScales = panelScales
    self.factor = factor
    self.scaleKind = scaleKind
    self.groupShift = groupShift
    self.scaleRowByteCount = scaleRowByteCount
  }
}
