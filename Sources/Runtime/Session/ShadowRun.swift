import Base
import CMachine
import Control
import NestedFormat

// Shadow runs: the kept inputs once more at the best rung and at another one, while the host has nothing else to do. As on the run
// path nothing is allocated. Controller, telemetry, states and the host's outputs are left alone.

/// What one shadow run found.
public struct ShadowReport: BitwiseCopyable, Sendable {
  public var outcome = RunOutcome()
  /// What was compared with rung 0; 0: nothing, there is no other one.
  public var rung = 0
  /// Output rows compared, and their mean cosine.
  public var rows = 0
  public var meanCosine = 1.0
  /// Energy of the differences over energy of the reference, over all rows.
  public var noise = 0.0
  /// All of the call, and the two runs in it.
  public var nanoseconds = 0
  public var referenceNanoseconds = 0
  public var rungNanoseconds = 0
  /// Comparisons of this rung so far, this one included.
  public var samples: UInt64 = 0

  public init() {}
}

extension SessionState {
  /// - Parameters:
  ///   - wanted: the rung to compare; 0: that of the run whose inputs were kept, or the one compared least often.
  ///   - isGiven: the inputs are those bound for this call, and are kept; false: those that are kept already.
  static func shadow(
    _ state: UnsafeMutablePointer<SessionState>, _ shadow: UnsafeMutablePointer<ShadowSlots>, rung wanted: Int,
    isGiven: Bool, maximumThreads: Int
  ) -> ShadowReport {
    let start = monotonicNanoseconds()
    var outer = cmachine_floating()
    cmachine_enter_floating(&outer)
    state.pointee.control.begin()
    let executor = state.pointee.executor.acquire(maximum: maximumThreads)
    var report = ShadowReport()
    if let misfit = isGiven ? take(state, shadow) : nil {
      report.outcome = misfit
    } else {
      compare(state, shadow, wanted, executor, &report)
      // Inputs that the model cannot run are no use the next time either.
      if report.outcome.kind == .indexOutOfRange { shadow.pointee.isKept = false }
    }
    executor.release()
    state.pointee.control.end()
    cmachine_leave_floating(&outer)
    report.nanoseconds = monotonicNanoseconds() &- start
    return report
  }

  /// Keeps the bound inputs in place of those of the last run.
  private static func take(
    _ state: UnsafeMutablePointer<SessionState>, _ shadow: UnsafeMutablePointer<ShadowSlots>
  ) -> RunOutcome? {
    let plan = state.pointee.plan
    plan.pointee.resolveShapes()
    // They are copied into values that what is kept does not share; a value that does not fit leaves that as it was.
    for index in 0..<plan.pointee.inputCount {
      let slot = plan.pointee.values + Int(plan.pointee.inputs[index])
      if let misfit = state.pointee.bindings[index].copyIn(slot) { return .misfit(.inputValue, index, misfit) }
    }
    shadow.pointee.keep(plan)
    shadow.pointee.isKept = true
    shadow.pointee.rung = -1
    return nil
  }

  private static func compare(
    _ state: UnsafeMutablePointer<SessionState>, _ shadow: UnsafeMutablePointer<ShadowSlots>, _ wanted: Int,
    _ executor: ParallelExecutor, _ report: inout ShadowReport
  ) {
    var plan = state.pointee.plan.pointee
    plan.trace = TraceHook()
    plan.symbols.update(from: shadow.pointee.symbols, count: plan.symbolCount)
    plan.resolveShapes()
    let full = plan.fullState
    if full >= 0 {
      report.outcome.kind = .stateFull
      report.outcome.site = full
      return
    }
    let rung = wanted > 0 ? wanted : choose(state, shadow)
    for site in 0..<plan.siteCount { shadow.pointee.newRanges[site].clear() }
    plan.siteRanges = shadow.pointee.newRanges
    report.referenceNanoseconds = run(state, shadow, &plan, 0, executor, &report.outcome)
    if report.outcome.kind != .done { return }
    if rung > 0 {
      for index in 0..<plan.outputCount {
        let slot = plan.values + Int(plan.outputs[index])
        shadow.pointee.outputs[index]?.update(from: slot.pointee.floats, count: slot.pointee.count)
      }
      plan.siteRanges = nil
      report.rungNanoseconds = run(state, shadow, &plan, rung, executor, &report.outcome)
      if report.outcome.kind != .done { return }
      report.rung = rung
      compareOutputs(plan, shadow, &report)
      report.samples = shadow.pointee.windows[rung].samples
      publish(state, shadow, rung)
    }
    for site in 0..<plan.siteCount { shadow.pointee.ranges[site].add(shadow.pointee.newRanges[site]) }
    if rung == shadow.pointee.rung { shadow.pointee.rung = -1 }
  }

  /// The rung of the kept run, unless it has been compared since or is the best one; else one of those with the fewest comparisons.
  private static func choose(
    _ state: UnsafeMutablePointer<SessionState>, _ shadow: UnsafeMutablePointer<ShadowSlots>
  ) -> Int {
    let count = state.pointee.ladder.count
    if shadow.pointee.rung > 0 { return shadow.pointee.rung }
    if count < 2 { return 0 }
    var (fewest, ties, total) = (UInt64.max, 0, UInt64(0))
    for rung in 1..<count {
      let samples = shadow.pointee.windows[rung].samples
      total &+= samples
      if samples < fewest { (fewest, ties) = (samples, 0) }
      if samples == fewest { ties &+= 1 }
    }
    return tied(shadow, count, fewest, number: Int(truncatingIfNeeded: scattered(total) % UInt64(max(ties, 1))))
  }

  /// Rung `number` of those with `fewest` comparisons.
  private static func tied(
    _ shadow: UnsafeMutablePointer<ShadowSlots>, _ count: Int, _ fewest: UInt64, number: Int
  ) -> Int {
    var left = number
    for rung in 1..<count where shadow.pointee.windows[rung].samples == fewest {
      if left == 0 { return rung }
      left &-= 1
    }
    return 1
  }

  /// Rungs in order would meet inputs that repeat always in the same pairs. The finalizer of SplitMix64 (Steele, Lea, Flood,
  /// OOPSLA 2014).
  private static func scattered(_ value: UInt64) -> UInt64 {
    var x = value &+ 0x9E37_79B9_7F4A_7C15
    x = (x ^ x >> 30) &* 0xBF58_476D_1CE4_E5B9
    x = (x ^ x >> 27) &* 0x94D0_49BB_1331_11EB
    return x ^ x >> 31
  }

  /// The kept inputs at one rung; what it takes. States are read and stay.
  private static func run(
    _ state: UnsafeMutablePointer<SessionState>, _ shadow: UnsafeMutablePointer<ShadowSlots>, _ plan: inout PlanContext,
    _ rung: Int, _ executor: ParallelExecutor, _ outcome: inout RunOutcome
  ) -> Int {
    let begin = monotonicNanoseconds()
    plan.levels.update(from: state.pointee.ladder.levels(rung), count: plan.siteCount)
    for index in 0..<plan.inputCount {
      let slot = plan.values + Int(plan.inputs[index])
      slot.pointee.data.copyMemory(
        from: shadow.pointee.inputs[index], byteCount: slot.pointee.count &* slot.pointee.elementByteCount)
    }
    outcome = withUnsafePointer(to: plan) { PlanContext.execute($0, executor) }
    return monotonicNanoseconds() &- begin
  }

  private static func compareOutputs(
    _ plan: PlanContext, _ shadow: UnsafeMutablePointer<ShadowSlots>, _ report: inout ShadowReport
  ) {
    var (losses, signal, noise) = (0.0, 0.0, 0.0)
    var total = 0
    for index in 0..<plan.outputCount where shadow.pointee.outputs[index] != nil {
      let slot = plan.values + Int(plan.outputs[index])
      total &+= slot.pointee.width > 0 ? slot.pointee.count / slot.pointee.width : 0
    }
    let stride = ShadowWindow.stride(rows: total)
    for index in 0..<plan.outputCount {
      guard let reference = shadow.pointee.outputs[index] else { continue }
      let slot = plan.values + Int(plan.outputs[index])
      let width = slot.pointee.width
      for row in 0..<(width > 0 ? slot.pointee.count / width : 0) {
        let distance = RowDistance(slot.pointee.floats + row &* width, reference + row &* width, width)
        losses += 1 - distance.cosine
        signal += distance.signal
        noise += distance.noise
        if report.rows % stride == 0 {
          shadow.pointee.windows[report.rung].append(
            ShadowWindow.Row(loss: Float(1 - distance.cosine), noise: Float(distance.ratio)))
        }
        report.rows &+= 1
      }
    }
    shadow.pointee.windows[report.rung].endSample()
    if report.rows > 0 { report.meanCosine = 1 - losses / Double(report.rows) }
    report.noise = RowDistance.ratio(noise, signal)
  }

  /// Leaves what is known for whoever chooses. Cosines are with rung 0; what that has lost itself, by the file, comes on top: the
  /// errors of two roundings are as good as independent, and their energies add.
  private static func publish(
    _ state: UnsafeMutablePointer<SessionState>, _ shadow: UnsafeMutablePointer<ShadowSlots>, _ rung: Int
  ) {
    let window = shadow.pointee.windows[rung]
    if !window.isEnough || window.count == 0 { return }
    let ladder = state.pointee.ladder
    let best = ladder.rungs[0].calibrated
    ladder.quality.setShadowed(
      rung,
      ShadowedCosines(
        mean: window.meanCosine - (1 - CosineSteps.cosine(best.mean)),
        p5: window.p5Cosine - (1 - CosineSteps.cosine(best.p5))))
  }
}

/// How far one row of outputs is from that of the reference.
public struct RowDistance: BitwiseCopyable {
  /// 1 for two rows of zeros, 0 for one, -1 where a number is not finite: nothing is farther off.
  public let cosine: Double
  /// Energy of the reference, and of the difference.
  public let signal: Double
  public let noise: Double

  public init(_ a: UnsafePointer<Float>, _ reference: UnsafePointer<Float>, _ count: Int) {
    var (ab, aa, bb, difference) = (0.0, 0.0, 0.0, 0.0)
    for index in 0..<count {
      let (x, y) = (Double(a[index]), Double(reference[index]))
      ab += x * y
      aa += x * x
      bb += y * y
      difference += (x - y) * (x - y)
    }
    signal = bb
    noise = difference
    if !(aa + bb).isFinite {
      cosine = -1
    } else if aa == 0 || bb == 0 {
      cosine = aa == bb ? 1 : 0
    } else {
      cosine = min(max(ab / (aa.squareRoot() * bb.squareRoot()), -1), 1)
    }
  }

  public var ratio: Double { RowDistance.ratio(noise, signal) }

  /// Noise over signal; what cannot be said is very much.
  static func ratio(_ noise: Double, _ signal: Double) -> Double {
    if noise == 0 { return 0 }
    let ratio = noise / signal
    return ratio < 1e6 ? ratio : 1e6
  }
}
