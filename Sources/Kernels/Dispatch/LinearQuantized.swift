import NestedFormat

/// The product at a nested level for `blocks` blocks of 16 outputs from `firstBlock` on, with activations that
/// ``quantize(x:xRowStride:into:_:_:)`` coded for `level` with the same table. Threads may share a product by blocks: every output is
/// computed in the same order whoever does it.
///
/// - Parameter scratch: the thread's own, ``productScratchByteCount(maxRows:)`` bytes, 64-byte aligned.
public func linearQuantized(
  _ weights: LinearWeights, _ level: Level, _ kernels: KernelTable, x: QuantizedActivations,
  y: UnsafeMutablePointer<Float>, yRowStride: Int, firstBlock: Int, blocks: Int, scratch: UnsafeMutableRawPointer
) {
  guard let nested = weights.nested, blocks > 0, x.rows > 0 else { return }
  let set = kernels.nested(level)
  let scratch = ProductScratch(scratch)
  // The vector kernels are there for as many rows as lead a panel, portable ones if need be.
  if x.rows <= max(set.vectorRows, set.leadingRows) {
    vectorProduct(
      weights, nested, set, x, y: y, yRowStride: yRowStride, firstBlock: firstBlock, blocks: blocks, scratch: scratch)
  } else if let leading = set.leading {
    widePanelProduct(
      weights, nested, PlanePointers(nested).read(level), set, leading, x, y: y, yRowStride: yRowStride,
      firstBlock: firstBlock, blocks: blocks,
      scratch: scratch)
  } else {
    panelProduct(
      weights, nested, set, x, y: y, yRowStride: yRowStride, firstBlock: firstBlock, blocks: blocks, scratch: scratch)
  }
  let last = (firstBlock &+ blocks &- 1) &* 16
  if last &+ 16 > weights.n {
    storeTail(scratch.tile, rows: x.rows, firstOutput: last, n: weights.n, y: y, yRowStride: yRowStride)
  }
}

/// Few rows: the planes are decoded in registers, once, in storage order.
private func vectorProduct(
  _ weights: LinearWeights, _ nested: NestedView, _ set: NestedKernels, _ x: QuantizedActivations,
  y: UnsafeMutablePointer<Float>, yRowStride: Int, firstBlock: Int, blocks: Int, scratch: ProductScratch
) {
  let kernel = set.vectors[x.rows &- 1]
  let hasTail = (firstBlock &+ blocks) &* 16 > weights.n
  let whole = hasTail ? blocks &- 1 : blocks
  let planes = PlanePointers(nested)
  if whole > 0 {
    let output = y + firstBlock &* 16
    var start = UnsafePointer(output)
    var startRowStride = yRowStride &* 4
    if let bias = weights.bias {
      start = bias + firstBlock &* 16
      startRowStride = 0
    } else {
      for row in 0..<x.rows { (output + row &* yRowStride).update(repeating: 0, count: whole &* 16) }
    }
    var arguments = VectorArguments(
      planes.at(firstBlock, 0), nested, x, start: start, startRowStride: startRowStride, y: output,
      yRowStride: yRowStride &* 4, nBlocks: whole)
    kernel(&arguments)
  }
  if hasTail {
    let block = firstBlock &+ whole
    let cursor = OutputCursor(
      block: block, n: weights.n, firstInput: 0, bias: weights.bias, y: y, yRowStride: yRowStride, scratch: scratch)
    var arguments = VectorArguments(
      planes.at(block, 0), nested, x, start: cursor.start, startRowStride: 0, y: cursor.y,
      yRowStride: cursor.yRowStride, nBlocks: 1)
    kernel(&arguments)
  }
}

/// Many rows: a piece of one block is unpacked once and all rows pass over it.
private func panelProduct(
  _ weights: LinearWeights, _ nested: NestedView, _ set: NestedKernels, _ x: QuantizedActivations,
  y: UnsafeMutablePointer<Float>, yRowStride: Int, firstBlock: Int, blocks: Int, scratch: ProductScratch
) {
  let planes = PlanePointers(nested)
  let codes = set.readsWords ? UnsafeRawPointer(x.words) : UnsafeRawPointer(x.codes)
  let width = set.readsWords ? 2 : 1
  let pieces = (nested.kBlocks &+ (Blocking.panelGroups &- 1)) / Blocking.panelGroups
  let inStorageOrder = Blocking.isSmall(rows: x.rows, rowByteCount: x.rowStride &* width)
  let lastBlock = firstBlock &+ (blocks &- 1)
  var (block, piece) = (firstBlock, 0)
  for left in stride(from: pieces &* blocks, to: 0, by: -1) {
    // Without divisions, which few rows would notice.
    var (nextBlock, nextPiece) = (block, piece)
    if inStorageOrder {
      nextPiece &+= 1
      if nextPiece == pieces { (nextBlock, nextPiece) = (block &+ 1, 0) }
    } else if block == lastBlock {
      (nextBlock, nextPiece) = (firstBlock, piece &+ 1)
    } else {
      nextBlock &+= 1
    }
    let group = piece &* Blocking.panelGroups
    let first = block &* nested.kBlocks &+ group
    let next = nextBlock &* nested.kBlocks &+ nextPiece &* Blocking.panelGroups
    let groups = min(Blocking.panelGroups, nested.kBlocks &- group)
    let source = planes.at(block, group)
    var unpacking = UnpackArguments(
      plane0: source.plane0, plane1: source.plane1, plane2: source.plane2, plane3: source.plane3,
      scales: source.scales, panel: scratch.panel, panelScales: scratch.panelScales, groups: groups,
      groupsToNext: left > 1 ? next &- first : 0, factor: nested.factor, scaleKind: nested.scaleKind,
      groupShift: nested.groupShift)
    set.unpack(&unpacking)
    let cursor = OutputCursor(
      block: block, n: weights.n, firstInput: group, bias: weights.bias, y: y, yRowStride: yRowStride,
      scratch: scratch)
    var arguments = PanelArguments(
      x: codes + (group &* 64) &* width, xRowStride: x.rowStride &* width, panel: UnsafeRawPointer(scratch.panel),
      panelScales: UnsafePointer(scratch.panelScales), activations: UnsafePointer(x.groupScales + group),
      activationRowStride: x.groups &* MemoryLayout<ActivationGroup>.stride, start: cursor.start,
      startRowStride: cursor.startRowStride, y: cursor.y, yRowStride: cursor.yRowStride, groups: groups, rows: x.rows)
    if left > 1 && set.readsWords {
      let ahead = planes.ahead(next)
      // One plane per tile of four rows, or two where there are fewer than four tiles.
      let distance = x.rows > 12 ? 2 : 1
      arguments.ahead[0] = ahead.plane0
      arguments.ahead[distance] = ahead.plane1
      arguments.ahead[2 &* distance] = ahead.plane2
      arguments.ahead[3 &* distance] = ahead.plane3
    }
    set.panel(&arguments)
    (block, piece) = (nextBlock, nextPiece)
  }
}

/// Many rows, with kernels that take two blocks at once: the leading rows' products leave pieces of both as panels, over
/// which all other rows pass.
///
/// Rows are cut into parts that stay in the level-2 cache, and weights are read in storage order for each part; where K is so
/// long that the parts would be small, K is cut instead. Neither changes a bit of any output.
private func widePanelProduct(
  _ weights: LinearWeights, _ nested: NestedView, _ planes: PlanePointers, _ set: NestedKernels, _ leading: Kernel,
  _ x: QuantizedActivations,
  y: UnsafeMutablePointer<Float>, yRowStride: Int, firstBlock: Int, blocks: Int, scratch: ProductScratch
) {
  let pieces = (nested.kBlocks &+ (Blocking.panelGroups &- 1)) / Blocking.panelGroups
  let fitting = Blocking.cachedRowByteCount / x.rowStride
  let most = max(fitting, Blocking.fewestRows)
  let parts = (x.rows &+ (most &- 1)) / most
  let size = (x.rows &+ (parts &- 1)) / parts
  let piecesAtOnce =
    fitting >= most ? pieces : max(Blocking.cachedRowByteCount / (size &* Blocking.panelGroups &* 64), 1)
  let end = firstBlock &+ blocks
  // A block that is cut at N goes through the scratch tile, which is one block wide.
  let whole = end &* 16 > weights.n ? end &- 1 : end
  var firstRow = 0
  while firstRow < x.rows {
    // What is left is never fewer rows than lead.
    let rest = x.rows &- firstRow
    let count = rest < size &+ set.leadingRows ? rest : size
    var firstPiece = 0
    while firstPiece < pieces {
      let lastPiece = min(firstPiece &+ piecesAtOnce, pieces)
      var block = firstBlock
      while block < end {
        let width = block &+ PanelArguments.wideBlocks <= whole ? PanelArguments.wideBlocks : 1
        for piece in firstPiece..<lastPiece {
          // The next piece of the same blocks, or the first one of the blocks behind them.
          let next =
            piece &+ 1 < lastPiece
            ? block &* nested.kBlocks &+ (piece &+ 1) &* Blocking.panelGroups
            : min(block &+ width, end &- 1) &* nested.kBlocks &+ firstPiece &* Blocking.panelGroups
          panelPiece(
            weights, nested, planes, set, leading, x.panel(firstRow, count), y: y + firstRow &* yRowStride,
            yRowStride: yRowStride, block: block, blocks: width, piece: piece, next: next, firstRow: firstRow,
            scratch: scratch)
        }
        block &+= width
      }
      firstPiece = lastPiece
    }
    firstRow &+= count
  }
}

/// One piece of one or two blocks for all rows of `x`, at least as many as lead. `next` counts groups to what comes then.
@inline(__always)
private func panelPiece(
  _ weights: LinearWeights, _ nested: NestedView, _ planes: PlanePointers, _ set: NestedKernels, _ leading: Kernel,
  _ x: QuantizedActivations,
  y: UnsafeMutablePointer<Float>, yRowStride: Int, block: Int, blocks: Int, piece: Int, next: Int, firstRow: Int,
  scratch: ProductScratch
) {
  let group = piece &* Blocking.panelGroups
  let groups = min(Blocking.panelGroups, nested.kBlocks &- group)
  var own = scratch
  own.tile += firstRow &* 16
  let cursor = OutputCursor(
    block: block, blocks: blocks, n: weights.n, firstInput: group, bias: weights.bias, y: y, yRowStride: yRowStride,
    scratch: own)
  var first = VectorArguments(
    planes.at(block, group), nested, x, start: cursor.start, startRowStride: cursor.startRowStride,
    y: cursor.y, yRowStride: cursor.yRowStride, nBlocks: blocks)
  first.x += group &* 64
  first.activations += group
  first.groups = groups
  first.blockStride = nested.kBlocks &* 256
  first.panel = scratch.panel
  first.panelScales = scratch.panelScales
  leading(&first)
  let rest = x.panel(set.leadingRows, x.rows &- set.leadingRows)
  if rest.rows == 0 { return }
  let start = UnsafeRawPointer(cursor.start) + set.leadingRows &* cursor.startRowStride
  let target = UnsafeMutableRawPointer(cursor.y) + set.leadingRows &* cursor.yRowStride
  var arguments = PanelArguments(
    x: UnsafeRawPointer(rest.codes + group &* 64), xRowStride: x.rowStride, panel: UnsafeRawPointer(scratch.panel),
    panelScales: UnsafePointer(scratch.panelScales), activations: UnsafePointer(rest.groupScales + group),
    activationRowStride: x.groups &* MemoryLayout<ActivationGroup>.stride,
    start: start.assumingMemoryBound(to: Float.self), startRowStride: cursor.startRowStride,
    y: target.assumingMemoryBound(to: Float.self), yRowStride: cursor.yRowStride, groups: groups, rows: rest.rows,
    blocks: blocks)
  let ahead = planes.ahead(next)
  let afterwards = planes.ahead(next &+ nested.kBlocks)
  arguments.ahead = [
    ahead.plane0, ahead.plane1, ahead.plane2, ahead.plane3, afterwards.plane0, afterwards.plane1, afterwards.plane2,
    afterwards.plane3,
  ]
  set.panel(rows: rest.rows)(&arguments)
}

/// The planes of a view without optionals: a plane that is not loaded is never read and stands at plane 0.
struct PlanePointers {
  var plane0: UnsafeRawPointer
  var plane1: UnsafeRawPointer
  var plane2: UnsafeRawPointer
  var plane3: UnsafeRawPointer
  var scales: UnsafeRawPointer
  private let kBlocks: Int
  private let scaleRowByteCount: Int
  private let groupShift: Int
  private let lineByteCount: Int

  @inline(__always)
  init(_ view: NestedView) {
    plane0 = view.plane0 ?? view.scales
    plane1 = view.plane1 ?? plane0
    plane2 = view.plane2 ?? plane0
    plane3 = view.plane3 ?? plane0
    scales = view.scales
    kBlocks = view.kBlocks
    scaleRowByteCount = view.scaleRowByteCount
    groupShift = view.groupShift
    lineByteCount = view.scaleKind.lineByteCount
  }

  /// With plane 0 for those that `level` does not read, so that nothing else is fetched ahead.
  @inline(__always)
  func read(_ level: Level) -> PlanePointers {
    var limited = self
    if level.planes < 4 { limited.plane3 = plane0 }
    if level.planes < 3 { limited.plane2 = plane0 }
    if level.planes < 2 { limited.plane1 = plane0 }
    return limited
  }

  @inline(__always)
  func at(_ block: Int, _ group: Int) -> PlanePointers {
    var moved = ahead(block &* kBlocks &+ group)
    moved.scales += block &* scaleRowByteCount &+ (group &>> groupShift) &* lineByteCount
    return moved
  }

  /// Only the planes, `groups` groups of 64 from the first block on.
  @inline(__always)
  func ahead(_ groups: Int) -> PlanePointers {
    var moved = self
    moved.plane0 += groups &* 256
    moved.plane1 += groups &* 256
    moved.plane2 += groups &* 256
    moved.plane3 += groups &* 256
    return moved
  }
}

extension VectorArguments {
  @inline(__always)
  init(
    _ planes: PlanePointers, _ nested: NestedView, _ x: QuantizedActivations, start: UnsafePointer<Float>,
    startRowStride: Int, y: UnsafeMutablePointer<Float>, yRowStride: Int, nBlocks: Int
  ) {
    self.init(
      plane0: planes.plane0, plane1: planes.plane1, plane2: planes.plane2, plane3: planes.plane3,
      scales: planes.scales, x: UnsafePointer(x.codes), xRowStride: x.rowStride,
      activations: UnsafePointer(x.groupScales),
      activationRowStride: x.groups &* MemoryLayout<ActivationGroup>.stride, start: start,
      startRowStride: startRowStride, y: y, yRowStride: yRowStride,
      groups: x.groups, nBlocks: nBlocks, factor: nested.factor, scaleKind: nested.scaleKind,
      groupShift: nested.groupShift, scaleRowByteCount: nested.scaleRowByteCount)
  }
}
