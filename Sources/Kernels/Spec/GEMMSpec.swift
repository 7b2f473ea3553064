import Hardware
import NestedFormat

/// Everything a generator needs to know about one kernel: cache key, kernel name (``KernelName``) and test argument.
///
/// Rows, outputs and inputs of a product are run-time counts and not part of it.
public struct GEMMSpec: Hashable, Sendable {
  public enum Operation: Hashable, Sendable, CaseIterable {
    /// ``DenseArguments``: FP32 or FP16 weights, or a panel of activations.
    case dense
    /// ``PanelArguments``: quantized activations by an unpacked panel.
    case panel
    /// ``VectorArguments``: quantized activations by planes.
    case vector
    /// ``VectorArguments`` with a panel, which is left for the panel kernel.
    case leading
    /// ``ExpandedArguments``: quantized activations by 8-bit codes that were put together before.
    case expanded
    /// ``UnpackArguments``: planes to panel.
    case unpack
    /// ``QuantizeArguments``: floats to quantized activations.
    case quantize
    /// ``QuantizeArguments``: only ``ActivationGroup/groupSum`` of groups that were coded before.
    case sums
    /// ``WordsArguments``: codes to 16-bit words.
    case words
    /// ``BFloat16Arguments``: bfloat16 rows by panels of bfloat16 pairs.
    case bfloat16
    /// ``BFloat16HalfArguments``: the same from FP16 weights, which become such panels.
    case bfloat16Half
    /// ``RoundArguments``: floats to bfloat16.
    case round
    /// ``HalfArguments``: rows of FP16 by FP16 weights.
    case half
    /// ``RoundArguments``: floats to rows of FP16.
    case roundHalf
  }

  /// What the products read as activations.
  public enum Activations: Hashable, Sendable, CaseIterable {
    case float32
    /// Upper halves of floats, rounded.
    case bfloat16
    /// FP16 behind an exponent per row.
    case float16
    /// Signed 8-bit codes with a scale per row and group.
    case int8PerRowAndGroup
    /// Signed 8-bit codes with a scale per row: integers are added up over whole groups of weights, see
    /// ``GEMMSpec/summedBlocks``.
    case int8PerRow
  }

  /// What happens to the sum before it is stored.
  public enum Epilogue: Hashable, Sendable, CaseIterable {
    case none
  }

  public enum Output: Hashable, Sendable, CaseIterable {
    case float32
  }

  public var operation: Operation
  public var isa: InstructionSet
  /// Whether planes are decoded with `vgf2p8affineqb`.
  public var gfni: Bool
  /// The weights' level; FP32 for operations without weights.
  public var level: Level
  public var activations: Activations
  /// Rows in registers at once (MR): the largest tile, or the exact number for ``Operation/vector`` and
  /// ``Operation/leading``.
  public var rows: Int
  /// Outputs in registers at once (NR).
  public var columns: Int
  /// Inputs that share scales of weights: 64, 128 or ``NestedForm/allInputs``.
  public var groupSize: Int
  public var scaleKind: ScaleKind
  public var epilogue: Epilogue
  public var output: Output

  public init(
    _ operation: Operation, isa: InstructionSet, gfni: Bool = false, level: Level, activations: Activations,
    rows: Int, columns: Int = 16, groupSize: Int = 64, scaleKind: ScaleKind = .stepAndMinimum,
    epilogue: Epilogue = .none, output: Output = .float32
  ) {
    self.operation = operation
    self.isa = isa
    self.gfni = gfni
    self.level = level
    self.activations = activations
    self.rows = rows
    self.columns = columns
    self.groupSize = groupSize
    self.scaleKind = scaleKind
    self.epilogue = epilogue
    self.output = output
  }
}
