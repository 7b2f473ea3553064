import Base
import CAdaptQ

// Structs of the C ABI grow at the end and begin with struct_size, the size the caller was compiled with. A caller may know
// fewer fields than this library (the rest is zero, the default) but never more than it.
//
// `firstSize` is the size of the struct in the version that introduced it. Its default is today's size, for structs in their
// first version; `FirstSize` has those that have grown. Sizes are multiples of 8, as every struct's is.

/// Sizes that structs had when they were introduced.
enum FirstSize {
  static let runtimeOptions = 40
  static let sessionOptions = 16
  static let tensor = 96
  static let runOptions = 24
  static let runReport = 56
  static let powerBudget = 64
  static let telemetry = 56
  static let prepareInfo = 32
  static let matrixOptions = 88
  static let matrixInfo = 72
  static let planInfo = 96
  static let frameReport = 80
}

/// Reads struct_size at `pointer` and checks it. The caller's struct may lie at any alignment.
@inline(__always)
func checkedStructSize<Struct: BitwiseCopyable>(
  _ pointer: UnsafeRawPointer, as: Struct.Type, _ name: StaticString, firstSize: Int = MemoryLayout<Struct>.size
) throws(AdaptQError) -> Int {
  let size = pointer.loadUnaligned(as: UInt.self)
  guard size >= UInt(firstSize) && size <= UInt(MemoryLayout<Struct>.size) && size % 8 == 0 else {
    throw wrongStructSize(size, name, firstSize, MemoryLayout<Struct>.size)
  }
  return Int(size)
}

@inline(never)
private func wrongStructSize(_ size: UInt, _ name: StaticString, _ first: Int, _ known: Int) -> AdaptQError {
  let expected = first == known ? "\(known)" : "\(first) to \(known)"
  return .invalidArgument("\(name).struct_size is \(size); this version of the library expects \(expected)")
}

/// Reads a caller's struct into `value`, which holds the defaults (all zero: `adaptq_run_options()`).
///
///     var options = adaptq_session_options()
///     try readStruct(pointer, "adaptq_session_options", into: &options)
@inline(__always)
func readStruct<Struct: BitwiseCopyable>(
  _ pointer: UnsafePointer<Struct>, _ name: StaticString, firstSize: Int = MemoryLayout<Struct>.size,
  into value: inout Struct
) throws(AdaptQError) {
  let size = try checkedStructSize(pointer, as: Struct.self, name, firstSize: firstSize)
  withUnsafeMutableBytes(of: &value) { $0.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: size)) }
}

/// Like `readStruct` for options, where NULL means all defaults.
@inline(__always)
func readOptions<Struct: BitwiseCopyable>(
  _ pointer: UnsafePointer<Struct>?, _ name: StaticString, firstSize: Int = MemoryLayout<Struct>.size,
  into value: inout Struct
) throws(AdaptQError) {
  guard let pointer else { return }
  try readStruct(pointer, name, firstSize: firstSize, into: &value)
}

/// A struct of the caller that a function fills: checked when made, written by `write`, which keeps struct_size.
///
///     let target = try OutStruct(required(info, "info"), "adaptq_site_info")
///     var value = adaptq_site_info()
///     value.n = ...
///     target.write(value)
struct OutStruct<Struct: BitwiseCopyable> {
  private let pointer: UnsafeMutableRawPointer
  private let size: Int

  @inline(__always)
  init(
    _ pointer: UnsafeMutablePointer<Struct>, _ name: StaticString, firstSize: Int = MemoryLayout<Struct>.size
  ) throws(AdaptQError) {
    self.pointer = UnsafeMutableRawPointer(pointer)
    size = try checkedStructSize(pointer, as: Struct.self, name, firstSize: firstSize)
  }

  /// Writes one field, if the caller knows it.
  @inline(__always)
  func write<Field: BitwiseCopyable>(_ value: Field, at offset: Int?) {
    guard let offset, offset &+ MemoryLayout<Field>.size <= size else { return }
    pointer.storeBytes(of: value, toByteOffset: offset, as: Field.self)
  }

  @inline(__always)
  func write(_ value: Struct) {
    let header = MemoryLayout<UInt>.size
    withUnsafeBytes(of: value) {
      UnsafeMutableRawBufferPointer(start: pointer + header, count: size &- header)
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[header..<size]))
    }
  }
}

/// An array of a caller's structs, whose stride is the caller's struct_size and not this library's.
///
/// struct_size of the first element counts. With `checkingAll` (arrays the caller has filled) every element must have
/// the same one; without (arrays to be filled) the others may hold anything, and `write` sets it in each.
struct StructArray<Struct: BitwiseCopyable> {
  private let base: UnsafeMutableRawPointer?
  private let stride: Int
  let count: Int

  /// - Parameter parameter: the C parameter, named in the error when it is NULL although `count` is above 0.
  @inline(__always)
  init(
    _ pointer: UnsafePointer<Struct>?, count: Int, _ name: StaticString, parameter: StaticString,
    firstSize: Int = MemoryLayout<Struct>.size, checkingAll: Bool = true
  ) throws(AdaptQError) {
    self.count = count
    if count == 0 {
      base = nil
      stride = MemoryLayout<Struct>.size
      return
    }
    let pointer = try required(pointer, parameter)
    let start = UnsafeMutableRawPointer(mutating: pointer)
    stride = try checkedStructSize(start, as: Struct.self, name, firstSize: firstSize)
    base = start
    guard count > 0 && !count.multipliedReportingOverflow(by: stride).overflow else {
      throw .invalidArgument("\(parameter): \(UInt(bitPattern: count)) structs of \(stride) bytes are not possible")
    }
    if !checkingAll { return }
    var index = 1
    while index < count {
      let size = (start + index &* stride).loadUnaligned(as: UInt.self)
      if size != UInt(stride) {
        throw .invalidArgument("\(parameter)[\(index)].struct_size is \(size); that of \(parameter)[0] is \(stride)")
      }
      index &+= 1
    }
  }

  /// Copies element `index`, which is in range, over `value`, which holds the defaults.
  @inline(__always)
  func read(_ index: Int, into value: inout Struct) {
    guard let base else { return }
    let source = UnsafeRawBufferPointer(start: base + index &* stride, count: stride)
    withUnsafeMutableBytes(of: &value) { $0.copyMemory(from: source) }
  }

  /// Writes element `index`, which is in range, and sets its struct_size. For arrays that the caller gave to be filled.
  @inline(__always)
  func write(_ value: Struct, at index: Int) {
    guard let base else { return }
    let target = base + index &* stride
    withUnsafeBytes(of: value) {
      target.copyMemory(from: UnsafeRawPointer($0.baseAddress ?? UnsafeRawPointer(target)), byteCount: stride)
    }
    target.storeBytes(of: UInt(stride), as: UInt.self)
  }
}
