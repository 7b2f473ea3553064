import Base
import Control
import Graph
import NestedFormat

/// How long each step took at each uniform level and size, in memory of its own. Costs are measured into it, once.
final class StepTimes {
  private let memory: MemoryBlock
  private let times: UnsafeMutablePointer<Int>
  private let codes: UnsafeMutablePointer<Int>
  let levelCount: Int
  let stepCount: Int
  /// Work of each measured size.
  private(set) var works: [Int] = []
  var byteCount: Int { memory.byteCount }

  init(levelCount: Int, stepCount: Int, sizeCount: Int, calls: SystemCalls) throws(AdaptQError) {
    let rows = try checkedProduct(levelCount, sizeCount, "step times")
    let count = try checkedProduct(rows, stepCount, "step times")
    var layout = BlockLayout()
    let timesAt = try layout.reserve(Int.self, count)
    let codesAt = try layout.reserve(Int.self, count)
    memory = try MemoryBlock.allocate(byteCount: layout.byteCount, purpose: "step times", calls: calls)
    times = (memory.base + timesAt).assumingMemoryBound(to: Int.self)
    codes = (memory.base + codesAt).assumingMemoryBound(to: Int.self)
    times.update(repeating: 0, count: count)
    codes.update(repeating: 0, count: count)
    self.levelCount = levelCount
    self.stepCount = stepCount
  }

  /// Where the executor adds what each step takes.
  func times(size: Int, level: Int) -> UnsafeMutablePointer<Int> { times + (size * levelCount + level) * stepCount }

  /// Where it adds the part that was spent on making 8-bit codes of an input that several steps may share.
  func codes(size: Int, level: Int) -> UnsafeMutablePointer<Int> { codes + (size * levelCount + level) * stepCount }

  /// All runs of this size are done.
  func finish(work: Int) { works.append(work) }
}
