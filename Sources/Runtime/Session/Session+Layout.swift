import Control
import Graph

/// Type and sizes of an input or output as trivial data, for checks on the run path.
public struct TensorLayout: BitwiseCopyable {
  public var elementType: Int32
  public var rank: Int
  /// A fixed size, or -1 - symbol.
  public var sources: InlineArray<8, Int>
}

/// A session as the run path sees it: pointers only. Lives as long as the session.
///
/// Everything here needs a prepared session and is for the one run or shape question in progress; sizes are those last
/// resolved.
public struct RunHandle: BitwiseCopyable {
  let state: UnsafeMutablePointer<SessionState>
  let context: UnsafeMutablePointer<PlanContext>
  let prepared: UnsafeMutablePointer<Bool>
  /// For error texts only: nothing on the run path follows it.
  public let session: Unmanaged<Session>

  @inline(__always) public var isPrepared: Bool { prepared.pointee }
  @inline(__always) public var inputCount: Int { context.pointee.inputCount }
  @inline(__always) public var outputCount: Int { context.pointee.outputCount }

  @inline(__always)
  public func inputLayout(_ index: Int) -> TensorLayout { layout(context.pointee.inputs[index]) }

  @inline(__always)
  public func outputLayout(_ index: Int) -> TensorLayout { layout(context.pointee.outputs[index]) }

  @inline(__always)
  private func layout(_ value: Int32) -> TensorLayout {
    let slot = context.pointee.values + Int(value)
    return TensorLayout(
      elementType: Int32(slot.pointee.elementType), rank: slot.pointee.rank, sources: slot.pointee.sources)
  }

  @inline(__always)
  public func outputSize(_ index: Int, _ axis: Int) -> Int {
    (context.pointee.values + Int(context.pointee.outputs[index])).pointee.dims[axis]
  }

  @inline(__always)
  public func inputByteCount(_ index: Int) -> Int { byteCount(context.pointee.inputs[index]) }

  @inline(__always)
  public func outputByteCount(_ index: Int) -> Int { byteCount(context.pointee.outputs[index]) }

  @inline(__always)
  private func byteCount(_ value: Int32) -> Int {
    let slot = context.pointee.values + Int(value)
    return slot.pointee.count &* slot.pointee.elementByteCount
  }

  /// Sets the size of a symbol for the next run or shape question; false if it is above what was prepared, or below
  /// ``minimumSize(ofSymbol:)``.
  @inline(__always)
  public func setSymbol(_ symbol: Int, _ size: Int) -> Bool {
    if size < context.pointee.minimumSymbols[symbol] || size > context.pointee.maximumSymbols[symbol] { return false }
    context.pointee.symbols[symbol] = size
    return true
  }

  /// 1, or what the graph's convolutions need.
  @inline(__always)
  public func minimumSize(ofSymbol symbol: Int) -> Int { context.pointee.minimumSymbols[symbol] }

  @inline(__always)
  public func maximumSize(ofSymbol symbol: Int) -> Int { context.pointee.maximumSymbols[symbol] }

  @inline(__always)
  public func currentSize(ofSymbol symbol: Int) -> Int { context.pointee.symbols[symbol] }

  /// Makes the sizes of all values follow from the symbols.
  @inline(__always)
  public func resolveShapes() { context.pointee.resolveShapes() }

  /// Tensors of the next run: inputs, then outputs.
  @inline(__always)
  public func bind(_ index: Int, _ binding: TensorBinding) { state.pointee.bindings[index] = binding }

  @inline(__always)
  public func binding(_ index: Int) -> TensorBinding { state.pointee.bindings[index] }

  @inline(__always)
  public func hasLevel(_ level: UInt8) -> Bool {
    state.pointee.ladder.uniform(level) >= 0
  }

  /// Runs with what ``setSymbol(_:_:)`` and ``bind(_:_:)`` have set.
  ///
  /// - Parameters:
  ///   - callLevel: bits of a level for this call only; 0 for what the session says.
  ///   - maximumThreads: for this call only; 0 for all there are.
  ///   - deadline: nanoseconds within which to end; 0 for none.
  @inline(__always)
  public func run(callLevel: UInt8, maximumThreads: Int = 0, deadline: Int = 0) -> RunReport {
    SessionState.run(state, callLevel: callLevel, maximumThreads: maximumThreads, deadline: deadline)
  }

  /// Runs with what ``setSymbol(_:_:)`` and ``bind(_:_:)`` have set, at these levels: the controller neither chooses nor learns
  /// from it, and it is not in the telemetry.
  ///
  /// - Parameters:
  ///   - siteLevels: bits of a level for every site of the graph, each stored by its site; what tables have is ignored.
  ///   - ranges: get the rows of the sites' inputs, one per site; nil: nobody wants to know.
  public func run(siteLevels: UnsafePointer<UInt8>, ranges: UnsafeMutablePointer<RangeSums>? = nil) -> RunReport {
    context.pointee.siteRanges = ranges
    defer { context.pointee.siteRanges = nil }
    return SessionState.run(state, callLevel: 0, maximumThreads: 0, deadline: 0, siteLevels: siteLevels)
  }

  /// Whether ``shadow(rung:isGiven:maximumThreads:)`` may be called.
  @inline(__always)
  public var allowsShadows: Bool { state.pointee.shadow != nil }

  /// There are inputs to run again.
  @inline(__always)
  public var hasKeptInputs: Bool { state.pointee.shadow?.pointee.isKept ?? false }

  @inline(__always)
  public var rungCount: Int { state.pointee.ladder.count }

  /// Compares a rung with the best one, on kept inputs or on those that ``setSymbol(_:_:)`` and ``bind(_:_:)`` have set; see
  /// ``SessionState``. Nothing else of the session changes.
  ///
  /// - Parameter rung: 0: the session chooses.
  public func shadow(rung: Int, isGiven: Bool, maximumThreads: Int = 0) -> ShadowReport {
    guard let shadow = state.pointee.shadow, isGiven || shadow.pointee.isKept else { return ShadowReport() }
    return SessionState.shadow(state, shadow, rung: rung, isGiven: isGiven, maximumThreads: maximumThreads)
  }

  /// Forgets what shadow runs have found so far.
  public func forgetShadows() {
    guard let shadow = state.pointee.shadow else { return }
    for rung in 0..<rungCount {
      shadow.pointee.windows[rung].clear()
      state.pointee.ladder.quality.setShadowed(rung, ShadowedCosines(word: 0))
    }
    for site in 0..<context.pointee.siteCount { shadow.pointee.ranges[site].clear() }
  }
}
