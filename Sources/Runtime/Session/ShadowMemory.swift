import Base
import Control
import Graph

/// What shadow runs read and write, as pointers: into memory of the session, and of its present preparation.
struct ShadowSlots: BitwiseCopyable {
  /// Of the inputs that were kept: sizes that the caller chose, and where each tensor lies.
  var symbols: UnsafeMutablePointer<Int>
  var inputs: UnsafeMutablePointer<UnsafeMutableRawPointer>
  /// Where each output of the reference is kept; nil for one that is not of floats.
  var outputs: UnsafeMutablePointer<UnsafeMutablePointer<Float>?>
  /// The kept inputs are those of a run that succeeded, or were given for a shadow run.
  var isKept = false
  /// The rung of that run, if it has not been compared yet; -1: none.
  var rung = -1

  /// One per rung.
  var windows: UnsafeMutablePointer<ShadowWindow>
  /// One per site: of the shadow run in progress, and of all before.
  var newRanges: UnsafeMutablePointer<RangeSums>
  var ranges: UnsafeMutablePointer<RangeSums>

  /// Copies the inputs of a run that has just got them, with its sizes.
  @inline(__always)
  mutating func keep(_ plan: UnsafePointer<PlanContext>) {
    isKept = false
    symbols.update(from: plan.pointee.symbols, count: plan.pointee.symbolCount)
    for index in 0..<plan.pointee.inputCount {
      let slot = plan.pointee.values + Int(plan.pointee.inputs[index])
      inputs[index].copyMemory(
        from: slot.pointee.data, byteCount: slot.pointee.count &* slot.pointee.elementByteCount)
    }
  }
}

/// The memory behind ``ShadowSlots``, of a session that allows shadow runs.
final class ShadowMemory {
  let windows: UnsafeMutablePointer<ShadowWindow>
  let ranges: UnsafeMutablePointer<RangeSums>
  private let newRanges: UnsafeMutablePointer<RangeSums>
  private let memory: MemoryBlock
  private let calls: SystemCalls
  /// Of the present preparation.
  private var buffers: MemoryBlock?

  init(_ model: Model, rungs: Int, calls: SystemCalls) throws(AdaptQError) {
    let sites = model.graph.sites.count
    var layout = BlockLayout()
    let windowsAt = try layout.reserve(ShadowWindow.self, rungs)
    let rowsAt = try layout.reserve(
      ShadowWindow.Row.self, try checkedProduct(rungs, ShadowWindow.capacity, "shadow runs"))
    let rangesAt = try layout.reserve(RangeSums.self, sites)
    let newRangesAt = try layout.reserve(RangeSums.self, sites)
    memory = try MemoryBlock.allocate(byteCount: layout.byteCount, purpose: "shadow runs", calls: calls)
    let rows = (memory.base + rowsAt).assumingMemoryBound(to: ShadowWindow.Row.self)
    windows = (memory.base + windowsAt).assumingMemoryBound(to: ShadowWindow.self)
    for rung in 0..<rungs {
      (windows + rung).initialize(to: ShadowWindow(rows: rows + rung * ShadowWindow.capacity))
    }
    ranges = (memory.base + rangesAt).assumingMemoryBound(to: RangeSums.self)
    newRanges = (memory.base + newRangesAt).assumingMemoryBound(to: RangeSums.self)
    for (site, range) in model.ranges.enumerated() {
      (ranges + site).initialize(to: RangeSums(bounds: range))
      (newRanges + site).initialize(to: RangeSums(bounds: range))
    }
    self.calls = calls
  }

  var byteCount: Int { memory.byteCount + (buffers?.byteCount ?? 0) }

  /// Memory for the largest sizes of a plan. Nothing changes before ``adopt(_:)``.
  func prepare(_ plan: PlanContext) throws(AdaptQError) -> (block: MemoryBlock, slots: ShadowSlots) {
    var layout = BlockLayout()
    let symbolsAt = try layout.reserve(Int.self, plan.symbolCount)
    let inputsAt = try layout.reserve(UnsafeMutableRawPointer.self, plan.inputCount)
    let outputsAt = try layout.reserve(UnsafeMutablePointer<Float>?.self, plan.outputCount)
    var inputOffsets: [Int] = []
    for index in 0..<plan.inputCount {
      inputOffsets.append(try layout.reserve(UInt8.self, try ShadowMemory.byteCount(plan, plan.inputs[index])))
    }
    var outputOffsets: [Int?] = []
    for index in 0..<plan.outputCount {
      let isFloat = plan.values[Int(plan.outputs[index])].elementType == ElementType.float32.rawValue
      outputOffsets.append(
        isFloat ? try layout.reserve(UInt8.self, try ShadowMemory.byteCount(plan, plan.outputs[index])) : nil)
    }
    let block = try MemoryBlock.allocate(byteCount: layout.byteCount, purpose: "shadow runs", calls: calls)
    let slots = ShadowSlots(
      symbols: (block.base + symbolsAt).assumingMemoryBound(to: Int.self),
      inputs: (block.base + inputsAt).assumingMemoryBound(to: UnsafeMutableRawPointer.self),
      outputs: (block.base + outputsAt).assumingMemoryBound(to: UnsafeMutablePointer<Float>?.self),
      windows: windows, newRanges: newRanges, ranges: ranges)
    for (index, offset) in inputOffsets.enumerated() { (slots.inputs + index).initialize(to: block.base + offset) }
    for (index, offset) in outputOffsets.enumerated() {
      (slots.outputs + index).initialize(to: offset.map { (block.base + $0).assumingMemoryBound(to: Float.self) })
    }
    return (block, slots)
  }

  func adopt(_ block: MemoryBlock) { buffers = block }

  /// What a value needs at the largest sizes.
  private static func byteCount(_ plan: PlanContext, _ value: Int32) throws(AdaptQError) -> Int {
    let slot = plan.values[Int(value)]
    var byteCount = slot.elementByteCount
    for axis in 0..<slot.rank {
      var size = slot.sources[axis]
      if size < 0 {
        let index = -1 - size
        if index < plan.symbolCount {
          size = plan.maximumSymbols[index]
        } else if index < plan.symbolCount + plan.derivedCount {
          let derived = plan.derived[index - plan.symbolCount]
          size = (plan.maximumSymbols[derived.symbol] + derived.plus) / derived.over
        } else {
          size = plan.states[plan.lengths[index - plan.symbolCount - plan.derivedCount].state].maximum
        }
      }
      byteCount = try checkedProduct(byteCount, size, "shadow runs")
    }
    return byteCount
  }
}

/// The inputs of a site, beside those it was calibrated with.
public struct SiteDrift: Sendable {
  /// Nil where the file does not say.
  public var calibrated: SiteRange?
  /// Of shadow runs; nil before the first, and where the site has no inputs of its own.
  public var observed: SiteRange?
  /// Observed rows whose largest magnitude is outside of the calibrated ones'.
  public var rowsOutside: Int
  /// Mean of the observed over that of the calibrated rows; 0 where one of them is not known.
  public var ratio: Double {
    guard let calibrated, let observed, calibrated.mean > 0 else { return 0 }
    return observed.mean / calibrated.mean
  }
}

extension Session {
  /// One per site of the graph. Not during a run.
  public func drift(site: Int) -> SiteDrift {
    let sums = shadow?.ranges[site]
    return SiteDrift(
      calibrated: model.ranges[site], observed: sums?.range,
      rowsOutside: model.ranges[site] == nil ? 0 : sums?.outside ?? 0)
  }
}
