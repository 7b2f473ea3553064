/// A nested matrix in memory that someone else owns: what kernels and the plain decoder read. Trivial, so that it may
/// travel on the run path.
///
/// `docs/nested-format.md` defines the bytes. A plane that is not loaded is nil; a level may be read when its planes are
/// there. Pointers are 64-byte aligned.
public struct NestedView: BitwiseCopyable, @unchecked Sendable {
  public var plane0: UnsafeRawPointer?
  public var plane1: UnsafeRawPointer?
  public var plane2: UnsafeRawPointer?
  public var plane3: UnsafeRawPointer?
  /// Per row of blocks and group one line, as ``scaleKind`` says.
  public var scales: UnsafeRawPointer
  /// Every stored `s` and `lo` counts times this.
  public var factor: Float
  public var n: Int
  public var k: Int
  public var nBlocks: Int
  public var kBlocks: Int
  public var scaleKind: ScaleKind
  /// As ``NestedForm/groupShift``.
  public var groupShift: Int
  /// Bytes of the lines of a row of blocks.
  public var scaleRowByteCount: Int

  @inlinable public init(
    plane0: UnsafeRawPointer?, plane1: UnsafeRawPointer?, plane2: UnsafeRawPointer?, plane3: UnsafeRawPointer?,
    scales: UnsafeRawPointer, factor: Float, shape: NestedShape
  ) {
    self.plane0 = plane0
    self.plane1 = plane1
    self.plane2 = plane2
    self.plane3 = plane3
    self.scales = scales
    self.factor = factor
    n = shape.n
    k = shape.k
    nBlocks = shape.nBlocks
    kBlocks = shape.kBlocks
    scaleKind = shape.form.scaleKind
    groupShift = shape.form.groupShift
    scaleRowByteCount = shape.groups &* shape.form.scaleKind.lineByteCount
  }

  /// Bytes from ``scales`` to the line of a row of blocks and the group of its block `kBlock`.
  @inlinable public func scaleOffset(_ nBlock: Int, _ kBlock: Int) -> Int {
    nBlock &* scaleRowByteCount &+ (kBlock &>> groupShift) &* scaleKind.lineByteCount
  }

  /// Plane `index`, 0 (most significant) to 3; nil when it is not loaded or the index is outside.
  @inlinable public func plane(_ index: Int) -> UnsafeRawPointer? {
    switch index {
    case 0: plane0
    case 1: plane1
    case 2: plane2
    case 3: plane3
    default: nil
    }
  }

  /// Whether every plane that `level` reads is loaded.
  @inlinable public func holds(_ level: Level) -> Bool {
    if !level.isNested { return false }
    for index in 0..<level.planes where plane(index) == nil { return false }
    return true
  }
}
