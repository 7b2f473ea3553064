import Base
import Graph
import TestSupport
import Testing

@testable import Runtime

/// Copies between callers' tensors and values, against a twin that looks at one element at a time.
@Suite struct TensorBindingTests {
  struct Case {
    var sizes: [Int]
    var strides: [Int]
    var isDense: Bool

    var count: Int { sizes.reduce(1, *) }

    /// Elements before the one at a flat position.
    func offset(_ position: Int) -> Int {
      if isDense { return position }
      var rest = position
      var offset = 0
      for axis in sizes.indices.reversed() {
        offset += rest % sizes[axis] * strides[axis]
        rest /= sizes[axis]
      }
      return offset
    }

    var span: Int { isDense ? count : zip(sizes, strides).reduce(1) { $0 + ($1.0 - 1) * $1.1 } }

    /// Strides that keep elements apart, axes in any order.
    static func random(_ random: inout SeededRandom) -> Case {
      let rank = Int.random(in: 0...4, using: &random)
      let sizes = (0..<rank).map { _ in Int.random(in: 1...5, using: &random) }
      var strides = [Int](repeating: 0, count: rank)
      var span = 1
      for axis in (0..<rank).shuffled(using: &random) where sizes[axis] > 1 {
        strides[axis] = span + Int.random(in: 0...2, using: &random)
        span += (sizes[axis] - 1) * strides[axis]
      }
      let isDense = rank == 0 || strides.allSatisfy { $0 == 0 } || Bool.random(using: &random)
      return Case(sizes: sizes, strides: strides, isDense: isDense)
    }

    func binding(_ data: UnsafeMutableRawPointer, _ type: HostType) -> TensorBinding {
      var binding = TensorBinding(data: data, byteCount: span * type.byteCount, type: type)
      binding.isDense = isDense
      for axis in strides.indices { binding.strides[axis] = strides[axis] }
      return binding
    }

    func slot(_ data: UnsafeMutableRawPointer, _ element: ElementType) -> ValueSlot {
      var slot = ValueSlot(
        data: data, rank: sizes.count, elementByteCount: element.byteCount, elementType: element.rawValue,
        dims: InlineArray(repeating: 1), sources: InlineArray(repeating: 1))
      for axis in sizes.indices { slot.dims[axis] = sizes[axis] }
      return slot
    }
  }

  static func load(_ pointer: UnsafeRawPointer, _ type: HostType) -> Double {
    switch type {
    case .float32: Double(pointer.loadUnaligned(as: Float.self))
    case .int64: Double(pointer.loadUnaligned(as: Int64.self))
    case .int32: Double(pointer.loadUnaligned(as: Int32.self))
    case .float16: Double(Half(bits: pointer.loadUnaligned(as: UInt16.self)).float)
    case .int8: Double(pointer.load(as: Int8.self))
    case .uint8: Double(pointer.load(as: UInt8.self))
    case .bool: pointer.load(as: UInt8.self) == 0 ? 0 : 1
    }
  }

  static func store(_ value: Int, _ pointer: UnsafeMutableRawPointer, _ type: HostType) {
    switch type {
    case .float32: pointer.storeBytes(of: Float(value), as: Float.self)
    case .int64: pointer.storeBytes(of: Int64(value), as: Int64.self)
    case .int32: pointer.storeBytes(of: Int32(value), as: Int32.self)
    case .float16: pointer.storeBytes(of: Half(Float(value)).bits, as: UInt16.self)
    case .int8: pointer.storeBytes(of: Int8(truncatingIfNeeded: value), as: Int8.self)
    case .uint8, .bool: pointer.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
    }
  }

  static let elements: [ElementType] = [.float32, .int64, .int32]

  @Test(arguments: HostType.allCases) func inputs(_ type: HostType) throws {
    for element in Self.elements where type.converts(to: element, isOutput: false) {
      let own = try #require(HostType(rawValue: element.rawValue))
      for index in 0..<100 {
        var random = SeededRandom("inputs \(type) \(element)", index)
        let shape = Case.random(&random)
        let theirs = GuardedBuffer<UInt8>(count: shape.span * type.byteCount)
        let ours = GuardedBuffer<UInt8>(count: shape.count * element.byteCount)
        for offset in 0..<shape.span {
          Self.store(Int.random(in: -100...300, using: &random), theirs.base + offset * type.byteCount, type)
        }
        var slot = shape.slot(ours.base, element)
        #expect(shape.binding(theirs.base, type).copyIn(&slot) == nil)
        for position in 0..<shape.count {
          let want = Self.load(theirs.base + shape.offset(position) * type.byteCount, type)
          let found = Self.load(ours.base + position * element.byteCount, own)
          #expect(found == want, "case \(index): \(shape) at \(position)")
        }
      }
    }
  }

  @Test(arguments: HostType.allCases) func outputs(_ type: HostType) throws {
    for element in Self.elements where type.converts(to: element, isOutput: true) {
      let own = try #require(HostType(rawValue: element.rawValue))
      for index in 0..<100 {
        var random = SeededRandom("outputs \(type) \(element)", index)
        let shape = Case.random(&random)
        let theirs = GuardedBuffer<UInt8>(count: shape.span * type.byteCount)
        let ours = GuardedBuffer<UInt8>(count: shape.count * element.byteCount)
        for byte in 0..<theirs.count { theirs.base[byte] = 0xC5 }
        for position in 0..<shape.count {
          Self.store(Int.random(in: -2000...2000, using: &random), ours.base + position * element.byteCount, own)
        }
        var slot = shape.slot(ours.base, element)
        let binding = shape.binding(theirs.base, type)
        #expect(binding.firstMisfit(&slot) == nil)
        binding.copyOut(&slot)
        var written = Set<Int>()
        for position in 0..<shape.count {
          let offset = shape.offset(position)
          written.insert(offset)
          let found = Self.load(theirs.base + offset * type.byteCount, type)
          #expect(found == Self.load(ours.base + position * element.byteCount, own), "case \(index): \(shape)")
        }
        for offset in 0..<shape.span where !written.contains(offset) {
          for byte in 0..<type.byteCount { #expect(theirs.base[offset * type.byteCount + byte] == 0xC5) }
        }
      }
    }
  }

  /// int64 to int32, in both directions: the first value that does not fit is named.
  @Test func valuesThatDoNotFit() {
    for (position, value) in [(0, Int64(Int32.max) + 1), (3, Int64(Int32.min) - 1), (5, Int64.max), (2, Int64.min)] {
      let wide = GuardedBuffer<Int64>(count: 6)
      let narrow = GuardedBuffer<Int32>(count: 6)
      for index in 0..<6 { wide.base[index] = index % 2 == 0 ? Int64(Int32.max) : Int64(Int32.min) }
      wide.base[position] = value
      let shape = Case(sizes: [2, 3], strides: [0, 0], isDense: true)
      var slot = shape.slot(narrow.base, .int32)
      let input = shape.binding(wide.base, .int64).copyIn(&slot)
      #expect(input?.position == position && input?.value == value)
      slot = shape.slot(wide.base, .int64)
      let output = shape.binding(narrow.base, .int32).firstMisfit(&slot)
      #expect(output?.position == position && output?.value == value)
      wide.base[position] = 7
      #expect(shape.binding(narrow.base, .int32).firstMisfit(&slot) == nil)
    }
  }

  @Test func whatConverts() {
    func types(_ element: ElementType, isOutput: Bool) -> [HostType] {
      HostType.allCases.filter { $0.converts(to: element, isOutput: isOutput) }
    }
    #expect(types(.float32, isOutput: false) == [.float32, .float16, .int8, .uint8, .bool])
    #expect(types(.int64, isOutput: false) == [.int64, .int32, .int8, .uint8, .bool])
    #expect(types(.int32, isOutput: false) == [.int64, .int32, .int8, .uint8, .bool])
    #expect(types(.float32, isOutput: true) == [.float32, .float16])
    #expect(types(.int64, isOutput: true) == [.int64, .int32])
    #expect(types(.int32, isOutput: true) == [.int64, .int32])
  }
}
