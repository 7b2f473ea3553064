import CMachine

// One step shared by threads: on the stack of the run's thread, found by the others through the executor.

/// What a step, or the first half of one, is to the threads that share it: `items` pieces, each computed the same way and
/// in the same order whoever takes it. So results do not depend on the number of threads.
struct ParallelWork {
  enum Part: UInt8, BitwiseCopyable { case quantize, main, codes }

  let plan: UnsafePointer<PlanContext>
  let step: UnsafeMutablePointer<Step>
  let part: Part
  var items = 1
  /// Nanoseconds that one thread takes, roughly; only the order of magnitude counts.
  var cost = 0
  /// Into how many panels the rows of a product are cut, after multiples of how many rows.
  var panels = 1
  var rowCut = 1
  /// What threads take at a time: so many runs of neighbouring items, of nearly equal length.
  private var pieces = 1
  private var lanes = 1
  /// Atomics, a cache line apart: which pieces are taken, a bit each; the next lane; and one more than the lowest position of
  /// an index without a row.
  private let words: UnsafeMutablePointer<UInt64>

  /// Pieces per thread: a thread that is held up leaves the rest to others. Few, since a product fetches ahead within a piece.
  private static let piecesPerLane = 3
  private static let mostPieces = 8 * 64

  @inline(__always)
  private init(
    _ plan: UnsafePointer<PlanContext>, _ step: UnsafeMutablePointer<Step>, _ part: Part,
    _ words: UnsafeMutablePointer<UInt64>
  ) {
    self.plan = plan
    self.step = step
    self.part = part
    self.words = words
  }

  @inline(__always) private var taken: UnsafeMutablePointer<UInt64> { words }
  @inline(__always) private var nextLane: UnsafeMutablePointer<UInt64> { words + 8 }
  @inline(__always) private var firstBad: UnsafeMutablePointer<UInt64> { words + 16 }

  /// Does everything, with as many of the executor's threads as are worth it.
  ///
  /// - Returns: the lowest position of an index that has no row in its table, or -1.
  static func run(
    _ plan: UnsafePointer<PlanContext>, _ step: UnsafeMutablePointer<Step>, _ part: Part, _ executor: ParallelExecutor
  ) -> Int {
    var words = InlineArray<17, UInt64>(repeating: 0)
    return withUnsafeMutableBytes(of: &words) { memory -> Int in
      guard let base = memory.baseAddress else { return -1 }
      var work = ParallelWork(plan, step, part, base.assumingMemoryBound(to: UInt64.self))
      return withUnsafeMutablePointer(to: &work) { run($0, executor) }
    }
  }

  @inline(__always)
  private static func run(_ work: UnsafeMutablePointer<ParallelWork>, _ executor: ParallelExecutor) -> Int {
    let plan = work.pointee.plan
    let width = min(executor.width, plan.pointee.lanes)
    plan.pointee.measure(&work.pointee, lanes: width)
    let worth = min(width, work.pointee.cost / max(executor.laneCost, 1))
    let lanes = min(worth, work.pointee.items, mostPieces)
    if lanes <= 1 {
      plan.pointee.perform(work, 0, work.pointee.items, lane: 0)
    } else {
      work.pointee.lanes = lanes
      work.pointee.pieces = min(lanes &* piecesPerLane, work.pointee.items, mostPieces)
      executor.parallelFor(executor.context, lanes, body, work)
      // A host that did not call everything it was given must not cost a result.
      takePieces(work, lane: 0)
    }
    return Int(truncatingIfNeeded: cmachine_atomic_load(work.pointee.firstBad)) &- 1
  }

  /// A thread's share. The index is not looked at: a lane is whoever comes next, so that two calls with one index, which
  /// only a faulty host makes, cannot share a lane's memory.
  private static let body: ParallelExecutor.Body = { context, _ in
    guard let work = context?.assumingMemoryBound(to: ParallelWork.self) else { return }
    let lane = Int(truncatingIfNeeded: cmachine_atomic_add(work.pointee.nextLane, 1)) &- 1
    if lane >= work.pointee.lanes { return }
    // A thread of the host has the host's rounding.
    var outer = cmachine_floating()
    cmachine_enter_floating(&outer)
    takePieces(work, lane: lane)
    cmachine_leave_floating(&outer)
  }

  /// Each lane begins with pieces of its own, so that in steps that follow each other a thread finds the rows that it wrote in
  /// its caches; then it takes what others have left.
  private static func takePieces(_ work: UnsafeMutablePointer<ParallelWork>, lane: Int) {
    let (items, pieces) = (work.pointee.items, work.pointee.pieces)
    var piece = lane &* pieces / work.pointee.lanes
    for _ in 0..<pieces {
      if take(work, piece) {
        work.pointee.plan.pointee.perform(
          work, piece &* items / pieces, (piece &+ 1) &* items / pieces, lane: lane)
      }
      piece &+= 1
      if piece == pieces { piece = 0 }
    }
  }

  /// True for the one thread that takes the piece.
  @inline(__always)
  private static func take(_ work: UnsafeMutablePointer<ParallelWork>, _ piece: Int) -> Bool {
    let word = work.pointee.taken + piece / 64
    let bit = UInt64(1) &<< UInt64(truncatingIfNeeded: piece & 63)
    var known = cmachine_atomic_load(word)
    while known & bit == 0 {
      if cmachine_atomic_exchange_if(word, &known, known | bit) { return true }
    }
    return false
  }

  /// Keeps the lowest of all positions.
  static func noteBad(_ work: UnsafeMutablePointer<ParallelWork>, _ position: Int) {
    let own = UInt64(truncatingIfNeeded: position) &+ 1
    var known = cmachine_atomic_load(work.pointee.firstBad)
    while known == 0 || own < known {
      if cmachine_atomic_exchange_if(work.pointee.firstBad, &known, own) { return }
    }
  }
}
