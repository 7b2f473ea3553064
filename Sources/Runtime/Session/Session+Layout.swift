import Graph
import NestedFormat

/// Type and sizes of an input or output as trivial data, for checks on the run path.
public struct TensorLayout: BitwiseCopyable {
  public var elementType: Int32
  public var rank: Int
  /// A fixed size, or -1 - symbol.
  public var sources: InlineArray<8, Int>
}

// All of these need a prepared session; sizes are those last resolved.
extension Session {
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

  @inline(__always)
  public func currentSize(ofSymbol symbol: Int) -> Int { context.pointee.symbols[symbol] }

  /// Makes the sizes of all values follow from the symbols.
  @inline(__always)
  public func resolveShapes() { context.pointee.resolveShapes() }

  @inline(__always)
  public func binding(_ index: Int) -> TensorBinding { state.pointee.bindings[index] }

  public func hasLevel(_ level: Level) -> Bool { levels.contains(level) }
}
