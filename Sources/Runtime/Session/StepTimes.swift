import Base
import Control
import Graph
import NestedFormat

/// How long each step takes at each uniform level and size: the least of all runs, so that whatever held up one of them shows in
/// no step. In memory of its own; costs are measured into it, once.
final class StepTimes {
  private let memory: MemoryBlock
  /// What steps take besides making codes, and what making 8-bit codes of an input takes that several steps may share.
  private let products: UnsafeMutablePointer<Int>
  private let codes: UnsafeMutablePointer<Int>
  /// Of the run in progress: where the executor adds what each step takes, and the part of it that went into codes.
  let current: UnsafeMutablePointer<Int>
  let currentCodes: UnsafeMutablePointer<Int>
  let levelCount: Int
  let stepCount: Int
  /// Work of each measured size.
  private(set) var works: [Int] = []
  /// What each step does besides, at each measured size.
  private(set) var efforts: [[StepEffort]] = []
  /// Runs that were measured.
  private(set) var runCount = 0
  var byteCount: Int { memory.byteCount }

  init(levelCount: Int, stepCount: Int, sizeCount: Int, calls: SystemCalls) throws(AdaptQError) {
    let rows = try checkedProduct(levelCount, sizeCount, "step times")
    let count = try checkedProduct(rows, stepCount, "step times")
    var layout = BlockLayout()
    let productsAt = try layout.reserve(Int.self, count)
    let codesAt = try layout.reserve(Int.self, count)
    let currentAt = try layout.reserve(Int.self, stepCount)
    let currentCodesAt = try layout.reserve(Int.self, stepCount)
    memory = try MemoryBlock.allocate(byteCount: layout.byteCount, purpose: "step times", calls: calls)
    products = (memory.base + productsAt).assumingMemoryBound(to: Int.self)
    codes = (memory.base + codesAt).assumingMemoryBound(to: Int.self)
    current = (memory.base + currentAt).assumingMemoryBound(to: Int.self)
    currentCodes = (memory.base + currentCodesAt).assumingMemoryBound(to: Int.self)
    products.update(repeating: Int.max, count: count)
    codes.update(repeating: Int.max, count: count)
    self.levelCount = levelCount
    self.stepCount = stepCount
  }

  /// Before each run.
  func clear() {
    runCount += 1
    current.update(repeating: 0, count: stepCount)
    currentCodes.update(repeating: 0, count: stepCount)
  }

  /// After each run.
  func keep(size: Int, level: Int) {
    for step in 0..<stepCount {
      let index = row(size, level) + step
      products[index] = min(products[index], current[step] - currentCodes[step])
      codes[index] = min(codes[index], currentCodes[step])
    }
  }

  /// Instead of runs.
  func set(_ step: Int, level: Int, size: Int, product: Int, coding: Int) {
    products[row(size, level) + step] = product
    codes[row(size, level) + step] = coding
  }

  /// All runs of this size are done.
  func finish(work: Int, efforts: [StepEffort] = []) {
    works.append(work)
    self.efforts.append(efforts)
  }

  func product(_ step: Int, level: Int, size: Int) -> Int { products[row(size, level) + step] }

  func coding(_ step: Int, level: Int, size: Int) -> Int { codes[row(size, level) + step] }

  private func row(_ size: Int, _ level: Int) -> Int { (size * levelCount + level) * stepCount }
}
