import Base
import Graph

/// What a caller's tensor holds. Raw values are those of adaptq_type; the first three are `ElementType`'s.
public enum HostType: UInt8, Sendable, CaseIterable, BitwiseCopyable {
  case float32 = 1
  case int64 = 2
  case int32 = 3
  case float16 = 4
  case int8 = 5
  case uint8 = 6
  case bool = 7

  @inline(__always) public var byteCount: Int {
    switch self {
    case .int64: 8
    case .float32, .int32: 4
    case .float16: 2
    case .int8, .uint8, .bool: 1
    }
  }

  /// Whether an input of this type can be read as a value of `element`, and an output of the model written as it.
  @inline(__always) public func converts(to element: ElementType, isOutput: Bool) -> Bool {
    if rawValue == element.rawValue { return true }
    if isOutput {
      switch element {
      case .float32: return self == .float16
      case .int64: return self == .int32
      case .int32: return self == .int64
      }
    }
    switch element {
    case .float32: return self == .float16 || self == .int8 || self == .uint8 || self == .bool
    case .int64: return self == .int32 || self == .int8 || self == .uint8 || self == .bool
    case .int32: return self == .int64 || self == .int8 || self == .uint8 || self == .bool
    }
  }
}

/// A caller's tensor for one run. The caller of the run path has checked type, strides and span.
public struct TensorBinding: BitwiseCopyable {
  public var data: UnsafeMutableRawPointer
  /// From the first to the last element.
  public var byteCount: Int
  /// Nil: as the model's value.
  public var type: HostType?
  public var isDense = true
  /// In elements; unused where dense.
  public var strides: InlineArray<8, Int> = InlineArray(repeating: 0)

  @inline(__always)
  public init(data: UnsafeMutableRawPointer, byteCount: Int, type: HostType? = nil) {
    self.data = data
    self.byteCount = byteCount
    self.type = type
  }
}

// The copies between a caller's tensors and the arena: part of the run path.

extension TensorBinding {
  /// Copies a caller's input into a value.
  ///
  /// - Returns: position and number of a value that does not fit, or nil.
  @inline(__always)
  func copyIn(_ slot: UnsafeMutablePointer<ValueSlot>) -> (position: Int, value: Int64)? {
    let count = slot.pointee.count
    let size = slot.pointee.elementByteCount
    if type == nil || type?.rawValue == slot.pointee.elementType {
      if isDense {
        slot.pointee.data.copyMemory(from: data, byteCount: count &* size)
      } else {
        copyStrided(slot, isOutput: false)
      }
      return nil
    }
    return convertIn(slot)
  }

  /// Copies a value into a caller's output. ``firstMisfit(_:)`` has been asked.
  @inline(__always)
  func copyOut(_ slot: UnsafeMutablePointer<ValueSlot>) {
    if type == nil || type?.rawValue == slot.pointee.elementType {
      if isDense {
        data.copyMemory(from: slot.pointee.data, byteCount: slot.pointee.count &* slot.pointee.elementByteCount)
      } else {
        copyStrided(slot, isOutput: true)
      }
    } else {
      convertOut(slot)
    }
  }

  /// The first element of a value that the output's type cannot hold.
  @inline(__always)
  func firstMisfit(_ slot: UnsafeMutablePointer<ValueSlot>) -> (position: Int, value: Int64)? {
    if type != .int32 || slot.pointee.elementByteCount != 8 { return nil }
    let numbers = slot.pointee.data.assumingMemoryBound(to: Int64.self)
    for position in 0..<slot.pointee.count
    where Int64(Int32(truncatingIfNeeded: numbers[position])) != numbers[position] {
      return (position, numbers[position])
    }
    return nil
  }

  /// Elements between the first element of the tensor and that of row `row`.
  @inline(__always)
  private func rowOffset(_ slot: UnsafeMutablePointer<ValueSlot>, _ row: Int) -> Int {
    if isDense { return row &* slot.pointee.width }
    var rest = row
    var offset = 0
    var axis = slot.pointee.rank &- 2
    while axis >= 0 {
      let size = slot.pointee.dims[axis]
      offset &+= rest % size &* strides[axis]
      rest /= size
      axis &-= 1
    }
    return offset
  }

  /// Elements between neighbours of a row.
  @inline(__always)
  private func step(_ slot: UnsafeMutablePointer<ValueSlot>) -> Int {
    isDense || slot.pointee.rank == 0 ? 1 : strides[slot.pointee.rank &- 1]
  }

  private func copyStrided(_ slot: UnsafeMutablePointer<ValueSlot>, isOutput: Bool) {
    let (rows, width, size) = (slot.pointee.rows, slot.pointee.width, slot.pointee.elementByteCount)
    let step = step(slot) &* size
    for row in 0..<rows {
      let theirs = data + rowOffset(slot, row) &* size
      let ours = slot.pointee.data + row &* width &* size
      if step == size {
        if isOutput {
          theirs.copyMemory(from: ours, byteCount: width &* size)
        } else {
          ours.copyMemory(from: theirs, byteCount: width &* size)
        }
        continue
      }
      for column in 0..<width {
        let (there, here) = (theirs + column &* step, ours + column &* size)
        if isOutput {
          there.copyMemory(from: here, byteCount: size)
        } else {
          here.copyMemory(from: there, byteCount: size)
        }
      }
    }
  }

  private func convertIn(_ slot: UnsafeMutablePointer<ValueSlot>) -> (position: Int, value: Int64)? {
    guard let type else { return nil }
    let (rows, width) = (slot.pointee.rows, slot.pointee.width)
    let step = step(slot) &* type.byteCount
    let isFloat = slot.pointee.elementType == ElementType.float32.rawValue
    let isWide = slot.pointee.elementByteCount == 8
    for row in 0..<rows {
      var source = UnsafeRawPointer(data + rowOffset(slot, row) &* type.byteCount)
      var position = row &* width
      for _ in 0..<width {
        if isFloat {
          slot.pointee.floats[position] =
            type == .float16
            ? Half(bits: source.loadUnaligned(as: UInt16.self)).float
            : Float(Int32(truncatingIfNeeded: TensorBinding.integer(source, type)))
        } else {
          let number = TensorBinding.integer(source, type)
          if isWide {
            slot.pointee.data.assumingMemoryBound(to: Int64.self)[position] = number
          } else {
            let narrow = Int32(truncatingIfNeeded: number)
            if Int64(narrow) != number { return (position, number) }
            slot.pointee.data.assumingMemoryBound(to: Int32.self)[position] = narrow
          }
        }
        source += step
        position &+= 1
      }
    }
    return nil
  }

  private func convertOut(_ slot: UnsafeMutablePointer<ValueSlot>) {
    guard let type else { return }
    let (rows, width) = (slot.pointee.rows, slot.pointee.width)
    let step = step(slot) &* type.byteCount
    for row in 0..<rows {
      var target = data + rowOffset(slot, row) &* type.byteCount
      var position = row &* width
      for _ in 0..<width {
        switch type {
        case .float16: target.storeBytes(of: Half(slot.pointee.floats[position]).bits, as: UInt16.self)
        case .int64:
          let number = slot.pointee.data.assumingMemoryBound(to: Int32.self)[position]
          target.storeBytes(of: Int64(number), as: Int64.self)
        default:
          let number = slot.pointee.data.assumingMemoryBound(to: Int64.self)[position]
          target.storeBytes(of: Int32(truncatingIfNeeded: number), as: Int32.self)
        }
        target += step
        position &+= 1
      }
    }
  }

  @inline(__always)
  private static func integer(_ source: UnsafeRawPointer, _ type: HostType) -> Int64 {
    switch type {
    case .int64: source.loadUnaligned(as: Int64.self)
    case .int32: Int64(source.loadUnaligned(as: Int32.self))
    case .int8: Int64(source.load(as: Int8.self))
    case .uint8: Int64(source.load(as: UInt8.self))
    case .bool: source.load(as: UInt8.self) == 0 ? 0 : 1
    case .float32, .float16: 0
    }
  }
}
